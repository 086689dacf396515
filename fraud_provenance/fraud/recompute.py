"""The features a second time, without SQL: an independent account to hold the mart against.

Prefix sums over rows sorted by (key, time) and binary search for the windows' ends. It shares no
code with the dbt models, so that a mistake in a window frame (a row too many, a label too young)
shows as a difference. What the mart only carries along must equal the raw rows. Every row of the
days judged is compared. Source of the definitions: Fraud Detection Handbook, chapter 3.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

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
Mask = npt.NDArray[np.bool_]

LOOK_BACK_DAYS: Final = DELAY_DAYS + max(WINDOWS_DAYS)
"""Days before a transaction that its features can depend on."""

SAME_ROWS: Final = "rows_and_their_own_columns_are_those_of_the_raw_day"
RECOMPUTED: Final = "features_equal_their_recomputation"
CARRIED: Final = ("tx_datetime", "customer_id", "terminal_id", "tx_amount", "tx_fraud")
"""What a feature row has from its raw row as it is, besides the transaction's number."""

_KEY: Final = ("day", "transaction_id")
_DERIVED: Final = (
    "tx_during_weekend", "tx_during_night", *CUSTOMER_FEATURES, *TERMINAL_FEATURES,
)  # fmt: skip
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
    return _derived(rows, np.ones(rows.height, dtype=np.bool_)).select(*FEATURE_SCHEMA)


def _derived(rows: pl.DataFrame, wanted: Mask) -> pl.DataFrame:
    """The wanted rows, in order, with everything that is computed from all of them."""
    with ThreadPoolExecutor(2) as pool:  # numpy sorts and searches without the interpreter's lock
        windows = [
            pool.submit(compute, rows, wanted)
            for compute in (_customer_features, _terminal_features)
        ]
    columns = [
        series.cast(FEATURE_SCHEMA[series.name]) for window in windows for series in window.result()
    ]
    return rows.filter(pl.Series(wanted)).with_columns(
        (pl.col("tx_datetime").dt.weekday() > 5).cast(pl.Int8).alias("tx_during_weekend"),
        (pl.col("tx_datetime").dt.hour() <= 6).cast(pl.Int8).alias("tx_during_night"),
        *columns,
    )


def _customer_features(rows: pl.DataFrame, wanted: Mask) -> list[pl.Series]:
    cents = np.rint(rows["tx_amount"].to_numpy() * 100).astype(np.int64)
    customer = _Windows(rows, "customer_id", cents, wanted, newer_s=0)
    columns: list[pl.Series] = []
    for days in WINDOWS_DAYS:
        count, total = customer.sums(older_s=days * _DAY_S)
        columns += [
            pl.Series(f"customer_id_nb_tx_{days}day_window", count),
            pl.Series(f"customer_id_avg_amount_{days}day_window", total / (100 * count)),
        ]
    return columns


def _terminal_features(rows: pl.DataFrame, wanted: Mask) -> list[pl.Series]:
    frauds = rows["tx_fraud"].to_numpy().astype(np.int64)
    terminal = _Windows(rows, "terminal_id", frauds, wanted, newer_s=DELAY_DAYS * _DAY_S)
    columns: list[pl.Series] = []
    for days in WINDOWS_DAYS:
        count, total = terminal.sums(older_s=(DELAY_DAYS + days) * _DAY_S)
        columns += [
            pl.Series(f"terminal_id_nb_tx_{days}day_window", count),
            pl.Series(f"terminal_id_risk_{days}day_window", total / np.maximum(count, 1)),
        ]
    return columns


