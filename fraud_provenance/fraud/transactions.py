"""Landed transactions: Parquet bytes whose size is judged before they are unpacked.

What the values may be is the matter of the data contracts (`contract`, `schemas`, `expectations`).
"""

import io
from mmap import mmap
from typing import Final

import polars as pl

from fraud_provenance.fraud import parquet_size
from fraud_provenance.fraud.errors import DataError

MAX_DECODED_BYTES: Final = 16 * 2**30
# A file may unpack to 256 MiB whatever its ratio; beyond that, real transactions (unique ids,
# cents) stay far below 100.
FREE_DECODED_BYTES: Final = 256 * 2**20
MAX_EXPANSION: Final = 100


def to_raw(frame: pl.DataFrame) -> pl.DataFrame:
    """Rename landing columns to lower snake case, and sort by (tx_datetime, transaction_id).

    Args:
        frame: Rows x the columns of `LANDING_SCHEMA`.

    Returns:
        The same rows x the columns of `RAW_SCHEMA`.
    """
    return frame.rename(str.lower).sort("tx_datetime", "transaction_id", maintain_order=True)


def too_large(name: str, message: str) -> DataError:
    """A file beyond the limits."""
    return DataError(
        "RESOURCE_LIMIT",
        message,
        file=name,
        remedy="split the file by month or day; of a day, ask the source for the file anew: "
        "`fraud-provenance import FILE --replace`, then `fraud-provenance run`",
    )


def unreadable(name: str) -> DataError:
    """Bytes that are no Parquet file. The library's own words may quote them: they are left out."""
    return DataError(
        "FILE_FORMAT", "not a readable Parquet file", file=name, remedy="deliver the file again"
    )


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
        raise unreadable(name) from error
    # Equal texts are one text in memory; whoever writes the frame may write each of them.
    check_expansion(name, len(content), int(frame.estimated_size()))
    return frame


def check_unpacked_size(name: str, content: bytes | mmap) -> list[str]:
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
        unpacked = parquet_size.unpacked_bytes(memoryview(content), footer.metadata)
    except (pa.ArrowException, OSError, parquet_size.MalformedError) as error:
        raise unreadable(name) from error
    except parquet_size.TooManyPagesError as error:
        raise too_large(name, str(error)) from error
    check_expansion(name, len(content), unpacked)
    return names


def check_expansion(name: str, size: int, unpacked: int) -> None:
    """Refuse what unpacks to far more than transactions can.

    Args:
        name: The file, for the message.
        size: Its bytes as it lies there.
        unpacked: The bytes that they unpack to, or have until now.

    Raises:
        DataError: RESOURCE_LIMIT.
    """
    if unpacked > MAX_DECODED_BYTES:
        raise too_large(
            name, f"it unpacks to {unpacked} bytes, at most {MAX_DECODED_BYTES} are read"
        )
    if unpacked > FREE_DECODED_BYTES and unpacked > size * MAX_EXPANSION:
        raise too_large(
            name, f"{size} bytes unpack to {unpacked}, more than {MAX_EXPANSION} times as many"
        )
