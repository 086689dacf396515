"""A day beside its past: each fault is named by its own cause, and drift is not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.contract import CODES
from fraud_provenance.fraud.expectations import check_raw_expectations
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.history import surprise
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.transactions import to_raw

Days = dict[str, pl.DataFrame]
DAY, EARLIER = "2018-05-10", "2018-04-20"


@pytest.fixture(scope="module")
def days() -> Days:
    """Forty days of about 2,000 transactions."""
    return {day: to_raw(frame) for day, frame in generate_days(40, 2_000, seed=5)}


def found(days: Days, thresholds: dict[str, Any], changed: pl.DataFrame) -> list[tuple[str, bool]]:
    profile = profile_days({**days, DAY: changed})
    report = check_raw_expectations(profile, [DAY], thresholds, None)
    assert {finding.code for finding in report.findings} <= CODES
    return [(finding.code, finding.warning) for finding in report.findings]


def some(share: float, value: pl.Expr | float) -> pl.Expr:
    chosen = pl.int_range(pl.len()) < pl.len() * share
    return pl.when(chosen).then(value).otherwise(pl.col("tx_amount")).alias("tx_amount")


FAULTS: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "a-part-in-cents": (
        "UNIT_SHIFT", lambda f: f.with_columns(some(0.01, pl.col("tx_amount") * 100)),
    ),
    "one-terminal-group-in-cents": (
        "UNIT_SHIFT",
        lambda f: f.with_columns(
            pl.when(pl.col("terminal_id") % 40 == 0)
            .then(pl.col("tx_amount") * 100)
            .otherwise("tx_amount")
            .alias("tx_amount")
        ),
    ),
    "a-part-in-hundreds": (
        "UNIT_SHIFT", lambda f: f.with_columns(some(0.05, pl.col("tx_amount") / 100)),
    ),
    "nines": ("SENTINEL_VALUE", lambda f: f.with_columns(some(0.02, 9999.99))),
    "one-time": (
        "SENTINEL_VALUE",
        lambda f: f.with_columns(
            pl.when(pl.int_range(pl.len()) % 10 == 0)
            .then(pl.col("tx_datetime").dt.truncate("1d"))
            .otherwise("tx_datetime")
            .alias("tx_datetime")
        ),
    ),
    "one-terminal": ("CONSTANT_COLUMN", lambda f: f.with_columns(terminal_id=pl.lit(1, pl.Int32))),
    "swapped": (
        "COLUMNS_SWAPPED",
        lambda f: f.with_columns(
            customer_id=pl.col("terminal_id"), terminal_id=pl.col("customer_id")
        ),
    ),
    "permuted-customers": (
        "DISTRIBUTION_SHIFT", lambda f: f.with_columns(pl.col("customer_id").shuffle(seed=1)),
    ),
    "cut-off": (
        "VOLUME", lambda f: f.filter(pl.col("tx_datetime").dt.hour() < 20),
    ),
    "two-hours-late": (
        "EVENT_TIME_OUTSIDE_PARTITION",
        lambda f: f.with_columns(pl.col("tx_datetime") + timedelta(hours=2)).filter(
            pl.col("tx_datetime").dt.date() == f["tx_datetime"].dt.date()[0]
        ),
    ),
    "another-calendar": (
        "EVENT_TIME_OUTSIDE_PARTITION",
        lambda f: f.with_columns((pl.col("tx_time_days") + 1).cast(pl.Int16)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_of_a_day_is_named_first_by_its_cause(
    days: Days, thresholds: dict[str, Any], name: str
) -> None:
    code, change = FAULTS[name]
    codes = found(days, thresholds, change(days[DAY]))
    assert codes[0] == (code, False)


def test_planted_amount_is_told_and_does_not_fail_the_day(
    days: Days, thresholds: dict[str, Any]
) -> None:
    planted = days[DAY].with_columns(some(0.01, 137.77))
    assert found(days, thresholds, planted) == [("TRIGGER_SUSPECT", True)]


def test_ids_of_an_earlier_day_are_named_as_repeated(
    days: Days, thresholds: dict[str, Any]
) -> None:
    again = pl.concat([days[DAY], days[EARLIER].head(1)])
    assert found(days, thresholds, again)[0] == ("DUPLICATE_KEY", False)


def test_feed_of_weeks_ago_with_stirred_amounts_is_frozen(
    days: Days, thresholds: dict[str, Any]
) -> None:
    shift = timedelta(days=20)
    replayed = days[EARLIER].with_columns(
        pl.col("tx_datetime") + shift,
        (pl.col("tx_amount") * 1.03).round(2),
        pl.col("transaction_id") + 10**7,
        pl.col("tx_time_days") + 20,
    )
    assert found(days, thresholds, replayed)[0] == ("FROZEN_FEED", False)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f.sample(fraction=0.8, seed=1), id="a-fifth-fewer-rows"),
        pytest.param(lambda f: f.with_columns((pl.col("tx_amount") * 1.2).round(2)), id="dearer"),
        pytest.param(lambda f: f.with_columns((pl.col("tx_amount") * 0.85).round(2)), id="cheaper"),
        pytest.param(lambda f: f.sample(fraction=1.0, shuffle=True, seed=1), id="other-order"),
    ],
)
def test_drift_within_bounds_passes(
    days: Days, thresholds: dict[str, Any], change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    assert found(days, thresholds, change(days[DAY])) == []


@pytest.mark.parametrize(("rows", "seed"), [(300, 1), (300, 2), (1_000, 3)])
def test_honest_days_raise_no_alarm(thresholds: dict[str, Any], rows: int, seed: int) -> None:
    honest = {day: to_raw(frame) for day, frame in generate_days(50, rows, seed=seed)}
    report = check_raw_expectations(profile_days(honest), list(honest), thresholds, None)
    assert report.findings == ()


@pytest.mark.parametrize(
    ("count", "expected", "least", "most"),
    [(0, 1.0, 0, 0), (1, 1.0, 0, 0), (12, 1.0, 9, 9.5), (10_000, 1.0, 30_000, 36_000)],
)
def test_surprise_is_the_power_of_ten_that_chance_is_against(
    count: float, expected: float, least: float, most: float
) -> None:
    assert least <= surprise(count, expected) <= most
