"""The feature store (Feast): point-in-time joins for training, latest values for serving.

Two feature views, one per entity. A feature's timestamp is the moment of the transaction that it
describes, and is a field of the view as well (`customer_feature_ts`, `terminal_feature_ts`, seconds
since 1970), so that a check can prove after the join that no feature is younger than the row it was
joined to. Label delay is in the features themselves.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from fraud_provenance.fraud.columns import FEATURE_SCHEMA
from fraud_provenance.fraud.contract import Failure
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.feature_definitions import (
    PROJECT,
    SERVICE,
    TIMESTAMP,
    VIEWS,
    load_feast,
    source_name,
)

if TYPE_CHECKING:
    from feast import FeatureStore

_ONLINE = "online.db"
_KEYS: Final = ("transaction_id", "tx_datetime", "customer_id", "terminal_id")


def empty_online(root: Path) -> None:
    """Forget what the online store holds: entities that are idle for long must not linger in it.

    Args:
        root: Folder of the online store; open it afterwards, for Feast keeps its file open.
    """
    (root / _ONLINE).unlink(missing_ok=True)


def open_store(root: Path, offline: Path) -> "FeatureStore":
    """Open the feature store; nothing is written.

    Args:
        root: Folder of the registry and of the online store (SQLite); made if need be.
        offline: Folder of the two source tables.

    Returns:
        A Feast store with local provider, DuckDB as offline and SQLite as online store.
    """
    load_feast()
    from feast import FeatureStore, RepoConfig
    from feast.repo_config import RegistryConfig

    root.mkdir(parents=True, exist_ok=True)
    return FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry=RegistryConfig(path=str((root / "registry.db").absolute())),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str((root / _ONLINE).absolute())},
            entity_key_serialization_version=3,
            repo_path=offline.absolute(),
        )
    )


def write_offline(offline: Path, features: pl.DataFrame | Sequence[Path]) -> None:
    """Write the two source tables, replacing what is there.

    Args:
        offline: Folder of the source tables; made if need be.
        features: Rows x the columns of `FEATURE_SCHEMA`, or Parquet files of such rows.
    """
    offline.mkdir(parents=True, exist_ok=True)
    frame = features if isinstance(features, pl.DataFrame) else pl.read_parquet(list(features))
    for entity, table in _source_tables(frame).items():
        target = offline / source_name(entity)
        partial = target.with_suffix(".partial")
        table.write_parquet(partial)
        partial.replace(target)


def _source_tables(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Entity to its rows x (key, timestamp, fields of its view), oldest first."""
    tables = {}
    for entity, fields in VIEWS.items():
        key = f"{entity}_id"
        tables[entity] = (
            frame.with_columns(
                pl.col("tx_datetime").alias(TIMESTAMP),
                pl.col("tx_datetime").dt.epoch("s").alias(f"{entity}_feature_ts"),
            )
            .select(key, TIMESTAMP, *fields)
            # Transactions of one entity in the same moment are peers and have the same features.
            .unique(subset=[key, TIMESTAMP], keep="first", maintain_order=True)
            .sort(TIMESTAMP, key)
        )
    return tables


def point_in_time_frame(store: "FeatureStore", entities: pl.DataFrame) -> pl.DataFrame:
    """Join each transaction with its features as of its own moment.

    Args:
        store: A store with definitions and source tables.
        entities: Rows with transaction_id, tx_datetime, customer_id, terminal_id; further columns
            that are no features are carried along.

    Returns:
        The same rows, sorted by transaction_id, x their columns, the 12 window features and the two
        feature timestamps; dtypes of `FEATURE_SCHEMA`. A feature that does not exist is null.

    Raises:
        DataError: DUPLICATE_KEY if a transaction occurs twice, SCHEMA_COLUMN_MISSING.
    """
    missing = [name for name in _KEYS if name not in entities.columns]
    if missing:
        raise DataError(
            "SCHEMA_COLUMN_MISSING", f"missing {missing}", column=missing[0], remedy="add it"
        )
    if entities["transaction_id"].n_unique() != entities.height:
        raise DataError(
            "DUPLICATE_KEY", "a transaction occurs twice", column="transaction_id", remedy="drop it"
        )
    fields = {name: dtype for view in VIEWS.values() for name, dtype in view.items()}
    rows = entities.select(_KEYS).rename({"tx_datetime": TIMESTAMP}).to_pandas()
    job = store.get_historical_features(entity_df=rows, features=store.get_feature_service(SERVICE))
    joined = pl.from_arrow(job.to_arrow())
    if not isinstance(joined, pl.DataFrame) or joined.height != entities.height:
        raise DataError(
            "CHECK_ERROR", "the join changed the number of rows", remedy="check the sources"
        )
    found = joined.select(
        "transaction_id", *(pl.col(name).cast(dtype, strict=True) for name, dtype in fields.items())
    )
    kept = [name for name in entities.columns if name not in fields]
    result = (
        entities.select(kept).join(found, on="transaction_id", how="left").sort("transaction_id")
    )
    ordered = [name for name in FEATURE_SCHEMA if name in result.columns]
    return result.select(*ordered, pl.exclude(ordered))


