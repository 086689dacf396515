"""The landing zone: one Parquet file a UTC day, put there whole or not at all.

In: files from outside, or the generator. Out: `landing/<day>.parquet` with the handbook's columns,
each carrying the names and SHA-256 of the files that it was made from. A delivery is merged by
transaction: nothing that landed before vanishes unless the caller says so.
"""

import io
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.evidence import encoding, files
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import polars as pl  # 0.4 s: imported where frames are really handled

    from fraud_provenance.data.conversion import Told
    from fraud_provenance.data.mapping import Mapping
    from fraud_provenance.data.sources import Source

ORIGIN_NAME, ORIGIN_DIGEST = "fraud_provenance.source", "fraud_provenance.source_sha256"
_ID, _MOMENT = "TRANSACTION_ID", "TX_DATETIME"
_MAX_NAMED = 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class LandedDay:
    """One day's outcome: `new`, `changed` or `unchanged`; and how its rows came about."""

    day: str
    rows: int
    state: str
    added: int = 0
    corrected: int = 0
    dropped: int = 0


@dataclass
class Delivery:
    """What one import did, or would do. `told`: one line for each kind of conversion."""

    days: list[LandedDay] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    files: int = 0


def import_files(
    landing: Path,
    paths: Sequence[Path],
    progress: Say | None = None,
    *,
    mapping: "Mapping | None" = None,
    replace: bool = False,
    check: bool = False,
) -> Delivery:
    """Read every file once, then merge their rows into the landed days, or refuse them all.

    Rows are merged by transaction id: new ones are added, the same ones stay, changed ones are
    corrected. `replace`: the days become what the files say. `check`: nothing is landed.

    Raises:
        DataError: a file is refused, with file, column, line and remedy; DUPLICATE_KEY, an id
            stands for two transactions; ROWS_WOULD_BE_LOST. What landed before stays as it is.
    """
    from fraud_provenance.data import sources
    from fraud_provenance.data.conversion import Told
    from fraud_provenance.data.mapping import Mapping as OwnMapping

    say = progress or (lambda _text: None)
    found = sources.find_sources(paths)
    landing.mkdir(parents=True, exist_ok=True)
    with (
        files.exclusive_lock(landing / ".lock"),
        tempfile.TemporaryDirectory(prefix=".incoming-", dir=landing) as scratch,
    ):
        for left in set(landing.glob(".incoming-*")) - {Path(scratch)}:
            shutil.rmtree(left, ignore_errors=True)  # of an import that was killed
        told = Told()
        parts = _Parts(Path(scratch), landing, mapping or OwnMapping(), told)
        for source in found:
            say(f"reading {source.name}")
            parts.read(source)
        staged = parts.merged(replace=replace, say=say)
        if not check:
            for day, path in staged.paths.items():
                path.replace(landing / f"{day}.parquet")
            files.fsync_folder(landing)
            parts.keep_numbers()
    return Delivery(staged.days, told.lines(), len(found))


@dataclass
class _Staged:
    days: list[LandedDay] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)


