"""A real MLflow server on this machine, with SQLite and a folder behind it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from fraud_provenance.models.registry import MODEL_NAME
from fraud_provenance_tests.attacks.network import HOST, free_port

_START_S = 180.0
_END_S = 20.0


@dataclass(frozen=True)
class Logged:
    """A model that was logged by hand."""

    model_id: str
    run_id: str
    place: str


@dataclass
class MlflowServer:
    """A server that runs, and what anybody with its address may do there."""

    address: str
    process: subprocess.Popen[bytes]

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client."""
        return MlflowClient(self.address, self.address)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def log(self, files: Mapping[str, bytes], folder: Path) -> Logged:
        """A run with a logged model of these files."""
        client = self.client
        known = client.get_experiment_by_name("by hand")
        experiment = known.experiment_id if known else client.create_experiment("by hand")
        run = client.create_run(experiment).info.run_id
        model = client.create_logged_model(experiment, source_run_id=run)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if files:
            self.files(model.artifact_location).log_artifacts(str(folder))
        return Logged(model.model_id, run, model.artifact_location)

    def files(self, place: str) -> Any:  # noqa: ANN401 - MLflow has no types
        """The artifacts below a place."""
        return get_artifact_repository(place, tracking_uri=self.address)

    def forget_model(self) -> None:
        """Take the registered model away, with its versions and aliases."""
        with suppress(MlflowException):
            self.client.delete_registered_model(MODEL_NAME)

    def stop(self) -> None:
        """End it with what it started, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_END_S)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=_END_S)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Run MLflow's server on what lies below `folder`."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts",
        "--host", HOST, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    ours = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=inherited | ours, stdout=log, stderr=log, start_new_session=True
        )
    server = MlflowServer(f"http://{HOST}:{port}", process)
    try:
        _wait(server, folder / "log")
        yield server
    finally:
        server.stop()


def _wait(server: MlflowServer, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if requests.get(f"{server.address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"the MLflow server does not answer: {log.read_text()[-2000:]}")
