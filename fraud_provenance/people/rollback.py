"""Bringing data back from DVC.

An earlier version of a raw day becomes a new version with its own evidence, as a person decides it.
What is made of raw days follows from them: of that the version in force is put back, byte by byte.
"""

import uuid
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.lineage.verifier import revoked_in
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Supersede
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.step import Step
from fraud_provenance.attested.store.store import Head
from fraud_provenance.data import versions as data_versions
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people.revoking import person_for

ASSET = "raw_transactions"


def put_back(workspace: Workspace, asset: str, partition: str, to: str = "") -> list[str]:
    """Put the version in force back where its files are gone or changed; returns their names.

    Nothing is decided: these are the bytes that are signed as the newest.

    Raises:
        ConfigError: unknown asset or partition, or not the version in force. EvidenceError: DVC
            does not hold the bytes. VerificationError: it holds others, or they were revoked.
    """
    if asset not in data_versions.ASSETS:
        known = ", ".join(data_versions.ASSETS)
        raise ConfigError(reason(RootCause.USAGE, f"{asset!r} is not kept in DVC: {known} are"))
    versions = workspace.store.versions(asset, partition)
    if not versions:
        why = f"{asset} has no {partition!r}"
        raise ConfigError(reason(RootCause.USAGE, why, artifact=asset, partition=partition))
    newest = versions[-1]
    if to and _version(workspace, asset, partition, to).sha256 != newest.sha256:
        why = f"{asset} follows from raw days: roll these back and run; in force: "
        raise ConfigError(reason(RootCause.USAGE, why + newest.sha256[:12], artifact=asset))
    restored = []
    _, view = _sound(workspace.trust.lineage().node(newest.statement), partition)
    for entry in view.entries:
        path = workspace.data / entry.path
        if not path.exists() or encoding.digest_bytes(files.read_once(path)) != entry.sha256:
            kept = data_versions.kept_bytes(workspace.home, path)
            _require(kept, entry.sha256, asset, partition)
            files.write_atomic(path, kept)
            restored.append(path.name)
    return restored


def _sound(node: Node, partition: str) -> tuple[Materialisation, Manifest]:
    """A statement that holds, and its files of a partition, which are in force.

    Raises:
        VerificationError: it does not hold, or was revoked.
    """
    bad = [*node.all_reasons(), *revoked_in(node, [partition])]
    if not isinstance(node, Materialisation) or bad:
        raise VerificationError(*bad)
    return node, node.manifest.select([partition])


def _require(content: bytes, sha256: str, asset: str, partition: str) -> None:
    found = encoding.digest_bytes(content)
    if found != sha256:
        told = f"DVC holds sha256 {found[:12]}, attested {sha256[:12]}"
        raise VerificationError(
            reason(RootCause.DIGEST_MISMATCH, told, artifact=asset, partition=partition)
        )


def rollback_day(
    workspace: Workspace, day: str, to: str, email: str = "", why: str = "rolled back"
) -> dict[str, Any]:
    """Bring back the version of a raw day whose SHA-256 begins with `to`, as a person decides.

    Raises:
        ConfigError: unknown version. EvidenceError: DVC no longer holds the bytes.
        VerificationError: the bytes DVC holds are not the attested ones, or were revoked.
        GateDenied: the person may not decide it.
    """
    version = _version(workspace, ASSET, day, to)
    signer = person_for(workspace, "supersede", email)
    node, view = _sound(workspace.trust.lineage().node(version.statement), day)
    entry, said = view.entries[0], node.provenance
    content = data_versions.stored_bytes(workspace.home, said.outputs["dvc_md5"][day])
    _require(content, version.sha256, ASSET, day)
    source = said.material("source")
    sources = workspace.store.manifest(source.digest).select([day]) if source else None
    decision = _decide(workspace, view, version, signer, why)
    run_id = f"rollback-{uuid.uuid4()}"
    with Step(workspace.trust, "ingest", run_id, {"partitions": [day, day]}) as step:
        if sources is not None:
            step.carry_source(sources)
        step.write(day, entry.path, content, entry.made_from)
        made = step.commit(
            {
                "rows": {day: said.outputs["rows"][day]},
                "event_time": {day: said.outputs["event_time"][day]},
                "dvc_md5": {day: data_versions.dvc_md5(content)},
                "rollback_to": version.statement,
                "supersede": {day: decision},
            }
        )
    path = workspace.data / ASSET / f"{day}.parquet"
    _restore_landing(workspace, day, entry.made_from)
    data_versions.track(workspace.home, [path])
    return {
        "sha256": version.sha256,
        "sequence": made.sequence,
        "statement": made.bundle.statement.digest,
    }


def _decide(workspace: Workspace, view: Manifest, version: Head, signer: Identity, why: str) -> str:
    """Sign that `version` replaces the present head; returns the statement's digest.

    It names the head that it replaces, so that it allows exactly one step back, once.
    """
    trust, day = workspace.trust, version.partition
    trust.store.put_manifest(view)
    trust.signing.sign_in(signer)
    said = Supersede(
        environment=trust.environment,
        partition=day,
        sha256=version.sha256,
        restores=version.statement,
        replaces=trust.store.versions(ASSET, day)[-1].statement,
        **issued(trust.clock()),
        reason=why,
    )
    statement = statements.said(ASSET, view.digest, said)
    return trust.signing.sign(statement, signer).statement.digest


def _version(workspace: Workspace, asset: str, partition: str, to: str) -> Head:
    versions = workspace.store.versions(asset, partition)
    found = {head.sha256: head for head in versions if head.sha256.startswith(to.lower())}
    if len(to) < 6 or len(found) != 1:
        known = ", ".join(dict.fromkeys(head.sha256[:12] for head in versions)) or "none"
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"{to!r} names {len(found)} versions (6 digits at least); attested: {known}",
                artifact=asset,
                partition=partition,
            )
        )
    return next(iter(found.values()))


def _restore_landing(workspace: Workspace, day: str, made_from: tuple[str, ...]) -> None:
    """Set the newer landing file aside, else the next run would ingest it again."""
    path = workspace.landing / f"{day}.parquet"
    if path.exists() and encoding.digest_bytes(files.read_once(path)) not in made_from:
        path.rename(path.with_name(f"{day}.parquet.set-aside"))
