"""MLflow's records of a home in another database: every id stays, and who was there is not lost."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import sqlalchemy as sql
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from fraud_provenance.attested.core.errors import BackendError, ConfigError
from fraud_provenance.home.surroundings import EXPERIMENT, harden
from fraud_provenance.models import moving
from fraud_provenance.models.registry import MODEL_NAME
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.postgres_server import PASSWORD, postgres_server

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Recorded:
    """What MLflow knows of a home: one run, one model, two versions, one alias."""

    home: Path
    run_id: str
    model_id: str


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    home = tmp_path_factory.mktemp("moving") / "my home"
    artifacts = home / "mlflow" / "artifacts"
    artifacts.mkdir(parents=True)
    client = client_of(f"sqlite:///{home / 'mlflow' / moving.DATABASE}")
    experiment = client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    run_id = client.create_run(experiment, run_name="first").info.run_id
    client.log_batch(
        run_id,
        [Metric("auc_roc", 0.97, 1, 0), Metric("nothing", float("nan"), 1, 0)],
        [Param("max_depth", "6")], [RunTag("git_commit", "a" * 40)],
    )  # fmt: skip
    model = client.create_logged_model(experiment, source_run_id=run_id)
    (artifacts / "note").write_text("of the run")
    client.create_registered_model(MODEL_NAME)
    for _ in range(2):
        client.create_model_version(
            MODEL_NAME, f"models:/{model.model_id}", run_id, model_id=model.model_id
        )
    client.set_registered_model_alias(MODEL_NAME, "champion", "1")
    return Recorded(home, run_id, model.model_id)


def client_of(address: str) -> MlflowClient:
    """MLflow's own client on a database, which it makes where there is none."""
    harden(os.environ)
    mlflow.set_tracking_uri(address)  # there it looks for the model of a version
    return MlflowClient(address, address)


def new_database(folder: Path) -> str:
    """As a server makes it when it starts for the first time."""
    address = f"sqlite:///{folder / 'server.db'}"
    client_of(address).search_experiments()
    return address


def check_all_there(known: Recorded, address: str, experiment: str) -> None:
    """What MLflow itself says by the other database, and that it goes on from there."""
    client = client_of(address)
    run = client.get_run(known.run_id)
    served = f"mlflow-artifacts:/{experiment}"
    assert run.info.artifact_uri == f"{served}/{known.run_id}/artifacts"
    assert (run.data.metrics["auc_roc"], run.data.params["max_depth"]) == (0.97, "6")
    assert run.data.metrics["nothing"] != run.data.metrics["nothing"]
    assert run.data.tags["git_commit"] == "a" * 40
    model = client.get_logged_model(known.model_id)
    assert model.artifact_location == f"{served}/models/{known.model_id}/artifacts"
    assert str(client.get_model_version_by_alias(MODEL_NAME, "champion").version) == "1"
    version = client.create_model_version(
        MODEL_NAME, f"models:/{known.model_id}", known.run_id, model_id=known.model_id
    )
    assert str(version.version) == "3"
    other = client.create_experiment("another one")
    assert other not in {"0", experiment}
    assert client.create_run(other).info.run_id != known.run_id


def test_every_id_is_there_and_the_server_goes_on(recorded: Recorded, tmp_path: Path) -> None:
    address = new_database(tmp_path)
    experiment = moving.experiment_of(recorded.home, EXPERIMENT)
    assert moving.copy_records(recorded.home, address, experiment) > 10
    check_all_there(recorded, address, experiment)
    assert moving.copy_records(recorded.home, address, experiment) == 0


def test_the_same_on_postgresql(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers come from sequences, which a copied row does not move."""
    escaped = PASSWORD.replace(":", r"\:")
    secret = tmp_path / "passwords"
    secret.write_text(f"*:*:*:*:{escaped}\n")
    secret.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(secret))
    with postgres_server() as server:
        address = server.address.replace("postgresql:", "postgresql+psycopg2:")
        upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", address]
        subprocess.run(upgrade, check=True, capture_output=True, timeout=300)
        client_of(address).search_experiments()
        experiment = moving.experiment_of(recorded.home, EXPERIMENT)
        assert moving.copy_records(recorded.home, address, experiment) > 10
        check_all_there(recorded, address, experiment)


def test_a_database_of_somebody_else_stays_as_it_is(recorded: Recorded, tmp_path: Path) -> None:
    address = new_database(tmp_path)
    theirs = client_of(address).create_run("0").info.run_id
    with pytest.raises(ConfigError) as refused:
        moving.copy_records(recorded.home, address, "1")
    assert codes(refused.value) == ["USAGE"]
    assert client_of(address).get_run(theirs).info.run_id == theirs


def test_a_copy_that_breaks_off_leaves_nothing(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_database(tmp_path)

    def broken(*_arguments: object) -> str:
        raise sql.exc.OperationalError("insert", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_place", broken)
        with pytest.raises(BackendError) as refused:
            moving.copy_records(recorded.home, address, "1")
    assert codes(refused.value) == ["REGISTRY_UNAVAILABLE"]
    assert [item.name for item in client_of(address).search_experiments()] == ["Default"]
    assert moving.copy_records(recorded.home, address, "1") > 10


def test_a_database_of_another_version_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    address = new_database(tmp_path)
    with sql.create_engine(address).begin() as store:
        store.execute(sql.text("update alembic_version set version_num = 'other'"))
    with pytest.raises(ConfigError, match="different versions"):
        moving.copy_records(recorded.home, address, "1")


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg2://mlflow:secret@127.0.0.1/mlflow", "nonsense", "wrong://x/y"]
)
def test_an_address_that_cannot_be_used_is_never_repeated(recorded: Recorded, address: str) -> None:
    with pytest.raises(ConfigError) as refused:
        moving.copy_records(recorded.home, address, "1")
    told = f"{refused.value.reasons[0]} {refused.value.reasons[0].remedy}"
    assert "PGPASSFILE" in told
    assert "secret" not in told


def test_a_server_that_is_away_could_not_be_asked(recorded: Recorded) -> None:
    harden(os.environ)  # else MLflow asks for four minutes
    with pytest.raises(BackendError) as away:
        moving.copy_records(recorded.home, "postgresql+psycopg2://mlflow@127.0.0.1:9/mlflow", "1")
    assert codes(away.value) == ["REGISTRY_UNAVAILABLE"]
    with pytest.raises(BackendError):
        moving.copy_files(recorded.home, "http://127.0.0.1:9", "1")


def test_a_home_without_runs_has_nothing_to_move(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    client_of(f"sqlite:///{tmp_path / 'mlflow' / moving.DATABASE}").search_experiments()
    with pytest.raises(ConfigError, match="no runs"):
        moving.experiment_of(tmp_path, EXPERIMENT)
