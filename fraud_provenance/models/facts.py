"""Verified evidence → policy input: nothing comes from a tag, a file name or a database row."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.build_rules import code_of
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import identity_fact, signer_facts
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import (
    Claims,
    Judgement,
    Materialisation,
    Node,
    Verified,
)
from fraud_provenance.attested.lineage.permissions import accepted_by, covers
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.causes.told import APPROVE, RUN

MODEL, EVALUATION = "fraud_model", "model_evaluation"
_FEED = "raw_transactions"
_TRAIN, _TRAINING_SET, _TESTED = "train", "training_set", "test"
_EVALUATE = f"{RUN} evaluates this very model; then {APPROVE}."
_IGNORED = frozenset((".git", ".gitattributes", ".github", ".gitignore"))
"""What the signing library ignores by itself; these names are never in a model folder here."""
METRICS = ("auc_roc", "average_precision", "card_precision_100")


@dataclass(frozen=True)
class ModelEvidence:
    """A model with everything that speaks for it, walked; the verdict says whether it verified."""

    model: Node
    evaluation: Node
    signature: Node
    verdict: Verdict
    made: Provenance
    """What the model's statement says, also where it is refused."""
    manifest: Manifest
    """The model's files, as that statement names them."""

    @property
    def digest(self) -> str:
        """The model's manifest digest."""
        return self.manifest.digest

    @property
    def model_id(self) -> str:
        """The model's partition: the registry's id of the logged model."""
        return self.manifest.partitions[0]

    @property
    def statements(self) -> list[str]:
        """Every statement in the walk, sorted."""
        roots = (self.model, self.evaluation, self.signature)
        return sorted({node.statement for root in roots for node in root.walk()})

    @property
    def evidence_set(self) -> str:
        """The digest that an approval binds: all statements the decision rests on."""
        return encoding.digest_json(self.statements)


@dataclass(frozen=True)
class TrustedModel:
    """The three of a model's evidence, none of them refused."""

    model: Materialisation
    evaluation: Materialisation
    signature: Verified


def model_statement(trust: Trust, digest: str) -> str:
    """The statement that attests the model manifest `digest`.

    Raises:
        EvidenceError: EVIDENCE_MISSING.
    """
    records = trust.store.records(predicate_type=statements.PROVENANCE, asset=MODEL, subject=digest)
    if not records:
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_MISSING,
                f"no statement attests model {digest[:12]}",
                artifact=MODEL,
            )
        )
    return records[-1].statement


def collect_model(trust: Trust, policy: Policy, digest: str) -> ModelEvidence:
    """Walk the model, its evaluation and its signature, files included.

    Raises:
        EvidenceError, VerificationError: a piece is missing or is about something else.
    """
    lineage = trust.lineage(policy)
    model, evaluation, signature = nodes_of(trust, lineage, digest)
    verdict = lineage.verify(f"{MODEL} {digest[:12]}", "deployment", [model, evaluation, signature])
    return ModelEvidence(model, evaluation, signature, verdict, *_read_whole(model))


def nodes_of(trust: Trust, lineage: LineageVerifier, digest: str) -> tuple[Node, Node, Node]:
    """(the model, its evaluation, its signature), walked; raises as `collect_model`."""
    model = lineage.node(model_statement(trust, digest))
    return model, evaluation_of(trust, lineage, digest), signature_of(lineage, model)


def evaluation_of(trust: Trust, lineage: LineageVerifier, digest: str) -> Node:
    """The newest evaluation that read exactly this model.

    Raises:
        EvidenceError: EVIDENCE_MISSING, there is none at all, or one is gone.
        VerificationError: SUBJECT_MISMATCH, those that there are judged other models.
    """
    records = trust.store.records(predicate_type=statements.PROVENANCE, asset=EVALUATION)
    own = _filed_under(trust, digest)  # looked at first: those of other models are many in time
    for record in sorted(reversed(records), key=lambda record: record.statement not in own):
        node = lineage.node(record.statement)
        made = node.claims.made
        materials = made.materials if made else ()
        if any(item.name == MODEL and item.digest == digest for item in materials):
            return node
        if made is None and record.subject_name == EVALUATION:
            return node  # broken: its reasons belong into the verdict
    lost = lineage.versions.problems(EVALUATION)
    if lost:
        raise EvidenceError(*lost)
    why = f"model {digest[:12]} was not evaluated"
    if records:
        why += "; the evaluations here are of other models"
        raise VerificationError(
            reason(RootCause.SUBJECT_MISMATCH, why, artifact=EVALUATION, remedy=_EVALUATE)
        )
    raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=EVALUATION))


def _filed_under(trust: Trust, digest: str) -> set[str]:
    """The evaluations that the index files under a model's own id."""
    try:
        ids = trust.store.manifest(digest).partitions
    except EvidenceError:
        return set()  # the model's own node tells
    return {head.statement for name in ids for head in trust.store.versions(EVALUATION, name)}


