"""An investigation as one page: no network, no script, the verdict first, good on paper.

In: a trace, a difference, an answer of blame or a recall. Out: HTML. Whatever comes from evidence
is escaped.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.causes import Blame, Cause, path_text
from fraud_provenance.investigate.chain import Fold, Joint, folded, joints_of, ranges
from fraud_provenance.investigate.difference import Difference
from fraud_provenance.investigate.picture import MARKS, Picture, of_joints, of_reach
from fraud_provenance.investigate.reach import Reach, Seeds, reach_of
from fraud_provenance.investigate.recalling import Recall
from fraud_provenance.investigate.trace import Trace
from fraud_provenance.investigate.why import Why

_SHOWN, _WHOLE = 200, 12
"""Statements of one kind that are listed, and of those the ones that are shown whole."""
_TEXT_LIMIT = 6_000


@dataclass(frozen=True)
class Drawn:
    """A picture under a title; `name` makes its boxes' anchors unique."""

    title: str
    name: str
    drawn: Picture


@dataclass(frozen=True)
class Row:
    """Cells of a table; `more` unfolds below the last."""

    cells: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True)
class Section:
    """A title with a text, a table or points. `numbers`: columns that hold such."""

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    points: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Item:
    """One statement."""

    title: str
    note: str
    facts: tuple[tuple[str, str], ...]
    statement: str = ""


@dataclass(frozen=True)
class Group:
    """The statements behind one box."""

    anchor: str
    title: str
    note: str
    state: str
    notes: tuple[str, ...]
    items: tuple[Item, ...]
    left_out: int = 0
    where: str = ""

    @property
    def mark(self) -> str:
        """The state for those who see no colours."""
        return MARKS[self.state]


@dataclass
class Page:
    """Everything that the template shows."""

    title: str
    headline: str
    state: str
    about: tuple[str, ...] = ()
    pictures: list[Drawn] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    footer: str = ""

    def html(self) -> str:
        """The page as one document."""
        import jinja2

        loader = jinja2.PackageLoader("fraud_provenance.investigate", "")
        made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        return made.get_template("page.html.j2").render(page=self)


def of_trace(trust: Trust, found: Trace) -> Page:
    """The page of a trace."""
    page = Page(f"Trace of {found.verdict.subject}", found.headline, _state(found.verdict),
                found.about)  # fmt: skip
    page.pictures.append(Drawn("From the raw data to the subject", "a", of_joints(found.joints)))
    if found.score is not None and found.score.row:
        row = found.score.row
        alert = "an alert" if row["is_alert"] else "no alert"
        page.about += (
            f"Transaction {found.score.transaction_id} of {found.score.day} has score "
            f"{row['score']:.6f} ({alert}): row {found.score.index} of {found.score.rows} under "
            f"the signed Merkle root {found.score.merkle_root}.",
        )
    if found.why is not None:
        page.sections.append(_of_why(found.why))
    page.sections += _of_verdict(trust, found.verdict)
    page.groups = _groups(trust, "a", found.joints)
    return _finished(trust, page)


def of_recall(found: Recall, trust: Trust) -> Page:
    """The page of a recall."""
    state = "broken" if found.exit_code else "odd" if found.reach.touched else "good"
    page = Page(f"Recall of {found.subject}", found.headline, state)
    page.pictures.append(Drawn("What was built on it", "a", of_reach(found.reach)))
    page.sections.append(_affected("What is affected", found.reach))
    if found.rows is not None:
        rows = tuple(
            Row((asset, day, f"{len(ids):,}"), ", ".join(map(str, ids)))
            for asset, days in found.rows.ids.items() if asset == "transaction_scores"
            for day, ids in days.items()
        )  # fmt: skip
        title = "The rows that are really touched"
        page.sections.append(Section(title, "", ("asset", "day", "rows"), rows, numbers=(2,)))
    problems = tuple(str(item) for item in (*found.problems, *found.reach.refused))
    if problems:
        page.sections.append(Section("What could not be looked at", points=problems))
    page.sections.append(Section("To make again once it is withdrawn", points=tuple(found.rebuild)))
    files: dict[str, list[Item]] = {}
    for item in found.reach.touched:
        facts = (("sha256", item.entry.sha256), ("statement", item.node.statement),
                 ("reached through", ", ".join(sorted(item.through))))  # fmt: skip
        note = "newest version" if item.is_current else "superseded"
        files.setdefault(item.asset, []).append(Item(item.entry.path, note, facts))
    for asset, items in files.items():
        page.groups.append(_group(f"a-{asset}", asset, "odd", (), items, asset))
    kinds: dict[str, list[Item]] = {}
    for node in found.reach.statements:
        made = _item(trust, Joint(node.kind, node.link()), len(kinds.get(node.kind, ())) < _WHOLE)
        kinds.setdefault(node.kind, []).append(made)
    for kind, items in kinds.items():
        page.groups.append(_group(f"a-{kind.replace(' ', '-')}", kind, "odd", (), items, kind))
    return _finished(trust, page)