def check_point_in_time(frame: pl.DataFrame) -> list[Failure]:
    """Check that every row has the features of its own moment, and none from later.

    Args:
        frame: Rows of `point_in_time_frame`.

    Returns:
        PIT_LEAKAGE where a feature is younger than its row, STALE_FEED where it is older (the
        offline store lacks the transaction's own row), NULL_RATE where there is none; by day and
        view.
    """
    event_s = pl.col("tx_datetime").dt.epoch("s")
    failures: list[Failure] = []
    for view in VIEWS:
        column = f"{view}_feature_ts"
        moment = pl.col(column)
        for check, code, wrong, remedy in (
            ("features_exist", "NULL_RATE", moment.is_null(), "write the offline store again"),
            (
                "features_are_not_from_the_future",
                "PIT_LEAKAGE",
                moment > event_s,
                "join as of the event",
            ),
            (
                "features_are_up_to_date",
                "STALE_FEED",
                moment < event_s,
                "write the offline store again",
            ),
        ):
            bad = frame.filter(wrong).group_by(pl.col("tx_datetime").dt.date().alias("day"))
            counts = bad.agg(pl.len().alias("rows"), moment.first().alias("example")).sort("day")
            failures += [
                Failure(str(day), f"{view}_{check}", code, column, rows, str(example), remedy)
                for day, rows, example in counts.iter_rows()
            ]
    return failures


def materialize_online(store: "FeatureStore", start: datetime, end: datetime) -> None:
    """Copy the latest features of each entity within a span to the online store.

    Args:
        store: A store with definitions and source tables.
        start: First moment; naive is UTC.
        end: Last moment; naive is UTC.
    """
    store.materialize(start_date=_utc(start), end_date=_utc(end), disable_event_timestamp=False)


def check_online(
    store: "FeatureStore", features: pl.DataFrame, entities: Mapping[str, int]
) -> None:
    """Hold the online store against the rows that it was loaded from, all of them.

    Args:
        store: A store that was emptied and materialised.
        features: Rows x the columns of `FEATURE_SCHEMA` that it was loaded from.
        entities: Table of the online store to the number of entities in it.

    Raises:
        DataError: FEATURE_TAMPER if an entity's values are not those of its newest row, an entity
            is missing, or there is one more.
    """
    newest = {
        entity: table.unique(subset=[f"{entity}_id"], keep="last", maintain_order=True)
        for entity, table in _source_tables(features).items()
    }
    # One question for all: the shorter column of keys goes round until the longer one ends.
    length = pl.int_range(max(table.height for table in newest.values()), eager=True)
    keys = {key: table[key].gather(length % table.height)
            for entity, table in newest.items() for key in [f"{entity}_id"]}  # fmt: skip
    served = online_features(store, pl.DataFrame(keys).to_dicts())
    for entity, fields in VIEWS.items():
        expected = newest[entity].select(f"{entity}_id", *fields)
        found = served.head(expected.height).select(expected.columns)
        held = entities.get(f"{PROJECT}_{entity}_features", 0)
        if held == expected.height and found.equals(expected.cast(found.schema)):
            continue
        raise DataError(
            "FEATURE_TAMPER",
            f"the online store's {entity} features are not those it was loaded from"
            f" ({held} entities, {expected.height} expected)",
            remedy="find out who edited it; remove feast/ of the home, then `fraud-provenance run` "
            "fills it anew",
        )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def online_features(store: "FeatureStore", rows: Sequence[Mapping[str, int]]) -> pl.DataFrame:
    """Read the online store.

    Args:
        store: A store that was materialised.
        rows: Objects {"customer_id", "terminal_id"}.

    Returns:
        One row per given row, in order, x customer_id, terminal_id, the 12 window features and the
        two feature timestamps; null where the online store has nothing.
    """
    fields = {name: dtype for view in VIEWS.values() for name, dtype in view.items()}
    answer = store.get_online_features(
        features=store.get_feature_service(SERVICE), entity_rows=[dict(row) for row in rows]
    ).to_dict()
    schema = {"customer_id": pl.Int32, "terminal_id": pl.Int32, **fields}
    return pl.DataFrame({name: answer[name] for name in schema}, schema=schema)
