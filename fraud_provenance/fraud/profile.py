"""Daily profiles: one row of statistics per day, small enough to keep and to compare.

A profile carries no customer, terminal or transaction: counts, quantiles, rates and hashes only.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    FEATURE_SCHEMA,
    RAW_SCHEMA,
    TERMINAL_FEATURES,
    PolarsType,
)
from fraud_provenance.fraud.crowding import crowding_of
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.history import history_of, rows_of
from fraud_provenance.fraud.summaries import repeats_of, summarise

_COMMON: Final[Mapping[str, PolarsType]] = {
    "day": pl.Date,
    "rows": pl.Int64,
    "frauds": pl.Int64,
    "fraud_rate": pl.Float64,
    "amount_mean": pl.Float64,
    "amount_median": pl.Float64,
    "amount_p99": pl.Float64,
}
RAW_PROFILE: Final[Mapping[str, PolarsType]] = {
    **_COMMON,
    "zero_share": pl.Float64,
    "customers": pl.Int64,
    "terminals": pl.Int64,
    "hours_covered": pl.Int64,
}
FEATURE_PROFILE: Final[Mapping[str, PolarsType]] = {
    **_COMMON,
    "content_sha256": pl.String,
    **{f"mean_{name}": pl.Float64 for name in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)},
}


def profile_days(
    frames: Mapping[str, pl.DataFrame],
    summaries: pl.DataFrame | None = None,
    judged: Collection[str] | None = None,
) -> pl.DataFrame:
    """Describe each day in one row.

    Args:
        frames: Day to its rows x the columns of `RAW_SCHEMA` or of `FEATURE_SCHEMA` (all days the
            same kind).
        summaries: Of raw days, `summarise` of all days that are known, those of `frames` among
            them (None: of `frames` alone).
        judged: Of raw days, those that are not accepted yet (None: all of them).

    Returns:
        Days (ascending) x the columns of `RAW_PROFILE`, `history.HISTORY_PROFILE`,
        `crowding.CROWDING_PROFILE` and `summaries.REPEATS`, or of `FEATURE_PROFILE`. Statistics of
        an empty day are null. Amounts in currency units.

    Raises:
        DataError: PARTITION_MISSING without days, SCHEMA_COLUMN_MISSING if a day lacks a column.
    """
    if not frames:
        raise DataError("PARTITION_MISSING", "no days were given", remedy="name at least one day")
    features = next(iter(CUSTOMER_FEATURES)) in next(iter(frames.values())).columns
    needed = FEATURE_SCHEMA if features else RAW_SCHEMA
    for day, frame in frames.items():
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            raise DataError(
                "SCHEMA_COLUMN_MISSING",
                f"cannot describe a day without {missing}",
                file=day,
                column=missing[0],
                remedy="check the schema first",
            )
    describe = _describe_features if features else _describe_raw
    rows = [{"day": day, **describe(frames[day])} for day in sorted(frames)]
    schema = FEATURE_PROFILE if features else RAW_PROFILE
    days = pl.col("day").str.to_date("%Y-%m-%d")
    table = pl.DataFrame(rows, schema={**schema, "day": pl.String})
    if not features:
        known = summarise(frames) if summaries is None else summaries
        gathered = crowding_of(rows_of(frames), len(frames))
        gathered = gathered.sort("day").with_columns(day=pl.Series(sorted(frames)))
        for part in (history_of(frames), gathered, repeats_of(known, list(frames), judged)):
            table = table.join(part, on="day", how="left")
    return table.with_columns(days)


def _statistics(frame: pl.DataFrame, *more: pl.Expr) -> dict[str, Any]:
    amount, fraud = pl.col("tx_amount"), pl.col("tx_fraud").cast(pl.Int64)
    return frame.select(
        pl.len().cast(pl.Int64).alias("rows"),
        fraud.sum().alias("frauds"),
        fraud.mean().alias("fraud_rate"),
        amount.mean().alias("amount_mean"),
        amount.median().alias("amount_median"),
        amount.quantile(0.99).alias("amount_p99"),
        *more,
    ).row(0, named=True)


def _describe_raw(frame: pl.DataFrame) -> dict[str, Any]:
    amount = pl.col("tx_amount")
    return {
        **_statistics(
            frame,
            (amount == 0).mean().alias("zero_share"),
            pl.col("customer_id").n_unique().cast(pl.Int64).alias("customers"),
            pl.col("terminal_id").n_unique().cast(pl.Int64).alias("terminals"),
            pl.col("tx_datetime").dt.hour().n_unique().cast(pl.Int64).alias("hours_covered"),
        ),
    }


def _describe_features(frame: pl.DataFrame) -> dict[str, Any]:
    windows = (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)
    content = frame.select("customer_id", "terminal_id", "tx_amount", *windows)
    return {
        **_statistics(frame, *(pl.col(n).mean().alias(f"mean_{n}") for n in windows)),
        "content_sha256": _digest(content.sort(content.columns)),
    }


def _digest(content: pl.DataFrame) -> str:
    """Return the SHA-256 of the columns' bytes, in column order; nulls become -1."""
    digest = hashlib.sha256(str(content.columns).encode())
    for column in content.fill_null(-1).get_columns():
        digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    return digest.hexdigest()
