"""A repeated day is known however old it is, and whatever was stirred in it."""

from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from fraud_provenance.fraud import summaries
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.summaries import from_bytes, nothing, repeats_of, summarise, to_bytes
from fraud_provenance.fraud.transactions import to_raw

Days = dict[str, pl.DataFrame]
OLD, DAY = "2018-04-03", "2018-07-01"
LIMIT = 0.3  # of the policy


@pytest.fixture(scope="module")
def days() -> Days:
    """Ninety days of about 1,000 transactions, and the next one."""
    return {day: to_raw(frame) for day, frame in generate_days(92, 1_000, seed=3)}


@pytest.fixture(scope="module")
def known(days: Days) -> pl.DataFrame:
    return summarise({day: rows for day, rows in days.items() if day < DAY})


def repeats(known: pl.DataFrame, rows: pl.DataFrame, day: str = DAY) -> dict[str, float]:
    """What is said of one new day beside all that is known; a week and a half is described."""
    others = known.filter(pl.col("day") != day)
    described = [*others["day"].sort()[-10:], day]
    found = repeats_of(pl.concat([others, summarise({day: rows})]), described, [day])
    return found.row(by_predicate=pl.col("day") == day, named=True)


def under_new_ids(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(transaction_id=pl.int_range(pl.len(), dtype=pl.Int32) + 10**8)


def moved(rows: pl.DataFrame, seconds: int) -> pl.DataFrame:
    second = (pl.col("tx_datetime").dt.epoch("s") + seconds) % 86_400
    start = pl.col("tx_datetime").dt.truncate("1d")
    return rows.with_columns((start + pl.duration(seconds=second)).cast(pl.Datetime("us")))


def test_honest_days_repeat_nothing(days: Days) -> None:
    found = repeats_of(summarise(days), list(days))
    assert found.height == len(days)
    assert found["repeated_ids"].sum() == found["content_repeats"].sum() == 0
    assert found["row_overlap"].max() < 0.1  # type: ignore[operator]  # a number


def test_day_of_long_ago_with_its_own_ids_repeats_them_all(days: Days, known: pl.DataFrame) -> None:
    found = repeats(known, days[OLD])
    assert found["repeated_ids"] == days[OLD].height
    assert found["content_repeats"] == 1


def test_one_id_of_long_ago_is_found_among_ids_in_random_order(days: Days) -> None:
    def scattered(rows: pl.DataFrame) -> pl.DataFrame:
        mixed = pl.col("transaction_id").cast(pl.Int64) * 7_919_317 % 2_147_483_647
        return rows.with_columns(transaction_id=mixed.cast(pl.Int32))

    old = summarise({day: scattered(rows) for day, rows in days.items() if day < DAY})
    own = scattered(days[DAY])
    assert repeats(old, own)["repeated_ids"] == 0
    one_more = pl.concat([own, scattered(days[OLD]).sample(1, seed=1)])
    assert repeats(old, one_more)["repeated_ids"] == 1


REPLAYS: dict[str, Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]] = {
    "the-whole-day": lambda old, _own: old,
    "half-of-it-alone": lambda old, _own: old.gather_every(2),
    "half-of-it-among-fresh-rows": lambda old, own: pl.concat(
        [old.gather_every(2), own.gather_every(2)]
    ),
    "a-fifth-of-it-among-fresh-rows": lambda old, own: pl.concat(
        [old.gather_every(4), own]
    ),
    "in-another-order": lambda old, _own: old.sample(fraction=1, shuffle=True, seed=1),
    "a-cent-dearer": lambda old, _own: old.with_columns((pl.col("tx_amount") + 0.01).round(2)),
    "an-hour-later": lambda old, _own: moved(old, 3_600),
    "a-cent-dearer-an-hour-later": lambda old, _own: moved(
        old.with_columns((pl.col("tx_amount") + 0.01).round(2)), 3_600
    ),
    "dearer-and-minutes-later": lambda old, _own: moved(
        old.with_columns((pl.col("tx_amount") * 1.07).round(2)), 777
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLAYS)
def test_replay_under_new_ids_overlaps(days: Days, known: pl.DataFrame, name: str) -> None:
    changed = under_new_ids(REPLAYS[name](days[OLD], days[DAY]))
    found = repeats(known, changed)
    assert found["repeated_ids"] == 0
    assert found["row_overlap"] > LIMIT


def test_replay_of_many_days_a_little_of_each_overlaps(days: Days, known: pl.DataFrame) -> None:
    parts = [rows.gather_every(10) for rows in list(days.values())[:10]]
    assert repeats(known, under_new_ids(pl.concat(parts)))["row_overlap"] > LIMIT


def test_late_day_that_repeats_a_later_one_is_the_one_to_blame(days: Days) -> None:
    later, late = "2018-06-20", "2018-06-10"
    known = summarise({day: rows for day, rows in days.items() if day != late})
    copied = days[later].with_columns(pl.col("tx_datetime") - timedelta(days=10))
    table = pl.concat([known, summarise({late: copied})])
    found = repeats_of(table, [late, later], [late]).to_dict(as_series=False)
    assert found["day"] == [late, later]
    assert found["content_repeats"] == [1, 0]
    assert found["repeated_ids"] == [copied.height, 0]


def test_feed_that_always_repeats_itself_is_not_refused_for_it(days: Days) -> None:
    """Commuters: most pass the same gate at the same fare every day, a minute earlier or later."""
    commuters = days[OLD]
    feed = {}
    for number, (day, rows) in enumerate(days.items()):
        most = commuters.sample(fraction=0.8, seed=number)
        feed[day] = under_new_ids(pl.concat([moved(most, 61 * number), rows.gather_every(4)]))
    found = repeats_of(summarise(feed), list(feed)).tail(80)
    assert found["row_overlap"].max() < LIMIT  # type: ignore[operator]  # a number


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_day_is_summarised(days: Days, known: pl.DataFrame, rows: int) -> None:
    found = repeats(known, days[DAY].head(rows))
    assert (found["repeated_ids"], found["row_overlap"]) == (0, 0.0)


def test_summaries_come_back_from_their_bytes(known: pl.DataFrame) -> None:
    content = to_bytes(known.sample(fraction=1, shuffle=True, seed=1))
    assert from_bytes(content).equals(known.sort("day"))
    assert len(content) < 7_000 * known.height
    assert from_bytes(to_bytes(nothing())).equals(nothing())


def test_bytes_that_are_no_summaries_are_refused() -> None:
    with pytest.raises(DataError, match="FILE_FORMAT"):
        from_bytes(b"PAR1")


def test_days_whose_ids_lie_elsewhere_are_not_unfolded(
    days: Days, known: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries.pl.DataFrame, "explode", None)
    table = pl.concat([known, summarise({DAY: days[DAY]})])
    ordered = table.with_columns(judged=pl.col("day") == DAY).with_row_index("number")
    assert summaries._repeated_ids(ordered).is_empty()
