"""What a file would unpack to is known before it is unpacked, whatever its footer says."""

import io
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_provenance.fraud import parquet_size, transactions
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.transactions import read_landed
from fraud_provenance_tests.parquet_lies import understated

ROWS = 1000


def written(table: Any, **options: Any) -> bytes:  # noqa: ANN401 - pyarrow's own
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def unpacked(content: bytes) -> int:
    return parquet_size.unpacked_bytes(content, pq.ParquetFile(io.BytesIO(content)).metadata)


@pytest.fixture
def frame() -> pl.DataFrame:
    numbers = pl.DataFrame({name: np.arange(ROWS) for name in LANDING_SCHEMA})
    return numbers.with_columns(pl.col("TX_DATETIME").cast(pl.Datetime("us")))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["zstd", "snappy", "none"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_of_an_honest_file_add_up_to_its_footer(
    frame: pl.DataFrame, version: str, codec: str, dictionary: bool
) -> None:
    content = written(
        frame.to_arrow(), compression=codec, use_dictionary=dictionary, data_page_size=900,
        data_page_version=version, row_group_size=300,
    )  # fmt: skip
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    found = [
        page
        for group in groups
        for index in range(group.num_columns)
        for page in parquet_size._pages(memoryview(content), group.column(index))
    ]
    in_footer = sum(group.total_byte_size for group in groups)
    assert sum(count for _, count in found) == ROWS * len(LANDING_SCHEMA)
    assert 0 < in_footer - sum(size for size, _ in found) < 100 * len(found)  # the headers


def test_a_file_by_polars_is_measured(frame: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert unpacked(buffer.getvalue()) >= ROWS * 8 * len(LANDING_SCHEMA)


def test_equal_values_count_by_their_width_in_memory() -> None:
    content = written(pa.table({"a": pa.array([1] * 100_000, pa.int64())}))
    assert len(content) < 2000
    assert unpacked(content) == 800_000


def test_values_of_lists_count_each() -> None:
    lists = pa.array([[1] * 100_000], pa.list_(pa.int64()))
    assert unpacked(written(pa.table({"a": lists}))) == 800_000


def test_a_footer_that_understates_its_pages_is_not_believed(frame: pl.DataFrame) -> None:
    content = understated(frame, rows=200_000)
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    assert (metadata.num_rows, metadata.row_group(0).total_byte_size) == (ROWS, 1000)
    assert pl.read_parquet(io.BytesIO(content)).equals(frame)  # what a reader would see of it
    assert unpacked(content) > 200_000 * 8 * len(LANDING_SCHEMA)


def test_a_file_that_unpacks_beyond_the_limit_is_refused_before_it_is_read(
    frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = understated(frame, rows=200_000)
    monkeypatch.setattr(transactions, "FREE_DECODED_BYTES", 2**20)
    monkeypatch.setattr(pl, "read_parquet", None)
    with pytest.raises(DataError, match="RESOURCE_LIMIT"):
        read_landed("day.parquet", content)


def test_one_long_text_many_times_is_refused_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 9999]))
    content = written(pa.table({"a": texts}), store_schema=False)
    monkeypatch.setattr(transactions, "FREE_DECODED_BYTES", 2**20)
    assert unpacked(content) < 2**20
    with pytest.raises(DataError, match="RESOURCE_LIMIT"):
        read_landed("day.parquet", content)


def test_more_pages_than_any_honest_file_has_are_refused(
    frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_size, "MAX_PAGES", 3)
    with pytest.raises(DataError, match="RESOURCE_LIMIT"):
        read_landed("day.parquet", written(frame.to_arrow()))


def first_page(content: bytes) -> int:
    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    return int(column.dictionary_page_offset or column.data_page_offset)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"\x00", id="no-sizes"),
        pytest.param(b"\x15\x00\x15\x01", id="a-negative-size"),
        pytest.param(b"\xff" * 20, id="a-kind-that-does-not-exist"),
        pytest.param(b"\x15" + b"\xff" * 12, id="a-number-without-end"),
        pytest.param(b"\x18\xff\xff\xff\xff\x0f", id="a-text-longer-than-the-page"),
        pytest.param(b"\x1c" * 30, id="structs-without-end"),
        pytest.param(b"\x19\x19" * 30, id="lists-without-end"),
    ],
)
def test_a_page_header_that_cannot_be_read_is_refused(frame: pl.DataFrame, header: bytes) -> None:
    content = written(frame.to_arrow())
    at = first_page(content)
    broken = content[:at] + header + content[at + len(header) :]
    with pytest.raises(DataError, match="FILE_FORMAT"):
        read_landed("day.parquet", broken)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"\x15\x00\x15\x14\x15\x12\x00", id="plain"),
        pytest.param(b"\x17" + b"\x00" * 8 + b"\x15\x14\x15\x12\x00", id="a-double"),
        pytest.param(b"\x19\x35\x02\x04\x06\x15\x14\x15\x12\x00", id="a-list"),
        pytest.param(b"\x19\xf5\x01\x02\x15\x14\x15\x12\x00", id="a-list-with-its-own-length"),
        pytest.param(b"\x1c\x11\x12\x00\x15\x14\x15\x12\x00", id="a-struct-of-truths"),
        pytest.param(b"\x05\x02\x00\x15\x14\x15\x12\x00", id="a-number-of-its-own"),
    ],
)
def test_fields_that_do_not_matter_are_skipped(fields: bytes) -> None:
    reader = parquet_size._Compact(memoryview(fields))
    header = reader.struct()
    assert (header[2], header[3], reader.at) == (10, 9, len(fields))


def test_a_column_outside_the_file_is_refused(frame: pl.DataFrame) -> None:
    content = written(frame.to_arrow())
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    with pytest.raises(parquet_size.MalformedError, match="outside the file"):
        parquet_size.unpacked_bytes(content[:100], metadata)
