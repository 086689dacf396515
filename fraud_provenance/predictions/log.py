"""The prediction log: one chain of signed batches in each environment.

A batch names the scores of one run: rows and Merkle root of each day, the model, the decision that
made it champion. It also names its place: a sequence number, the batch before it and the number of
rows logged so far. So an edited score, and a batch that was left out, moved or cut off, all show.
A run with nothing to score leaves a heartbeat, an empty batch, at most one a day.

Scores are logged after they are signed and before they are published: what cannot be logged is
never seen, and what a kill interrupts in between is completed by the next run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Decision, Materialisation, Node, Verified
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.attested.step.staging import Finish
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.facts import MODEL, model_statement
from fraud_provenance.predictions.batch import (
    FEATURES,
    LEAF_FORMAT,
    SCORES,
    Batch,
    DayOfBatch,
    leaves,
    read_batch,
    scores_entry,
)

_MEMORY = "trust/prediction_log.json"
_PROBE_BYTES = 1 << 16  # a batch's bundle is smaller


# --- appending -------------------------------------------------------------------------------


def require_writable(trust: Trust) -> None:
    """Refuse to score what could not be logged: the chain's end is sound, the store takes bytes.

    Raises:
        BackendError: PREDLOG_UNAVAILABLE. VerificationError: the chain's end does not verify.
    """
    last_batch(trust)
    try:
        trust.store.check_writable(_PROBE_BYTES)
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> BackendError:
    more = error.reasons if isinstance(error, BackendError) else ()
    return BackendError(
        reason(ProductCause.PREDLOG_UNAVAILABLE, f"cannot log: {error}", artifact=SCORES), *more
    )


def last_batch(trust: Trust) -> tuple[VerifiedBundle, Batch] | None:
    """The chain's end, verified; None before the first batch.

    Raises:
        VerificationError: the newest batch does not verify, or is older than one seen before.
    """
    records = trust.store.records(predicate_type=statements.PREDICTION_BATCH)
    records = [record for record in records if record.environment == trust.environment]
    found = None
    if records:
        node = trust.lineage().trusted(records[-1].statement, Verified)
        found = (node.bundle, read_batch(node.bundle.statement))
    remembered, length = remembered_length(trust), found[1].sequence if found else 0
    if length < remembered:
        raise VerificationError(
            reason(
                ProductCause.SEQUENCE_GAP,
                f"the log ends with batch {length}; batch {remembered} was seen before",
                artifact=SCORES,
            )
        )
    return found


def remembered_length(trust: Trust) -> int:
    """The highest sequence number that this home has logged, 0 if it remembers none."""
    return _length_in(trust.memory.read(_MEMORY, _grew))


def _grew(before: bytes | None, after: bytes | None) -> bool:
    return _length_in(after) >= _length_in(before)


def _length_in(document: bytes | None) -> int:
    if document is None:
        return 0
    content = encoding.strict_json(document)
    length = content.get("sequence") if isinstance(content, dict) else None
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, "it cannot be read", artifact=_MEMORY)
        )
    return length


def _remember_length(trust: Trust, length: int) -> None:
    def grown(before: bytes | None) -> bytes | None:
        if _length_in(before) >= length:
            return before
        return encoding.canonical_json({"sequence": length})

    trust.memory.change(_MEMORY, grown, _grew)


def log_scores(trust: Trust, statement: str, folder: Path) -> VerifiedBundle:
    """Log the scores that `statement` attests and whose files lie below `folder`, once.

    Raises:
        VerificationError: the scores do not verify. BackendError: PREDLOG_UNAVAILABLE.
    """
    scores = trust.lineage().node(statement).expect(Materialisation)
    with trust.locks.held("predictions"):
        known = batch_about(trust, scores)
        if isinstance(known, Verified):
            return known.bundle
        read = _features_read(trust, scores.provenance)
        days = {day: _day_of_batch(read, scores, folder, day) for day in scores.manifest.partitions}
        model = next((m.digest for m in scores.provenance.materials if m.name == MODEL), "")
        return _append(
            trust,
            scores.manifest,
            model_digest=model,
            decision=str(scores.provenance.outputs.get("decision", "")),
            scores=scores,
            days=days,
        )


def log_heartbeat(trust: Trust, model_digest: str, decision: str) -> VerifiedBundle | None:
    """Say that there was nothing to score, unless something was logged today already.

    Raises:
        VerificationError: the chain's end does not verify. BackendError: PREDLOG_UNAVAILABLE.
    """
    with trust.locks.held("predictions"):
        last = last_batch(trust)
        if last is not None and last[0].signed_at.date() == trust.clock().date():
            return None
        nothing = Manifest.of(SCORES, [])
        return _append(
            trust, nothing, model_digest=model_digest, decision=decision, scores=None, days={}
        )


def _append(
    trust: Trust,
    subject: Manifest,
    *,
    model_digest: str,
    decision: str,
    scores: Materialisation | None,
    days: dict[str, DayOfBatch],
) -> VerifiedBundle:
    last = last_batch(trust)
    batch = Batch(
        environment=trust.environment,
        sequence=last[1].sequence + 1 if last else 1,
        previous=last[0].statement.digest if last else "",
        total_rows=(last[1].total_rows if last else 0) + sum(day.rows for day in days.values()),
        model_digest=model_digest,
        decision=decision,
        scores_statement=scores.statement if scores else "",
        batches=days,
    )
    problems = batch_problems(trust, batch, scores, subject.digest)
    if problems:
        raise VerificationError(*problems)
    policy = trust.policies.current()
    statement = statements.build_statement(
        statements.PREDICTION_BATCH, SCORES, subject.digest, batch.model_dump(mode="json")
    )
    try:
        trust.store.put_manifest(subject)
        signed = trust.signing.sign(statement, identity_of(policy.layout, "predictions"))
        _remember_length(trust, batch.sequence)
    except (BackendError, OSError) as error:
        raise _unavailable(error) from error
    return signed


def _day_of_batch(
    read: Mapping[str, set[str]], scores: Materialisation, folder: Path, day: str
) -> DayOfBatch:
    import io

    import polars as pl

    entry = scores_entry(scores.entries, day)
    content = files.read_once(folder / entry.path)
    if encoding.digest_bytes(content) != entry.sha256:
        raise VerificationError(
            reason(
                RootCause.DIGEST_MISMATCH,
                f"{entry.path} is not what was attested",
                artifact=SCORES,
                partition=day,
            )
        )
    rows = leaves(pl.read_parquet(io.BytesIO(content)))
    return DayOfBatch(
        rows=len(rows),
        merkle_root=merkle.root_of(rows),
        leaf_format=LEAF_FORMAT,
        features_sha256=_features_in(read, scores.entries, day),
    )


UNFINISHED: Mapping[str, Finish] = {SCORES: log_scores}
"""For `recover`: signed scores that a kill kept out of the log are logged, then published."""


# --- checking --------------------------------------------------------------------------------


def batch_about(trust: Trust, scores: Node) -> Node | None:
    """The newest batch about exactly this statement of scores, verified, or None."""
    found = trust.store.records(
        predicate_type=statements.PREDICTION_BATCH, subject=scores.claims.subject or ""
    )
    for record in reversed(found):
        node = trust.lineage().node(record.statement)
        said = node.claims.bundle
        if said is None or said.statement.predicate.get("scores_statement") == scores.statement:
            return node
    return None


def is_logged(trust: Trust, scores_statement: str) -> bool:
    """Whether the index knows a batch about these scores: for planning, not for trust."""
    subjects = {record.subject_digest for record in trust.store.records(statement=scores_statement)}
    return any(
        trust.store.records(predicate_type=statements.PREDICTION_BATCH, subject=subject)
        for subject in subjects
    )


def features_of(trust: Trust, scores: Materialisation, day: str) -> str:
    """SHA-256 of the feature file that a day's scores were made from.

    Raises:
        VerificationError: FEATURE_TRACE_MISMATCH.
    """
    return _features_in(_features_read(trust, scores.provenance), scores.entries, day)


def _features_read(trust: Trust, scores: Provenance) -> Mapping[str, set[str]]:
    """Day → SHA-256 of the feature files that scores say they read; each manifest is read once."""
    found: dict[str, set[str]] = {}
    for material in scores.materials:
        if material.name == FEATURES and material.role == "input":
            for entry in trust.store.manifest(material.digest).entries:
                found.setdefault(entry.partition, set()).add(entry.sha256)
    return found


def _features_in(read: Mapping[str, set[str]], entries: Sequence[FileEntry], day: str) -> str:
    found = read.get(day, set()).intersection(scores_entry(entries, day).made_from)
    if len(found) == 1:
        return found.pop()
    raise VerificationError(
        reason(
            ProductCause.FEATURE_TRACE_MISMATCH,
            f"the scores were made from {len(found) or 'no'} feature files of their day",
            artifact=SCORES,
            partition=day,
        )
    )


def batch_problems(
    trust: Trust, batch: Batch, scores: Node | None, subject: str = ""
) -> list[Reason]:
    """What speaks against a batch's own claims: its decision, its model, its scores, its features.

    Args:
        trust: The opened home.
        batch: The batch.
        scores: The node of the scores it names; None for a heartbeat.
        subject: Digest of the manifest that the batch is about.
    """
    lineage = trust.lineage()
    problems = _decision_problems(lineage, batch)
    if (scores is None) != (batch.scores_statement == ""):
        problems.append(_mismatch("the batch and its scores do not belong together"))
    if scores is None:
        return problems
    if scores.statement != batch.scores_statement:
        problems.append(_mismatch("the batch names other scores"))
    _, made, manifest = scores.claims
    if not isinstance(made, Provenance) or manifest is None or manifest.asset != SCORES:
        return problems + (list(scores.reasons) or [_mismatch("what the batch names is no scores")])
    if subject and manifest.digest != subject:
        problems.append(_mismatch("the batch is about other files than its scores"))
    if set(manifest.partitions) != set(batch.batches):
        problems.append(_mismatch("the batch covers other days than its scores"))
        return problems
    problems += _model_problems(trust, lineage, batch, made, manifest)
    read = _features_read(trust, made)
    for day, claimed in batch.batches.items():
        try:
            made_from = _features_in(read, manifest.entries, day)
        except VerificationError as error:
            problems += error.reasons
            continue
        if claimed.features_sha256 != made_from:
            problems.append(
                reason(
                    ProductCause.FEATURE_TRACE_MISMATCH,
                    f"logged features {claimed.features_sha256[:12]}, scored {made_from[:12]}",
                    artifact=SCORES,
                    partition=day,
                )
            )
    return problems


def _mismatch(message: str) -> Reason:
    return reason(RootCause.SUBJECT_MISMATCH, message, artifact="prediction batch")


def _decision_problems(lineage: LineageVerifier, batch: Batch) -> list[Reason]:
    """The batch's decision must be an allowing deployment decision on exactly its model."""
    decision = lineage.node(batch.decision)
    if decision.reasons:
        return list(decision.reasons)
    if (
        not isinstance(decision, Decision)
        or decision.summary.gate != "deploy"
        or not decision.summary.allowed
        or decision.bundle.statement.subject_digest != batch.model_digest
    ):
        return [
            reason(
                RootCause.DECISION_MISSING,
                f"no deployment decision {batch.decision[:12]} allows model"
                f" {batch.model_digest[:12]}",
                artifact="prediction batch",
            )
        ]
    return []


def _model_problems(
    trust: Trust, lineage: LineageVerifier, batch: Batch, made: Provenance, scores: Manifest
) -> list[Reason]:
    """The scores must have been made from that model's files, all of them, and no other model's."""
    read = {item.digest for item in made.materials if item.name == MODEL}
    try:
        model = lineage.node(model_statement(trust, batch.model_digest))
    except EvidenceError as error:
        return list(error.reasons)
    parts = {entry.sha256 for entry in model.entries}
    if (
        model.reasons
        or not parts
        or read != {batch.model_digest}
        or not all(parts.issubset(entry.made_from) for entry in scores.entries)
        or made.outputs.get("decision") != batch.decision
    ):
        return [
            *model.reasons,
            _mismatch(f"the scores were not made from model {batch.model_digest[:12]}"),
        ]
    return []


def batch_metadata(signed: VerifiedBundle) -> dict[str, Any]:
    """A logged batch for people."""
    batch = read_batch(signed.statement)
    return {
        "provenance/batch_sequence": batch.sequence,
        "provenance/batch_log_index": signed.log_index,
        "scored_at": encoding.utc_text(signed.signed_at),
    }
