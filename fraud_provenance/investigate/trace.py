"""From one score back to the landing files: every link with its signer, time and verdict."""

import io
from dataclasses import dataclass
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.verifier import Node
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.models.facts import collect_model
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions.batch import SCORES, leaves, read_batch, scores_entry
from fraud_provenance.predictions.log import batch_about, batch_problems
from fraud_provenance.predictions.rows import judgement_problems
from fraud_provenance.predictions.versions import version_problems, versions_of_day


@dataclass(frozen=True)
class Score:
    """One prediction and its place in its signed batch."""

    transaction_id: int
    day: str
    row: dict[str, Any]
    index: int
    rows: int
    inclusion_path: tuple[str, ...]
    merkle_root: str


@dataclass(frozen=True)
class Trace:
    """The chain of one score, in order from the score to the landing files."""

    score: Score
    chain: tuple[tuple[str, Link], ...]
    verdict: Verdict


def trace_score(trust: Trust, transaction_id: int) -> Trace:
    """Walk back from one transaction's score.

    Raises:
        EvidenceError: no score of this transaction is stored.
    """
    lineage = trust.lineage()
    day = _find(trust, transaction_id)
    head = trust.store.heads(SCORES)[day][0]
    scores = lineage.node(head.statement)
    chain: list[tuple[str, Node]] = [("scores", scores)]
    extra: list[Reason] = []
    batch = _batch(trust, scores)
    chain.append(("prediction batch", batch))
    try:
        score = _prove(trust, scores, batch, day, transaction_id)
    except ProvenanceError as error:
        extra += list(error.reasons)
        score = Score(transaction_id, day, {}, -1, 0, (), "")
    more, judged = _of_the_day(trust, day, scores)
    extra += more
    chain += [("score contract", node) for node in judged]
    if batch.bundle is not None:
        claims = read_batch(batch.bundle.statement)
        extra += batch_problems(trust, claims, scores, batch.bundle.statement.subject_digest)
        decision = lineage.node(claims.decision)
        evidence = collect_model(trust, trust.policies.current(), claims.model_digest)
        chain += [("model", evidence.model), ("model signature", evidence.signature)]
        chain += [("evaluation", evidence.evaluation), ("release decision", decision)]
        chain += [("approval", child) for child in decision.children if child.kind == "approval"]
    chain += _below(scores, chain)
    roots = [node for _, node in chain]
    verdict = lineage.verify(f"score of {transaction_id}", "trace", roots, extra)
    links = [(role, node.link()) for role, node in _in_order(chain)]
    links += _landing_links(trust, [node for _, node in chain], _raw_digests(scores, chain, day))
    return Trace(score, tuple(links), verdict)


def _raw_digests(scores: Node, chain: list[tuple[str, Node]], day: str) -> set[str]:
    """SHA-256 of the raw days that the scored day's features were made from."""
    sources = {
        digest
        for entry in (scores.manifest.entries if scores.manifest else ())
        if entry.partition == day
        for digest in entry.made_from
    }
    return {
        digest
        for role, node in chain
        if role == "features" and node.manifest
        for entry in node.manifest.entries
        if entry.sha256 in sources
        for digest in entry.made_from
    }


def _find(trust: Trust, transaction_id: int) -> str:
    """The day whose score file seems to have a transaction: a hint, for the bytes are unverified.

    What is told of the score comes from the bytes that its batch names, see `_prove`.
    """
    import polars as pl

    for day in sorted(trust.store.heads(SCORES), reverse=True):
        path = trust.home / "data" / SCORES / f"{day}.parquet"
        try:
            ids = pl.read_parquet(path, columns=["transaction_id"])["transaction_id"]
        except (OSError, pl.exceptions.PolarsError):
            continue  # whatever lies there now is judged by its digest, not read here
        if ids.index_of(transaction_id) is not None:
            return day
    raise _absent(transaction_id)


def _absent(transaction_id: int) -> EvidenceError:
    return EvidenceError(
        reason(
            RootCause.EVIDENCE_MISSING,
            f"no score of transaction {transaction_id} is stored",
            artifact=SCORES,
        )
    )


