"""How every command speaks: one console, one document, and reasons with their remedies.

This module and `resources` read the environment; whoever needs it is handed it.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.home.workspace import Workspace, opened_from

_WIDTH = None if sys.stdout.isatty() else 200  # a file or a pipe has no width of its own
out = Console(highlight=False, soft_wrap=True, width=_WIDTH)
err = Console(file=sys.stderr, highlight=False, soft_wrap=True)  # stays when a job's is redirected
All = Annotated[bool, typer.Option("--all", help="Every link and row, not folded to a screen.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def print_reasons(reasons: Sequence[Reason], target: Console = err) -> None:
    """Reasons with their remedies, the root cause first."""
    for index, item in enumerate(reasons[:20]):
        label = "root cause" if index == 0 and len(reasons) > 1 else "refused"
        target.print(f"{label}: {item}", style="red", markup=False)
        if item.remedy:
            target.print(f"  remedy: {item.remedy}", markup=False)
    if len(reasons) > 20:
        target.print(f"… and {len(reasons) - 20} more")


def open_workspace(*, whole: bool = False) -> Workspace:
    """The workspace that the environment names; `whole`: it verifies every bundle anew."""
    workspace = opened_from(os.environ, whole=whole)
    workspace.show_login = _show_login
    return workspace


def _show_login(address: str, told: str) -> None:
    """Open a page in the browser, if there is one, and print its address in any case.

    A browser that works in the terminal holds nobody up.
    """
    import webbrowser

    err.print(f"{told}\n  {address}", markup=False)
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def secret(variable: str) -> str:
    """A secret that the environment holds, "" if it does not: arguments can be seen by others."""
    return os.environ.get(variable, "")


def job_summary() -> Path | None:
    """The file in which GitHub Actions collects what a job tells people, if this is a job."""
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(named) if named else None


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON value
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, sort_keys=True) + "\n")


def day_of(text: str) -> date:
    """A day that somebody typed.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day (YYYY-MM-DD)") from error


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A spinner with the current step on a terminal; plain lines elsewhere."""
    if err.is_terminal:
        with err.status("…") as status:
            yield status.update
    else:
        yield lambda text: err.print(f"· {text}", markup=False)


def print_revoked(signed: dict[str, Any]) -> None:
    """What was withdrawn, and what the champion is refused for now, if it is."""
    out.print(
        f"revoked {signed['subject']} ({signed['kind']} {signed['digest'][:12]}) as "
        f"{signed['signer']}, log index {signed['log_index']}",
        markup=False,
    )
    if signed["champion"]:
        out.print(f"the champion is refused now: {signed['champion']}", style="red", markup=False)


def verdict_json(verdict: Any) -> dict[str, Any]:  # noqa: ANN401 - Verdict, imported late
    """A verdict for machines."""
    return dict(verdict.model_dump(mode="json")) | {
        "trusted": verdict.trusted,
        "decided": verdict.decided,
        "root_cause": verdict.root_cause.code if verdict.root_cause else None,
    }


def print_links(links: Sequence[tuple[str, Any]]) -> None:
    """A table of links, each under its role."""
    table = Table("", "link", "what", "signed by", "at", "commit", "digest", "log", box=SIMPLE)
    for role, link in links:
        partitions = link.partitions
        span = f" [{partitions[0]} … {partitions[-1]}]" if len(partitions) > 1 else (
            f" [{partitions[0]}]" if partitions and partitions[0] else "")  # fmt: skip
        mark = "[green]ok[/green]" if link.is_good else f"[red]{link.reasons[0].code}[/red]"
        table.add_row(
            mark,
            role,
            (link.name + span + (f" — {link.detail}" if link.detail else "")).replace("[", "\\["),
            link.signer,
            link.signed_at,
            link.git_commit[:10],
            link.digest[:12],
            "" if link.log_index is None else str(link.log_index),
        )
    out.print(table)
