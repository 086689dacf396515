"""The prediction log as a whole: nothing edited, left out, moved or cut off, and nobody silent.

Two questions. `chain_problems`: do the signed batches follow each other, is each what it claims to
be, and does none of them contradict an earlier one? It reads signed statements only.
`row_problems`: are the score files, row by row, those whose Merkle roots were signed, the features
those that were logged, and the scores what comes out when they are computed again?
"""

import io
from datetime import timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, ProvenanceError, Reason, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node, Verified
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.promotion import decisions_on
from fraud_provenance.predictions.batch import (
    FEATURES,
    LEAF_HASH_BYTES,
    SCORES,
    DayOfBatch,
    leaf_hashes,
    leaves,
    read_batch,
    scores_entry,
)
from fraud_provenance.predictions.log import batch_problems, remembered_length
from fraud_provenance.predictions.rows import Comparison, judgement_problems
from fraud_provenance.predictions.versions import Logged, Version, version_problems, versions_by_day


def verify_predictions(trust: Trust) -> Verdict:
    """The verdict on the whole prediction log, rows and silence included."""
    nodes, chain, problems = read_chain(trust)
    if not nodes:
        missing = reason(RootCause.EVIDENCE_MISSING, "nothing was ever logged", artifact=SCORES)
        return Verdict.of("predictions", trust.environment, "verify", [], [missing])
    problems += chain_problems(trust, chain)
    problems += row_problems(trust, chain)
    problems += silence_problems(trust, chain)
    return trust.lineage().verify("predictions", "verify", nodes, problems, with_files=False)


def audit_predictions(trust: Trust) -> list[Reason]:
    """Everything that speaks against the prediction log; empty where nothing was ever logged."""
    nodes, _, _ = read_chain(trust)
    return list(verify_predictions(trust).reasons) if nodes else []


def read_chain(trust: Trust) -> tuple[list[Node], list[Logged], list[Reason]]:
    """(every batch's node, the readable batches by sequence number, what could not be read)."""
    records = trust.store.records(predicate_type=statements.PREDICTION_BATCH)
    lineage = trust.lineage()
    nodes = [
        lineage.node(record.statement)
        for record in records
        if record.environment == trust.environment
    ]
    chain: list[Logged] = []
    problems: list[Reason] = []
    for node in nodes:
        if not isinstance(node, Verified):
            continue  # the node's own reasons tell
        try:
            chain.append(Logged(node, read_batch(node.bundle.statement)))
        except ProvenanceError as error:
            problems += error.reasons
    chain.sort(key=lambda item: (item.batch.sequence, item.bundle.logged))
    return nodes, chain, problems


# --- the chain -------------------------------------------------------------------------------


def chain_problems(trust: Trust, chain: list[Logged]) -> list[Reason]:
    """Gaps, breaks, forks, and batches whose claims do not hold."""
    problems = _order_problems(trust, chain)
    lineage = trust.lineage()
    decisions = _allowing_decisions(trust)
    lease = timedelta(seconds=_threshold(trust, "champion_lease_seconds"))
    for item in chain:
        named = item.batch.scores_statement
        scores = lineage.node(named) if named else None
        subject = item.bundle.statement.subject_digest
        problems += batch_problems(trust, item.batch, scores, subject)
        made = (scores.claims.bundle if scores else None) or item.bundle
        if item.batch.decision not in _in_force(decisions, made, lease):
            problems.append(
                reason(
                    ProductCause.DECISION_SUPERSEDED,
                    "another decision was in force when it was scored",
                    artifact=item.name,
                )
            )
    problems += version_problems(versions_by_day(trust, chain))
    return problems + _unlogged(trust, chain)


