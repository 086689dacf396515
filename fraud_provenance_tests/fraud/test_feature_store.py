"""Each row gets the features of its own moment, and what the registry says is checked."""

import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fraud_provenance.fraud.columns import CUSTOMER_FEATURES, TERMINAL_FEATURES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.feature_definitions import apply_definitions, describe_definitions
from fraud_provenance.fraud.feature_store import (
    check_online,
    check_point_in_time,
    empty_online,
    materialize_online,
    online_features,
    open_store,
    point_in_time_frame,
    write_offline,
)

if TYPE_CHECKING:
    from feast import FeatureStore

WINDOWS = (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)


@pytest.fixture(scope="module")
def rows(features: pl.DataFrame) -> pl.DataFrame:
    return features.filter(pl.col("tx_datetime") >= datetime(2018, 5, 10))


def test_join_of_shuffled_rows_restores_every_feature_bit_for_bit(
    tmp_path: Path, rows: pl.DataFrame
) -> None:
    write_offline(tmp_path / "offline", rows)
    store = open_store(tmp_path / "store", tmp_path / "offline")
    apply_definitions(store)
    entities = rows.drop(WINDOWS).sample(fraction=1.0, shuffle=True, seed=1)

    joined = point_in_time_frame(store, entities)

    assert joined.select(rows.columns).equals(rows)
    assert joined.columns[-2:] == ["customer_feature_ts", "terminal_feature_ts"]
    assert check_point_in_time(joined) == []


def test_join_with_a_day_missing_offline_is_noticed(tmp_path: Path, rows: pl.DataFrame) -> None:
    day = pl.col("tx_datetime").dt.date() == datetime(2018, 5, 12).date()
    write_offline(tmp_path / "offline", rows.filter(~day))
    store = open_store(tmp_path / "store", tmp_path / "offline")
    apply_definitions(store)

    failures = check_point_in_time(point_in_time_frame(store, rows.drop(WINDOWS)))

    assert {failure.day for failure in failures} == {"2018-05-12"}
    assert {failure.code for failure in failures} == {"NULL_RATE", "STALE_FEED"}


def test_check_point_in_time_of_a_later_feature_names_the_leak(rows: pl.DataFrame) -> None:
    moment_s = pl.col("tx_datetime").dt.epoch("s")
    frame = rows.head(5).with_columns(
        customer_feature_ts=moment_s, terminal_feature_ts=moment_s + 1
    )

    failures = check_point_in_time(frame)

    assert [(f.code, f.column, f.rows) for f in failures] == [
        ("PIT_LEAKAGE", "terminal_feature_ts", 5)
    ]


def test_definitions_of_two_stores_are_described_alike(tmp_path: Path, rows: pl.DataFrame) -> None:
    described = []
    for name in ("one", "other"):
        write_offline(tmp_path / name / "offline", rows)
        store = open_store(tmp_path / name, tmp_path / name / "offline")
        described.append(apply_definitions(store))

    assert described[0] == described[1]
    assert str(tmp_path) not in str(described[0])


def test_definitions_with_a_source_pointed_elsewhere_are_described_otherwise(
    tmp_path: Path, rows: pl.DataFrame
) -> None:
    from feast import FileSource

    write_offline(tmp_path / "offline", rows)
    write_offline(tmp_path / "elsewhere", rows)
    store = open_store(tmp_path / "store", tmp_path / "offline")
    honest = apply_definitions(store)
    view = store.get_feature_view("terminal_features")
    view.batch_source = FileSource(
        name="terminal_features_source",
        path=str(tmp_path / "elsewhere" / "terminal_features.parquet"),
        timestamp_field="event_timestamp",
    )
    store.apply([view])

    reopened = open_store(tmp_path / "store", tmp_path / "offline")

    assert describe_definitions(reopened) != honest


def test_online_features_are_the_latest_of_each_entity(tmp_path: Path, rows: pl.DataFrame) -> None:
    write_offline(tmp_path / "offline", rows)
    store = open_store(tmp_path / "store", tmp_path / "offline")
    apply_definitions(store)
    materialize_online(store, datetime(2018, 5, 10), datetime(2018, 5, 22))
    last = rows.sort("tx_datetime").tail(1)
    keys = last.select("customer_id", "terminal_id").row(0, named=True)

    found = online_features(store, [keys, {"customer_id": 10**6, "terminal_id": 10**6}])

    assert found.head(1).select(WINDOWS).equals(last.select(WINDOWS))
    assert found.row(1)[2:] == (None,) * 14


def test_join_of_a_repeated_transaction_is_refused(tmp_path: Path, rows: pl.DataFrame) -> None:
    write_offline(tmp_path / "offline", rows)
    store = open_store(tmp_path / "store", tmp_path / "offline")

    with pytest.raises(DataError, match="DUPLICATE_KEY"):
        point_in_time_frame(store, pl.concat([rows.head(1), rows.head(1)]).drop(WINDOWS))


def _held(store: "FeatureStore") -> dict[str, int]:
    """Table of the online store to the number of entities in it."""
    with sqlite3.connect(store.config.online_store.path) as connection:
        return {
            f"fraud_{entity}_features": connection.execute(query).fetchone()[0]
            for entity, query in {
                "customer": "select count(distinct entity_key) from fraud_customer_features",
                "terminal": "select count(distinct entity_key) from fraud_terminal_features",
            }.items()
        }


def test_online_store_holds_what_it_was_loaded_from_and_nothing_else(
    tmp_path: Path, rows: pl.DataFrame
) -> None:
    write_offline(tmp_path, rows)
    store = open_store(tmp_path, tmp_path)
    span = (datetime(2018, 5, 10), datetime(2018, 5, 22))
    apply_definitions(store)
    materialize_online(store, *span)
    check_online(store, rows, _held(store))

    fewer = rows.filter(pl.col("customer_id") != rows["customer_id"][0])
    with pytest.raises(DataError, match="FEATURE_TAMPER"):  # one entity more than was loaded
        check_online(store, fewer, _held(store))
    empty_online(tmp_path)
    write_offline(tmp_path, fewer)
    store = open_store(tmp_path, tmp_path)
    apply_definitions(store)
    materialize_online(store, *span)
    check_online(store, fewer, _held(store))

    changed = fewer.with_columns(pl.col("customer_id_avg_amount_1day_window") + 1.0)
    with pytest.raises(DataError, match="FEATURE_TAMPER"):
        check_online(store, changed, _held(store))


_LOADS = """
import gc, weakref
from fraud_provenance.fraud.feature_definitions import load_feast

class Table: ...

def caller():
    table = Table()
    load_feast()
    return weakref.ref(table)

kept = caller()
gc.collect()
assert kept() is None, "what called it stays in memory"
"""


def test_what_was_in_memory_while_feast_was_loaded_does_not_stay() -> None:
    """Feast keeps the error of an import that it only tries; a test's own process is fresh."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADS], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
