"""What a home costs while nothing happens: each process that `up` and `ui` started, and all.

A home is built from many days, up to scores where the sample data allow a champion. Then `ui` is
started as people start it, with Dagster's pages and daemon, MLflow and the Data Docs. When all
sensors have looked, processor time is counted for some minutes in which nothing lands, children
that ended included. Printed for each process: percent of one core. Exits 1 above the bound.

    python -m benchmarks.idle                    60 days, about ten minutes
    python -m benchmarks.idle --days 183 --ticks 190000
                                                 as after half a year of days, with the ticks
                                                 that Dagster keeps for a week
    python -m benchmarks.idle --home FOLDER      a home that is there; its servers must run
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.age import print_cost, run_command
from benchmarks.homes import Project
from benchmarks.side import APPROVER
from fraud_provenance.attested.local.servers import TOOLS

BOUND_PERCENT = 5.0
_READY_S, _STOP_S = 900, 120
_NAMES = {
    "dagster._daemon": "Dagster's daemon",
    "dagster_webserver": "Dagster's pages",
    "dagster api grpc": "code server",
    "mlflow": "MLflow",
    "http.server": "issuer",
    "services daemon": "Dagster's daemon",
    "services pages": "Dagster's pages",
    "fraud_provenance.cli ui": "ui, Data Docs",
    "resource_tracker": "code server",
}


def name_of(command: Sequence[str]) -> str:
    """What a process is, by its command line."""
    program = Path(command[0]).name if command else "?"
    if program in TOOLS:
        return program
    line = " ".join(command)
    return next((name for part, name in _NAMES.items() if part in line), program)


def cpu_seconds(roots: Sequence[psutil.Process]) -> dict[tuple[str, int], float]:
    """(name, pid) → processor seconds of each process of these trees, and its ended children."""
    found = {}
    for process in [one for root in roots for one in (root, *root.children(recursive=True))]:
        with suppress(psutil.Error):
            used = process.cpu_times()
            spent = used.user + used.system + used.children_user + used.children_system
            found[name_of(process.cmdline()), process.pid] = spent
    return found


def percent(
    before: Mapping[tuple[str, int], float], after: Mapping[tuple[str, int], float], wall_s: float
) -> dict[str, float]:
    """Name → percent of one core, largest first; a process that came between counts as a whole."""
    total: dict[str, float] = {}
    for key, spent in after.items():
        used = spent - before.get(key, 0.0)
        total[key[0]] = total.get(key[0], 0.0) + 100 * used / wall_s
    return dict(sorted(total.items(), key=lambda item: -item[1]))


@contextmanager
def ui(project: Project, home: Path) -> Iterator[psutil.Process]:
    """`ui`, ready: its daemon has ticked; yields its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fraud_provenance.cli", "ui", "--port", str(port)]
    with (home / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=project.folder, env=project.environment(home), stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for_ticks(home, process)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_S)


