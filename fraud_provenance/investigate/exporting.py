"""From what a person types to one file that proves it to somebody who has nothing else.

What does not verify is not exported: the file says that its subject is proven, and somebody would
read it so. What is wrong is told by `verify` and `trace`, in the home where it can be mended.
"""

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.statements.manifest import is_sha256
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate import gathering
from fraud_provenance.investigate.documents import documents_of
from fraud_provenance.investigate.offline import Checked, Pin, check_file, lay_out
from fraud_provenance.investigate.proof_file import Row, Subject, content_of, parse_proof
from fraud_provenance.investigate.proven import proven
from fraud_provenance.investigate.subjects import ALIASES, MODEL_NAMES, model_named, verify_subject
from fraud_provenance.investigate.trace import is_transaction, trace_score
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import MODEL
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, Registry

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Exported:
    """A file's bytes, and what its own verification said of it before anybody gets it."""

    content: bytes
    subject: Subject
    checked: Checked


def export(workspace: Workspace, registry: Registry, subject: str) -> Exported:
    """The file that proves `subject`, verified from its own bytes.

    Raises:
        ConfigError: USAGE, the subject is no single thing.
        EvidenceError, VerificationError: it does not verify, here or by the file alone.
        BackendError: it could not be decided.
    """
    workspace = Workspace(replace(workspace.settings, whole=True))  # nothing was asked of it yet
    store = gathering.noting(workspace)
    about, verdict = _resolved(workspace.trust, registry, subject)
    _demand(verdict)
    _demand(proven(workspace.trust, about))
    chains = gathering.chains_of(workspace, about, store)
    standing = gathering.standing_of(workspace, chains)
    draft = content_of(standing, about, gathering.members_of(workspace, store, chains))
    content = _reduced(draft)
    proof = parse_proof(content)
    checked = check_file(proof, Pin(digest=proof.listing.standing.digest))
    _demand(checked.verdict)
    return Exported(content, about, checked)


def _reduced(draft: bytes) -> bytes:
    """What of a draft the verifier asks for: in the home it looked at more than the file takes."""
    proof = parse_proof(draft)
    with tempfile.TemporaryDirectory(prefix="proof-", ignore_cleanup_errors=True) as folder:
        workspace, store = lay_out(proof, Path(folder))
        about = proof.listing.subject
        verdict = proven(workspace.trust, about)
        _demand(verdict)
        chains = gathering.chains_of(workspace, about, store)
        members = gathering.members_of(workspace, store, chains)
        members |= documents_of(workspace.trust, verdict, about)
        return content_of(gathering.standing_of(workspace, chains), about, members)


def _demand(verdict: Verdict) -> None:
    if not verdict.trusted:
        kind = VerificationError if verdict.decided else BackendError
        why = f"{verdict.subject}: there is no evidence of it"
        raise kind(*verdict.reasons or [reason(RootCause.EVIDENCE_MISSING, why)])


# --- what a person types -----------------------------------------------------------------------


def _resolved(trust: Trust, registry: Registry, typed: str) -> tuple[Subject, Verdict]:
    """What is meant, and what the home's own verifier says of it, files included."""
    if is_transaction(typed):
        return _score(trust, int(typed))
    verdict = verify_subject(trust, registry, typed)
    if named := model_named(typed):
        return _model(trust, registry, *named), verdict
    if typed in ALIASES or typed in MODEL_NAMES:
        return _model(trust, registry, ALIASES.get(typed, CHAMPION), ""), verdict
    asset, _, partition = typed.partition("/")
    heads = trust.store.heads(asset)
    if not partition and len(heads) == 1:  # an asset of one partition only
        partition = next(iter(heads))
    if heads.get(partition):
        found = {head.path: head.sha256 for head in heads[partition]}
        return Subject(kind="partition", asset=asset, partition=partition, files=found), verdict
    if _DIGEST.fullmatch(typed):
        return Subject(kind="statement", statement=_statement(trust, typed)), verdict
    _demand(verdict)
    why = (
        f"{typed[:80]!r} is not one thing: name a transaction, asset/partition, model@ALIAS,"
        " model:VERSION or the beginning of a digest"
    )
    raise ConfigError(reason(RootCause.USAGE, why))


def _score(trust: Trust, transaction_id: int) -> tuple[Subject, Verdict]:
    found = trace_score(trust, transaction_id)
    _demand(found.verdict)
    score = found.score
    if score is None:
        why = f"no row of transaction {transaction_id} was proven"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why))
    row = Row(
        transaction_id=transaction_id,
        day=score.day,
        leaf=score.leaf,
        index=score.index,
        rows=score.rows,
        path=score.inclusion_path,
    )
    return Subject(kind="score", row=row), found.verdict


def _model(trust: Trust, registry: Registry, alias: str, version: str) -> Subject:
    named = registry.version(version) if version else registry.alias(alias)
    if named is None:
        why = f"the registry has no {alias or version}"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=MODEL))
    digest = promotion.digest_of_model(trust, named.model_id)
    return Subject(
        kind="model", model=digest, alias=alias if alias in (CHAMPION, CANDIDATE) else ""
    )


def _statement(trust: Trust, digest: str) -> str:
    """The one statement that the beginning of a digest names: its own, its bundle's or a file's."""
    found = {
        record.statement
        for record in trust.store.records()
        if record.statement.startswith(digest)
        or record.bundle.startswith(digest)
        or (record.asset and record.subject_digest.startswith(digest))
    } or {head.statement for head in trust.store.files_named(digest)[-1:]}
    if len(found) != 1 or not is_sha256(min(found)):
        why = f"{digest[:64]!r} names {len(found)} statements"
        raise ConfigError(reason(RootCause.USAGE, why))
    return found.pop()
