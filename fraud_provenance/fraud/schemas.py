"""Value contracts of `raw_transactions` and `transaction_features` (Pandera on Polars).

Strict, and nothing is coerced. Days whose columns and types are exactly right are validated
together in one pass (so that keys are unique across days as well); a day whose form is wrong is
reported for its form alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    FEATURE_SCHEMA,
    RAW_SCHEMA,
    TERMINAL_FEATURES,
    WINDOWS_DAYS,
    PolarsType,
)
from fraud_provenance.fraud.contract import ContractReport, Failure, graded, require_days, threshold
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.feed import Feed, feed_of
from fraud_provenance.fraud.recompute import (
    RECOMPUTED,
    SAME_ROWS,
    check_recomputed,
    check_rows,
    describe_checks,
)

if TYPE_CHECKING:
    import pandera.polars as pa

# Above this, an amount in cents is no longer an exact double: such a value is no amount at all.
MAX_REPRESENTABLE_AMOUNT: Final = 2**53 / 100
# Float dust of the reference data is below 1e-10 cents; a real fraction of a cent is far above
# this.
CENT_TOLERANCE: Final = 1e-4
_DAY_S = 86_400


@dataclass(frozen=True)
class _Rule:
    """One true sentence about every row; `condition` says in words what `holds` computes."""

    check: str
    code: str
    column: str
    condition: str
    holds: pl.Expr
    remedy: str


_FORM_CHECKS: Final = {
    "column_names_are_plain_text": ("ENCODING", "save as UTF-8 without byte order mark"),
    "columns_are_complete": ("SCHEMA_COLUMN_MISSING", "restore the column under its agreed name"),
    "columns_are_known": ("SCHEMA_COLUMN_UNKNOWN", "drop the column, or extend the contract first"),
    "column_types_are_exact": ("SCHEMA_TYPE", "write the column in its agreed type"),
    "partitions_are_not_empty": ("EMPTY_PARTITION", "deliver the day again"),
}
_VALUE_CHECKS: Final = {
    "values_are_present": ("NULL_RATE", "deliver the rows again with all their values"),
    "transaction_ids_are_unique": ("DUPLICATE_KEY", "remove the repeated rows at their source"),
}


def check_raw_schema(
    frames: Mapping[str, pl.DataFrame], thresholds: Mapping[str, Any]
) -> ContractReport:
    """Check days of raw transactions.

    Args:
        frames: Day to its rows x the columns of `RAW_SCHEMA`.
        thresholds: The parsed `policies/data/contracts.json` (section `raw_schema`).

    Returns:
        The report of suite `raw_schema`.

    Raises:
        DataError: PARTITION_MISSING without days; THRESHOLD_MISSING or THRESHOLD_TYPE.
    """
    maximum = threshold(thresholds, "raw_schema", "amount_maximum")
    report = _check("raw_schema", frames, RAW_SCHEMA, _raw_rules(maximum, feed_of(thresholds)))
    return graded(report, thresholds, "raw_schema")


def check_feature_schema(
    frames: Mapping[str, pl.DataFrame], thresholds: Mapping[str, Any], raw: pl.DataFrame
) -> ContractReport:
    """Check days of transaction features, and hold every row against the raw transactions.

    Rows and what they carry along are compared in every day of the right form, before anything
    else is said of it; features only where the day's own values hold together.

    Args:
        frames: Day to its rows x the columns of `FEATURE_SCHEMA`.
        thresholds: The parsed `policies/data/contracts.json` (section `feature_schema`).
        raw: The raw transactions that the features were made from: rows x the columns of
            `RAW_SCHEMA`.

    Returns:
        The report of suite `feature_schema`.

    Raises:
        DataError: PARTITION_MISSING without days; THRESHOLD_MISSING or THRESHOLD_TYPE.
    """
    maximum = threshold(thresholds, "feature_schema", "amount_maximum")
    rules = _feature_rules(maximum, feed_of(thresholds))
    report = _check("feature_schema", frames, FEATURE_SCHEMA, rules)
    deformed = {finding.day for finding in report.findings if finding.check in _FORM_CHECKS}
    formed = {day: frames[day] for day in report.days if day not in deformed}
    strange = check_rows(raw, formed) if formed else []
    sound = {day: frame for day, frame in formed.items() if not report.failures_of(day)}
    leaks = check_recomputed(raw, sound) if sound else []
    described = [*report.suite_config["checks"], *describe_checks()]
    whole = replace(
        report,
        suite_config={**report.suite_config, "checks": described},
        checks=(*report.checks, SAME_ROWS, RECOMPUTED),
        findings=tuple(sorted((*strange, *report.findings, *leaks), key=lambda f: f.day)),
    )
    return graded(whole, thresholds, "feature_schema")


def _in_partition() -> _Rule:
    return _Rule(
        "event_times_lie_within_their_partition",
        "EVENT_TIME_OUTSIDE_PARTITION",
        "tx_datetime",
        "UTC date of tx_datetime = partition day",
        pl.col("tx_datetime").dt.date() == pl.col("day"),
        "deliver event times in UTC, each row under its own UTC day",
    )


def _amount_rules(column: str, maximum: float, feed: Feed) -> list[_Rule]:
    lowest, sign = feed.least_amount(maximum)
    amount = pl.col(column)
    present, finite = amount.is_not_nan(), amount.abs() <= MAX_REPRESENTABLE_AMOUNT
    return [
        _Rule(
            f"{column}_values_are_finite",
            "NON_FINITE",
            column,
            f"abs({column}) <= 2^53 / 100 and not the negative zero",
            ~present | (finite & ~((amount == 0) & (1.0 / amount < 0))),
            "deliver finite values",
        ),
        _Rule(
            f"{column}_values_are_{sign}",
            "VALUE_RANGE",
            column,
            f"{column} >= {lowest}",
            ~(present & finite) | (amount >= lowest),
            "correct the sign at the source",
        ),
        _Rule(
            f"{column}_values_are_within_the_limit",
            "VALUE_RANGE",
            column,
            f"{column} <= {maximum}",
            ~(present & finite) | (amount <= maximum),
            "correct the amount, or raise the limit with a reason",
        ),
    ]


def _range_rule(columns: list[str], lowest: float, highest: float | None, what: str) -> list[_Rule]:
    return [
        _Rule(
            f"{column}_is_{what}",
            "VALUE_RANGE",
            column,
            f"{column} >= {lowest}" + ("" if highest is None else f" and {column} <= {highest}"),
            (pl.col(column) >= lowest)
            & (pl.lit(value=True) if highest is None else pl.col(column) <= highest),
            "correct the value at its source",
        )
        for column in columns
    ]


def _raw_rules(amount_maximum: float, feed: Feed) -> list[_Rule]:
    units, whole = feed.minor_units, feed.minor_unit_name
    cents = pl.col("tx_amount") * units
    usable = pl.col("tx_amount").is_finite() & (pl.col("tx_amount").abs() <= amount_maximum)
    moment_s = pl.col("tx_datetime").dt.epoch("s")
    return [
        *_amount_rules("tx_amount", amount_maximum, feed),
        _Rule(
            f"tx_amount_values_are_whole_{whole}",
            "VALUE_RANGE",
            "tx_amount",
            f"abs({units} * tx_amount - round({units} * tx_amount)) <= {CENT_TOLERANCE}",
            ~usable | ((cents - cents.round()).abs() <= CENT_TOLERANCE),
            "round amounts to cents at their source",
        ),
        *_range_rule(["transaction_id", "customer_id", "terminal_id"], 0, None, "not_negative"),
        *_range_rule(["tx_fraud"], 0, 1, "zero_or_one"),
        *_range_rule(["tx_fraud_scenario"], 0, 3, "zero_to_three"),
        _Rule(
            "fraud_labels_agree_with_their_scenario",
            "VALUE_RANGE",
            "tx_fraud",
            "(tx_fraud = 1) = (tx_fraud_scenario > 0)",
            (pl.col("tx_fraud") == 1) == (pl.col("tx_fraud_scenario") > 0),
            "deliver label and scenario from the same investigation",
        ),
        _in_partition(),
        _Rule(
            "elapsed_times_agree_with_event_times",
            "EVENT_TIME_OUTSIDE_PARTITION",
            "tx_datetime",
            "(tx_datetime - tx_time_seconds) % 86400 = 0, tx_time_days = tx_time_seconds // 86400",
            ((moment_s - pl.col("tx_time_seconds")) % _DAY_S == 0)
            & (pl.col("tx_time_seconds") // _DAY_S == pl.col("tx_time_days")),
            "deliver event times in UTC, not in local time",
        ),
        _Rule(
            "transactions_are_not_repeated_under_new_ids",
            "DUPLICATE_KEY",
            "transaction_id",
            "(tx_datetime, customer_id, terminal_id, tx_amount) is unique",
            ~pl.struct("tx_datetime", "customer_id", "terminal_id", "tx_amount").is_duplicated(),
            "remove the repeated rows at their source",
        ),
    ]


def _feature_rules(most: float, feed: Feed) -> list[_Rule]:
    averages = [name for name in CUSTOMER_FEATURES if "avg_amount" in name]
    risks = [name for name in TERMINAL_FEATURES if "risk" in name]
    customer_counts = [name for name in CUSTOMER_FEATURES if "nb_tx" in name]
    terminal_counts = [name for name in TERMINAL_FEATURES if "nb_tx" in name]
    hour, weekday = pl.col("tx_datetime").dt.hour(), pl.col("tx_datetime").dt.weekday()
    rules = [rule for name in ["tx_amount", *averages] for rule in _amount_rules(name, most, feed)]
    rules += _range_rule(["transaction_id", "customer_id", "terminal_id"], 0, None, "not_negative")
    rules += _range_rule(["tx_fraud", "tx_during_weekend", "tx_during_night"], 0, 1, "zero_or_one")
    # A customer's window holds the transaction itself; a terminal's window ends seven days earlier.
    rules += _range_rule(customer_counts, 1, None, "at_least_one")
    rules += _range_rule(terminal_counts, 0, None, "not_negative")
    rules += _range_rule(risks, 0, 1, "a_share")
    rules += [
        _calendar_rule("tx_during_weekend", "weekday is Saturday or Sunday", weekday > 5),
        _calendar_rule("tx_during_night", "hour <= 6", hour <= 6),
        *(_nested_rule(name) for name in ("customer_id_nb_tx", "terminal_id_nb_tx")),
        _in_partition(),
    ]
    return rules


def _calendar_rule(column: str, condition: str, truth: pl.Expr) -> _Rule:
    return _Rule(
        f"{column}_agrees_with_the_event_time",
        "VALUE_RANGE",
        column,
        f"({column} = 1) = ({condition})",
        (pl.col(column) == 1) == truth,
        "compute the features again from the raw transactions",
    )


def _nested_rule(prefix: str) -> _Rule:
    names = [f"{prefix}_{days}day_window" for days in WINDOWS_DAYS]
    return _Rule(
        f"{prefix}_windows_are_nested",
        "VALUE_RANGE",
        names[0],
        " <= ".join(names),
        pl.all_horizontal(pl.col(a) <= pl.col(b) for a, b in pairwise(names)),
        "compute the features again from the raw transactions",
    )


def _check(
    suite: str,
    frames: Mapping[str, pl.DataFrame],
    schema: Mapping[str, PolarsType],
    rules: list[_Rule],
) -> ContractReport:
    days = tuple(sorted(frames))
    require_days(days)
    failures: list[Failure] = []
    sound: list[pl.DataFrame] = []
    for day in days:
        wrong = _form_failures(day, frames[day], schema)
        failures += wrong
        if not wrong:
            sound.append(_with_day(day, frames[day], schema))
    if sound:
        failures += _value_failures(pl.concat(sound), schema, rules)
    return ContractReport(
        suite=suite,
        suite_config=_describe(suite, schema, rules),
        checks=(*_FORM_CHECKS, *_VALUE_CHECKS, *(rule.check for rule in rules)),
        days=days,
        rows={day: frames[day].height for day in days},
        findings=tuple(sorted(failures, key=lambda f: f.day)),
    )


def _with_day(day: str, frame: pl.DataFrame, schema: Mapping[str, PolarsType]) -> pl.DataFrame:
    try:
        moment = date.fromisoformat(day)
    except ValueError as error:
        raise DataError(
            "PARTITION_MISSING", f"{day!r} is not a day", remedy="name days YYYY-MM-DD"
        ) from error
    return frame.select(*schema, day=pl.lit(moment))


def _describe(suite: str, schema: Mapping[str, PolarsType], rules: list[_Rule]) -> dict[str, Any]:
    return {
        "suite": suite,
        "engine": "pandera.polars, strict, no coercion",
        "columns": {name: str(dtype) for name, dtype in schema.items()},
        "nullable": [],
        "unique": ["transaction_id"],
        "checks": [
            *({"check": name, "code": code} for name, (code, _) in _FORM_CHECKS.items()),
            *({"check": name, "code": code} for name, (code, _) in _VALUE_CHECKS.items()),
            *(
                {
                    "check": rule.check,
                    "code": rule.code,
                    "column": rule.column,
                    "condition": rule.condition,
                }
                for rule in rules
            ),
        ],
    }


def _form_failures(
    day: str, frame: pl.DataFrame, schema: Mapping[str, PolarsType]
) -> list[Failure]:
    """Validate columns, types and emptiness of one day; values are not looked at."""
    if frame.height and dict(frame.schema) == dict(schema):
        return []
    import pandera.polars as pa  # slow import, only where data is checked

    form = pa.DataFrameSchema(
        {name: pa.Column(dtype, nullable=True) for name, dtype in schema.items()},
        strict=True,
        coerce=False,
    )
    failures = []
    try:
        form.validate(frame.head(0), lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            check, column, found = _form_error(error, frame)
            failures.append(_failure(day, check, column, frame.height, found))
    strange = [name for name in frame.columns if not name.isascii() or not name.isprintable()]
    if strange:
        found = f"{len(strange)} name(s), first {strange[0]!r}"
        failures.append(_failure(day, "column_names_are_plain_text", "", frame.height, found))
    if frame.height == 0:
        failures.append(_failure(day, "partitions_are_not_empty", "", 0, "0 rows"))
    # A strange name comes first, then what is missing: the root causes of an unknown column.
    order = list(_FORM_CHECKS)
    return sorted(failures, key=lambda failure: order.index(failure.check))


def _form_error(error: "pa.errors.SchemaError", frame: pl.DataFrame) -> tuple[str, str, str]:
    """Translate one of Pandera's schema errors into (check, column, what was found)."""
    reason = error.reason_code.name
    if reason == "COLUMN_NOT_IN_DATAFRAME":
        column = str(error.failure_cases)
        return "columns_are_complete", column, f"columns are {frame.columns}"
    if reason == "COLUMN_NOT_IN_SCHEMA":
        column = str(error.failure_cases)
        return "columns_are_known", column, column
    column = str(error.schema.name)
    return "column_types_are_exact", column, str(frame.schema.get(column))


