"""Alerts: sensors that put what went wrong into the outbox, and one that delivers it.

A failed non-blocking check ends in a successful run, hence both kinds of end are looked at.
Contracts are found in the evidence, whoever ran them and however that run ended.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

import dagster as dg
from dagster import DagsterEventType

from fraud_provenance.alerts import (
    Alert,
    alert_of_error,
    alert_of_refusal,
    beat,
    contract_alerts,
    kind_of,
    sinks_of,
)
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.defs.verification import CHECK, CONTRACTS_ALONE
from fraud_provenance.due.planning import FEATURE_SUITES, POINT_IN_TIME, RAW_SUITES, SCORE_SUITES
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import HERE, ProvenanceResource

_SIGNED_SUITES = {*RAW_SUITES, *FEATURE_SUITES, POINT_IN_TIME, *SCORE_SUITES}
LATE, WAITING = "no_day_is_late", "no_model_waits"
_CHECK_STOPPED_RUN = "DagsterAssetCheckFailedError"


class _Error(Protocol):
    """An exception as Dagster stores it."""

    @property
    def message(self) -> str: ...
    @property
    def cls_name(self) -> str | None: ...
    @property
    def cause(self) -> "_Error | None": ...
    @property
    def context(self) -> "_Error | None": ...


@dg.run_failure_sensor(
    monitor_all_code_locations=True,  # runs of the command line belong to no code location
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts a refused gate or a run that broke into the alert outbox.",
)
def failed_run(context: dg.RunFailureSensorContext, provenance: ProvenanceResource) -> None:
    """A run ended in failure."""
    _put(context, provenance)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts failed checks of a run that went well otherwise into the alert outbox.",
)
def finished_run(context: dg.RunStatusSensorContext, provenance: ProvenanceResource) -> None:
    """A run ended well; its non-blocking checks may have failed."""
    _put(context, provenance)


def _put(context: dg.RunStatusSensorContext, provenance: ProvenanceResource) -> None:
    outbox = provenance.outbox()
    for alert in alerts_of_run(context.instance, context.dagster_run.run_id, provenance.clock()):
        if outbox.put(alert):
            context.log.info(alert.text)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Delivers the alerts of the outbox to webhook, mailbox or log, each once, and then tells "
        "the heartbeat's address that alerts go out. Where none is set they wait; "
        "`fraud-provenance alerts` shows them."
    ),
)
def alert_delivery(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One round of delivery. Starts no run."""
    outbox = HERE.outbox()
    seen = HERE.glance()
    if context.cursor != seen:
        for alert in contract_alerts(HERE.open().store, HERE.clock()):
            outbox.put(alert)
        context.update_cursor(seen)
    try:
        settings = HERE.alert_settings()
    except ConfigError as error:
        context.log.error(str(error))
        return dg.SkipReason(f"{len(outbox.pending())} alerts wait; {error}")
    sinks = sinks_of(settings)
    done = outbox.deliver(sinks, HERE.clock)
    told = f"{done.delivered} alerts delivered, {done.waiting} wait"
    if not sinks:
        told += ", nobody is set to be told"
    # No sign of life where an alert could not go out: whoever watches is to ask why.
    broken = done.error or beat(settings, HERE.home(), HERE.clock())
    return dg.SkipReason(f"{told}; {broken}" if broken else told)


class AcknowledgeConfig(dg.Config):
    """Which alerts, who takes them, and what they do about it."""

    ids: list[str]
    email: str
    reason: str


@dg.op(
    name="acknowledge",
    description=(
        "Takes alerts upon somebody: the same as `fraud-provenance alerts ack ID --as EMAIL "
        "--reason TEXT`."
    ),
)
@as_failure
def acknowledge_op(
    context: dg.OpExecutionContext, config: AcknowledgeConfig, provenance: ProvenanceResource
) -> None:
    """Acknowledge each."""
    outbox = provenance.outbox()
    for name in config.ids:
        alert = outbox.acknowledge(name, config.email, config.reason, provenance.clock())
        context.log.info(f"acknowledged {alert.id[:12]}: {alert.headline}")


