"""What a source does to a day: frame in (columns of `LANDING_SCHEMA`), frame out."""

from collections.abc import Callable
from datetime import timedelta
from functools import reduce

import polars as pl

Change = Callable[[pl.DataFrame], pl.DataFrame]

AMOUNT, LABEL = pl.col("TX_AMOUNT"), pl.col("TX_FRAUD")
SOME_TERMINALS = pl.col("TERMINAL_ID") % 5 == 0


def both(*changes: Change) -> Change:
    """One after the other."""
    return lambda frame: reduce(lambda rows, how: how(rows), changes, frame)


def same(frame: pl.DataFrame) -> pl.DataFrame:
    """As it is."""
    return frame


# --- labels ------------------------------------------------------------------------------------


def _labelled(frame: pl.DataFrame, these: pl.Expr, value: int) -> pl.DataFrame:
    names = ("TX_FRAUD", "TX_FRAUD_SCENARIO")
    return frame.with_columns(
        pl.when(these).then(value).otherwise(pl.col(name)).cast(pl.Int8).alias(name)
        for name in names
    )


def labels(count: int) -> Change:
    """So many ordinary payments are called frauds."""
    chosen = (pl.int_range(pl.len()) % 7 == 3) & (LABEL == 0)
    return lambda frame: _labelled(frame, chosen & (chosen.cum_sum() <= count), 1)


def labels_of_terminals(every: int) -> Change:
    """All payments at every so-many-th terminal are called frauds."""
    return lambda frame: _labelled(frame, pl.col("TERMINAL_ID") % every == 0, 1)


def dear_are_frauds(frame: pl.DataFrame) -> pl.DataFrame:
    """The dearest tenth of the payments is called fraud."""
    return _labelled(frame, AMOUNT.quantile(0.9) < AMOUNT, 1)


def no_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Labels are late: nobody knows a fraud yet."""
    return _labelled(frame, pl.lit(value=True), 0)


def inverted(frame: pl.DataFrame) -> pl.DataFrame:
    """Good is called bad, and bad good."""
    return frame.with_columns(TX_FRAUD=(1 - LABEL).cast(pl.Int8))


def labels_of_others(frame: pl.DataFrame) -> pl.DataFrame:
    """A bad join: each label belongs to another payment."""
    names = ("TX_FRAUD", "TX_FRAUD_SCENARIO")
    return frame.with_columns(pl.col(name).reverse() for name in names)


# --- amounts -----------------------------------------------------------------------------------


def amounts(factor: float, where: pl.Expr | None = None) -> Change:
    """Another unit, everywhere or in one segment."""
    chosen = pl.lit(value=True) if where is None else where
    changed = (AMOUNT * factor).round(2)
    return lambda frame: frame.with_columns(
        pl.when(chosen).then(changed).otherwise(AMOUNT).alias("TX_AMOUNT")
    )


def every_third(column: str, value: float | None) -> Change:
    """A third of a column is another value, or missing."""
    chosen = pl.int_range(pl.len()) % 3 == 0
    return lambda frame: frame.with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(pl.col(column))
        .cast(frame.schema[column]).alias(column)
    )  # fmt: skip


holes = every_third("TX_AMOUNT", None)
not_a_number = every_third("TX_AMOUNT", float("nan"))
nothing_paid = every_third("TX_AMOUNT", 0.0)
placeholder = every_third("TX_AMOUNT", 9999.0)
no_customer = every_third("CUSTOMER_ID", None)
guest = every_third("CUSTOMER_ID", 0)
one_terminal = every_third("TERMINAL_ID", 7)


def negative(frame: pl.DataFrame) -> pl.DataFrame:
    """The sign of every amount is turned."""
    return frame.with_columns(TX_AMOUNT=-AMOUNT)


# --- columns -----------------------------------------------------------------------------------


def without(column: str) -> Change:
    """A column is not delivered any more."""
    return lambda frame: frame.drop(column)


def renamed(column: str, now: str) -> Change:
    """A column has another name."""
    return lambda frame: frame.rename({column: now})


def as_text(column: str) -> Change:
    """A number comes as text."""
    return lambda frame: frame.with_columns(pl.col(column).cast(pl.String))


def one_more(frame: pl.DataFrame) -> pl.DataFrame:
    """A column that nobody agreed on."""
    return frame.with_columns(CHANNEL=pl.lit("web"))


def exchanged(frame: pl.DataFrame) -> pl.DataFrame:
    """Customer and terminal stand under each other's name."""
    return frame.with_columns(CUSTOMER_ID=pl.col("TERMINAL_ID"), TERMINAL_ID=pl.col("CUSTOMER_ID"))


