"""Days of generated transactions, the thresholds, and the reference data where it is at hand."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.transactions import to_raw

PROJECT = Path(__file__).parents[2]
HANDBOOK = PROJECT.parent / "shared" / "data" / "handbook_transactions.parquet"

# The reference data is not part of the project: where it is absent, its tests do not exist.
collect_ignore = [] if HANDBOOK.is_file() else ["test_handbook.py"]


@pytest.fixture(scope="session")
def thresholds() -> dict[str, Any]:
    text = (PROJECT / "policies" / "data" / "contracts.json").read_text()
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@pytest.fixture(scope="session")
def landing_days() -> dict[str, pl.DataFrame]:
    """Fifty days of about 400 transactions under their landing names."""
    return dict(generate_days(50, 400, seed=7))


@pytest.fixture(scope="session")
def raw_days(landing_days: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The same days under their raw names."""
    return {day: to_raw(frame) for day, frame in landing_days.items()}


@pytest.fixture(scope="session")
def features(raw_days: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The features of all fifty days."""
    from fraud_provenance.fraud.recompute import recompute_features

    return recompute_features(pl.concat(raw_days.values()))
