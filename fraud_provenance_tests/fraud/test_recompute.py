"""The independent account of the features holds against a definition spelt out row by row."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, RAW_SCHEMA, WINDOWS_DAYS
from fraud_provenance.fraud.contract import Failure
from fraud_provenance.fraud.recompute import check_recomputed, recompute_features

DAY_S = 86_400


def _raw(rows: list[tuple[int, int, int, int, int]]) -> pl.DataFrame:
    start = datetime(2018, 4, 1)
    return pl.DataFrame(
        {
            "transaction_id": range(len(rows)),
            "tx_datetime": [start + timedelta(seconds=row[0]) for row in rows],
            "customer_id": [row[1] for row in rows],
            "terminal_id": [row[2] for row in rows],
            "tx_amount": [row[3] / 100 for row in rows],
            "tx_time_seconds": [row[0] for row in rows],
            "tx_time_days": [row[0] // DAY_S for row in rows],
            "tx_fraud": [row[4] for row in rows],
            "tx_fraud_scenario": [row[4] for row in rows],
        },
        schema=dict(RAW_SCHEMA),
    )


# Multiples of half a day hit every edge of every window.
_seconds = st.integers(0, 90).map(lambda half: half * DAY_S // 2) | st.integers(0, 45 * DAY_S)
_row = st.tuples(
    _seconds, st.integers(0, 2), st.integers(0, 2), st.integers(0, 99_999), st.integers(0, 1)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_row, min_size=1, max_size=40))
def test_recompute_of_any_rows_equals_the_definition(
    rows: list[tuple[int, int, int, int, int]],
) -> None:
    found = recompute_features(_raw(rows))

    assert dict(found.schema) == dict(FEATURE_SCHEMA)
    for index, (moment, customer, terminal, _, _) in enumerate(rows):
        have = found.row(index, named=True)
        for days in WINDOWS_DAYS:
            own = [r for r in rows if r[1] == customer and moment - days * DAY_S < r[0] <= moment]
            known = [
                r
                for r in rows
                if r[2] == terminal and moment - (7 + days) * DAY_S < r[0] <= moment - 7 * DAY_S
            ]
            assert have[f"customer_id_nb_tx_{days}day_window"] == len(own)
            mean = sum(r[3] for r in own) / (100 * len(own))
            assert have[f"customer_id_avg_amount_{days}day_window"] == mean
            assert have[f"terminal_id_nb_tx_{days}day_window"] == len(known)
            risk = sum(r[4] for r in known) / len(known) if known else 0.0
            assert have[f"terminal_id_risk_{days}day_window"] == risk


def _check(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame, sample_rows: int = 10**6
) -> list[Failure]:
    raw = pl.concat(raw_days.values())
    return check_recomputed(raw, features, sample_rows=sample_rows, seed=1)


def test_check_recomputed_of_the_right_features_finds_nothing(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame
) -> None:
    assert _check(raw_days, features) == []


@pytest.mark.parametrize(
    "feature", ["terminal_id_risk_7day_window", "customer_id_nb_tx_1day_window"]
)
def test_check_recomputed_of_a_window_with_later_rows_names_the_feature(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame, feature: str
) -> None:
    leaked = features.with_columns((pl.col(feature) + 1).cast(features.schema[feature]))

    failures = _check(raw_days, leaked)

    assert {(failure.code, failure.column) for failure in failures} == {("PIT_LEAKAGE", feature)}
    assert len(failures) == 50


def test_check_recomputed_of_an_unknown_transaction_fails(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame
) -> None:
    strange = features.head(1).with_columns(transaction_id=pl.lit(10**8, pl.Int32))

    assert _check(raw_days, strange)


@pytest.mark.parametrize("seed", [0, 1, 2**64 + 5])
def test_check_recomputed_of_a_sample_finds_a_wrong_window_and_no_right_one(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame, seed: int
) -> None:
    raw, feature = pl.concat(raw_days.values()), "terminal_id_nb_tx_1day_window"
    leaked = features.with_columns((pl.col(feature) + 1).cast(pl.Int32))

    failures = check_recomputed(raw, leaked, sample_rows=2_000, seed=seed)

    assert check_recomputed(raw, features, sample_rows=2_000, seed=seed) == []
    assert {failure.column for failure in failures} == {feature}
    assert 0 < sum(failure.rows for failure in failures) < raw.height / 3


def test_check_recomputed_of_a_lost_transaction_reports_its_row(
    raw_days: dict[str, pl.DataFrame], features: pl.DataFrame
) -> None:
    failures = _check(raw_days, features.slice(1))

    assert {(f.code, f.column, f.rows) for f in failures} == {("PIT_LEAKAGE", "transaction_id", 1)}
