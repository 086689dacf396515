"""MLflow's run names every day that a training rests on: digest, DVC's hash, how to trace it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import mlflow
import pytest
from mlflow.exceptions import MlflowException

from fraud_provenance.defs import support, tracking
from fraud_provenance.defs.tracking import FEATURES, RAW, DataVersion, log_inputs
from fraud_provenance.home.workspace import Workspace

RAW_DAY = DataVersion(RAW, "2018-04-01", "ab" * 32, "/d/raw.parquet", "c" * 32)
FEATURE_DAY = DataVersion(FEATURES, "2018-04-01", "cd" * 32, "/d/features.parquet", "")


def test_days_are_data_sets_of_the_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    run = client.create_run(client.create_experiment("x", (tmp_path / "a").as_uri()))
    log_inputs(client, run.info.run_id, [RAW_DAY, FEATURE_DAY])
    log_inputs(client, run.info.run_id, [])
    found = client.get_run(run.info.run_id).inputs.dataset_inputs
    shown = {item.dataset.name: (item.dataset, {t.key: t.value for t in item.tags})
             for item in found}  # fmt: skip
    raw, tags = shown["raw_transactions/2018-04-01"]
    assert raw.digest == ("ab" * 32)[:36]
    assert tags == {
        "mlflow.data.context": "source",
        "sha256": "ab" * 32,
        "dvc_md5": "c" * 32,
        "trace": "fraud-provenance trace raw_transactions/2018-04-01",
    }
    assert "dvc_md5" not in shown["transaction_features/2018-04-01"][1]


def test_days_come_from_what_the_training_set_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(sha: str, *made_from: str) -> SimpleNamespace:
        return SimpleNamespace(sha256=sha, made_from=made_from)

    def node(*entries: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(entries=entries)

    def head(statement: str, sha: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(statement=statement, sha256=sha)]

    heads = {
        RAW: {"d1": head("r", "raw1"), "d2": head("r", "raw2"), "d3": head("r", "raw3")},
        FEATURES: {"d2": head("f", "feature2"), "d3": head("f", "feature3")},
    }
    features = node(entry("feature2", "raw1", "raw2"), entry("feature3", "raw3"))
    home: Any = SimpleNamespace(
        data=tmp_path,
        store=SimpleNamespace(heads=heads.__getitem__),
        trust=SimpleNamespace(lineage=lambda: SimpleNamespace(node=lambda _name: features)),
    )
    signed = {"d1": "m1", "d2": "m2"}
    md5 = {RAW: {day: signed for day in ("d1", "d2", "d3")}, FEATURES: {}}
    monkeypatch.setattr(tracking, "outputs_of", lambda _home, asset, _name: md5[asset])
    pointer = tmp_path / FEATURES / "d2.parquet.dvc"
    pointer.parent.mkdir()
    pointer.write_text(f"outs:\n- md5: {'e' * 32}\n")
    training_set: Any = node(entry("train", "feature2"))
    found = tracking.data_versions_of(home, training_set)
    assert [(item.asset, item.day, item.dvc_md5) for item in found] == [
        (RAW, "d1", "m1"), (RAW, "d2", "m2"), (FEATURES, "d2", "e" * 32),
    ]  # fmt: skip


@pytest.mark.integration
def test_run_ends_in_mlflow_as_it_ended_in_dagster(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "settings_from", lambda _: fresh.settings)

    @dg.asset
    def good(mlflow: dg.ResourceParam[Any]) -> None:
        mlflow.log_param("a", 1)

    @dg.asset
    def bad(mlflow: dg.ResourceParam[Any]) -> None:
        raise ValueError("as it happens")

    @dg.asset
    def without_a_store(mlflow: dg.ResourceParam[Any]) -> None:
        monkeypatch.setattr(mlflow, "end_run", _away)

    try:
        with dg.DagsterInstance.ephemeral() as instance:
            for asset, is_good in ((good, True), (bad, False)):
                done = dg.materialize(
                    [asset], resources={"mlflow": support.mlflow_resource}, instance=instance,
                    raise_on_error=False,
                )  # fmt: skip
                assert done.success is is_good
            runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
            assert [run.info.status for run in runs] == ["FAILED", "FINISHED"]  # the newest first
            done = dg.materialize(
                [without_a_store], resources={"mlflow": support.mlflow_resource}, instance=instance
            )
            assert done.success
    finally:
        mlflow.end_run()


def _away(_status: str) -> None:
    raise MlflowException("the store is away")