def _of_the_day(trust: Trust, day: str, scores: Node) -> tuple[list[Reason], list[Node]]:
    """What speaks against the day's logged versions, and what the scores' contract said of them."""
    versions = versions_of_day(trust, day)
    problems = version_problems({day: versions})
    newest = [version for version in versions if version.scores.statement == scores.statement][-1:]
    for version in newest:
        problems += judgement_problems(trust, version)
    judged = [score_contract.result_of(trust, scores, day)] if newest else []
    return problems, [node for node in judged if node is not None]


def _batch(trust: Trust, scores: Node) -> Node:
    """The newest batch about exactly these scores."""
    found = batch_about(trust, scores)
    if found is None:
        found = Node(kind="prediction batch", name=SCORES, statement="")
        found.blame(
            EvidenceError(
                reason(RootCause.EVIDENCE_MISSING, "no prediction batch covers these scores")
            )
        )
    return found


def _prove(trust: Trust, scores: Node, batch: Node, day: str, transaction_id: int) -> Score:
    """Find the row, recompute its leaf and its path to the signed root, all in verified bytes."""
    import polars as pl

    entry = scores_entry(scores.manifest, day)
    frame = pl.read_parquet(io.BytesIO(trust.lineage().artifacts.read(scores, entry)))
    index = frame["transaction_id"].index_of(transaction_id)
    if index is None:
        raise _absent(transaction_id)
    rows = leaves(frame)
    path = merkle.inclusion_path(rows, index)
    root = merkle.root_from_path(rows[index], index, len(rows), path)
    signed = read_batch(batch.bundle.statement).batches.get(day) if batch.bundle else None
    row = frame.row(index, named=True)
    if signed is None or (signed.merkle_root, signed.rows) != (root, len(rows)):
        raise VerificationError(
            reason(
                RootCause.MERKLE_MISMATCH,
                f"row {index} of {len(rows)} does not lead to the signed root",
                artifact=SCORES,
                partition=day,
            )
        )
    return Score(transaction_id, day, row, index, len(rows), tuple(path), root)


def _below(scores: Node, chain: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Everything under the chain so far, by role, each once."""
    seen = {id(node) for _, node in chain}
    found: list[tuple[str, Node]] = []
    for root in [scores, *(node for _, node in chain)]:
        for node in root.walk():
            if id(node) not in seen:
                seen.add(id(node))
                found.append((_role(node), node))
    return found


def _role(node: Node) -> str:
    if node.provenance:
        return {
            "training_set": "training set",
            "transaction_features": "features",
            "raw_transactions": "raw days",
        }.get(node.provenance.asset, node.provenance.asset)
    if node.summary:
        return "registration decision" if node.summary.gate == "release" else "access decision"
    return node.kind


_ORDER = (
    "scores", "prediction batch", "score contract", "model", "model signature", "evaluation",
    "release decision", "approval", "registration decision", "training set", "features",
    "raw days", "contract", "acceptance", "access decision",
)  # fmt: skip


def _in_order(chain: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    rank = {role: index for index, role in enumerate(_ORDER)}
    return sorted(chain, key=lambda item: rank.get(item[0], len(rank)))


def _landing_links(trust: Trust, nodes: list[Node], wanted: set[str]) -> list[tuple[str, Link]]:
    """The landing files whose bytes the raw days in `wanted` (SHA-256) were made from."""
    found: dict[str, Link] = {}
    for node in nodes:
        material = node.provenance.material("source") if node.provenance else None
        if material is None or node.manifest is None or node.reasons:
            continue
        sources = {d for e in node.manifest.entries if e.sha256 in wanted for d in e.made_from}
        for entry in trust.store.manifest(material.digest).entries:
            if entry.sha256 in sources:
                found[entry.path] = Link(
                    kind="landing file",
                    name=entry.path,
                    digest=entry.sha256,
                    partitions=(entry.partition,),
                    detail="bound by the signed raw day",
                    distance=-1,
                )
    return [("landing file", found[path]) for path in sorted(found)]
