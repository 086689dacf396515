"""From a landed file to scores by itself: one sensor a stage, each a switch in the UI.

All ask what `run` asks (`due.work`), and start one run at a time. A sensor whose look found nothing
looks again when something in the home changed, or after an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.defs import support
from fraud_provenance.defs.alerts import alert_of_tick
from fraud_provenance.defs.automation import (
    checks_of,
    features_job,
    landed_job,
    online_features_job,
    scoring_job,
    training_job,
)
from fraud_provenance.defs.training import CONFIGURED
from fraud_provenance.due.work import STAGES, Work, block, key, on_the_way
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.resources import HERE

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

    from fraud_provenance.fraud.model import TrainingConfig


_SOON, _LATER, _SOME_TIME = 10, 30, 60  # seconds; each tick costs Dagster's daemon 0.07 s of CPU


@dataclass(frozen=True)
class _Stage:
    """One stage as its sensor knows it. `rests_on`: the jobs that must have nothing to do first."""

    name: str
    job: "UnresolvedAssetJobDefinition"
    asks: str
    """Which of `STAGES` says what is due."""
    rests_on: tuple[str, ...]
    every_s: int
    description: str


_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_SINCE = timedelta(hours=1)
"""A run that was killed stays in Dagster's list as if it went on; so long it is believed."""


def _at_work(context: dg.SensorEvaluationContext) -> str:
    """Which run is at work in this home, in words; empty where none is."""
    if HERE.is_running():
        return "`fraud-provenance run` is at work"
    records = context.instance.get_run_records(
        dg.RunsFilter(
            statuses=[item for item in dg.DagsterRunStatus if item not in _ENDED],
            created_after=HERE.clock() - _SINCE,
        )
    )
    runs = [record.dagster_run for record in records]
    own = next((run for run in runs if support.HEADLESS not in run.tags), None)
    return f"the run {own.run_id[:8]} ({own.job_name}) is at work" if own else ""


def _due(context: dg.SensorEvaluationContext, stage: _Stage) -> dg.SensorResult | dg.SkipReason:
    """The next run of a stage, if it is due and nothing before it in the flow is."""
    seen = HERE.glance()
    if context.cursor == seen:
        return dg.SkipReason("nothing changed since nothing was due")
    busy = _at_work(context)
    if busy:
        return dg.SkipReason(f"waits: {busy}")
    try:
        workspace = HERE.open()
        work = _first_due(workspace, CONFIGURED.config(), stage)
    except DataError as hole:
        context.update_cursor(seen)
        return dg.SkipReason(f"waits: {hole.placed_message}")
    except ProvenanceError as error:
        HERE.outbox().put(alert_of_tick(error, stage.name, HERE.clock()))
        raise
    context.update_cursor(seen)
    if work is None:
        return dg.SkipReason("nothing is due, or what comes before it in the flow is due first")
    known = context.instance.get_dynamic_partitions("day")
    new = [day for day in work.days if day not in set(known)]
    return dg.SensorResult(
        run_requests=[_request(workspace, work, [*known, *new])],
        dynamic_partitions_requests=[support.DAYS.build_add_request(new)] if new else [],
    )


def _first_due(workspace: Workspace, config: "TrainingConfig", stage: _Stage) -> Work | None:
    """What a stage has to do; nothing while one that it rests on has something."""
    if any(STAGES[job](workspace, config) for job in stage.rests_on):
        return None
    return STAGES[stage.asks](workspace, config)


def _request(workspace: Workspace, work: Work, ordered: Sequence[str]) -> dg.RunRequest:
    """One run: of the first days that are neighbours, or of the assets that are not current."""
    tags: dict[str, str] = {}
    if work.days:
        first = block(work.days, ordered)
        tags = support.range_tags(first[0], first[-1])
        work = on_the_way(workspace, replace(work, days=tuple(first)))
    assets = [dg.AssetKey(name) for name in work.assets] or None
    return dg.RunRequest(
        run_key=key(workspace, work, workspace.clock()),
        tags=tags,
        asset_selection=assets,
        asset_check_keys=checks_of(work.assets) if assets else None,
    )


def _sensor_of(stage: _Stage) -> dg.SensorDefinition:
    @dg.sensor(
        name=stage.name,
        job=stage.job,
        minimum_interval_seconds=stage.every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=stage.description,
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _due(context, stage)

    return tick


landed_day = _sensor_of(
    _Stage(
        "landed_day",
        landed_job,
        "ingest",
        (),
        _SOON,
        "Takes days that landed or landed anew to their scores in one run: raw transactions, their "
        "contracts, features, scores (once there is a champion). New ones become partitions.",
    )
)
due_features = _sensor_of(
    _Stage(
        "due_features",
        features_job,
        "features",
        (),
        _LATER,
        "Makes features of raw days that passed their contracts, or were accepted, and have none.",
    )
)
due_online_features = _sensor_of(
    _Stage(
        "due_online_features",
        online_features_job,
        "online_features",
        ("features",),
        _SOME_TIME,
        "Loads the online store anew when the newest features are others.",
    )
)
due_training = _sensor_of(
    _Stage(
        "due_training",
        training_job,
        "training",
        ("features", "online_features"),
        _SOME_TIME,
        "Trains a new candidate when enough new days have passed (`retrain_after_days` of the "
        "resource `training`), or what the newest one rests on was revoked or changed. A person "
        "approves it before anything is promoted.",
    )
)
due_scores = _sensor_of(
    _Stage(
        "due_scores",
        scoring_job,
        "scoring",
        ("features",),  # it does not wait for a training
        _LATER,
        "Scores new days with the verified champion, once there is one.",
    )
)
