"""The code's server of `ui`: it answers, it ends when asked, and it ends when it is alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from dagster._grpc import server_watcher
from dagster._grpc.client import DagsterGrpcClient

from fraud_provenance.run import code_server, services
from fraud_provenance.run.code_server import CodeServer


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder for the socket, and code that loads at once."""
    (tmp_path / "small_code.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    monkeypatch.setattr(code_server, "MODULE", "small_code")
    monkeypatch.setattr(code_server, "_LOOK_S", 0.1)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def running(server: CodeServer) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([sys.executable, "-m", *server.command], start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(30)


def test_server_answers_at_the_place_of_the_workspace_and_ends_when_asked(small: Path) -> None:
    server = CodeServer(small)
    with running(server) as process:
        assert server.wait(lambda: process.poll() is None)
        (place,) = yaml.safe_load(server.workspace.read_text())["load_from"]
        client = DagsterGrpcClient(socket=place["grpc_server"]["socket"])
        assert client.get_server_id()
        assert place["grpc_server"]["location_name"] == "fraud_provenance"
        server.shut_down()
        process.terminate()  # as `ui` does
        began = time.monotonic()
        process.wait(30)
        assert time.monotonic() - began < 15
    server.shut_down()  # nobody is there: nothing happens


def test_server_that_nobody_tells_ends_by_itself(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_server, "BEAT_S", 0.5)
    server = CodeServer(small, alone_s=4)
    with running(server) as process:
        with server.told():
            assert server.wait(lambda: process.poll() is None)
            time.sleep(10)
            assert process.poll() is None
        process.wait(60)


def test_process_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    assert not CodeServer(tmp_path).wait(lambda: False)


def test_heart_beats_well_within_the_time_that_counts_as_alone() -> None:
    assert code_server.BEAT_S * 4 < code_server.ALONE_S


def test_services_look_at_the_code_server_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_watcher, "WATCH_INTERVAL", server_watcher.WATCH_INTERVAL)
    asked: list[tuple[str, list[str]]] = []

    def run(module: str, **_: object) -> None:
        asked.append((module, sys.argv[1:]))

    monkeypatch.setattr("runpy.run_module", run)
    for name, module in services.MODULES.items():
        monkeypatch.setattr(sys, "argv", ["services", name, "--port", "1"])
        server_watcher.WATCH_INTERVAL = 1
        services.main()
        assert asked.pop() == (module, ["--port", "1"])
        assert server_watcher.WATCH_INTERVAL == services.LOOK_S


def test_dagsters_constant_is_the_one_that_its_watch_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a newer Dagster would look each second again, and nobody would see it."""
    waited: list[float] = []

    class Over:
        def is_set(self) -> bool:
            return bool(waited)

        def wait(self, seconds: float) -> None:
            waited.append(seconds)

    monkeypatch.setattr(server_watcher, "WATCH_INTERVAL", 7.5)
    nothing = dict.fromkeys(
        ("refresh_code_location", "on_disconnect", "on_reconnected", "on_updated", "on_error"),
        lambda *_: None,
    )
    server_watcher.watch_grpc_server_thread(
        "here", DagsterGrpcClient(socket="/nowhere"), Over(),  # type: ignore[arg-type]
        get_location_entry=lambda _: None, max_reconnect_attempts=1, **nothing,
    )  # fmt: skip
    assert waited[0] == 7.5
