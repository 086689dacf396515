"""Delivered rows into landed days, by transaction id; staged beside them, nothing lands here."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from fraud_provenance.data.conversion import Told
from fraud_provenance.data.landing import (
    ORIGIN_DIGEST,
    ORIGIN_NAME,
    LandedDay,
    landed_days,
    origin_metadata,
)
from fraud_provenance.data.mapping import Mapping
from fraud_provenance.data.sources import named
from fraud_provenance.data.spool import Spool
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.parquet import parquet_bytes

_ID, _MOMENT = "TRANSACTION_ID", "TX_DATETIME"


@dataclass
class Origins:
    """For each day the (name, SHA-256) of the files that it comes from."""

    of: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, days: Iterable[str], name: str, digest: str) -> None:
        """Note that a file has rows of these days."""
        for day in days:
            self.of[day].append((name, digest))

    def names(self, days: Iterable[str]) -> str:
        """The files of some days, for messages."""
        return named(list(dict.fromkeys(name for day in days for name, _ in self.of[day])))


@dataclass
class Merge:
    """One delivery into a landing zone. `staged`: a folder for the days as they will lie there."""

    landing: Path
    staged: Path
    mapping: Mapping
    told: Told
    replace: bool

    def all_days(
        self, spool: Spool, origins: Origins, say: Callable[[str], None]
    ) -> list[LandedDay]:
        """Stage every day that changes; there is at least one row.

        Raises:
            DataError: DUPLICATE_KEY or ROWS_WOULD_BE_LOST.
        """
        days = spool.days
        self.staged.mkdir()
        start = self.mapping.time.start or _first_midnight(self.landing)
        start = start or date.fromisoformat(days[0])
        found, delivered, made = [], [], []
        for day in days:
            say(f"merging {day}")
            frame = self._delivered(day, spool.take(day), start, origins)
            outcome, ids = self._stage(day, frame, origins)
            found.append(outcome)
            delivered.append(frame[_ID])
            made.append(ids)
        _refuse_two_days(pl.concat(made), origins.names(days))
        _refuse_elsewhere(self.landing, set(days), pl.concat(delivered), origins.names(days))
        return found

    def _delivered(
        self, day: str, frame: pl.DataFrame, start: date, origins: Origins
    ) -> pl.DataFrame:
        """A day's rows with their elapsed times, each once, sorted."""
        if frame["TX_TIME_SECONDS"].null_count() or frame["TX_TIME_DAYS"].null_count():
            since = pl.col(_MOMENT) - pl.lit(start).cast(pl.Datetime("us"))
            seconds = since.dt.total_seconds().cast(pl.Int32, strict=False)
            frame = frame.with_columns(pl.col("TX_TIME_SECONDS").fill_null(seconds))
            elapsed = (pl.col("TX_TIME_SECONDS") // 86_400).cast(pl.Int16, strict=False)
            frame = frame.with_columns(pl.col("TX_TIME_DAYS").fill_null(elapsed))
        if frame[_ID].n_unique() < frame.height:
            single = frame.unique(maintain_order=True)
            self.told.add("rows came twice and count once", frame.height - single.height)
            frame = single
        repeated = frame.height - frame[_ID].n_unique()
        if repeated:
            what = f"{repeated} transaction ids of {day} stand for two transactions"
            raise _twice(what, repeated, origins.names([day]))
        return frame.sort(_MOMENT, _ID)

    def _stage(
        self, day: str, frame: pl.DataFrame, origins: Origins
    ) -> tuple[LandedDay, pl.Series]:
        """What becomes of a day, and the ids that it will have."""
        landed, known = self._landed(day, frame.schema)
        made = frame if landed is None or self.replace else _union(day, landed, frame, origins)
        if landed is not None and landed.sort(_MOMENT, _ID).equals(made):
            return LandedDay(day, made.height, "unchanged"), made[_ID]
        made_from = [*([] if self.replace else known), *origins.of[day]]
        content = parquet_bytes(made, origin_metadata(made_from))
        (self.staged / f"{day}.parquet").write_bytes(content)
        if landed is None:
            return LandedDay(day, made.height, "new", made.height), made[_ID]
        return LandedDay(day, made.height, "changed", *_counts(landed, frame, made)), made[_ID]

    def _landed(
        self, day: str, schema: pl.Schema
    ) -> tuple[pl.DataFrame | None, list[tuple[str, str]]]:
        """What lies there, and the files that it was made from.

        Raises:
            DataError: ROWS_WOULD_BE_LOST where rows may lie there that cannot be merged.
        """
        path = self.landing / f"{day}.parquet"
        if not path.exists():
            return None, []
        frame: pl.DataFrame | None = None
        with suppress(pl.exceptions.PolarsError, OSError):
            frame, said = pl.read_parquet(path), pl.read_parquet_metadata(path)
            if frame.schema == schema:
                names = said.get(ORIGIN_NAME, "").split("; ")
                digests = said.get(ORIGIN_DIGEST, "").split("; ")
                return frame, list(zip(names, digests, strict=False))
        if not self.replace and (frame is None or frame.height):
            raise DataError(
                "ROWS_WOULD_BE_LOST",
                "what landed for this day before is no table of transactions, so nothing can be"
                " merged into it",
                file=path.name,
                remedy="deliver the whole day, and import it with --replace",
            )
        return None, []


def _union(day: str, landed: pl.DataFrame, frame: pl.DataFrame, origins: Origins) -> pl.DataFrame:
    """Landed and delivered rows by id; the delivered one counts where both have it.

    Rows that are all new or all changed are an addition or a correction, whatever lies between
    them. With unchanged rows among them they are hours that are delivered again.

    Raises:
        DataError: ROWS_WOULD_BE_LOST where hours are delivered again and some of their transactions
            are left out: it may mean that these are wrong, or that the delivery is cut.
    """
    known = pl.col(_ID).is_in(frame[_ID].implode()).fill_null(value=False)
    kept = landed.filter(~known)
    again = frame.join(landed, on=frame.columns, how="semi", nulls_equal=True).height > 0
    left_out = kept.filter(pl.col(_MOMENT).is_between(frame[_MOMENT].min(), frame[_MOMENT].max()))
    if again and left_out.height:
        raise DataError(
            "ROWS_WOULD_BE_LOST",
            f"{left_out.height} of {landed.height} transactions that landed for {day} are not among"
            f" the {frame.height} delivered now for the same hours",
            file=origins.names([day]),
            row_count=left_out.height,
            remedy="deliver the whole day again; if the day is now exactly what these files say, "
            "import them with --replace",
        )
    return pl.concat([kept, frame]).sort(_MOMENT, _ID)


def _counts(landed: pl.DataFrame, frame: pl.DataFrame, made: pl.DataFrame) -> tuple[int, int, int]:
    """(added, corrected, dropped) rows."""
    same = frame.join(landed, on=frame.columns, how="semi", nulls_equal=True).height
    known = frame.join(landed, on=_ID, how="semi").height
    dropped = landed.join(made, on=_ID, how="anti").height
    return frame.height - known, known - same, dropped


def _refuse_two_days(ids: pl.Series, names: str) -> None:
    repeated = ids.len() - ids.n_unique()
    if repeated:
        what = f"{repeated} transaction ids would stand on two days, of those delivered now"
        raise _twice(what, repeated, names)


def _twice(what: str, count: int, names: str) -> DataError:
    return DataError(
        "DUPLICATE_KEY", what, file=names, column=_ID, row_count=count,
        remedy="ask the source which of them is right, and deliver it once; where a date was "
        "corrected, deliver both days whole, with --replace",
    )  # fmt: skip


def _refuse_elsewhere(landing: Path, days: set[str], wanted: pl.Series, names: str) -> None:
    """An id that landed on another day would be two transactions.

    Only days whose ids can be among these are read, and of them only the ids.
    """
    import pyarrow.parquet as pq  # slow import, only where days lie there

    first, last = int(wanted.min()), int(wanted.max())  # type: ignore[arg-type]  # of numbers
    found: list[str] = []
    count = 0
    for day, path in landed_days(landing).items():
        if day in days:
            continue
        with suppress(OSError, ValueError, pl.exceptions.PolarsError):
            low, high = _id_range(pq.read_metadata(path))
            if low > last or high < first:
                continue
            both = int(pl.read_parquet(path, columns=[_ID])[_ID].is_in(wanted.implode()).sum())
            if both:
                count += both
                found.append(day)
    if found:
        raise DataError(
            "DUPLICATE_KEY",
            f"{count} transaction ids landed on other days before: {named(found)}",
            file=names,
            column=_ID,
            row_count=count,
            remedy="if their dates were corrected, deliver those days again without them, with "
            "--replace, and then these files",
        )


def _id_range(footer: Any) -> tuple[int, int]:  # noqa: ANN401 - a Parquet footer, untyped
    """The smallest and the largest id; what the footer does not say may be anything."""
    lows, highs = [], []
    for group in range(footer.num_row_groups):
        chunk = footer.row_group(group).column(0)
        if chunk.path_in_schema != _ID or chunk.statistics is None:
            return -(2**63), 2**63
        lows.append(chunk.statistics.min)
        highs.append(chunk.statistics.max)
    return (min(lows), max(highs)) if lows else (1, 0)


def _first_midnight(landing: Path) -> date | None:
    """Of the feed, as the first landed day counts from it."""
    for day, path in landed_days(landing).items():
        with suppress(OSError, pl.exceptions.PolarsError):
            days = pl.read_parquet(path, columns=["TX_TIME_DAYS"], n_rows=1)["TX_TIME_DAYS"]
            if len(days) and days[0] is not None:
                return date.fromisoformat(day) - timedelta(days=int(days[0]))
    return None
