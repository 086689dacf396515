"""The landing zone: one Parquet file a UTC day, put there whole or not at all.

Each day has the handbook's columns, and carries the names and SHA-256 of the files that it was made
from. What an import accepts is put there at once, for all of its days: see `accept`.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.parquet import parquet_bytes

if TYPE_CHECKING:
    import polars as pl  # 0.4 s: imported where frames are really handled

ORIGIN_NAME, ORIGIN_DIGEST = "fraud_provenance.source", "fraud_provenance.source_sha256"
_ACCEPTED: Final = ".accepted"


def lock_of(landing: Path) -> Path:
    """Who holds this lock may change the landing zone; it lies beside the zone, not in it."""
    return landing.with_name(f".{landing.name}.lock")


@dataclass(frozen=True)
class LandedDay:
    """One day's outcome: `new`, `changed` or `unchanged`; and how its rows came about."""

    day: str
    rows: int
    state: str
    added: int = 0
    corrected: int = 0
    dropped: int = 0


def by_day(frame: "pl.DataFrame") -> dict[str, "pl.DataFrame"]:
    """Landing rows by their UTC day, each in the order given."""
    import polars as pl

    if frame.is_empty():
        return {}
    days = frame.with_columns(day=pl.col("TX_DATETIME").dt.date())
    parts = days.partition_by("day", as_dict=True, maintain_order=True, include_key=False)
    return {str(day): part for (day,), part in parts.items()}


def origin_metadata(origins: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The names and SHA-256 of the files that a day was made from, for its own file."""
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

    landed_days(landing)  # what was accepted before comes first
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
    metadata = origin_metadata(origins)
    state = "new"
    if path.exists():
        try:
            state = "unchanged" if pl.read_parquet(path).equals(frame) else "changed"
        except (pl.exceptions.PolarsError, OSError):
            state = "changed"  # whatever lies there is no readable day
    if state != "unchanged":
        files.write_atomic(path, parquet_bytes(frame, metadata), durable=False)
    return LandedDay(day, frame.height, state)


def is_empty(path: Path) -> bool:
    """Whether a landed file is readable and has no rows."""
    from fraud_provenance.fraud.transactions import read_landed

    try:
        return read_landed(path.name, files.read_once(path)).is_empty()
    except DataError:
        return False


def landed_days(landing: Path) -> dict[str, Path]:
    """Day → file for every day in the landing zone."""
    if (landing / _ACCEPTED).exists():  # an import ends just now, or was killed
        with files.exclusive_lock(lock_of(landing)):
            finish(landing)
    return {path.stem: path for path in sorted(landing.glob("????-??-??.parquet"))}


def accept(landing: Path, staged: Path) -> None:
    """Put all files below `staged` in their places, the caller holding the lock: all or none.

    One rename decides. Whoever is killed after it leaves the rest to the next reader. Days can be
    imported again; so they are not forced to the disk one by one, which takes long.
    """
    staged.rename(landing / _ACCEPTED)
    files.fsync_folder(landing)
    finish(landing)


def finish(landing: Path) -> None:
    """Put in its place what was accepted, the caller holding the lock."""
    accepted = landing / _ACCEPTED
    if not accepted.exists():
        return
    for path in sorted(accepted.rglob("*")):
        if path.is_file():
            target = landing / path.relative_to(accepted)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)
    shutil.rmtree(accepted)
