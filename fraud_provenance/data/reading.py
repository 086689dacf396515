"""One file of transactions, batch by batch, as landing rows: read once, in bounded memory."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fraud_provenance.data import delimited, sources
from fraud_provenance.data.conversion import Converter, Told
from fraud_provenance.data.delimited import SEPARATORS, Dialect
from fraud_provenance.data.mapping import Mapping
from fraud_provenance.data.sources import Opened, Source, opened
from fraud_provenance.fraud import transactions
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_ROWS = 250_000
_COPY_BYTES = 2**22


@dataclass
class FileReader:
    """One file. `digest` is its SHA-256, known once the batches were read; `rows` how many.

    `scratch`: a private folder for unpacked copies.
    """

    source: Source
    mapping: Mapping
    told: Told
    scratch: Path
    rows: int = 0
    digest: str = ""

    def batches(self) -> Iterator[pl.DataFrame]:
        """Landing rows in file order; none for an empty part that lies beside full ones.

        Raises:
            DataError: with file, column, line, count and a remedy.
        """
        with opened(self.source) as file:
            read = self._csv if self.source.form == "csv" else self._parquet
            try:
                for batch in read(file):
                    self.rows += batch.height
                    yield batch
            except pl.exceptions.PolarsError as error:  # its words may quote rows
                raise _unlike(self.source.name, "its values cannot be read") from error
            self.digest = file.digest

    def _csv(self, file: Opened) -> Iterator[pl.DataFrame]:
        dialect = self.mapping.dialect
        names, begun = delimited.read_header(file.stream, self.source.name, dialect)
        if not names:
            if begun or file.stream.read(1):
                raise _unlike(self.source.name, "its first line is blank")
            return  # an empty part beside full ones
        self._check_dialect(names, dialect)
        header_lines = dialect.skip_lines + 1
        converter = self._converter(names, header_lines)
        for chunk in delimited.read_rows(file.stream, begun, names, self.source.name, dialect):
            yield converter.convert(chunk.frame, chunk.first_line - header_lines)

    def _parquet(self, file: Opened) -> Iterator[pl.DataFrame]:
        import pyarrow as pa  # slow import, only where a file is read
        import pyarrow.parquet as pq  # as above

        copy = copied(file, self.scratch)
        try:
            with copy.open("rb") as stream:  # the map goes when its last reader does
                content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            transactions.check_unpacked_size(self.source.name, content)
            with pq.ParquetFile(copy, pre_buffer=False, buffer_size=_COPY_BYTES) as parquet:
                names = list(parquet.schema_arrow.names)
                if any("\ufeff" in name for name in names):
                    raise DataError(
                        "ENCODING", "a byte order mark is part of a column name",
                        file=self.source.name,
                        remedy="save as UTF-8 without byte order mark",
                    )  # fmt: skip
                yield from _converted(parquet, self._converter(names))
        except ValueError as error:  # an empty file cannot be mapped
            if isinstance(error, DataError):
                raise
            raise transactions.unreadable(self.source.name) from error
        except (pa.ArrowException, OSError) as error:
            raise transactions.unreadable(self.source.name) from error
        finally:
            copy.unlink(missing_ok=True)

    def _converter(self, names: list[str], header_lines: int = 0) -> Converter:
        return Converter(
            self.source.name, names, self.mapping, self.told, header_lines, self._proposal
        )

    def _proposal(self) -> str:
        """A mapping that may fit this file; reads its first rows once more."""
        from fraud_provenance.data.proposing import propose_for  # it reads by this module

        with suppress(DataError):
            return propose_for(self.source)
        return ""

    def _check_dialect(self, names: list[str], dialect: Dialect) -> None:
        """Say so where a header shows that the file is written otherwise than was said.

        Raises:
            DataError: FILE_FORMAT, with the mapping that reads it.
        """
        if names[0].startswith("#"):
            raise _unlike(self.source.name, "its first line is a comment", self._proposal())
        whole = dialect.separator.join(names)
        for separator, called in SEPARATORS.items():
            if separator != dialect.separator and len(names) == 1 and separator in whole:
                what = f"its fields are separated by {called}"
                raise _unlike(self.source.name, what, self._proposal())


def read_transactions(path: Path, mapping: Mapping | None = None) -> pl.DataFrame:
    """All rows of one file x the columns of `LANDING_SCHEMA`, in file order; dates are naive UTC.

    Raises:
        DataError: as `FileReader.batches`; EMPTY_PARTITION if there is no row.
    """
    (source,) = sources.find_sources([path])
    with tempfile.TemporaryDirectory() as scratch:
        reader = FileReader(source, mapping or Mapping(), Told(), Path(scratch))
        empty = pl.DataFrame(schema=dict(LANDING_SCHEMA))
        frame = pl.concat([empty, *reader.batches()])
    if frame.is_empty():
        raise no_rows(path.name)
    return frame


def no_rows(name: str) -> DataError:
    """Files that hold no transaction at all."""
    return DataError(
        "EMPTY_PARTITION", "there are no rows", file=name, remedy="deliver the data again"
    )


def _unlike(name: str, what: str, fitting: str = "") -> DataError:
    remedy = "deliver it with commas, points in numbers, and one line of column names"
    if fitting:
        remedy += f"; or say how it is written in landing.toml, such as\n{fitting}"
    return DataError("FILE_FORMAT", what, file=name, remedy=remedy)


# --- Parquet -------------------------------------------------------------------------------------


def _converted(parquet: "pq.ParquetFile", converter: Converter) -> Iterator[pl.DataFrame]:
    import pyarrow as pa

    wanted = [name for name in parquet.schema_arrow.names if name in converter.sources.values()]
    empty = empty_table(parquet).select(wanted)
    converter.convert(polars_frame(empty), 1)  # types come first, before anything is unpacked
    types = (column.type for column in empty.schema)
    zones = {kind.tz for kind in types if pa.types.is_timestamp(kind) and kind.tz} - {"UTC"}
    row = 1
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
        for zone in zones:
            converter.told.add(f"times of the zone {zone} became UTC", batch.num_rows)
        yield converter.convert(polars_frame(batch), row)
        row += batch.num_rows


def empty_table(parquet: "pq.ParquetFile") -> Any:  # noqa: ANN401 - an Arrow table
    """A file's columns and their types. Without `Schema.empty_table`, which imports pandas."""
    import pyarrow as pa

    return pa.Table.from_batches([], schema=parquet.schema_arrow)


def polars_frame(batch: Any) -> pl.DataFrame:  # noqa: ANN401 - an Arrow table or batch
    """As a frame; times with a zone become UTC first, for an offset is a zone that not all know."""
    import pyarrow as pa

    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.tz:
            utc = pa.timestamp(column.type.unit, "UTC")
            table = table.set_column(index, column.name, table[index].cast(utc))
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a table
    return frame


def copied(file: Opened, scratch: Path) -> Path:
    """The unpacked bytes in a private file: what is judged is what is read."""
    with tempfile.NamedTemporaryFile(dir=scratch, suffix=".parquet", delete=False) as target:
        while content := file.stream.read(_COPY_BYTES):
            target.write(content)
    return Path(target.name)
