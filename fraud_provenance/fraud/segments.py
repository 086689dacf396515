"""Where in a day a column moved: the segment of rows that holds the difference. Aggregates only."""

from typing import Final

import polars as pl

from fraud_provenance.fraud.shift import distance

_PARTS: Final = 10
_LEAST: Final = 0.3
"""A segment is named where it moved by so much, and what is left of the day by less than a third
of that."""
_ROWS: Final = 30


def segment_of(a: pl.DataFrame, b: pl.DataFrame, column: str) -> str:
    """The segment in which `column` of `b` is otherwise than in `a`, in words; "" for all of it.

    Segments are hours, tenths of the terminals' and customers' numbers by their last digit or by
    their range: how a branch, a batch or a region is usually cut.
    """
    if column not in a.columns or not a.schema[column].is_numeric():
        return ""
    best = ("", 0.0)
    for name, key in _segments(a).items():
        parts = [frame.with_columns(part=key) for frame in (a, b)]
        for part in sorted(parts[1]["part"].drop_nulls().unique().to_list()):
            inside = _moved(parts, column, pl.col("part") == part)
            outside = _moved(parts, column, pl.col("part") != part)
            if inside >= _LEAST and outside < inside / 3 and inside - outside > best[1]:
                best = (f", in the segment {name.format(part)}", inside - outside)
    return best[0]


def _segments(frame: pl.DataFrame) -> dict[str, pl.Expr]:
    found = {"hour {}": pl.col("tx_datetime").dt.hour().cast(pl.Int64)}
    for who in ("terminal_id", "customer_id"):
        if who in frame.columns:
            found[f"{who} mod 10 = {{}}"] = (pl.col(who) % _PARTS).cast(pl.Int64)
            found[f"{who} mod 5 = {{}}"] = (pl.col(who) % 5).cast(pl.Int64)
            width = max(int(frame[who].max() or 0) // _PARTS + 1, 1)  # type: ignore[arg-type]
            found[f"{who} in tenth {{}}"] = (pl.col(who) // width).cast(pl.Int64)
    return found if "tx_datetime" in frame.columns else {}


def _moved(frames: list[pl.DataFrame], column: str, where: pl.Expr) -> float:
    """How far the column's distribution is moved within some rows."""
    sides = [frame.filter(where)[column].drop_nulls().cast(pl.Float64).drop_nans().sort()
             for frame in frames]  # fmt: skip
    if min(side.len() for side in sides) < _ROWS:
        return 0.0
    return distance(sides[0].to_numpy(), sides[1].to_numpy())
