"""Registration, promotion and the champion: who may be what, decided and signed.

A promotion verifies everything in-process, again with the cosign binary, asks OPA, signs and logs
the decision, then moves the alias by compare-and-swap. The decision is the authority.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraud_provenance.evidence import encoding, files, statements
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import (
    BackendError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.evidence.lineage import Node, identity_of
from fraud_provenance.evidence.statements import Identity
from fraud_provenance.evidence.verdict import Verdict
from fraud_provenance.gates import cosign as cosign_binary
from fraud_provenance.gates.approvals import approval_fact, approval_nodes
from fraud_provenance.gates.decisions import identity_fact, sign_decision, signer_facts
from fraud_provenance.gates.facts import (
    METRICS,
    MODEL,
    ModelEvidence,
    collect_model,
    registration_input,
)
from fraud_provenance.gates.features import skew_problems
from fraud_provenance.gates.policy import Policy
from fraud_provenance.gates.registry import CANDIDATE, CHAMPION, RegisteredVersion, Registry
from fraud_provenance.gates.trust import Trust


@dataclass(frozen=True)
class Champion:
    """The version that a valid decision allows and the alias names."""

    version: str
    evidence: ModelEvidence
    decision: Node


def digest_of_model(trust: Trust, model_id: str) -> str:
    """The manifest digest attested for a logged model.

    Raises:
        VerificationError: DECISION_MISSING for a model that no evidence knows.
    """
    heads = trust.store.heads(MODEL).get(model_id)
    records = trust.store.records(statement=heads[0].statement) if heads else []
    if not records:
        raise VerificationError(
            reason(
                RootCause.EVIDENCE_MISSING,
                f"the registry names {model_id[:40]!r}, which no evidence attests",
                artifact=MODEL,
            )
        )
    return records[0].subject_digest


def register_candidate(trust: Trust, registry: Registry, digest: str) -> str:
    """Ask the registration gate about a model; register it as candidate if it allows.

    Raises:
        GateDenied: refused, signed and logged. BackendError: could not decide.
    """
    policy = trust.policies.current()
    evidence = collect_model(trust, policy, digest)
    document = registration_input(trust, policy, evidence)
    answer = trust.policies.ask("model_registration", document, policy)
    pending = sign_decision(
        trust,
        policy,
        gate="release",
        name=MODEL,
        digest=digest,
        inputs=[
            evidence.model.statement,
            evidence.evaluation.statement,
            evidence.signature.statement,
        ],
        facts={"evidence_set": evidence.evidence_set, "model_id": evidence.model_id},
        answer=answer,
    )
    decision = pending.result()
    assert evidence.model.provenance is not None  # noqa: S101 - registration_input checked it
    outputs = evidence.model.provenance.outputs
    version = registry.register(
        evidence.model_id,
        str(outputs["mlflow_run_id"]),
        {"manifest_sha256": digest, "registration_decision": decision.statement.digest},
    )
    current = registry.alias(CANDIDATE)
    registry.move(CANDIDATE, current.version if current else "", version)
    return version


def decisions_on(trust: Trust, policy: Policy, gate: str) -> list[Node]:
    """Every stored decision of a gate in this environment, oldest first."""
    lineage = trust.lineage(policy)
    return [
        lineage.node(record.statement)
        for record in trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY)
        if record.step == gate and record.environment == trust.environment
    ]


def registration_of(trust: Trust, policy: Policy, digest: str) -> Node:
    """The newest registration decision about a model.

    Raises:
        EvidenceError: DECISION_MISSING.
    """
    found = [
        node
        for node in decisions_on(trust, policy, "release")
        if node.bundle and node.bundle.statement.subject_digest == digest
    ]
    if not found:
        raise EvidenceError(
            reason(RootCause.DECISION_MISSING, f"model {digest[:12]} was never registered")
        )
    return found[-1]


def unused_approvals(trust: Trust, policy: Policy) -> list[Node]:
    """Approvals that no allowed deployment has consumed yet."""
    used = {
        digest
        for node in decisions_on(trust, policy, "deploy")
        if node.summary and node.summary.allowed
        for digest in node.summary.inputs
    }
    return [node for node in approval_nodes(trust, policy) if node.statement not in used]


def is_ready(trust: Trust, registry: Registry) -> str:
    """The candidate's digest if it waits with an approval of its own, else an empty string."""
    policy = trust.policies.current()
    candidate = registry.alias(CANDIDATE)
    if candidate is None:
        return ""
    digest = digest_of_model(trust, candidate.model_id)
    return (
        digest
        if any(
            node.bundle and node.bundle.statement.subject_digest == digest
            for node in unused_approvals(trust, policy)
        )
        else ""
    )


