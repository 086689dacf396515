"""Identifiers that are text in a feed: each text is given a number, and keeps it.

The numbers of one column lie in `landing/ids/<COLUMN>.parquet`, in the order in which their texts
were first seen. Nothing is ever taken out.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fraud_provenance.evidence import files
from fraud_provenance.fraud.columns import LANDING_SCHEMA


@dataclass
class TextIds:
    """The numbers of the text identifiers of one landing zone."""

    folder: Path
    columns: tuple[str, ...]
    _known: dict[str, pl.DataFrame] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def numbered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The same rows with numbers in the place of texts; new texts get the next ones."""
        for name in self.columns:
            known = self._of(name)
            texts = frame.select(text=name).unique(maintain_order=True).drop_nulls()
            new = texts.join(known, on="text", how="anti", maintain_order="left")
            if new.height:
                self._changed.add(name)
                first = known.height + 1
                numbers = pl.int_range(first, first + new.height, eager=True)
                known = self._known[name] = pl.concat(
                    [known, new.with_columns(number=numbers.cast(known.schema["number"]))]
                )
            frame = frame.with_columns(
                frame.select(text=name)
                .join(known, on="text", how="left", maintain_order="left")["number"]
                .alias(name)
            )
        return frame

    def write(self, target: Path) -> None:
        """Write the numbers of columns that got new ones into another folder."""
        for name in sorted(self._changed):
            content = io.BytesIO()
            self._known[name].write_parquet(content, compression="zstd")
            files.write_atomic(target / f"{name}.parquet", content.getvalue())  # durable

    def _of(self, name: str) -> pl.DataFrame:
        if name not in self._known:
            path = self.folder / f"{name}.parquet"
            schema = {"text": pl.String, "number": LANDING_SCHEMA[name]}
            self._known[name] = (
                pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=schema)
            )
        return self._known[name]
