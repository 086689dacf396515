"""Registration: a model becomes a candidate, if the gate allows it."""

from collections.abc import Mapping
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.gates.build_rules import code_of, surroundings_problems
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import sign_decision
from fraud_provenance.attested.gates.policy import Answer, Policy
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.models.champion import decisions_on
from fraud_provenance.models.facts import (
    MODEL,
    ModelEvidence,
    collect_model,
    registration_input,
    trusted_model,
)
from fraud_provenance.models.registry import CANDIDATE, Registry


def register_candidate(trust: Trust, registry: Registry, digest: str) -> str:
    """Ask the registration gate about a model; register it as candidate if it allows.

    Raises:
        GateDenied: refused, signed and logged. BackendError: could not decide.
    """
    policy = trust.policies.current()
    evidence = collect_model(trust, policy, digest)
    document = registration_input(trust, policy, evidence)
    answer = ask(trust, policy, "model_registration", document, evidence)
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
    outputs = trusted_model(evidence).model.provenance.outputs
    version = registry.register(
        evidence.model_id,
        str(outputs["mlflow_run_id"]),
        {"manifest_sha256": digest, "registration_decision": decision.statement.digest},
    )
    current = registry.alias(CANDIDATE)
    registry.move(CANDIDATE, current.version if current else "", version)
    return version


def ask(
    trust: Trust, policy: Policy, gate: str, document: Mapping[str, Any], evidence: ModelEvidence
) -> Answer:
    """What OPA says of the facts, and what the policy's data say of packages and branches.

    Whether a commit is on a branch only the repository can tell, so no rule can; a denial for it
    is signed and logged like any other.
    """
    code = code_of([evidence.model, evidence.evaluation])
    found = surroundings_problems(trust, policy, trusted_model(evidence).model, code)
    answer = trust.policies.ask(gate, document, policy)
    return Answer(allowed=answer.allowed and not found, reasons=(*found, *answer.reasons))


def registration_of(trust: Trust, policy: Policy, digest: str) -> Node:
    """The newest registration decision about a model.

    Raises:
        EvidenceError: DECISION_MISSING.
    """
    known = decisions_on(trust, policy, "release", digest)
    found = [node for node in known if node.claims.subject == digest]
    if not found:
        raise EvidenceError(
            reason(RootCause.DECISION_MISSING, f"model {digest[:12]} was never registered")
        )
    return found[-1]
