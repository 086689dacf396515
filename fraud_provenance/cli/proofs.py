"""The commands that hand things over: `export`, `openlineage`, `copy-…`; `verify FILE`.

Exit codes are those of all commands: 0 proven or done, 1 not proven or refused, 2 could not decide.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.cli.terminal import (
    Json,
    day_of,
    err,
    open_workspace,
    out,
    print_json,
    print_reasons,
    progress,
    secret,
    verdict_json,
)
from fraud_provenance.home.settings import NAME, settings_from

if TYPE_CHECKING:
    from fraud_provenance.investigate.openlineage import Told

_MAX_ROOT_BYTES = 1 << 20
_EXAMPLES = """\b
Examples:
  fraud-provenance export 48213 --out score.zip
  fraud-provenance export model@champion --out champion.zip
  fraud-provenance verify score.zip --offline --trust-root trusted_root.json
  python3 verify_bundle.py score.zip --root-digest SHA256
"""
VARIABLE = "FRAUD_PROVENANCE_OPENLINEAGE_TOKEN"
_OPENLINEAGE_EXAMPLES = f"""\b
Examples:
  fraud-provenance openlineage --out lineage.jsonl
  fraud-provenance openlineage transaction_scores/2018-05-15 --out scores.jsonl
  fraud-provenance openlineage --since 2018-05-15 --url https://marquez.example.com
  {VARIABLE}=… fraud-provenance openlineage --url https://lineage.example.com
"""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog=_EXAMPLES)(export)
    app.command("copy-evidence")(copy_evidence)
    app.command("copy-data")(copy_data)
    app.command(epilog=_OPENLINEAGE_EXAMPLES)(openlineage)


def export(
    subject: Annotated[
        str,
        typer.Argument(
            help="A transaction id that was scored, asset/partition, model@ALIAS, model:VERSION, "
            "or the beginning of a digest (of a decision, an approval, a statement)."
        ),
    ],
    target: Annotated[Path, typer.Option("--out", help="The file to write; mode 0600.")],
    as_json: Json = False,
) -> int:
    """Write one file that proves a subject to somebody who has nothing else.

    It holds every signed statement below the subject with timestamp and log proof, their manifests,
    the releases of policy and trust root, the revocations and, of a score, its one row with its way
    to the signed root. No data files, no keys. What does not verify is not exported: `verify` and
    `trace` say why. Tell the state's digest, which is printed, by another way than the file.
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.exporting import export as exported

    workspace = open_workspace(whole=True)
    found = exported(workspace, registry_of(workspace), subject)
    files.write_atomic(target, found.content, mode=0o600)
    standing, count = found.checked.standing, len(found.checked.verdict.links)
    if as_json:
        print_json(
            {
                "subject": found.subject.name,
                "file": str(target),
                "bytes": len(found.content),
                "statements": count,
                "trusted_root": standing.trusted_root,
                "release": standing.release,
                "state": standing.digest,
                "exit_code": 0,
            }
        )
        return 0
    out.print(f"{found.subject.name}: {count} links, {len(found.content)} bytes", markup=False)
    out.print(f"wrote {target}", markup=False)
    out.print(f"trusted root sha256:{standing.trusted_root}", markup=False)
    out.print(f"release {standing.version}    sha256:{standing.release}", markup=False)
    out.print(f"state        sha256:{standing.digest}", markup=False)
    return 0


def copy_evidence(as_json: Json = False) -> int:
    """Put the evidence of this home's folder into the object store that its settings name.

    For a home that began with a folder. Write the store into settings.toml first (or set
    FRAUD_PROVENANCE_EVIDENCE and its ENDPOINT); until the copy is complete, the home's other
    commands refuse, since evidence that they remember is not there. Each piece is compared with
    its digest here and there. It may be broken off and repeated. The folder stays as it is.
    """
    from fraud_provenance.run import moving

    settings = settings_from(os.environ)
    if settings.evidence.bucket() is None:
        raise _kept_here("evidence lies in its own folder", "evidence", settings.home)
    with progress() as say:
        new = moving.copy_evidence(settings, say)
    if as_json:
        print_json({"place": settings.evidence.place, "new": new, "exit_code": 0})
        return 0
    text = f"{settings.evidence.place} holds this home's evidence; new: {sum(new.values())}"
    out.print(text, markup=False)
    return 0


def copy_data(as_json: Json = False) -> int:
    """Put the attested files of this home into the object store that its settings name for data.

    For a home that had none. Write [data] place and endpoint into settings.toml first (or set
    FRAUD_PROVENANCE_DATA and its ENDPOINT); from then on each step puts there what it makes, and
    this brings what was made before: the newest version of each partition, and every model. Each
    file is compared with its evidence. It may be broken off and repeated. The folders stay.
    """
    from fraud_provenance.run import moving

    workspace = open_workspace()
    if workspace.store.contents is None:
        raise _kept_here("data lie in its own folders alone", "data", workspace.home)
    with progress() as say:
        done, new = moving.copy_data(workspace, say)
    place = workspace.settings.data.place
    if as_json:
        print_json({"place": place, "files": done, "new": new, "exit_code": 0})
        return 0
    out.print(f"{place} holds {done} files of this home; new: {new}", markup=False)
    return 0


