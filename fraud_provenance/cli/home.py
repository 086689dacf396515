"""The commands of a home: its servers, its place, how it stands."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, Reason, reason
from fraud_provenance.attested.core.files import read_once
from fraud_provenance.attested.local import trust_root
from fraud_provenance.cli.terminal import (
    Json,
    open_workspace,
    out,
    print_json,
    print_reasons,
    progress,
    verdict_json,
)
from fraud_provenance.home.settings import settings_from
from fraud_provenance.home.workspace import Workspace

_ROOT_BYTES = 1 << 20


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(home)
    app.command()(status)
    app.command("propose-trust")(propose_trust)
    app.command("move-home")(move_home)


def _print_servers(
    servers: Sequence[Any], as_json: bool, more: dict[str, Any] | None = None
) -> None:
    rows = [
        {"name": s.name, "state": s.state, "port": s.port, "pid": s.pid, "detail": s.detail}
        for s in servers
    ]
    if as_json:
        print_json({"servers": rows} | (more or {}))
        return
    table = Table("server", "state", "port", "pid", "")
    for row in rows:
        colour = {"running": "green", "crashed": "red"}.get(str(row["state"]), "yellow")
        table.add_row(
            str(row["name"]),
            f"[{colour}]{row['state']}[/{colour}]",
            str(row["port"]),
            str(row["pid"] or ""),
            str(row["detail"] or ""),
        )
    if rows:  # none of a Sigstore elsewhere
        out.print(table)
    if more is not None:
        alerts = more["alerts"]
        counts = ", ".join(f"{count} {name}" for name, count in alerts.items())
        out.print(f"alerts: {counts}")


def up(
    restored: Annotated[
        bool,
        typer.Option("--restore", help="First put the trust root of the release in force back."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Start the local Sigstore; on first use create the home, its trust root and policy release.

    A home that was given the public files of another Sigstore (below trust/) starts none. In an
    environment other than `local` it must be given them, and two policy authors sign the first
    release themselves: `fraud-provenance approve policies`.
    """
    from fraud_provenance.people.governing import found, restore

    workspace = open_workspace()
    if not workspace.is_local:
        _require_another_sigstore(workspace)
    workspace.create_folders()
    with progress() as say:
        if restored:
            names = restore(workspace)
            say(f"put back: {', '.join(names) or 'nothing was changed'}")
            workspace = open_workspace()
        servers = workspace.sigstore.up(say)
        release = found(workspace) if workspace.is_local else None
        if release:
            say(f"signed release 1: policy {release.expectations.policies[:12]}")
    _print_servers(servers, as_json)
    if not as_json and not workspace.releases.is_founded:
        how = _how_an_author_signs(workspace)
        told = "the policy has no release yet: two policy authors sign the first one"
        out.print(f"{told}, {how}", markup=False)
    return 0


def _how_an_author_signs(workspace: Workspace) -> str:
    """What each of two policy authors types."""
    return (
        f"each with `fraud-provenance approve policies --environment {workspace.environment} "
        "--as EMAIL --reason TEXT`"
    )


def _require_another_sigstore(workspace: Workspace) -> None:
    """Refuse a home whose processes could sign as anybody, before it is made one."""
    sigstore = workspace.sigstore
    missing = sigstore.lacking()
    if sigstore.is_elsewhere and not missing:
        return
    raise ConfigError(
        reason(
            RootCause.HOME_MISSING,
            f"a home in {workspace.environment} signs by a Sigstore of its own company; here there "
            + (f"is no {', no '.join(missing)}" if missing else "are the keys of a local one"),
            artifact="trust",
            remedy=f"Lay the public files of that Sigstore into {workspace.home / 'trust'}: "
            "docs/production.md says what is in each. In `local` nothing is needed.",
        )
    )


def down(as_json: Json = False) -> int:
    """Stop every server that `up` started, by process id."""
    _print_servers(open_workspace().sigstore.down(), as_json)
    return 0


