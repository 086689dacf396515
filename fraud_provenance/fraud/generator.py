"""Deterministic sample transactions after the published procedure of the handbook.

Source: Fraud Detection Handbook, chapter 3, transaction data simulator.

Customers and terminals lie on a 100 x 100 map; a customer pays at the terminals within a radius.
Frauds:

1. every amount above 220;
2. each day two of 10,000 terminals are compromised: all their transactions of the next 28 days are
   frauds;
3. each day three of 4,990 customers lose their card data: of the next 14 days, a third of their
   transactions have five times the amount and are frauds.

Smaller populations keep the published proportions: fewer are compromised per day, and the radius
grows so that a customer reaches as many terminals. Every day has random streams of its own, so that
the first days are the same whatever the number of days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HANDBOOK_ROWS_PER_DAY: Final = 9_586
HANDBOOK_CUSTOMERS: Final = 4_990
HANDBOOK_TERMINALS: Final = 10_000
RADIUS: Final = 5.0
FRAUD_AMOUNT: Final = 220.0
TERMINALS_COMPROMISED_PER_DAY: Final = 2
TERMINAL_COMPROMISED_DAYS: Final = 28
CUSTOMERS_COMPROMISED_PER_DAY: Final = 3
CUSTOMER_COMPROMISED_DAYS: Final = 14
MIN_ROWS_PER_DAY: Final = 10
MAX_ROWS_PER_DAY: Final = 1_000_000

_DAY_S = 86_400
_NOON_S = 43_200
_TIME_STD_S = 20_000
# Share of N(noon, 20,000 s) that falls within the day; the rest is dropped, as published.
_WITHIN_DAY = 0.9692
_POPULATION, _ACTIVITY, _COMPROMISE = 0, 1, 2


@dataclass(frozen=True)
class _Population:
    """Customers and the terminals in their reach (in one flat array, customer after customer)."""

    mean_amount: Floats
    mean_rows_per_day: Floats
    reach_start: Integers
    reach_count: Integers
    reach_terminals: Integers
    terminals: int
    scale: float


def generate_days(
    days: int, rows_per_day: int, seed: int, start: date = date(2018, 4, 1)
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Generate days of transactions, one after the other.

    Args:
        days: Number of days, at least 1.
        rows_per_day: Mean number of transactions a day (10 to 1,000,000).
        seed: Any non-negative integer. The same arguments give the same bytes; fewer days give the
            first of them.
        start: The first day.

    Yields:
        (day, rows x the 9 columns of `LANDING_SCHEMA`), sorted by (TX_DATETIME, TRANSACTION_ID);
        amounts in currency units with two decimals, dates naive UTC. TX_TIME_SECONDS and
        TX_TIME_DAYS count from `start`.

    Raises:
        DataError: VALUE_RANGE if an argument is out of range.
    """
    if days < 1 or seed < 0 or not MIN_ROWS_PER_DAY <= rows_per_day <= MAX_ROWS_PER_DAY:
        raise DataError(
            "VALUE_RANGE",
            f"cannot generate {days} days of {rows_per_day} rows with seed {seed}",
            remedy=f"days >= 1, seed >= 0, rows per day {MIN_ROWS_PER_DAY} to {MAX_ROWS_PER_DAY}",
        )
    return _days(days, rows_per_day, seed, start)


def _days(
    days: int, rows_per_day: int, seed: int, start: date
) -> Iterator[tuple[str, pl.DataFrame]]:
    people = _population(rows_per_day, _stream(seed, _POPULATION, 0))
    terminal_free_from = np.zeros(people.terminals, dtype=np.int64)
    customer_free_from = np.zeros(people.mean_amount.size, dtype=np.int64)
    next_id = 0
    for index in range(days):
        stream = _stream(seed, _COMPROMISE, index)
        _compromise(
            terminal_free_from,
            TERMINALS_COMPROMISED_PER_DAY * people.scale,
            TERMINAL_COMPROMISED_DAYS,
            index,
            stream,
        )
        _compromise(
            customer_free_from,
            CUSTOMERS_COMPROMISED_PER_DAY * people.scale,
            CUSTOMER_COMPROMISED_DAYS,
            index,
            stream,
        )
        frame = _one_day(
            people,
            terminal_free_from > index,
            customer_free_from > index,
            _stream(seed, _ACTIVITY, index),
        )
        day = start + timedelta(days=index)
        yield str(day), _landing(frame, day, index, next_id)
        next_id += frame.height