def _kept_here(said: str, table: str, home: Path) -> ConfigError:
    """No store is named that anything could be copied to."""
    remedy = f"Write [{table}] place and endpoint into {home / NAME}, then run this again."
    return ConfigError(reason(RootCause.USAGE, f"this home's {said}", remedy=remedy))


def verify_offline(path: Path, trust_root: Path | None, root_digest: str, as_json: bool) -> int:
    """Verify a file that `export` wrote, by nothing but itself and what the reader knows."""
    from fraud_provenance.investigate.offline import Pin, check_file
    from fraud_provenance.investigate.proof_file import read_proof

    given = files.read_once(trust_root, limit_bytes=_MAX_ROOT_BYTES) if trust_root else None
    found = check_file(read_proof(path), Pin(given, root_digest))
    verdict = found.verdict
    if as_json:
        more: dict[str, Any] = {
            "rests_on": list(found.rests_on),
            "standing": found.standing.model_dump(mode="json"),
            "state": found.standing.digest,
            "exit_code": verdict.exit_code,
        }
        print_json(verdict_json(verdict) | more)
        return verdict.exit_code
    if not verdict.trusted:
        out.print(f"NOT proven: {verdict.subject}", style="red", markup=False)
        print_reasons(verdict.reasons, out)
        return verdict.exit_code
    text = f"proven: {verdict.subject}, by {len(verdict.links)} signed statements"
    out.print(text, style="green", markup=False)
    for item in found.rests_on:
        err.print(f"· as far as this is what you know: {item}", markup=False)
    return 0


def openlineage(
    subject: Annotated[
        str,
        typer.Argument(
            help="All evidence, or a subject with all below it: a transaction id that was scored, "
            "asset[/partition], model@ALIAS, model:VERSION, batch:NUMBER, a file, or the beginning "
            "of a digest."
        ),
    ] = "all",
    since: Annotated[
        str, typer.Option("--since", help="Only what was signed on this UTC day or later.")
    ] = "",
    target: Annotated[
        Path | None, typer.Option("--out", help="Write a file, one event a line; mode 0600.")
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            "--url",
            help="Send to ADDRESS/api/v1/lineage: https, or http on 127.0.0.1. A token: "
            f"see {VARIABLE} below.",
        ),
    ] = "",
    as_json: Json = False,
) -> int:
    """Tell lineage consumers (Marquez, DataHub, …) what was made of what, as OpenLineage events.

    Each verified statement is a run: materialisations, contracts, gates, and what people sign. A
    data set is an asset, its version the signed digest; the facet fraudProvenance_evidence leads to
    statement, signer and log. What does not verify, and all built on it, is named and not told
    (exit 1); what people withdrew is left out.

    The same evidence gives the same bytes and run ids, so the command can be repeated at any time:
    a consumer that knows a run learns nothing twice. Events are news; the evidence stays here. A
    token is taken from the variable FRAUD_PROVENANCE_OPENLINEAGE_TOKEN, never from an argument.
    """
    from fraud_provenance.due.planning import registry_of, sources_digest
    from fraud_provenance.investigate import openlineage_sending as sending
    from fraud_provenance.investigate.known_columns import KnownColumns
    from fraud_provenance.investigate.openlineage import events_of

    if (target is None) == (not url):
        raise typer.BadParameter("say where to: --out FILE, or --url URL")
    if url:
        sending.check_url(url)
    first = day_of(since) if since else None
    workspace = open_workspace()
    trust, registry = workspace.trust, registry_of(workspace)
    columns = KnownColumns(trust, workspace.project, sources_digest)
    told = events_of(trust, registry, columns, subject, first)
    if target is not None:
        files.write_atomic(target, told.lines, mode=0o600)
    else:
        with progress() as say:
            sending.send(told.events, url, secret(VARIABLE), say=say)
    _print_told(told, str(target) if target else url, "written" if target else "sent", as_json)
    return told.exit_code


def _print_told(told: "Told", where: str, how: str, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "to": where,
                "events": len(told.events),
                "runs": told.runs,
                "refused": [item.model_dump(mode="json") for item in told.refused],
                "withdrawn": told.withdrawn,
                "exit_code": told.exit_code,
            }
        )
        return
    out.print(f"{len(told.events)} events of {told.runs} runs {how}: {where}", markup=False)
    if told.withdrawn:
        out.print(f"left out, for people withdrew them: {told.withdrawn} statements", markup=False)
    if told.refused:
        out.print("NOT told, with all that rests on it:", style="red", markup=False)
        print_reasons(told.refused, out)
