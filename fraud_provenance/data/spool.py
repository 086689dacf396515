"""The rows of one delivery by day, until all of its files were read."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from fraud_provenance.data.landing import by_day

MEMORY_BYTES: Final = 256 * 2**20


@dataclass
class Spool:
    """Rows by day: in memory as long as they fit, then in files of `scratch`."""

    scratch: Path
    memory_bytes: int = MEMORY_BYTES
    _held: dict[str, list[pl.DataFrame]] = field(default_factory=lambda: defaultdict(list))
    _files: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    _held_bytes: int = 0

    @property
    def days(self) -> list[str]:
        """All days that have rows and were not taken."""
        return sorted({*self._held, *self._files})

    def add(self, frame: pl.DataFrame) -> set[str]:
        """Keep rows by their day; returns the days."""
        parts = by_day(frame)
        for day, part in parts.items():
            self._held[day].append(part)
            self._held_bytes += int(part.estimated_size())
        if self._held_bytes > self.memory_bytes:
            self._spill()
        return set(parts)

    def take(self, day: str) -> pl.DataFrame:
        """A day's rows in the order in which they came. They are gone from here."""
        paths = self._files.pop(day, [])
        frame = pl.concat([*map(pl.read_ipc, paths), *self._held.pop(day, [])])
        for path in paths:
            path.unlink()
        return frame

    def _spill(self) -> None:
        for day, parts in self._held.items():
            path = self.scratch / f"{day}.{len(self._files[day])}.part"
            pl.concat(parts).write_ipc(path, compression="lz4")
            self._files[day].append(path)
        self._held.clear()
        self._held_bytes = 0