def promote(trust: Trust, registry: Registry, cosign: Callable[[], Path]) -> Champion:
    """Decide on the candidate, then make it champion.

    Raises:
        GateDenied: refused, signed and logged. VerificationError: evidence is not valid, or
        CAS_CONFLICT. BackendError: could not decide.
    """
    with files.exclusive_lock(trust.home / "run" / "promotion.lock"):
        finish_move(trust, registry)
        policy = trust.policies.current()
        candidate = registry.alias(CANDIDATE)
        if candidate is None:
            raise EvidenceError(reason(RootCause.DECISION_MISSING, "no candidate is registered"))
        digest = digest_of_model(trust, candidate.model_id)
        evidence = collect_model(trust, policy, digest)
        _check_registered(registry, candidate, evidence)
        _check_copies(trust, registry, evidence)
        decision = _decide(trust, registry, policy, evidence, cosign, candidate.version)
        current = registry.alias(CHAMPION)
        move = {"from": current.version if current else "", "to": candidate.version}
        files.write_atomic(_move_path(trust), json.dumps(move).encode())
        finish_move(trust, registry)
        return Champion(candidate.version, evidence, decision)


def last_look(trust: Trust, policy: Policy) -> None:
    """The log, up to its newest leaf, holds nothing that the store does not explain.

    It comes last, under the promotion's lock, and before an allowing decision is signed.

    Raises:
        VerificationError, BackendError: with the audit's reasons.
    """
    settled = trust.lineage(policy).revocations.log_entries
    trust.auditor().audit(policy.layout.identities(), settled=settled).check()


def _move_path(trust: Trust) -> Path:
    return trust.home / "run" / "alias-move.json"


def finish_move(trust: Trust, registry: Registry) -> None:
    """Complete a move that a decision allowed and a kill interrupted."""
    path = _move_path(trust)
    if not path.exists():
        return
    move = encoding.strict_json(files.read_once(path, limit_bytes=1 << 12))
    current = registry.alias(CHAMPION)
    if (current.version if current else "") != move["to"]:
        registry.move(CHAMPION, move["from"], move["to"])
    path.unlink()


def _check_registered(
    registry: Registry, version: RegisteredVersion, evidence: ModelEvidence
) -> None:
    location = evidence.model.provenance.outputs["location"] if evidence.model.provenance else ""
    registry.check_location(version, str(location))


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
    model, judged = evidence.model.provenance, evidence.evaluation.provenance
    if model is None or judged is None:
        return [*evidence.model.reasons, *evidence.evaluation.reasons]
    signed = judged.outputs["metrics"]
    found = registry.metrics(str(model.outputs["mlflow_run_id"]), evidence.model_id)
    return [
        reason(
            RootCause.METRIC_UNSIGNED,
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
    version: str,
) -> Node:
    registration = registration_of(trust, policy, evidence.digest)
    if registration.summary is None or registration.bundle is None:
        raise VerificationError(*registration.reasons)
    approvals = unused_approvals(trust, policy)
    facts = [(node, approval_fact(policy, node)) for node in approvals]
    known = [(node, fact) for node, fact in facts if fact is not None]
    checked = [evidence.model, evidence.evaluation, evidence.signature, registration]
    checked += [node for node, _ in known]
    document = registration_input(trust, policy, evidence)
    document["request"] |= {
        "step": "deploy",
        "identity": identity_fact(identity_of(policy.layout, "deploy")),
    }
    document |= _deployment_facts(trust, registry, policy, evidence, registration)
    document |= {
        "cosign": {
            "verified": cosign_binary.count_accepted(trust, cosign(), checked),
            "required": len(checked),
        },
        "approvals": [fact for _, fact in known],
    }
    answer = trust.policies.ask("model_deployment", document, policy)
    if answer.allowed:
        last_look(trust, policy)
    own = [node for node, fact in known if fact["model_digest"] == evidence.digest]
    mine = [node.statement for node in own]
    approvers = [str(node.bundle.identity) for node in own if node.bundle]
    pending = sign_decision(
        trust,
        policy,
        gate="deploy",
        name=MODEL,
        digest=evidence.digest,
        inputs=[
            evidence.model.statement, evidence.evaluation.statement, evidence.signature.statement,
            registration.statement, *mine,
        ],
        facts={
            "evidence_set": evidence.evidence_set,
            "model_id": evidence.model_id,
            "version": version,
            "sequence": document["current"]["sequence"] + 1,
            "approvers": approvers,
        },
        answer=answer,
    )  # fmt: skip
    signed = pending.result()
    return trust.lineage(policy).node(signed.statement.digest)


def _deployment_facts(
    trust: Trust, registry: Registry, policy: Policy, evidence: ModelEvidence, registration: Node
) -> dict[str, Any]:
    assert registration.summary is not None  # noqa: S101 - checked by the caller
    assert registration.bundle is not None  # noqa: S101 - checked by the caller
    assert evidence.model.bundle is not None  # noqa: S101 - registration_input checked it
    earlier = [
        node
        for node in decisions_on(trust, policy, "deploy")
        if node.summary and node.summary.allowed and node.bundle
    ]
    trainer = policy.layout.principal(
        evidence.model.bundle.identity, evidence.model.bundle.signed_at
    )
    facts = signer_facts(registration)
    return {
        "registration": {
            "statement": facts["statement"],
            "signer": facts["signer"],
            "allow": registration.summary.allowed and not registration.reasons,
            "model_digest": registration.bundle.statement.subject_digest,
            "policy_digest": registration.summary.policy_digest,
        },
        "policy": {"digest": policy.digest, "authors": list(policy.authors)},
        "trainer": {"principal": trainer.id if trainer else ""},
        "evidence_set": evidence.evidence_set,
        "current": {
            "champion_digest": (
                earlier[-1].bundle.statement.subject_digest
                if earlier and earlier[-1].bundle
                else ""
            ),
            "sequence": len(earlier),
        },
    }


def was_promoted(trust: Trust, registry: Registry) -> bool:
    """Whether there should be a champion: an alias names one, or a decision allowed one."""
    return registry.alias(CHAMPION) is not None or any(
        record.step == "deploy" and record.result == "PASSED"
        for record in trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY)
    )


