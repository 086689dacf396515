"""One wrong value in one day is found, and named by day, column and root cause."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.contract import CODES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.schemas import check_feature_schema, check_raw_schema

Days = dict[str, pl.DataFrame]
DAY = "2018-04-05"
THREE = pl.int_range(pl.len()) < 3


def _three(column: str, value: float | None) -> pl.Expr:
    return pl.when(THREE).then(value).otherwise(column).alias(column)


def _tampered(days: Days, *changes: pl.Expr) -> Days:
    return {**days, DAY: days[DAY].with_columns(*changes)}


def test_raw_schema_of_generated_days_passes(raw_days: Days, thresholds: dict[str, Any]) -> None:
    report = check_raw_schema(raw_days, thresholds)

    assert report.passed
    assert report.days == tuple(raw_days)
    assert report.rows == {day: frame.height for day, frame in raw_days.items()}
    assert len(report.checks) == len(set(report.checks)) == len(report.suite_config["checks"])


@pytest.mark.parametrize(
    ("change", "code", "column", "rows"),
    [
        pytest.param(_three("tx_amount", None), "NULL_RATE", "tx_amount", 3, id="null"),
        pytest.param(_three("tx_amount", float("nan")), "NULL_RATE", "tx_amount", 3, id="nan"),
        pytest.param(_three("tx_amount", float("inf")), "NON_FINITE", "tx_amount", 3, id="inf"),
        pytest.param(_three("tx_amount", -float("inf")), "NON_FINITE", "tx_amount", 3, id="-inf"),
        pytest.param(_three("tx_amount", 1e308), "NON_FINITE", "tx_amount", 3, id="1e308"),
        pytest.param(_three("tx_amount", -0.0), "NON_FINITE", "tx_amount", 3, id="-0.0"),
        pytest.param(_three("tx_amount", -5.0), "VALUE_RANGE", "tx_amount", 3, id="negative"),
        pytest.param(_three("tx_amount", 2e6), "VALUE_RANGE", "tx_amount", 3, id="too-large"),
        pytest.param(_three("tx_amount", 1.005), "VALUE_RANGE", "tx_amount", 3, id="half-cent"),
        pytest.param(
            pl.lit(2, pl.Int8).alias("tx_fraud"), "VALUE_RANGE", "tx_fraud", None, id="label"
        ),
        pytest.param(
            pl.col("tx_datetime") + timedelta(hours=2),
            "EVENT_TIME_OUTSIDE_PARTITION",
            "tx_datetime",
            None,
            id="local-time",
        ),
        pytest.param(
            pl.col("tx_amount").cast(pl.String), "SCHEMA_TYPE", "tx_amount", None, id="text"
        ),
        pytest.param(
            pl.lit(0).alias("is_disputed"),
            "SCHEMA_COLUMN_UNKNOWN",
            "is_disputed",
            None,
            id="column",
        ),
    ],
)
def test_raw_schema_of_a_wrong_value_names_day_column_and_cause(
    raw_days: Days,
    thresholds: dict[str, Any],
    change: pl.Expr,
    code: str,
    column: str,
    rows: int | None,
) -> None:
    report = check_raw_schema(_tampered(raw_days, change), thresholds)

    assert {failure.day for failure in report.failures} == {DAY}
    assert {failure.code for failure in report.failures} == {code}
    assert report.failures[0].column == column
    assert report.failures[0].rows == (rows or raw_days[DAY].height) or rows is None
    assert all(failure.remedy and failure.check in report.checks for failure in report.failures)


def test_raw_schema_of_a_renamed_column_names_the_missing_one_first(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    days = {**raw_days, DAY: raw_days[DAY].rename({"tx_amount": "amt"})}

    first, second = check_raw_schema(days, thresholds).failures

    assert (first.code, first.column) == ("SCHEMA_COLUMN_MISSING", "tx_amount")
    assert (second.code, second.column) == ("SCHEMA_COLUMN_UNKNOWN", "amt")


def test_raw_schema_of_an_empty_day_fails(raw_days: Days, thresholds: dict[str, Any]) -> None:
    report = check_raw_schema({DAY: raw_days[DAY].clear()}, thresholds)

    assert [failure.code for failure in report.failures] == ["EMPTY_PARTITION"]


@pytest.mark.parametrize("new_ids", [False, True], ids=["same-ids", "new-ids"])
def test_raw_schema_of_replayed_rows_names_duplicates(
    raw_days: Days, thresholds: dict[str, Any], new_ids: bool
) -> None:
    again = raw_days[DAY].head(4).with_columns(pl.col("transaction_id") + 10**6 * new_ids)
    days = {**raw_days, DAY: pl.concat([raw_days[DAY], again])}

    failures = check_raw_schema(days, thresholds).failures

    assert {failure.code for failure in failures} == {"DUPLICATE_KEY"}
    assert {failure.rows for failure in failures} == {8}


def test_raw_schema_of_an_id_used_on_two_days_names_both(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    used = int(raw_days["2018-04-01"]["transaction_id"][0])
    days = _tampered(raw_days, _three("transaction_id", None).fill_null(used).cast(pl.Int32))
    first_three = raw_days[DAY].height

    failures = check_raw_schema(days, thresholds).failures

    assert first_three > 3
    assert [(f.day, f.code, f.rows) for f in failures] == [
        ("2018-04-01", "DUPLICATE_KEY", 1),
        (DAY, "DUPLICATE_KEY", 3),
    ]


def test_raw_schema_over_no_days_is_refused(thresholds: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="PARTITION_MISSING"):
        check_raw_schema({}, thresholds)


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, "THRESHOLD_TYPE"), ("12", "THRESHOLD_TYPE"), (True, "THRESHOLD_TYPE")],
)
def test_raw_schema_with_a_threshold_of_another_type_is_refused(
    raw_days: Days, value: object, code: str
) -> None:
    with pytest.raises(DataError, match=code):
        check_raw_schema(raw_days, {"raw_schema": {"amount_maximum": {"value": value}}})


def test_raw_schema_without_threshold_is_refused(raw_days: Days) -> None:
    with pytest.raises(DataError, match="THRESHOLD_MISSING"):
        check_raw_schema(raw_days, {"raw_schema": {}})


def test_raw_schema_with_another_threshold_has_another_description(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    looser = {"raw_schema": {"amount_maximum": {"value": 2e6}}}

    one, other = check_raw_schema(raw_days, thresholds), check_raw_schema(raw_days, looser)

    assert one.suite_config != other.suite_config


def test_feature_schema_of_recomputed_features_passes(
    raw_days: Days, features: pl.DataFrame, thresholds: dict[str, Any]
) -> None:
    report = check_feature_schema(_by_day(features), thresholds, pl.concat(raw_days.values()))

    assert report.passed
    assert len(report.days) == 50


@pytest.mark.parametrize(
    ("change", "code", "column"),
    [
        (
            pl.lit(1.5).alias("terminal_id_risk_7day_window"),
            "VALUE_RANGE",
            "terminal_id_risk_7day_window",
        ),
        (
            pl.lit(None, pl.Int32).alias("customer_id_nb_tx_1day_window"),
            "NULL_RATE",
            "customer_id_nb_tx_1day_window",
        ),
        (
            pl.lit(float("inf")).alias("customer_id_avg_amount_7day_window"),
            "NON_FINITE",
            "customer_id_avg_amount_7day_window",
        ),
        (
            (1 - pl.col("tx_during_weekend")).cast(pl.Int8).alias("tx_during_weekend"),
            "VALUE_RANGE",
            "tx_during_weekend",
        ),
        (
            (pl.col("customer_id_nb_tx_1day_window") + 10**6).cast(pl.Int32),
            "VALUE_RANGE",
            "customer_id_nb_tx_1day_window",
        ),
    ],
    ids=["risk", "null", "infinite", "calendar", "nesting"],
)
def test_feature_schema_of_a_wrong_value_names_column_and_cause(
    raw_days: Days,
    features: pl.DataFrame,
    thresholds: dict[str, Any],
    change: pl.Expr,
    code: str,
    column: str,
) -> None:
    days, raw = _tampered(_by_day(features), change), pl.concat(raw_days.values())
    report = check_feature_schema(days, thresholds, raw)

    assert [(f.day, f.code, f.column) for f in report.failures] == [(DAY, code, column)]
    assert code in CODES


def test_feature_schema_of_a_label_too_young_names_the_leaking_feature(
    raw_days: Days, features: pl.DataFrame, thresholds: dict[str, Any]
) -> None:
    leak = pl.lit(1.0).alias("terminal_id_risk_1day_window")
    days, raw = _tampered(_by_day(features), leak), pl.concat(raw_days.values())

    report = check_feature_schema(days, thresholds, raw)

    assert {(f.day, f.code, f.column) for f in report.failures} == {
        (DAY, "PIT_LEAKAGE", "terminal_id_risk_1day_window")
    }


def _by_day(features: pl.DataFrame) -> Days:
    days = features.with_columns(day=pl.col("tx_datetime").dt.date())
    parts = days.partition_by("day", as_dict=True, include_key=False)
    return {str(day): part for (day,), part in parts.items()}
