"""How the columns of two sets of rows differ: counts and distributions, never a row.

Source of the distance: Kolmogorov-Smirnov, the largest difference of the two empirical
distribution functions; 0 is the same distribution, 1 has nothing in common.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

_NOT_COMPARED: Final = ("transaction_id", "tx_time_seconds", "tx_time_days")
"""Numbers that only count or tell the time: they differ between any two days."""


@dataclass(frozen=True)
class Side:
    """One column on one side; mean and quantiles of the values that are there, NaN for none."""

    rows: int
    missing: int
    mean: float
    median: float
    p99: float


@dataclass(frozen=True)
class Shift:
    """One column on both sides. `kind`: `values`, or `type` where the two cannot be compared."""

    column: str
    kind: str
    distance: float
    a: Side | None
    b: Side | None


def column_shifts(a: pl.DataFrame, b: pl.DataFrame) -> list[Shift]:
    """Compare two frames column by column.

    Args:
        a: Rows x any columns.
        b: Rows x any columns.

    Returns:
        What differs, the farthest first: a column that one side lacks or has in another type, and
        numbers whose missing values or distribution are others.
    """
    found = []
    for name in dict.fromkeys((*a.columns, *b.columns)):
        types = (a.schema.get(name), b.schema.get(name))
        if types[0] != types[1]:
            found.append(Shift(name, "type", 1.0, _of(a, name), _of(b, name)))
        elif types[0] is not None and types[0].is_numeric() and name not in _NOT_COMPARED:
            left, right = _values(a, name), _values(b, name)
            shift = Shift(name, "values", distance(left, right), _of(a, name), _of(b, name))
            if shift.distance or _missing(shift.a) != _missing(shift.b):
                found.append(shift)
    return sorted(found, key=lambda shift: (-shift.distance, shift.column))


def _missing(side: Side | None) -> float:
    return side.missing / max(side.rows, 1) if side else 0.0


def _values(frame: pl.DataFrame, name: str) -> npt.NDArray[np.float64]:
    values = frame[name].drop_nulls().cast(pl.Float64).to_numpy()
    return np.sort(values[~np.isnan(values)])


def _of(frame: pl.DataFrame, name: str) -> Side | None:
    if name not in frame.columns:
        return None
    if not frame.schema[name].is_numeric():
        return Side(frame.height, frame[name].null_count(), np.nan, np.nan, np.nan)
    values = _values(frame, name)
    if not values.size:
        return Side(frame.height, frame.height, np.nan, np.nan, np.nan)
    median, p99 = np.quantile(values, (0.5, 0.99))
    missing = frame.height - values.size
    return Side(frame.height, missing, float(values.mean()), float(median), float(p99))


def distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov's distance of two sorted samples; 1 where one alone is empty."""
    if not a.size or not b.size:
        return 0.0 if a.size == b.size else 1.0
    points = np.concatenate([a, b])
    below = [np.searchsorted(side, points, side="right") / side.size for side in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
