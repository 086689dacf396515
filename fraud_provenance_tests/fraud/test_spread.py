"""Limits come from the feed's own history: clusters, weekdays, small samples, days left out."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from fraud_provenance.fraud.spread import Limits, compare, count_surprise, unrest

LIMITS = Limits(days=7, factor=5, prior=0.15, fraud_prior=0.25, prior_days=4)
START = date(2018, 4, 2)
BOUNDS = {"rows_ratio": (0.5, 2.0), "fraud_count_surprise": (-4.3, 12.0)}


def profile(rows: Sequence[float], frauds: Sequence[float] | None = None) -> pl.DataFrame:
    counts = frauds if frauds is not None else [0.01 * n for n in rows]
    return pl.DataFrame(
        {
            "day": [START + timedelta(days=place) for place in range(len(rows))],
            "rows": list(rows),
            "frauds": list(counts),
        }
    ).with_columns(fraud_rate=pl.col("frauds") / pl.col("rows"))


def last(table: pl.DataFrame, **more: Any) -> dict[str, Any]:
    judged = more.pop("judged", [str(table["day"][-1])])
    found = compare(table, judged, LIMITS, BOUNDS, ["rows"])
    return found.row(-1, named=True)


def test_day_like_the_days_before_has_ratio_one() -> None:
    assert last(profile([1000.0] * 20))["rows_ratio"] == 1.0


@pytest.mark.parametrize("share", [0.4, 2.5])
def test_day_far_from_a_calm_history_keeps_its_ratio(share: float) -> None:
    found = last(profile([10_000.0] * 20 + [10_000 * share]))
    assert found["rows_ratio"] == pytest.approx(share)


def test_restless_feed_explains_what_a_calm_one_does_not() -> None:
    noise = np.exp(np.random.default_rng(1).normal(0, 0.4, 35))
    found = last(profile([*(10_000 * noise), 10_000 * 0.4]))
    assert found["rows_ratio"] == 1.0
    emptied = last(profile([*(10_000 * noise), 100.0]))
    assert emptied["rows_ratio"] < 0.1


def test_small_sample_and_short_history_have_wide_limits() -> None:
    assert last(profile([20.0] * 20 + [8.0]))["rows_ratio"] == 1.0
    assert last(profile([10_000.0, 4_800.0]))["rows_ratio"] == 1.0
    assert last(profile([10_000.0, 2_000.0]))["rows_ratio"] == pytest.approx(0.2)


def test_day_may_be_like_its_own_weekday_and_not_below_it() -> None:
    week = [8_000.0] * 5 + [2_000.0] * 2
    assert last(profile([*week * 2, *week[:6]]))["rows_ratio"] == 1.0
    lost = last(profile([*week * 3, *week[:5], 400.0]))
    assert lost["rows_ratio"] == pytest.approx(0.2)


def test_missing_days_do_not_break_the_history() -> None:
    table = profile([8_000.0] * 40)
    scattered = table.filter(pl.int_range(pl.len()) % 3 != 1)
    assert last(scattered)["rows_ratio"] == 1.0
    late = pl.concat([table.head(10), profile([1_000.0] * 40).tail(1)])
    assert last(late)["rows_ratio"] == pytest.approx(0.125)


def test_judged_day_that_stands_out_is_no_yardstick_until_it_is_accepted() -> None:
    table = profile([8_000.0] * 14 + [2_000.0] * 9)
    days = [str(day) for day in table["day"][14:]]
    held = compare(table, days, LIMITS, BOUNDS, ["rows"])["rows_ratio"][14:]
    assert held.to_list() == pytest.approx([0.25] * 9)
    assert last(table)["rows_ratio"] == 1.0


def test_day_that_stands_out_by_itself_is_no_yardstick() -> None:
    table = profile([8_000.0] * 8)
    bounds = {**BOUNDS, "rows": (9_000.0, None)}
    found = compare(table, [str(day) for day in table["day"]], LIMITS, bounds, ["rows"])
    assert found["rows_ratio"].is_null().all()


def test_clustered_frauds_are_explained_and_lost_ones_are_not() -> None:
    chance = np.random.default_rng(2)
    frauds = 800 * np.exp(chance.normal(0, 0.15, 30))
    rows = [95_000.0] * 31
    calm = last(profile(rows, [*[800.0] * 30, 1_200.0]))["fraud_count_surprise"]
    restless = last(profile(rows, [*frauds, 1_200.0]))["fraud_count_surprise"]
    assert calm > 12 > restless
    assert last(profile(rows, [*frauds, 0.0]))["fraud_count_surprise"] < -20


@pytest.mark.parametrize(("usual", "late"), [(9.0, 3), (7.0, 4), (4.0, 6)])
def test_late_labels_show_in_days_together_where_no_day_does(usual: float, late: int) -> None:
    known, rows = [usual] * (20 - late), [1_000.0] * 20
    found = last(profile(rows, [*known, *[0.0] * late]), judged=[])
    assert found["run_of_frauds_surprise"] < -5
    assert found["fraud_count_surprise"] > -4.3
    few = last(profile(rows, [*known, *[usual / 10] * late]), judged=[])
    assert few["run_of_frauds_surprise"] < -2


def test_days_with_labels_again_do_not_answer_for_those_without() -> None:
    accepted = [*[30.0] * 14, 0.0, 0.0]
    found = last(profile([1_000.0] * 17, [*accepted, 28.0]), judged=[])
    assert found["run_of_frauds_surprise"] is None
    assert last(profile([1_000.0] * 8, [0.0] * 8))["run_of_frauds_surprise"] is None


def test_week_of_lost_frauds_shows_where_no_day_does() -> None:
    rows = [1_000.0] * 21
    found = last(profile(rows, [8.0] * 14 + [1.0] * 7), judged=[])
    assert found["fraud_count_surprise"] > -4.3
    assert found["week_of_frauds_ratio"] == pytest.approx(1 / 8)
    assert last(profile(rows, [8.0] * 21))["week_of_frauds_ratio"] == 1.0
    assert last(profile(rows, [1.0] * 21))["week_of_frauds_ratio"] is None


@pytest.mark.parametrize(
    ("found", "expected", "own", "wanted"),
    [
        (40, 80, 0.0, -6.2404),
        (160, 80, 0.0, 14.6268),
        (0, 80, 0.09, -10.1535),
        (200, 80, 0.01, 14.3518),
        (10_000, 1, 0.0, 300.0),
    ],
)
def test_surprise_of_a_count_is_the_tail_of_its_distribution(
    found: float, expected: float, own: float, wanted: float
) -> None:
    assert count_surprise(found, expected, own) == pytest.approx(wanted, abs=1e-3)


def test_unrest_goes_from_the_prior_to_what_the_days_say() -> None:
    nothing = unrest(np.full((0, 1), np.nan), np.zeros((0, 1)), 0.2, 4)
    assert nothing == pytest.approx(0.04)
    days = np.random.default_rng(3).normal(0, 0.1, (2_000, 1))
    assert unrest(days, np.zeros_like(days), 0.2, 4)[0] == pytest.approx(0.01, rel=0.1)
    assert unrest(days, np.full_like(days, 0.01), 0.2, 4)[0] < 0.001