def signature_of(lineage: LineageVerifier, model: Node) -> Node:
    """The OpenSSF model signature; it must list exactly the files of the model's manifest.

    Raises:
        VerificationError: the model itself does not verify, or PREDICATE_TYPE.
    """
    made, manifest = _read_whole(model)
    node = lineage.node(str(made.outputs.get("model_signature", "")))
    if isinstance(node, Verified):
        problems = []
        if node.bundle.statement.predicate_type != statements.MODEL_SIGNATURE:
            why = f"{node.bundle.statement.predicate_type} stands for the model signature"
            raise VerificationError(model.explain(reason(RootCause.PREDICATE_TYPE, why)))
        predicate = node.bundle.statement.predicate
        how = predicate.get("serialization")
        ignored = how.get("ignore_paths", []) if isinstance(how, dict) else None
        if not isinstance(ignored, list) or not _IGNORED.issuperset(map(str, ignored)):
            why = f"the model signature leaves out {str(ignored)[:200]}"
            problems.append(
                reason(ProductCause.IGNORE_PATHS_UNEXPECTED, why, artifact="model signature")
            )
        listed = {
            str(item.get("name")): str(item.get("digest"))
            for item in predicate.get("resources", ())
        }
        if listed != {entry.path: entry.sha256 for entry in manifest.entries}:
            why = "the model signature covers other files than the model's manifest"
            problems.append(reason(RootCause.SUBJECT_MISMATCH, why, artifact="model signature"))
        if problems:
            return lineage.refuse(node, VerificationError(*problems))
    return node


def _read_whole(model: Node) -> tuple[Provenance, Manifest]:
    """What a model's statement says, refused or not: all of it was read.

    Raises:
        VerificationError: it was not; the reasons say why.
    """
    match model.claims:
        case Claims(said=Provenance() as made, manifest=Manifest() as manifest):
            return made, manifest
    raise model.refusal()


def registration_input(trust: Trust, policy: Policy, evidence: ModelEvidence) -> dict[str, Any]:
    """The input of the registration gate.

    Raises:
        VerificationError: a node that the facts come from did not verify.
    """
    whole = trusted_model(evidence)
    code = code_of([evidence.model, evidence.evaluation])
    return {
        "request": {
            "step": "release",
            "identity": identity_fact(_gate_identity(policy, "release")),
            "environment": trust.environment,
            "at": encoding.utc_text(trust.clock()),
        },
        "model": _model_fact(evidence.digest, whole.model),
        "code": [asdict(item) for item in code],
        "evaluation": _evaluation_fact(whole),
        "days": day_facts(trust, policy, evidence),
        "contracts": _contract_facts([evidence.model, evidence.evaluation]),
        "evidence": {
            "statements": len(evidence.statements),
            "complete": evidence.verdict.trusted,
            "missing": [str(item)[:500] for item in evidence.verdict.reasons[:20]],
        },
        "model_signature": {
            key: value
            for key, value in signer_facts(whole.signature.bundle).items()
            if key != "signed_at"
        },
    }


def trusted_model(evidence: ModelEvidence) -> TrustedModel:
    """A model, its evaluation and its signature, each whole.

    Raises:
        VerificationError: one of them is refused; the verdict's reasons, if it has any.
    """
    try:
        return TrustedModel(
            evidence.model.expect(Materialisation),
            evidence.evaluation.expect(Materialisation),
            evidence.signature.expect(Verified),
        )
    except VerificationError as error:
        raise VerificationError(*evidence.verdict.reasons or error.reasons) from error


def _gate_identity(policy: Policy, gate: str) -> statements.Identity:
    from fraud_provenance.attested.lineage.signers import identity_of

    return identity_of(policy.layout, gate)


def _model_fact(digest: str, model: Materialisation) -> dict[str, Any]:
    outputs = model.provenance.outputs
    return {
        "name": MODEL,
        "digest": digest,
        "format": outputs["format"],
        "files": [entry.path for entry in model.manifest.entries],
        "features": outputs["features"],
        "parameters": model.provenance.parameters,
    } | signer_facts(model.bundle)


def _evaluation_fact(whole: TrustedModel) -> dict[str, Any]:
    evaluation, model_files = whole.evaluation, whole.model.manifest.entries
    read = {digest for entry in evaluation.manifest.entries for digest in entry.made_from}
    sources = read - {entry.sha256 for entry in model_files}
    materials = evaluation.provenance.materials
    facts = signer_facts(evaluation.bundle)
    outputs = evaluation.provenance.outputs
    return {
        "statement": facts["statement"],
        "signer": facts["signer"],
        "model_digest": next((m.digest for m in materials if m.name == MODEL), ""),
        "dataset_sha256": dataset if (dataset := outputs["dataset_sha256"]) in sources else "",
        "training_sha256": sorted({d for entry in model_files for d in entry.made_from}),
        "metrics": {name: outputs["metrics"][name] for name in METRICS},
        "rows": outputs["metrics"]["rows"],
        "frauds": outputs["metrics"]["frauds"],
    } | {name: outputs[name] for name in ("threshold", "alert_rate") if name in outputs}


