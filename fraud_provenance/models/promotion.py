"""Promotion: which model is the champion, decided and signed.

A promotion verifies everything in-process, again with the cosign binary, asks OPA, signs and logs
the decision, then moves the alias by compare-and-swap. The decision is the authority.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    GateDenied,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates import cosign as cosign_binary
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import (
    check_time,
    decision_statement,
    identity_fact,
    signer_facts,
)
from fraud_provenance.attested.gates.policy import Answer, Policy
from fraud_provenance.attested.lineage.nodes import Decision, Node, Verified
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.people import PromotionRequest
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.approvals import premature
from fraud_provenance.models.champion import (
    Champion,
    approver,
    champion_verdict,
    check_registered,
    decisions_on,
    deployments,
    digest_of_model,
    find_champion,
    was_promoted,
)
from fraud_provenance.models.effect import take_effect, taken_back
from fraud_provenance.models.facts import (
    METRICS,
    MODEL,
    ModelEvidence,
    collect_model,
    registration_input,
    trusted_model,
)
from fraud_provenance.models.registration import ask, registration_of
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, RegisteredVersion, Registry
from fraud_provenance.models.view_skew import skew_problems
from fraud_provenance.models.waiting import (
    known_approvals,
    superseded_model,
    unused_approvals,
    waiting_models,
)

__all__ = [
    "Champion",
    "approver",
    "champion_verdict",
    "decisions_on",
    "digest_of_model",
    "find_champion",
    "finish_move",
    "is_ready",
    "last_look",
    "live_model",
    "promote",
    "unused_approvals",
    "was_promoted",
]

_MAX_REASONS = 50  # that a denial repeats
_MOVE = "run/alias-move.json"


def is_ready(trust: Trust, registry: Registry) -> str:
    """The digest of the model whose promotion is due, or an empty string.

    Due is a registered model with an approval that nobody has judged yet: the candidate before
    others, the champion if it was approved again.
    """
    chosen = _chosen(trust, registry, trust.policies.current())
    return chosen[1] if chosen else ""


def live_model(trust: Trust) -> str:
    """The digest of the model that the newest deployment allows; empty before the first.

    For people to read: whoever relies on a champion asks `find_champion`.
    """
    made = deployments(trust, trust.policies.current())
    return (made[-1].claims.subject if made else None) or ""


def _chosen(
    trust: Trust, registry: Registry, policy: Policy
) -> tuple[RegisteredVersion, str] | None:
    waiting = waiting_models(trust, policy)
    candidate = registry.alias(CANDIDATE)
    if candidate is not None:
        digest = digest_of_model(trust, candidate.model_id)
        if digest in waiting:
            return candidate, digest
    for digest in waiting:
        version = _version_of(trust, registry, digest)
        if version is not None:
            return version, digest
    return None


def _version_of(trust: Trust, registry: Registry, digest: str) -> RegisteredVersion | None:
    records = trust.store.records(predicate_type=statements.PROVENANCE, asset=MODEL, subject=digest)
    ids = trust.store.manifest(digest).partitions if records else ()
    return registry.of_model(ids[0]) if ids else None


def promote(trust: Trust, registry: Registry, cosign: Callable[[], Path]) -> Champion:
    """Decide on the model whose promotion is due (else on the candidate), then make it champion.

    1. What a killed promotion left is finished. 2. The evidence is walked. 3. A request is signed:
    its timestamp is the time by which everything is judged. 4. Cosign verifies. 5. OPA decides.
    6. The log's tail is looked at. 7. The move is journalled, the decision signed and logged.
    8. If another promotion was logged first, this one is void. 9. The alias moves, if it still
    names what it named and the decision may still take effect.

    Of two at once the second waits. What the first one made is its answer if nothing is left to
    decide: an approval that was used up is refused only to who asks afterwards.

    Raises:
        GateDenied: refused, signed and logged. VerificationError: evidence is not valid, or
        CAS_CONFLICT. BackendError: could not decide.
    """
    begun = len(trust.store.chain(DEPLOYMENTS))
    with trust.locks.held("promotion"):
        trust.self_check()
        _recover_move(trust, registry)
        policy = trust.policies.current()
        chosen = _chosen(trust, registry, policy)
        if chosen is None:
            standing = _standing(trust, registry)
            if standing is not None and len(trust.store.chain(DEPLOYMENTS)) > begun:
                return standing
            chosen = _asked_for(trust, registry, policy, standing)
            if chosen is None:
                assert standing is not None  # noqa: S101 - else something was asked for
                return standing  # asked twice: decided and done
        version, digest = chosen
        evidence = collect_model(trust, policy, digest)
        check_registered(registry, version, evidence)
        if evidence.verdict.trusted:  # else its root cause comes first
            _check_copies(trust, registry, evidence)
        decision = _decide(trust, registry, policy, evidence, cosign, version)
        _finish_move(trust, registry)
        return Champion(version.version, evidence, decision.expect(Decision))


def _asked_for(
    trust: Trust, registry: Registry, policy: Policy, standing: Champion | None
) -> tuple[RegisteredVersion, str] | None:
    """What an explicit promotion means while nothing waits: the candidate, if it is not champion.

    Else the model whose approval the last promotion used up: whoever gave it is told so.
    """
    if standing is not None:
        digest = superseded_model(trust, policy, standing.evidence.digest)
        version = _version_of(trust, registry, digest) if digest else None
        return (version, digest) if version is not None else None
    candidate = registry.alias(CANDIDATE)
    if candidate is None:
        raise EvidenceError(reason(RootCause.DECISION_MISSING, "no candidate is registered"))
    return candidate, digest_of_model(trust, candidate.model_id)


def _standing(trust: Trust, registry: Registry) -> Champion | None:
    """The champion, if the candidate is it already."""
    candidate, champion = registry.alias(CANDIDATE), registry.alias(CHAMPION)
    if candidate is None or champion is None or candidate.version != champion.version:
        return None
    try:
        return find_champion(trust, registry)
    except ProvenanceError:
        return None


def last_look(trust: Trust, policy: Policy) -> None:
    """The log, up to its newest leaf, holds nothing that the store does not explain.

    It comes last, under the promotion's lock, and before an allowing decision is signed.

    Raises:
        VerificationError, BackendError: with the audit's reasons.
    """
    settled = trust.lineage(policy).revocations.log_entries
    trust.auditor().audit(policy.layout.identities(), settled=settled).check()


def finish_move(trust: Trust, registry: Registry) -> None:
    """Complete a move that a decision allowed and a kill interrupted; cheap if there is none."""
    if trust.memory.read(_MOVE) is not None:
        with trust.locks.held("promotion"):
            _recover_move(trust, registry)


def _recover_move(trust: Trust, registry: Registry) -> None:
    """Finish what a killed promotion left, after a look at what was logged since."""
    if trust.memory.read(_MOVE) is not None:
        last_look(trust, trust.policies.current())
        _finish_move(trust, registry)


def _finish_move(trust: Trust, registry: Registry) -> None:
    """Move the alias as journalled, if the decision was signed, is the newest and has effect.

    The journal is a note of what to do next; that it may be done, the decision says.
    """
    document = trust.memory.read(_MOVE)
    if document is None:
        return
    move = encoding.strict_json(document)
    policy = trust.policies.current()
    decided = deployments(trust, policy)
    try:
        decision = str(move.get("decision")) if isinstance(move, dict) else ""
        is_due = trust.store.has(decision) and decision not in taken_back(trust, policy)
        if is_due:  # else it was killed before anything was decided, or after it was taken back
            _move_alias(trust, registry, decision, decided[-1] if decided else None)
    except (VerificationError, GateDenied):
        trust.memory.change(_MOVE, _gone)  # a conflict stays one; evidence and alias say what holds
        raise
    trust.memory.change(_MOVE, _gone)


def _gone(_move: bytes | None) -> None:
    """For `Memory.change`: what was to be done is done, or will not be."""


def _move_alias(trust: Trust, registry: Registry, decision: str, newest: Node | None) -> None:
    said = newest.claims.decided if newest is not None and newest.statement == decision else None
    if said is None:
        raise VerificationError(
            reason(
                ProductCause.CAS_CONFLICT,
                "another promotion was logged first; this decision is void",
                artifact=MODEL,
            )
        )
    facts, current = said.facts, registry.alias(CHAMPION)
    if (current.version if current else "") != facts.get("version"):
        with registry.asking(lambda: take_effect(trust, decision)):
            registry.move(CHAMPION, str(facts.get("from_version")), str(facts.get("version")))


def _check_copies(trust: Trust, registry: Registry, evidence: ModelEvidence) -> None:
    """Feature definitions and MLflow's metrics must agree with what was signed.

    Raises:
        VerificationError: FEATURE_SKEW or METRIC_UNSIGNED.
    """
    problems = skew_problems(trust, evidence.model) + metric_problems(registry, evidence)
    if problems:
        raise VerificationError(*problems)


def metric_problems(registry: Registry, evidence: ModelEvidence) -> list[Reason]:
    """One reason for each metric in MLflow that is not the signed one; no gate reads MLflow's."""
    judged = evidence.evaluation.claims.made
    if judged is None:
        return [*evidence.model.reasons, *evidence.evaluation.reasons]
    signed = judged.outputs["metrics"]
    found = registry.metrics(str(evidence.made.outputs["mlflow_run_id"]), evidence.model_id)
    return [
        reason(
            ProductCause.METRIC_UNSIGNED,
            f"MLflow says {name} = {value}, the signed evaluation {signed[name]}",
            artifact=MODEL,
        )
        for name, value in found
        if name in METRICS and value != signed[name]
    ]


