"""What an investigation found, as text: folded to a screen, the verdict first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fraud_provenance.cli.terminal import out, print_links, print_reasons

if TYPE_CHECKING:
    from fraud_provenance.fraud.shift import Shift
    from fraud_provenance.investigate.causes import Blame, Cause
    from fraud_provenance.investigate.chain import Fold
    from fraud_provenance.investigate.difference import Difference, Moved
    from fraud_provenance.investigate.recalling import Recall
    from fraud_provenance.investigate.reproducing import Reproduced
    from fraud_provenance.investigate.trace import Trace
    from fraud_provenance.investigate.why import Why

_MARKS = {
    "good": "[green]ok[/green]",
    "odd": "[yellow]look[/yellow]",
    "broken": "[red]BROKEN[/red]",
}
_SHOWN_ROWS = 3


def print_trace(found: "Trace", unfolded: bool) -> None:
    """A chain: what it says on one line, the score, why, the links, the reasons."""
    from fraud_provenance.investigate.chain import folded

    colour = "green" if found.verdict.trusted else "red"
    out.print(found.headline, style=colour, markup=False)
    for line in found.about:
        out.print(line, markup=False)
    if (score := found.score) is not None and score.row:
        out.print(
            f"transaction {score.transaction_id} of {score.day}: score {score.row['score']:.6f}"
            f"{' (alert)' if score.row['is_alert'] else ''}, row {score.index} of {score.rows}, "
            f"Merkle root {score.merkle_root[:12]}",
            markup=False,
        )
    if found.why is not None:
        print_why(found.why, unfolded)
    if unfolded:
        print_links([(item.role, item.link) for item in found.joints])
    else:
        print_folds(folded(found.joints))
    if not found.verdict.trusted:
        print_reasons(found.verdict.reasons, out)


def print_folds(folds: "Sequence[Fold]") -> None:
    """Links alike as one row: how many, of which days, by whom."""
    table = Table(
        "", "link", "what", "signed by", "since", "digest", "log", box=None, pad_edge=False
    )
    for fold in folds:
        first = fold.joints[0].link
        name = first.name if fold.role != "landing file" else "landing"
        many = f" ({fold.count})" if fold.count > 1 else ""
        said = f" — {fold.said}" if fold.said else ""
        what = f"{name}{many} {fold.partitions}".rstrip() + said
        digest = first.digest[:12] + (" …" if many else "")
        logs = [item.link.log_index for item in fold.joints if item.link.log_index is not None]
        span = f"{min(logs)}" + (f"-{max(logs)}" if len(logs) > 1 else "") if logs else ""
        table.add_row(_MARKS[fold.state], fold.role, what.replace("[", "\\["),
                      first.signer.partition(" ")[0], first.signed_at, digest, span)  # fmt: skip
        for note in fold.notes[:3]:
            table.add_row("", "", f"  {note[:160]}".replace("[", "\\["), "", "", "", "")
    out.print(table)


def print_why(why: "Why", unfolded: bool) -> None:
    """A score taken apart: shares by size, and the raw rows behind each."""
    same = "bit for bit" if why.tolerance == 0 else f"within {why.tolerance:g}: other libraries"
    out.print(
        f"computed again {same} ({why.bits}); log odds {why.margin:.4f}: {why.base:.4f} for "
        f"anybody and {why.margin - why.base:+.4f} by what follows",
        markup=False,
    )
    table = Table("share", "feature", "value", "raw rows behind it", box=None, pad_edge=False)
    for share in why.shares:
        rows = share.rows if unfolded else share.rows[-_SHOWN_ROWS:]
        said = "; ".join(
            f"{row.transaction_id} of {row.day} {row.amount:.2f} {row.label}"
            + (f" {row.file} {row.sha256[:12]}" if unfolded else "")
            for row in rows
        )
        more = f"{len(share.rows)} rows: " if len(share.rows) != 1 else ""
        cut = "… " if len(rows) < len(share.rows) else ""
        table.add_row(f"{share.contribution:+.4f}", share.name, f"{share.value:g}",
                      (more + cut + said) or "no rows")  # fmt: skip
    out.print(table)
    first, *days = why.files
    out.print(
        f"from {len(days)} raw days, {_file(days[0])} … {_file(days[-1])}, and {_file(first)}",
        markup=False,
    )


def _file(item: tuple[str, str, str]) -> str:
    return f"{item[1]} {item[2][:12]}"


# --- diff ---


def print_diff(found: "Difference", unfolded: bool) -> None:
    """What differs, section by section, then files, columns and code."""
    out.print(found.headline, style="" if found.trusted else "red", markup=False)
    table = Table(
        "", "", f"A: {found.a.subject}", f"B: {found.b.subject}", box=None, pad_edge=False
    )
    limit = 10_000 if unfolded else 12
    for section in dict.fromkeys(change.section for change in found.changes):
        own = [change for change in found.changes if change.section == section]
        for index, change in enumerate(own[:limit]):
            sides = map(_short, change.others)
            table.add_row("" if index else section, change.name, *sides)
        if len(own) > limit:
            table.add_row("", f"and {len(own) - limit} more", "", "")
    if table.row_count:
        out.print(table)
    for item in found.moved:
        _print_moved(item, limit)
    for file in found.files[:limit]:
        out.print(f"code: {file['path']} +{file['added']} -{file['removed']}", markup=False)
    if len(found.files) > limit:
        out.print(f"code: and {len(found.files) - limit} more files")
    for note in found.notes:
        out.print(f"not compared: {note}", style="yellow", markup=False)
    for side in (found.a, found.b):
        print_reasons(side.verdict.reasons, out)


def _print_moved(item: "Moved", limit: int) -> None:
    from fraud_provenance.investigate.chain import ranges

    parts = [
        f"{word} {ranges(places)}"
        for word, places in (
            ("only in A:", item.only_a), ("only in B:", item.only_b), ("changed:", item.changed)
        )
        if places
    ]  # fmt: skip
    counts = [f"{count:,}" if count is not None else "?" for count in item.rows]
    told = f" ({counts[0]} and {counts[1]} rows)" if counts != ["?", "?"] else ""
    out.print(f"{item.asset}: {'; '.join(parts)}{told}", markup=False)
    if not item.shifts:
        return
    table = Table("", "column", "distance", "mean", "median", "99 %", "missing", box=None)
    for shift in item.shifts[:limit]:
        pairs = [_pair(shift, name) for name in ("mean", "median", "p99", "missing")]
        table.add_row("", shift.column, f"{shift.distance:.3f}", *pairs)
    if len(item.shifts) > limit:
        table.add_row("", f"and {len(item.shifts) - limit} more", *[""] * 5)
    out.print(table)


def _pair(shift: "Shift", name: str) -> str:
    sides = [
        "none" if side is None else f"{getattr(side, name):.4g}" for side in (shift.a, shift.b)
    ]
    return sides[0] if sides[0] == sides[1] else f"{sides[0]} → {sides[1]}"


def _short(value: Any) -> str:  # noqa: ANN401 - JSON
    """One value on one line; a digest by its first digits."""
    if value is None:
        return "-"
    if isinstance(value, str) and len(value) in (40, 64) and not value.strip("0123456789abcdef"):
        return value[:12]
    if isinstance(value, list | tuple):
        return ", ".join(_short(item) for item in value)[:160]
    return str(value)[:160].replace("[", "\\[")


# --- blame ---

_SHOWN_OTHERS = 8


def print_blame(found: "Blame") -> None:
    """The causes in one sentence, then each with its change and its path, then what is none."""
    colour = "red" if found.causes else "green"
    out.print(found.headline, style=colour, markup=False)
    if found.alert is not None:
        out.print(f"asked by an alert, which is news and no evidence: {found.alert.id[:12]}")
    if found.good:
        out.print(f"compared with {found.good}", markup=False)
    for cause in found.causes:
        _print_cause(cause)
    for item in found.immaterial[:_SHOWN_OTHERS]:
        share = f" ({item.share:+.0%} alone)" if item.share is not None else ""
        out.print(f"changed, and explains nothing: {item.key}{share}", markup=False)
    if len(found.immaterial) > _SHOWN_OTHERS:
        out.print(f"changed, and explains nothing: {len(found.immaterial) - _SHOWN_OTHERS} more")
    if found.unexplained is not None and found.causes:
        out.print(f"{found.unexplained:.0%} stays when everything is put back; "
                  f"{found.runs} worlds were made again", markup=False)  # fmt: skip
    for note in found.notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    print_reasons(found.verdict.reasons, out)


def _print_cause(cause: "Cause") -> None:
    from fraud_provenance.investigate.causes import path_text

    share = f"{cause.share:.0%} of it: " if cause.share is not None else ""
    out.print(f"cause: {share}{cause.key}: {cause.said}", markup=False)
    if cause.before or cause.after:
        sides = f"{_short(cause.before or None)} → {_short(cause.after or None)}"
        out.print(f"  from {sides}", markup=False)
    for detail in cause.details:
        out.print(f"  {detail}", markup=False)
    if cause.who:
        out.print(f"  signed by {cause.who} at {cause.at}", markup=False)
    if cause.path:
        held = "verified" if cause.is_grounded and not cause.is_broken else "found"
        out.print(f"  {held} by {path_text(cause.path)}", markup=False)


# --- recall ---


def print_recall(found: "Recall", unfolded: bool) -> None:
    """What was built on something, by asset, then what rests on that, then rows."""
    from fraud_provenance.investigate.chain import ranges
    from fraud_provenance.investigate.reach import counted

    out.print(found.headline, style="red" if found.exit_code else "", markup=False)
    table = Table("asset", "files", "partitions", "reached through", box=None, pad_edge=False)
    for asset, days in found.reach.partitions().items():
        own = found.reach.of(asset)
        through = sorted({name for item in own for name in item.through})
        shown = ", ".join(days) if unfolded else ranges(days)
        table.add_row(asset, str(len(own)), shown, ", ".join(through))
    if table.row_count:
        out.print(table)
    for role, count in counted(found.reach.statements).items():
        out.print(f"{role}: {count}", markup=False)
    if found.batches:
        out.print(f"prediction batches: {', '.join(map(str, found.batches))}", markup=False)
    if found.rows is not None:
        _print_rows(found, unfolded)
    print_reasons([*found.problems, *found.reach.refused], out)


def _print_rows(found: "Recall", unfolded: bool) -> None:
    assert found.rows is not None  # noqa: S101 - the caller asked
    for asset, days in found.rows.ids.items():
        touched = sum(len(ids) for ids in days.values())
        out.print(f"rows of {asset} that are really touched: {touched:,}", markup=False)
        for day, ids in days.items() if asset == "transaction_scores" or unfolded else ():
            shown = ids if unfolded else ids[:8]
            more = f" and {len(ids) - len(shown):,} more" if len(shown) < len(ids) else ""
            listed = ", ".join(map(str, shown)) or "none"
            mine = found.rows.in_windows.get(day, ids) if asset == "transaction_scores" else ids
            own = "" if len(mine) == len(ids) else f", {len(mine):,} by their own windows"
            out.print(f"  {day}: {len(ids):,}{own}: {listed}{more}", markup=False)


def print_rebuild(found: "Recall") -> None:
    """What must be made again, once it is withdrawn."""
    for line in found.rebuild:
        out.print(f"to make again: {line}", markup=False)


# --- reproduce ---


def print_reproduced(found: "Reproduced") -> None:
    """Whether the same bytes came out, by what each step was done, and what was not compared."""
    out.print(found.headline, style="red" if found.exit_code else "green", markup=False)
    print_reasons(found.verdict.reasons, out)
    for step, grounds in found.ran.items():
        own = [item for item in found.files if item.name and item.step == step]
        same = sum(item.unlike is None for item in own)
        out.print(f"{step}: {same} of {len(own)} files the same", markup=False)
        for ground in grounds:
            out.print(f"  by {ground}", markup=False)
    if (odd := found.different) is not None:
        out.print(f"signed {odd.signed}, came out {odd.made}", markup=False)
    if found.not_compared:
        names = ", ".join(found.not_compared)
        out.print(f"not compared, for they name the run that wrote them: {names}", markup=False)
