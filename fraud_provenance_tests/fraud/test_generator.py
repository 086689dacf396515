"""Generated days follow the published procedure and depend on nothing but their arguments."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.generator import generate_days


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.concat([frame for _, frame in generate_days(60, 2_000, seed=7)])


def test_generate_with_more_days_begins_with_the_same_days() -> None:
    few, many = list(generate_days(3, 200, seed=1)), list(generate_days(40, 200, seed=1))

    assert [day for day, _ in few] == ["2018-04-01", "2018-04-02", "2018-04-03"]
    assert all(a.equals(b) for (_, a), (_, b) in zip(few, many, strict=False))


def test_generate_with_another_seed_gives_other_rows() -> None:
    (_, one), (_, other) = next(generate_days(1, 200, seed=1)), next(generate_days(1, 200, seed=2))

    assert not one.equals(other)


def test_generate_has_the_asked_volume_and_about_the_published_fraud_rate(
    rows: pl.DataFrame,
) -> None:
    assert rows.height / 60 == pytest.approx(2_000, rel=0.02)
    assert rows["TX_FRAUD"].mean() == pytest.approx(0.0075, abs=0.002)


def test_generate_labels_each_scenario_as_published(rows: pl.DataFrame) -> None:
    large = rows.filter(pl.col("TX_AMOUNT") > 220)
    genuine = rows.filter(pl.col("TX_FRAUD_SCENARIO") == 0)
    stolen = rows.filter(pl.col("TX_FRAUD_SCENARIO") == 3)

    assert large["TX_FRAUD"].min() == 1
    assert rows["TX_FRAUD"].cast(bool).equals(rows["TX_FRAUD_SCENARIO"] > 0)
    assert stolen["TX_AMOUNT"].to_numpy().mean() > 4 * genuine["TX_AMOUNT"].to_numpy().mean()
    assert set(rows["TX_FRAUD_SCENARIO"].unique()) == {0, 1, 2, 3}


def test_generate_compromises_a_terminal_for_at_most_28_days_at_a_time(rows: pl.DataFrame) -> None:
    one = rows.filter(pl.col("TX_FRAUD_SCENARIO") == 2)
    spans = one.group_by("TERMINAL_ID").agg(pl.col("TX_TIME_DAYS").n_unique().alias("days"))

    assert (spans["days"] <= 28).all()
    assert spans.height > 5


@settings(max_examples=10, deadline=None)
@given(per_day=st.integers(10, 600), seed=st.integers(0, 2**32), start=st.dates(date(2001, 1, 1)))
def test_generate_always_gives_sorted_landing_rows_of_their_day(
    per_day: int, seed: int, start: date
) -> None:
    try:
        days = list(generate_days(2, per_day, seed, start))
    except OverflowError:
        assert start.year == date.max.year  # the calendar ends before the days do
        return
    for index, (day, frame) in enumerate(days):
        assert dict(frame.schema) == dict(LANDING_SCHEMA)
        assert frame["TX_DATETIME"].is_sorted()
        assert frame["TX_DATETIME"].dt.date().cast(pl.String).unique().to_list() in ([day], [])
        assert (frame["TX_TIME_SECONDS"] // 86_400 == index).all()
        assert (frame["TX_AMOUNT"] >= 0).all()


@pytest.mark.parametrize(("days", "per_day", "seed"), [(0, 100, 1), (1, 9, 1), (1, 100, -1)])
def test_generate_of_impossible_arguments_is_refused(days: int, per_day: int, seed: int) -> None:
    with pytest.raises(DataError, match="VALUE_RANGE"):
        generate_days(days, per_day, seed)
