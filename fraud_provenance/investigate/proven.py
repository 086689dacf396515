"""What must hold for a subject by evidence alone, and which statements that takes.

Asked twice of the same code: by `export` of the home, and by `verify --offline` of the home that
the file makes. Where the walk begins follows from the subject and from the evidence that is there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import (
    Decision,
    Judgement,
    Materialisation,
    Node,
    Verified,
)
from fraud_provenance.attested.lineage.permissions import accepted_by, covers
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.investigate.proof_file import Row, Subject
from fraud_provenance.investigate.subjects import asset_roots
from fraud_provenance.models.effect import WITHDRAWN
from fraud_provenance.models.facts import evaluation_of, model_statement, signature_of
from fraud_provenance.models.registry import CANDIDATE, CHAMPION
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions.batch import SCORES, read_batch
from fraud_provenance.predictions.log import batch_about, batch_problems
from fraud_provenance.predictions.versions import version_problems, versions_of_day


@dataclass
class Found:
    """Where the walk begins, and what speaks against the subject beside it."""

    roots: list[Node] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)
    partitions: dict[str, Collection[str]] | None = None

    def add(self, *nodes: Node | None) -> None:
        """More places to begin at."""
        known = {node.statement for node in self.roots}
        self.roots += [node for node in nodes if node and node.statement not in known]


def proven(trust: Trust, subject: Subject) -> Verdict:
    """The verdict on a subject by evidence alone: files on disk are neither read nor asked for."""
    found = Found()
    try:
        match subject.kind:
            case "partition":
                _partition(trust, subject, found)
            case "score":
                _score(trust, subject, found)
            case "model":
                _model(trust, subject, found)
            case _:
                found.add(trust.lineage().node(subject.statement))
    except ProvenanceError as error:
        found.problems += error.reasons
    return trust.lineage().verify(
        subject.name, "export", found.roots, found.problems,
        with_files=False, partitions=found.partitions,
    )  # fmt: skip


# --- partitions ------------------------------------------------------------------------------


def _partition(trust: Trust, subject: Subject, found: Found) -> None:
    asset, partition = subject.asset, subject.partition
    if not trust.policies.current().layout.producer(asset):
        raise _missing(f"no step makes {asset[:80]}")
    found.add(*asset_roots(trust, asset, partition))
    made = _newest(trust, asset, partition)
    if _files(made, partition) != dict(subject.files):
        raise _other(f"the newest version of {subject.name[:120]} has other files")
    found.partitions = {made.statement: {partition}}
    found.problems += _unjudged(trust, made, partition, found.roots)


def _newest(trust: Trust, asset: str, partition: str) -> Materialisation:
    """The newest statement that names a partition; it must verify.

    Raises:
        EvidenceError, VerificationError: there is none, or it does not verify.
    """
    heads = trust.store.heads(asset).get(partition)
    if not heads:
        raise _missing(f"nothing attests {asset[:80]}/{partition[:80]}")
    return trust.lineage().node(heads[0].statement).expect(Materialisation)


def _files(node: Materialisation, partition: str) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in node.entries if entry.partition == partition}


def _unjudged(
    trust: Trust, made: Materialisation, partition: str, nodes: Iterable[Node]
) -> list[Reason]:
    """Every suite of the layout has judged each file of a partition, and it passed or was accepted.

    More than a reader of the home is asked for: a file whose failed result was left out must not
    look like one that was never judged.
    """
    asset = made.provenance.asset
    judged = [node for node in nodes if isinstance(node, Judgement)]
    accepted = accepted_by(nodes)
    problems = []
    for suite in trust.policies.current().layout.suites(asset):
        if suite == score_contract.SUITE and not _is_due(trust, made):
            continue
        for entry in made.entries:
            if entry.partition != partition:
                continue
            codes = {
                None
                if (code := node.contract.judges(partition)) == RootCause.DATA_HELD
                and any(covers(one, asset, entry, node.contract) for one in accepted)
                else code
                for node in judged
                if node.contract.suite == suite and entry in node.entries
            } or {RootCause.CHECK_MISSING}  # fmt: skip
            if codes != {None}:
                code = next(code for code in codes if code)
                why = f"{suite} has not passed on {entry.path}"
                problems.append(reason(code, why, artifact=asset, partition=partition))
    return problems


def _is_due(trust: Trust, scores: Node) -> bool:
    return score_contract.is_due(scores, score_contract.due_since(trust))


# --- scores ----------------------------------------------------------------------------------


def _score(trust: Trust, subject: Subject, found: Found) -> None:
    row = subject.row
    if row is None:
        raise _missing("the subject is a score, and no row is shown")
    scores = _newest(trust, SCORES, row.day)
    found.partitions = {scores.statement: {row.day}}
    found.add(scores)
    batch = batch_about(trust, scores)
    if batch is None:
        raise _missing("no prediction batch covers these scores")
    found.add(batch)
    said = batch.expect(Verified).bundle.statement
    claims = read_batch(said)
    found.problems += batch_problems(trust, claims, scores, said.subject_digest)
    signed = claims.batches.get(row.day)
    if signed is None or (signed.merkle_root, signed.rows) != (_root(row), row.rows):
        why = f"row {row.index} of {row.rows} does not lead to the signed root"
        place = {"artifact": SCORES, "partition": row.day}
        found.problems.append(reason(ProductCause.MERKLE_MISMATCH, why, **place))
    found.add(trust.lineage().node(claims.decision), *_of_model(trust, claims.model_digest))
    found.add(score_contract.result_of(trust, scores, row.day))
    found.problems += _unjudged(trust, scores, row.day, found.roots)
    versions = versions_of_day(trust, row.day)
    found.problems += version_problems({row.day: versions})
    found.add(*(item.item.node for item in versions), *(item.scores for item in versions))


def _root(row: Row) -> str:
    """Where a row's leaf and path lead; it must be the leaf of the transaction that is named."""
    if row.leaf.split(",")[0] != str(row.transaction_id) or not row.leaf.isascii():
        raise _other(f"the row is not that of transaction {row.transaction_id}")
    try:
        leaf = row.leaf.encode("ascii")
        root = merkle.root_from_path(leaf, row.index, row.rows, row.path)
    except ValueError as error:
        why = f"the path of the row: {error}"
        raise VerificationError(reason(ProductCause.MERKLE_MISMATCH, why)) from error
    if any(item != item.lower() or len(item) != 64 for item in row.path):
        raise VerificationError(reason(ProductCause.MERKLE_MISMATCH, "a hash has another form"))
    return root