class _Windows:
    """Counts and sums over the rows of one key within a span of time, for every wanted row."""

    def __init__(
        self, rows: pl.DataFrame, key: str, value: Integers, wanted: Mask, newer_s: int
    ) -> None:
        moment_s = rows["tx_datetime"].dt.epoch("s").to_numpy().astype(np.int64)
        since_s = moment_s - moment_s.min() if rows.height else moment_s
        position = rows[key].to_numpy().astype(np.int64) * _KEY_SPAN_S + since_s
        self._order = order = pl.Series(position).arg_sort().to_numpy()
        asked = order[wanted[order]]
        self._position = position[order]
        self._running = np.concatenate([[0], np.cumsum(value[order])])
        self._asked = position[asked]  # the wanted rows by (key, time)
        self._row = (np.cumsum(wanted) - 1)[asked]  # which of the wanted rows each of them is
        # A window that reaches before the key's first row must not run into the key before it.
        self._start = np.searchsorted(self._position, self._asked // _KEY_SPAN_S * _KEY_SPAN_S)
        self._after = self._end(newer_s)

    def _end(self, older_s: int) -> Integers:
        """The place after the last row with s <= t - older_s."""
        found = np.searchsorted(self._position, self._asked - older_s, side="right")
        after: Integers = np.maximum(found, self._start)
        return after

    def sums(self, older_s: int) -> tuple[Integers, Integers]:
        """Return (count, sum) of the rows with t - older_s < s <= t - newer_s, in row order."""
        first = self._end(older_s)
        count, total = np.empty_like(self._row), np.empty_like(self._row)
        count[self._row] = self._after - first
        total[self._row] = self._running[self._after] - self._running[first]
        return count, total

    def places(self, older_s: int) -> list[Integers]:
        """Which rows these are, for every wanted row, in row order."""
        first = self._end(older_s)
        found = [self._order[:0]] * len(self._row)
        for row, start, end in zip(self._row, first, self._after, strict=True):
            found[row] = self._order[start:end]
        return found


@dataclass(frozen=True)
class Behind:
    """What one feature of one transaction is, and the raw rows that it was made of.

    Attributes:
        name: The feature.
        value: Its value by this definition, in the type of `FEATURE_SCHEMA`.
        rows: Those raw rows, oldest first x the columns that were handed over, and `label_known`:
            whether the row's label was known when the transaction came.
    """

    name: str
    value: Any
    rows: pl.DataFrame


def rows_behind(raw: pl.DataFrame, transaction_id: int, names: Sequence[str]) -> list[Behind]:
    """The raw rows behind each feature of one transaction.

    Args:
        raw: Rows x at least the columns of `RAW_SCHEMA`: all of the transaction's customer and
            terminal within `LOOK_BACK_DAYS` before it, whatever else.
        transaction_id: A transaction that is in `raw` once.
        names: The features, all of `FEATURES`.

    Returns:
        One for each name, in that order.
    """
    rows = raw.sort("tx_datetime", "transaction_id")
    wanted = (rows["transaction_id"] == transaction_id).to_numpy()
    values = _derived(rows, wanted).row(0, named=True)
    moment = values["tx_datetime"]
    known = rows.with_columns(
        label_known=pl.col("tx_datetime") <= moment - timedelta(days=DELAY_DAYS)
    )
    own = np.flatnonzero(wanted)
    places = dict.fromkeys(names, own) | _places(rows, wanted)
    return [Behind(name, values[name], known[np.sort(places[name])]) for name in names]


def _places(rows: pl.DataFrame, wanted: Mask) -> dict[str, Integers]:
    """Feature to the places of the rows in its window, for the one wanted row."""
    nothing = np.zeros(rows.height, dtype=np.int64)
    customer = _Windows(rows, "customer_id", nothing, wanted, newer_s=0)
    terminal = _Windows(rows, "terminal_id", nothing, wanted, newer_s=DELAY_DAYS * _DAY_S)
    found: dict[str, Integers] = {}
    for days in WINDOWS_DAYS:
        (own,) = customer.places(days * _DAY_S)
        (others,) = terminal.places((DELAY_DAYS + days) * _DAY_S)
        found |= {f"customer_id_{kind}_{days}day_window": own for kind in ("nb_tx", "avg_amount")}
        found |= {f"terminal_id_{kind}_{days}day_window": others for kind in ("nb_tx", "risk")}
    return found


def rows_touched(raw: pl.DataFrame, suspect: Mask, wanted: Mask) -> Mask:
    """Which of the wanted rows have a suspect row in a window, or are one themselves.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`; complete for `LOOK_BACK_DAYS` before the wanted.
        suspect: The rows in doubt.
        wanted: The rows that are asked about.

    Returns:
        One for each wanted row, in row order.
    """
    value = suspect.astype(np.int64)
    longest = max(WINDOWS_DAYS) * _DAY_S
    customer = _Windows(raw, "customer_id", value, wanted, newer_s=0)
    delay_s = DELAY_DAYS * _DAY_S
    terminal = _Windows(raw, "terminal_id", value, wanted, newer_s=delay_s)
    touched: Mask = (customer.sums(longest)[1] > 0) | (terminal.sums(delay_s + longest)[1] > 0)
    return touched | suspect[wanted]


def check_rows(raw: pl.DataFrame, features: Mapping[str, pl.DataFrame]) -> list[Failure]:
    """Hold the rows of feature days, and what they carry along, against the raw rows.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`: at least the days of the features.
        features: Day to its rows x the columns of `FEATURE_SCHEMA`.

    Returns:
        FEATURE_RECOMPUTE_MISMATCH by day, keys first: a transaction that the other side lacks or
        has once only, then by column where a row is not what the raw row says.
    """
    found = _stacked(features, CARRIED)
    expected = _of_days(raw, features).select(*_KEY, *CARRIED).pipe(_sorted)
    failures: list[Failure] = []
    if not _same_keys(found, expected):
        for wrong, example in (
            (found.filter(~pl.struct(_KEY).is_first_distinct()), "a transaction is repeated"),
            (found.join(expected, on=_KEY, how="anti"), "no such transaction in the raw day"),
            (expected.join(found, on=_KEY, how="anti"), "a transaction has no features"),
        ):
            failures += _by_day(SAME_ROWS, wrong, "transaction_id", pl.lit(example))
    return failures + _differences(SAME_ROWS, found, expected, CARRIED)


def check_recomputed(raw: pl.DataFrame, features: Mapping[str, pl.DataFrame]) -> list[Failure]:
    """Hold every feature of every row against its recomputation from the raw transactions.

    Args:
        raw: Rows x the columns of `RAW_SCHEMA`: the days of the features and `LOOK_BACK_DAYS`
            before them (fewer only if there are none).
        features: Day to its rows x the columns of `FEATURE_SCHEMA`.

    Returns:
        PIT_LEAKAGE by day and feature where a value is not bit for bit the recomputed one. Rows
        that only one side has are told by `check_rows`.
    """
    wanted = raw["tx_datetime"].dt.date().is_in(_dates(features)).to_numpy()
    computed = _derived(raw, wanted).with_columns(day=pl.col("tx_datetime").dt.date())
    expected = computed.select(*_KEY, *_DERIVED).pipe(_sorted)
    return _differences(RECOMPUTED, _stacked(features, _DERIVED), expected, _DERIVED)


def _dates(features: Mapping[str, pl.DataFrame]) -> list[date]:
    return [date.fromisoformat(day) for day in features]


def _of_days(raw: pl.DataFrame, features: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The raw rows of the features' days, with their day: theirs by contract, whatever is read."""
    rows = raw.with_columns(day=pl.col("tx_datetime").dt.date())
    return rows.filter(pl.col("day").is_in(_dates(features)))


def _stacked(features: Mapping[str, pl.DataFrame], names: tuple[str, ...]) -> pl.DataFrame:
    """All days as one frame; a row's day is the partition that it lies in, whatever it says."""
    return pl.concat(
        frame.select(pl.lit(date.fromisoformat(day)).alias("day"), "transaction_id", *names)
        for day, frame in features.items()
    ).pipe(_sorted)


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    """By day and transaction, as days are written; what is sorted is not sorted again."""
    place = frame.select(
        pl.col("day").to_physical().cast(pl.Int64) * 2**32 + pl.col("transaction_id")
    )
    return frame if place.to_series().is_sorted() else frame.sort(_KEY)


def _same_keys(found: pl.DataFrame, expected: pl.DataFrame) -> bool:
    return found.select(_KEY).equals(expected.select(_KEY))


def _differences(
    check: str, found: pl.DataFrame, expected: pl.DataFrame, names: tuple[str, ...]
) -> list[Failure]:
    """What differs, column by column, in the rows that both sides have; both sorted by key."""
    if not _same_keys(found, expected):
        found = found.join(expected, on=_KEY, how="semi", maintain_order="left")
        expected = found.select(_KEY).join(expected, on=_KEY, how="left", maintain_order="left")
    failures: list[Failure] = []
    for name in names:
        differs = found[name].ne_missing(expected[name])
        if differs.any():
            pairs = found.with_columns(expected[name].alias("expected")).filter(differs)
            example = pl.format("{} instead of {}", name, "expected").first()
            failures += _by_day(check, pairs, name, example)
    return failures


_CODES: Final = {
    SAME_ROWS: (
        "FEATURE_RECOMPUTE_MISMATCH",
        "make the day's features again, and find out who could write between dbt and the read",
    ),
    RECOMPUTED: ("PIT_LEAKAGE", "compare the model's window frame with the published definition"),
}
"""Check to the code of what it finds, and what to do."""


def describe_checks() -> list[dict[str, str]]:
    """What both checks are, as a suite's digest covers it."""
    return [
        {"check": SAME_ROWS, "code": _CODES[SAME_ROWS][0], "columns": ", ".join(CARRIED)},
        {"check": RECOMPUTED, "code": _CODES[RECOMPUTED][0], "rows": "all"},
    ]


def _by_day(check: str, wrong: pl.DataFrame, column: str, example: pl.Expr) -> list[Failure]:
    if wrong.height == 0:
        return []
    code, remedy = _CODES[check]
    counts = wrong.group_by("day").agg(pl.len().alias("rows"), example.alias("example"))
    return [
        Failure(str(day), check, code, column, rows, str(text), remedy)
        for day, rows, text in counts.sort("day").iter_rows()
    ]
