"""Spark and DuckDB: the same dbt project, the same rows, every value of both by its bits."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.fraud.column_lineage import raw_columns
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, RAW_SCHEMA
from fraud_provenance.fraud.engines import LIBRARIES, Engine
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.mart import DBT_BUILD, MART, read_mart
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.fraud.transactions import to_raw
from fraud_provenance_tests.fraud.test_dbt_project import dbt, prepare
from fraud_provenance_tests.spark_here import NEEDS_SPARK

pytestmark = NEEDS_SPARK

COUNT, EMPTY, ONCE = 60, 40, 999_999
AMOUNTS = (0.0, 0.01, 12.345, 0.125, 1.005, 99_999.99, -12.125)
"""Nothing, halves of a cent, and what is no cent at all in binary."""


def odd_rows(day: str, first_id: int, customer: int, terminal: int) -> pl.DataFrame:
    """Edges of midnight to the microsecond, peers of one second, and odd amounts."""
    start = datetime.fromisoformat(day)
    last = start + timedelta(days=1, microseconds=-1)
    noon = start + timedelta(hours=12)
    moments = [start, start, last, last, noon, noon + timedelta(microseconds=999_999), noon]
    rows = pl.DataFrame(
        {
            "transaction_id": range(first_id, first_id + len(moments)),
            "tx_datetime": moments,
            "customer_id": [customer] * len(moments),
            "terminal_id": [terminal] * len(moments),
            "tx_amount": AMOUNTS,
            "tx_time_seconds": 0,
            "tx_time_days": 0,
            "tx_fraud": [1, 0, 1, 0, 0, 1, 0],
            "tx_fraud_scenario": 0,
        }
    )
    return rows.cast(dict(RAW_SCHEMA))


@pytest.fixture(scope="module")
def days() -> dict[str, pl.DataFrame]:
    """Sixty days: one without a row, odd rows on each other one, a customer who came once."""
    found = {day: to_raw(frame) for day, frame in generate_days(COUNT, 250, seed=11)}
    names = list(found)
    known = found[names[0]]
    customer, terminal = known["customer_id"][0], known["terminal_id"][0]
    for number, day in enumerate(names):
        more = odd_rows(day, 10_000_000 + 100 * number, customer, terminal)
        found[day] = pl.concat([found[day], more]).sample(fraction=1, shuffle=True, seed=number)
    once = odd_rows(names[50], 20_000_000, ONCE, terminal).head(1)
    found[names[50]] = pl.concat([once, found[names[50]]])
    found[names[EMPTY]] = found[names[EMPTY]].clear()
    return found


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, days: dict[str, pl.DataFrame]
) -> dict[str, Path]:
    """Engine → the folder in which dbt built and tested the whole project with it."""
    found = {}
    for name in LIBRARIES:
        engine = Engine(name, memory_gib=1)
        folder = found[name] = tmp_path_factory.mktemp(name)
        prepare(folder, days, list(days))
        dbt(folder, *DBT_BUILD, "--target", name, **engine.environment())
    return found


@pytest.fixture(scope="module")
def marts(built: dict[str, Path]) -> dict[str, pl.DataFrame]:
    """Engine → its mart, as it is read, sorted as each day's file is."""
    return {
        name: pl.concat(read_mart(folder / "output", Engine(name))).sort("transaction_id")
        for name, folder in built.items()
    }


def bits(frame: pl.DataFrame) -> pl.DataFrame:
    """The same with each float as the integer of its bits: 0.0 is not -0.0, and NaN is a value."""
    floats = [name for name, dtype in frame.schema.items() if dtype == pl.Float64]
    return frame.with_columns(pl.col(floats).reinterpret(signed=False))


def by_day(frame: pl.DataFrame, names: list[str]) -> Iterator[pl.DataFrame]:
    for day in names:
        yield frame.filter(pl.col("tx_datetime").dt.date() == date.fromisoformat(day))


def test_every_value_is_equal_by_its_bits(
    marts: dict[str, pl.DataFrame], days: dict[str, pl.DataFrame]
) -> None:
    expected = sum(frame.height for frame in days.values())
    assert {frame.height for frame in marts.values()} == {expected}
    assert dict(marts["spark"].schema) == dict(marts["duckdb"].schema) == dict(FEATURE_SCHEMA)
    found, other = bits(marts["spark"]), bits(marts["duckdb"])
    unlike = [name for name in found.columns if not found[name].equals(other[name])]
    assert unlike == []
    assert found.filter(pl.col("customer_id") == ONCE).height == 1
    altered = marts["spark"].with_columns(pl.col("tx_amount") * -1.0)
    assert not bits(altered)["tx_amount"].equals(other["tx_amount"])  # so it would be seen


def test_files_of_the_days_are_equal(
    marts: dict[str, pl.DataFrame], days: dict[str, pl.DataFrame]
) -> None:
    pairs = zip(*(by_day(frame, list(days)) for frame in marts.values()), strict=True)
    files = [[parquet_bytes(frame) for frame in pair] for pair in pairs]
    assert [day for day, (a, b) in zip(days, files, strict=True) if a != b] == []
    assert len({content for content, _ in files}) == len(days)


def test_columns_come_from_the_same_raw_columns(built: dict[str, Path]) -> None:
    found = []
    for name, folder in built.items():
        manifest = json.loads((folder / "target" / "manifest.json").read_text("utf-8"))
        nodes = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
        mart = next(node["relation_name"] for node in nodes if node["name"] == MART)
        models = {node["relation_name"]: node["compiled_code"] for node in nodes}
        found.append(raw_columns(models, mart, "raw_transactions", name))
    assert found[0] == found[1]
    assert found[0]["tx_amount"] == ["tx_amount"]


def test_day_without_a_row_alone_is_an_empty_table(
    tmp_path: Path, days: dict[str, pl.DataFrame]
) -> None:
    names = list(days)
    prepare(tmp_path, {day: days[day] for day in names[EMPTY - 2 : EMPTY + 1]}, [names[EMPTY]])
    dbt(tmp_path, *DBT_BUILD, "--target", "spark", **Engine("spark").environment())
    assert list(read_mart(tmp_path / "output", Engine("spark"))) == []