def _decide(
    trust: Trust,
    registry: Registry,
    policy: Policy,
    evidence: ModelEvidence,
    cosign: Callable[[], Path],
    version: RegisteredVersion,
) -> Node:
    if not evidence.verdict.decided:
        raise BackendError(*evidence.verdict.reasons)
    request = _request(trust, policy, evidence)
    registration = registration_of(trust, policy, evidence.digest)
    registered = _registration_facts(registration)
    roots = [evidence.model, evidence.evaluation, evidence.signature, registration, request]
    known = known_approvals(trust, policy, evidence.digest)
    early = premature(evidence, [node for node, _ in known])
    document: dict[str, Any] = {}
    if evidence.verdict.trusted:
        document = registration_input(trust, policy, evidence)
        document["request"] = {
            "step": "deploy",
            "identity": identity_fact(identity_of(policy.layout, "deploy")),
            "environment": trust.environment,
            "at": encoding.utc_text(request.bundle.signed_at),
        }
        document |= {"registration": registered} | _deployment_facts(trust, policy, evidence)
        checked = [node.signed() for node in (*roots, *(node for node, _ in known))]
        document |= {
            "cosign": {
                "verified": cosign_binary.count_accepted(trust, cosign(), checked),
                "required": len(checked),
            },
            "approvals": [fact for node, fact in known if node.statement not in early],
        }
        answer = ask(trust, policy, "model_deployment", document, evidence)
        if not answer.allowed:
            why = [item for reasons in early.values() for item in reasons]
            answer = Answer(allowed=False, reasons=(*why, *answer.reasons))
    else:  # no policy can allow what does not verify; the root cause is the reason
        answer = Answer(allowed=False, reasons=evidence.verdict.reasons[:_MAX_REASONS])
    if answer.allowed:
        last_look(trust, policy)
    # An approval with a flaw is named by a denial, and never carries a permission.
    own = [
        node
        for node, fact in known
        if fact["model_digest"] == evidence.digest
        and not (
            answer.allowed
            and (node.reasons or node.statement in early or not _binds(fact, document))
        )
    ]
    return _sign_deployment(trust, registry, policy, evidence, answer, [*roots, *own], version, own)