def _order_problems(trust: Trust, chain: list[Logged]) -> list[Reason]:
    problems: list[Reason] = []
    before: Logged | None = None
    for item in chain:
        expected = before.batch.sequence + 1 if before else 1
        if item.batch.sequence > expected:
            gap = f"batch {expected}" + (
                f" to {item.batch.sequence - 1}" if item.batch.sequence - 1 > expected else ""
            )
            problems.append(reason(ProductCause.SEQUENCE_GAP, f"{gap} is missing", artifact=gap))
        elif (why := _breaks(before, item)) is not None:
            named = f"bundle {item.bundle.bundle_digest[:12]} (log entry {item.bundle.log_index})"
            problems.append(
                reason(ProductCause.CHAIN_BROKEN, f"{named}: {why}", artifact=item.name)
            )
        before = item
    length, remembered = (before.batch.sequence if before else 0), remembered_length(trust)
    if length < remembered:
        problems.append(
            reason(
                ProductCause.SEQUENCE_GAP,
                f"the log ends with batch {length}; batch {remembered} was seen before",
                artifact=f"batch {remembered}",
            )
        )
    return problems


def _breaks(before: Logged | None, item: Logged) -> str | None:
    """Why `item` cannot follow `before`, if it cannot."""
    batch = item.batch
    if before is None:
        is_first = batch.previous == "" and batch.total_rows == batch.rows
        return None if is_first else "the first batch names one before it"
    if batch.sequence == before.batch.sequence:
        return "two batches have the same number"
    if batch.previous != before.bundle.statement.digest:
        return "it names another batch before it"
    if batch.total_rows != before.batch.total_rows + batch.rows:
        return f"{batch.total_rows} rows in all do not follow from {before.batch.total_rows}"
    if (item.bundle.logged, item.bundle.signed_at) < (
        before.bundle.logged,
        before.bundle.signed_at,
    ):
        return "it was logged before the one it follows"
    return None


def _allowing_decisions(trust: Trust) -> list[VerifiedBundle]:
    """The permissions to deploy, oldest first; refused ones, too: they ended those before."""
    nodes = decisions_on(trust, trust.policies.current(), "deploy")
    return [node.signed() for node in nodes if (said := node.claims.decided) and said.allowed]


def _in_force(decisions: list[VerifiedBundle], made: VerifiedBundle, lease: timedelta) -> set[str]:
    """The decisions that scores may follow: in force when they were logged, or within the lease.

    The log's order says which was the newest then: timestamps know whole seconds only.
    """
    earlier = [bundle for bundle in decisions if bundle.logged < made.logged]
    followed = earlier[1:]  # each decision ended when the next one was signed
    ended = [bundle.signed_at for bundle in followed]
    leased = {
        bundle.statement.digest
        for bundle, end in zip(earlier, ended, strict=False)
        if end > made.signed_at - lease
    }
    return leased | {bundle.statement.digest for bundle in earlier[-1:]}


def _unlogged(trust: Trust, chain: list[Logged]) -> list[Reason]:
    """Published scores that no batch names."""
    logged = {item.batch.scores_statement for item in chain}
    return [
        reason(
            RootCause.EVIDENCE_MISSING,
            "no batch covers these scores",
            artifact=SCORES,
            partition=day,
        )
        for day, heads in sorted(trust.store.heads(SCORES).items())
        if heads[0].statement not in logged
    ]


def silence_problems(trust: Trust, chain: list[Logged]) -> list[Reason]:
    """Whether the last batch or heartbeat is older than the policy allows."""
    limit = timedelta(hours=_threshold(trust, "max_prediction_silence_hours"))
    last = max((item.bundle.signed_at for item in chain), default=None)
    if last is None or trust.clock() - last <= limit:
        return []
    return [
        reason(
            ProductCause.HEARTBEAT_MISSING,
            f"nothing was logged since {encoding.utc_text(last)}",
            artifact=SCORES,
        )
    ]


def _threshold(trust: Trust, name: str) -> int:
    return int(trust.policies.current().data("thresholds")[name]["value"])


# --- the rows --------------------------------------------------------------------------------


