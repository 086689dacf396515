"""What lies around a home: variables, proxies, its place, and other runs."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.defs.support import scratch_folder
from fraud_provenance.home import surroundings
from fraud_provenance.home.settings import Settings, settings_from
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import codes


def test_all_offending_variables_are_named_at_once() -> None:
    environ = {"REKOR_URL": "1", "FRAUD_PROVENANCE_SKIP": "1", "PATH": "/bin", "TUF_ROOT": "1"}
    with pytest.raises(VerificationError) as caught:
        settings_from(environ)
    named = [item.artifact for item in caught.value.reasons]
    assert named == ["FRAUD_PROVENANCE_SKIP", "REKOR_URL", "TUF_ROOT"]
    assert {item.code for item in caught.value.reasons} == {"CONFIG_OVERRIDE"}
    assert all(" ".join(named) in item.remedy for item in caught.value.reasons)


@pytest.mark.parametrize("known", ["", "intranet.example", "127.0.0.1", "*"])
def test_loopback_is_reached_directly_whatever_proxy_is_set(
    known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", known)
    monkeypatch.delenv("no_proxy", raising=False)
    surroundings.harden(os.environ)
    urls = ("http://127.0.0.1:1/a", "http://localhost:1/a", "http://rekor-0af3.localhost:1/a")
    assert [requests.utils.get_environ_proxies(url) for url in urls] == [{}, {}, {}]
    elsewhere = requests.utils.get_environ_proxies("http://example.org/a")
    assert bool(elsewhere) == (known != "*")
    assert known in os.environ["NO_PROXY"]
    before = dict(os.environ)
    surroundings.harden(os.environ)
    assert dict(os.environ) == before


def test_library_that_tells_of_its_use_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    environ = {"FRAUD_PROVENANCE_HOME": "/somewhere"}
    surroundings.harden(environ)
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert settings_from(environ).home == Path("/somewhere")  # and this is no override


@pytest.mark.parametrize("name", ["a%2Fb", "a#b", "a?b", "a\nb"])
def test_home_whose_path_is_read_otherwise_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        surroundings.place_of(str(tmp_path / name))
    assert codes(caught.value) == ["USAGE"]
    assert "FRAUD_PROVENANCE_HOME" in caught.value.reasons[0].remedy


@pytest.mark.parametrize("name", ["with spaces", "Haus_ü", "a+b@c,d", "a/../b"])
def test_home_may_have_any_other_name(tmp_path: Path, name: str) -> None:
    assert surroundings.place_of(str(tmp_path / name)) == (tmp_path / name).resolve()


def store(home: Path, location: str) -> None:
    (home / "mlflow").mkdir(parents=True)
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as database:
        database.execute("create table experiments (name text, artifact_location text)")
        rows = [("Default", "/elsewhere/mlruns/0"), (surroundings.EXPERIMENT, location)]
        database.executemany("insert into experiments values (?, ?)", rows)


def test_home_that_was_moved_says_so_and_where_it_belongs(tmp_path: Path) -> None:
    before, now = tmp_path / "my home", tmp_path / "now"
    store(before, (before / "mlflow" / "artifacts").as_uri())
    surroundings.check_place(before)
    before.rename(now)
    with pytest.raises(ConfigError) as caught:
        surroundings.check_place(now)
    assert codes(caught.value) == ["HOME_MOVED"]
    assert caught.value.reasons[0].remedy == f"Move it back: mv {now} {before}"
    now.rename(before)
    surroundings.check_place(before)
    surroundings.check_place(tmp_path / "new")


def test_registry_that_cannot_be_read_is_its_readers_affair(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"no database, but long enough" * 100)
    surroundings.check_place(tmp_path)


HOLD = """
import sys
from pathlib import Path
from fraud_provenance.home import surroundings
with surroundings.alone(Path(sys.argv[1]), print):
    print("begun", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(home: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that is at work in `home` until its input ends."""
    command = [sys.executable, "-c", HOLD, str(home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "begun\n"
            yield other
        finally:
            other.kill()


def test_second_run_says_who_is_at_work_and_waits(tmp_path: Path) -> None:
    with another_run(tmp_path) as other:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            assert other.stdin is not None
            other.stdin.close()

        with surroundings.alone(tmp_path, say):
            assert other.wait(30) == 0
    assert said[0].startswith(f"waiting for another run in this home: process {other.pid}, since ")


def test_run_that_was_killed_keeps_nobody_waiting(tmp_path: Path) -> None:
    with another_run(tmp_path) as other:
        other.kill()
        other.wait(30)
        said: list[str] = []
        with surroundings.alone(tmp_path, said.append):
            assert said == []


def test_scratch_folder_of_another_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    workspace = Workspace(Settings(tmp_path))
    first = scratch_folder(workspace, "dbt")
    alive, gone = first.parent / f"{os.getppid()}-x", first.parent / "999999999-x"
    old = first.parent / "left.duckdb"
    for folder in (alive, gone):
        folder.mkdir()
        (folder / "a.txt").touch()
    old.touch()
    second = scratch_folder(workspace, "dbt")
    assert sorted(first.parent.iterdir()) == sorted([alive, second])
    assert list(second.iterdir()) == []
