"""Reading transactions that come from outside: Parquet or CSV, refused unless exactly understood.

Only the form is judged here (encoding, columns, types, readable dates, size). What the values may
be is the matter of the data contracts (`contract`, `schemas`, `expectations`).
"""

import codecs
import io
from pathlib import Path
from typing import Final

import polars as pl

from fraud_provenance.fraud import parquet_size
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import MAX_ROWS_NAMED, DataError

MAX_FILE_BYTES: Final = 4 * 2**30
MAX_DECODED_BYTES: Final = 16 * 2**30
# A file may unpack to 256 MiB whatever its ratio; beyond that, real transactions (unique ids,
# cents) stay far below 100.
FREE_DECODED_BYTES: Final = 256 * 2**20
MAX_EXPANSION: Final = 100

_DATE = "TX_DATETIME"
_AMOUNT = "TX_AMOUNT"
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK_BYTES = 2**22
_DATE_PATTERN = (
    r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)(?:Z|([+-])(\d{2}):(\d{2}))?$"
)
_INTEGER_PATTERN = r"^[+-]?[0-9]+$"


def read_transactions(path: Path) -> pl.DataFrame:
    """Read one file of transactions.

    Args:
        path: A `.parquet` or `.csv` file with exactly the nine landing columns, in any order. CSV:
            UTF-8 without byte order mark, comma-separated, one header line, dates as `YYYY-MM-DD
            HH:MM:SS[.ffffff][Z|+HH:MM]`.

    Returns:
        Rows in file order x the 9 columns of `LANDING_SCHEMA`; dates are naive UTC. Integer columns
        of another width are normalised when no value is lost; nothing else is converted.

    Raises:
        DataError: FILE_NOT_FOUND, FILE_FORMAT, RESOURCE_LIMIT, ENCODING, SCHEMA_COLUMN_MISSING,
            SCHEMA_COLUMN_UNKNOWN, SCHEMA_TYPE, NULL_RATE (a date is missing) or EMPTY_PARTITION.
    """
    if not path.is_file():
        raise DataError(
            "FILE_NOT_FOUND", "there is no such file", file=path.name, remedy="check the path"
        )
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _too_large(path.name, f"the file has {size} bytes, at most {MAX_FILE_BYTES} are read")
    if path.suffix == ".parquet":
        frame = _read_parquet(path)
    elif path.suffix == ".csv":
        frame = _read_csv(path)
    else:
        raise DataError(
            "FILE_FORMAT",
            f"expected a name ending in .parquet or .csv, found {path.suffix!r}",
            file=path.name,
            remedy="convert the file to Parquet or CSV",
        )
    if frame.height == 0:
        raise DataError(
            "EMPTY_PARTITION",
            "the file has no rows",
            file=path.name,
            remedy="deliver the data again",
        )
    return frame.select(list(LANDING_SCHEMA))


