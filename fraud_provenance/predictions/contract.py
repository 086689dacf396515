"""The scores' contract, as evidence: since when it is due, and what it found about a day.

The contracts' step compares each scored day with its features and the model's own output, whoever
scored (suite `scores_match_features`). A home that scored before its policy knew the suite owes
nothing for those days: the contract is due for what was logged after the release that brought it.
"""

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Judgement, Node
from fraud_provenance.attested.rules.releases import Release
from fraud_provenance.predictions.batch import SCORES, scores_entry

SUITE = "scores_match_features"
_LAYOUT = "data/layout.json"


def due_since(trust: Trust) -> tuple[int, int] | None:
    """Where in the log the release stands that brought the contract; None where none did.

    Raises:
        EvidenceError: the layout of an earlier release is not among the kept objects.
    """
    since = None
    for release in reversed(trust.policies.releases.chain().releases):
        if not _knows_suite(trust, release):
            break
        since = release.completed_at
    return since


def _knows_suite(trust: Trust, release: Release) -> bool:
    releases = trust.policies.releases
    layouts = [e.sha256 for e in releases.manifest(release).entries if e.path == _LAYOUT]
    documents = [encoding.strict_json(releases.objects.get(digest)) for digest in layouts]
    return any(SUITE in document.get("contracts", ()) for document in documents)


def is_due(scores: Node, since: tuple[int, int] | None) -> bool:
    """Whether these scores must have been judged; `since` as `due_since` gives it."""
    bundle = scores.claims.bundle
    return since is not None and bundle is not None and bundle.logged > since


def result_of(trust: Trust, scores: Node, day: str) -> Node | None:
    """The newest result about exactly this day's score file, verified or refused, or None.

    Raises:
        EvidenceError: EVIDENCE_MISSING, the scores are not of this day.
    """
    sha256 = scores_entry(scores.entries, day).sha256
    found = trust.store.contract_results(SCORES).get((day, sha256), {}).get(SUITE)
    return trust.lineage().node(found.statement) if found else None


def result_problems(result: Node, scores: Node, day: str) -> list[Reason]:
    """Why a result does not speak for a day's scores: it is refused, of other bytes, or failed."""
    entry = scores_entry(scores.entries, day)
    place = {"artifact": SCORES, "partition": day}
    if result.reasons:
        return list(result.reasons)
    if (
        not isinstance(result, Judgement)
        or result.contract.suite != SUITE
        or entry not in result.entries
    ):
        return [
            reason(RootCause.CHECK_MISSING, f"{result.name} is not about these scores", **place)
        ]
    contract = result.contract
    code = contract.judges(day)
    own = [
        reason(
            finding.code,
            f"{finding.column or 'the day'}: not true that {finding.check.replace('_', ' ')}"
            f" ({finding.rows} rows), says {SUITE}",
            **place,
        )
        for finding in contract.failures
        if finding.day == day
    ]
    return own or ([reason(code, f"{SUITE} has not passed", **place)] if code else [])
