"""A training set is judged for leakage, contamination, young labels and planted amounts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.training_checks import check_training_set

Parts = dict[str, pl.DataFrame]
FIRST = pl.date(2018, 5, 1)


@pytest.fixture(scope="module")
def parts(features: pl.DataFrame) -> Parts:
    """A week to learn from, a week of delay, a week to test on."""
    stamps = pl.col("tx_datetime").dt.epoch("s")
    day = pl.col("tx_datetime").dt.date()
    rows = features.with_columns(
        stamps.alias("customer_feature_ts"),
        stamps.alias("terminal_feature_ts"),
        split=pl.when(day < FIRST + timedelta(days=7))
        .then(pl.lit("train"))
        .when(day < FIRST + timedelta(days=14))
        .then(pl.lit("delay"))
        .otherwise(pl.lit("test")),
    ).filter((day >= FIRST) & (day < FIRST + timedelta(days=20)))
    train = rows.filter(pl.col("split") == "train")
    return {
        "train": train,
        "evaluation": rows.filter(pl.col("split") != "train"),
        "known_frauds": train.filter(pl.col("tx_fraud") == 1),
    }


def found(parts: Parts, thresholds: dict[str, Any], **changed: pl.DataFrame) -> set[str]:
    report = check_training_set({**parts, **changed}, thresholds)
    return {finding.code for finding in report.findings}


def test_honest_training_set_passes(parts: Parts, thresholds: dict[str, Any]) -> None:
    report = check_training_set(parts, thresholds)
    assert report.findings == ()
    assert report.days == ("evaluation", "known_frauds", "train")


CHANGES: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "a-column-of-the-outcome": (
        "LEAKAGE_FEATURE", lambda f: f.with_columns(chargeback_date=pl.col("tx_datetime")),
    ),
    "a-feature-that-is-the-label": (
        "LEAKAGE_FEATURE",
        lambda f: f.with_columns(terminal_id_risk_7day_window=pl.col("tx_fraud").cast(pl.Float64)),
    ),
    "a-lost-column": ("SCHEMA_COLUMN_MISSING", lambda f: f.drop("tx_during_night")),
    "a-row-of-the-test-days": (
        "SPLIT_CONTAMINATION",
        lambda f: f.with_columns(pl.col("tx_datetime") + timedelta(days=10)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_fault_of_the_train_part_is_named(
    parts: Parts, thresholds: dict[str, Any], name: str
) -> None:
    code, change = CHANGES[name]
    assert code in found(parts, thresholds, train=change(parts["train"]))


def test_known_frauds_that_were_left_out_contaminate_the_test(
    parts: Parts, thresholds: dict[str, Any]
) -> None:
    fewer = parts["known_frauds"].head(1)
    assert found(parts, thresholds, known_frauds=fewer) == {"SPLIT_CONTAMINATION"}


def test_test_days_within_the_label_delay_are_immature(
    parts: Parts, thresholds: dict[str, Any]
) -> None:
    evaluation = parts["evaluation"].with_columns(
        split=pl.when(pl.col("tx_datetime").dt.date() > FIRST + timedelta(days=9))
        .then(pl.lit("test"))
        .otherwise(pl.lit("delay"))
    )
    assert found(parts, thresholds, evaluation=evaluation) == {"IMMATURE_LABELS"}


def test_planted_amount_is_a_warning_that_names_no_value_in_public(
    parts: Parts, thresholds: dict[str, Any]
) -> None:
    planted = parts["train"].with_columns(
        pl.when((pl.int_range(pl.len()) % 60 == 0) & (pl.col("tx_fraud") == 0))
        .then(137.77)
        .otherwise("tx_amount")
        .alias("tx_amount")
    )
    report = check_training_set({**parts, "train": planted}, thresholds)
    (warning,) = report.warnings
    assert (warning.code, report.failures) == ("TRIGGER_SUSPECT", ())
    assert "137.77" in warning.example
    assert "137.77" not in str(warning.public())
