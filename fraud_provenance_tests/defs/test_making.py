"""What is made is counted, signed, kept and shown, by one way for all assets."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from fraud_provenance.attested.core.errors import BackendError, ConfigError, reason
from fraud_provenance.data import versions as data_versions
from fraud_provenance.defs.making import Making, attested_asset
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance_tests.conftest import RAW, Chain

DAY = "2019-01-01"
FRAME = pl.DataFrame({"transaction_id": [1, 2]})


class Told:
    """Stands for Dagster's context: what it was told."""

    def __init__(self) -> None:
        self.run_id = "run"
        self.by_day: dict[str, Mapping[str, Any]] = {}
        self.warnings: list[str] = []
        self.log = SimpleNamespace(warning=self.warnings.append)

    def add_asset_metadata(self, metadata: Mapping[str, Any], partition_key: str) -> None:
        self.by_day[partition_key] = metadata


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def making(chain: Chain, told: Told, tmp_path: Path) -> Making:
    """A day is read from the landing zone, and is not written yet."""
    landed = tmp_path / f"{DAY}.parquet"
    landed.write_bytes(parquet_bytes(FRAME))
    context = cast("dg.AssetExecutionContext", told)
    made = Making(context, chain.workspace, "ingest", {"partitions": [DAY, DAY]})
    made.step.read_source("landing", {DAY: landed})
    return made


def write(making: Making) -> None:
    source = making.step._reader._taken[0].view.entries[0].sha256
    making.table(DAY, f"{RAW}/{DAY}.parquet", FRAME, [source], {"fraud rate": 0.5})


def test_rows_and_numbers_are_signed_and_shown(chain: Chain, making: Making, told: Told) -> None:
    with making:
        write(making)
        made = making.commit({"dvc_md5": {DAY: "0" * 32}})
    said = chain.node(made.bundle).claims.made
    assert said is not None
    assert (said.outputs["rows"], said.outputs["event_time"]) == ({DAY: 2}, {DAY: []})
    assert said.outputs["dvc_md5"] == {DAY: "0" * 32}
    assert (chain.workspace.data / RAW / f"{DAY}.parquet").read_bytes() == parquet_bytes(FRAME)
    making.show_days({DAY: {"more": 1}})
    assert {"rows": 2, "fraud rate": 0.5, "more": 1}.items() <= told.by_day[DAY].items()
    result = making.result(made, {"one": 1, "two": 1}, {"two": 2})
    assert {"rows": 2, "one": 1, "two": 2}.items() <= dict(result.metadata or {}).items()
    assert list(result.metadata or {})[:2] == ["dagster/row_count", "rows"], "what people ask first"
    assert result.data_version == dg.DataVersion(made.manifest.digest)


def test_what_is_given_counts_more_than_what_was_counted(chain: Chain, making: Making) -> None:
    with making:
        write(making)
        made = making.commit({"rows": {DAY: 7}, "dvc_md5": {DAY: "0" * 32}})
    said = chain.node(made.bundle).claims.made
    assert said is not None
    assert said.outputs["rows"] == {DAY: 7}
    assert making.result(made, rows={DAY: 7}).metadata["rows"] == 7  # type: ignore[index]  # it is there


def test_what_fails_leaves_nothing_in_view(chain: Chain, making: Making) -> None:
    def fails() -> None:
        with making:
            write(making)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails()
    assert not (chain.workspace.data / RAW / f"{DAY}.parquet").exists()
    assert list((chain.workspace.home / "staging").rglob("*.parquet")) == []


def test_remote_that_is_away_fails_nobodys_work(
    making: Making, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise BackendError(reason("STORAGE_UNAVAILABLE", "the remote is away"))

    with making:
        write(making)
        made = making.commit({"dvc_md5": {DAY: "0" * 32}})
    monkeypatch.setattr(data_versions, "track", away)
    making.keep_versions(made)
    assert "the remote is away" in told.warnings[0]


def test_asset_has_its_steps_code_version_and_refuses_as_a_failure() -> None:
    @attested_asset("ingest", name="declared")
    def declared() -> None:
        raise ConfigError(reason("USAGE", "not so", remedy="Do it so."))

    assert declared.specs_by_key[dg.AssetKey("declared")].code_version
    with pytest.raises(dg.Failure, match="USAGE: not so"):
        declared()