def of_difference(trust: Trust, found: Difference) -> Page:
    """The page of a difference: both lineages, where they differ marked."""
    differ = {item.asset for item in found.moved}
    differ |= {change.name.partition(".")[0] for change in found.changes}
    state = "odd" if found.changes or found.moved else "good"
    names = f"{found.a.subject} and {found.b.subject}"
    page = Page(f"Difference of {names}", found.headline, state if found.trusted else "broken")
    for name, side in (("a", found.a), ("b", found.b)):
        joints = joints_of(trust, side.verdict)
        drawn = of_joints(joints, lambda item: item.link.name in differ)
        page.pictures.append(Drawn(f"{name.upper()}: {side.subject}", name, drawn))
        page.groups += _groups(trust, name, joints)
    rows = tuple(Row((item.section, item.name, *map(_said, item.others)))
                 for item in found.changes)  # fmt: skip
    columns = ("section", "what", f"A: {found.a.subject}", f"B: {found.b.subject}")
    page.sections.append(Section("What differs", "", columns, rows))
    page.sections += [_of_moved(item) for item in found.moved]
    if found.files:
        code = tuple(f"{item['path']} +{item['added']} -{item['removed']}" for item in found.files)
        page.sections.append(Section("Files of the code", points=code))
    if found.notes:
        page.sections.append(Section("What could not be compared", points=tuple(found.notes)))
    for side in (found.a, found.b):
        page.sections += _of_verdict(trust, side.verdict)
    return _finished(trust, page)


def of_blame(trust: Trust, found: Blame) -> Page:
    """The page of what caused something: each cause with its path, and what is none."""
    broken = any(item.is_broken for item in found.causes)
    state = "broken" if broken else "odd" if found.causes else "good"
    about = (f"Compared with {found.good}.",) if found.good else ()
    page = Page(f"What caused {found.subject}", found.headline, state, about)
    joints = joints_of(trust, found.verdict)
    blamed = {link.statement for item in found.causes for link in item.path[-1:]}
    drawn = of_joints(joints, lambda item: item.link.statement in blamed)
    page.pictures.append(Drawn("From the raw data to the symptom", "a", drawn))
    page.sections.append(_of_causes("The causes", found.causes, "No change explains it."))
    if found.immaterial:
        title = "What changed as well, and explains nothing"
        page.sections.append(_of_causes(title, found.immaterial, ""))
    if found.notes:
        page.sections.append(Section("Notes", points=tuple(found.notes)))
    page.sections += _of_verdict(trust, found.verdict)
    page.groups = _groups(trust, "a", joints)
    return _finished(trust, page)


def _of_causes(title: str, causes: Sequence[Cause], none: str) -> Section:
    rows = tuple(
        Row(
            (f"{item.share:.0%}" if item.share is not None else "", item.key, item.said,
             item.before[:16], item.after[:16], item.who),
            "; ".join((*item.details, path_text(item.path))),
        )
        for item in causes
    )  # fmt: skip
    columns = ("share", "what", "how", "before", "after", "signed by")
    return Section(title, "" if rows else none, columns if rows else (), rows, numbers=(0,))


def _of_moved(item: Any) -> Section:  # noqa: ANN401 - Moved; its shifts are of `fraud`
    parts = [f"{word} {ranges(places)}" for word, places in (
        ("only in A:", item.only_a), ("only in B:", item.only_b), ("changed:", item.changed))
        if places]  # fmt: skip
    counts = [f"{count:,}" if count is not None else "?" for count in item.rows]
    rows = tuple(
        Row((shift.column, f"{shift.distance:.3f}",
             *(_pair(shift, name) for name in ("rows", "mean", "median", "p99", "missing"))))
        for shift in item.shifts
    )  # fmt: skip
    told = "" if counts == ["?", "?"] else f" Rows: {counts[0]} and {counts[1]}."
    text = f"{'; '.join(parts)}.{told}"
    columns = ("column", "distance", "rows", "mean", "median", "99 %", "missing")
    return Section(f"Files of {item.asset}", text, columns if rows else (), rows)


def _pair(shift: Any, name: str) -> str:  # noqa: ANN401 - Shift, of `fraud`
    sides = [f"{getattr(side, name):.4g}" if side else "none" for side in (shift.a, shift.b)]
    return sides[0] if sides[0] == sides[1] else f"{sides[0]} → {sides[1]}"


