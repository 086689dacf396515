"""Statistics of a day that only make sense beside the days before it.

In: whole days in order. Out: one row per day of counts, shares and "surprises" (minus the decimal
logarithm of the probability that chance alone gives as much, Poisson). No customer, terminal or
transaction leaves this module. Source of the tests: Feller, An Introduction to Probability Theory,
volume 1, chapter 6 (Poisson tails).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.spread import MONTH_DAYS, count_surprise, unrest

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

WINDOW_DAYS: Final = 7
# An amount this many times a customer's usual one is another unit; honest ones stay below 15.
UNIT_FACTOR: Final = 30.0
# A customer without a past is taken for an average one, with the weight of two transactions.
_PRIOR_ROWS: Final = 2.0
# What chance alone may bring where the days before showed nothing.
_LEAST_EXPECTED: Final = 1.0
_NEIGHBOUR_CENTS: Final = 50
_FEW_ROWS: Final = 20
# Fewer frauds than this say nothing of where they happen, even if all of them used to recur.
_FEW_FRAUDS: Final = 10
_PAIR_ROWS: Final = 250_000
# Relative unrest of the shares of rows in another unit, where there are no days to tell.
_PRIOR: Final = 0.1
_PRIOR_DAYS: Final = 4.0
# A day with so many rows in another unit says nothing of what is usual.
_REJECT: Final = 9.0
_DAY_S: Final = 86_400

HISTORY_PROFILE: Final[Mapping[str, Any]] = {
    "known_pair_share": pl.Float64,
    "swapped_pair_share": pl.Float64,
    "hundredfold_surprise": pl.Float64,
    "hundredth_surprise": pl.Float64,
    "top_amount_surprise": pl.Float64,
    "top_amount_excess": pl.Float64,
    "top_amount_is_placeholder": pl.Boolean,
    "same_second_share": pl.Float64,
    "constant_columns": pl.Int64,
    "clock_sine": pl.Float64,
    "clock_cosine": pl.Float64,
    "longest_gap_minutes": pl.Float64,
    "origin_day": pl.Int64,
    "recurring_fraud_share": pl.Float64,
}


def history_of(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Describe each day beside the days before it.

    Args:
        frames: Day to its rows x the columns of `RAW_SCHEMA`.

    Returns:
        Days (ascending) x `day` (text) and the columns of `HISTORY_PROFILE`. What has nothing to be
        compared with is null, or 0 where 0 means that nothing was found.
    """
    days = sorted(frames)
    rows = rows_of(frames)
    plain = _of_each_day(rows)
    table = pl.DataFrame({"day": days}).with_columns(number=pl.int_range(pl.len(), dtype=pl.Int32))
    for part in (plain, _pairs(rows), _recurring(rows), _amounts(rows, len(days))):
        table = table.join(part.rename({"day": "number"}), on="number", how="left")
    return table.select("day", *(pl.col(name).cast(kind) for name, kind in HISTORY_PROFILE.items()))


