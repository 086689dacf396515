"""What the feature store is to hold: entities, views with their fields, and the feature service.

Declared here, applied to Feast's registry, and described from it, so that the two can be compared.
"""

import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from fraud_provenance.fraud.columns import CUSTOMER_FEATURES, TERMINAL_FEATURES, PolarsType
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

TIMESTAMP = "event_timestamp"
_TYPE_NAMES: Final[Mapping[PolarsType, str]] = {
    pl.Int32: "Int32",
    pl.Int64: "Int64",
    pl.Float64: "Float64",
}
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

    On a thread of its own: Feast keeps the error of an import that it only tries, and with it every
    frame that called, whose tables would stay in memory for as long as the process lives.
    """
    import sys

    if "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        with ThreadPoolExecutor(1) as apart:
            list(apart.map(importlib.import_module, _FEAST))
    finally:
        typeguard.typechecked = checked


def _unchanged(target: Any = None, **_options: object) -> Any:  # noqa: ANN401 - any function
    return target if target is not None else _unchanged


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
                "source": source_name(entity),
                "timestamp_field": TIMESTAMP,
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


def source_name(entity: str) -> str:
    """The file of an entity's source table."""
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
            path=str(offline / source_name(name)),  # the offline store reads absolute paths only
            timestamp_field=TIMESTAMP,
        ),
        ttl=FEATURE_LIFE,
        online=True,
    )
