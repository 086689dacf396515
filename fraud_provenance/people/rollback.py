"""Restoring an earlier attested version of a raw day, as a new version with its own evidence."""

import uuid
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, VerificationError, reason
from fraud_provenance.attested.lineage.verifier import Node, revoked_in
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.step import Step
from fraud_provenance.attested.store.store import Head
from fraud_provenance.data import versions as data_versions
from fraud_provenance.people.revoking import person_for
from fraud_provenance.workspace import Workspace

ASSET = "raw_transactions"


def rollback_day(
    workspace: Workspace, asset: str, day: str, to: str, email: str = "", why: str = "rolled back"
) -> dict[str, Any]:
    """Bring back the version of `day` whose SHA-256 begins with `to`, as decided by a person.

    Raises:
        ConfigError: unknown asset or version. EvidenceError: DVC no longer holds the bytes.
        VerificationError: the bytes DVC holds are not the attested ones, or were revoked.
        GateDenied: the person may not decide it.
    """
    if asset != ASSET:
        raise ConfigError(reason(RootCause.USAGE, f"only {ASSET} is versioned by day"))
    version = _version(workspace, day, to)
    signer = person_for(workspace, "supersede", email)
    lineage = workspace.trust.lineage()
    node = lineage.node(version.statement)
    bad = [*node.all_reasons(), *revoked_in(node, [day])]
    if node.provenance is None or node.manifest is None or bad:
        raise VerificationError(*bad)
    content = data_versions.stored_bytes(workspace.home, node.provenance.outputs["dvc_md5"][day])
    found = encoding.digest_bytes(content)
    if found != version.sha256:
        raise VerificationError(
            reason(
                RootCause.DIGEST_MISMATCH,
                f"DVC holds sha256 {found[:12]}, attested {version.sha256[:12]}",
                artifact=asset,
                partition=day,
            )
        )
    entry = next(e for e in node.manifest.entries if e.partition == day)
    source = node.provenance.material("source")
    sources = workspace.store.manifest(source.digest).select([day]) if source else None
    decision = _decide(workspace, node, version, signer, why)
    run_id = f"rollback-{uuid.uuid4()}"
    with Step(workspace.trust, "ingest", run_id, {"partitions": [day, day]}) as step:
        if sources is not None:
            step.carry_source(sources)
        step.write(day, entry.path, content, entry.made_from)
        made = step.commit(
            {
                "rows": {day: node.provenance.outputs["rows"][day]},
                "event_time": {day: node.provenance.outputs["event_time"][day]},
                "dvc_md5": {day: data_versions.dvc_md5(content)},
                "rollback_to": version.statement,
                "supersede": {day: decision},
            }
        )
    path = workspace.data / asset / f"{day}.parquet"
    _restore_landing(workspace, day, entry.made_from)
    data_versions.track(workspace.home, [path])
    return {"sha256": found, "sequence": made.sequence, "statement": made.bundle.statement.digest}


def _decide(workspace: Workspace, node: Node, version: Head, signer: Identity, why: str) -> str:
    """Sign that `version` replaces the present head; returns the statement's digest.

    It names the head that it replaces, so that it allows exactly one step back, once.
    """
    trust, day = workspace.trust, version.partition
    assert node.manifest is not None  # noqa: S101 - checked by the caller
    view = node.manifest.select([day])
    trust.store.put_manifest(view)
    statement = statements.build_statement(
        statements.SUPERSEDE,
        ASSET,
        view.digest,
        {
            "environment": trust.environment,
            "partition": day,
            "sha256": version.sha256,
            "restores": version.statement,
            "replaces": trust.store.versions(ASSET, day)[-1].statement,
            **issued(trust.clock()),
            "reason": why,
        },
    )
    return trust.signing.sign(statement, signer).statement.digest


def _version(workspace: Workspace, day: str, to: str) -> Head:
    versions = workspace.store.versions(ASSET, day)
    found = {head.sha256: head for head in versions if head.sha256.startswith(to.lower())}
    if len(to) < 6 or len(found) != 1:
        known = ", ".join(dict.fromkeys(head.sha256[:12] for head in versions)) or "none"
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"{to!r} names {len(found)} versions (6 digits at least); attested: {known}",
                artifact=ASSET,
                partition=day,
            )
        )
    return next(iter(found.values()))


def _restore_landing(workspace: Workspace, day: str, made_from: tuple[str, ...]) -> None:
    """Set the newer landing file aside, else the next run would ingest it again."""
    path = workspace.landing / f"{day}.parquet"
    if path.exists() and encoding.digest_bytes(files.read_once(path)) not in made_from:
        path.rename(path.with_name(f"{day}.parquet.set-aside"))
