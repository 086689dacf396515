"""Lateness as the UI shows it: freshness policies, and a check that names each day that is late.

The policies say how old an asset is as a whole. A hole between days is told by the check, by day,
until it is mended; a sensor looks whenever something changed, so that no run has to.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import dagster as dg

from fraud_provenance.alerts import Alert
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.defs import shown
from fraud_provenance.defs.alerts import LATE, WAITING, alert_of_tick
from fraud_provenance.due.late import MADE_FROM, LateDay, late_days
from fraud_provenance.due.planning import in_days, registry_of
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import HERE, ProvenanceResource

_ROWS_SHOWN = 100
_THEN = "|"


def _check_of(asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name=LATE,
        blocking=False,
        description=(
            "Every day from the first to the newest is there, or was waived. What is late is "
            "named with since when and why, until it is mended."
        ),
    )
    @as_failure
    def no_day_is_late(
        context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
    ) -> dg.AssetCheckResult:
        """Compare the days that are there with those that are expected."""
        found = late_days(provenance.open(), asset, provenance.clock())
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description=described(found),
            metadata=table(found),
        )

    return no_day_is_late


@dg.asset_check(
    asset="champion",
    name=WAITING,
    blocking=False,
    description=(
        "Which model waits to replace the champion, and for what. That one waits is no fault."
    ),
)
@as_failure
def no_model_waits(
    context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
) -> dg.AssetCheckResult:
    """Compare the candidate with what is live."""
    workspace = provenance.open()
    waits = shown.what_waits(workspace, registry_of(workspace))
    return dg.AssetCheckResult(
        passed=waits.value == "nothing",
        severity=dg.AssetCheckSeverity.WARN,
        description=str(waits.value),
        metadata={shown.WAITS: waits},
    )


late_checks = [*(_check_of(asset) for asset in MADE_FROM), no_model_waits]


def described(found: Sequence[LateDay]) -> str:
    """What is late, in one sentence."""
    if not found:
        return "no day is late"
    first = found[0]
    return f"{in_days(found)} late; {first.day} since {first.since or 'the beginning'}: {first.why}"


def table(found: Sequence[LateDay]) -> dict[str, dg.MetadataValue | int]:
    """How many days are late, and which."""
    names = ("day", "since", "why")
    records = [
        dg.TableRecord({name: getattr(item, name) for name in names})
        for item in found[:_ROWS_SHOWN]
    ]
    shown: dict[str, dg.MetadataValue | int] = {"days late": len(found)}
    if records:
        schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])
        shown["late"] = dg.TableMetadataValue(records, schema)
    return shown


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks which days are late whenever something changed, shows it as the check "
        "no_day_is_late, and tells a day that became late as an alert. Starts no run."
    ),
)
def late_day(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One look at all assets."""
    seen = HERE.glance()
    before, _, told = (context.cursor or "").partition(_THEN)
    if before == seen:
        return dg.SkipReason("nothing changed since the last look")
    try:
        workspace = HERE.open()
        now = HERE.clock()
        found = {asset: late_days(workspace, asset, now) for asset in MADE_FROM}
        there = [asset for asset in MADE_FROM if workspace.store.heads(asset)]
        waits = shown.what_waits(workspace, registry_of(workspace))
    except ProvenanceError as error:
        HERE.outbox().put(alert_of_tick(error, "late_day", HERE.clock()))
        raise
    said = {asset: [asdict(item) for item in found[asset]] for asset in there}
    now_told = encoding.digest_json({"late": said, "waits": str(waits.value)})
    if told != now_told:  # each change once: what stays as it is is there to be read
        for asset in there:
            context.instance.report_runless_asset_event(evaluation(asset, found[asset]))
        context.instance.report_runless_asset_event(evaluation_of_waiting(waits))
    for item in (item for late in found.values() for item in late if not item.is_consequence):
        HERE.outbox().put(alert_of_late(item, now))
    context.update_cursor(f"{seen}{_THEN}{now_told}")
    counts = ", ".join(f"{asset}: {len(late)}" for asset, late in found.items() if late)
    return dg.SkipReason(f"late days: {counts}" if counts else "no day is late")


def evaluation(asset: str, found: Sequence[LateDay]) -> dg.AssetCheckEvaluation:
    """The check's result, outside of a run."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=LATE,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=described(found),
        metadata=dict(table(found)),
    )


def evaluation_of_waiting(waits: dg.MetadataValue) -> dg.AssetCheckEvaluation:
    """The champion's check, outside of a run."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("champion"),
        check_name=WAITING,
        passed=waits.value == "nothing",
        severity=dg.AssetCheckSeverity.WARN,
        description=str(waits.value),
        metadata={shown.WAITS: waits},
    )


def alert_of_late(item: LateDay, now: datetime) -> Alert:
    """A day that is late, told once."""
    subject = f"{item.asset}/{item.day}"
    body = [f"since {item.since}", f"evidence: fraud-provenance verify {item.asset}"]
    return Alert.of("late", subject, f"{subject}: {item.why}", body, now, subject=subject)