def day_facts(trust: Trust, policy: Policy, evidence: ModelEvidence) -> dict[str, str]:
    """What was known when, in days; what cannot be told is left out, and refused for that.

    The last day learnt from is that of the training set that the model really read, by the bytes
    its rows were made from and by what its own step and the model's signed. The first test day is
    what the evaluation measured.
    """
    learnt = [*_train_days(evidence.model), *_signed_days(evidence.model, _TRAIN, last=True)]
    tested = _tested_days(evidence.evaluation)
    newest = _newest_day(trust, policy)
    found = {
        "trained_until": max(learnt, default=""),
        "tested_from": min(tested, default=""),
        "newest": newest,
    }
    return {name: day for name, day in found.items() if day}


def _train_days(model: Node) -> list[str]:
    """The days whose features the train parts below a model were made from."""
    days: list[str] = []
    for made in _read_by(model, _TRAINING_SET):
        sources = {
            digest
            for entry in made.entries
            if entry.partition == _TRAIN
            for digest in entry.made_from
        }
        days += [
            entry.partition
            for features in _read_by(made)
            for entry in features.entries
            if entry.sha256 in sources
        ]
        days += _signed_days(made, _TRAIN, last=True)
    return days


def _read_by(node: Node, asset: str = "") -> list[Node]:
    """The materialisations (of one asset) that a materialisation read."""
    return [
        child
        for decision in node.children
        for child in decision.children
        if (made := child.claims.made) is not None and asset in ("", made.asset)
    ]


def _event_times(node: Node) -> dict[str, Any]:
    """The times of the first and last event of each part, as its own step signed them."""
    times = node.claims.made.outputs.get("event_time") if node.claims.made else None
    return times if isinstance(times, dict) else {}


def _signed_days(node: Node, part: str, *, last: bool) -> list[str]:
    """The day of the first or last event of a part, as its own step signed it; none if not told."""
    ends = _event_times(node).get(part)
    return [str(ends[-1 if last else 0])[:10]] if isinstance(ends, list) and ends else []


def _tested_days(evaluation: Node) -> list[str]:
    """The first test day; where none is told, the first day of whatever was measured on."""
    return _signed_days(evaluation, _TESTED, last=False) or [
        day
        for part in _event_times(evaluation)
        for day in _signed_days(evaluation, part, last=False)
    ]


def _newest_day(trust: Trust, policy: Policy) -> str:
    """The newest day of the feed that is attested and verifies."""
    lineage = trust.lineage(policy)
    heads = trust.store.heads(_FEED)
    for day in sorted(heads, reverse=True):
        if all(lineage.node(head.statement).is_sound for head in heads[day]):
            return day
    return ""


def _still_held(node: Judgement, nodes: Iterable[Node]) -> set[str]:
    """The partitions that a contract holds and that nobody of these accepted."""
    known = accepted_by(nodes)
    return {
        entry.partition
        for entry in node.manifest.entries
        if node.contract.held_findings(entry.partition)
        and not any(covers(one, node.manifest.asset, entry, node.contract) for one in known)
    }


def _contract_facts(roots: Iterable[Node]) -> list[dict[str, Any]]:
    """Per asset and suite: partitions that something was made from, and those that passed."""
    read: dict[str, set[tuple[str, str]]] = {}
    passed: dict[tuple[str, str], set[tuple[str, str]]] = {}
    checks: dict[tuple[str, str], int] = {}
    nodes = {node.statement: node for root in roots for node in root.walk()}
    for node in nodes.values():
        if isinstance(node, Judgement):
            notes = node.bundle.statement.predicate["annotations"]
            key = (node.manifest.asset, notes["suite"])
            failed = set(notes["failedPartitions"]) | _still_held(node, nodes.values())
            checks[key] = min(checks.get(key, notes["checks"]), notes["checks"])
            passed.setdefault(key, set()).update(
                (entry.partition, entry.sha256)
                for entry in node.manifest.entries
                if entry.partition not in failed and notes["rows"].get(entry.partition, 0) > 0
            )
        for decision in node.children if node.claims.made else ():
            if (summary := decision.claims.decided) is None:
                continue
            partitions = set(summary.facts.get("partitions", ()))
            read.setdefault(str(summary.facts.get("asset")), set()).update(
                (entry.partition, entry.sha256)
                for child in decision.children
                if child.kind == "materialisation"
                for entry in child.entries
                if entry.partition in partitions
            )
    return [
        {
            "asset": asset,
            "suite": suite,
            "partitions": len(read.get(asset, ())),
            "passed": len(read.get(asset, set()) & good),
            "checks": checks[(asset, suite)],
        }
        for (asset, suite), good in sorted(passed.items())
    ]
