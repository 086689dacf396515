"""A training set is judged for leakage, contamination, young labels and planted amounts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES
from fraud_provenance.fraud.contract import ContractReport
from fraud_provenance.fraud.model import Split
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


def judged(parts: Parts, thresholds: dict[str, Any], honest: Parts) -> ContractReport:
    """Parts held against the features and the split that `honest` ones were made from."""
    rows = pl.concat([honest["train"], honest["evaluation"]])
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    by_day = rows.with_columns(day=day).partition_by("day", as_dict=True)
    attested = {str(key): frame.select(*FEATURE_SCHEMA) for (key,), frame in by_day.items()}
    days = {str(key): frame["split"][0] for (key,), frame in by_day.items()}
    asked = Split(*(tuple(d for d in sorted(days) if days[d] == part)
                    for part in ("train", "delay", "test")))  # fmt: skip
    return check_training_set(parts, thresholds, attested, asked)


@pytest.fixture
def found(parts: Parts, thresholds: dict[str, Any]) -> Callable[..., list[tuple[str, str]]]:
    """Judge the honest parts with some of them changed: (code, column) of each failure."""

    def judge(**changed: pl.DataFrame) -> list[tuple[str, str]]:
        report = judged({**parts, **changed}, thresholds, parts)
        return [(failure.code, failure.column) for failure in report.failures]

    return judge


Found = Callable[..., list[tuple[str, str]]]


def test_honest_training_set_passes(parts: Parts, thresholds: dict[str, Any]) -> None:
    report = judged(parts, thresholds, parts)
    assert report.findings == ()
    assert report.days == ("evaluation", "known_frauds", "train")


def test_rows_and_columns_in_another_order_pass(parts: Parts, found: Found) -> None:
    other = {
        name: frame.sample(fraction=1.0, shuffle=True, seed=1).select(reversed(frame.columns))
        for name, frame in parts.items()
    }
    assert found(**other) == []


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
def test_fault_of_the_train_part_is_named(parts: Parts, found: Found, name: str) -> None:
    code, change = CHANGES[name]
    assert code in {code for code, _ in found(train=change(parts["train"]))}


def test_known_frauds_that_were_left_out_contaminate_the_test(parts: Parts, found: Found) -> None:
    fewer = parts["known_frauds"].head(1)
    assert {code for code, _ in found(known_frauds=fewer)} == {"SPLIT_CONTAMINATION"}


@pytest.mark.parametrize("part", ["train", "evaluation", "known_frauds"])
@pytest.mark.parametrize("column", [*FEATURE_SCHEMA, "split"])
def test_one_value_that_is_not_the_attested_one_is_found(
    parts: Parts, found: Found, part: str, column: str
) -> None:
    rows = parts[part]
    if column == "transaction_id":
        other: pl.Expr = pl.col(column) + 10**8
    elif column == "split":
        other = pl.lit("none")
    elif column == "tx_datetime":
        other = pl.col(column) + timedelta(microseconds=1)
    else:
        other = pl.col(column) + 1
    at = pl.int_range(pl.len()) == rows.height - 2
    changed = rows.with_columns(
        pl.when(at).then(other).otherwise(pl.col(column)).cast(rows.schema[column]).alias(column)
    )
    inputs = {name for name in FEATURES if "window" in name}
    code = "PIT_LEAKAGE" if column in inputs else "FEATURE_RECOMPUTE_MISMATCH"

    assert found(**{part: changed})[0] == (
        "SPLIT_CONTAMINATION" if column == "split" else code, column,
    )  # fmt: skip


def test_risk_of_the_days_ahead_at_the_same_event_time_is_leakage(
    parts: Parts, found: Found
) -> None:
    ahead = {
        name: frame.with_columns(terminal_id_risk_7day_window=pl.lit(0.25))
        for name, frame in parts.items()
    }
    assert set(found(**ahead)) == {("PIT_LEAKAGE", "terminal_id_risk_7day_window")}


def test_rows_that_were_left_out_are_missed(parts: Parts, found: Found) -> None:
    assert found(train=parts["train"].filter(pl.col("customer_id") != 7))[0] == (
        "FEATURE_RECOMPUTE_MISMATCH", "transaction_id",
    )  # fmt: skip


def test_rows_that_are_repeated_are_counted(parts: Parts, found: Found) -> None:
    twice = pl.concat([parts["train"], parts["train"].head(3)])
    assert found(train=twice)[0] == ("FEATURE_RECOMPUTE_MISMATCH", "transaction_id")


def test_rows_of_the_test_days_in_the_train_part_contaminate(parts: Parts, found: Found) -> None:
    moved = parts["evaluation"].tail(5).with_columns(split=pl.lit("train"))
    train = pl.concat([parts["train"], moved])
    assert found(train=train)[0] == ("SPLIT_CONTAMINATION", "transaction_id")


def test_values_of_another_type_are_refused(parts: Parts, found: Found) -> None:
    narrow = parts["train"].with_columns(pl.col("tx_amount").cast(pl.Float32))
    assert found(train=narrow) == [("SCHEMA_TYPE", "tx_amount")]


def test_stamp_of_a_known_fraud_from_the_future_is_leakage(parts: Parts, found: Found) -> None:
    later = parts["known_frauds"].with_columns(pl.col("terminal_feature_ts") + 1)
    assert set(found(known_frauds=later)) == {("PIT_LEAKAGE", "terminal_feature_ts")}


def test_test_days_within_the_label_delay_are_immature(
    parts: Parts, thresholds: dict[str, Any]
) -> None:
    evaluation = parts["evaluation"].with_columns(
        split=pl.when(pl.col("tx_datetime").dt.date() > FIRST + timedelta(days=9))
        .then(pl.lit("test"))
        .otherwise(pl.lit("delay"))
    )
    asked = {**parts, "evaluation": evaluation}
    report = judged(asked, thresholds, asked)
    assert {failure.code for failure in report.findings} == {"IMMATURE_LABELS"}


def test_planted_amount_is_a_warning_that_names_no_value_in_public(
    parts: Parts, thresholds: dict[str, Any]
) -> None:
    planted = parts["train"].with_columns(
        pl.when((pl.int_range(pl.len()) % 60 == 0) & (pl.col("tx_fraud") == 0))
        .then(137.77)
        .otherwise("tx_amount")
        .alias("tx_amount")
    )
    known = planted.filter(pl.col("tx_fraud") == 1)
    changed = {**parts, "train": planted, "known_frauds": known}
    report = judged(changed, thresholds, changed)
    (warning,) = report.warnings
    assert (warning.code, report.failures) == ("TRIGGER_SUSPECT", ())
    assert "137.77" in warning.example
    assert "137.77" not in str(warning.public())
