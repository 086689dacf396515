"""A verdict as a chain that can be read: each link under its role, with what it rests on.

Edges come from verified statements alone. What did not verify is a link with its reasons, and
nothing is shown below it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Claims, Materialisation, Node
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Acceptance
from fraud_provenance.attested.statements.predicates import OF_PEOPLE
from fraud_provenance.attested.statements.statements import Contract, Provenance, Summary

ORDER = (
    "alert", "scores", "prediction batch", "score contract", "model", "model signature",
    "bill of materials", "evaluation", "release decision", "approval", "promotion request",
    "registration decision", "feature store", "training set", "features", "raw days", "contract",
    "acceptance", "waiver", "supersede", "access decision", "policy", "revocation", "landing file",
)  # fmt: skip
ROLES = {
    "transaction_scores": "scores", "fraud_model": "model", "model_evaluation": "evaluation",
    "feature_store": "feature store", "training_set": "training set",
    "transaction_features": "features", "raw_transactions": "raw days",
}  # fmt: skip
"""What an asset is for a chain."""
_GATES = {"release": "registration decision", "deploy": "release decision"}


@dataclass(frozen=True)
class Joint:
    """One link of a chain.

    Attributes:
        role: What it is for the chain, one of `ORDER`, or its asset.
        link: The evidence with its own verdict.
        rests_on: The statements directly below it.
        odd: What is in order and still worth a look, such as a changed work tree.
    """

    role: str
    link: Link
    rests_on: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`broken`, `odd` or `good`."""
        return "good" if self.link.is_good and not self.odd else "odd" if self.link.is_good else (
            "broken")  # fmt: skip


def joints_of(trust: Trust, verdict: Verdict, files: Collection[str] = ()) -> list[Joint]:
    """Every link of a verdict, from the subject down to the landing files.

    Args:
        trust: The opened home.
        verdict: What was found of the subject.
        files: SHA-256 of the files that are asked about; by default all that nothing here has read.
    """
    lineage = trust.lineage()
    nodes = [lineage.node(link.statement) if link.statement else None for link in verdict.links]
    used = used_files([node for node in nodes if node], files)
    found = []
    for link, node in zip(verdict.links, nodes, strict=True):
        if node is None:  # it stands for evidence that is missing
            found.append(Joint(link.kind, link))
            continue
        below = tuple(dict.fromkeys(child.statement for child in node.children))
        days = tuple(sorted({e.partition for e in node.entries if e.sha256 in used}))
        shown = link.model_copy(update={"partitions": days or link.partitions})
        odd = [*_replacing(trust, node, days), *_odd(node)]
        found.append(Joint(role_of(node), shown, below, tuple(odd)))
    return in_order([*found, *_landing(trust, [node for node in nodes if node], used)])


def used_files(nodes: Sequence[Node], files: Collection[str] = ()) -> set[str]:
    """SHA-256 of the files that were asked about and of all that they were made from.

    By default those of a materialisation that no other one of `nodes` has read.
    """
    made = [node for node in nodes if node.claims.made]
    read = {item.statement for node in made for child in node.children for item in child.children}
    used = set(files) or {
        entry.sha256 for node in made if node.statement not in read for entry in node.entries
    }
    for node in sorted(made, key=lambda node: -node.distance):
        used |= {d for e in node.entries if e.sha256 in used for d in e.made_from}
    return used


def _landing(trust: Trust, nodes: Sequence[Node], used: set[str]) -> list[Joint]:
    """The landing files among the files used."""
    found: dict[str, Joint] = {}
    for node in nodes:
        if not isinstance(node, Materialisation):
            continue
        material = node.provenance.material("source")
        if material is None:
            continue
        for entry in trust.store.manifest(material.digest).entries:
            if entry.sha256 in used:
                link = Link(
                    kind="landing file",
                    name=entry.path,
                    digest=entry.sha256,
                    partitions=(entry.partition,),
                    detail="bound by the signed raw day",
                    distance=-1,
                )
                found[entry.path] = Joint("landing file", link)
    return [found[path] for path in sorted(found)]


def in_order(joints: Iterable[Joint]) -> list[Joint]:
    """By role as `ORDER` has them, then by time."""
    rank = {role: index for index, role in enumerate(ORDER)}
    return sorted(
        joints, key=lambda item: (rank.get(item.role, len(rank)), item.link.partitions[:1],
                                  item.link.signed_at)
    )  # fmt: skip


def role_of(node: Node) -> str:
    """What a statement is, or seemed to be, in the words of `ORDER`."""
    match node.claims:
        case Claims(said=Provenance() as made):
            return ROLES.get(made.asset, made.asset)
        case Claims(said=Summary() as summary):
            return _GATES.get(summary.gate, "access decision")
        case Claims(said=Contract(), manifest=Manifest(asset="transaction_scores")):
            return "score contract"
    return node.kind


