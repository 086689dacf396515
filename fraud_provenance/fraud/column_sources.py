"""Where the columns of each asset come from, as far as no SQL says it: asset → column → sources.

What dbt makes is read from its statements, see `column_lineage`.
"""

from collections.abc import Mapping
from typing import Final

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES

MART_ASSET: Final = "transaction_features"
_LEARNT_FROM, _MODEL = "training_set", "fraud_model"
IDENTIFYING: Final = ("transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount")
SCORED: Final = ("score", "is_alert")
Sources = Mapping[str, list[tuple[str, str]]]
"""Column → (asset, column) of each that it comes from."""


def training_set() -> Sources:
    """Every feature column comes through unchanged."""
    return {name: [(MART_ASSET, name)] for name in FEATURE_SCHEMA}


def model() -> Sources:
    """Each input was learnt from the training set's column of that name."""
    return {name: [(_LEARNT_FROM, name)] for name in FEATURES}


def scores() -> Sources:
    """A score comes from all inputs of the model, and these from the day's features."""
    inputs = [(asset, name) for name in FEATURES for asset in (MART_ASSET, _MODEL)]
    same = {name: [(MART_ASSET, name)] for name in IDENTIFYING}
    return same | dict.fromkeys(SCORED, inputs)
