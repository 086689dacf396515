"""Jobs, sensors and schedules: what ticks by itself while the daemon runs."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import dagster as dg

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.day_partitions import DAYS
from fraud_provenance.defs.alerts import alert_of_tick
from fraud_provenance.defs.contracts import feature_contracts, raw_contracts
from fraud_provenance.defs.features import feature_store
from fraud_provenance.defs.ingest import raw_transactions
from fraud_provenance.defs.late import late_checks
from fraud_provenance.defs.pods import pod_of
from fraud_provenance.defs.release import champion, release_candidate
from fraud_provenance.defs.score_contracts import score_contracts
from fraud_provenance.defs.scoring import transaction_scores
from fraud_provenance.defs.training import (
    fraud_model,
    model_evaluation,
    training_set,
)
from fraud_provenance.defs.training_contract import training_set_point_in_time
from fraud_provenance.defs.transform import transaction_features
from fraud_provenance.defs.verification import DAILY, provenance_checks
from fraud_provenance.due import ground, trainings
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate.audit import PLACE, audit
from fraud_provenance.models import promotion
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import HERE, ProvenanceResource

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

_VERIFICATION = dg.AssetSelection.checks(*provenance_checks, *late_checks)


def _stage(*assets: dg.AssetsDefinition) -> dg.AssetSelection:
    """Assets with their contracts, and verified in the run that made them.

    Which days are late a sensor tells: that is about all of them.
    """
    return dg.AssetSelection.assets(*assets) - dg.AssetSelection.checks(*late_checks)


_JUDGED = (
    raw_contracts, transaction_features, feature_contracts, training_set_point_in_time,
    score_contracts, *provenance_checks,
)  # fmt: skip


_SIGNED = (raw_contracts, feature_contracts, training_set_point_in_time, score_contracts)


def checks_of(assets: Collection[str], *, signed: bool = True) -> list[dg.AssetCheckKey]:
    """The checks that a stage's job runs on `assets`, dbt's own tests among them.

    Not `signed`: without those whose results the contracts' own identity signs.
    """
    left_out = () if signed else _SIGNED
    keys = (key for judged in _JUDGED if judged not in left_out for key in judged.check_keys)
    return sorted(key for key in keys if key.asset_key.to_user_string() in assets)


ingest_job = dg.define_asset_job(
    "ingest",
    _stage(raw_transactions),
    partitions_def=DAYS,
    tags=pod_of("ingest"),
    description="Landed days become attested, versioned and judged raw transactions.",
)
features_job = dg.define_asset_job(
    "features",
    _stage(transaction_features),
    partitions_def=DAYS,
    tags=pod_of("features"),
    description="Usable raw days become judged features.",
)
online_features_job = dg.define_asset_job(
    "online_features",  # the asset's own op is called feature_store
    _stage(feature_store),
    tags=pod_of("online_features"),
    description="Feast's definitions and online store.",
)
training_job = dg.define_asset_job(
    "training",
    _stage(training_set, fraud_model, model_evaluation, release_candidate),
    description="Training set, model, evaluation, registration as candidate.",
)
promotion_job = dg.define_asset_job(
    "promotion",
    _stage(champion),
    tags=pod_of("promotion"),
    description="Verify, decide, move the alias. Started by the sensor once approvals are there.",
)
scoring_job = dg.define_asset_job(
    "scoring",
    _stage(transaction_scores),
    partitions_def=DAYS,
    tags=pod_of("scoring"),
    description="Score days with the verified champion.",
)
landed_job = dg.define_asset_job(
    "landed",
    _stage(raw_transactions, transaction_features, transaction_scores),
    partitions_def=DAYS,
    description="From landed days to their scores in one run. What a contract stops ends there; "
    "the days that passed go on in the jobs of their stages.",
)
raw_contracts_job = dg.define_asset_job(
    "raw_contracts",
    dg.AssetSelection.checks(raw_contracts),
    tags=pod_of("raw_contracts"),
    description="Judge raw days that no contract has judged yet.",
)
feature_contracts_job = dg.define_asset_job(
    "feature_contracts",
    dg.AssetSelection.checks(feature_contracts),
    tags=pod_of("feature_contracts"),
    description="Judge feature days that no contract has judged yet.",
)
score_contracts_job = dg.define_asset_job(
    "score_contracts",
    dg.AssetSelection.checks(score_contracts),
    tags=pod_of("score_contracts"),
    description="Compare scored days with their features and model that nobody has compared yet.",
)
training_contracts_job = dg.define_asset_job(
    trainings.TRAINING_CONTRACTS,
    dg.AssetSelection.checks(training_set_point_in_time),
    tags=pod_of(trainings.TRAINING_CONTRACTS),
    description="Judge a training set that no contract has judged yet.",
)


def _alone(job: str, asset: dg.AssetsDefinition, what: str) -> "UnresolvedAssetJobDefinition":
    """One asset of the training stage, verified, and signed by one identity."""
    key = asset.key.to_user_string()
    checks = dg.AssetSelection.checks(*(c for c in provenance_checks if key in _names(c)))
    return dg.define_asset_job(
        job,
        (dg.AssetSelection.assets(asset) - dg.AssetSelection.all_asset_checks()) | checks,
        tags=pod_of(job),
        description=f"{what} alone: a part of `training` that signs by one identity.",
    )


def _names(checks: dg.AssetChecksDefinition) -> set[str]:
    return {key.asset_key.to_user_string() for key in checks.check_keys}


training_data_job = _alone("training_data", training_set, "The training set")
model_training_job = _alone("model_training", fraud_model, "The model")
evaluation_job = _alone("evaluation", model_evaluation, "The evaluation")
registration_job = _alone("registration", release_candidate, "Registration as candidate")
provenance_check_job = dg.define_asset_job(
    DAILY,
    _VERIFICATION,
    description="The product's verifier on every asset that leaves evidence, files included.",
)
daily_provenance_check = dg.ScheduleDefinition(
    name="daily_provenance_check",
    job=provenance_check_job,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 05:00 UTC; what is not trusted becomes an alert.",
)


@dg.op(
    name=PLACE,
    description=(
        "The log against the evidence: it only grew, each entry of ours has its bundle, each "
        "bundle its entry. The scores against the prediction log, MLflow's tags against what was "
        "signed. The same as `fraud-provenance audit`."
    ),
)
@as_failure
def audit_op(context: dg.OpExecutionContext, provenance: ProvenanceResource) -> None:
    """Audit; whatever is found fails the run."""
    workspace = provenance.open_anew()
    registry = registry_of(workspace)
    report = audit(workspace.trust, registry, provenance.outbox(), provenance.clock())
    for log in report.logs:
        context.log.info(f"{log.origin}: {log.size} entries, {log.entries} looked at")
    report.check()


@dg.job(name="log_audit", description="Hold the transparency log against the evidence store.")
def log_audit_job() -> None:
    """One op."""
    audit_op()


daily_log_audit = dg.ScheduleDefinition(
    name="daily_log_audit",
    job=log_audit_job,
    cron_schedule="30 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 05:30 UTC; an entry that nobody made becomes an alert.",
)


@dg.sensor(
    job=promotion_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the promotion when the candidate has an approval of its own.",
)
def approved_candidate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One run for each candidate and set of approvals."""
    try:
        seen = HERE.glance()
        if context.cursor == seen:
            return dg.SkipReason("nothing changed since no approval waited")
        workspace = HERE.open()
        trust = workspace.trust
        digest = promotion.is_ready(trust, registry_of(workspace))
        if not digest:
            context.update_cursor(seen)  # as it was before the look: what came since is seen next
            return dg.SkipReason("no candidate waits with an unused approval")
        waiting = promotion.unused_approvals(trust, trust.policies.current())
    except ProvenanceError as error:
        HERE.outbox().put(alert_of_tick(error, "approved_candidate", HERE.clock()))
        raise
    key = "+".join([digest, *sorted(node.statement[:16] for node, _ in waiting)])
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)])


def _moved(context: dg.SensorEvaluationContext, asset: str) -> dg.SensorResult | dg.SkipReason:
    """One run for each set of days that did not pass and of what they are held against now."""
    if HERE.has_one_identity():
        return dg.SkipReason("the sensor of these contracts asks for these days, too")
    seen = HERE.glance()
    if context.cursor == seen:
        return dg.SkipReason("nothing changed since every day was judged")
    key = ground.moved_key(HERE.open(), asset)
    if not key:
        context.update_cursor(seen)
        return dg.SkipReason("every day was judged against what is there now")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)])


@dg.sensor(
    job=raw_contracts_job,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Judges held and broken raw days again when their ground moved.",
)
def moved_raw_ground(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """A neighbour was delivered, waived or accepted, or a suite or a threshold changed."""
    return _moved(context, ground.RAW)


@dg.sensor(
    job=feature_contracts_job,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Judges held and broken feature days again when their ground moved.",
)
def moved_feature_ground(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """As `moved_raw_ground`."""
    return _moved(context, ground.FEATURES)
