"""Identifiers that are text in a feed: each text is given a number, and keeps it.

The numbers of one column lie in `landing/ids/<COLUMN>.parquet`, in the order in which their texts
were first seen. Nothing is ever taken out.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fraud_provenance.attested.core import files
from fraud_provenance.fraud.columns import LANDING_SCHEMA

_FACTS = ("TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT")


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


@dataclass
class RowKeys:
    """Texts for the rows of one file that have no id of their own.

    A text says what the row says, but for its label, and how many rows before it said the same: the
    same file again gives the same texts.
    """

    _before: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"said": pl.UInt64, "times": pl.UInt32})
    )

    def keyed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The same rows with these texts as their ids."""
        facts = (pl.col(name).cast(pl.String).fill_null("") for name in _FACTS)
        rows = frame.select(text=pl.concat_str(facts, separator="|"))
        rows = rows.with_columns(said=pl.col("text").hash())
        before = self._before.join(rows, on="said", how="semi").group_by("said").sum()
        rows = rows.with_columns(nth=pl.int_range(pl.len()).over("said")).join(
            before, on="said", how="left", maintain_order="left"
        )
        counted = rows.group_by("said").agg(times=pl.len().cast(pl.UInt32))
        self._before = pl.concat([self._before, counted])
        nth = pl.col("nth") + pl.col("times").fill_null(0)
        keys = rows.select(pl.col("text") + "#" + nth.cast(pl.String)).to_series()
        return frame.with_columns(keys.alias("TRANSACTION_ID"))
