"""Whether a day is stopped by what it holds, or by a limit that moved: then a release is the cause.

Two proofs: the very same bytes passed under the policy before; or all that was found lies within
the limits that were in force when the last good day passed.
"""

from collections.abc import Iterator, Mapping

from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Contract
from fraud_provenance.investigate.breaks import LIMITS
from fraud_provenance.investigate.causes import Cause, limit_cause
from fraud_provenance.investigate.changes import Change, policy_between
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.recipes import Recipe
from fraud_provenance.investigate.symptoms import denial_reasons, good_day

_Judged = tuple[Node, Contract]
"""A judgement with what it says, refused or not."""
OF_VALUES: Mapping[str, tuple[str, ...]] = {
    "METRIC_BELOW_MINIMUM": ("metrics.",),
    "THRESHOLD_OUT_OF_RANGE": ("model_threshold.", "alert_rate."),
    "EVALUATION_TOO_SMALL": ("min_evaluation_",),
    "FEATURES_TOO_FEW": ("min_features",),
    "MODEL_TOO_OLD": ("max_data_age_days",),
}
"""Root causes of a refusal that follow from a model's numbers, and the limits that they break."""


def limit_causes(trust: Trust, past: Past, asset: str, day: str) -> list[Cause]:
    """The limits that moved and that alone stop a day; none where its rows do.

    Raises:
        EvidenceError: a policy's files are gone or not what was signed.
    """
    heads = trust.store.heads(asset).get(day, ())
    if not heads:
        return []
    judged = _judgements(trust, asset, day, heads[0].sha256)
    stopped = [judgement for judgement in judged if _found(judgement, day)]
    if not stopped:
        return []
    now = _policy_of(trust, stopped[-1])
    passed = [one for one in judged if not _found(one, day) and _policy_of(trust, one) != now]
    same_suite = [one for one in passed if one[1].suite == stopped[-1][1].suite]
    if same_suite:
        return _moved(trust, past, _policy_of(trust, same_suite[-1]), stopped[-1], ())
    good = good_day(trust, asset, day)
    before = _judgements(trust, asset, good[1], good[2]) if good else []
    policies = [_policy_of(trust, judgement) for judgement in before]
    if not policies or policies[-1] in ("", now):
        return []
    return _moved(trust, past, policies[-1], stopped[-1], _found(stopped[-1], day))


def _judged(trust: Trust) -> Iterator[_Judged]:
    """Every judgement that can be read, oldest first, with what it says."""
    for record in trust.store.records(predicate_type=statements.TEST_RESULT):
        node = trust.lineage().node(record.statement)
        if isinstance(node.claims.said, Contract):
            yield node, node.claims.said


def _judgements(trust: Trust, asset: str, day: str, sha256: str) -> list[_Judged]:
    """Those of these bytes."""
    return [
        (node, contract)
        for node, contract in _judged(trust)
        if node.claims.manifest is not None and node.claims.manifest.asset == asset
        and any((entry.partition, entry.sha256) == (day, sha256) for entry in node.entries)
    ]  # fmt: skip


def _found(judgement: _Judged, day: str) -> tuple[Finding, ...]:
    """What a contract stopped a day for."""
    contract = judgement[1]
    failed = tuple(item for item in contract.failures if item.day == day)
    return failed + contract.held_findings(day)


def _policy_of(trust: Trust, judgement: _Judged) -> str:
    said = trust.lineage().node(judgement[1].decision).claims.decided
    return said.policy_digest if said else ""


def _moved(
    trust: Trust, past: Past, before: str, judgement: _Judged, findings: tuple[Finding, ...]
) -> list[Cause]:
    """The limits that moved; with findings only if each of them keeps a limit as it was."""
    now = _policy_of(trust, judgement)
    if not before or not now:
        return []
    node, contract = judgement
    section = f"{LIMITS}{contract.suite}."
    changes = [item for item in policy_between(past, before, now, node)
               if item.name.startswith(section)]  # fmt: skip
    freed: dict[str, Change] = {}
    for finding in findings:
        kept = [item for item in changes if keeps(item, finding)]
        if not kept:
            return []
        freed |= {item.key: item for item in kept}
    chosen = list(freed.values()) if findings else changes
    decision = trust.lineage().node(contract.decision)
    return [limit_cause(item, "the limit", [node, decision]) for item in chosen]


def released_limits(trust: Trust, past: Past, suite: str) -> list[Change]:
    """The limits of a suite that are otherwise than when it judged last.

    Raises:
        EvidenceError: a policy's files are gone or not what was signed.
    """
    judged = [judgement for judgement in _judged(trust) if judgement[1].suite == suite]
    before = _policy_of(trust, judged[-1]) if judged else ""
    now = trust.policies.current().digest
    if before in ("", now):
        return []
    return [item for item in policy_between(past, before, now, None)
            if item.name.startswith(f"{LIMITS}{suite}.")]  # fmt: skip


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


# --- the bar of a model ----------------------------------------------------------------------


def bar_causes(
    trust: Trust, decision: Node, sides: tuple[Recipe, Recipe], past: Past
) -> list[Cause]:
    """The limits that moved since the good model, and that this one would have kept before."""
    from fraud_provenance.models.registration import registration_of

    before, now = sides
    allowed = registration_of(trust, trust.policies.current(), before.model)
    said = [node.claims.decided for node in (allowed, decision)]
    if said[0] is None or said[1] is None:
        raise (decision if said[0] else allowed).refusal()
    good, bad = said[0].policy_digest, said[1].policy_digest
    if good == bad:
        return []
    codes = {str(item.get("code")) for item in denial_reasons(decision)}
    return [
        limit_cause(change, "the bar", [decision])
        for change in policy_between(past, good, bad, decision)
        if any(part in change.name for code in codes for part in OF_VALUES.get(code, ()))
        and kept_before(change, now.metrics)
    ]


def kept_before(change: Change, numbers: Mapping[str, float]) -> bool:
    """Whether a limit that moved was kept as it was and is broken as it is now.

    Of a limit on a number that is not known here, that it moved is all that can be told.
    """
    name = next((name for name in numbers if f".{name}." in f".{change.name.partition(': ')[2]}"),
                "")  # fmt: skip
    try:
        limits = (float(change.before), float(change.after))
    except ValueError:
        return True
    if not name:
        return True
    return min(limits) <= numbers[name] <= max(limits)
