"""A model on its way to an MLflow server: what is attested was made here, whatever it says."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
import pytest
import requests

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import BackendError, ProvenanceError
from fraud_provenance.defs.model_logging import location_of, log_model
from fraud_provenance.defs.support import open_mlflow
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.server_settings import Mlflow
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.surroundings import EXPERIMENT, harden
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.attacks.network import Request, lying_server, relay
from fraud_provenance_tests.conftest import DAYS, codes
from fraud_provenance_tests.mlflow_server import MlflowServer
from fraud_provenance_tests.scored import feature_frame, trained

pytestmark = pytest.mark.integration

Change = Callable[[dict[str, Any]], object]
DOCUMENTS = {"feature_contract.json": {"names": ["a"]}}


@pytest.fixture(autouse=True)
def _hardened(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client as the product runs it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    harden(os.environ)


def workspace_on(home: Path, address: str) -> Workspace:
    workspace = Workspace(replace(Settings(home=home), mlflow=Mlflow(server=address)))
    workspace.create_folders()
    return workspace


@contextmanager
def lying(server: MlflowServer, method: str, path: str, change: Change) -> Iterator[str]:
    """The address of a server that lies in its answers to one kind of request."""

    def lie(request: Request, content: bytes) -> bytes:
        if request.method != method or path not in request.path:
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    with lying_server(relay(server.port, lie)) as port:
        yield f"http://127.0.0.1:{port}"


def log(workspace: Workspace) -> tuple[str, str, str]:
    open_mlflow(workspace)
    mlflow.set_experiment(EXPERIMENT)
    frame = pl.concat([feature_frame(day, 5) for day in DAYS])
    with mlflow.start_run():
        return log_model(mlflow, workspace, trained(3), frame, DOCUMENTS)


def test_same_bytes_lie_in_the_home_and_on_the_server(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    workspace = workspace_on(tmp_path / "home", mlflow_server.address)
    model_id, run_id, location = log(workspace)
    folder = workspace.home / location
    attested = {
        path.relative_to(folder).as_posix(): encoding.digest_bytes(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert {"MLmodel", "model.ubj", "feature_contract.json"} <= set(attested)
    assert (folder / "model.ubj").read_bytes() == trained(3).ubj
    known = mlflow_server.client.get_logged_model(model_id)
    assert (known.status, known.source_run_id) == ("READY", run_id)
    registry = registry_of(workspace)
    mlflow_server.forget_model()
    version = registry.version(registry.register(model_id, run_id, {}))
    assert version is not None
    registry.check_location(version, location, attested)
    mlflow_server.forget_model()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"model_id": "../../../trust"}, "SOURCE_SCHEME"),
        ({"model_id": "m-g"}, "SOURCE_SCHEME"),
        ({"model_id": ""}, "SOURCE_SCHEME"),
        ({"artifact_uri": "file:///tmp/models"}, "SOURCE_SCHEME"),
        ({"artifact_uri": "s3://elsewhere/models"}, "SOURCE_SCHEME"),
        ({"artifact_uri": "mlflow-artifacts://elsewhere.example.com/1/models"}, "SOURCE_SCHEME"),
        ({"artifact_uri": "mlflow-artifacts:/1/models/m-0/artifacts"}, "SOURCE_MISMATCH"),
    ],
    ids=str,
)
def test_place_that_a_server_invents_for_a_model_is_refused(
    mlflow_server: MlflowServer, tmp_path: Path, said: dict[str, str], code: str
) -> None:
    change: Change = lambda told: told["model"]["info"].update(said)  # noqa: E731 - the lie
    with lying(mlflow_server, "POST", "/logged-models", change) as address:
        workspace = workspace_on(tmp_path / "home", address)
        with pytest.raises(ProvenanceError) as caught:
            log(workspace)
    assert codes(caught.value) == [code]
    assert [path for path in workspace.home.rglob("*") if path.is_file()] == []


def test_model_that_is_known_is_never_written_over(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    model_id, _, location = log(workspace_on(home, mlflow_server.address))
    before = (home / location / "model.ubj").stat()
    change: Change = lambda told: told["model"]["info"].update(model_id=model_id)  # noqa: E731
    with (
        lying(mlflow_server, "POST", "/logged-models", change) as address,
        pytest.raises(ProvenanceError) as caught,
    ):
        log(workspace_on(home, address))
    assert codes(caught.value) == ["SOURCE_SCHEME"]
    assert (home / location_of(model_id) / "model.ubj").stat() == before


def test_server_that_keeps_files_elsewhere_is_refused(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    def elsewhere(told: dict[str, Any]) -> None:
        told["experiment"]["artifact_location"] = str(tmp_path)

    open_mlflow(workspace_on(tmp_path / "home", mlflow_server.address))
    with (
        lying(mlflow_server, "GET", "/experiments/get-by-name", elsewhere) as address,
        pytest.raises(ProvenanceError) as caught,
    ):
        open_mlflow(workspace_on(tmp_path / "home", address))
    assert codes(caught.value) == ["SOURCE_SCHEME"]
    assert "--serve-artifacts" in caught.value.reasons[0].remedy


def test_no_answer_and_a_redirect_are_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def get_away(request: Request) -> tuple[int, bytes]:
        asked.append(request.path)
        return 302, b""

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        lying_server(get_away) as port,
        pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"),
    ):
        open_mlflow(workspace_on(tmp_path / "home", f"http://127.0.0.1:{port}"))
    assert asked
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}", timeout=5)
    with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
        open_mlflow(workspace_on(tmp_path / "home", f"http://127.0.0.1:{port}"))
