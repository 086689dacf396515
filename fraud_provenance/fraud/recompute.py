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
    moment_s = rows["tx_datetime"].dt.epoch("s").to_numpy().astype(np.int64)
    moment_s -= moment_s.min(initial=0) if rows.height == 0 else moment_s.min()
    cents = np.rint(rows["tx_amount"].to_numpy() * 100).astype(np.int64)
    frauds = rows["tx_fraud"].to_numpy().astype(np.int64)
    customer = _Windows(rows["customer_id"].to_numpy().astype(np.int64), moment_s, cents)
    terminal = _Windows(rows["terminal_id"].to_numpy().astype(np.int64), moment_s, frauds)
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for days in WINDOWS_DAYS:
        count, total = customer.sums(older_s=days * _DAY_S, newer_s=0)
        columns[f"customer_id_nb_tx_{days}day_window"] = count
        columns[f"customer_id_avg_amount_{days}day_window"] = total / (100 * count)
        count, total = terminal.sums(
            older_s=(DELAY_DAYS + days) * _DAY_S, newer_s=DELAY_DAYS * _DAY_S
        )
        columns[f"terminal_id_nb_tx_{days}day_window"] = count
        columns[f"terminal_id_risk_{days}day_window"] = total / np.maximum(count, 1)
    return rows.with_columns(
        (pl.col("tx_datetime").dt.weekday() > 5).alias("tx_during_weekend"),
        (pl.col("tx_datetime").dt.hour() <= 6).alias("tx_during_night"),
        *(pl.Series(name, values) for name, values in columns.items()),
    ).select(pl.col(name).cast(dtype) for name, dtype in FEATURE_SCHEMA.items())


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


def check_recomputed(raw: pl.DataFrame, features: pl.DataFrame) -> list[Failure]:
    """Hold features against their recomputation from the raw transactions.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`: the days of the features and `LOOK_BACK_DAYS`
            before them (fewer only if there are none).
        features: Rows x at least the columns of `FEATURE_SCHEMA`.

    Returns:
        PIT_LEAKAGE by day and feature where a value is not bit for bit the recomputed one; a
        transaction that the raw rows do not hold differs in all its features.
    """
    names = ("tx_amount", "tx_fraud", "tx_during_weekend", "tx_during_night")
    compared = (*names, *CUSTOMER_FEATURES, *TERMINAL_FEATURES)
    expected = recompute_features(raw)
    both = features.join(expected, on="transaction_id", how="left", suffix="_expected")
    failures: list[Failure] = []
    for name in compared:
        wrong = both.filter(pl.col(name).ne_missing(pl.col(f"{name}_expected")))
        if wrong.height == 0:
            continue
        counts = wrong.group_by(pl.col("tx_datetime").dt.date().alias("day")).agg(
            pl.len().alias("rows"),
            pl.format("{} instead of {}", name, f"{name}_expected").first().alias("example"),
        )
        failures += [
            Failure(
                day=str(day),
                check="features_equal_their_recomputation",
                code="PIT_LEAKAGE",
                column=name,
                rows=rows,
                example=str(example),
                remedy="compare the model's window frame with the published definition",
            )
            for day, rows, example in counts.sort("day").iter_rows()
        ]
    return failures