def find_champion(trust: Trust, registry: Registry) -> Champion:
    """The champion, if alias, decision, evidence and files all agree.

    Raises:
        EvidenceError: DECISION_MISSING when nothing was ever promoted.
        VerificationError: ALIAS_WITHOUT_DECISION, DECISION_SUPERSEDED, SOURCE_MISMATCH or the
        evidence's own root cause.
    """
    policy = trust.policies.current()
    alias = _champion_alias(registry)
    allowed = [
        node
        for node in decisions_on(trust, policy, "deploy")
        if node.bundle and (node.reasons or (node.summary and node.summary.allowed))
    ]
    if allowed and not registry.is_there():
        raise _fail_closed("the registry is gone, though a decision allowed a champion")
    if alias is None and not allowed:
        raise EvidenceError(
            reason(RootCause.DECISION_MISSING, "there is no champion yet", artifact=CHAMPION)
        )
    decision = _current_decision(alias, allowed)
    assert alias is not None  # noqa: S101 - checked by _current_decision
    evidence = collect_model(trust, policy, decision.bundle.statement.subject_digest)  # type: ignore[union-attr]  # _current_decision returns only decisions with a bundle
    problems: list[Reason] = list(evidence.verdict.reasons)
    problems += [
        item.model_copy(update={"distance": below.distance})
        for below in decision.walk()
        for item in below.reasons
    ]
    if problems:
        unique = dict.fromkeys(problems)
        raise VerificationError(*sorted(unique, key=lambda item: item.distance))
    _check_registered(registry, alias, evidence)
    skew = skew_problems(trust, evidence.model)
    if skew:
        raise VerificationError(*skew)
    return Champion(alias.version, evidence, decision)


def _champion_alias(registry: Registry) -> RegisteredVersion | None:
    try:
        return registry.alias(CHAMPION)
    except BackendError as error:
        raise _fail_closed(f"the registry cannot be asked: {error}", *error.reasons) from error


def _fail_closed(message: str, *more: Reason) -> BackendError:
    return BackendError(reason(RootCause.FAIL_CLOSED, message, artifact=CHAMPION), *more)


def _current_decision(alias: RegisteredVersion | None, allowed: list[Node]) -> Node:
    """The newest allowing decision, which must be the one for the aliased version."""
    named = f"version {alias.version}" if alias else "no version"
    if not allowed:
        raise VerificationError(
            reason(
                RootCause.ALIAS_WITHOUT_DECISION,
                f"{CHAMPION} names {named}, which no decision allows",
                artifact=CHAMPION,
            )
        )
    newest = allowed[-1]
    model_ids = [str(n.summary.facts.get("model_id")) if n.summary else "" for n in allowed]
    versions = [str(n.summary.facts.get("version")) if n.summary else "" for n in allowed]
    if alias is None or alias.model_id != model_ids[-1]:
        code = RootCause.ALIAS_WITHOUT_DECISION
        if alias is not None and alias.version == versions[-1]:
            code = RootCause.SOURCE_MISMATCH  # the decided version, with another model behind it
        elif alias is not None and alias.model_id in model_ids:
            code = RootCause.DECISION_SUPERSEDED
        raise VerificationError(
            reason(
                code, f"{CHAMPION} names {named}; the newest decision another", artifact=CHAMPION
            )
        )
    return newest


def champion_verdict(trust: Trust, registry: Registry) -> tuple[Verdict, Champion | None]:
    """The champion's whole chain as a verdict, decision and approvals included."""
    try:
        champion = find_champion(trust, registry)
    except ProvenanceError as error:
        empty = Verdict.of(CHAMPION, trust.environment, "score", [], list(error.reasons))
        return empty, None
    lineage = trust.lineage()
    roots = [champion.decision, champion.evidence.evaluation, champion.evidence.signature]
    return lineage.verdict(CHAMPION, "score", [*roots, champion.evidence.model]), champion


def approver(decision: Node) -> Identity | None:
    """Who approved, from a decision's inputs."""
    for node in decision.children:
        if node.kind == "approval" and node.bundle:
            return node.bundle.identity
    return None
