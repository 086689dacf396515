"""N2, N8: payments that were there before, long ago or a second ago, under other ids and dates."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta

import polars as pl

from fraud_provenance.defs import raw_history
from fraud_provenance.fraud.summaries import summarise
from fraud_provenance_tests.attacks.cases_data import (
    NEW_DAY,
    Change,
    landed,
    landing,
    shuffled,
    without_findings,
)
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import ingest
from fraud_provenance_tests.attacks.model import Attack, Case

# Further back than a feature window reaches, which is what the contracts read again.
OLD_DAY = "2018-04-05"
_LATER = date.fromisoformat(NEW_DAY) - date.fromisoformat(OLD_DAY)
_DAY_S = 86_400


def _again(home: Home) -> pl.DataFrame:
    """The old day's rows under the new day's dates."""
    return pl.read_parquet(landing(home, OLD_DAY)).with_columns(
        pl.col("TX_DATETIME") + _LATER,
        (pl.col("TX_TIME_SECONDS") + _LATER.days * _DAY_S).cast(pl.Int32),
        (pl.col("TX_TIME_DAYS") + _LATER.days).cast(pl.Int16),
    )


def _under_new_ids(own: pl.DataFrame, old: pl.DataFrame) -> pl.DataFrame:
    ids = pl.int_range(pl.len()) + own["TRANSACTION_ID"].min()
    return old.with_columns(TRANSACTION_ID=ids.cast(pl.Int32))


def _half(own: pl.DataFrame, old: pl.DataFrame) -> pl.DataFrame:
    """Every second row is the old day's, every second the new day's own."""
    return _under_new_ids(own, pl.concat([own.gather_every(2), old.gather_every(2)]))


def _stirred(own: pl.DataFrame, old: pl.DataFrame) -> pl.DataFrame:
    """Each amount a cent dearer, each moment an hour later, the rows in another order."""
    second = (pl.col("TX_TIME_SECONDS") % _DAY_S + 3_600) % _DAY_S
    start = pl.col("TX_DATETIME").dt.truncate("1d")
    return _under_new_ids(own, shuffled(old)).with_columns(
        (start + pl.duration(seconds=second)).cast(pl.Datetime("us")).alias("TX_DATETIME"),
        (pl.col("TX_TIME_DAYS").cast(pl.Int32) * _DAY_S + second).alias("TX_TIME_SECONDS"),
        (pl.col("TX_AMOUNT") + 0.01).round(2),
    )


def _one_row(own: pl.DataFrame, old: pl.DataFrame) -> pl.DataFrame:
    """The new day itself, and one payment of the old day."""
    return pl.concat([own, old.sample(1, seed=1)])


def replayed(mix: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]) -> Attack:
    """An attack: the next day arrives, made of its own rows and of the old day's."""

    def attack(home: Home) -> None:
        old = _again(home)
        landed(lambda own: mix(own, old))(home)

    return attack


def forget(home: Home) -> None:
    """What was kept of the days before is exchanged: nobody heard of the old day."""
    for path in (home.path / "history").iterdir():
        path.write_bytes(b"nothing happened")


def forgotten(attack: Attack) -> Attack:
    """The same, with nothing left of what was kept."""

    def both(home: Home) -> None:
        forget(home)
        attack(home)

    return both


def short_memory() -> AbstractContextManager[object]:
    """A mutant: only the days that a feature window reaches are compared with."""
    return patched(
        raw_history, "summaries_of", lambda _home, _step, frames, sha256: summarise(frames, sha256)
    )


def twice(every: int, seconds: int, share: float = 0.0, cents: int = 0) -> Change:
    """Every so manieth payment once more: so much later, so much dearer, under a new id."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        room = pl.col("TX_TIME_SECONDS") % _DAY_S < _DAY_S - seconds
        more = frame.gather_every(every).filter(room)
        ids = pl.int_range(pl.len()) + frame["TRANSACTION_ID"].max() + 1
        more = more.with_columns(
            ids.cast(pl.Int32).alias("TRANSACTION_ID"),
            pl.col("TX_DATETIME") + timedelta(seconds=seconds),
            pl.col("TX_TIME_SECONDS") + seconds,
            (pl.col("TX_AMOUNT") * (1 + share) + cents / 100).round(2),
        )
        return pl.concat([frame, more])

    return change


_honest = landed(shuffled)


def _replay(attack: Attack, variant: str, twin: Attack = _honest) -> Case:
    return Case("N2", attack, ingest(NEW_DAY), twin, short_memory, variant=variant)


def _repeat(change: Change, variant: str) -> Case:
    # The twin: some do pay twice.
    return Case("N8", landed(change), ingest(NEW_DAY), landed(twice(200, 20, 0.05)),
                without_findings("DUPLICATE_BUSINESS_KEY"), variant=variant)  # fmt: skip


CASES = [
    _replay(replayed(lambda _own, old: old), "the same ids"),
    _replay(replayed(_under_new_ids), "new ids"),
    _replay(replayed(_one_row), "one row"),
    _replay(replayed(_half), "half a day"),
    _replay(replayed(_stirred), "stirred"),
    _replay(forgotten(replayed(_under_new_ids)), "what was kept is exchanged",
            forgotten(_honest)),
    _repeat(twice(2, 1), "a second later"),
    _repeat(twice(2, 0, cents=1), "a cent dearer"),
    _repeat(twice(10, 300, 0.05), "a tenth, minutes later and dearer"),
    _repeat(twice(10, 7_200), "a tenth, hours later"),
]  # fmt: skip
