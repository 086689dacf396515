"""Approvals: a person's signature under one exact model, environment, evidence set and policy."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    GateDenied,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import identity_fact
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Node, below
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.people import Approval
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.facts import MODEL, ModelEvidence

VALID_DAYS = 7
_WITHDRAWN = frozenset((RootCause.APPROVAL_REVOKED, RootCause.KEY_REVOKED))
_UNJUDGED = frozenset((RootCause.TIME_SKEW, RootCause.VERIFY_ERROR))
_BOUND = {"environment", "evidence_set", "policy_digest", "issued_at", "expires_at"}


def approve(
    trust: Trust, policy: Policy, evidence: ModelEvidence, email: str, environment: str, why: str
) -> VerifiedBundle:
    """Sign an approval as the person behind `email`.

    Raises:
        ConfigError: no reason was given.
        GateDenied: the person is not a known approver; the gate would refuse it anyway.
    """
    if not why.strip():
        raise ConfigError(reason(RootCause.USAGE, "an approval needs a reason"))
    identity = identities.of_person(email)
    principal = policy.layout.principal(identity, trust.clock())
    if principal is None:
        raise GateDenied(
            reason(
                RootCause.APPROVAL_UNKNOWN_PERSON,
                f"{email} is no principal of this policy",
                identity=email,
            )
        )
    if "approver" not in principal.roles:
        own = "trainer" in principal.roles
        raise GateDenied(
            reason(
                ProductCause.SELF_APPROVAL if own else ProductCause.APPROVAL_ROLE,
                f"{email} ({principal.id}) has the roles {', '.join(principal.roles)}",
                identity=email,
            )
        )
    if environment != trust.environment:
        raise GateDenied(
            reason(
                ProductCause.APPROVAL_ENV,
                f"this home's evidence is for {trust.environment!r}, not {environment!r}",
            )
        )
    trust.signing.sign_in(identity)
    now = trust.clock()
    said = Approval(
        environment=environment,
        evidence_set=evidence.evidence_set,
        policy_digest=policy.digest,
        **issued(now),
        expires_at=encoding.utc_text(now + timedelta(days=VALID_DAYS)),
        reason=why.strip(),
    )
    return trust.signing.sign(statements.said(MODEL, evidence.digest, said), identity)


Signed = tuple[Node, VerifiedBundle]
"""A statement whose signature verified, refused or not, and its bundle."""


def approval_nodes(trust: Trust, policy: Policy) -> list[Signed]:
    """Every stored approval that verifies as a signature, whoever signed it, with its bundle.

    The policy judges role, subject, environment and expiry; only signatures that do not verify at
    all are left out here.
    """
    lineage = trust.lineage(policy)
    nodes = [
        lineage.node(record.statement)
        for record in trust.store.records(predicate_type=statements.APPROVAL)
    ]
    return [(node, bundle) for node in nodes if (bundle := node.claims.bundle) is not None]


def approval_fact(policy: Policy, given: Signed, *, superseded: bool) -> dict[str, Any] | None:
    """One approval as policy input; None where its signer is no principal or it is malformed.

    It was issued when the timestamp authority says, whatever the approver's clock said.
    `superseded`: a deployment came after it.
    """
    node, bundle = given
    principal = policy.layout.principal(bundle.identity, bundle.signed_at)
    enrolled = principal.enrolled(bundle.identity) if principal else None
    if principal is None or enrolled is None:
        return None
    predicate = bundle.statement.predicate
    if not predicate.keys() >= _BOUND or any(item.code in _UNJUDGED for item in node.reasons):
        return None  # it binds nothing that could be judged, so it approves nothing
    return {
        "statement": node.statement,
        "identity": identity_fact(enrolled),  # as the policy spells it
        "principal": principal.id,
        "roles": list(principal.roles),
        "model_digest": bundle.statement.subject_digest,
        "environment": predicate["environment"],
        "evidence_set": predicate["evidence_set"],
        "policy_digest": predicate["policy_digest"],
        "issued_at": encoding.utc_text(bundle.signed_at),
        "expires_at": predicate["expires_at"],
        "revoked": _is_withdrawn(node),
        "superseded": superseded,
    }


def premature(evidence: ModelEvidence, approvals: Iterable[Node]) -> dict[str, list[Reason]]:
    """By statement, why approvals of this very evidence do not count: it was not there yet."""
    roots = (evidence.model, evidence.evaluation, evidence.signature)
    found = {}
    for node in approvals:
        bundle = node.claims.bundle
        if bundle is None or (
            bundle.statement.predicate.get("evidence_set") != evidence.evidence_set
        ):
            continue  # of other evidence, which the policy judges
        try:
            Signers.check_assent(node, below(roots))
        except VerificationError as error:
            found[node.statement] = [*error.reasons]
    return found


def _is_withdrawn(node: Node) -> bool:
    """Whether the approval itself or its signer was revoked."""
    return any(item.code in _WITHDRAWN for item in node.reasons)
