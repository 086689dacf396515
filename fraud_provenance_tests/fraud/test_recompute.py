"""The independent account of the features holds against a definition spelt out row by row."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    FEATURE_SCHEMA,
    FEATURES,
    RAW_SCHEMA,
    TERMINAL_FEATURES,
    WINDOWS_DAYS,
)
from fraud_provenance.fraud.contract import Failure
from fraud_provenance.fraud.recompute import (
    LOOK_BACK_DAYS,
    check_recomputed,
    check_rows,
    recompute_features,
    rows_behind,
    rows_touched,
)

DAY_S = 86_400
Days = dict[str, pl.DataFrame]


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


def _window(rows: pl.DataFrame, own: dict[str, object], name: str) -> set[int]:
    """The rows of one feature's window, by the published definition, one by one."""
    moment = own["tx_datetime"]
    assert isinstance(moment, datetime)
    kind = next((kind for kind in ("customer_id", "terminal_id") if name.startswith(kind)), "")
    if not kind:
        return {int(str(own["transaction_id"]))}
    days = int(name.rsplit("_", 2)[1].removesuffix("day"))
    delay = timedelta(days=7 if kind == "terminal_id" else 0)
    since, until = moment - delay - timedelta(days=days), moment - delay
    return {
        row["transaction_id"]
        for row in rows.iter_rows(named=True)
        if row[kind] == own[kind] and since < row["tx_datetime"] <= until
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(_row, min_size=1, max_size=30), st.data())
def test_rows_behind_a_feature_are_those_of_its_window(
    rows: list[tuple[int, int, int, int, int]], data: st.DataObject
) -> None:
    raw = _raw(rows)
    chosen = data.draw(st.integers(0, len(rows) - 1))
    own = recompute_features(raw).row(chosen, named=True)
    for item in rows_behind(raw, chosen, FEATURES):
        assert item.value == own[item.name]
        assert set(item.rows["transaction_id"]) == _window(raw, own, item.name)
        assert item.rows["tx_datetime"].is_sorted()
        known = item.rows.filter("label_known")["tx_datetime"]
        assert all(moment <= own["tx_datetime"] - timedelta(days=7) for moment in known)


@settings(max_examples=40, deadline=None)
@given(st.lists(_row, min_size=1, max_size=30), st.data())
def test_rows_touched_are_those_with_a_suspect_row_behind_them(
    rows: list[tuple[int, int, int, int, int]], data: st.DataObject
) -> None:
    raw = _raw(rows)
    suspect = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    wanted = np.array([row % 2 == 0 for row in range(len(rows))])
    found = rows_touched(raw, np.isin(raw["transaction_id"].to_numpy(), list(suspect)), wanted)
    for place, touched in zip(np.flatnonzero(wanted), found, strict=True):
        behind = rows_behind(raw, int(place), FEATURES)
        assert touched == any(suspect & set(item.rows["transaction_id"]) for item in behind)


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


def _check(raw_days: Days, features: pl.DataFrame) -> list[Failure]:
    raw, days = pl.concat(raw_days.values()), by_day(features)
    return [*check_rows(raw, days), *check_recomputed(raw, days)]


def by_day(features: pl.DataFrame) -> Days:
    """The rows of each day, wherever their own times say that they belong."""
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    parts = features.with_columns(day=day).partition_by("day", as_dict=True, include_key=False)
    return {str(key): rows for (key,), rows in parts.items()}


def test_checks_of_the_right_features_find_nothing(raw_days: Days, features: pl.DataFrame) -> None:
    assert _check(raw_days, features) == []


def test_checks_of_rows_in_another_order_find_nothing(
    raw_days: Days, features: pl.DataFrame
) -> None:
    assert _check(raw_days, features.sample(fraction=1.0, shuffle=True, seed=3)) == []


def test_checks_of_one_day_need_only_the_days_before_it(
    raw_days: Days, features: pl.DataFrame
) -> None:
    days = sorted(raw_days)
    raw = pl.concat([raw_days[day] for day in days[-LOOK_BACK_DAYS - 1 :]])
    last = {days[-1]: by_day(features)[days[-1]]}

    assert [*check_rows(raw, last), *check_recomputed(raw, last)] == []


