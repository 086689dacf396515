"""The idle benchmark: whose time it counts, and when it begins."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks import idle


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/tools/rekor-server", "serve"], "rekor-server"),
        (["/v/python", "-m", "dagster", "api", "grpc", "--socket", "x"], "code server"),
        (["/v/python", "-m", "fraud_provenance.run.services", "daemon"], "Dagster's daemon"),
        (["/v/python", "-m", "fraud_provenance.run.services", "pages"], "Dagster's pages"),
        (["/v/python", "-m", "fraud_provenance.cli", "ui", "--port", "1"], "ui, Data Docs"),
        (["/v/python", "-m", "uvicorn", "mlflow.server.fastapi_app:app"], "MLflow"),
        (["/usr/bin/other"], "other"),
        ([], "?"),
    ],
)
def test_processes_have_names_of_people(command: list[str], name: str) -> None:
    assert idle.name_of(command) == name


def test_percent_is_of_one_core_and_of_what_began_meanwhile_too() -> None:
    before = {("a", 1): 10.0, ("b", 2): 5.0}
    after = {("a", 1): 11.0, ("b", 2): 5.5, ("b", 3): 2.5}
    assert idle.percent(before, after, 100.0) == {"b": 3.0, "a": 1.0}


def test_time_of_a_process_and_of_those_below_it_is_counted() -> None:
    work = "sum(i * i for i in range(3_000_000))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{work}']); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        assert any(pid == child.pid for _, pid in idle.cpu_seconds([psutil.Process(child.pid)]))
        own = idle.measure([psutil.Process(os.getpid())], minutes=0.002)
        assert own
    finally:
        child.communicate(b"\n", 60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the tables that are asked."""
    for name in ("history", "schedules"):
        (tmp_path / "dagster" / name).mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "dagster/history/runs.db")) as database, database:
        database.execute("create table runs (status text)")
    with closing(sqlite3.connect(idle._ticks_of(tmp_path))) as database, database:
        database.execute(
            "create table job_ticks (job_origin_id text, selector_id text, status text,"
            " type text, tick_body text, timestamp text)"
        )
    return tmp_path


def run(home: Path, status: str) -> None:
    with closing(sqlite3.connect(home / "dagster/history/runs.db")) as database, database:
        database.execute("insert into runs values (?)", (status,))


def tick(home: Path, sensor: str, at: str) -> None:
    with closing(sqlite3.connect(idle._ticks_of(home))) as database, database:
        database.execute(
            "insert into job_ticks values ('o', ?, 'SKIPPED', 'SENSOR', '{}', ?)", (sensor, at)
        )


def test_home_is_ready_when_its_last_sensor_has_ticked(home: Path) -> None:
    began = 1_767_225_600.0  # 2026-01-01
    assert not idle._all_ticked(home, began)
    tick(home, "one", "2026-01-01 00:00:01.000000")
    tick(home, "two", "2025-12-31 23:59:59.000000")
    assert not idle._all_ticked(home, began)
    tick(home, "two", "2026-01-01 00:00:02.000000")
    assert idle._all_ticked(home, began)


def test_home_with_a_run_at_work_is_not_quiet(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    run(home, "SUCCESS")
    run(home, "FAILURE")
    assert idle.wait_for_quiet(home, 0.01) == 2
    run(home, "STARTED")
    monkeypatch.setattr(idle, "_READY_S", 0.1)
    with pytest.raises(SystemExit, match="all the time"):
        idle.wait_for_quiet(home, 0.01)


def test_ticks_of_a_week_are_added(home: Path) -> None:
    tick(home, "one", "2026-01-01 00:00:01.000000")
    idle.add_ticks(home, 50)
    with closing(sqlite3.connect(idle._ticks_of(home))) as database:
        asked = "select count(*), julianday('now') - julianday(min(timestamp)) from job_ticks"
        count, days = database.execute(f"{asked} where timestamp > '2026-01-02'").fetchone()
    assert count == 50
    assert 6 < days < 7.1


def test_bound_decides_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "idle.json"
    assert idle.report({"a": 3.0, "b": 1.5}, path) == 0
    assert json.loads(path.read_text()) == {"percent": {"a": 3.0, "b": 1.5}, "total_percent": 4.5}
    assert idle.report({"a": 5.5}) == 1
    assert "5.50 % of one core (bound 5.0 %)" in capsys.readouterr().out
