"""What gathers on a day as it never did before: near-duplicate payments, and single identifiers.

Counts are set against the feed's own past, for people do pay twice at a terminal, retry after a
decline, or pass a gate at one fare. A count's variance is that of the days before, where it is
above Poisson's (quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, chapter 6).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.history import surprise

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_DAY_S: Final = 86_400
_ANY: Final = 1e9
# (seconds, share of the amount) within which two payments of one customer at one terminal are near
# each other: the nearer in time, the less alike their amounts need to be. A cent or two always are.
NEAR: Final = ((60, _ANY), (600, 0.1), (_DAY_S, 0.01), (_DAY_S, _ANY))
_ALWAYS_NEAR_CENTS: Final = 5

# So many accepted days are needed to say what is usual, and so many at most are asked.
_LEAST_DAYS: Final = 3
_WINDOW_DAYS: Final = 37
_LEAST_EXPECTED: Final = 1.0
# Neither a growing shop nor a busy card triples its share of all payments overnight.
_GROWTH: Final = 3.0
_CANDIDATES: Final = 3
# What systems write that do not know; nines to the end as well.
_STAND_INS: Final = (0, 2**15 - 1, 2**16 - 1, 2**31 - 1, 12_345, 123_456, 1_234_567, 123_456_789)
_NINES: Final = tuple(10**digits - 1 for digits in range(4, 10))
_PLACEHOLDERS: Final = np.array([*_STAND_INS, *_NINES], dtype=np.int64)

# A day that stands out so much says nothing of what is usual.
_REJECT: Final = 9.0
_REJECT_SHARE: Final = 0.005

IDENTIFIERS: Final = {"customer": "customer_id", "terminal": "terminal_id"}
CROWDING_PROFILE: Final = {
    "near_duplicate_surprise": pl.Float64,
    "near_duplicate_excess": pl.Float64,
    **{
        f"{kind}_{which}_{what}": pl.Float64
        for kind in IDENTIFIERS
        for which in ("placeholder", "crowd")
        for what in ("surprise", "excess")
    },
}


@dataclass(frozen=True)
class Excess:
    """How far a count lies above the expected one: in powers of ten, and as a share of all rows."""

    surprise: float = 0.0
    share: float = 0.0

    @property
    def is_usual(self) -> bool:
        """Whether the day may say what is usual."""
        return self.surprise < _REJECT or self.share < _REJECT_SHARE


NOTHING: Final = Excess()


def crowding_of(rows: pl.DataFrame, days: int) -> pl.DataFrame:
    """Describe what gathers on each day.

    Args:
        rows: `day` (0 to `days` - 1, ascending) and the columns of `RAW_SCHEMA`.
        days: How many days there are.

    Returns:
        One row a day: `day` and the columns of `CROWDING_PROFILE`.
    """
    table: dict[str, Any] = {"day": range(days)}
    starts = np.searchsorted(rows["day"].to_numpy(), np.arange(days + 1))
    near = _near_duplicates(rows, starts)
    table["near_duplicate_surprise"] = [item.surprise for item in near]
    table["near_duplicate_excess"] = [item.share for item in near]
    for kind, column in IDENTIFIERS.items():
        found = _identifiers(rows, column, starts)
        for which, items in zip(("placeholder", "crowd"), zip(*found, strict=True), strict=True):
            table[f"{kind}_{which}_surprise"] = [item.surprise for item in items]
            table[f"{kind}_{which}_excess"] = [item.share for item in items]
    return pl.DataFrame(table, schema={"day": pl.Int32, **CROWDING_PROFILE})


# --- near-duplicate payments -------------------------------------------------------------------


def _near_duplicates(rows: pl.DataFrame, starts: Integers) -> list[Excess]:
    """For each day the kind of nearness whose rows stand out most."""
    counts = _counts(rows, starts)
    past: deque[Floats] = deque(maxlen=_WINDOW_DAYS)
    found = []
    for day in counts:
        most = max((_above(day, past, kind) for kind in range(1, day.size)), key=_by_surprise)
        found.append(most)
        if most.is_usual:
            past.append(day)
    return found


def _counts(rows: pl.DataFrame, starts: Integers) -> Floats:
    """Days x (rows, near-duplicates of each kind): rows that have one of their kind before them."""
    amount = pl.col("tx_amount")
    cents = pl.when(amount.is_finite()).then(amount).otherwise(0).clip(0, 1e13) * 100
    table = rows.select(
        pair=pl.col("customer_id").cast(pl.Int64) * 2**32 + pl.col("terminal_id"),
        second=pl.col("tx_datetime").dt.epoch("s"),
        cents=cents.round(),
    ).fill_null(-1)
    pairs, seconds, amounts = (column.to_numpy() for column in table)
    counts = np.zeros((len(starts) - 1, 1 + len(NEAR)))
    for day, (begin, end) in enumerate(pairwise(starts)):
        own = slice(begin, end)
        counts[day] = [end - begin, *_near(pairs[own], seconds[own], amounts[own])]
    return counts


def _near(pairs: Integers, seconds: Integers, cents: Floats) -> list[int]:
    """How many rows of one day are near-duplicates, of each kind."""
    order = np.argsort(pairs, kind="stable")
    same = pairs[order][1:] == pairs[order][:-1]
    is_twin = np.zeros(order.size, dtype=bool)
    is_twin[1:] |= same
    is_twin[:-1] |= same
    again = order[is_twin]
    found = []
    for within, part in NEAR:
        # Neighbours in time find what is near in time, neighbours in amount the rest.
        beside = cents if within >= _DAY_S else seconds
        ordered = again[np.lexsort((beside[again], pairs[again]))]
        before, after = ordered[:-1], ordered[1:]
        apart = np.abs(cents[after] - cents[before])
        alike = apart <= np.maximum(
            part * np.maximum(cents[after], cents[before]), _ALWAYS_NEAR_CENTS
        )
        later = np.abs(seconds[after] - seconds[before]) <= within
        found.append(int((alike & later & (pairs[after] == pairs[before])).sum()))
    return found


def _above(day: Floats, past: Iterable[Floats], kind: int) -> Excess:
    before = np.array(list(past))
    if len(before) < _LEAST_DAYS or day[0] == 0:
        return NOTHING
    return _excess(day[kind], day[0], before[:, kind], before[:, 0])


def _excess(count: float, rows: float, counts: Floats, totals: Floats) -> Excess:
    """A count among `rows`, against the counts among the `totals` of the days before."""
    usual = counts.sum() / totals.sum()
    expected = max(usual * rows, _LEAST_EXPECTED)
    each = np.maximum(usual * totals, _LEAST_EXPECTED)
    spread = max(1.0, float(((counts - usual * totals) ** 2 / each).sum() / (len(counts) - 1)))
    return Excess(surprise(count / spread, expected / spread), max(0.0, count - expected) / rows)


def _by_surprise(item: Excess) -> float:
    return item.surprise


# --- identifiers -------------------------------------------------------------------------------


@dataclass
class _Ids:
    """How often each identifier occurs on one day."""

    values: Integers
    counts: Integers
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = int(self.counts.sum())

    def share(self, value: int) -> float:
        """Its share of the day's rows."""
        place = int(np.searchsorted(self.values, value))
        known = place < self.values.size and self.values[place] == value
        return float(self.counts[place]) / self.rows if known else 0.0

    def largest(self) -> list[int]:
        """The places of the most frequent ones, the first of them first."""
        last = max(0, self.counts.size - _CANDIDATES)
        top = np.argpartition(self.counts, last - (last == self.counts.size))[last:]
        return sorted((int(place) for place in top), key=lambda p: (-self.counts[p], p))


