"""Dagster's runs in a real PostgreSQL: configured by the settings, worked on, and missed aloud."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml

from fraud_provenance.attested.core.errors import BackendError, ConfigError, VerificationError
from fraud_provenance.home.server_settings import Postgres
from fraud_provenance.home.settings import Settings, settings_from
from fraud_provenance.home.surroundings import POSTGRES_PASSWORD
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.run.instance import open_instance, write_configuration
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.postgres_server import PASSWORD, PostgresServer, postgres_server

ADDRESS = "postgresql://dagster@db.example.com/runs"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home whose settings name no server yet."""
    monkeypatch.setenv(POSTGRES_PASSWORD, PASSWORD)
    monkeypatch.setenv("DAGSTER_HOME", "")  # given back afterwards
    made = Workspace(Settings(home=tmp_path))
    made.create_folders()
    return made


def on(workspace: Workspace, address: str) -> Workspace:
    return Workspace(replace(workspace.settings, postgres=Postgres(address=address)))


def configuration(workspace: Workspace) -> str:
    return (workspace.dagster / "dagster.yaml").read_text()


def job() -> dg.Definitions:
    @dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="day"))
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"day": context.partition_key})

    @dg.asset_check(asset=made)
    def is_made() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return dg.Definitions([made], asset_checks=[is_made], jobs=[dg.define_asset_job("all")])


@pytest.mark.integration
def test_a_run_is_kept_in_postgres_and_nothing_in_the_home(
    workspace: Workspace, postgres: PostgresServer
) -> None:
    served = on(workspace, postgres.address)
    with open_instance(served) as instance:
        instance.add_dynamic_partitions("day", ["2018-04-01"])
        done = (
            job()
            .resolve_job_def("all")
            .execute_in_process(instance=instance, partition_key="2018-04-01")
        )
        assert done.success
    with open_instance(served) as again:
        assert [run.status for run in again.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
        event = again.get_latest_materialization_event(dg.AssetKey("made"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["day"].value == "2018-04-01"
        assert again.get_dynamic_partitions("day") == ["2018-04-01"]
    assert PASSWORD not in configuration(served)
    assert list(served.home.rglob("*.db")) == []
    with open_instance(workspace) as own:  # the settings name no server any more
        assert own.get_runs() == []


@pytest.mark.integration
def test_a_server_that_is_down_or_asks_for_another_password_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server() as server:
        monkeypatch.setenv(POSTGRES_PASSWORD, "wrong")
        served = on(workspace, server.address)
        for stop in (lambda: None, server.stop):
            stop()
            with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE") as caught:
                open_instance(served)
            assert "wrong" not in str(caught.value)
        monkeypatch.setenv(POSTGRES_PASSWORD, PASSWORD)
        server.start()
        with open_instance(served) as instance:
            assert instance.get_runs() == []


def test_configuration_follows_the_settings_and_holds_no_password(workspace: Workspace) -> None:
    write_configuration(workspace)
    own = configuration(workspace)
    write_configuration(on(workspace, ADDRESS))
    assert yaml.safe_load(configuration(workspace))["storage"]["postgres"]["postgres_db"] == {
        "username": "dagster",
        "password": {"env": POSTGRES_PASSWORD},
        "hostname": "db.example.com",
        "port": 5432,
        "db_name": "runs",
        "params": {"sslmode": "verify-full"},
    }
    assert PASSWORD not in configuration(workspace)
    write_configuration(workspace)
    assert configuration(workspace) == own


def test_configuration_of_ones_own_is_kept_or_named(workspace: Workspace) -> None:
    path, served = workspace.dagster / "dagster.yaml", on(workspace, ADDRESS)
    path.write_text("run_queue:\n  max_concurrent_runs: 3\n")
    write_configuration(workspace)
    assert "max_concurrent_runs" in configuration(workspace)
    with pytest.raises(ConfigError, match="USAGE") as caught:
        write_configuration(served)
    assert str(path) in caught.value.reasons[0].message
    storage = {"postgres": {"postgres_db": served.settings.postgres.storage()}}
    path.write_text(yaml.safe_dump({"storage": storage, "run_queue": {"max_concurrent_runs": 3}}))
    write_configuration(served)
    assert "max_concurrent_runs" in configuration(workspace)


def test_password_and_package_that_are_missing_are_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POSTGRES_PASSWORD)
    with pytest.raises(ConfigError, match=POSTGRES_PASSWORD):
        open_instance(on(workspace, ADDRESS))
    monkeypatch.setattr("fraud_provenance.run.instance.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="dagster-postgres is not installed"):
        open_instance(on(workspace, ADDRESS))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:secret@db.example.com/runs",
        "postgresql://db.example.com/runs",
        "postgresql://ann@/runs",
        "postgresql://ann@db.example.com",
        "postgresql://ann@db.example.com:secret/runs",
        "postgresql://ann@db.example.com/runs?sslmode=disable",
        "mysql://ann@db.example.com/runs",
        "secret",
    ],
)
def test_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    environ = {"FRAUD_PROVENANCE_HOME": str(tmp_path), "FRAUD_PROVENANCE_POSTGRES": address}
    with pytest.raises(ConfigError, match=r"postgres\.address") as caught:
        settings_from(environ)
    assert codes(caught.value) == ["USAGE"]
    assert "secret" not in str(caught.value)


def test_variables_that_lead_postgres_elsewhere_are_refused_where_it_is_used(
    tmp_path: Path,
) -> None:
    environ = {
        "FRAUD_PROVENANCE_HOME": str(tmp_path), POSTGRES_PASSWORD: "p",
        "PGHOSTADDR": "10.0.0.1", "PGSERVICE": "other",
    }  # fmt: skip
    assert settings_from(environ).postgres.address == ""
    with pytest.raises(VerificationError, match="CONFIG_OVERRIDE") as caught:
        settings_from(environ | {"FRAUD_PROVENANCE_POSTGRES": ADDRESS})
    assert [item.artifact for item in caught.value.reasons] == ["PGHOSTADDR", "PGSERVICE"]
