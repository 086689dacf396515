"""What gathers on a day beyond the feed's own past; what always gathers there does not count."""

from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from fraud_provenance.fraud.crowding import crowding_of
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.history import rows_of
from fraud_provenance.fraud.transactions import to_raw

Days = dict[str, pl.DataFrame]
Change = Callable[[pl.DataFrame], pl.DataFrame]
CERTAIN, NEAR, PLACEHOLDER, CUSTOMER, TERMINAL = 10, 0.01, 0.005, 0.02, 0.05  # of the policy


@pytest.fixture(scope="module")
def days() -> Days:
    """Twelve days of about 2,000 transactions."""
    return {day: to_raw(frame) for day, frame in generate_days(12, 2_000, seed=5)}


def changed(days: Days, every_day: Change, last_day: Change) -> Days:
    found = {day: every_day(rows) for day, rows in days.items()}
    last = max(days)
    return {**found, last: last_day(found[last])}


def stands_out(days: Days, name: str, share: float) -> list[bool]:
    """For each day whether a statistic exceeds what the policy allows."""
    table = crowding_of(rows_of(days), len(days))
    found = (pl.col(f"{name}_surprise") > CERTAIN) & (pl.col(f"{name}_excess") > share)
    return table.sort("day").select(found).to_series().to_list()


def same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def twice(every: int, seconds: int, dearer: float = 0.0, cents: int = 0) -> Change:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        more = rows.gather_every(every).with_columns(
            pl.col("tx_datetime") + timedelta(seconds=seconds),
            (pl.col("tx_amount") * (1 + dearer) + cents / 100).round(2),
        )
        return pl.concat([rows, more]).sample(fraction=1, shuffle=True, seed=1)

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(twice(2, 1), id="every-second-a-second-later"),
        pytest.param(twice(2, 0, cents=1), id="every-second-a-cent-dearer"),
        pytest.param(twice(20, 30, 0.5), id="every-twentieth-soon-and-much-dearer"),
        pytest.param(twice(20, 300, 0.05), id="every-twentieth-minutes-later-and-dearer"),
        pytest.param(twice(20, 7_200, 0.005), id="every-twentieth-hours-later"),
        pytest.param(twice(3, 7_200, 0.5), id="every-third-hours-later-and-much-dearer"),
    ],
)
def test_payments_that_come_twice_stand_out(days: Days, change: Change) -> None:
    found = stands_out(changed(days, same, change), "near_duplicate", NEAR)
    assert found == [False] * 11 + [True]


@pytest.mark.parametrize(
    ("every_day", "last_day"),
    [
        pytest.param(same, same, id="nothing"),
        pytest.param(same, twice(200, 5), id="some-pay-twice"),
        pytest.param(twice(4, 5), same, id="a-feed-whose-payments-come-twice"),
        pytest.param(twice(8, 40_000), twice(40, 40_000), id="gates-at-one-fare-and-some-more"),
    ],
)
def test_what_is_usual_for_the_feed_passes(days: Days, every_day: Change, last_day: Change) -> None:
    found = stands_out(changed(days, every_day, last_day), "near_duplicate", NEAR)
    assert not any(found)


def test_doubled_day_does_not_make_the_next_one_usual(days: Days) -> None:
    two = sorted(days)[-2:]
    doubled = {**days, **{day: twice(2, 1)(days[day]) for day in two}}
    assert stands_out(doubled, "near_duplicate", NEAR)[-2:] == [True, True]


def some(column: str, value: int, every: int) -> Change:
    chosen = pl.int_range(pl.len()) % every == 0
    changed = pl.when(chosen).then(pl.lit(value, pl.Int32)).otherwise(column).alias(column)
    return lambda rows: rows.with_columns(changed)


@pytest.mark.parametrize("kind", ["customer", "terminal"])
@pytest.mark.parametrize("value", [0, 999_999_999, 2**31 - 1])
def test_placeholder_identifier_stands_out(days: Days, kind: str, value: int) -> None:
    change = some(f"{kind}_id", value, 40)
    found = stands_out(changed(days, same, change), f"{kind}_placeholder", PLACEHOLDER)
    assert found == [False] * 11 + [True]


def test_placeholder_identifier_stands_out_on_the_first_day(days: Days) -> None:
    first = min(days)
    rows = {first: some("customer_id", 0, 20)(days[first])}
    assert stands_out(rows, "customer_placeholder", PLACEHOLDER) == [True]


@pytest.mark.parametrize(("kind", "limit"), [("customer", CUSTOMER), ("terminal", TERMINAL)])
def test_any_identifier_of_far_too_many_rows_stands_out(
    days: Days, kind: str, limit: float
) -> None:
    change = some(f"{kind}_id", 17, 10)
    found = stands_out(changed(days, same, change), f"{kind}_crowd", limit)
    assert found == [False] * 11 + [True]


@pytest.mark.parametrize("kind", ["customer", "terminal"])
@pytest.mark.parametrize("value", [0, 17])
def test_identifier_that_always_has_many_rows_passes(days: Days, kind: str, value: int) -> None:
    """A company's card, a shop on the net: twice as many on a good day are no wonder."""
    feed = changed(days, some(f"{kind}_id", value, 10), some(f"{kind}_id", value, 5))
    table = {day: rows for day, rows in feed.items() if day != min(feed)}
    assert not any(stands_out(table, f"{kind}_crowd", 0.02))
    later = stands_out(table, f"{kind}_placeholder", PLACEHOLDER)
    assert not any(later) or value == 0


def test_day_without_rows_is_described(days: Days) -> None:
    last = max(days)
    table = crowding_of(rows_of({**days, last: days[last].clear()}), len(days))
    assert table.sort("day").drop("day").row(-1) == (0.0,) * 10
