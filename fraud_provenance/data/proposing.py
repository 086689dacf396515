"""`import --propose`: a landing.toml for a file that nobody has described yet."""

import re
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl

from fraud_provenance.data import delimited, sources
from fraud_provenance.data.delimited import SEPARATORS, Dialect
from fraud_provenance.data.mapping import IDENTIFIERS, guess_columns, proposal
from fraud_provenance.data.reading import copied, empty_table, polars_frame
from fraud_provenance.data.sources import Source, opened

_ROWS: Final = 1000
_MAX_SKIPPED: Final = 20
_WHOLE = r"^[+-]?(0|[1-9][0-9]{0,8})$"  # what a 32-bit number holds, whatever its digits
_POINT_DECIMAL = re.compile(r"[0-9]\.[0-9]")
_COMMA_DECIMAL = re.compile(r"[0-9],[0-9]")


def propose(path: Path) -> str:
    """A mapping for a file, by the names of its columns and its first rows.

    Raises:
        DataError: the file cannot be read at all.
    """
    return propose_for(sources.find_sources([path])[0])


def propose_for(source: Source) -> str:
    """As `propose`, for a file that was found already."""
    if source.form == "parquet":
        frame = _parquet_rows(source)
        return proposal(frame.columns, time_format=_time_format(frame), text_ids=_text_ids(frame))
    dialect = _dialect(source)
    frame = _csv_rows(source, dialect)
    return proposal(
        frame.columns,
        dialect=dialect,
        decimal=_decimal(frame),
        time_format=_time_format(frame),
        text_ids=_text_ids(frame),
    )


def _dialect(source: Source) -> Dialect:
    """The separator that splits most of the first line that is no comment."""
    with opened(source) as file:
        lines = file.stream.read(1 << 16).decode("utf-8", "replace").splitlines()
    skipped = 0
    while skipped < min(len(lines), _MAX_SKIPPED) and (
        not lines[skipped].strip() or lines[skipped].startswith("#")
    ):
        skipped += 1
    header = lines[skipped] if skipped < len(lines) else ""
    return Dialect(max(SEPARATORS, key=header.count), skipped)


def _csv_rows(source: Source, dialect: Dialect) -> pl.DataFrame:
    with opened(source) as file:
        names, begun = delimited.read_header(file.stream, source.name, dialect)
        rows = delimited.read_rows(file.stream, begun, names, source.name, dialect)
        frames = [chunk.frame.head(_ROWS) for chunk in islice(rows, 1)]
    return frames[0] if frames else pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def _parquet_rows(source: Source) -> pl.DataFrame:
    import pyarrow.parquet as pq  # slow import, only where a file is read

    with (
        tempfile.TemporaryDirectory() as scratch,
        opened(source) as file,
        pq.ParquetFile(copied(file, Path(scratch))) as parquet,
    ):
        batches = list(islice(parquet.iter_batches(batch_size=_ROWS), 1))
        empty = empty_table(parquet)
    return polars_frame(batches[0] if batches else empty)


def _decimal(frame: pl.DataFrame) -> str:
    name = guess_columns(frame.columns).get("TX_AMOUNT")
    text = " ".join(frame[name].drop_nulls().to_list()) if name else ""
    return "," if _COMMA_DECIMAL.search(text) and not _POINT_DECIMAL.search(text) else "."


def _time_format(frame: pl.DataFrame) -> str:
    """`iso`, or what a number in the time's column most likely counts."""
    name = guess_columns(frame.columns).get("TX_DATETIME")
    if name is None or isinstance(frame.schema[name], pl.Datetime | pl.Date):
        return "iso"
    numbers = frame[name].cast(pl.Float64, strict=False).drop_nulls()
    if numbers.len() < frame.height or not numbers.len():
        return "iso"
    largest = float(numbers.max())  # type: ignore[arg-type]  # of numbers
    bounds = ((1e15, "epoch_us"), (1e12, "epoch_ms"), (4e8, "epoch_s"))
    counted = next((form for bound, form in bounds if largest > bound), None)
    return counted or ("elapsed_h" if name.lower() == "step" else "elapsed_s")


def _text_ids(frame: pl.DataFrame) -> list[str]:
    guessed = guess_columns(frame.columns)
    return [
        ours
        for ours in IDENTIFIERS
        if ours in guessed
        and not frame[guessed[ours]].cast(pl.String).drop_nulls().str.contains(_WHOLE).all()
    ]
