"""What is due, stage by stage, from the landing zone on: one answer, from the evidence.

`run` asks each stage in turn until nothing is due. The daemon's sensors ask the same functions, one
run at a time, so that both make the same from the same files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fraud_provenance.attested.core import encoding
from fraud_provenance.due import ground, planning, trainings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion

if TYPE_CHECKING:
    from fraud_provenance.fraud.model import TrainingConfig


@dataclass(frozen=True)
class Work:
    """What one job has to make: days, assets of the stage, or neither where it is all of one.

    Attributes:
        job: Its name.
        days: Ascending.
        assets: Of the stage, where not all of it is due.
        landed: Day → SHA-256 of the landed file that is to be ingested.
    """

    job: str
    days: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    landed: Mapping[str, str] = field(default_factory=dict)


Due = Callable[[Workspace, "TrainingConfig"], Work | None]


def ingest(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
    """Landed days that were not ingested, or not as they lie there now."""
    landed = planning.ingest_due(workspace)
    return Work("ingest", tuple(sorted(landed)), landed=landed) if landed else None


def features(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
    """Usable raw days without current features."""
    days = planning.features_due(workspace)
    return Work("features", tuple(days)) if days else None


def online_features(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
    """The online store, where it was loaded from other features than there are now."""
    return Work("online_features") if planning.feature_store_due(workspace) else None


def training(workspace: Workspace, config: "TrainingConfig") -> Work | None:
    """The assets of the training stage that are not current.

    Raises:
        DataError: PARTITION_MISSING where training waits for a day.
    """
    assets = trainings.training_due(workspace, config)
    return Work("training", assets=tuple(assets)) if assets else None


def scoring(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
    """Days without current scores, once there is a champion."""
    if not promotion.was_promoted(workspace.trust, planning.registry_of(workspace)):
        return None
    days = planning.days_to_score(workspace, ())
    return Work("scoring", tuple(days)) if days else None


def on_the_way(workspace: Workspace, work: Work) -> Work:
    """Landed days with what one run makes of them: features, and scores where they would be due.

    Other work is as it was.
    """
    if work.job != "ingest":
        return work
    assets = ["raw_transactions", "transaction_features"]
    if promotion.was_promoted(workspace.trust, planning.registry_of(workspace)):
        scored = planning.current_entries(workspace, "transaction_scores")
        if scored and all(day in scored or day > max(scored) for day in work.days):
            assets.append("transaction_scores")
    return replace(work, assets=tuple(assets))


STAGES: dict[str, Due] = {
    "ingest": ingest,
    "features": features,
    "online_features": online_features,
    "training": training,
    "scoring": scoring,
}
"""By job, in the order of the flow."""


def _judged_alone(job: str, asset: str) -> Due:
    """Days of an asset that its contracts have still to judge, as a run of the contracts alone."""

    def due(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
        days = ground.days_to_judge(workspace, asset)
        return Work(job, tuple(days)) if days else None

    return due


def _scores_alone(workspace: Workspace, _config: "TrainingConfig") -> Work | None:
    days = planning.scores_to_judge(workspace)
    return Work("score_contracts", tuple(days)) if days else None


def _training_alone(workspace: Workspace, config: "TrainingConfig") -> Work | None:
    job = trainings.training_part_due(workspace, config)
    return Work(job) if job else None


ALONE: dict[str, Due] = STAGES | {
    "raw_contracts": _judged_alone("raw_contracts", ground.RAW),
    "feature_contracts": _judged_alone("feature_contracts", ground.FEATURES),
    "training": _training_alone,
    "score_contracts": _scores_alone,
}
"""As `STAGES`, where each run signs by one identity: contracts are jobs of their own."""
MAKES: Mapping[str, str] = {
    "ingest": "raw_transactions",
    "features": "transaction_features",
    "scoring": "transaction_scores",
}
"""Job of a stage that is kept by day → what it makes."""
CONTRACTS: Mapping[str, str] = {
    "ingest": "raw_contracts",
    "features": "feature_contracts",
    "scoring": "score_contracts",
}
"""Job of a stage → job of its contracts."""


def stages_of(workspace: Workspace) -> Mapping[str, Due]:
    """What is due in a home, by job: one run a stage, or one an identity."""
    return ALONE if workspace.settings.runs.one_identity else STAGES


def blocks(days: Sequence[str], ordered: Sequence[str]) -> Iterator[list[str]]:
    """Runs of days that are neighbours in Dagster's own partition order."""
    position = {day: index for index, day in enumerate(ordered)}
    found: list[str] = []
    for day in sorted(days, key=lambda item: position[item]):
        if found and position[day] != position[found[-1]] + 1:
            yield found
            found = []
        found.append(day)
    if found:
        yield found


def key(workspace: Workspace, work: Work, now: datetime) -> str:
    """The same for the same work on the same inputs within an hour: it is tried once.

    What failed for a reason that no evidence shows, such as a server that was down, is tried again
    the hour after.
    """
    read = {
        asset: {day: heads[0].sha256 for day, heads in workspace.store.heads(asset).items()}
        for asset in ("raw_transactions", "transaction_features")
    }
    return encoding.digest_json(
        {
            "work": [work.job, *work.days, *work.assets],
            "landed": {day: work.landed[day] for day in work.days if day in work.landed},
            "policy": workspace.trust.policies.current().digest,
            "commit": workspace.code_facts.git_commit,
            "read": read,
            "hour": now.astimezone(UTC).strftime("%Y-%m-%dT%H"),
        }
    )
