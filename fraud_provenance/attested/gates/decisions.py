"""Turning an answer into evidence: every decision is signed and logged, allowed or not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import GateDenied
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Answer, Policy
from fraud_provenance.attested.lineage.signers import Signers, identity_of
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement


def identity_fact(identity: Identity) -> dict[str, str]:
    """An identity as policy input."""
    return {"issuer": identity.issuer, "subject": identity.subject}


def signer_facts(bundle: VerifiedBundle) -> dict[str, Any]:
    """Statement, signer and time of a verified bundle as policy input."""
    return {
        "statement": bundle.statement.digest,
        "signer": identity_fact(bundle.identity),
        "signed_at": encoding.utc_text(bundle.signed_at),
    }


def decision_statement(
    trust: Trust,
    policy: Policy,
    *,
    gate: str,
    name: str,
    digest: str,
    inputs: Sequence[str],
    facts: Mapping[str, Any],
    answer: Answer,
    at: datetime | None = None,
) -> Statement:
    """A gate's answer about one subject, ready to be signed; given now, or `at` a time."""
    identity = identity_of(policy.layout, gate)
    return statements.build_statement(
        statements.VERIFICATION_SUMMARY,
        name,
        digest,
        statements.summary_predicate(
            verifier_id=trust.builder_id(identity),
            at=encoding.utc_text(at or trust.clock()),
            resource=f"urn:fraud-provenance:asset:{name}",
            policy_digest=policy.digest,
            inputs=inputs,
            allowed=answer.allowed,
            environment=trust.environment,
            gate=gate,
            facts=facts,
            reasons=[item.model_dump(mode="json") for item in answer.reasons],
        ),
    )


def sign_decision(
    trust: Trust,
    policy: Policy,
    *,
    gate: str,
    name: str,
    digest: str,
    inputs: Sequence[str],
    facts: Mapping[str, Any],
    answer: Answer,
) -> PendingSignature:
    """Sign a gate's answer about one subject in the background.

    Raises:
        GateDenied: after a denial was signed and logged.
    """
    statement = decision_statement(
        trust, policy, gate=gate, name=name, digest=digest, inputs=inputs, facts=facts,
        answer=answer,
    )  # fmt: skip
    return sign_answer(trust, policy, gate, statement, answer)


def sign_answer(
    trust: Trust, policy: Policy, gate: str, statement: Statement, answer: Answer
) -> PendingSignature:
    """Sign a gate's answer in the background, or let the gate's own process sign it.

    Raises:
        GateDenied: after a denial was signed and logged.
    """
    identity = identity_of(policy.layout, gate)
    if gate in trust.gates_elsewhere:
        pending = trust.signing.ask(statement, identity)
    else:
        pending = trust.signing.submit(statement, identity, check_time)
    if not answer.allowed:
        pending.result()
        raise GateDenied(*answer.reasons)
    return pending


def joined(pending: PendingSignature) -> VerifiedBundle:
    """A signed decision whose gate's clock agrees with the timestamp authority.

    Raises:
        BackendError: could not sign. VerificationError: TIME_SKEW.
    """
    signed = pending.result()
    check_time(signed)
    return signed


def check_time(signed: VerifiedBundle) -> None:
    """A decision's own time is that of its signature.

    Raises:
        VerificationError: TIME_SKEW.
    """
    Signers.check_clock(signed, signed.statement.predicate["timeVerified"])
