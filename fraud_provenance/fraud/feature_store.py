"""The feature store (Feast): point-in-time joins for training, latest values for serving.

Two feature views, one per entity. A feature's timestamp is the moment of the transaction that it
describes, and is a field of the view as well (`customer_feature_ts`, `terminal_feature_ts`, seconds
since 1970), so that a check can prove after the join that no feature is younger than the row it was
joined to. Label delay is in the features themselves.
"""

import importlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    FEATURE_SCHEMA,
    TERMINAL_FEATURES,
    PolarsType,
)
from fraud_provenance.fraud.contract import Failure
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

PROJECT: Final = "fraud"
SERVICE: Final = "fraud_model_v1"
# The shortest window is one day: older values say nothing of now. It also bounds the join, which
# would otherwise pair each transaction with its entity's whole past.
FEATURE_LIFE: Final = timedelta(days=1)
VIEWS: Final[Mapping[str, Mapping[str, PolarsType]]] = {
    "customer": {**CUSTOMER_FEATURES, "customer_feature_ts": pl.Int64},
    "terminal": {**TERMINAL_FEATURES, "terminal_feature_ts": pl.Int64},
}
"""Entity to the fields of its view `<entity>_features`; the join key is `<entity>_id`."""

_TIMESTAMP = "event_timestamp"
_ONLINE = "online.db"
_TYPE_NAMES: Final[Mapping[PolarsType, str]] = {
    pl.Int32: "Int32",
    pl.Int64: "Int64",
    pl.Float64: "Float64",
}
_KEYS: Final = ("transaction_id", "tx_datetime", "customer_id", "terminal_id")
_FEAST: Final = (  # with what it would import by name on first use
    "feast",
    "feast.infra.passthrough_provider",
    "feast.infra.offline_stores.duckdb",
    "feast.infra.online_stores.sqlite",
    "ibis.backends.duckdb",
)


def load_feast() -> None:
    """Import Feast without the run-time type checks of its own callers.

    Preparing them (typeguard parses each module again for each of its functions) takes 5.7 of the
    8.4 s of CPU time that the import costs; our calls are checked by mypy instead.
    """
    import sys

    if "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        for name in _FEAST:
            importlib.import_module(name)
    finally:
        typeguard.typechecked = checked


def _unchanged(target: Any = None, **_options: object) -> Any:  # noqa: ANN401 - any function
    return target if target is not None else _unchanged


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
        target = offline / _source_name(entity)
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
                pl.col("tx_datetime").alias(_TIMESTAMP),
                pl.col("tx_datetime").dt.epoch("s").alias(f"{entity}_feature_ts"),
            )
            .select(key, _TIMESTAMP, *fields)
            # Transactions of one entity in the same moment are peers and have the same features.
            .unique(subset=[key, _TIMESTAMP], keep="first", maintain_order=True)
            .sort(_TIMESTAMP, key)
        )
    return tables


def apply_definitions(store: "FeatureStore") -> dict[str, Any]:
    """Register entities, views and the feature service.

    Args:
        store: A store whose source tables exist.

    Returns:
        `describe_definitions` of what was registered.

    Raises:
        DataError: FEATURE_DEF_MISMATCH if that is not what this code declares.
    """
    load_feast()
    from feast import Entity, FeatureService, ValueType

    entities = {
        name: Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.INT32)
        for name in VIEWS
    }
    offline = _offline(store)
    views = [_view(name, entity, offline) for name, entity in entities.items()]
    service = FeatureService(name=SERVICE, features=views)
    store.apply([*entities.values(), *views, service])
    found = describe_definitions(store)
    if found != declared_definitions():
        raise DataError(
            "FEATURE_DEF_MISMATCH",
            "the registry holds other definitions than were applied to it",
            remedy="remove feast/ of the home, then `fraud-provenance run` fills it anew",
        )
    return found


