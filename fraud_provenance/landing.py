"""The landing zone: one Parquet file a UTC day, put there whole or not at all.

In: files from outside, or the generator. Out: `landing/<day>.parquet` with the handbook's columns,
each carrying the name and SHA-256 of the file it was split from. Nothing here is trusted yet.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.evidence import encoding, files
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import polars as pl  # 0.4 s: imported where frames are really handled

SUFFIXES = (".parquet", ".csv")
ORIGIN_NAME, ORIGIN_DIGEST = "fraud_provenance.source", "fraud_provenance.source_sha256"


@dataclass(frozen=True)
class LandedDay:
    """One day's outcome: `new`, `changed` or `unchanged`."""

    day: str
    rows: int
    state: str


def source_files(paths: Iterable[Path]) -> list[Path]:
    """The transaction files that `paths` (files or folders) name, sorted.

    Raises:
        DataError: a path does not exist or a folder holds no transaction file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise DataError(
                    "FILE_NOT_FOUND",
                    "the folder holds no .parquet or .csv file",
                    file=path.name,
                    remedy="name the folder with the transaction files",
                )
            found += inside
        else:
            found.append(path)
    return found


def import_files(
    landing: Path, paths: Sequence[Path], progress: Callable[[str], None] | None = None
) -> list[LandedDay]:
    """Read every file first, then land its days; a file that is refused lands nothing.

    Days that several files of one call share are put together. What landed before stays.

    Raises:
        DataError: a file is refused, with file, column, rows and remedy.
    """
    from fraud_provenance.fraud.transactions import read_transactions, split_by_day

    frames, origins = [], []
    for path in source_files(paths):
        if progress:
            progress(f"reading {path.name}")
        frames.append(read_transactions(path))
        origins.append((path.name, _file_digest(path)))
    import polars as pl

    days = split_by_day(pl.concat(frames))
    return [
        land_day(landing, day, frame, origins) for day, frame in _watched(days.items(), progress)
    ]


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
    metadata = {
        ORIGIN_NAME: "; ".join(name for name, _ in origins),
        ORIGIN_DIGEST: "; ".join(digest for _, digest in origins),
    }
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


def _file_digest(path: Path) -> str:
    return encoding.digest_bytes(files.read_once(path))
