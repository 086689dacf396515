"""Names and types of every column, in one place.

Source of names and definitions: Fraud Detection Handbook, chapter 3 (Le Borgne et al., 2022).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

PolarsType = pl.DataType | type[pl.DataType]

WINDOWS_DAYS: Final = (1, 7, 30)
"""Lengths of the feature windows, in days."""

DELAY_DAYS: Final = 7
"""Days until a fraud label is known; no younger label may reach a feature."""

RAW_SCHEMA: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {
        "transaction_id": pl.Int32,
        "tx_datetime": pl.Datetime("us"),
        "customer_id": pl.Int32,
        "terminal_id": pl.Int32,
        "tx_amount": pl.Float64,
        "tx_time_seconds": pl.Int32,
        "tx_time_days": pl.Int16,
        "tx_fraud": pl.Int8,
        "tx_fraud_scenario": pl.Int8,
    }
)
"""`raw_transactions`, one row per transaction; `tx_datetime` is naive UTC."""

LANDING_SCHEMA: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {name.upper(): dtype for name, dtype in RAW_SCHEMA.items()}
)
"""Landing files: the same columns under the handbook's upper-case names."""

CUSTOMER_FEATURES: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {f"customer_id_nb_tx_{w}day_window": pl.Int32 for w in WINDOWS_DAYS}
    | {f"customer_id_avg_amount_{w}day_window": pl.Float64 for w in WINDOWS_DAYS}
)
TERMINAL_FEATURES: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {f"terminal_id_nb_tx_{w}day_window": pl.Int32 for w in WINDOWS_DAYS}
    | {f"terminal_id_risk_{w}day_window": pl.Float64 for w in WINDOWS_DAYS}
)

FEATURE_SCHEMA: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {
        "transaction_id": pl.Int32,
        "tx_datetime": pl.Datetime("us"),
        "customer_id": pl.Int32,
        "terminal_id": pl.Int32,
        "tx_amount": pl.Float64,
        "tx_fraud": pl.Int8,
        "tx_during_weekend": pl.Int8,
        "tx_during_night": pl.Int8,
        **CUSTOMER_FEATURES,
        **TERMINAL_FEATURES,
    }
)
"""`transaction_features`, one row per transaction."""

FEATURES: Final[tuple[str, ...]] = (
    "tx_amount",
    "tx_during_weekend",
    "tx_during_night",
    *(
        f"customer_id_{kind}_{w}day_window"
        for w in WINDOWS_DAYS
        for kind in ("nb_tx", "avg_amount")
    ),
    *(f"terminal_id_{kind}_{w}day_window" for w in WINDOWS_DAYS for kind in ("nb_tx", "risk")),
)
"""The model's 15 inputs, in the order in which the model sees them."""

LABEL: Final = "tx_fraud"

SCORE_SCHEMA: Final[Mapping[str, PolarsType]] = MappingProxyType(
    {
        **{
            name: FEATURE_SCHEMA[name]
            for name in (
                "transaction_id",
                "tx_datetime",
                "customer_id",
                "terminal_id",
                "tx_amount",
            )
        },
        "score": pl.Float32,
        "is_alert": pl.Boolean,
    }
)
"""`transaction_scores`, one row per transaction."""