def _said(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _of_why(why: Why) -> Section:
    same = "bit for bit" if why.tolerance == 0 else f"within {why.tolerance:g} (other libraries)"
    rows = tuple(
        Row(
            (f"{share.contribution:+.4f}", share.name, f"{share.value:g}",
             f"{len(share.rows)} raw row{'s' * (len(share.rows) != 1)}"),
            "; ".join(
                f"{row.transaction_id} of {row.at}, {row.amount:.2f}, {row.label}, "
                f"{row.file} {row.sha256[:12]}"
                for row in share.rows
            ),
        )
        for share in why.shares
    )  # fmt: skip
    text = (
        f"Computed again {same} ({why.bits}). Log odds {why.margin:.4f}: {why.base:.4f} for "
        f"anybody, and what each feature adds (exact TreeSHAP)."
    )
    return Section("Why this score", text, ("share", "feature", "value", "made of"), rows,
                   numbers=(0, 2))  # fmt: skip


def _of_verdict(trust: Trust, verdict: Verdict) -> list[Section]:
    """What is wrong, what else is affected by it, and what to do."""
    if not verdict.reasons:
        return []
    found = [Section("What does not hold", points=tuple(map(str, verdict.reasons)))]
    remedies = dict.fromkeys(item.remedy for item in verdict.reasons if item.remedy)
    found.append(Section("What to do", points=tuple(remedies)))
    digests = frozenset(
        head.sha256
        for item in verdict.reasons if item.artifact and item.partition
        for head in trust.store.heads(item.artifact).get(item.partition, ())
    )  # fmt: skip
    if digests:
        found.append(_affected("What else is affected", reach_of(trust, Seeds(digests))))
    return found


def _affected(title: str, reach: Reach) -> Section:
    rows = [
        Row((asset, str(len(reach.of(asset))), ranges(days)))
        for asset, days in reach.partitions().items()
    ]
    scores = f"{sum(reach.scores.values()):,} scores of {len(reach.scores)} days"
    text = scores if reach.scores else "No score is."
    return Section(title, text, ("asset", "files", "partitions"), tuple(rows), numbers=(1,))


# --- statements ------------------------------------------------------------------------------


def _groups(trust: Trust, name: str, joints: Sequence[Joint]) -> list[Group]:
    """One for each box of the picture, and one for the access decisions between them."""
    drawn = [fold for fold in folded(joints)
             if fold.role != "access decision" or fold.state == "broken"]  # fmt: skip
    found = [_of_fold(trust, f"{name}-n{index}", fold) for index, fold in enumerate(drawn)]
    between = [fold for fold in folded(joints) if fold not in drawn]
    return found + [_of_fold(trust, f"{name}-d{n}", fold) for n, fold in enumerate(between)]


def _of_fold(trust: Trust, anchor: str, fold: Fold) -> Group:
    items = [_item(trust, joint, index < _WHOLE)
             for index, joint in enumerate(fold.joints[:_SHOWN])]  # fmt: skip
    title = f"{fold.role}: {fold.joints[0].link.name if fold.role != 'landing file' else 'landing'}"
    made = _group(anchor, title, fold.state, fold.notes, items, fold.role)
    note = " ".join(filter(None, (f"({fold.count})" if fold.count > 1 else "", fold.partitions)))
    return Group(made.anchor, made.title, note, made.state, made.notes, made.items,
                 fold.count - len(items), made.where)  # fmt: skip


def _group(
    anchor: str, title: str, state: str, notes: Iterable[str], items: Sequence[Item], what: str
) -> Group:
    shown = tuple(items[:_SHOWN])
    where = f"`fraud-provenance trace SUBJECT --all` lists every {what}"
    return Group(anchor, title, f"({len(items)})" if len(items) > 1 else "", state, tuple(notes),
                 shown, len(items) - len(shown), where)  # fmt: skip


def _item(trust: Trust, joint: Joint, whole: bool) -> Item:
    link = joint.link
    facts = [
        ("signed by", link.signer), ("at", link.signed_at),
        ("log index", "" if link.log_index is None else str(link.log_index)),
        ("commit", link.git_commit), ("digest", link.digest), ("statement", link.statement),
        ("partitions", ranges(link.partitions)), ("detail", link.detail),
        *(("does not hold", str(item)) for item in link.reasons),
        *(("look at", note) for note in joint.odd),
    ]  # fmt: skip
    text = _statement(trust, link.statement) if whole and link.statement else ""
    title = f"{link.name} {(link.statement or link.digest)[:12]}"
    kept = tuple((name, value) for name, value in facts if value)
    return Item(title, link.signed_at, kept, text)


def _statement(trust: Trust, statement: str) -> str:
    """What was signed, if it verified; a long one is cut."""
    bundle = trust.lineage().node(statement).claims.bundle
    if bundle is None:
        return ""
    said = bundle.statement
    document = {"predicateType": said.predicate_type, "subject": said.subject_digest,
                "predicate": said.predicate}  # fmt: skip
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    cut = f"\n… {len(text) - _TEXT_LIMIT:,} more characters" if len(text) > _TEXT_LIMIT else ""
    return text[:_TEXT_LIMIT] + cut


def _state(verdict: Verdict) -> str:
    if not verdict.trusted:
        return "broken"
    return "good"


def _finished(trust: Trust, page: Page) -> Page:
    at = f"{trust.clock():%Y-%m-%d %H:%M:%S} UTC"
    page.footer = (
        f"Made {at} in environment {trust.environment} from evidence verified then; this page is "
        "no evidence itself. The same command gives it anew."
    )
    return page
