"""Columns as the UI shows them: schema with descriptions, and where each column comes from.

Descriptions are written once, in the dbt project's yml files; what dbt does not know is here.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import dagster as dg

from fraud_provenance.defs import support
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, RAW_SCHEMA

_RAW_SOURCE = "source.fraud_provenance.landing.raw_transactions"
_MART = "model.fraud_provenance.fct_transaction_features"
_FEATURES_KEY = dg.AssetKey("transaction_features")
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
_IDENTIFYING = ("transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount")


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
    """Definition metadata of `training_set`: every feature column comes through unchanged."""
    return {
        "dagster/column_schema": _table(FEATURE_SCHEMA, _described(_MART), _SPLIT),
        "dagster/column_lineage": _lineage({name: (name,) for name in FEATURE_SCHEMA}),
    }


def scores_metadata() -> dict[str, Any]:
    """Definition metadata of `transaction_scores`: a score comes from all 15 inputs."""
    schema = {name: FEATURE_SCHEMA[name] for name in _IDENTIFYING}
    same = {name: (name,) for name in _IDENTIFYING}
    return {
        "dagster/column_schema": _table(schema, _described(_MART), _SCORES),
        "dagster/column_lineage": _lineage(same | dict.fromkeys(_SCORES, FEATURES)),
    }


def _lineage(sources: Mapping[str, tuple[str, ...]]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=_FEATURES_KEY, column_name=column) for column in of]
            for name, of in sources.items()
        }
    )