def _binds(fact: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether an approval is of exactly what is decided now."""
    return (fact["environment"], fact["evidence_set"], fact["policy_digest"]) == (
        document["request"]["environment"],
        document["evidence_set"],
        document["policy"]["digest"],
    ) and str(fact["expires_at"]) > str(document["request"]["at"])


def _request(trust: Trust, policy: Policy, evidence: ModelEvidence) -> Verified:
    """Sign that a promotion is about to be decided: the time-stamp tells the time.

    Raises:
        VerificationError: TIME_SKEW. BackendError: could not sign.
    """
    said = PromotionRequest(
        environment=trust.environment,
        at=encoding.utc_text(trust.clock()),
        evidence_set=evidence.evidence_set,
    )
    statement = statements.said(MODEL, evidence.digest, said)
    signed = trust.signing.sign(statement, identity_of(policy.layout, "promotion_request"))
    node = trust.lineage(policy).node(signed.statement.digest)
    if not isinstance(node, Verified):
        raise VerificationError(*node.reasons)
    return node


def _sign_deployment(
    trust: Trust,
    registry: Registry,
    policy: Policy,
    evidence: ModelEvidence,
    answer: Answer,
    inputs: Sequence[Node],
    version: RegisteredVersion,
    approvals: Sequence[Node],
) -> Node:
    """Sign the decision as the next of its chain; a move it allows is journalled before."""
    lineage = trust.lineage(policy)
    sequence, previous = lineage.versions.next(DEPLOYMENTS)
    current = registry.alias(CHAMPION)
    statement = decision_statement(
        trust, policy, gate="deploy", name=MODEL, digest=evidence.digest,
        inputs=[node.statement for node in inputs if node.claims.bundle],
        facts={
            "evidence_set": evidence.evidence_set,
            "model_id": evidence.model_id,
            "sequence": sequence,
            "previous": previous,
            "from_version": current.version if current else "",
            "version": version.version,
            "approvers": [str(said.identity) for node in approvals if (said := node.claims.bundle)],
        },
        answer=answer,
    )  # fmt: skip
    if answer.allowed:
        move = {"decision": statement.digest}
        trust.memory.change(_MOVE, lambda _: encoding.canonical_json(move))
    signed = trust.signing.sign(statement, identity_of(policy.layout, "deploy"), check_time)
    if not answer.allowed:
        raise GateDenied(*answer.reasons)
    lineage.versions.seen.remember(DEPLOYMENTS, sequence, signed.statement.digest)
    return trust.lineage(policy).node(signed.statement.digest)


def _registration_facts(registration: Node) -> dict[str, Any]:
    """What the registration gate said; where that is refused, it allowed nothing.

    Raises:
        VerificationError: it cannot be read at all.
    """
    bundle, said = registration.signed(), registration.claims.decided
    if said is None:
        raise registration.refusal()
    facts = signer_facts(bundle)
    return {
        "statement": facts["statement"],
        "signer": facts["signer"],
        "allow": said.allowed and not registration.reasons,
        "model_digest": bundle.statement.subject_digest,
        "policy_digest": said.policy_digest,
    }


def _deployment_facts(trust: Trust, policy: Policy, evidence: ModelEvidence) -> dict[str, Any]:
    earlier, model = deployments(trust, policy), trusted_model(evidence).model.bundle
    trainer = policy.layout.principal(model.identity, model.signed_at)
    return {
        "policy": {"digest": policy.digest, "authors": list(policy.authors)},
        "trainer": {"principal": trainer.id if trainer else ""},
        "evidence_set": evidence.evidence_set,
        "current": {
            "champion_digest": (earlier[-1].claims.subject if earlier else None) or "",
            "sequence": len(earlier),
        },
    }
