"""Parquet files whose footer says less than their pages hold."""

import io

import polars as pl
import pyarrow.parquet as pq

MANY = 7_000_000  # rows; with the nine landing columns a third of a gigabyte


def understated(frame: pl.DataFrame, rows: int = MANY) -> bytes:
    """`frame` as a file that says so, and whose pages hold `rows` more rows of zeros."""
    zeros = pl.select(
        pl.lit(0).cast(kind).repeat_by(rows).explode().alias(name)
        for name, kind in frame.schema.items()
    )
    buffer = io.BytesIO()
    whole = pl.concat([frame, zeros]).to_arrow()
    pq.write_table(
        whole, buffer, compression="zstd", use_dictionary=False, write_statistics=False,
        row_group_size=whole.num_rows, data_page_size=2**31 - 1, max_rows_per_page=2**31 - 1,
    )  # fmt: skip
    content = buffer.getvalue()
    group = pq.ParquetFile(buffer).metadata.row_group(0)
    sizes = {group.column(index).total_uncompressed_size for index in range(group.num_columns)}
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:-8]
    for number in {*sizes, group.total_byte_size}:
        footer = footer.replace(_varint(number), _varint(1000, len(_varint(number))))
    length = len(_varint(whole.num_rows))
    footer = footer.replace(_varint(whole.num_rows), _varint(frame.height, length))
    return content[:start] + footer + content[-8:]


def _varint(number: int, length: int = 0) -> bytes:
    """A number in Thrift's compact protocol; zeros may fill it up to `length`."""
    rest, found = number * 2, []
    while rest or len(found) < max(length, 1):
        found.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*found[:-1], found[-1] & 127])