def split_by_day(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Split landing rows by their UTC day.

    Args:
        frame: Rows x the columns of `LANDING_SCHEMA`, no null dates.

    Returns:
        Day ("2018-04-01") to its rows, days ascending, rows sorted by (TX_DATETIME,
        TRANSACTION_ID).

    Raises:
        DataError: NULL_RATE if a date is missing.
    """
    _refuse_null_dates(frame, "")
    ordered = frame.sort(_DATE, "TRANSACTION_ID", maintain_order=True)
    days = ordered.with_columns(day=pl.col(_DATE).dt.date())
    parts = days.partition_by("day", as_dict=True, maintain_order=True, include_key=False)
    return {str(day): part for (day,), part in parts.items()}


def to_raw(frame: pl.DataFrame) -> pl.DataFrame:
    """Rename landing columns to lower snake case, and sort by (tx_datetime, transaction_id).

    Args:
        frame: Rows x the columns of `LANDING_SCHEMA`.

    Returns:
        The same rows x the columns of `RAW_SCHEMA`.
    """
    return frame.rename(str.lower).sort("tx_datetime", "transaction_id", maintain_order=True)


def _too_large(name: str, message: str) -> DataError:
    return DataError("RESOURCE_LIMIT", message, file=name, remedy="split the file by month or day")


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(
        "FILE_FORMAT",
        f"not a readable Parquet file: {error}",
        file=name,
        remedy="deliver the file again",
    )


def _read_parquet(path: Path) -> pl.DataFrame:
    content = path.read_bytes()
    _check_columns(path, check_unpacked_size(path.name, content))
    try:
        # The footer's types come first: a wide string column is refused before it is unpacked.
        _check_types(path, pl.read_parquet(io.BytesIO(content), n_rows=0))
        frame = pl.read_parquet(io.BytesIO(content))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path.name, error) from error
    _refuse_null_dates(frame, path.name)
    return _normalise(path, frame)


def read_landed(name: str, content: bytes) -> pl.DataFrame:
    """Read Parquet bytes as they are, whatever their columns; only their size is judged.

    Args:
        name: The file's name, for messages.
        content: The whole file.

    Returns:
        Its rows and columns.

    Raises:
        DataError: RESOURCE_LIMIT, or FILE_FORMAT if the bytes are no Parquet file.
    """
    check_unpacked_size(name, content)
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(name, error) from error
    # Equal texts are one text in memory; whoever writes the frame may write each of them.
    _check_expansion(name, len(content), int(frame.estimated_size()))
    return frame


def check_unpacked_size(name: str, content: bytes) -> list[str]:
    """Refuse Parquet bytes that would unpack to more than the limits, before any is unpacked.

    Args:
        name: The file's name, for messages.
        content: The whole file.

    Returns:
        The names of its columns.

    Raises:
        DataError: RESOURCE_LIMIT, or FILE_FORMAT if the bytes are no Parquet file.
    """
    import pyarrow as pa  # slow import, only where a file is read
    import pyarrow.parquet as pq  # as above

    try:
        footer = pq.ParquetFile(pa.BufferReader(content))
        names = list(footer.schema_arrow.names)
        unpacked = parquet_size.unpacked_bytes(content, footer.metadata)
    except (pa.ArrowException, OSError, parquet_size.MalformedError) as error:
        raise _unreadable(name, error) from error
    except parquet_size.TooManyPagesError as error:
        raise _too_large(name, str(error)) from error
    _check_expansion(name, len(content), unpacked)
    return names


def _check_expansion(name: str, size: int, unpacked: int) -> None:
    if unpacked > MAX_DECODED_BYTES:
        raise _too_large(
            name, f"it unpacks to {unpacked} bytes, at most {MAX_DECODED_BYTES} are read"
        )
    if unpacked > FREE_DECODED_BYTES and unpacked > size * MAX_EXPANSION:
        raise _too_large(
            name, f"{size} bytes unpack to {unpacked}, more than {MAX_EXPANSION} times as many"
        )


def _check_columns(path: Path, names: list[str]) -> None:
    if any("\ufeff" in name for name in names):
        raise _wrong_encoding(path, "a byte order mark is part of a column name")
    missing = [name for name in LANDING_SCHEMA if name not in names]
    unknown = [name for name in names if name not in LANDING_SCHEMA]
    if missing:
        raise DataError(
            "SCHEMA_COLUMN_MISSING",
            f"expected {list(LANDING_SCHEMA)}, missing {missing}, unknown {unknown}",
            file=path.name,
            column=missing[0],
            remedy="deliver all nine columns under their handbook names",
        )
    if unknown or len(names) != len(set(names)):
        surplus = unknown or sorted({name for name in names if names.count(name) > 1})
        raise DataError(
            "SCHEMA_COLUMN_UNKNOWN",
            f"expected only {list(LANDING_SCHEMA)}, found also {surplus}",
            file=path.name,
            column=surplus[0],
            remedy="drop the column, or extend the contract first",
        )


def _check_types(path: Path, frame: pl.DataFrame) -> None:
    for name, expected in LANDING_SCHEMA.items():
        found = frame.schema[name]
        if name == _DATE:
            good = isinstance(found, pl.Datetime)
        elif name == _AMOUNT:
            good = found == pl.Float64
        else:
            good = found.is_integer()
        if not good:
            raise _wrong_type(path, name, f"expected {expected}, found {found}", [])


def _normalise(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    date = pl.col(_DATE)
    if getattr(frame.schema[_DATE], "time_zone", None) is not None:
        date = date.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    result = frame.select(
        (date if name == _DATE else pl.col(name)).cast(dtype, strict=False).alias(name)
        for name, dtype in LANDING_SCHEMA.items()
    )
    finer = frame.select(pl.col(_DATE).dt.nanosecond() % 1000 != 0).to_series()
    for name, dtype in LANDING_SCHEMA.items():
        lost = result[name].is_null() & frame[name].is_not_null()
        if name == _DATE:
            lost = lost | finer
        if lost.any():
            message = f"a value does not fit {dtype} without loss"
            raise _wrong_type(path, name, message, _row_numbers(lost), int(lost.sum()))
    return result


def _read_csv(path: Path) -> pl.DataFrame:
    _check_utf8(path)
    try:
        text = pl.read_csv(path, infer_schema=False, glob=False, raise_if_empty=True)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "FILE_FORMAT",
            f"not a readable CSV file: {error}",
            file=path.name,
            remedy="deliver the file again",
        ) from error
    _check_columns(path, text.columns)
    columns: list[pl.Series] = []
    for name, dtype in LANDING_SCHEMA.items():
        given = text[name]
        if name == _DATE:
            parsed = text.select(_parse_dates().alias(name))[name]
        elif name == _AMOUNT:
            parsed = given.cast(pl.Float64, strict=False)
        else:
            whole = given.str.contains(_INTEGER_PATTERN)
            parsed = given.set(~whole.fill_null(value=False), None).cast(dtype, strict=False)
        lost = parsed.is_null() & given.is_not_null()
        if lost.any():
            sample = str(given.filter(lost)[0])[:40]
            raise _wrong_type(
                path,
                name,
                f"expected {dtype}, found {sample!r}",
                _row_numbers(lost),
                int(lost.sum()),
            )
        columns.append(parsed)
    frame = pl.DataFrame(columns)
    _refuse_null_dates(frame, path.name)
    return frame


def _parse_dates() -> pl.Expr:
    """Parse ISO dates with or without offset; null where the text is not exactly one."""
    parts = pl.col(_DATE).str.extract_groups(_DATE_PATTERN)
    local = pl.concat_str(parts.struct[0], pl.lit(" "), parts.struct[1]).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False
    )
    sign = pl.when(parts.struct[2] == "-").then(-1).otherwise(1)
    hours, minutes = (
        parts.struct[3].cast(pl.Int64).fill_null(0),
        parts.struct[4].cast(pl.Int64).fill_null(0),
    )
    return local - pl.duration(minutes=sign * (hours * 60 + minutes), time_unit="us")


def _check_utf8(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 0
    with path.open("rb") as source:
        start = source.read(4)
        if start.startswith(_BYTE_ORDER_MARKS):
            raise _wrong_encoding(path, "the file starts with a byte order mark")
        source.seek(0)
        while chunk := source.read(_CHUNK_BYTES):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                bad = line + error.object[: error.start].count(b"\n")
                raise _wrong_encoding(path, "the file is not UTF-8", bad) from error
            line += chunk.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, "the file ends within a UTF-8 character", line) from error


def _wrong_encoding(path: Path, message: str, row: int = 0) -> DataError:
    return DataError(
        "ENCODING",
        message,
        file=path.name,
        rows=[row] if row else [],
        remedy="save as UTF-8 without byte order mark",
    )


def _wrong_type(
    path: Path, column: str, message: str, rows: list[int], row_count: int = 0
) -> DataError:
    return DataError(
        "SCHEMA_TYPE",
        message,
        file=path.name,
        column=column,
        rows=rows,
        row_count=row_count,
        remedy="deliver the column in its agreed type; nothing is guessed",
    )


def _refuse_null_dates(frame: pl.DataFrame, file: str) -> None:
    missing = frame[_DATE].is_null()
    if missing.any():
        raise DataError(
            "NULL_RATE",
            "a transaction without a date belongs to no day",
            file=file,
            column=_DATE,
            rows=_row_numbers(missing),
            row_count=int(missing.sum()),
            remedy="deliver the rows again with their dates",
        )


def _row_numbers(mask: pl.Series) -> list[int]:
    return [int(row) + 1 for row in mask.arg_true().head(MAX_ROWS_NAMED)]
