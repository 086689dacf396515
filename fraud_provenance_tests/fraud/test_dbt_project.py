"""The dbt models give the same bits as the independent account, and pass their own tests."""

import os
import subprocess
import sysconfig
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

from fraud_provenance.fraud.columns import FEATURE_SCHEMA
from fraud_provenance.fraud.mart import DBT_BUILD, read_mart

PROJECT = Path(__file__).parents[2] / "dbt_project"
DBT = Path(sysconfig.get_path("scripts")) / "dbt"


def prepare(folder: Path, days: dict[str, pl.DataFrame], wanted: list[str]) -> None:
    for name in ("input", "window", "output", "target", "logs"):
        (folder / name).mkdir()
    for day, frame in days.items():
        frame.write_parquet(folder / "input" / f"{day}.parquet")
    asked = pl.DataFrame({"day": [date.fromisoformat(day) for day in wanted]})
    asked.write_parquet(folder / "window" / "days.parquet")


def dbt(folder: Path, *arguments: str, **environment: str) -> None:
    result = subprocess.run(
        [str(DBT), *arguments, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)],
        env={
            **os.environ,
            "FRAUD_PROVENANCE_DBT_INPUT": str(folder / "input"),
            "FRAUD_PROVENANCE_DBT_WINDOW": str(folder / "window"),
            "FRAUD_PROVENANCE_DBT_OUTPUT": str(folder / "output"),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3_000:]


@pytest.mark.parametrize("wanted", [50, 3], ids=["all-days", "last-days"])
def test_dbt_build_gives_the_recomputed_features_of_the_asked_days(
    tmp_path: Path, raw_days: dict[str, pl.DataFrame], features: pl.DataFrame, wanted: int
) -> None:
    asked = list(raw_days)[-wanted:]

    prepare(tmp_path, raw_days, asked)
    dbt(tmp_path, *DBT_BUILD)
    found = pl.concat(read_mart(tmp_path / "output"))

    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    assert dict(found.schema) == dict(FEATURE_SCHEMA)
    assert found.sort("transaction_id").equals(features.filter(day.is_in(asked)))


def test_dbt_builds_from_its_sources_whatever_its_cache_says(
    tmp_path: Path, raw_days: dict[str, pl.DataFrame]
) -> None:
    days = dict(list(raw_days.items())[:3])
    prepare(tmp_path, days, list(days))
    dbt(tmp_path, "parse")
    cache = tmp_path / "target" / "partial_parse.msgpack"
    parsed = Manifest.from_msgpack(cache.read_bytes(), decoder=extended_mashumuro_decoder)
    parsed.nodes["model.fraud_provenance.stg_transactions"].raw_code += "\nlimit 7"
    poisoned = parsed.to_msgpack(extended_mashumaro_encoder)
    models_only = ("--exclude-resource-type", "test", "unit_test")

    cache.write_bytes(poisoned)
    dbt(tmp_path, *DBT_BUILD, *models_only)
    honest = pl.concat(read_mart(tmp_path / "output")).height
    cache.write_bytes(poisoned)
    dbt(tmp_path, "build", *models_only)

    assert honest == sum(frame.height for frame in days.values())
    assert pl.concat(read_mart(tmp_path / "output")).height == 7  # so the cache would have decided