def _failure(day: str, check: str, column: str, rows: int, example: str) -> Failure:
    code, remedy = {**_FORM_CHECKS, **_VALUE_CHECKS}[check]
    return Failure(day, check, code, column, rows, example, remedy)


def _value_failures(
    frame: pl.DataFrame, schema: Mapping[str, PolarsType], rules: list[_Rule]
) -> list[Failure]:
    """Validate all rows of all sound days in one pass and attribute what fails to its day."""
    import pandera.polars as pa  # slow import, only where data is checked

    by_name = {rule.check: rule for rule in rules}
    values = pa.DataFrameSchema(
        {
            **{name: pa.Column(dtype, nullable=False) for name, dtype in schema.items()},
            "day": pa.Column(pl.Date, nullable=False),
        },
        checks=[_pandera_check(rule) for rule in rules],
        unique=["transaction_id"],
        strict=True,
        coerce=False,
    )
    try:
        values.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        failures: list[Failure] = []
        for error in errors.schema_errors:
            name = getattr(error.check, "name", None) or str(error.check)
            if name in by_name:
                rule = by_name[name]
                place = (rule.check, rule.code, rule.column, rule.remedy)
            elif name == "not_nullable":
                code, remedy = _VALUE_CHECKS["values_are_present"]
                place = ("values_are_present", code, str(error.schema.name), remedy)
            else:
                code, remedy = _VALUE_CHECKS["transaction_ids_are_unique"]
                place = ("transaction_ids_are_unique", code, "transaction_id", remedy)
            failures += _by_day(frame, error.check_output, place)
        return failures
    return []


def _pandera_check(rule: _Rule) -> "pa.Check":
    import pandera.polars as pa  # slow import, only where data is checked

    return pa.Check(
        # An undefined outcome (a missing value) is reported once, as a missing value.
        lambda data: data.lazyframe.select(rule.holds.fill_null(value=True)),
        name=rule.check,
    )


def _by_day(
    frame: pl.DataFrame,
    outcome: Any,  # noqa: ANN401  # a frame or a lazy frame, by kind of check
    place: tuple[str, str, str, str],
) -> list[Failure]:
    check, code, column, remedy = place
    table = outcome.collect() if isinstance(outcome, pl.LazyFrame) else outcome
    bad = frame.filter(~table["check_output"].fill_null(value=False))
    days = bad.group_by("day", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col(column).first().alias("example")
    )
    return [
        Failure(str(day), check, code, column, rows, str(example), remedy)
        for day, rows, example in days.sort("day").iter_rows()
    ]
