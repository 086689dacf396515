"""From a landed file to scores by itself: one sensor a stage, each a switch in the UI.

All ask what `run` asks (`due.work`), and start one run at a time. A sensor whose look found nothing
looks again when something in the home changed, or after an hour.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.day_partitions import DAYS, tags_of
from fraud_provenance.defs import support
from fraud_provenance.defs.alerts import alert_of_tick
from fraud_provenance.defs.automation import (
    checks_of,
    evaluation_job,
    feature_contracts_job,
    features_job,
    ingest_job,
    landed_job,
    model_training_job,
    online_features_job,
    raw_contracts_job,
    registration_job,
    score_contracts_job,
    scoring_job,
    training_contracts_job,
    training_data_job,
    training_job,
)
from fraud_provenance.defs.training import CONFIGURED
from fraud_provenance.due.work import CONTRACTS, MAKES, Work, key, on_the_way, stages_of
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
    """One stage as its sensor knows it.

    `rests_on`: the jobs that must have nothing to do first. `parts`: the jobs that make it where
    each run signs by one identity; without `job`, only there is anything to do.
    """

    name: str
    job: "UnresolvedAssetJobDefinition | None"
    asks: str
    """Which of `stages_of` says what is due."""
    rests_on: tuple[str, ...]
    every_s: int
    description: str
    parts: tuple["UnresolvedAssetJobDefinition", ...] = ()


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
    if stage.job is None and not HERE.has_one_identity():
        return dg.SkipReason("each run judges what it makes")
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
        run_requests=[_request(workspace, stage, work, [*known, *new])],
        dynamic_partitions_requests=[DAYS.build_add_request(new)] if new else [],
    )


def _first_due(workspace: Workspace, config: "TrainingConfig", stage: _Stage) -> Work | None:
    """What a stage has to do; nothing while one that it rests on has something."""
    stages = stages_of(workspace)
    before = [*stage.rests_on, *(CONTRACTS.get(job, "") for job in stage.rests_on)]
    if any(stages[job](workspace, config) for job in before if job in stages):
        return None
    return stages[stage.asks](workspace, config)


def _request(
    workspace: Workspace, stage: _Stage, work: Work, ordered: Sequence[str]
) -> dg.RunRequest:
    """One run: of all the days that are due, or of the assets that are not current.

    Contracts that are a run of their own have no partitions: they judge all that is to be judged.
    """
    alone = workspace.settings.runs.one_identity
    tags: dict[str, str] = {}
    if work.days and stage.job is not None:
        tags = tags_of(work.days, ordered)
        work = work if alone else on_the_way(workspace, work)
    made = work.assets
    if alone:  # contracts are a run of their own
        made = (MAKES[work.job],) if work.job in MAKES else ()
    return dg.RunRequest(
        run_key=key(workspace, work, workspace.clock()),
        job_name=work.job if alone or stage.job is None else stage.job.name,
        tags=tags,
        asset_selection=[dg.AssetKey(name) for name in made] or None,
        asset_check_keys=checks_of(made, signed=not alone) if made else None,
    )


def _at_first(stage: _Stage) -> dg.DefaultSensorStatus:
    """Whether it ticks unless somebody says otherwise: not where there is never anything to do."""
    if stage.job is None:
        with suppress(ProvenanceError):  # whoever opens the home says what is wrong with it
            if not HERE.has_one_identity():
                return dg.DefaultSensorStatus.STOPPED
    return dg.DefaultSensorStatus.RUNNING


def _sensor_of(stage: _Stage) -> dg.SensorDefinition:
    @dg.sensor(
        name=stage.name,
        jobs=[*([stage.job] if stage.job else []), *stage.parts],
        minimum_interval_seconds=stage.every_s,
        default_status=_at_first(stage),
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
        (ingest_job,),
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
        (
            training_data_job,
            training_contracts_job,
            model_training_job,
            evaluation_job,
            registration_job,
        ),
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


def _contracts_of(name: str, job: "UnresolvedAssetJobDefinition", what: str) -> _Stage:
    """The contracts of a stage as runs of their own."""
    told = f"Judges {what} by runs of their own, where each run signs by one identity."
    return _Stage(f"due_{name}", None, name, (), _SOON, told, (job,))


due_raw_contracts = _sensor_of(_contracts_of("raw_contracts", raw_contracts_job, "raw days"))
due_feature_contracts = _sensor_of(
    _contracts_of("feature_contracts", feature_contracts_job, "feature days")
)
due_score_contracts = _sensor_of(
    _contracts_of("score_contracts", score_contracts_job, "scored days")
)