def wait_for_ticks(home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until no sensor's newest tick is older than `ui`.

    Raises:
        SystemExit: `ui` ended, or they do not tick.
    """
    began, end = time.time(), time.monotonic() + _READY_S
    while not _all_ticked(home, began):
        if process.poll() is not None or time.monotonic() > end:
            said = (home / "ui.log").read_text("utf-8", "replace")[-3000:]
            raise SystemExit(f"the sensors of {home} do not tick:\n{said}")
        time.sleep(2)


def _all_ticked(home: Path, began: float) -> bool:
    asked = (
        "select min(at) from (select max(strftime('%s', timestamp)) + 0 as at from job_ticks "
        "where type = 'SENSOR' group by selector_id)"
    )
    with suppress(sqlite3.Error), closing(sqlite3.connect(_ticks_of(home))) as database:
        (oldest,) = database.execute(asked).fetchone()
        return oldest is not None and oldest >= began
    return False


def _ticks_of(home: Path) -> Path:
    return home / "dagster" / "schedules" / "schedules.db"


def wait_for_quiet(home: Path, settle_s: float) -> int:
    """Until no run is at work and none began for `settle_s` seconds; returns how many there were.

    Raises:
        SystemExit: there is always one.
    """
    end, count, since = time.monotonic() + _READY_S, -1, time.monotonic()
    while time.monotonic() - since < settle_s:
        if time.monotonic() > end:
            raise SystemExit(f"runs are started all the time: see {home / 'ui.log'}")
        found, at_work = _runs_of(home)
        if found != count or at_work:
            count, since = found, time.monotonic()
        time.sleep(2)
    return count


def _runs_of(home: Path) -> tuple[int, int]:
    """(all, those at work)."""
    asked = (
        "select count(*), count(*) filter (where status not in ('SUCCESS', 'FAILURE', 'CANCELED'))"
        " from runs"
    )
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as database:
        every, at_work = database.execute(asked).fetchone()
    return int(every), int(at_work)


def measure(roots: Sequence[psutil.Process], minutes: float) -> dict[str, float]:
    """Name → percent of one core over so many minutes."""
    before, began = cpu_seconds(roots), time.monotonic()
    time.sleep(minutes * 60)
    return percent(before, cpu_seconds(roots), time.monotonic() - began)


def build(project: Project, home: Path, options: argparse.Namespace) -> None:
    """Days, a model, an approval, scores. Without a champion a home is idle as well."""
    size = ("--days", str(options.days), "--rows-per-day", str(options.rows_per_day))
    project.command(home, "generate", *size, "--seed", "7")
    print_cost("first load", run_command(project, home, "run"))
    why = ("--environment", "local", "--as", APPROVER, "--reason", "benchmark")
    with suppress(SystemExit):  # refused by its metrics
        project.command(home, "approve", "model@candidate", *why)
        print_cost("promotion", run_command(project, home, "run"))


def add_ticks(home: Path, count: int) -> None:
    """Skipped ticks of the week before, of which Dagster keeps a row each."""
    step_s = 7 * 86_400 / count
    with closing(sqlite3.connect(_ticks_of(home))) as database, database:
        kept = database.execute(
            "select job_origin_id, selector_id, status, type, tick_body from job_ticks limit 20"
        ).fetchall()
        database.executemany(
            "insert into job_ticks"
            " (job_origin_id, selector_id, status, type, tick_body, timestamp)"
            " values (?, ?, ?, ?, ?, strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour', ?))",
            (
                (*kept[place % len(kept)], f"-{place * step_s:.0f} seconds")
                for place in range(count)
            ),
        )


def idle(project: Project, home: Path, options: argparse.Namespace) -> dict[str, float]:
    """Start `ui` on a home whose servers run; returns name → percent of one core."""
    listed = json.loads(project.command(home, "status", "--json"))["servers"]
    servers = [psutil.Process(server["pid"]) for server in listed if server["pid"]]
    with ui(project, home) as process:
        if options.ticks:
            add_ticks(home, options.ticks)
        before = wait_for_quiet(home, options.settle)
        found = measure([process, *servers], options.minutes)
    if _runs_of(home)[0] != before:
        raise SystemExit("a run began meanwhile: that is not idle, begin again")
    return found


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.idle", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--days", type=int, default=60, help="days of the home")
    parser.add_argument("--rows-per-day", type=int, default=500)
    parser.add_argument("--ticks", type=int, default=0, help="skipped ticks of the week before")
    parser.add_argument("--minutes", type=float, default=3.0, help="for which it is watched")
    parser.add_argument(
        "--settle", type=float, default=60.0, help="seconds without a run before that"
    )
    parser.add_argument("--home", type=Path, help="a home that is there, servers running")
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="idle-") as scratch:
        project = Project(Path(scratch) / "project")
        if options.home:
            found = idle(project, options.home.resolve(), options)
        else:
            project.warm_up()
            home = Path(scratch) / "home"
            with project.servers(home):
                build(project, home, options)
                found = idle(project, home, options)
    return report(found, options.json)


def report(found: Mapping[str, float], path: Path | None = None) -> int:
    """Print it all; the exit code."""
    total = sum(found.values())
    for name, share in found.items():
        print(f"{name:<26} {share:6.2f} %")
    load = os.getloadavg()[0]
    print(f"{'all':<26} {total:6.2f} % of one core (bound {BOUND_PERCENT} %), load {load:.1f}")
    if path:
        told: dict[str, Any] = {"percent": dict(found), "total_percent": total}
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return int(total > BOUND_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
