"""What `revoke` does: a person withdraws a day, a model, a statement or a signer, for good.

In: what was typed. Out: a signed, logged and remembered revocation. From then on the verifier
refuses what was revoked and everything that was made from it; a champion among these is told.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fraud_provenance.alerts import Outbox, alert_of_error
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, GateDenied, ProvenanceError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.versions import REVOCATIONS
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Revocation
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.recalling import Recall
from fraud_provenance.investigate.subjects import model_named
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import MODEL

_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")


@dataclass(frozen=True)
class _Target:
    """What is to be revoked, as the statement will say it."""

    kind: str
    name: str
    subject: str  # the SHA-256 that names the thing
    artifact: str = ""
    partition: str = ""
    digests: tuple[str, ...] = ()
    identity: Identity | None = None
    principal: str = ""


def revoke_subject(
    workspace: Workspace, subject: str, why: str, email: str = "", since: str = ""
) -> dict[str, Any]:
    """Revoke a partition, a model, whatever a digest names, or a signer from `since` on.

    Raises:
        ConfigError: the subject is unknown or ambiguous, or no reason was given.
        GateDenied: the person may not revoke.
    """
    if not why.strip():
        raise ConfigError(reason(RootCause.USAGE, "a revocation needs a reason"))
    signer = person_for(workspace, "revoke", email)
    target = _target(workspace, subject)
    if since and target.kind not in ("identity", "principal"):
        raise ConfigError(reason(RootCause.USAGE, "only a signer is revoked from a time on"))
    return _revoked(workspace, subject, target, why, signer, _time(since))


def revoke_recalled(
    workspace: Workspace, found: Recall, why: str, email: str = ""
) -> dict[str, Any]:
    """Revoke all that is recalled in one signed statement; what was built on it falls with it.

    Raises:
        ConfigError: no reason was given; the recall is not certain to be whole, or takes away the
            release in force, without which nothing can be verified.
        GateDenied: the person may not revoke.
    """
    if not why.strip():
        raise ConfigError(reason(RootCause.USAGE, "a revocation needs a reason"))
    if found.exit_code:
        raise ConfigError(reason(RootCause.USAGE, found.headline))
    if set(workspace.releases.head().statements).intersection(found.digests):
        message = f"{found.subject} is, or signed, the release in force: release another one first"
        raise ConfigError(reason(RootCause.USAGE, message))
    signer = person_for(workspace, "revoke", email)
    digests = found.digests
    subject = digests[0] if len(digests) == 1 else encoding.digest_json(list(digests))
    target = _Target(found.kind, found.name, subject, found.name, found.partition, digests)
    return _revoked(workspace, found.subject, target, why, signer, None)


def _revoked(
    workspace: Workspace,
    subject: str,
    target: _Target,
    why: str,
    signer: Identity,
    since: datetime | None,
) -> dict[str, Any]:
    signed = _sign(workspace.trust, target, why.strip(), signer, since)
    return {
        "subject": subject,
        "kind": target.kind,
        "digest": signed.statement.subject_digest,
        "signer": str(signed.identity),
        "log_index": signed.log_index,
        "statement": signed.statement.digest,
        "champion": _tell(workspace),
    }


def person_for(workspace: Workspace, step: str, email: str) -> Identity:
    """Who signs as a person; in the local environment, the first who may, if nobody is named.

    Raises:
        ConfigError: nobody is named elsewhere. GateDenied: the person may not sign this.
    """
    layout = workspace.trust.policies.current().layout
    role = layout.step(step).signer_role or ""
    may = layout.people(role)
    if not email:
        if not workspace.is_local or not may:
            raise ConfigError(reason(RootCause.USAGE, "say who you are: --as EMAIL"))
        return may[0]
    identity = identities.of_person(email)
    principal = layout.principal(identity, workspace.trust.clock())
    if principal is None or role not in principal.roles:
        raise GateDenied(
            reason(
                ProductCause.APPROVAL_ROLE if principal else RootCause.APPROVAL_UNKNOWN_PERSON,
                f"{email} does not hold the role {role}",
                identity=email,
            )
        )
    return identity


def _time(since: str) -> datetime | None:
    if not since:
        return None
    try:
        return encoding.parse_utc(since)
    except ValueError as error:
        message = f"{since!r} is not a UTC time such as 2026-11-23T09:32:46Z"
        raise ConfigError(reason(RootCause.USAGE, message)) from error


def _target(workspace: Workspace, subject: str) -> _Target:
    kind, _, name = subject.partition(":")
    if kind == "identity" and name:
        identity = identities.named(name)
        digest = encoding.digest_json(identity.model_dump())
        return _Target("identity", str(identity), digest, name, identity=identity)
    if kind == "log" and name:
        return _log_entry(workspace, name)
    if kind == "principal" and name:
        known = workspace.trust.policies.current().layout.principals
        if name not in {principal.id for principal in known}:
            raise _unknown(subject)
        digest = encoding.digest_json({"principal": name})
        return _Target("principal", name, digest, name, principal=name)
    if named := model_named(subject):
        return _model(workspace, subject, *named)
    if _DIGEST.match(subject):
        return _by_digest(workspace.trust, subject)
    asset, _, partition = subject.partition("/")
    return _partition(workspace.trust, asset, partition)


def _log_entry(workspace: Workspace, name: str) -> _Target:
    """Whatever was signed under one entry of the log: `INDEX` or `INDEX@LOG`."""
    index, _, origin = name.partition("@")
    if not (index.isascii() and index.isdigit()):
        raise _unknown(f"log:{name}")
    entry = workspace.auditor.entry(int(index), origin)
    artifact = f"log entry {name}"
    return _Target("log entry", artifact, entry.digest, artifact, digests=(entry.digest,))


def _model(workspace: Workspace, subject: str, alias: str, version: str) -> _Target:
    registry = registry_of(workspace)
    named = registry.version(version) if version else registry.alias(alias)
    if named is None:
        raise _unknown(subject)
    digest = promotion.digest_of_model(workspace.trust, named.model_id)
    return _Target("model", MODEL, digest, MODEL, named.model_id, (digest,))


def _partition(trust: Trust, asset: str, partition: str) -> _Target:
    """The newest version of a partition: its files' bytes, wherever they are used."""
    heads = trust.store.heads(asset).get(partition, [])
    if not heads:
        raise _unknown(f"{asset}/{partition}")
    entries = [
        entry
        for statement in sorted({head.statement for head in heads})
        for record in trust.store.records(statement=statement)[:1]
        for entry in trust.store.manifest(record.subject_digest).entries
        if entry.partition == partition
    ]
    view = Manifest.of(asset, entries)
    trust.store.put_manifest(view)
    digests = tuple(sorted({entry.sha256 for entry in entries}))
    return _Target("partition", asset, view.digest, asset, partition, digests)


