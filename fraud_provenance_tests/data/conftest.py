"""Days of generated transactions, and a zone to land them in."""

from pathlib import Path

import polars as pl
import pytest

from fraud_provenance_tests.fraud.conftest import landing_days

__all__ = ["DAY", "frame", "landing", "landing_days"]
DAY = "2018-04-02"


@pytest.fixture
def frame(landing_days: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Sixty transactions of one day."""
    return landing_days[DAY].head(60)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """Where nothing landed yet."""
    return tmp_path / "landing"