def _identifiers(rows: pl.DataFrame, column: str, starts: Integers) -> list[tuple[Excess, Excess]]:
    """Of each day: what stands out among values that stand in for others, and among the rest."""
    past: deque[_Ids] = deque(maxlen=_WINDOW_DAYS)
    found = []
    for day in _ids_by_day(rows, column, starts):
        is_known = len(past) >= _LEAST_DAYS
        best = _placeholder(day, past), _crowd(day, past) if is_known else NOTHING
        found.append(best)
        if day.rows and best[0].is_usual and best[1].is_usual:
            past.append(day)
    return found


def _ids_by_day(rows: pl.DataFrame, column: str, starts: Integers) -> list[_Ids]:
    values = rows[column].cast(pl.Int64).fill_null(-1).to_numpy()
    return [
        _Ids(*np.unique(values[begin:end], return_counts=True)) for begin, end in pairwise(starts)
    ]


def _placeholder(day: _Ids, past: Iterable[_Ids]) -> Excess:
    """A value that systems write for want of another; no past is needed to suspect it."""
    order = day.largest()
    if len(order) < _CANDIDATES:
        return NOTHING
    places = np.searchsorted(day.values, _PLACEHOLDERS)
    places = places[places < day.values.size]
    found = NOTHING
    for place in places[np.isin(day.values[places], _PLACEHOLDERS)]:
        other = next(p for p in order if p != place)
        own = _GROWTH * _mean_share(past, int(day.values[place])) * day.rows
        expected = max(own, float(day.counts[other]))
        found = max(found, _single(day, int(place), expected), key=_by_surprise)
    return found


def _crowd(day: _Ids, past: Iterable[_Ids]) -> Excess:
    """Any value that has far more rows than it had, and than any had."""
    top = np.mean([item.counts.max() / item.rows for item in past])
    found = NOTHING
    for place in day.largest():
        usual = max(float(top), _mean_share(past, int(day.values[place])))
        found = max(found, _single(day, place, _GROWTH * usual * day.rows), key=_by_surprise)
    return found


def _single(day: _Ids, place: int, expected: float) -> Excess:
    count, expected = float(day.counts[place]), max(expected, _LEAST_EXPECTED)
    return Excess(surprise(count, expected), max(0.0, count - expected) / day.rows)


def _mean_share(past: Iterable[_Ids], value: int) -> float:
    shares = [item.share(value) for item in past]
    return float(np.mean(shares)) if shares else 0.0
