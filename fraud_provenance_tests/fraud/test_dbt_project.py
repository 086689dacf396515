"""The dbt models give the same bits as the independent account, and pass their own tests."""

import os
import subprocess
import sysconfig
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.fraud.columns import FEATURE_SCHEMA
from fraud_provenance.fraud.mart import read_mart

PROJECT = Path(__file__).parents[2] / "dbt_project"
DBT = Path(sysconfig.get_path("scripts")) / "dbt"


def _build(folder: Path, days: dict[str, pl.DataFrame], wanted: list[str]) -> pl.DataFrame:
    places = {name: folder / name for name in ("input", "window", "output", "target", "logs")}
    for place in places.values():
        place.mkdir()
    for day, frame in days.items():
        frame.write_parquet(places["input"] / f"{day}.parquet")
    asked = pl.DataFrame({"day": [date.fromisoformat(day) for day in wanted]})
    asked.write_parquet(places["window"] / "days.parquet")
    result = subprocess.run(
        [str(DBT), "build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)],
        env={
            **os.environ,
            "FRAUD_PROVENANCE_DBT_INPUT": str(places["input"]),
            "FRAUD_PROVENANCE_DBT_WINDOW": str(places["window"]),
            "FRAUD_PROVENANCE_DBT_OUTPUT": str(places["output"]),
            "DBT_TARGET_PATH": str(places["target"]),
            "DBT_LOG_PATH": str(places["logs"]),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3_000:]
    return read_mart(places["output"])


@pytest.mark.parametrize("wanted", [50, 3], ids=["all-days", "last-days"])
def test_dbt_build_gives_the_recomputed_features_of_the_asked_days(
    tmp_path: Path, raw_days: dict[str, pl.DataFrame], features: pl.DataFrame, wanted: int
) -> None:
    asked = list(raw_days)[-wanted:]

    found = _build(tmp_path, raw_days, asked)

    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    assert dict(found.schema) == dict(FEATURE_SCHEMA)
    assert found.equals(features.filter(day.is_in(asked)))
