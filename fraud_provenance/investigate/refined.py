"""What more can be said of a cause than the verdict says: a definition's files, a lost registry."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.breaks import DBT, LIMITS, commit_of
from fraud_provenance.investigate.causes import INFRASTRUCTURE, TAMPERING, Cause
from fraud_provenance.investigate.changes import CODE, POLICY
from fraud_provenance.investigate.limits import released_limits
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.symptoms import good_day
from fraud_provenance.models.champion import decisions_on
from fraud_provenance.models.registry import CHAMPION, Registry
from fraud_provenance.predictions.batch import FEATURES

SECOND_DEFINITION = "fraud_provenance/fraud/recompute.py"


def refined(
    trust: Trust, registry: Registry, project: Path, causes: Iterable[Cause]
) -> list[Cause]:
    """The same causes, each as exact as the past and the registry let it be."""
    found: list[Cause] = []
    for cause in causes:
        if (cause.kind, cause.name) == (CODE, DBT):
            found += _by_file(trust, project, cause)
        elif cause.kind == POLICY and cause.name.startswith(LIMITS) and not cause.before:
            found += _by_limit(trust, project, cause)
        elif (cause.kind, cause.name) == (TAMPERING, CHAMPION) and _is_lost(trust, registry):
            said = f"the registry has lost what it had: {cause.said}"
            found.append(replace(cause, kind=INFRASTRUCTURE, name="registry", said=said))
        else:
            found.append(cause)
    return found


def _by_file(trust: Trust, project: Path, cause: Cause) -> list[Cause]:
    """Of features that are not what they are defined to be: the files that changed since they were.

    The cause as it is where no features were good before, or nothing shows what changed.
    """
    before = cause.before
    days = cause.path[-1].partitions if cause.path else ()
    if not before and days:
        before = commit_of(good_day(trust, FEATURES, days[0]))
    if not before or before == cause.commit:
        return [cause]
    try:
        files = Past(trust, project).changed_files(before, cause.commit)
    except ProvenanceError:
        return [cause]
    own = [path for file in files if is_definition(path := str(file["path"]))]
    return [replace(cause, name=path, before=before) for path in own] or [cause]


def _by_limit(trust: Trust, project: Path, cause: Cause) -> list[Cause]:
    """Of checks that no release approved: the limits that were released since they judged last."""
    suite = cause.name.removeprefix(LIMITS)
    try:
        changes = released_limits(trust, Past(trust, project), suite)
    except ProvenanceError:
        return [cause]
    return [
        replace(cause, name=item.name, before=item.before, after=item.after)
        for item in changes
    ] or [cause]  # fmt: skip


def is_definition(path: str) -> bool:
    """Whether a file says what a feature is: dbt's models, and the second definition in Python."""
    return path.startswith(f"{DBT}/") or path == SECOND_DEFINITION


def _is_lost(trust: Trust, registry: Registry) -> bool:
    """Whether the registry does not know the model that was decided on last."""
    decisions = decisions_on(trust, trust.policies.current(), "deploy")
    decided = [said for node in decisions if (said := node.claims.decided) and said.allowed]
    if not decided:
        return False
    try:
        return registry.of_model(str(decided[-1].facts.get("model_id", ""))) is None
    except ProvenanceError:
        return True