@dataclass
class _Parts:
    """The rows of one delivery, by day, on disk until all files were read."""

    scratch: Path
    landing: Path
    mapping: "Mapping"
    told: "Told"
    _parts: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    _origins: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        from fraud_provenance.data.numbers import TextIds

        self._ids = TextIds(self.landing / "ids", self.mapping.text_ids)

    def read(self, source: "Source") -> None:
        """Split one file's rows by day."""
        from fraud_provenance.data.reading import FileReader

        days: set[str] = set()
        reader = FileReader(source, self.mapping, self.told, self.scratch)
        for batch in reader.batches():
            for day, part in by_day(self._ids.numbered(batch)).items():
                path = self.scratch / f"{day}.{len(self._parts[day])}.part"
                part.write_ipc(path)
                self._parts[day].append(path)
                days.add(day)
        for day in days:
            self._origins[day].append((source.name, reader.digest))

    def keep_numbers(self) -> None:
        """Make the numbers that texts were given lasting."""
        self._ids.keep()

    def merged(self, *, replace: bool, say: Say) -> _Staged:
        """Every day as it will lie in the landing zone, staged beside it."""
        import polars as pl

        from fraud_provenance.data.reading import no_rows

        if not self._parts:
            raise no_rows("the delivery")
        start = self.mapping.time.start or _origin(self.landing) or date.fromisoformat(
            min(self._parts)
        )  # fmt: skip
        staged, ids, days = _Staged(), [], sorted(self._parts)
        for day in days:
            say(f"merging {day}")
            frame = self._day(day, start)
            ids.append(frame[_ID])
            self._stage(staged, day, frame, replace=replace)
        everything = pl.concat(ids)
        repeated = len(everything) - everything.n_unique()
        if repeated:
            raise _twice(f"{repeated} transaction ids stand on two days of this delivery")
        _refuse_elsewhere(self.landing, set(days), everything)
        return staged

    def _day(self, day: str, start: date) -> "pl.DataFrame":
        import polars as pl

        frame = pl.concat([pl.read_ipc(path) for path in self._parts.pop(day)])
        seconds = (pl.col(_MOMENT) - pl.lit(start).cast(pl.Datetime("us"))).dt.total_seconds()
        filled = frame.with_columns(
            pl.col("TX_TIME_SECONDS").fill_null(seconds.cast(pl.Int32, strict=False))
        ).with_columns(
            pl.col("TX_TIME_DAYS").fill_null(
                (pl.col("TX_TIME_SECONDS") // 86_400).cast(pl.Int16, strict=False)
            )
        )
        single = filled.unique(maintain_order=True)
        self.told.add("rows came twice and count once", filled.height - single.height)
        repeated = single.height - single[_ID].n_unique()
        if repeated:
            raise _twice(f"{repeated} transaction ids of {day} stand for two transactions")
        return single.sort(_MOMENT, _ID)

    def _stage(self, staged: _Staged, day: str, frame: "pl.DataFrame", *, replace: bool) -> None:
        path = self.landing / f"{day}.parquet"
        landed, origins = _landed(path)
        made = frame if landed is None or replace else _union(day, landed, frame)
        counts = _counts(landed, frame, made)
        if landed is not None and landed.equals(made):
            staged.days.append(LandedDay(day, made.height, "unchanged"))
            return
        known = [] if replace else origins
        content = parquet_bytes(made, _metadata([*known, *self._origins[day]]))
        target = self.scratch / f"{day}.parquet"
        target.write_bytes(content)
        state = "new" if landed is None else "changed"
        staged.days.append(LandedDay(day, made.height, state, *counts))
        staged.paths[day] = target


def by_day(frame: "pl.DataFrame") -> dict[str, "pl.DataFrame"]:
    """Landing rows by their UTC day, each in the order given."""
    import polars as pl

    if frame.is_empty():
        return {}
    days = frame.with_columns(day=pl.col(_MOMENT).dt.date())
    parts = days.partition_by("day", as_dict=True, maintain_order=True, include_key=False)
    return {str(day): part for (day,), part in parts.items()}


def _landed(path: Path) -> tuple["pl.DataFrame | None", list[tuple[str, str]]]:
    """What lies there, and the files that it was made from. What is no readable day is none."""
    import polars as pl

    if not path.exists():
        return None, []
    with suppress(pl.exceptions.PolarsError, OSError):
        frame = pl.read_parquet(path)
        said = pl.read_parquet_metadata(path)
        names = said.get(ORIGIN_NAME, "").split("; ")
        digests = said.get(ORIGIN_DIGEST, "").split("; ")
        return frame, list(zip(names, digests, strict=False))
    return None, []


def _union(day: str, landed: "pl.DataFrame", frame: "pl.DataFrame") -> "pl.DataFrame":
    """Landed and delivered rows by id; the delivered one counts where both have it.

    Raises:
        DataError: ROWS_WOULD_BE_LOST where the delivery is of the same transactions, but leaves
            some out between its own first and last: then it may mean that these are wrong.
    """
    import polars as pl

    if landed.schema != frame.schema:
        return frame  # an older form of the landing zone
    delivered = frame[_ID]
    kept = landed.filter(~pl.col(_ID).is_in(delivered.implode()))
    left_out = kept.filter(pl.col(_MOMENT).is_between(frame[_MOMENT].min(), frame[_MOMENT].max()))
    if kept.height < landed.height and left_out.height:
        raise DataError(
            "ROWS_WOULD_BE_LOST",
            f"{left_out.height} of {landed.height} transactions that landed for {day} are not among"
            f" the {frame.height} delivered now for the same hours",
            row_count=left_out.height,
            remedy="deliver the whole day again; if the day is now exactly what these files say, "
            "import them with --replace",
        )
    return pl.concat([kept, frame]).sort(_MOMENT, _ID)


def _counts(
    landed: "pl.DataFrame | None", frame: "pl.DataFrame", made: "pl.DataFrame"
) -> tuple[int, int, int]:
    """(added, corrected, dropped) rows."""
    if landed is None or landed.schema != frame.schema:
        return made.height, 0, 0
    same = frame.join(landed, on=frame.columns, how="semi", nulls_equal=True).height
    known = frame.join(landed, on=_ID, how="semi").height
    dropped = landed.join(made, on=_ID, how="anti").height
    return frame.height - known, known - same, dropped


def _twice(what: str) -> DataError:
    return DataError(
        "DUPLICATE_KEY", what, column=_ID,
        remedy="ask the source which of them is right, and deliver it once",
    )  # fmt: skip


def _refuse_elsewhere(landing: Path, days: set[str], wanted: "pl.Series") -> None:
    """An id that landed on another day would be two transactions.

    Only days whose ids can be among these are read, and of them only the ids.
    """
    import polars as pl
    import pyarrow.parquet as pq

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
        named = ", ".join(found[:_MAX_NAMED])
        raise DataError(
            "DUPLICATE_KEY",
            f"{count} transaction ids landed on other days before: {named}"
            + (" and others" if len(found) > _MAX_NAMED else ""),
            column=_ID,
            row_count=count,
            remedy="if their dates were corrected, deliver those days again without them, with "
            "--replace, and then these files",
        )


def _id_range(footer: "object") -> tuple[int, int]:
    lows, highs = [], []
    for group in range(footer.num_row_groups):  # type: ignore[attr-defined]  # a Parquet footer
        chunk = footer.row_group(group).column(0)  # type: ignore[attr-defined]  # the same
        if chunk.path_in_schema != _ID or chunk.statistics is None:
            return -(2**63), 2**63
        lows.append(chunk.statistics.min)
        highs.append(chunk.statistics.max)
    return (min(lows), max(highs)) if lows else (1, 0)


def _origin(landing: Path) -> date | None:
    """The feed's first midnight, as the first landed day counts from it."""
    import polars as pl

    for path in landed_days(landing).values():
        with suppress(OSError, pl.exceptions.PolarsError):
            days = pl.read_parquet(path, columns=["TX_TIME_DAYS"], n_rows=1)["TX_TIME_DAYS"]
            if len(days) and days[0] is not None:
                return date.fromisoformat(path.stem) - timedelta(days=int(days[0]))
    return None


def _metadata(origins: Sequence[tuple[str, str]]) -> dict[str, str]:
    unique = list(dict.fromkeys(origins))
    return {
        ORIGIN_NAME: "; ".join(name for name, _ in unique),
        ORIGIN_DIGEST: "; ".join(digest for _, digest in unique),
    }


def generate(
    landing: Path,
    days: int,
    rows_per_day: int,
    seed: int,
    start: date,
    progress: Callable[[str], None] | None = None,
) -> list[LandedDay]:
    """Land deterministic sample transactions."""
    from fraud_provenance.fraud.generator import generate_days

    name = f"generator days={days} rows_per_day={rows_per_day} seed={seed} start={start}"
    origins = [(name, encoding.digest_bytes(name.encode()))]
    made = generate_days(days, rows_per_day, seed, start)
    return [land_day(landing, day, frame, origins) for day, frame in _watched(made, progress)]


def _watched(
    items: Iterable[tuple[str, "pl.DataFrame"]], progress: Callable[[str], None] | None
) -> Iterable[tuple[str, "pl.DataFrame"]]:
    for day, frame in items:
        if progress:
            progress(f"landing {day}")
        yield day, frame


def land_day(
    landing: Path, day: str, frame: "pl.DataFrame", origins: Sequence[tuple[str, str]]
) -> LandedDay:
    """Write one day atomically, unless the same rows lie there already."""
    import polars as pl

    path = landing / f"{day}.parquet"
    metadata = _metadata(origins)
    state = "new"
    if path.exists():
        try:
            state = "unchanged" if pl.read_parquet(path).equals(frame) else "changed"
        except (pl.exceptions.PolarsError, OSError):
            state = "changed"  # whatever lies there is no readable day
    if state != "unchanged":
        files.write_atomic(path, parquet_bytes(frame, metadata), durable=False)
    return LandedDay(day, frame.height, state)


def parquet_bytes(frame: "pl.DataFrame", metadata: dict[str, str] | None = None) -> bytes:
    """A frame as Parquet bytes: the same frame and versions give the same bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, metadata=metadata)
    return buffer.getvalue()


def is_empty(path: Path) -> bool:
    """Whether a landed file is readable and has no rows."""
    from fraud_provenance.fraud.transactions import read_landed

    try:
        return read_landed(path.name, files.read_once(path)).is_empty()
    except DataError:
        return False


def landed_days(landing: Path) -> dict[str, Path]:
    """Day → file for every day in the landing zone."""
    return {path.stem: path for path in sorted(landing.glob("????-??-??.parquet"))}