def row_problems(trust: Trust, chain: list[Logged]) -> list[Reason]:
    """Rows and features of the newest logged scores of every day, compared with each other.

    From the batches to the bytes: what lies in a folder under the newest name proves nothing.
    """
    problems: list[Reason] = []
    comparison = Comparison(trust)
    for _, versions in sorted(versions_by_day(trust, chain).items()):
        version = versions[-1]
        found, scores = _day_problems(trust, version)
        more, features = _feature_problems(trust, version)
        problems += [*found, *more]
        if version.withdrawn is not None:
            continue  # nobody may use these scores; the next run makes others
        problems += version.scores.all_reasons()
        problems += judgement_problems(trust, version)
        if scores and features:
            problems += comparison.problems(version, scores, features)
    return problems


def _day_problems(trust: Trust, version: Version) -> tuple[list[Reason], bytes]:
    """What is wrong with a day's score file, and its bytes if they are the logged ones."""
    item, scores, day, claimed = version.item, version.scores, version.day, version.claimed
    try:
        entry = scores_entry(scores.entries, day)
        content = trust.lineage().artifacts.found(scores, entry.path, entry.sha256)
        rows = _rows_of(content)
    except ProvenanceError as error:
        return [_edited(item, day, str(error))], b""
    if merkle.root_of(rows) == claimed.merkle_root and len(rows) == claimed.rows:
        if encoding.digest_bytes(content) == entry.sha256:
            return [], content
        other = reason(
            RootCause.DIGEST_MISMATCH,
            "the scores are the logged ones, something else in their file is not",
            artifact=SCORES,
            partition=day,
        )
        return [other], b""
    index = _first_difference(trust, scores, entry, rows, claimed)
    if index is None:
        why = f"{len(rows)} rows do not lead to the signed root"
        return [_edited(item, day, why)], b""
    why = f"row {index} is not the one that was logged"
    return [_edited(item, f"{day}#{index}", why)], b""


def _edited(item: Logged, place: str, message: str) -> Reason:
    return reason(ProductCause.MERKLE_MISMATCH, message, artifact=item.name, partition=place)


def _rows_of(content: bytes) -> list[bytes]:
    """The leaves of a file, attested or not: only to be compared."""
    import polars as pl

    try:
        return leaves(pl.read_parquet(io.BytesIO(content)))
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"the score file cannot be read: {error}")
        ) from error


def _first_difference(
    trust: Trust, scores: Node, entry: FileEntry, rows: list[bytes], claimed: DayOfBatch
) -> int | None:
    """The first row whose leaf is not the logged one, if the logged leaves are still there."""
    import numpy as np

    name = entry.path.removesuffix(".parquet") + ".leaves"
    kept = next((item for item in scores.entries if item.path == name), None)
    try:
        before = trust.lineage().artifacts.read(scores, kept) if kept else b""
    except ProvenanceError:
        return None
    if len(before) != claimed.rows * LEAF_HASH_BYTES:
        return None
    old, new = (
        np.frombuffer(hashes, dtype=np.uint8).reshape(-1, LEAF_HASH_BYTES)
        for hashes in (before, leaf_hashes(rows))
    )
    shared = min(len(old), len(new))
    different = np.flatnonzero((old[:shared] != new[:shared]).any(axis=1))
    return int(different[0]) if different.size else shared


def _feature_problems(trust: Trust, version: Version) -> tuple[list[Reason], bytes]:
    """The feature file of the day, hashed again, must be the logged one while it is the newest.

    With its bytes if it is; there are none where a newer version took its place.
    """
    wanted = version.claimed.features_sha256
    for head in trust.store.heads(FEATURES).get(version.day, ()):
        if head.sha256 != wanted:
            return [], b""  # superseded: the next run scores the day again
        node = trust.lineage().node(head.statement)
        content, found = b"", "nothing"
        try:
            content = trust.lineage().artifacts.found(node, head.path, head.sha256)
            found = encoding.digest_bytes(content)
        except ProvenanceError:
            pass
        if found == wanted:
            return [], content
        changed = reason(
            ProductCause.FEATURE_TRACE_MISMATCH,
            f"features are {found[:12]} now, {wanted[:12]} was logged",
            artifact=version.item.name,
            partition=version.day,
        )
        return [changed], b""
    return [], b""
