"""The reference data in any multiple: as many customers, terminals and transactions more."""

from collections.abc import Iterator

import polars as pl

from benchmarks.overhead import DAYS, HANDBOOK, ROWS_PER_DAY
from fraud_provenance.fraud.generator import generate_days

TRANSACTIONS, CUSTOMERS, TERMINALS = 2_000_000, 10_000, 20_000
"""By so much the ids of each copy lie above those of the copy before."""


def landed(copies: int = 1) -> Iterator[tuple[str, pl.DataFrame]]:
    """Day → its rows in the Handbook's columns; without the Handbook's file generated ones."""
    for day, frame in _once():
        yield day, pl.concat([_copy(frame, number) for number in range(copies)])


def _copy(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    steps = {
        "TRANSACTION_ID": TRANSACTIONS, "CUSTOMER_ID": CUSTOMERS, "TERMINAL_ID": TERMINALS,
    }  # fmt: skip
    return frame.with_columns(
        (pl.col(name) + number * step).cast(pl.Int32) for name, step in steps.items()
    )


def _once() -> Iterator[tuple[str, pl.DataFrame]]:
    if not HANDBOOK.exists():
        yield from generate_days(DAYS, ROWS_PER_DAY, seed=7)
        return
    rows = pl.read_parquet(HANDBOOK).with_columns(day=pl.col("TX_DATETIME").dt.date())
    for (day,), frame in rows.partition_by("day", as_dict=True, include_key=False).items():
        yield str(day), frame
