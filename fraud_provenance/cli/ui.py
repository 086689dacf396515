"""`ui`: Dagster's UI and daemon, MLflow's UI and the Data Docs, until it is ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from fraud_provenance.cli.terminal import err, open_workspace
from fraud_provenance.home import pages
from fraud_provenance.home.settings import PROJECT

_GRACE_S = 20.0
_LOOK_S = 0.5
_SERVICES = "fraud_provenance.run.services"
_PAGES = ("--live-data-poll-rate", "2000", "--log-format", "colored")
_CODE = "the code's server"
_QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # MLflow's UI only shows things here


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(ui)


def ui(
    port: Annotated[int, typer.Option("--port", help="Dagster's port.", min=1, max=65535)] = 3000,
) -> int:
    """Serve Dagster, MLflow and the Data Docs on 127.0.0.1 until Ctrl-C. Start `up` before.

    Exits 2 if one of them ends by itself; the others are ended then.
    """
    from fraud_provenance.due.planning import mlflow_uri
    from fraud_provenance.run.code_server import CodeServer
    from fraud_provenance.run.instance import open_instance

    workspace = open_workspace()
    workspace.create_folders()
    open_instance(workspace).dispose()
    mlflow_port = pages.port_of(workspace.home) + 1
    host = ["--host", pages.HOST]
    commands = {}
    mlflow = workspace.settings.mlflow.server
    if not mlflow:
        mlflow = f"http://{pages.HOST}:{mlflow_port}/"
        commands["MLflow"] = [
            "mlflow", "ui", "--backend-store-uri", mlflow_uri(workspace), *host,
            "--port", str(mlflow_port), "--workers", "1",
        ]  # fmt: skip
    with ExitStack() as ends:
        docs = ends.enter_context(pages.served(workspace.home))
        signal.signal(signal.SIGTERM, _interrupted)
        folder = ends.enter_context(TemporaryDirectory(prefix="fraud-provenance-"))
        code = CodeServer(Path(folder))
        ends.enter_context(code.told())
        started: dict[str, subprocess.Popen[bytes]] = {}

        def start(name: str, command: Sequence[str]) -> None:
            started[name] = _start(command)
            ends.callback(_end, started[name])

        start(_CODE, code.command)
        ends.callback(code.shut_down)
        for name, command in commands.items():
            start(name, command)
        err.print(f"Dagster    http://{pages.HOST}:{port}/", markup=False)
        err.print(f"MLflow     {mlflow}", markup=False)
        err.print(f"Data Docs  {docs}", markup=False)
        with suppress(KeyboardInterrupt):
            if code.wait(lambda: _all_run(started)):
                place = ["--workspace", str(code.workspace)]
                pages_at = [*host, "--port", str(port), *_PAGES]
                start("Dagster's pages", [_SERVICES, "pages", *pages_at, *place])
                start("Dagster's daemon", [_SERVICES, "daemon", "run", *place])
                while _all_run(started):
                    time.sleep(_LOOK_S)
            gone = [name for name, process in started.items() if process.poll() is not None]
            said = f"ended by itself: {', '.join(gone)}" if gone else f"does not answer: {_CODE}"
            err.print(said, style="red", markup=False)
            return 2
    return 0


def _all_run(started: "Mapping[str, subprocess.Popen[bytes]]") -> bool:
    return all(process.poll() is None for process in started.values())


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A server of our own environment, in a session of its own, so that all of it can be ended."""
    # Only MLflow's: Dagster's own runs refuse such variables.
    environment = {**os.environ, **(_QUIET if command[0] == "mlflow" else {})}
    return subprocess.Popen(  # noqa: S603 - our own tools
        [sys.executable, "-m", *command], cwd=PROJECT, env=environment, start_new_session=True
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, then end it with whatever it started."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
