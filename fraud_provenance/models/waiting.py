"""Approvals that wait for a promotion, those that one used up, and those that were judged.

A deployment uses up every approval that was signed before it, of whichever model: who approved a
model a while ago did not say that it should replace what was decided on since.
"""

from collections.abc import Callable, Iterator
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.statements import Summary
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.approvals import Signed, approval_fact, approval_nodes
from fraud_provenance.models.champion import decisions_on, deployments

# Whoever signed such a decision was not the gate: it uses up nothing.
_NO_DECISION = frozenset(
    (
        RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
        RootCause.ISSUER_MISMATCH,
        RootCause.PREDICATE_TYPE,
        RootCause.ENVIRONMENT_MISMATCH,
    )
)
_FINAL = frozenset((ProductCause.SELF_APPROVAL, RootCause.MODEL_REVOKED))


def unused_approvals(trust: Trust, policy: Policy) -> list[Signed]:
    """Approvals given since the last deployment, oldest first.

    Raises:
        VerificationError, EvidenceError: the deployments cannot be told.
    """
    is_used_up = _used_up(trust, policy)
    return [given for given in approval_nodes(trust, policy) if not is_used_up(given[1])]


def known_approvals(trust: Trust, policy: Policy, digest: str) -> list[tuple[Node, dict[str, Any]]]:
    """The approvals that the gate judges for model `digest`, each with its fact.

    What was withdrawn, or used up for this very model, is named where there is nothing else, and
    forgotten beside a new one.

    Raises:
        As `unused_approvals`.
    """
    is_used_up = _used_up(trust, policy)
    given = []
    for node, bundle in approval_nodes(trust, policy):
        is_old = is_used_up(bundle)
        fact = approval_fact(policy, (node, bundle), superseded=is_old)
        if fact is not None and (not is_old or fact["model_digest"] == digest):
            given.append((node, fact))
    return [item for item in given if not (item[1]["revoked"] or item[1]["superseded"])] or given


def waiting_models(trust: Trust, policy: Policy) -> list[str]:
    """Models with approvals that no deployment used up, and not refused for good.

    Raises:
        As `unused_approvals`.
    """
    refused = {
        (bundle.statement.subject_digest, digest)
        for node, bundle, said in _read_decisions(trust, policy)
        if _is_final(node, bundle, said)
        for digest in said.inputs
    }
    found = dict.fromkeys(
        subject
        for node, bundle in unused_approvals(trust, policy)
        if ((subject := bundle.statement.subject_digest), node.statement) not in refused
    )
    return list(found)


def superseded_model(trust: Trust, policy: Policy, champion: str) -> str:
    """A model, not the champion, of which an approval was used up before anybody judged it.

    Asked for explicitly it is refused, once: then it was judged. Nothing waits for it.

    Raises:
        As `unused_approvals`.
    """
    is_used_up = _used_up(trust, policy)
    judged = {digest for _, _, said in _read_decisions(trust, policy) for digest in said.inputs}
    for node, bundle in approval_nodes(trust, policy):
        subject = bundle.statement.subject_digest
        if node.statement not in judged and subject != champion and is_used_up(bundle):
            return subject
    return ""


def _read_decisions(trust: Trust, policy: Policy) -> Iterator[tuple[Node, VerifiedBundle, Summary]]:
    """The deployment gate's decisions that can be read, refused ones too, and what each says."""
    for node in decisions_on(trust, policy, "deploy"):
        if said := node.claims.decided:
            yield node, node.signed(), said


def _used_up(trust: Trust, policy: Policy) -> Callable[[VerifiedBundle], bool]:
    """Whether a deployment came after an approval.

    Both the order in the log and the timestamps count: an approval that was signed before and
    logged later is as old as its signature.
    """
    made = [
        bundle
        for node in deployments(trust, policy)
        if (bundle := node.claims.bundle)
        and not any(item.code in _NO_DECISION for item in node.reasons)
    ]

    def is_used_up(given: VerifiedBundle) -> bool:
        return any(
            given.logged < later.logged or given.signed_at < later.signed_at for later in made
        )

    return is_used_up


def _is_final(decision: Node, bundle: VerifiedBundle, said: Summary) -> bool:
    """Whether a model was refused for its approvals alone, or was withdrawn: for good, that is."""
    notes = bundle.statement.predicate["annotations"]
    codes = {str(item.get("code")) for item in notes.get("reasons", ())}
    is_final = all(code.startswith("APPROVAL_") or code in _FINAL for code in codes)
    is_signed = all(item.code == RootCause.MODEL_REVOKED for item in decision.reasons)
    return bool(codes) and is_final and is_signed and not said.allowed
