"""Columns as the UI shows them: schema with descriptions, and where each column comes from.

Descriptions are written once, in the dbt project's yml files; what dbt does not know is here.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import dagster as dg

from fraud_provenance.defs import support
from fraud_provenance.fraud import column_sources
from fraud_provenance.fraud.column_sources import IDENTIFYING
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, RAW_SCHEMA

_RAW_SOURCE = "source.fraud_provenance.landing.raw_transactions"
_MART = "model.fraud_provenance.fct_transaction_features"
_SPLIT = {
    "split": ("String", "train, delay or test: the part the transaction belongs to."),
    "customer_feature_ts": (
        "Int64",
        "When the customer features used were current, microseconds since 1970-01-01 UTC.",
    ),
    "terminal_feature_ts": (
        "Int64",
        "When the terminal features used were current, microseconds since 1970-01-01 UTC.",
    ),
}
_SCORES = {
    "score": ("Float32", "The champion's probability of fraud, 0 to 1."),
    "is_alert": ("Boolean", "Whether the score reaches the threshold in the feature contract."),
}


@cache
def _described(node: str) -> dict[str, str]:
    """Column → description of a dbt model or source."""
    document = json.loads(support.dbt_manifest().read_bytes())
    columns = (document["nodes"] | document["sources"])[node]["columns"]
    return {name: str(column["description"]).strip() for name, column in columns.items()}


def _table(
    schema: Mapping[str, Any], described: Mapping[str, str], own: Mapping[str, tuple[str, str]]
) -> dg.TableSchema:
    known = {name: (str(dtype), described.get(name, "")) for name, dtype in schema.items()}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, type=dtype, description=text)
            for name, (dtype, text) in (known | dict(own)).items()
        ]
    )


def raw_metadata() -> dict[str, Any]:
    """Definition metadata of `raw_transactions`."""
    return {"dagster/column_schema": _table(RAW_SCHEMA, _described(_RAW_SOURCE), {})}


def features_metadata() -> dict[str, Any]:
    """Definition metadata of `transaction_features`; its runs tell where each comes from."""
    return {"dagster/column_schema": _table(FEATURE_SCHEMA, _described(_MART), {})}


def training_set_metadata() -> dict[str, Any]:
    """Definition metadata of `training_set`."""
    return {"dagster/column_schema": _table(FEATURE_SCHEMA, _described(_MART), _SPLIT)}


def training_set_lineage() -> dict[str, Any]:
    """Every feature column comes through unchanged."""
    return _lineage(column_sources.training_set())


def model_metadata() -> dict[str, Any]:
    """Definition metadata of `fraud_model`: its columns are what it is given."""
    schema = {name: FEATURE_SCHEMA[name] for name in FEATURES}
    return {"dagster/column_schema": _table(schema, _described(_MART), {})}


def model_lineage() -> dict[str, Any]:
    """Each input was learnt from the training set's column of that name."""
    return _lineage(column_sources.model())


def scores_metadata() -> dict[str, Any]:
    """Definition metadata of `transaction_scores`."""
    schema = {name: FEATURE_SCHEMA[name] for name in IDENTIFYING}
    return {"dagster/column_schema": _table(schema, _described(_MART), _SCORES)}


def scores_lineage() -> dict[str, Any]:
    """A score comes from all inputs of the model, and these from the day's features."""
    return _lineage(column_sources.scores())


def _lineage(sources: column_sources.Sources) -> dict[str, Any]:
    deps = {
        name: [dg.TableColumnDep(dg.AssetKey(asset), column) for asset, column in of]
        for name, of in sources.items()
    }
    return lineage_metadata(dg.TableColumnLineage(deps))


def lineage_metadata(lineage: dg.TableColumnLineage) -> dict[str, Any]:
    """Of a materialisation: as Dagster knows it, and as a table, for its free UI draws none."""
    records = []
    for name, deps in lineage.deps_by_column.items():
        of = dict.fromkeys(dep.asset_key.to_user_string() for dep in deps)
        columns = {
            asset: [d.column_name for d in deps if d.asset_key.to_user_string() == asset]
            for asset in of
        }
        told = "; ".join(f"{asset}: {', '.join(names)}" for asset, names in columns.items())
        records.append(dg.TableRecord({"column": name, "comes from": told or "-"}))
    names = [dg.TableColumn(name, "string") for name in ("column", "comes from")]
    return {
        "dagster/column_lineage": lineage,
        "where columns come from": dg.TableMetadataValue(records, dg.TableSchema(columns=names)),
    }
