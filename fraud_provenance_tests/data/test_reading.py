"""Files from outside are refused unless exactly understood."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.data import sources
from fraud_provenance.data.reading import read_transactions
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.transactions import to_raw


@pytest.fixture
def frame(landing_days: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return landing_days["2018-04-02"].head(20)


def _refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_transactions(path)
    return caught.value


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_read_of_written_landing_rows_gives_the_same_rows(
    frame: pl.DataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"day.{suffix}"
    getattr(frame, f"write_{suffix}")(path)

    assert read_transactions(path).equals(frame)


def test_read_with_wider_integers_and_other_column_order_normalises_them(
    frame: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "day.parquet"
    frame.select(
        pl.col(name).cast(pl.Int64) if dtype.is_integer() else pl.col(name)
        for name, dtype in reversed(frame.schema.items())
    ).write_parquet(path)

    assert read_transactions(path).equals(frame)


@pytest.mark.parametrize(
    ("change", "code", "column"),
    [
        pytest.param(
            pl.col("TX_AMOUNT").cast(pl.String), "SCHEMA_TYPE", "TX_AMOUNT", id="amount-as-text"
        ),
        pytest.param(
            (pl.col("TX_AMOUNT") * 100).cast(pl.Int64),
            "SCHEMA_TYPE",
            "TX_AMOUNT",
            id="integer-amount",
        ),
        pytest.param(
            pl.col("CUSTOMER_ID").cast(pl.Float64), "SCHEMA_TYPE", "CUSTOMER_ID", id="float-id"
        ),
        pytest.param(
            pl.col("TX_FRAUD").cast(pl.Int64) + 300, "SCHEMA_TYPE", "TX_FRAUD", id="too-large"
        ),
        pytest.param(
            pl.col("TX_DATETIME").cast(pl.String), "SCHEMA_TYPE", "TX_DATETIME", id="date-as-text"
        ),
        pytest.param(
            pl.col("TX_DATETIME").cast(pl.Datetime("ns")) + pl.duration(nanoseconds=1),
            "SCHEMA_TYPE",
            "TX_DATETIME",
            id="finer-than-microseconds",
        ),
        pytest.param(
            pl.lit(None, pl.Datetime("us")).alias("TX_DATETIME"),
            "NULL_RATE",
            "TX_DATETIME",
            id="no-date",
        ),
        pytest.param(
            pl.lit(1).alias("IS_DISPUTED"), "SCHEMA_COLUMN_UNKNOWN", "IS_DISPUTED", id="unknown"
        ),
    ],
)
def test_read_of_parquet_with_a_wrong_column_names_it(
    frame: pl.DataFrame, tmp_path: Path, change: pl.Expr, code: str, column: str
) -> None:
    path = tmp_path / "day.parquet"
    frame.with_columns(change).write_parquet(path)

    error = _refused(path)

    assert (error.code, error.column, error.file) == (code, column, "day.parquet")
    assert error.remedy


def test_read_of_renamed_column_names_the_missing_one(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    frame.rename({"TX_AMOUNT": "TX_AMT"}).write_csv(path)

    error = _refused(path)

    assert (error.code, error.column) == ("SCHEMA_COLUMN_MISSING", "TX_AMOUNT")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(b"\xef\xbb\xbf", "ENCODING", id="byte-order-mark"),
        pytest.param(b"\xff\xfe", "ENCODING", id="utf-16"),
    ],
)
def test_read_of_csv_with_a_byte_order_mark_is_refused(
    frame: pl.DataFrame, tmp_path: Path, text: bytes, code: str
) -> None:
    path = tmp_path / "day.csv"
    path.write_bytes(text + frame.write_csv().encode())

    assert _refused(path).code == code


def test_read_of_latin_1_names_the_row(frame: pl.DataFrame, tmp_path: Path) -> None:
    lines = frame.write_csv().encode().splitlines()
    lines[3] += b",Caf\xe9"
    path = tmp_path / "day.csv"
    path.write_bytes(b"\n".join(lines))

    error = _refused(path)

    assert (error.code, error.rows) == ("ENCODING", (3,))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("TX_DATETIME", "2018-04-31 10:00:00"),
        ("TX_DATETIME", "02/04/2018 10:00"),
        ("TX_AMOUNT", "12;50"),
        ("CUSTOMER_ID", "12.0"),
        ("CUSTOMER_ID", "99999999999"),
    ],
)
def test_read_of_csv_with_an_unreadable_value_names_file_column_and_row(
    frame: pl.DataFrame, tmp_path: Path, column: str, value: str
) -> None:
    path = tmp_path / "day.csv"
    text = frame.with_columns(pl.col("TX_DATETIME").dt.to_string(), pl.col("TX_AMOUNT").round(2))
    row = pl.int_range(pl.len()) == 4
    text.with_columns(
        pl.when(row).then(pl.lit(value)).otherwise(pl.col(column).cast(pl.String)).alias(column)
    ).write_csv(path)

    error = _refused(path)

    assert (error.code, error.column, error.rows, error.row_count) == (
        "SCHEMA_TYPE",
        column,
        (5,),
        1,
    )
    assert all(part in str(error) for part in ("day.csv", column, "first 5", "line 6"))
    assert value not in str(error)  # the form of a value is told, never the value


def test_read_of_dates_with_offsets_gives_naive_utc(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    dates = [
        "2018-04-02T01:30:00+02:00",
        "2018-04-02 01:30:00Z",
        "2018-04-02 01:30:00.250000-00:30",
    ]
    frame.head(3).with_columns(TX_DATETIME=pl.Series(dates)).write_csv(path)

    found = read_transactions(path)["TX_DATETIME"].to_list()

    assert found == [
        datetime(2018, 4, 1, 23, 30),
        datetime(2018, 4, 2, 1, 30),
        datetime(2018, 4, 2, 2, 0, 0, 250_000),
    ]


def test_read_of_parquet_with_a_zone_converts_to_utc(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    zoned = pl.col("TX_DATETIME").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    frame.with_columns(zoned).write_parquet(path)

    assert read_transactions(path).equals(frame)


def test_read_keeps_values_that_only_a_contract_may_judge(
    frame: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "day.parquet"
    odd = frame.with_columns(TX_AMOUNT=pl.lit(-1.0))
    odd.write_parquet(path)

    assert read_transactions(path).equals(odd)


def test_read_of_a_parquet_bomb_is_refused_before_it_is_unpacked(
    frame: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.parquet"
    pl.concat([frame.head(1)] * 1).select(pl.all().repeat_by(8_000_000).explode()).write_parquet(
        path
    )
    assert path.stat().st_size < 1_000_000

    assert _refused(path).code == "RESOURCE_LIMIT"


def test_read_of_a_file_over_the_limit_is_refused(
    frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "day.parquet"
    frame.write_parquet(path)
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", path.stat().st_size - 1)

    assert _refused(path).code == "RESOURCE_LIMIT"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("day.parquet", b"PAR1 but nothing else PAR1", "FILE_FORMAT"),
        ("day.csv", b"", "EMPTY_PARTITION"),  # beside full parts it is honest
        ("day.json", b"{}", "FILE_FORMAT"),
        ("day.csv", ",".join(LANDING_SCHEMA).encode() + b"\n", "EMPTY_PARTITION"),
    ],
)
def test_read_of_something_else_is_refused(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert _refused(path).code == code


def test_read_of_an_absent_file_is_refused(tmp_path: Path) -> None:
    assert _refused(tmp_path / "day.csv").code == "FILE_NOT_FOUND"


def test_to_raw_of_unsorted_rows_sorts_and_renames(frame: pl.DataFrame) -> None:
    later = frame.with_columns(pl.col("TX_DATETIME") + timedelta(hours=1))

    raw = to_raw(pl.concat([later, frame]))

    assert raw.columns == [name.lower() for name in LANDING_SCHEMA]
    assert raw["tx_datetime"].is_sorted()