def _replacing(trust: Trust, node: Node, days: Collection[str]) -> list[str]:
    """Which of the days that were used came again with other bytes than the first time."""
    made = node.claims.made
    if made is None or made.material("source") is None or not days:
        return []
    earlier: dict[str, set[frozenset[str]]] = {}
    own: dict[str, frozenset[str]] = {}
    for version in reversed(trust.store.replaced(made.asset)):  # the oldest first
        if version.statement == node.statement:
            own[version.partition] = version.files
        elif version.partition not in own:
            earlier.setdefault(version.partition, set()).add(version.files)
    again = [day for day in days if earlier.get(day, set()) - {own.get(day)}]
    return [f"delivered again with other rows: {ranges(again)}"] if again else []


def _odd(node: Node) -> list[str]:
    """What a person should look at, though it may be used."""
    found = []
    if node.revoked:
        found.append(f"{len(node.revoked)} of its files were withdrawn, or made from such")
    match node.claims.said:
        case Provenance(outputs=outputs):
            if outputs.get("git_dirty"):
                found.append("made by a changed work tree")
            found += [str(item) for item in outputs.get("environment_problems", ())]
            if "rollback_to" in outputs:
                found.append("an earlier version came back by a person's decision")
        case Contract(warnings=warnings) if warnings:
            told = {item.check.replace("_", " ") for item in warnings}
            found.append(f"warned: not true that {', '.join(sorted(told))[:200]}")
        case Acceptance(reason=why):
            found.append(f"unusual, accepted by a person: {why[:200]}")
        case Summary(allowed=False):
            found.append("this gate refused")
    if node.kind == "waiver":
        found.append("a day was declared empty by a person")
    return found


def first_words(verdict: Verdict, joints: Sequence[Joint]) -> str:
    """One sentence: whether the subject is trusted, and the first link that is broken or odd."""
    if verdict.root_cause is not None:
        more = f" (and {len(verdict.reasons) - 1} more)" if len(verdict.reasons) > 1 else ""
        return f"NOT trusted: {verdict.subject}. First broken link: {verdict.root_cause}{more}"
    if not verdict.links:
        return f"NOT trusted: {verdict.subject}. There is no evidence of it"
    odd = [item for item in reversed(joints) if item.odd]
    said = f"trusted: {verdict.subject}, every one of {len(verdict.links)} links holds"
    if odd:
        said += f". First to look at: {place_of(odd[0].link)}: {odd[0].odd[0]}"
    return said


def place_of(link: Link) -> str:
    """A link by name and partitions."""
    return f"{link.name}@{ranges(link.partitions)}" if any(link.partitions) else link.name


def ranges(partitions: Iterable[str]) -> str:
    """Partitions in few words: consecutive days as one span."""
    spans: list[list[str]] = []
    for name in sorted(set(partitions) - {""}):
        if spans and _follows(spans[-1][-1], name):
            spans[-1].append(name)
        else:
            spans.append([name])
    shown = [
        span[0] if len(span) == 1 else f"{span[0]} … {span[-1]} ({len(span)} days)"
        for span in spans
    ]
    more = f", and {len(shown) - 4} more" if len(shown) > 4 else ""
    return ", ".join(shown[:4]) + more


def _follows(day: str, after: str) -> bool:
    from datetime import date, timedelta

    try:
        return date.fromisoformat(day) + timedelta(days=1) == date.fromisoformat(after)
    except ValueError:
        return False


@dataclass(frozen=True)
class Fold:
    """Links of one role that are alike, as one line."""

    role: str
    joints: tuple[Joint, ...]

    @property
    def state(self) -> str:
        """The worst of them."""
        states = {item.state for item in self.joints}
        return next(state for state in ("broken", "odd", "good") if state in states)

    @property
    def count(self) -> int:
        """How many links."""
        return len(self.joints)

    @property
    def partitions(self) -> str:
        """All their partitions, in few words."""
        return ranges(day for item in self.joints for day in item.link.partitions)

    @property
    def said(self) -> str:
        """What a person said, where it is one statement."""
        first = self.joints[0].link
        return first.detail if self.count == 1 and first.kind in OF_PEOPLE else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong or odd, each once."""
        wrong = (str(why) for item in self.joints for why in item.link.reasons)
        odd = (note for item in self.joints for note in item.odd)
        return tuple(dict.fromkeys([*wrong, *odd]))


def folded(joints: Sequence[Joint]) -> list[Fold]:
    """Links alike in role, name, signer and state as one: a chain of any length fits a screen."""
    groups: dict[tuple[str, ...], list[Joint]] = {}
    for item in joints:
        code = item.link.reasons[0].code if item.link.reasons else ""
        name = "" if item.role == "landing file" else item.link.name
        key = (item.role, name, item.link.signer, item.state, code)
        groups.setdefault(key, []).append(item)
    return [Fold(key[0], tuple(items)) for key, items in groups.items()]
