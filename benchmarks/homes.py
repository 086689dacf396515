"""What a fair run needs: a clean copy of the project, a fresh home, a process that is watched."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from fraud_provenance.alerts.settings import VARIABLES

PROJECT = Path(__file__).resolve().parents[1]
SERVERS_DEADLINE_S = 300
RUN_DEADLINE_S = 3600
_NOBODY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "benchmark"), ("EMAIL", "benchmark@example.com"))
}


def copy_project(target: Path) -> Path:
    """A clean repository with this work tree's files: what runs is exactly a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file():
            destination = target / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
    manifest = PROJECT / "dbt_project" / "target" / "manifest.json"
    if not manifest.exists():
        raise SystemExit("the dbt project is not parsed: run `make setup`")
    parsed = target / "dbt_project" / "target"
    parsed.mkdir()
    for path in manifest.parent.iterdir():
        if path.is_file():
            shutil.copy2(path, parsed / path.name)
    git(target, "init", "-q")
    commit_all(target, "copy")
    compiled = [sys.executable, "-m", "compileall", "-q", "fraud_provenance", "benchmarks"]
    subprocess.run(compiled, cwd=target, check=True)
    return target


def git(folder: Path, *arguments: str) -> str:
    """What git prints, in a repository of nobody."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, env={**os.environ, **_NOBODY},
        capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


def commit_all(folder: Path, message: str) -> str:
    """Commit the whole work tree; returns the commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Usage:
    """What one process and all that it waited for used.

    `peak_mib` is the largest of these processes, not their sum.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    servers_cpu_s: float = 0.0
    servers_mib: float = 0.0


class Project:
    """A copy of the project, whose commands work on homes."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_project(folder)

    def environment(self, home: Path) -> dict[str, str]:
        """The environment of a command on `home`."""
        inherited = {k: v for k, v in os.environ.items() if k not in VARIABLES}
        return {
            **inherited,
            "FRAUD_PROVENANCE_HOME": str(home),
            "PYTHONPATH": str(self.folder),
            "NO_PROXY": "127.0.0.1",
        }

    def command(self, home: Path, *arguments: str, deadline_s: float = SERVERS_DEADLINE_S) -> str:
        """Run one command of the product; returns its output.

        Raises:
            SystemExit: it failed.
        """
        done = self.ask(home, *arguments, deadline_s=deadline_s)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(
        self, home: Path, *arguments: str, python: str = sys.executable,
        deadline_s: float = SERVERS_DEADLINE_S,
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """Run one command of the product, with an interpreter, to whatever end it comes."""
        return subprocess.run(
            [python, "-m", "fraud_provenance.cli", *arguments],
            cwd=self.folder, env=self.environment(home), check=False, capture_output=True,
            text=True, timeout=deadline_s,
        )  # fmt: skip

    def answer(self, home: Path, module: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """What a module of the benchmarks answers from a fresh process on a home: its last line.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder, env=self.environment(home), check=False, capture_output=True,
            text=True, timeout=RUN_DEADLINE_S,
        )  # fmt: skip
        if done.returncode:
            said = f"{done.stdout}{done.stderr}"[-6000:]
            raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{said}")
        return json.loads(done.stdout.splitlines()[-1])

    def warm_up(self) -> None:
        """What is paid once for each installation is paid before the clock starts."""
        subprocess.run(
            [sys.executable, "-m", "benchmarks.side", "load"],
            cwd=self.folder, env=self.environment(self.folder), check=True,
            timeout=SERVERS_DEADLINE_S,
        )  # fmt: skip

    @contextmanager
    def servers(self, home: Path) -> Iterator[list[psutil.Process]]:
        """The home's servers, up for the time of the block."""
        try:
            listed = json.loads(self.command(home, "up", "--json"))["servers"]
            yield [psutil.Process(server["pid"]) for server in listed if server["pid"]]
        finally:
            self.command(home, "down")

    def run_side(
        self, side: str, home: Path, servers: list[psutil.Process]
    ) -> tuple[Usage, dict[str, Any]]:
        """Run one side in a fresh process; returns what it used and what it says of itself.

        Raises:
            SystemExit: it failed, or was not done in time.
        """
        out = home / "side.json"
        log = home / "side.log"
        before = _cpu_s(servers)
        command = [sys.executable, "-m", "benchmarks.side", side, str(out)]
        with log.open("wb") as stream:
            began = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(home),
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
            code, usage = _wait(process)
            wall_s = time.perf_counter() - began
        if code != 0 or not out.exists():
            tail = log.read_text("utf-8", "replace")[-6000:]
            raise SystemExit(f"the side {side} evidence exited {code}:\n{tail}")
        used = Usage(
            wall_s=wall_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / 1024,  # Linux counts KiB
            servers_cpu_s=_cpu_s(servers) - before,
            servers_mib=sum(server.memory_info().rss for server in servers) / 2**20,
        )
        return used, json.loads(out.read_text("utf-8"))


def _cpu_s(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(found.user + found.system for found in times)


def _wait(process: "subprocess.Popen[bytes]") -> tuple[int, Any]:
    """(exit code, resource usage of the process and of all children that it waited for)."""
    watchdog = threading.Timer(RUN_DEADLINE_S, process.kill)
    watchdog.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def made_files(home: Path) -> Mapping[str, bytes]:
    """What both sides must have made alike: path below `data/` → bytes of the file's SHA-256."""
    import hashlib

    data = home / "data"
    return {
        path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(data.rglob("*.parquet"))
    }


def as_json(used: Usage) -> dict[str, float]:
    """Rounded for people."""
    return {name: round(value, 3) for name, value in asdict(used).items()}