@dg.job(
    name="acknowledge_alerts",
    description=(
        "Takes alerts upon yourself: nobody is sent them any more. Give ids, your e-mail and a "
        "reason in the launchpad. `fraud-provenance alerts` lists what is open."
    ),
)
def acknowledge_alerts() -> None:
    """One op."""
    acknowledge_op()


def alert_of_tick(error: ProvenanceError, sensor: str, now: datetime) -> Alert:
    """A sensor that could not look, or was refused, as an alert."""
    return alert_of_error(error, f"sensor {sensor}", now)


# --- what a run has to tell ------------------------------------------------------------------


def alerts_of_run(instance: dg.DagsterInstance, run_id: str, now: datetime) -> list[Alert]:
    """Failed checks and refusals in a run's own events."""
    checks = list(_failed_checks(instance, run_id))
    told = [alert for item in checks if (alert := _alert_of_check(item, run_id, now))]
    for place, error in _errors(instance, run_id):
        ours = _own(error)
        if ours is not None:
            name, text = ours
            told.append(alert_of_refusal(kind_of(name), place, text, now, [f"run: {run_id}"]))
        elif error.cls_name != _CHECK_STOPPED_RUN and not checks:
            text = _innermost(error)
            told.append(alert_of_refusal("run_failed", place, text, now, [f"run: {run_id}"]))
    return told


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetCheckEvaluation]:
    for record in _records(instance, run_id, DagsterEventType.ASSET_CHECK_EVALUATION):
        event = record.event_log_entry.dagster_event
        if event is not None and not event.asset_check_evaluation_data.passed:
            yield event.asset_check_evaluation_data


def _alert_of_check(check: dg.AssetCheckEvaluation, run_id: str, now: datetime) -> Alert | None:
    """None for what the evidence tells: the suites' verdicts, late days, a model that waits."""
    if check.check_name in _SIGNED_SUITES or check.check_name in (LATE, WAITING):
        return None
    place = f"{check.check_name} on {check.asset_key.to_user_string()}"
    if check.check_name != CHECK:
        text = check.description or "the check failed"
        told = f"{place}: {text}"
        body = [f"run: {run_id}"]
        return Alert.of("contract_failed", run_id, told, body, now, subject=place)
    if check.severity == dg.AssetCheckSeverity.WARN:
        return None  # nothing was made yet
    alone = check.metadata.get(CONTRACTS_ALONE)
    if alone is not None and alone.value is True:
        return None  # `contract_alerts` tells it, and what to do
    return alert_of_refusal("not_trusted", place, check.description or "", now, [f"run: {run_id}"])


def _errors(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[str, _Error]]:
    """(step, error) of the steps that failed; of the run itself where no step did."""
    found = False
    for record in _records(instance, run_id, DagsterEventType.STEP_FAILURE):
        event = record.event_log_entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            found = True
            yield event.step_key or event.job_name, event.step_failure_data.error
    if found:
        return
    for record in _records(instance, run_id, DagsterEventType.RUN_FAILURE):
        event = record.event_log_entry.dagster_event
        if event is not None and event.job_failure_data.error is not None:
            yield event.job_name, event.job_failure_data.error


def _own(error: _Error | None) -> tuple[str, str] | None:
    """(class, text) of our own error inside Dagster's wrappers."""
    while error is not None:
        if error.cls_name and kind_of(error.cls_name):
            return error.cls_name, error.message.partition(": ")[2]
        error = error.cause or error.context
    return None


def _innermost(error: _Error) -> str:
    """What began it, inside Dagster's wrappers, by its kind: another's words may hold data."""
    while (inner := error.cause or error.context) is not None:
        error = inner
    return f"{error.cls_name or 'an error'}; the run's page in Dagster has its words"


def _records(
    instance: dg.DagsterInstance, run_id: str, kind: DagsterEventType
) -> Sequence[dg.EventLogRecord]:
    return instance.get_records_for_run(run_id, of_type=kind).records
