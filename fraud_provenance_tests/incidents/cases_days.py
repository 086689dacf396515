"""Days that the source delivered otherwise than days are."""

from datetime import timedelta

import polars as pl

from fraud_provenance_tests.incidents.acts import RAW, SCORES, new_day, of_day
from fraud_provenance_tests.incidents.changes import (
    SOME_TERMINALS,
    amounts,
    as_text,
    clock,
    first_half,
    holes,
    labels_of_others,
    not_a_number,
    shuffled,
    twice,
    without,
)
from fraud_provenance_tests.incidents.model import NONE, Incident, nothing
from fraud_provenance_tests.incidents.place import Place, day, feed

NEW, NEW_SCORES = f"{RAW}/{day(46)}", f"{SCORES}/{day(46)}"


def raw(number: int) -> str:
    return f"{RAW}/{day(number)}"


def frozen(_frame: pl.DataFrame) -> pl.DataFrame:
    """The payments of the day before, under today's date and other numbers."""
    before = feed()[day(45)]
    return before.with_columns(
        TRANSACTION_ID=(pl.col("TRANSACTION_ID") + 400_000).cast(pl.Int32),
        TX_DATETIME=pl.col("TX_DATETIME") + timedelta(days=1),
        TX_TIME_SECONDS=(pl.col("TX_TIME_SECONDS") + 86_400).cast(pl.Int32),
        TX_TIME_DAYS=(pl.col("TX_TIME_DAYS") + 1).cast(pl.Int16),
    )


def hole_in_the_feed(place: Place) -> None:
    """Day 46 never comes; day 47 does."""
    place.deliver(47)
    place.run()


def two_bad_days(place: Place) -> None:
    """Two days come at once, each wrong in its own way."""
    place.deliver(46, amounts(100))
    place.deliver(47, holes)
    place.run()


def bad_and_next(place: Place) -> None:
    """A bad day, and the day after it, which is as days are."""
    place.deliver(46, holes)
    place.deliver(47)
    place.run()


def of_week(number: int, what: str) -> Incident:
    """One of the days that `bad-week` delivered again."""
    return Incident(f"week-{number}", f"delivered again: {what}", nothing, raw(number),
                    of_day(number), must_stop=True, base="bad-week")  # fmt: skip


CASES = (
    Incident("unit", "one segment of the new day is in cents",
             new_day(amounts(100, SOME_TERMINALS)), NEW, of_day(46), must_stop=True),
    Incident("holes", "a third of the amounts of the new day is missing", new_day(holes), NEW,
             of_day(46), must_stop=True),
    Incident("nan", "a third of the amounts of the new day is no number", new_day(not_a_number),
             NEW_SCORES, of_day(46), must_stop=True),
    Incident("clock", "the clock of the source is three hours ahead", new_day(clock(3)), NEW,
             of_day(46), must_stop=True),
    Incident("twice", "every fifth payment of the new day comes twice", new_day(twice), NEW,
             of_day(46), must_stop=True),
    Incident("column", "the labels' column is not delivered", new_day(without("TX_FRAUD")), "alert",
             of_day(46), must_stop=True),
    Incident("text", "the amounts of the new day are text", new_day(as_text("TX_AMOUNT")),
             NEW_SCORES, of_day(46), must_stop=True),
    Incident("frozen", "the new day is the one before once more", new_day(frozen), "alert",
             of_day(46), must_stop=True),
    Incident("unit-accepted", "all amounts are in cents, and a person says that it is right",
             new_day(amounts(100), used=True), NEW_SCORES, of_day(46), must_stop=True),
    Incident("join-accepted", "customers are joined to other payments, and a person accepts it",
             new_day(shuffled("CUSTOMER_ID"), used=True), NEW_SCORES, of_day(46), must_stop=True),
    Incident("half-accepted", "the day ends at noon, and a person accepts it",
             new_day(first_half, used=True), NEW_SCORES, of_day(46), must_stop=True),
    Incident("labels-join", "the new day's labels are joined to other payments",
             new_day(labels_of_others), NEW, of_day(46), must_stop=True),
    Incident("hole", "a day never comes, the one after it does", hole_in_the_feed,
             f"{SCORES}/{day(47)}", frozenset((f"missing landing/{day(46)}",))),
    Incident("two-days", "two days are wrong, each in its way", two_bad_days,
             f"{SCORES}/{day(47)}", of_day(47), decoy=True, must_stop=True),
    Incident("bad-next", "a bad day stays out, and the day after it is as days are", bad_and_next,
             f"{SCORES}/{day(47)}", NONE, decoy=True, must_stop=True),
    of_week(32, "the amounts' column is text"),
    of_week(33, "a column has another name"),
    of_week(34, "customers and terminals are exchanged"),
    of_week(35, "labels are joined to other payments"),
    of_week(36, "the file ends at noon"),
    of_week(37, "all payments come twice under other numbers"),
    of_week(38, "a third of the amounts is a placeholder"),
    of_week(39, "a third of the customers is a guest"),
    of_week(40, "half of the payments were posted in one second"),
    of_week(41, "good is called bad"),
    of_week(42, "every amount is negative"),
    of_week(43, "no row at all"),
)  # fmt: skip
