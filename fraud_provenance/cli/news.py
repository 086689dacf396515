"""The commands about alerts: which are open, and who takes one upon themselves.

Alerts are news and no evidence: nothing here is signed, and nothing is decided by it.
"""

import os
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from fraud_provenance.alerts import (
    Acknowledgement,
    Alert,
    AlertSettings,
    Outbox,
    last_beat,
    settings_of,
    sinks_of,
)
from fraud_provenance.attested.core.encoding import utc_text
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.cli.terminal import Json, open_workspace, out, print_json, print_reasons
from fraud_provenance.home.workspace import Workspace

_SHOWN = 200
_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
_All = Annotated[bool, typer.Option("--all", help="Those that are over or acknowledged, too.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(_app, name="alerts")


@_app.callback()
def alerts(context: typer.Context, everything: _All = False, as_json: Json = False) -> int:
    """List open alerts: what, since when, about what, who was told. `ack` takes one on.

    An alert is open until somebody acknowledges it; that of a contract is over by itself once
    its days may be used. Where they go is set by variables or in alerts.toml of the home; without
    either they wait here.
    """
    if context.invoked_subcommand is not None:
        return 0
    workspace = open_workspace()
    home, outbox = workspace.home, Outbox(workspace.home)
    taken = outbox.acknowledged()
    found = [item for item in outbox.everything() if everything or item.id not in taken]
    over = _settled(workspace, found)
    known = [item for item in found if everything or item.id not in over]
    settings, problems = AlertSettings(), []
    try:
        settings = settings_of(os.environ, home)
    except ConfigError as error:
        problems = list(error.reasons)
    names = [sink.name for sink in sinks_of(settings)]
    if as_json:
        print_json(
            {
                "alerts": [
                    _as_json(item, names, taken.get(item.id)) | {"over": item.id in over}
                    for item in known
                ],
                "sinks": names,
                "heartbeat": last_beat(home),
                "problems": [item.model_dump(mode="json") for item in problems],
            }
        )
        return 0
    _print_alerts(known, names, taken, over)
    print_reasons(problems)
    return 0


def _settled(workspace: Workspace, alerts: list[Alert]) -> set[str]:
    """Those that are over; none where that cannot be told."""
    if not alerts:
        return set()
    from fraud_provenance.investigate.settled import settled

    try:
        return settled(workspace.trust, alerts)
    except ProvenanceError:
        return set()


def _as_json(alert: Alert, names: list[str], taken: Acknowledgement | None) -> dict[str, Any]:
    told = {
        name: None if progress.sent_at is None else utc_text(progress.sent_at)
        for name, progress in alert.sinks.items()
    }
    return {
        "id": alert.id,
        "kind": alert.kind,
        "subject": alert.subject,
        "since": utc_text(alert.raised_at),
        "text": alert.text,
        "told": {name: None for name in names} | told,
        "errors": {name: p.last_error for name, p in alert.sinks.items() if p.last_error},
        "acknowledged": taken.model_dump(mode="json", include={"by", "reason", "at"})
        if taken
        else None,
    }


def _told(alert: Alert, names: list[str], taken: Acknowledgement | None, *, is_over: bool) -> str:
    """Who was told, in words."""
    sent = [name for name, progress in alert.sinks.items() if progress.sent_at]
    words = [f"told: {', '.join(sent)}"] if sent else []
    if taken is not None:
        return "; ".join([f"taken by {taken.by}: {taken.reason}", *words])
    if is_over:
        return "; ".join(["over: its days may be used now", *words])
    for name in [item for item in names if item not in sent]:
        error = alert.progress(name).last_error
        words.append(f"{name}: not yet{f' ({error})' if error else ''}")
    return "; ".join(words) or "nobody yet: no webhook, mailbox or log is set"


def _print_alerts(
    known: list[Alert], names: list[str], taken: dict[str, Acknowledgement], over: set[str]
) -> None:
    table = Table("id", "since", "about", "what", "told", box=SIMPLE)
    for alert in known[-_SHOWN:]:
        row = (
            alert.id[:12],
            utc_text(alert.raised_at),
            alert.subject,
            alert.headline,
            _told(alert, names, taken.get(alert.id), is_over=alert.id in over),
        )
        table.add_row(*(text.replace("[", "\\[") for text in row))
    if known:
        out.print(table)
    is_open = sum(1 for alert in known if alert.id not in taken and alert.id not in over)
    told = [f"{is_open} open"]
    if hidden := over - {alert.id for alert in known}:
        told.append(f"{len(hidden)} over (--all shows them)")
    if len(known) > _SHOWN:
        told.append(f"the newest {_SHOWN} are shown")
    out.print("; ".join(told), markup=False)


@_app.command()
def ack(
    names: Annotated[list[str], typer.Argument(help="The beginnings of alerts' ids.")],
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")],
    why: Annotated[str, typer.Option("--reason", help="What you do about it.")],
    as_json: Json = False,
) -> int:
    """Take alerts upon yourself: they are sent to nobody any more while the same goes on.

    What comes back after it was away for more than a day and a half is news again.
    """
    workspace = open_workspace()
    outbox = Outbox(workspace.home)
    taken = [outbox.acknowledge(name, email, why, workspace.clock()) for name in names]
    if as_json:
        print_json({"acknowledged": [alert.id for alert in taken], "by": email})
        return 0
    for alert in taken:
        out.print(f"acknowledged {alert.id[:12]} as {email}: {alert.headline}", markup=False)
    return 0