def _by_digest(trust: Trust, digest: str) -> _Target:
    """A statement, bundle, manifest or file by its SHA-256 or the beginning of it."""
    found: dict[tuple[str, str], _Target] = {}
    for record in trust.store.records():
        if record.predicate_type == statements.REVOCATION:
            continue  # what was withdrawn stays withdrawn
        if record.statement.startswith(digest) or record.bundle.startswith(digest):
            name = record.subject_name
            found["statement", record.statement] = _Target(
                "statement", name, record.statement, name, "", (record.statement,)
            )
        if record.asset == MODEL and record.subject_digest.startswith(digest):
            found["model", record.subject_digest] = _Target(
                "model", MODEL, record.subject_digest, MODEL, "", (record.subject_digest,)
            )
    for head in trust.store.files_named(digest):
        found["partition", head.sha256] = _Target(
            "partition", head.asset, head.sha256, head.asset, head.partition, (head.sha256,)
        )
    if len(found) != 1:
        raise ConfigError(
            reason(RootCause.USAGE, f"{digest!r} names {len(found)} things that can be revoked")
        )
    return next(iter(found.values()))


def _unknown(subject: str) -> ConfigError:
    return ConfigError(
        reason(
            RootCause.USAGE,
            f"{subject!r} is no partition, model, digest, identity or principal that is known here",
        )
    )


def _sign(
    trust: Trust, target: _Target, why: str, signer: Identity, since: datetime | None
) -> VerifiedBundle:
    trust.signing.sign_in(signer)
    with trust.locks.held(REVOCATIONS):
        versions = trust.lineage().versions
        sequence, previous = versions.next(REVOCATIONS)
        now = trust.clock()
        is_signer = target.kind in ("identity", "principal")
        said = Revocation.model_validate(
            {
                "environment": trust.environment,
                "kind": target.kind,
                "artifact": target.artifact,
                "partition": target.partition,
                "digests": target.digests,
                "identity": target.identity,
                "principal": target.principal,
                "from_time": encoding.utc_text(since or now) if is_signer else "",
                "sequence": sequence,
                "previous": previous,
                "issued_at": encoding.utc_text(now),
                "reason": why,
            }
        )
        statement = statements.said(target.name, target.subject, said)
        signed = trust.signing.sign(statement, signer)
        versions.seen.remember(REVOCATIONS, sequence, signed.statement.digest)
        return signed


def _tell(workspace: Workspace) -> str:
    """Raise an alert if the champion rests on what was revoked; returns its root cause, if any."""
    trust, registry = workspace.trust, registry_of(workspace)
    trust.forget()
    try:
        if promotion.was_promoted(trust, registry):
            promotion.find_champion(trust, registry)
    except ProvenanceError as error:
        Outbox(workspace.home).put(alert_of_error(error, "champion", trust.clock()))
        return str(error.reasons[0].code)
    return ""
