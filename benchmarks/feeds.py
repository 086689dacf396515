"""Honest feeds that are not as the reference data: by habit, or by what their settings say."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.transactions import to_raw

Feed = Iterator[tuple[str, pl.DataFrame]]
Change = Callable[[pl.DataFrame], pl.DataFrame]
AMOUNT = pl.col("tx_amount")
HABITS = (
    "usual", "blackfriday", "weekend", "partial_first", "restless", "night weekend",
)  # fmt: skip
_START = date(2018, 11, 12)
_SUNDAY = 7


def habit(kind: str, rows: int, count: int, seed: int = 1) -> Feed:
    """A feed with a habit: what shops, markets and exports really look like."""
    chance = np.random.default_rng(seed)
    friday = str(_START + timedelta(days=11))
    for place, (day, landed) in enumerate(generate_days(count, rows, seed, _START)):
        frame = to_raw(landed)
        weekday = date.fromisoformat(day).weekday()
        share = {
            "weekend": 0.25 if weekday > 4 else 1.0,
            "blackfriday": 1.0 if day == friday else 0.45,
            "restless": float(np.exp(chance.normal(0, 0.35)) / 3),
        }.get(kind, 1.0)
        frame = frame.filter(pl.col("transaction_id") % 100 < share * 100)
        if kind == "partial_first" and not place:
            frame = frame.filter(pl.col("tx_datetime").dt.hour() >= 22)
        if kind == "night weekend" and weekday > 4:
            frame = frame.filter(pl.col("tx_datetime").dt.hour() >= 14 - place % 2)
        yield day, frame


def some(count: int, amount: pl.Expr) -> Change:
    """Another amount in one of `count` rows."""
    hit = pl.col("transaction_id") % count == 0
    return lambda f: f.with_columns(pl.when(hit).then(amount).otherwise(AMOUNT).alias("tx_amount"))


def settings(**values: object) -> dict[str, Any]:
    """As `feed.json` holds them."""
    return {name: {"value": value, "reason": "the feed is so"} for name, value in values.items()}


def _no_sundays(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("tx_datetime").dt.weekday() != _SUNDAY)


SETTINGS: dict[str, tuple[dict[str, Any], Change]] = {
    "yen": (
        settings(currency_decimals=0),
        lambda f: f.with_columns((AMOUNT * 100).round(0)),
    ),
    "dinars": (
        settings(currency_decimals=3),
        lambda f: f.with_columns((AMOUNT / 100 + 0.001).round(3)),
    ),
    "refunds": (settings(refunds=True), some(25, -AMOUNT.abs() - 0.01)),
    "zeros": (settings(zero_share=0.06), some(33, pl.lit(0.0))),
    "one-price": (
        settings(one_amount_share=1.0, constant_columns=1),
        lambda f: f.with_columns(tx_amount=pl.lit(12.5)),
    ),
    "no-sundays": (settings(quiet_weekdays=[_SUNDAY]), _no_sundays),
}


def feed_with(name: str, rows: int, count: int, seed: int = 1) -> Feed:
    """A feed that is honest by its settings, and would be held without them."""
    change = SETTINGS[name][1]
    for day, landed in generate_days(count, rows, seed, _START):
        frame = change(to_raw(landed))
        if frame.height:
            yield day, frame
