"""Whether a day is stopped by what it holds, or by a limit that moved: then a release is the cause.

Two proofs: the very same bytes passed under the policy before; or all that was found lies within
the limits that were in force when the last good day passed.
"""

from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements import statements
from fraud_provenance.investigate.causes import Cause, limit_cause
from fraud_provenance.investigate.changes import Change, policy_between
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.symptoms import good_day

_LIMITS = "contracts.json: "


def limit_causes(trust: Trust, past: Past, asset: str, day: str) -> list[Cause]:
    """The limits that moved and that alone stop a day; none where its rows do.

    Raises:
        EvidenceError: a policy's files are gone or not what was signed.
    """
    heads = trust.store.heads(asset).get(day, ())
    if not heads:
        return []
    judged = _judgements(trust, asset, day, heads[0].sha256)
    stopped = [node for node in judged if node.contract and _found(node, day)]
    if not stopped:
        return []
    now = _policy_of(trust, stopped[-1])
    passed = [node for node in judged if not _found(node, day) and _policy_of(trust, node) != now]
    same_suite = [node for node in passed if node.contract and stopped[-1].contract
                  and node.contract.suite == stopped[-1].contract.suite]  # fmt: skip
    if same_suite:
        return _moved(trust, past, _policy_of(trust, same_suite[-1]), stopped[-1], ())
    good = good_day(trust, asset, day)
    before = _judgements(trust, asset, good[1], good[2]) if good else []
    policies = [_policy_of(trust, node) for node in before]
    if not policies or policies[-1] in ("", now):
        return []
    return _moved(trust, past, policies[-1], stopped[-1], _found(stopped[-1], day))


def _judgements(trust: Trust, asset: str, day: str, sha256: str) -> list[Node]:
    """Every verified judgement of these bytes, oldest first."""
    found = []
    for record in trust.store.records(predicate_type=statements.TEST_RESULT):
        node = trust.lineage().node(record.statement)
        if node.contract is None or node.manifest is None or node.manifest.asset != asset:
            continue
        if any((e.partition, e.sha256) == (day, sha256) for e in node.manifest.entries):
            found.append(node)
    return found


def _found(node: Node, day: str) -> tuple[Finding, ...]:
    """What a contract stopped a day for."""
    if node.contract is None:
        return ()
    failed = tuple(item for item in node.contract.failures if item.day == day)
    return failed + node.contract.held_findings(day)


def _policy_of(trust: Trust, node: Node) -> str:
    decision = trust.lineage().node(node.contract.decision) if node.contract else None
    return decision.summary.policy_digest if decision and decision.summary else ""


def _moved(
    trust: Trust, past: Past, before: str, contract: Node, findings: tuple[Finding, ...]
) -> list[Cause]:
    """The limits that moved; with findings only if each of them keeps a limit as it was."""
    now = _policy_of(trust, contract)
    if not before or not now or not contract.contract:
        return []
    section = f"{_LIMITS}{contract.contract.suite}."
    changes = [item for item in policy_between(past, before, now, contract)
               if item.name.startswith(section)]  # fmt: skip
    freed: dict[str, Change] = {}
    for finding in findings:
        kept = [item for item in changes if keeps(item, finding)]
        if not kept:
            return []
        freed |= {item.key: item for item in kept}
    chosen = list(freed.values()) if findings else changes
    decision = trust.lineage().node(contract.contract.decision)
    return [limit_cause(item, "the limit", [contract, decision]) for item in chosen]


def keeps(change: Change, finding: Finding) -> bool:
    """Whether what was found lies within a limit as it was, and not as it is."""
    try:
        before, now = float(change.before), float(change.after)
    except ValueError:
        return False
    if finding.observed is None:
        return False
    if finding.maximum is not None and finding.observed > finding.maximum:
        return now < before and finding.observed <= finding.maximum + before - now
    if finding.minimum is not None and finding.observed < finding.minimum:
        return now > before and finding.observed >= finding.minimum - (now - before)
    return False