def declared_definitions() -> dict[str, Any]:
    """Describe what this code declares; needs no Feast.

    Returns:
        What `describe_definitions` gives for a store to which this code was applied.
    """
    service = [
        {"view": f"{entity}_features", "fields": sorted(fields)} for entity, fields in VIEWS.items()
    ]
    return {
        "project": PROJECT,
        "entities": [
            {"name": entity, "join_key": f"{entity}_id", "type": "INT32"}
            for entity in sorted(VIEWS)
        ],
        "views": [
            {
                "name": f"{entity}_features",
                "entities": [entity],
                "fields": [
                    {"name": name, "type": _TYPE_NAMES[dtype]}
                    for name, dtype in sorted({**VIEWS[entity], f"{entity}_id": pl.Int32}.items())
                ],
                "ttl_s": int(FEATURE_LIFE.total_seconds()),
                "source": _source_name(entity),
                "timestamp_field": _TIMESTAMP,
                "created_timestamp_column": "",
            }
            for entity in sorted(VIEWS)
        ],
        "service": {"name": SERVICE, "features": service},
    }


def describe_definitions(store: "FeatureStore") -> dict[str, Any]:
    """Describe what the registry holds now.

    Args:
        store: A store to which the definitions were applied.

    Returns:
        JSON-able, the same for the same definitions: entities, views with fields, types, time to
        live and source, and the service. A view whose source was pointed elsewhere describes itself
        differently.
    """
    service = store.get_feature_service(SERVICE)
    views = sorted(store.list_feature_views(), key=lambda view: str(view.name))
    return {
        "project": PROJECT,
        "entities": [
            {"name": entity.name, "join_key": entity.join_key, "type": entity.value_type.name}
            for entity in sorted(store.list_entities(), key=lambda entity: str(entity.name))
        ],
        "views": [
            {
                "name": view.name,
                "entities": sorted(view.entities),
                "fields": [
                    {"name": field.name, "type": str(field.dtype)}
                    for field in sorted(view.schema, key=lambda field: str(field.name))
                ],
                "ttl_s": int(view.ttl.total_seconds()) if view.ttl else 0,
                "source": _relative(Path(view.batch_source.path), _offline(store)),
                "timestamp_field": view.batch_source.timestamp_field,
                "created_timestamp_column": view.batch_source.created_timestamp_column or "",
            }
            for view in views
        ],
        "service": {
            "name": service.name,
            "features": [
                {
                    "view": projection.name,
                    "fields": sorted(str(field.name) for field in projection.features),
                }
                for projection in service.feature_view_projections
            ],
        },
    }


def _offline(store: "FeatureStore") -> Path:
    return Path(store.config.repo_path)


def _relative(path: Path, offline: Path) -> str:
    """Name a source within the offline folder; one that lies elsewhere is named in full."""
    return path.name if path.parent == offline else str(path)


def _source_name(entity: str) -> str:
    return f"{entity}_features.parquet"


def _view(
    name: str,
    entity: Any,  # noqa: ANN401  # Feast ships no type information
    offline: Path,
) -> "FeatureView":
    load_feast()
    from feast import FeatureView, Field, FileSource
    from feast.types import Float64, Int32, Int64

    types: dict[PolarsType, Any] = {pl.Int32: Int32, pl.Int64: Int64, pl.Float64: Float64}
    return FeatureView(
        name=f"{name}_features",
        entities=[entity],
        schema=[
            Field(name=f"{name}_id", dtype=Int32),
            *(Field(name=field, dtype=types[dtype]) for field, dtype in VIEWS[name].items()),
        ],
        source=FileSource(
            name=f"{name}_features_source",
            path=str(offline / _source_name(name)),  # the offline store reads absolute paths only
            timestamp_field=_TIMESTAMP,
        ),
        ttl=FEATURE_LIFE,
        online=True,
    )


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
    rows = entities.select(_KEYS).rename({"tx_datetime": _TIMESTAMP}).to_pandas()
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
