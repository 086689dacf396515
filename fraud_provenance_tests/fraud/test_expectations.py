"""Whole days are set against the days before them."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.contract import CODES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.expectations import (
    check_feature_expectations,
    check_raw_expectations,
)
from fraud_provenance.fraud.profile import profile_days

Days = dict[str, pl.DataFrame]
DAY, BEFORE = "2018-05-10", "2018-05-09"


def _codes(days: Days, thresholds: dict[str, Any], day: str = DAY) -> set[tuple[str, str]]:
    report = check_raw_expectations(profile_days(days), [day], thresholds, None)
    assert {failure.code for failure in report.failures} <= CODES
    return {(failure.code, failure.check) for failure in report.failures}


def test_raw_expectations_of_generated_days_pass_in_one_report(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    report = check_raw_expectations(profile_days(raw_days), list(raw_days), thresholds, None)

    assert report.passed
    assert report.days == tuple(raw_days)
    assert report.rows == {day: frame.height for day, frame in raw_days.items()}
    assert len(report.checks) == len(report.suite_config["expectations"])


def _one_in(count: int, amount: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    chosen = pl.int_range(pl.len()) % count == 0
    return lambda frame: frame.with_columns(
        pl.when(chosen).then(amount).otherwise("tx_amount").alias("tx_amount")
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda frame: frame.with_columns(pl.col("tx_amount") * 100),
            ("UNIT_SHIFT", "amount_median_ratios_are_usual"),
            id="cents",
        ),
        pytest.param(
            lambda frame: frame.with_columns(pl.col("tx_amount") / 100),
            ("UNIT_SHIFT", "amount_medians_are_in_currency_units"),
            id="hundreds",
        ),
        pytest.param(
            _one_in(10, pl.col("tx_amount") * 100),
            ("DISTRIBUTION_SHIFT", "amount_mean_ratios_are_usual"),
            id="a-tenth-in-cents",
        ),
        pytest.param(
            _one_in(20, pl.lit(137.77)),
            ("DISTRIBUTION_SHIFT", "no_single_amount_dominates"),
            id="planted-amount",
        ),
        pytest.param(
            _one_in(20, pl.lit(0.0)),
            ("DISTRIBUTION_SHIFT", "zero_amounts_are_rare"),
            id="defaulted-amount",
        ),
        pytest.param(
            lambda frame: frame.head(frame.height // 3),
            ("VOLUME", "rows_ratios_are_usual"),
            id="truncated",
        ),
        pytest.param(
            lambda frame: pl.concat([frame] * 3), ("VOLUME", "rows_ratios_are_usual"), id="thrice"
        ),
        pytest.param(lambda frame: frame.clear(), ("VOLUME", "days_have_transactions"), id="empty"),
        pytest.param(
            lambda frame: frame.with_columns(customer_id=pl.lit(1, pl.Int32)),
            ("DISTRIBUTION_SHIFT", "customers_ratios_are_usual"),
            id="one-customer",
        ),
        pytest.param(
            lambda frame: frame.with_columns(tx_fraud=pl.lit(1, pl.Int8)),
            ("LABEL_RATE", "fraud_rates_are_plausible"),
            id="all-frauds",
        ),
    ],
)
def test_raw_expectations_of_a_strange_day_name_the_cause(
    raw_days: Days,
    thresholds: dict[str, Any],
    change: Callable[[pl.DataFrame], pl.DataFrame],
    expected: tuple[str, str],
) -> None:
    assert expected in _codes({**raw_days, DAY: change(raw_days[DAY])}, thresholds)


def test_raw_expectations_of_cents_without_any_baseline_name_the_unit(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    cents = {DAY: raw_days[DAY].with_columns(pl.col("tx_amount") * 100)}

    assert _codes(cents, thresholds) == {("UNIT_SHIFT", "amount_medians_are_in_currency_units")}


def test_raw_expectations_of_lost_labels_name_the_label_rate(thresholds: dict[str, Any]) -> None:
    from fraud_provenance.fraud.generator import generate_days
    from fraud_provenance.fraud.transactions import to_raw

    days = {day: to_raw(frame) for day, frame in generate_days(40, 3_000, seed=3)}
    last = max(days)
    days[last] = days[last].with_columns(tx_fraud=pl.lit(0, pl.Int8))

    assert _codes(days, thresholds, last) == {("LABEL_RATE", "fraud_counts_are_usual")}


def test_late_labels_of_three_days_hold_the_third(thresholds: dict[str, Any]) -> None:
    from fraud_provenance.fraud.generator import generate_days
    from fraud_provenance.fraud.transactions import to_raw

    days = {day: to_raw(frame) for day, frame in generate_days(31, 1_200, seed=11)}
    for day in sorted(days)[-3:]:
        days[day] = days[day].with_columns(tx_fraud=pl.lit(0, pl.Int8))

    check = "days_together_have_the_frauds_they_should"
    assert _codes(days, thresholds, max(days)) == {("LABEL_RATE", check)}


def _shifted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.col("tx_datetime") + timedelta(days=1),
        pl.col("transaction_id") + 10**6,
        pl.col("tx_time_seconds") + 86_400,
        pl.col("tx_time_days") + 1,
    )


def test_raw_expectations_of_yesterdays_rows_under_new_dates_name_the_frozen_feed(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    found = _codes({**raw_days, DAY: _shifted(raw_days[BEFORE])}, thresholds)

    assert found == {
        ("FROZEN_FEED", "days_do_not_repeat_earlier_days"),
        ("FROZEN_FEED", "rows_do_not_repeat_earlier_days"),
    }


def test_raw_expectations_of_a_frozen_feed_with_fresh_rows_mixed_in_are_not_fooled(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    mixed = pl.concat([_shifted(raw_days[BEFORE]), raw_days[DAY].sample(80, seed=1)])

    assert _codes({**raw_days, DAY: mixed}, thresholds) == {
        ("FROZEN_FEED", "rows_do_not_repeat_earlier_days")
    }


def test_raw_expectations_after_a_missing_day_name_the_stale_feed(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    days = {day: frame for day, frame in raw_days.items() if day != BEFORE}

    assert _codes(days, thresholds) == {("STALE_FEED", "days_follow_each_other")}


def test_raw_expectations_after_a_day_that_was_declared_empty_hold(
    raw_days: Days, thresholds: dict[str, Any]
) -> None:
    days = {day: frame for day, frame in raw_days.items() if day != BEFORE}
    profile = profile_days(days)

    for empty in ([BEFORE], [BEFORE, "2017-01-01", "2031-01-01"], [BEFORE, DAY]):
        report = check_raw_expectations(profile, [DAY], thresholds, None, empty)
        assert report.findings == ()
    for other in (["2017-01-01"], [DAY], ["2031-01-01"]):
        report = check_raw_expectations(profile, [DAY], thresholds, None, other)
        assert [found.code for found in report.findings] == ["STALE_FEED"]


@pytest.mark.parametrize("days", [[], ["2019-01-01"]], ids=["no-day", "unknown-day"])
def test_raw_expectations_without_the_day_are_refused(
    raw_days: Days, thresholds: dict[str, Any], days: list[str]
) -> None:
    with pytest.raises(DataError, match="PARTITION_MISSING"):
        check_raw_expectations(profile_days(raw_days), days, thresholds, None)


def test_raw_expectations_with_a_folder_write_a_page_that_needs_no_network(
    raw_days: Days, thresholds: dict[str, Any], tmp_path: Path
) -> None:
    days = {**raw_days, DAY: raw_days[DAY].with_columns(pl.col("tx_amount") * 100)}

    report = check_raw_expectations(profile_days(days), [DAY], thresholds, tmp_path / "docs")

    page = (tmp_path / "docs" / "index.html").read_text()
    assert "UNIT_SHIFT" in page
    assert "http" not in page
    assert (tmp_path / "docs" / "data_docs" / "index.html").is_file()
    own = tmp_path / "docs" / report.page
    assert report.page != "index.html"
    assert own.read_bytes() == (tmp_path / "docs" / "index.html").read_bytes()
    for path in (tmp_path / "docs").rglob("*.html"):
        assert not re.search("(?:src|href)=.(?:https?:)?//|<script", path.read_text("utf-8")), path


def test_profile_of_the_same_rows_in_another_order_is_the_same(raw_days: Days) -> None:
    shuffled = raw_days[DAY].sample(fraction=1.0, shuffle=True, seed=1)

    one, other = profile_days({DAY: raw_days[DAY]}), profile_days({DAY: shuffled})

    assert one.drop("amount_mean").equals(other.drop("amount_mean"))


def test_profile_of_a_day_without_a_column_is_refused(raw_days: Days) -> None:
    with pytest.raises(DataError, match="SCHEMA_COLUMN_MISSING"):
        profile_days({DAY: raw_days[DAY].drop("tx_amount")})


def _by_day(features: pl.DataFrame) -> Days:
    days = features.with_columns(day=pl.col("tx_datetime").dt.date())
    parts = days.partition_by("day", as_dict=True, include_key=False)
    return {str(day): part for (day,), part in parts.items()}


def test_feature_expectations_of_recomputed_features_pass(
    features: pl.DataFrame, thresholds: dict[str, Any]
) -> None:
    days = _by_day(features)

    report = check_feature_expectations(profile_days(days), list(days), thresholds, None)

    assert report.passed
    assert len(report.days) == 50


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("customer_id_avg_amount_7day_window", pl.col("customer_id_avg_amount_7day_window") * 100),
        ("terminal_id_nb_tx_30day_window", pl.lit(0, pl.Int32)),
        ("terminal_id_risk_1day_window", pl.lit(0.9)),
    ],
)
def test_feature_expectations_of_a_strange_feature_name_it(
    features: pl.DataFrame, thresholds: dict[str, Any], column: str, value: pl.Expr
) -> None:
    days = _by_day(features)
    days[DAY] = days[DAY].with_columns(value.alias(column))

    report = check_feature_expectations(profile_days(days), [DAY], thresholds, None)

    assert [(f.code, f.column) for f in report.failures] == [("DISTRIBUTION_SHIFT", column)]
