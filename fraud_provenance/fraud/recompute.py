"""The 14 features a second time, without SQL: an independent account to hold the mart against.

Prefix sums over rows sorted by (key, time) and binary search for the windows' ends. It shares no
code with the dbt models, so that a mistake in a window frame (a row too many, a label too young)
shows as a difference. Source of the definitions: Fraud Detection Handbook, chapter 3.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    DELAY_DAYS,
    FEATURE_SCHEMA,
    TERMINAL_FEATURES,
    WINDOWS_DAYS,
)
from fraud_provenance.fraud.contract import Failure

Integers = npt.NDArray[np.int64]

LOOK_BACK_DAYS: Final = DELAY_DAYS + max(WINDOWS_DAYS)
"""Days before a transaction that its features can depend on."""

CHECK: Final = "features_equal_their_recomputation"
_REMEDY: Final = "compare the model's window frame with the published definition"
_DAY_S = 86_400
# Larger than any window, so that times of two keys never overlap; 2^31 keys still fit 63 bits.
_KEY_SPAN_S = 2**32


def recompute_features(raw: pl.DataFrame) -> pl.DataFrame:
    """Compute the features of transactions.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`; complete for `LOOK_BACK_DAYS` before the rows of
            interest.

    Returns:
        The same transactions sorted by transaction_id x the columns of `FEATURE_SCHEMA`.
    """
    rows = raw.sort("transaction_id")
    columns = [*_customer_features(rows), *_terminal_features(rows)]
    return rows.with_columns(*_CALENDAR, *columns).select(
        pl.col(name).cast(dtype) for name, dtype in FEATURE_SCHEMA.items()
    )


_CALENDAR: Final = (
    (pl.col("tx_datetime").dt.weekday() > 5).alias("tx_during_weekend"),
    (pl.col("tx_datetime").dt.hour() <= 6).alias("tx_during_night"),
)


def _customer_features(rows: pl.DataFrame) -> list[pl.Series]:
    cents = np.rint(rows["tx_amount"].to_numpy() * 100).astype(np.int64)
    customer = _Windows(rows["customer_id"].to_numpy().astype(np.int64), _moments(rows), cents)
    columns: list[pl.Series] = []
    for days in WINDOWS_DAYS:
        count, total = customer.sums(older_s=days * _DAY_S, newer_s=0)
        columns += [
            pl.Series(f"customer_id_nb_tx_{days}day_window", count),
            pl.Series(f"customer_id_avg_amount_{days}day_window", total / (100 * count)),
        ]
    return columns


def _terminal_features(rows: pl.DataFrame) -> list[pl.Series]:
    frauds = rows["tx_fraud"].to_numpy().astype(np.int64)
    terminal = _Windows(rows["terminal_id"].to_numpy().astype(np.int64), _moments(rows), frauds)
    columns: list[pl.Series] = []
    for days in WINDOWS_DAYS:
        count, total = terminal.sums(
            older_s=(DELAY_DAYS + days) * _DAY_S, newer_s=DELAY_DAYS * _DAY_S
        )
        columns += [
            pl.Series(f"terminal_id_nb_tx_{days}day_window", count),
            pl.Series(f"terminal_id_risk_{days}day_window", total / np.maximum(count, 1)),
        ]
    return columns


def _moments(rows: pl.DataFrame) -> Integers:
    moment_s = rows["tx_datetime"].dt.epoch("s").to_numpy().astype(np.int64)
    return moment_s - moment_s.min() if rows.height else moment_s


class _Windows:
    """Counts and sums over the rows of one key within a span of time, for every row at once."""

    def __init__(self, key: Integers, moment_s: Integers, value: Integers) -> None:
        self._order = np.lexsort((moment_s, key))
        self._position = key[self._order] * _KEY_SPAN_S + moment_s[self._order]
        self._running = np.concatenate([[0], np.cumsum(value[self._order])])

    def sums(self, older_s: int, newer_s: int) -> tuple[Integers, Integers]:
        """Return (count, sum) of the rows with t - older_s < s <= t - newer_s, in row order."""
        first = np.searchsorted(self._position, self._position - older_s, side="right")
        after = np.searchsorted(self._position, self._position - newer_s, side="right")
        # A window that reaches before the key's first row must not run into the key before it.
        start = np.searchsorted(self._position, self._position // _KEY_SPAN_S * _KEY_SPAN_S)
        first, after = np.maximum(first, start), np.maximum(after, start)
        count, total = np.empty_like(self._order), np.empty_like(self._order)
        count[self._order] = after - first
        total[self._order] = self._running[after] - self._running[first]
        return count, total


def check_recomputed(
    raw: pl.DataFrame, features: pl.DataFrame, *, sample_rows: int, seed: int
) -> list[Failure]:
    """Hold features against their recomputation from the raw transactions.

    All rows of some customers and of some terminals are recomputed; which ones follows from the
    seed. A wrong window shows in any of them.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`: the days of the features and `LOOK_BACK_DAYS`
            before them (fewer only if there are none).
        features: Rows x at least the columns of `FEATURE_SCHEMA`.
        sample_rows: About how many raw rows are recomputed for each of the two keys; all of them
            if there are fewer.
        seed: Any integer; take it from the data, so that nobody chooses the sample beforehand.

    Returns:
        PIT_LEAKAGE by day and feature where a value is not bit for bit the recomputed one. A
        transaction that the raw rows do not hold differs in all its features, one that the features
        lack is reported for its whole row.
    """
    share = min(1.0, sample_rows / max(raw.height, 1))
    common = ("tx_amount", "tx_fraud", "tx_during_weekend", "tx_during_night")
    failures: list[Failure] = []
    for key, compute, names in (
        ("customer_id", _customer_features, (*common, *CUSTOMER_FEATURES)),
        ("terminal_id", _terminal_features, tuple(TERMINAL_FEATURES)),
    ):
        rows, found = (_sampled(frame, key, share, seed) for frame in (raw, features))
        expected = rows.with_columns(*_CALENDAR, *compute(rows)).select(
            "transaction_id", *(pl.col(name).cast(FEATURE_SCHEMA[name]) for name in names)
        )
        failures += _differences(found, expected, names)
        failures += _missing(rows, found)
    return failures


def _sampled(frame: pl.DataFrame, key: str, share: float, seed: int) -> pl.DataFrame:
    """Keep the rows of about this share of the keys (splitmix64's finaliser as hash)."""
    if share >= 1:
        return frame
    value = frame[key].to_numpy().astype(np.uint64) + np.uint64(seed % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    return frame.filter(pl.Series(value < np.uint64(int(share * 2**64))))


def _differences(
    found: pl.DataFrame, expected: pl.DataFrame, names: tuple[str, ...]
) -> list[Failure]:
    both = found.join(expected, on="transaction_id", how="left", suffix="_expected")
    failures: list[Failure] = []
    for name in names:
        wrong = both.filter(pl.col(name).ne_missing(pl.col(f"{name}_expected")))
        example = pl.format("{} instead of {}", name, f"{name}_expected").first()
        failures += _by_day(wrong, name, example)
    return failures


def _missing(rows: pl.DataFrame, found: pl.DataFrame) -> list[Failure]:
    """Report raw rows of the features' own days that the features lack."""
    days = found["tx_datetime"].dt.date().unique()
    own = rows.filter(pl.col("tx_datetime").dt.date().is_in(days.implode()))
    lost = own.join(found, on="transaction_id", how="anti")
    return _by_day(lost, "transaction_id", pl.lit("a transaction has no features"))


def _by_day(wrong: pl.DataFrame, column: str, example: pl.Expr) -> list[Failure]:
    if wrong.height == 0:
        return []
    counts = wrong.group_by(pl.col("tx_datetime").dt.date().alias("day")).agg(
        pl.len().alias("rows"), example.alias("example")
    )
    return [
        Failure(str(day), CHECK, "PIT_LEAKAGE", column, rows, str(text), _REMEDY)
        for day, rows, text in counts.sort("day").iter_rows()
    ]
