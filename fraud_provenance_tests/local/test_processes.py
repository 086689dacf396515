"""Processes are recognised exactly: a stranger with a recorded id is never signalled."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fraud_provenance.attested.local.ports import HOST, choose
from fraud_provenance.attested.local.processes import Processes, Server, wait_healthy

_ENDS_ONCE = """
import http.server, pathlib, sys, time
seen = pathlib.Path(sys.argv[1])
if not seen.exists():
    seen.touch()
    time.sleep(0.5)
    sys.exit()
address = (sys.argv[2], int(sys.argv[3]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = choose(tmp_path)["issuer"]
    argv = [sys.executable, "-I", "-m", "http.server", str(port), "--bind", HOST]
    made = Server("static", [*argv, "--directory", str(tmp_path)], port, f"http://{HOST}:{port}/")
    yield made
    Processes(tmp_path).end([made])


def _write_record(run: Path, pid: int, created_at_s: float) -> None:
    record = {"static": {"pid": pid, "created_at_s": created_at_s}}
    (run / "servers.json").write_text(json.dumps(record))


def test_start_then_end_runs_and_is_gone(tmp_path: Path, server: Server) -> None:
    processes = Processes(tmp_path)
    process = processes.start(server)
    assert wait_healthy(server, process, 10) is None
    assert processes.status(server).state == "running"

    processes.end([server])

    assert processes.status(server).state == "stopped"
    assert not psutil.pid_exists(process.pid)


def test_end_with_a_reused_process_id_leaves_the_stranger_alone(
    tmp_path: Path, server: Server
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        created_at_s = psutil.Process(stranger.pid).create_time()
        _write_record(tmp_path, stranger.pid, created_at_s - 3600)

        assert Processes(tmp_path).status(server).state == "crashed"
        Processes(tmp_path).end([server])

        assert stranger.poll() is None
        stranger.kill()


def test_adopt_after_a_lost_record_finds_the_process_by_its_command_line(
    tmp_path: Path, server: Server
) -> None:
    processes = Processes(tmp_path)
    process = processes.start(server)
    (tmp_path / "servers.json").unlink()
    assert processes.find(server) is None

    adopted = processes.adopt(server)

    assert adopted is not None
    assert adopted.pid == process.pid
    assert processes.find(server) == process


def test_records_of_a_torn_file_count_as_none(tmp_path: Path, server: Server) -> None:
    (tmp_path / "servers.json").write_text('{"static": {"pid"')

    assert Processes(tmp_path).records() == {}
    assert Processes(tmp_path).status(server).state == "stopped"


def test_start_with_a_failing_program_reports_its_last_lines(
    tmp_path: Path, server: Server
) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such folder')"]
    broken = Server(server.name, argv, server.port, server.health_url)
    processes = Processes(tmp_path)

    problem = wait_healthy(broken, processes.start(broken), 10)

    assert problem == "static ended"
    assert "no such folder" in processes.last_lines("static")


def test_start_with_a_grown_log_sets_it_aside(tmp_path: Path, server: Server) -> None:
    (tmp_path / "static.log").write_bytes(b"x" * (9 * 1024**2))

    Processes(tmp_path).start(server)

    assert (tmp_path / "static.log.1").stat().st_size == 9 * 1024**2
    assert (tmp_path / "static.log").stat().st_size < 1024**2


def test_process_that_was_ending_when_it_was_found_is_started_again(tmp_path: Path) -> None:
    port = choose(tmp_path)["issuer"]
    words = [sys.executable, "-I", "-c", _ENDS_ONCE, str(tmp_path / "seen"), HOST, str(port)]
    server = Server("static", words, port, f"http://{HOST}:{port}/")
    processes = Processes(tmp_path)
    processes.start(server)
    found = processes.find(server)
    assert found is not None
    assert wait_healthy(server, found, 30) == "static ended"
    (tmp_path / "seen").unlink()
    processes.start(server)
    found = processes.find(server)
    assert found is not None
    try:
        assert wait_healthy(server, found, 30, lambda: processes.start(server)) is None
        again = processes.find(server)
        assert again is not None
        assert again.pid != found.pid
    finally:
        processes.end([server])