def _stream(seed: int, purpose: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, index])))


def _population(rows_per_day: int, stream: np.random.Generator) -> _Population:
    scale = rows_per_day / HANDBOOK_ROWS_PER_DAY
    customers = max(2, round(HANDBOOK_CUSTOMERS * scale))
    terminals = max(2, round(HANDBOOK_TERMINALS * scale))
    customer_at, terminal_at = (
        stream.uniform(0, 100, (customers, 2)),
        stream.uniform(0, 100, (terminals, 2)),
    )
    mean_amount = stream.uniform(5, 100, customers)
    per_day = stream.uniform(0, 4, customers)
    per_day *= rows_per_day / (
        _WITHIN_DAY * per_day.sum()
    )  # so that few customers give the asked mean, too
    reach = [
        _in_reach(customer_at[block], terminal_at, RADIUS * (HANDBOOK_TERMINALS / terminals) ** 0.5)
        for block in np.array_split(np.arange(customers), -(-customers * terminals // 10_000_000))
    ]
    counts = np.concatenate([count for count, _ in reach])
    return _Population(
        mean_amount=mean_amount,
        mean_rows_per_day=per_day,
        reach_start=np.cumsum(counts) - counts,
        reach_count=counts,
        reach_terminals=np.concatenate([found for _, found in reach]),
        terminals=terminals,
        scale=scale,
    )


def _in_reach(customer_at: Floats, terminal_at: Floats, radius: float) -> tuple[Integers, Integers]:
    """Return, for a block of customers, how many terminals each reaches and which."""
    squared = ((customer_at[:, None, :] - terminal_at[None, :, :]) ** 2).sum(axis=2)
    near = squared < radius**2
    near[np.arange(len(customer_at)), squared.argmin(axis=1)] = (
        True  # a customer in a corner has at least one
    )
    return near.sum(axis=1), np.nonzero(near)[1].astype(np.int64)


def _compromise(
    free_from: Integers, per_day: float, duration_days: int, index: int, stream: np.random.Generator
) -> None:
    """Mark this day's newly compromised ones; a fraction per day is spread evenly over the days."""
    count = int(np.floor(per_day * (index + 1)) - np.floor(per_day * index))
    chosen = stream.choice(free_from.size, size=min(count, free_from.size), replace=False)
    free_from[chosen] = index + duration_days


def _one_day(
    people: _Population, bad_terminal: Flags, bad_customer: Flags, stream: np.random.Generator
) -> pl.DataFrame:
    customer = np.repeat(
        np.arange(people.mean_amount.size), stream.poisson(people.mean_rows_per_day)
    )
    second = np.trunc(stream.normal(_NOON_S, _TIME_STD_S, customer.size)).astype(np.int64)
    mean = people.mean_amount[customer]
    amount = stream.normal(mean, mean / 2)
    amount = np.where(amount < 0, stream.uniform(0, 2 * mean), amount).round(2)
    pick = (stream.random(customer.size) * people.reach_count[customer]).astype(np.int64)
    terminal = people.reach_terminals[people.reach_start[customer] + pick]
    stolen = bad_customer[customer] & (stream.random(customer.size) < 1 / 3)
    scenario = np.where(amount > FRAUD_AMOUNT, 1, 0)
    scenario = np.where(bad_terminal[terminal], 2, scenario)
    scenario = np.where(stolen, 3, scenario)
    frame = pl.DataFrame(
        {
            "second": second,
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": np.where(stolen, (amount * 5).round(2), amount),
            "TX_FRAUD_SCENARIO": scenario,
        }
    )
    return frame.filter((pl.col("second") > 0) & (pl.col("second") < _DAY_S)).sort(
        "second", maintain_order=True
    )


def _landing(frame: pl.DataFrame, day: date, index: int, next_id: int) -> pl.DataFrame:
    return frame.with_columns(
        TRANSACTION_ID=pl.int_range(next_id, next_id + frame.height),
        TX_DATETIME=pl.lit(day).cast(pl.Datetime("us"))
        + pl.duration(seconds=pl.col("second"), time_unit="us"),
        TX_TIME_SECONDS=pl.col("second") + index * _DAY_S,
        TX_TIME_DAYS=pl.lit(index),
        TX_FRAUD=(pl.col("TX_FRAUD_SCENARIO") > 0).cast(pl.Int8),
    ).select(pl.col(name).cast(dtype) for name, dtype in LANDING_SCHEMA.items())
