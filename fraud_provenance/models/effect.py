"""Whether a deployment decision may take effect now: asked again wherever one acts.

A decision is a fact about the moment in which it was signed. Between that and the move of the alias
(or the load of a champion) people may have withdrawn something, the policy may have changed, or
days may have gone by. What is asked for here comes from the store as it is now.
"""

from collections.abc import Sequence
from datetime import timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    BackendError,
    GateDenied,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import decision_statement
from fraud_provenance.attested.gates.policy import Answer, Policy
from fraud_provenance.attested.lineage.nodes import Decision, Verified
from fraud_provenance.attested.lineage.signers import MAX_CLOCK_SKEW, identity_of
from fraud_provenance.attested.statements import statements
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.registry import CHAMPION

WITHDRAWN = "deployment_decision"
"""Subject of the statement with which the gate takes a decision back that had no effect."""
_MINUTES = "undone_decision_minutes"
_MAX_REASONS = 50


def check_standing(
    trust: Trust, policy: Policy, decision: Decision, problems: Sequence[Reason]
) -> None:
    """A champion's decision still counts; `problems`: what its evidence says today.

    It lives as long as the layout lets it. The policy may have moved on and the approvals may have
    ended since then: they were good when the decision took effect. What was withdrawn was not.

    Raises:
        VerificationError: the evidence's root cause, or DECISION_EXPIRED.
    """
    unique = dict.fromkeys([*problems, *decision.all_reasons()])
    if unique:
        raise VerificationError(*sorted(unique, key=lambda item: item.distance))
    days = policy.layout.step("deploy").max_age_days
    _check_age(trust, decision, timedelta(days=days), "the champion was decided on", f"{days} days")


def take_effect(trust: Trust, statement: str) -> None:
    """Let a decision that was not carried out yet take effect, or take it back.

    1. Store and verifier look anew: the decision, all that it rests on, its files, revocations.
    2. It is minutes old. 3. The policy that decided is in force. 4. So is each approval.
    A decision that may not take effect any more is taken back: the gate signs a denial about it.
    It then decides nothing, for nobody, and uses up no approval.

    Raises:
        GateDenied: it may not, and was taken back. BackendError: could not decide, or not sign.
    """
    trust.store.refresh()
    trust.forget()
    policy = trust.policies.current()
    try:
        _check_undone(trust, policy, statement)
    except VerificationError as error:
        _take_back(trust, policy, statement, error.reasons)
        raise GateDenied(*error.reasons) from error


def taken_back(trust: Trust, policy: Policy) -> frozenset[str]:
    """The deployment decisions that the gate took back: they never had an effect."""
    lineage = trust.lineage(policy)
    found = set()
    for record in trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY):
        if record.subject_name == WITHDRAWN and record.step == "deploy":
            node = lineage.node(record.statement)
            if isinstance(node, Decision) and not node.summary.allowed:
                found.add(node.bundle.statement.subject_digest)
    return frozenset(found)


def _check_undone(trust: Trust, policy: Policy, statement: str) -> None:
    lineage = trust.lineage(policy)
    decision = lineage.node(statement)
    verdict = lineage.verify(CHAMPION, "deployment", [decision, *decision.children])
    if not verdict.trusted:
        error = VerificationError if verdict.decided else BackendError
        raise error(*verdict.reasons)
    decided = decision.expect(Decision)
    minutes = int(policy.data("thresholds")[_MINUTES]["value"])
    bound = timedelta(minutes=minutes)
    _check_clock(trust, decided)
    _check_age(trust, decided, bound, "it was decided, and not carried out,", f"{minutes} minutes")
    summary = decided.summary
    if summary.policy_digest != policy.digest:
        raise VerificationError(
            reason(
                ProductCause.DECISION_EXPIRED,
                f"it was decided under policy {summary.policy_digest[:12]}, {policy.digest[:12]} is"
                " in force",
                artifact=CHAMPION,
            )
        )
    for approval in decision.children:
        if approval.kind == "approval":
            _check_approval(trust, policy, approval.expect(Verified))


def _check_clock(trust: Trust, decision: Decision) -> None:
    """A clock that says that the decision lies ahead cannot tell how old it is."""
    signed_at, now = decision.bundle.signed_at, trust.clock()
    if signed_at > now + MAX_CLOCK_SKEW:
        raise BackendError(
            reason(
                ProductCause.FAIL_CLOSED,
                f"the decision was signed at {encoding.utc_text(signed_at)}, and this host's clock"
                f" says {encoding.utc_text(now)}",
                artifact=CHAMPION,
            )
        )


def _check_age(trust: Trust, decision: Decision, limit: timedelta, what: str, bound: str) -> None:
    signed_at = decision.bundle.signed_at
    if trust.clock() > signed_at + limit:
        raise VerificationError(
            reason(
                ProductCause.DECISION_EXPIRED,
                f"{what} more than {bound} ago",
                artifact=CHAMPION,
                at=encoding.utc_text(signed_at),
            )
        )


def _check_approval(trust: Trust, policy: Policy, approval: Verified) -> None:
    """It has not ended, and its signer is still an approver."""
    signed, identity, now = approval.bundle.statement, approval.bundle.identity, trust.clock()
    if now >= encoding.parse_utc(str(signed.predicate["expires_at"])):
        raise VerificationError(
            reason(
                ProductCause.APPROVAL_EXPIRED,
                f"the approval ended at {signed.predicate['expires_at']}",
                identity=str(identity),
            )
        )
    principal = policy.layout.principal(identity, now)
    if principal is None or policy.layout.step("approve").signer_role not in principal.roles:
        raise VerificationError(
            reason(
                ProductCause.APPROVAL_ROLE, "the signer is no approver now", identity=str(identity)
            )
        )


def _take_back(trust: Trust, policy: Policy, statement: str, reasons: Sequence[Reason]) -> None:
    """Sign that a decision has no effect; whoever looks for a champion goes past it."""
    denial = decision_statement(
        trust, policy, gate="deploy", name=WITHDRAWN, digest=statement, inputs=[statement],
        facts={}, answer=Answer(allowed=False, reasons=tuple(reasons[:_MAX_REASONS])),
    )  # fmt: skip
    trust.signing.sign(denial, identity_of(policy.layout, "deploy"))
