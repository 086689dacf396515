"""The champion: the model that the newest deployment decision allows and the alias names.

The decision is the authority, the alias a hint: where they differ, there is no champion.
"""

from dataclasses import dataclass

from fraud_provenance.attested.core.codes import Cause, RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Decision, Node, Verified
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.effect import check_standing, taken_back
from fraud_provenance.models.facts import MODEL, ModelEvidence, collect_model
from fraud_provenance.models.registry import CHAMPION, RegisteredVersion, Registry
from fraud_provenance.models.view_skew import skew_problems


@dataclass(frozen=True)
class Champion:
    """The version that a valid decision allows and the alias names."""

    version: str
    evidence: ModelEvidence
    decision: Decision


def digest_of_model(trust: Trust, model_id: str) -> str:
    """The manifest digest attested for a logged model: by its first statement, the only one.

    Raises:
        VerificationError: EVIDENCE_MISSING for a model that no evidence knows, or what is wrong
            with all that there is.
    """
    lineage = trust.lineage()
    statements_of = dict.fromkeys(head.statement for head in trust.store.versions(MODEL, model_id))
    nodes = [lineage.node(statement) for statement in statements_of] if model_id else []
    for node in nodes:
        if isinstance(node, Verified):
            return node.bundle.statement.subject_digest
    if nodes:
        raise nodes[0].refusal()
    raise VerificationError(
        reason(
            RootCause.EVIDENCE_MISSING,
            f"the registry names {model_id[:40]!r}, which no evidence attests",
            artifact=MODEL,
        )
    )


def decisions_on(trust: Trust, policy: Policy, gate: str, subject: str = "") -> list[Node]:
    """Every stored decision of a gate in this environment, oldest first.

    `subject`: only those about the manifest of this digest.
    """
    lineage, kind = trust.lineage(policy), statements.VERIFICATION_SUMMARY
    return [
        lineage.node(record.statement)
        for record in trust.store.records(predicate_type=kind, subject=subject)
        if record.step == gate and record.environment == trust.environment
    ]


def deployments(trust: Trust, policy: Policy) -> list[Node]:
    """The decisions that made champions, oldest first; each names the one before it.

    Those that were taken back made none. The index only finds them: gate and place are as signed.

    Raises:
        VerificationError, EvidenceError: one of them is gone or damaged.
    """
    lineage = trust.lineage(policy)
    problems = lineage.versions.problems(DEPLOYMENTS)
    if problems:
        raise VerificationError(*problems)
    back = taken_back(trust, policy)
    found = []
    for link in lineage.versions.links(DEPLOYMENTS):
        node = lineage.node(link.statement)
        said = node.claims.decided
        signed = said and (said.gate, said.allowed, said.facts.get("sequence"))
        if link.statement not in back and signed in (None, ("deploy", True, link.sequence)):
            found.append(node)
    return found


def check_registered(
    registry: Registry, version: RegisteredVersion, evidence: ModelEvidence
) -> None:
    """The registry must lead to the files that the model's evidence names.

    Raises:
        VerificationError: SOURCE_SCHEME or SOURCE_MISMATCH. BackendError: REGISTRY_UNAVAILABLE.
    """
    attested = {entry.path: entry.sha256 for entry in evidence.manifest.entries}
    registry.check_location(version, str(evidence.made.outputs["location"]), attested)


def was_promoted(trust: Trust, registry: Registry) -> bool:
    """Whether there should be a champion: an alias names one, or a decision allowed one."""
    if registry.alias(CHAMPION) is not None:
        return True
    allowed = {
        record.statement
        for record in trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY)
        if record.step == "deploy" and record.result == "PASSED"
    }
    return bool(allowed and allowed - taken_back(trust, trust.policies.current()))


def find_champion(trust: Trust, registry: Registry, policy: Policy | None = None) -> Champion:
    """The champion, if alias, decision, evidence and files all agree.

    Raises:
        EvidenceError: DECISION_MISSING when nothing was ever promoted.
        VerificationError: ALIAS_WITHOUT_DECISION, DECISION_SUPERSEDED, SOURCE_MISMATCH or the
        evidence's own root cause.
    """
    policy = policy or trust.policies.current()
    trust.store.refresh()
    alias = _champion_alias(registry)
    decided = deployments(trust, policy)
    if decided and not registry.is_there():
        raise _fail_closed("the registry is gone, though a decision allowed a champion")
    if alias is None and not decided:
        raise EvidenceError(
            reason(RootCause.DECISION_MISSING, "there is no champion yet", artifact=CHAMPION)
        )
    decision = _current_decision(alias, decided)
    assert alias is not None  # noqa: S101 - checked by _current_decision
    evidence = collect_model(trust, policy, decision.bundle.statement.subject_digest)
    check_standing(trust, policy, decision, evidence.verdict.reasons)
    check_registered(registry, alias, evidence)
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
    return BackendError(reason(ProductCause.FAIL_CLOSED, message, artifact=CHAMPION), *more)


def _current_decision(alias: RegisteredVersion | None, allowed: list[Node]) -> Decision:
    """The newest allowing decision, which must be the one for the aliased version."""
    named = f"version {alias.version}" if alias else "no version"
    if not allowed:
        raise VerificationError(
            reason(
                ProductCause.ALIAS_WITHOUT_DECISION,
                f"{CHAMPION} names {named}, which no decision allows",
                artifact=CHAMPION,
            )
        )
    newest = allowed[-1].expect(Decision)
    facts = newest.summary.facts
    if alias is None or alias.model_id != str(facts.get("model_id")):
        said = [node.claims.decided for node in allowed]
        earlier = {str(one.facts.get("model_id")) for one in said if one}
        code: Cause = ProductCause.ALIAS_WITHOUT_DECISION
        if alias is not None and alias.version == str(facts.get("version")):
            code = RootCause.SOURCE_MISMATCH  # the decided version, with another model behind it
        elif alias is not None and alias.model_id in earlier:
            code = ProductCause.DECISION_SUPERSEDED
        raise VerificationError(
            reason(
                code, f"{CHAMPION} names {named}; the newest decision another", artifact=CHAMPION
            )
        )
    return newest


def champion_verdict(trust: Trust, registry: Registry) -> tuple[Verdict, Champion | None]:
    """The champion's whole chain as a verdict, decision and approvals included."""
    policy = None
    try:
        policy = trust.policies.current()
        champion = find_champion(trust, registry, policy)
    except ProvenanceError as error:
        empty = Verdict.of(CHAMPION, trust.environment, "score", [], list(error.reasons))
        return empty, None
    lineage = trust.lineage(policy)
    roots = [champion.decision, champion.evidence.evaluation, champion.evidence.signature]
    return lineage.verify(CHAMPION, "score", [*roots, champion.evidence.model]), champion


def approver(decision: Node) -> Identity | None:
    """Who approved, from a decision's inputs."""
    for node in decision.children:
        if node.kind == "approval" and isinstance(node, Verified):
            return node.bundle.identity
    return None