@pytest.mark.parametrize("feature", [*CUSTOMER_FEATURES, *TERMINAL_FEATURES, "tx_during_night"])
def test_one_wrong_value_among_all_rows_is_found(
    raw_days: Days, features: pl.DataFrame, feature: str
) -> None:
    at = pl.int_range(pl.len()) == features.height - 7
    wrong = pl.when(at).then(pl.col(feature) + 1).otherwise(pl.col(feature))

    failures = _check(raw_days, features.with_columns(wrong.cast(features.schema[feature])))

    assert [(f.code, f.column, f.rows) for f in failures] == [("PIT_LEAKAGE", feature, 1)]


@pytest.mark.parametrize(
    "feature", ["terminal_id_risk_7day_window", "customer_id_nb_tx_1day_window"]
)
def test_check_recomputed_of_a_window_with_later_rows_names_the_feature(
    raw_days: Days, features: pl.DataFrame, feature: str
) -> None:
    leaked = features.with_columns((pl.col(feature) + 1).cast(features.schema[feature]))

    failures = _check(raw_days, leaked)

    assert {(failure.code, failure.column) for failure in failures} == {("PIT_LEAKAGE", feature)}
    assert len(failures) == 50


CHANGED: dict[str, pl.Expr] = {
    "customer_id": pl.col("customer_id") + 1,
    "terminal_id": pl.col("terminal_id").max() - pl.col("terminal_id"),
    "tx_datetime": pl.col("tx_datetime") + pl.duration(microseconds=1),
    "tx_amount": pl.col("tx_amount") + 0.01,
    "tx_fraud": (1 - pl.col("tx_fraud")).cast(pl.Int8),
}


@pytest.mark.parametrize("column", CHANGED)
def test_a_changed_column_of_one_row_is_named_before_anything_else(
    raw_days: Days, features: pl.DataFrame, column: str
) -> None:
    at = pl.int_range(pl.len()) == features.height // 2
    changed = pl.when(at).then(CHANGED[column]).otherwise(pl.col(column)).alias(column)

    failures = _check(raw_days, features.with_columns(changed))

    assert [(f.code, f.column, f.rows) for f in failures] == [
        ("FEATURE_RECOMPUTE_MISMATCH", column, 1)
    ]


def test_an_unknown_transaction_fails(raw_days: Days, features: pl.DataFrame) -> None:
    strange = features.head(1).with_columns(transaction_id=pl.lit(10**8, pl.Int32))

    failures = _check(raw_days, pl.concat([features, strange]))

    assert [(f.code, f.column, f.rows) for f in failures] == [
        ("FEATURE_RECOMPUTE_MISMATCH", "transaction_id", 1)
    ]


def test_a_lost_transaction_reports_its_row(raw_days: Days, features: pl.DataFrame) -> None:
    failures = _check(raw_days, features.slice(1))

    assert [(f.code, f.column, f.rows) for f in failures] == [
        ("FEATURE_RECOMPUTE_MISMATCH", "transaction_id", 1)
    ]


def test_a_repeated_transaction_reports_its_row(raw_days: Days, features: pl.DataFrame) -> None:
    failures = _check(raw_days, pl.concat([features, features.head(1)]))

    assert [(f.code, f.column, f.rows) for f in failures] == [
        ("FEATURE_RECOMPUTE_MISMATCH", "transaction_id", 1)
    ]


def test_a_row_under_another_day_is_missing_in_its_own(
    raw_days: Days, features: pl.DataFrame
) -> None:
    days = by_day(features)
    first, second = sorted(days)[:2]
    days |= {first: days[first].slice(1), second: pl.concat([days[second], days[first].head(1)])}

    failures = check_rows(pl.concat(raw_days.values()), days)

    assert {(f.day, f.code, f.rows) for f in failures} == {
        (day, "FEATURE_RECOMPUTE_MISMATCH", 1) for day in (first, second)
    }