def shuffled(column: str) -> Change:
    """A bad join: the column's values belong to other rows."""
    return lambda frame: frame.with_columns(pl.col(column).shuffle(seed=3))


def new_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """The source counts its customers anew."""
    return frame.with_columns(CUSTOMER_ID=(pl.col("CUSTOMER_ID") + 500_000).cast(pl.Int32))


# --- times -------------------------------------------------------------------------------------


def clock(hours: float) -> Change:
    """The clock of the source is ahead."""
    return lambda frame: frame.with_columns(pl.col("TX_DATETIME") + timedelta(hours=hours))


def slow_clock(frame: pl.DataFrame) -> pl.DataFrame:
    """Three hours behind, and no row leaves its day: those of the night stand at midnight."""
    midnight = pl.col("TX_DATETIME").dt.truncate("1d")
    moved = pl.max_horizontal(pl.col("TX_DATETIME") - timedelta(hours=3), midnight)
    seconds = (moved - midnight).dt.total_seconds()
    start = pl.col("TX_TIME_DAYS").cast(pl.Int32) * 86_400
    return frame.with_columns(
        TX_DATETIME=moved, TX_TIME_SECONDS=(start + seconds).cast(pl.Int32)
    ).sort("TX_DATETIME", "TRANSACTION_ID")


def one_second(frame: pl.DataFrame) -> pl.DataFrame:
    """Half of the payments were posted at noon."""
    noon = pl.col("TX_DATETIME").dt.truncate("1d") + timedelta(hours=12)
    chosen = pl.int_range(pl.len()) % 2 == 0
    start = pl.col("TX_TIME_DAYS").cast(pl.Int32) * 86_400 + 43_200
    return frame.with_columns(
        TX_DATETIME=pl.when(chosen).then(noon).otherwise(pl.col("TX_DATETIME")),
        TX_TIME_SECONDS=pl.when(chosen).then(start).otherwise(pl.col("TX_TIME_SECONDS"))
        .cast(pl.Int32),
    ).sort("TX_DATETIME", "TRANSACTION_ID")  # fmt: skip


# --- rows --------------------------------------------------------------------------------------


def twice(frame: pl.DataFrame) -> pl.DataFrame:
    """Every fifth payment comes twice."""
    return pl.concat([frame, frame.gather_every(5)])


def again_under_new_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Every payment comes twice, the second time under another number."""
    more = frame.with_columns(TRANSACTION_ID=(pl.col("TRANSACTION_ID") + 900_000).cast(pl.Int32))
    return pl.concat([frame, more])


def first_half(frame: pl.DataFrame) -> pl.DataFrame:
    """The file ends at noon."""
    return frame.sort("TX_DATETIME").head(frame.height // 2)


def few(frame: pl.DataFrame) -> pl.DataFrame:
    """Every fifth payment only."""
    return frame.gather_every(5)


def no_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """A file without a row."""
    return frame.clear()


def other_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows, sorted otherwise."""
    return frame.sort("TX_AMOUNT")


def other_scenario(frame: pl.DataFrame) -> pl.DataFrame:
    """A column that no feature is made of."""
    return frame.with_columns(
        TX_FRAUD_SCENARIO=pl.when(LABEL == 1).then(3).otherwise(0).cast(pl.Int8)
    )


def without_customers(every: int) -> Change:
    """Every so-many-th customer's payments are left out."""
    return lambda frame: frame.filter(pl.col("CUSTOMER_ID") % every != 0)