# --- models ----------------------------------------------------------------------------------


def _of_model(trust: Trust, digest: str) -> list[Node]:
    """Model, evaluation and model signature: each verifies and is of this very model."""
    lineage = trust.lineage()
    model = lineage.node(model_statement(trust, digest)).expect(Materialisation)
    return [model, evaluation_of(trust, lineage, digest), signature_of(lineage, model)]


def _model(trust: Trust, subject: Subject, found: Found) -> None:
    found.add(*_of_model(trust, subject.model))
    if subject.alias == CHAMPION:
        _champion(trust, subject.model, found)
    elif subject.alias == CANDIDATE:
        decision = _decisions(trust, "release", subject.model)[-1:]
        said = decision[0].claims.decided if decision else None
        if said is None or not said.allowed:
            raise VerificationError(reason(RootCause.DECISION_MISSING, "it was never registered"))
        found.add(*decision)
    elif subject.alias:
        raise _missing(f"no decision makes a model {subject.alias[:40]!r}")


def _decisions(trust: Trust, gate: str, digest: str) -> list[Node]:
    """A gate's decisions about one subject, oldest first."""
    kind = statements.VERIFICATION_SUMMARY
    records = trust.store.records(predicate_type=kind, subject=digest)
    return [trust.lineage().node(item.statement) for item in records if item.step == gate]


def _champion(trust: Trust, digest: str, found: Found) -> None:
    """The newest deployment that was not taken back is of this model."""
    lineage = trust.lineage()
    problems = lineage.versions.problems(DEPLOYMENTS)
    if problems:
        raise VerificationError(*problems)
    for link in reversed(lineage.versions.links(DEPLOYMENTS)):
        node = lineage.node(link.statement)
        found.add(node)
        back = [item for item in _decisions(trust, "deploy", link.statement)
                if item.name == f"deploy decision on {WITHDRAWN}"
                and isinstance(item, Decision) and not item.summary.allowed]  # fmt: skip
        if back:
            found.add(*back)
            continue
        decision = node.expect(Decision)
        said, about = decision.summary, decision.bundle.statement.subject_digest
        if (said.gate, said.allowed, said.facts.get("sequence")) != ("deploy", True, link.sequence):
            raise node.refusal()
        if about != digest:
            why = f"the newest decision made {about[:12]} champion"
            raise VerificationError(
                reason(ProductCause.DECISION_SUPERSEDED, why, artifact=CHAMPION)
            )
        return
    raise VerificationError(reason(RootCause.DECISION_MISSING, "no decision made it champion"))


def _missing(why: str) -> EvidenceError:
    return EvidenceError(reason(RootCause.EVIDENCE_MISSING, why))


def _other(why: str) -> VerificationError:
    return VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
