"""Restoring an earlier attested version of a raw day, as a new version with its own evidence."""

import uuid
from typing import Any

from fraud_provenance import data_versions
from fraud_provenance.evidence import encoding, files
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import ConfigError, VerificationError, reason
from fraud_provenance.evidence.store import Head
from fraud_provenance.gates.step import Step
from fraud_provenance.workspace import Workspace

ASSET = "raw_transactions"


def rollback_day(workspace: Workspace, asset: str, day: str, to: str) -> dict[str, Any]:
    """Bring back the version of `day` whose SHA-256 begins with `to`.

    Raises:
        ConfigError: unknown asset or version. EvidenceError: DVC no longer holds the bytes.
        VerificationError: the bytes DVC holds are not the attested ones.
    """
    if asset != ASSET:
        raise ConfigError(reason(RootCause.USAGE, f"only {ASSET} is versioned by day"))
    version = _version(workspace, day, to)
    lineage = workspace.trust.lineage()
    node = lineage.node(version.statement)
    if node.provenance is None or node.manifest is None or node.reasons:
        raise VerificationError(*node.reasons)
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
            }
        )
    path = workspace.data / asset / f"{day}.parquet"
    data_versions.track(workspace.home, [path])
    _restore_landing(workspace, day, entry.made_from)
    return {"sha256": found, "sequence": made.sequence, "statement": made.bundle.statement.digest}


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
