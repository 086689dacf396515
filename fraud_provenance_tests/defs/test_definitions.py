"""The graph as people and automation know it: keys, descriptions, what runs by itself."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster_dbt import DbtCliResource

from fraud_provenance.definitions import defs
from fraud_provenance.defs import due
from fraud_provenance.defs.support import dbt_resource, settings_of_run
from fraud_provenance.defs.verification import CHECK, VERIFIED_ASSETS
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, RAW_SCHEMA
from fraud_provenance.run.jobs import part_of
from fraud_provenance_tests.defs.snapshot import FILE, graph

REPOSITORY = defs().get_repository_def()
ASSETS = REPOSITORY.asset_graph
MADE = sorted(ASSETS.materializable_asset_keys)


def test_graph_equals_its_snapshot() -> None:
    """A changed key breaks history, alerts and links: change the snapshot on purpose only."""
    assert graph() == json.loads(FILE.read_text("utf-8"))


def test_selection_that_a_person_types_is_read() -> None:
    """As in `dagster asset materialize --select`; by another ANTLR it would end in a traceback."""
    chosen = dg.AssetSelection.from_string('key:"transaction_scores" or 1+key:"feature_store"')
    assert {key.to_user_string() for key in chosen.resolve(ASSETS)} == {
        "transaction_scores", "feature_store", "transaction_features",
    }  # fmt: skip


@pytest.mark.parametrize("key", MADE, ids=lambda key: key.to_user_string())
def test_asset_is_described_for_people(key: dg.AssetKey) -> None:
    node = ASSETS.get(key)

    assert node.group_name[0].isdigit()
    assert node.kinds
    assert node.owners
    assert node.code_version
    assert len(node.description or "") > 30


@pytest.mark.parametrize(
    "key", sorted(ASSETS.asset_check_keys), ids=lambda key: key.to_user_string()
)
def test_check_belongs_to_an_asset_that_is_made(key: dg.AssetCheckKey) -> None:
    assert key.asset_key in MADE


@pytest.mark.parametrize("asset", VERIFIED_ASSETS)
def test_provenance_check_does_not_block(asset: str) -> None:
    node = ASSETS.get(dg.AssetCheckKey(dg.AssetKey(asset), CHECK))

    assert not node.blocking
    assert f"fraud-provenance verify {asset}" in (node.description or "")


@pytest.mark.parametrize("job", ["ingest", "features", "training", "promotion", "scoring"])
def test_stage_job_verifies_what_it_made(job: str) -> None:
    graph = REPOSITORY.get_job(job).asset_layer.asset_graph
    verified = {key.asset_key for key in graph.asset_check_keys if key.name == CHECK}

    assert verified == set(graph.executable_asset_keys)


def test_part_of_a_job_runs_the_checks_of_its_assets() -> None:
    part = part_of(REPOSITORY.get_job("training"), ["training_set", "fraud_model"])

    names = {node.name for node in part.graph.nodes}
    assert names == {
        "training_set", "training_set_training_set_point_in_time", "fraud_model",
        "training_set_provenance_verified", "fraud_model_provenance_verified",
    }  # fmt: skip


@pytest.mark.parametrize("job", ["ingest", "features", "training", "scoring"])
def test_stage_job_keeps_its_contracts(job: str) -> None:
    blocking = [
        key
        for key in REPOSITORY.get_job(job).asset_layer.asset_graph.asset_check_keys
        if ASSETS.get(key).blocking
    ]

    assert blocking


@pytest.mark.parametrize(
    ("asset", "columns"),
    [
        ("raw_transactions", set(RAW_SCHEMA)),
        ("training_set", {*FEATURE_SCHEMA, "split", "customer_feature_ts", "terminal_feature_ts"}),
        (
            "transaction_scores",
            {
                "transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount",
                "score", "is_alert",
            },
        ),
    ],
)  # fmt: skip
def test_column_schema_describes_every_column(asset: str, columns: set[str]) -> None:
    schema = ASSETS.get(dg.AssetKey(asset)).metadata["dagster/column_schema"]

    assert {column.name for column in schema.columns} == columns
    assert all(column.description for column in schema.columns)


def test_everything_that_ticks_is_running_by_default_but_what_never_has_to_do() -> None:
    sensors = {sensor.name: sensor.default_status for sensor in REPOSITORY.sensor_defs}
    schedules = {item.name: item.default_status for item in REPOSITORY.schedule_defs}
    alone = {"due_raw_contracts", "due_feature_contracts", "due_score_contracts"}

    stopped = {name for name, how in sensors.items() if how == dg.DefaultSensorStatus.STOPPED}
    assert stopped == alone
    assert set(schedules.values()) == {dg.DefaultScheduleStatus.RUNNING}


def test_contracts_of_their_own_run_by_default_where_each_run_has_one_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = due._Stage("due_x", None, "raw_contracts", (), 10, "")
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path))
    assert due._at_first(contracts) == dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("FRAUD_PROVENANCE_TOKENS", str(tmp_path))
    monkeypatch.setenv("FRAUD_PROVENANCE_ONE_IDENTITY", "true")
    assert due._at_first(contracts) == dg.DefaultSensorStatus.RUNNING
    monkeypatch.delenv("FRAUD_PROVENANCE_TOKENS")
    assert due._at_first(contracts) == dg.DefaultSensorStatus.RUNNING, "settings that are wrong"


def test_run_that_tells_dbt_something_else_has_unexpected_parameters() -> None:
    ours = dbt_resource()
    assert settings_of_run(ours) == {}
    told = DbtCliResource(
        project_dir=ours.project_dir,
        profiles_dir=ours.profiles_dir,
        dbt_executable=ours.dbt_executable,
        global_config_flags=["--vars", "{days: 3}"],
    )
    assert list(settings_of_run(told)) == ["dbt.global_config_flags"]


def test_features_rest_on_raw_days_alone() -> None:
    """What dbt builds before the mart is part of its runs: nobody can select it wrongly."""
    node = ASSETS.get(dg.AssetKey("transaction_features"))

    assert node.parent_keys == {dg.AssetKey("raw_transactions")}
    assert node.is_partitioned
