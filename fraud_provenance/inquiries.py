"""The commands of an investigation: `trace`, `diff` and `recall`.

They print; what they print is found by `investigate`. Exit codes are those of all commands: 0
trusted or done, 1 not trusted, 2 could not decide.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fraud_provenance.terminal import (
    Json,
    open_workspace,
    out,
    print_json,
    print_links,
    print_reasons,
    verdict_json,
)

if TYPE_CHECKING:
    from fraud_provenance.investigate.chain import Fold
    from fraud_provenance.investigate.trace import Trace
    from fraud_provenance.investigate.why import Why

_MARKS = {
    "good": "[green]ok[/green]",
    "odd": "[yellow]look[/yellow]",
    "broken": "[red]BROKEN[/red]",
}
_SHOWN_ROWS = 3
All = Annotated[bool, typer.Option("--all", help="Every link and row, not folded to a screen.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(trace)


# --- trace -----------------------------------------------------------------------------------


def trace(
    subject: Annotated[
        str,
        typer.Argument(
            help="A transaction id that was scored, asset[/day], model:VERSION, model@ALIAS, "
            "batch:NUMBER, alert:ID, the beginning of a digest (of a decision, an approval, a "
            "statement or a file), or a file."
        ),
    ],
    why: Annotated[
        bool,
        typer.Option("--why", help="Take a score apart: each feature's share and its raw rows."),
    ] = False,
    unfolded: All = False,
    as_json: Json = False,
) -> int:
    """Follow a score, or anything else, back to the landing files; each link is verified.

    The first line names the first link that is broken or worth a look. With --why the score is
    computed again, bit for bit, and each feature's share of it (TreeSHAP) stands beside the raw
    transactions that it was made of, with their labels as they were known then.

    Example: fraud-provenance trace 48213 --why
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.trace import trace_score, trace_subject

    workspace = open_workspace()
    if subject.isdecimal() and len(subject) < 11:
        found = trace_score(workspace.trust, int(subject), why=why)
    elif why:
        raise typer.BadParameter("--why takes a score apart: name a transaction id")
    else:
        found = trace_subject(workspace.trust, registry_of(workspace), subject)
    if as_json:
        print_json(_trace_json(found))
    else:
        _print_trace(found, unfolded)
    return found.verdict.exit_code


def _trace_json(found: "Trace") -> dict[str, Any]:
    from dataclasses import asdict

    chain = [
        {"role": item.role, "rests_on": list(item.rests_on), "odd": list(item.odd)}
        | item.link.model_dump(mode="json")
        for item in found.joints
    ]
    document: dict[str, Any] = {
        "subject": found.verdict.subject,
        "headline": found.headline,
        "about": list(found.about),
        "chain": chain,
        "verdict": verdict_json(found.verdict),
    }
    if (score := found.score) is not None:
        document |= {
            "transaction_id": score.transaction_id,
            "day": score.day,
            "score": {name: str(value) for name, value in score.row.items()},
            "proof": {
                "index": score.index,
                "rows": score.rows,
                "merkle_root": score.merkle_root,
                "inclusion_path": list(score.inclusion_path),
            },
        }
    if found.why is not None:
        document["why"] = asdict(found.why) | {"bit_for_bit": found.why.tolerance == 0}
    return document


def _print_trace(found: "Trace", unfolded: bool) -> None:
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
        _print_folds(folded(found.joints))
    if not found.verdict.trusted:
        print_reasons(found.verdict.reasons, out)


def _print_folds(folds: "Sequence[Fold]") -> None:
    table = Table(
        "", "link", "what", "signed by", "since", "digest", "log", box=None, pad_edge=False
    )
    for fold in folds:
        first = fold.joints[0].link
        name = first.name if fold.role != "landing file" else "landing"
        many = f" ({fold.count})" if fold.count > 1 else ""
        what = f"{name}{many} {fold.partitions}".rstrip()
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
            f"{row.transaction_id} of {row.day} {row.amount:.2f} {_LABELS[row.fraud]}"
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


_LABELS = {True: "fraud", False: "no fraud", None: "label unknown then"}