def rows_of(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All rows of all days, in the order of the days; `day` counts them from 0."""
    return pl.concat(
        frames[day].select(
            "tx_datetime", "customer_id", "terminal_id", "tx_amount", "tx_fraud", "tx_time_days",
            day=pl.lit(number, pl.Int32),
        )
        for number, day in enumerate(sorted(frames))
    )  # fmt: skip


def surprise(found: float, expected: float) -> float:
    """Return -log10 P(X >= found) for a Poisson variable of mean `expected`."""
    from scipy.special import gammaln, pdtrc

    if found <= expected:
        return 0.0
    tail = float(pdtrc(found - 1, expected))
    if tail > 1e-290:
        return -float(np.log10(tail))
    # The first term of the tail is enough where all of it is below what a double can hold.
    return float((expected - found * np.log(expected) + gammaln(found + 1)) / np.log(10))


def _of_each_day(rows: pl.DataFrame) -> pl.DataFrame:
    moment = pl.col("tx_datetime").dt
    second = (moment.epoch("s") % _DAY_S).alias("second")
    angle = 2 * np.pi * pl.col("second") / _DAY_S
    varying = ("tx_amount", "customer_id", "terminal_id", "second")
    constant = pl.sum_horizontal((pl.col(name).n_unique() == 1).cast(pl.Int64) for name in varying)
    edges = pl.col("second").sort()
    gaps = pl.max_horizontal(
        edges.diff().max(), edges.first(), pl.lit(_DAY_S, pl.Int64) - edges.last()
    )
    found = (
        rows.with_columns(second)
        .group_by("day")
        .agg(
            n=pl.len(),
            constant_columns=pl.when(pl.len() >= _FEW_ROWS).then(constant).otherwise(0),
            longest_gap_minutes=gaps / 60,
            origin_day=(moment.date().cast(pl.Int64) - pl.col("tx_time_days")).median(),
            clock_sine=angle.sin().mean(),
            clock_cosine=angle.cos().mean(),
            same_second=pl.col("second").unique_counts().max(),
        )
    )
    crowd = pl.when(pl.col("same_second") >= _FEW_ROWS).then(pl.col("same_second") / pl.col("n"))
    return found.with_columns(same_second_share=crowd.otherwise(0.0)).drop("same_second")


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Shares of rows whose customer and terminal met in the week before; the same, swapped."""
    customer, terminal = pl.col("customer_id").cast(pl.Int64), pl.col("terminal_id").cast(pl.Int64)
    # A part of the pairs is enough of a sample; a pair and its reverse have the same sum.
    parts = max(1, rows.height // _PAIR_ROWS)
    rows = rows.filter((customer + terminal) % parts == 0)
    met = rows.group_by(pair=customer * 2**32 + terminal, day="day").agg(n=pl.len())
    same = pl.col("pair") == pl.col("pair").shift(1)
    recent = pl.col("day") - pl.col("day").shift(1) <= WINDOW_DAYS
    met = met.sort("pair", "day").with_columns(known=(same & recent).fill_null(value=False))
    turned = met.with_columns(pair=pl.col("pair") % 2**32 * 2**32 + pl.col("pair") // 2**32)
    before = pl.col("day") - pl.col("day_met")
    swapped = (
        turned.join(met.select("pair", day_met="day"), on="pair")
        .filter((before > 0) & (before <= WINDOW_DAYS))
        .unique(["pair", "day"])
        .group_by("day")
        .agg(swapped=pl.col("n").sum())
    )
    shares = met.group_by("day").agg(all=pl.col("n").sum(), known=pl.col("n").filter("known").sum())
    return (
        shares.join(swapped, on="day", how="left")
        .filter(pl.col("day") > 0)
        .select(
            "day",
            known_pair_share=pl.col("known") / pl.col("all"),
            swapped_pair_share=pl.col("swapped").fill_null(0) / pl.col("all"),
        )
    )


def _recurring(rows: pl.DataFrame) -> pl.DataFrame:
    """Share of a day's frauds whose terminal or customer had a fraud in the week before."""
    frauds = rows.filter(pl.col("tx_fraud") == 1)
    known = pl.lit(value=False)
    for key in ("customer_id", "terminal_id"):
        days = frauds.select(key, "day").unique().sort(key, "day")
        last = pl.when(pl.col(key) == pl.col(key).shift(1)).then(pl.col("day").shift(1))
        frauds = frauds.join(days.with_columns(last.alias(f"{key}_at")), on=[key, "day"])
        known = known | (pl.col("day") - pl.col(f"{key}_at") <= WINDOW_DAYS).fill_null(value=False)
    frauds = frauds.with_columns(known=known)
    enough = pl.when(pl.len() >= _FEW_FRAUDS).then(pl.col("known").mean())
    return frauds.group_by("day").agg(recurring_fraud_share=enough)


@dataclass
class _Past:
    """What the accepted days of the last week say of amounts."""

    sums: deque[Floats] = field(default_factory=lambda: deque(maxlen=WINDOW_DAYS))
    counts: deque[Floats] = field(default_factory=lambda: deque(maxlen=WINDOW_DAYS))
    cents: deque[Integers] = field(default_factory=lambda: deque(maxlen=WINDOW_DAYS))
    shares: deque[Floats] = field(default_factory=lambda: deque(maxlen=MONTH_DAYS))
    apart: deque[Floats] = field(default_factory=lambda: deque(maxlen=MONTH_DAYS))
    noise: deque[Floats] = field(default_factory=lambda: deque(maxlen=MONTH_DAYS))

    def of_units(self, shares: Floats, rows: int) -> tuple[Floats, Floats]:
        """Surprises of the shares of rows in another unit, and what these add to the past."""
        known = (
            np.array(self.shares)[-WINDOW_DAYS:].mean(axis=0) if self.shares else shares * [0, 1]
        )
        expected = np.maximum(known * rows, _LEAST_EXPECTED)
        before = [np.array(part).reshape(-1, 2) for part in (self.apart, self.noise)]
        own = unrest(before[0], before[1], _PRIOR, _PRIOR_DAYS)
        found = [
            max(0.0, count_surprise(count, mean, spread))
            for count, mean, spread in zip(shares * rows, expected, own, strict=True)
        ]
        return np.array(found), expected


def _amounts(rows: pl.DataFrame, days: int) -> pl.DataFrame:
    """Amounts against each customer's own, and single amounts against their neighbours."""
    customers, codes = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)
    amounts = rows["tx_amount"].fill_null(0).fill_nan(0).to_numpy()
    starts = np.searchsorted(rows["day"].to_numpy(), np.arange(days + 1))
    past, found = _Past(), []
    for day in range(days):
        own = slice(starts[day], starts[day + 1])
        statistics = _amounts_of(amounts[own], codes[own], customers.size, past)
        found.append({"day": day, **statistics})
    schema = {name: kind for name, kind in HISTORY_PROFILE.items() if name in found[0]}
    return pl.DataFrame(found, schema={"day": pl.Int32, **schema})


def _amounts_of(amounts: Floats, customers: Integers, size: int, past: _Past) -> dict[str, Any]:
    """The statistics of one day, which joins `past` unless its unit looks wrong."""
    if amounts.size == 0:
        return dict.fromkeys(("hundredfold_surprise", "hundredth_surprise"), 0.0)
    cents = np.rint(np.minimum(np.abs(amounts), 1e13) * 100).astype(np.int64)
    ratio = amounts / _usual(amounts, customers, size, past)
    high = float((ratio >= UNIT_FACTOR).mean())
    low = float(((ratio <= 1 / UNIT_FACTOR) & (amounts > 0)).mean())
    shares = np.array([high, low])
    units, expected = past.of_units(shares, amounts.size)
    statistics = {
        "hundredfold_surprise": float(units[0]),
        "hundredth_surprise": float(units[1]),
        **_top_amount(cents, past),
    }
    if units.max() < _REJECT:
        if past.sums:  # without a past, shares are of another kind
            is_known = expected > _LEAST_EXPECTED
            apart = np.where(is_known, shares * amounts.size / expected - 1, np.nan)
            past.apart.append(apart)
            past.noise.append(1 / expected)
            past.shares.append(shares)
        sums: Floats = np.bincount(customers, weights=amounts, minlength=size).astype(np.float64)
        past.sums.append(sums)
        past.counts.append(np.bincount(customers, minlength=size).astype(np.float64))
        past.cents.append(cents)
    return statistics


def _usual(amounts: Floats, customers: Integers, size: int, past: _Past) -> Floats:
    """Each row's usual amount: its customer's mean of the week before, drawn to everybody's."""
    if not past.sums:
        return np.full(amounts.size, max(float(np.median(amounts)), 0.01))
    total, count = np.sum(past.sums, axis=0), np.sum(past.counts, axis=0)
    everybody = total.sum() / max(count.sum(), 1.0)
    usual = (total + _PRIOR_ROWS * everybody) / (count + _PRIOR_ROWS)
    own: Floats = np.maximum(usual[customers], 0.01)
    return own


def _top_amount(cents: Integers, past: _Past) -> dict[str, Any]:
    """The amount that stands out most from its neighbours and from its own past."""
    values, counts = np.unique(cents, return_counts=True)
    best = {"top_amount_surprise": 0.0, "top_amount_excess": 0.0}
    placeholder = False
    before = np.concatenate(past.cents) if past.cents else np.empty(0, dtype=np.int64)
    usual_top = float(np.quantile(before if before.size else cents, 0.999))
    for position in np.argsort(counts, kind="stable")[-5:]:
        value, count = int(values[position]), int(counts[position])
        near = np.searchsorted(values, [value - _NEIGHBOUR_CENTS, value + _NEIGHBOUR_CENTS + 1])
        around = (counts[near[0] : near[1]].sum() - count) / (2 * _NEIGHBOUR_CENTS)
        own = float((before == value).mean()) * cents.size if before.size else 0.0
        expected = max(float(around), own, _LEAST_EXPECTED)
        found = surprise(count, expected) - float(np.log10(values.size))
        if found > best["top_amount_surprise"]:
            best = {
                "top_amount_surprise": found,
                "top_amount_excess": (count - expected) / cents.size,
            }
            placeholder = _is_placeholder(value) or (before.size > 0 and value > 2 * usual_top)
    return {**best, "top_amount_is_placeholder": placeholder}


def _is_placeholder(cents: int) -> bool:
    """Nines to the end (999.99 and more), as systems write that do not know."""
    text = str(cents)
    return len(text) >= 5 and set(text) == {"9"}
