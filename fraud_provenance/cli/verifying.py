"""The commands that answer whether it holds: `verify`, `audit`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fraud_provenance.alerts import Outbox
from fraud_provenance.cli import proofs
from fraud_provenance.cli.answers import print_folds
from fraud_provenance.cli.terminal import (
    All,
    Json,
    open_workspace,
    out,
    print_json,
    print_links,
    print_reasons,
    progress,
    verdict_json,
)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(verify)
    app.command("audit")(audit_command)


def verify(
    subject: Annotated[
        str,
        typer.Argument(
            help="asset[/partition], model[:version|@alias], policies, predictions, batch:NUMBER, "
            "a file, a bundle, the beginning of a digest, or all."
        ),
    ] = "all",
    full: Annotated[
        bool, typer.Option("--full", help="Every signature again, not only what is new or changed.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="SUBJECT is a file of `export`: ask nothing else.")
    ] = False,
    trust_root: Annotated[
        Path | None,
        typer.Option("--trust-root", help="With --offline: the trusted root that you know."),
    ] = None,
    root_digest: Annotated[
        str,
        typer.Option(
            "--root-digest",
            help="With --offline: SHA-256 of the trusted root, of the release or of the state.",
        ),
    ] = "",
    unfolded: All = False,
    as_json: Json = False,
) -> int:
    """Verify a subject down to the raw data; names the broken link and its root cause.

    With --offline a file that `export` wrote, without home or network. It must rest on a root that
    you know from elsewhere.

    Example: fraud-provenance verify score.zip --offline --trust-root trusted_root.json
    """
    if offline:
        return proofs.verify_offline(Path(subject), trust_root, root_digest, as_json)
    if trust_root or root_digest:
        raise typer.BadParameter("--trust-root and --root-digest go with --offline")
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.subjects import verify_subject

    workspace = open_workspace(whole=full)
    verdict = verify_subject(workspace.trust, registry_of(workspace), subject)
    if as_json:
        print_json(verdict_json(verdict))
    else:
        _print_verdict(verdict, unfolded)
    return verdict.exit_code


def _print_verdict(verdict: Any, unfolded: bool) -> None:  # noqa: ANN401 - Verdict, imported late
    from fraud_provenance.investigate.chain import ROLES, Joint, folded

    if unfolded:
        print_links([(link.kind, link) for link in verdict.links])
    else:
        made = "materialisation"  # what it is for a chain says more
        joints = [
            Joint(ROLES.get(link.name, link.kind) if link.kind == made else link.kind, link)
            for link in verdict.links
        ]
        print_folds(folded(joints))
    if verdict.trusted:
        out.print(f"trusted: {verdict.subject} ({len(verdict.links)} links)", style="green")
        return
    out.print(f"NOT trusted: {verdict.subject}", style="red", markup=False)
    print_reasons(verdict.reasons, out)


def audit_command(
    full: Annotated[
        bool, typer.Option("--full", help="Every leaf and bundle again, not only what is new.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Hold the transparency log against the evidence store, and the scores against their log.

    The log must have grown from every head remembered so far, each entry under one of our
    identities must have its bundle, each bundle its entry. What is in order is countersigned by
    the witness and remembered. No score may have been edited, left out or cut off, and MLflow's
    tags must say what was signed. What is not in order becomes an alert.
    """
    from fraud_provenance.attested.sigstore.log_audit import Depth
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.audit import audit

    workspace = open_workspace(whole=True)
    workspace.store.refresh()
    depth = Depth.FULL if full else Depth.REMEMBERED
    with progress() as say:
        registry, outbox = registry_of(workspace), Outbox(workspace.home)
        report = audit(workspace.trust, registry, outbox, workspace.clock(), depth, say)
    if as_json:
        code = {"trusted": report.trusted, "exit_code": report.exit_code}
        print_json(report.model_dump(mode="json") | code)
        return report.exit_code
    table = Table("log", "entries", "looked at", "ours", "bundles", "only announced", "heads")
    for log in report.logs:
        numbers = (log.size, log.entries, log.ours, log.bundles, log.journalled, log.checkpoints)
        table.add_row(log.origin, *(str(number) for number in numbers))
    out.print(table)
    if report.trusted:
        text = "in order: log and evidence explain each other, scores and copies are as signed"
        out.print(text, style="green")
    else:
        print_reasons(report.reasons, out)
    return report.exit_code