def home(
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Print Dagster's folder instead.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print the home's folder (FRAUD_PROVENANCE_HOME)."""
    from fraud_provenance.run.instance import open_instance

    workspace = open_workspace()
    if dagster:
        workspace.create_folders()
        open_instance(workspace).dispose()
    folder = str(workspace.dagster if dagster else workspace.home)
    if as_json:
        print_json({"folder": folder})
    else:
        out.print(folder, markup=False)
    return 0


def status(as_json: Json = False) -> int:
    """Show servers and waiting alerts, and check that policy and trust root are the released ones.

    Exit 1 if a server is not running or something is not as it was released.
    """
    workspace = open_workspace()
    servers = workspace.sigstore.status()
    outbox = Outbox(workspace.home)
    alerts = {
        "waiting": len(outbox.pending()),
        "delivered": len(outbox.delivered()),
        "acknowledged": len(outbox.acknowledged()),
    }
    code = 0 if servers and all(server.state == "running" for server in servers) else 1
    reasons: Sequence[Reason] = ()
    try:
        if servers:
            workspace.start_check()
    except ProvenanceError as error:
        reasons, code = error.reasons, error.exit_code
    refused = [] if reasons or not servers else _refused_releases(workspace)
    more = {
        "reasons": [item.model_dump(mode="json") for item in reasons],
        "refused_releases": [item.model_dump(mode="json") for item in refused],
        "exit_code": code,
    }
    _print_servers(servers, as_json, {"alerts": alerts} | more)
    print_reasons([*reasons, *refused])
    return code


def _refused_releases(workspace: Workspace) -> list[Reason]:
    """Why releases that enough people signed do not bind; nothing else is wrong with the home."""
    chain = workspace.releases.chain()
    return [why for one in chain.open_refusals if one.release.authors for why in one.reasons]


def propose_trust(
    url: Annotated[str, typer.Argument(metavar="URL", help="The TUF repository, by https.")],
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Its first root.json, from a source that you trust; once."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would change, and lay nothing down.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Lay the trust root that a TUF repository signs into this home's trust/.

    It says whom to believe and where to sign. Nothing is believed by it: two policy authors look
    at the files and sign them, `fraud-provenance approve policies`. Until then the release in
    force stands, and work waits.
    """
    from fraud_provenance.attested.rules.proposals import propose

    workspace = open_workspace()
    if workspace.is_local or trust_root.exists(workspace.home):
        raise ConfigError(
            reason(
                RootCause.USAGE,
                "a home that signs by an authority of its own takes no other's trust root",
                remedy="Set FRAUD_PROVENANCE_HOME to a new folder, and "
                "FRAUD_PROVENANCE_ENVIRONMENT to an environment of the policy other than `local`.",
            )
        )
    first = read_once(root, limit_bytes=_ROOT_BYTES) if root else None
    trust = workspace.home / "trust"
    changed = propose(trust, url, workspace.clock(), root=first, write=not check)
    if as_json:
        print_json({"changed": changed, "folder": str(trust), "written": not check})
        return 0
    if not changed:
        out.print("what the repository signs is what is there", markup=False)
        return 0
    out.print(f"{'would change' if check else 'laid down'}: {', '.join(changed)}", markup=False)
    if not check:
        how = _how_an_author_signs(workspace)
        out.print(f"look at them in {trust}; then two policy authors sign, {how}", markup=False)
    return 0


def move_home(
    chosen: Annotated[
        Path, typer.Argument(metavar="FILE", help="What settings.toml of the home is to be.")
    ],
    mlflow_database: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Of the database behind MLflow's server: "
            "postgresql+psycopg2://USER@HOST:PORT/NAME. The password is in the file that "
            "PGPASSFILE names.",
        ),
    ] = "",
    as_json: Json = False,
) -> int:
    """Move this home from its folder to servers: evidence, data, MLflow's runs and models.

    FILE names the servers, as docs/production.md has it; they run, and are empty. Every digest and
    every id stays, so the champion stays. Until all is there the home works as before, and a move
    that was broken off is repeated by the same command. Then FILE becomes the home's settings.
    The folder stays as it is; landing/, trust/ and what the home remembers stay in use. The
    history of runs in Dagster's pages begins anew where FILE names PostgreSQL.

    Example: fraud-provenance move-home production.toml --mlflow-database
    postgresql+psycopg2://mlflow@127.0.0.1:15432/mlflow
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.subjects import verify_subject
    from fraud_provenance.models.registry import CHAMPION
    from fraud_provenance.run import moving

    old, new = settings_from(os.environ), settings_from(os.environ, chosen)
    with progress() as say:
        moved = moving.move(old, new, chosen, mlflow_database, say)
        workspace = open_workspace()
        if new.mlflow.server:
            moving.set_aside(workspace.home)
        data, _ = moving.copy_data(workspace, say)
        registry = registry_of(workspace)
        has_champion = registry.alias(CHAMPION) is not None
        subject = f"model@{CHAMPION}" if has_champion else "all"
        verdict = verify_subject(workspace.trust, registry, subject)
    if as_json:
        print_json(asdict(moved) | {"data": data} | verdict_json(verdict))
        return verdict.exit_code
    said = (
        f"new on the servers: {moved.statements} pieces of evidence, {moved.files} files and "
        f"{moved.rows} rows of MLflow; {data} data files are there"
    )
    out.print(said, markup=False)
    if not verdict.trusted:
        out.print(f"NOT trusted from there: {verdict.subject}", style="red", markup=False)
        print_reasons(verdict.reasons, out)
        return verdict.exit_code
    out.print(f"trusted from there: {verdict.subject} ({len(verdict.links)} links)", style="green")
    return 0
