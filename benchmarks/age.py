"""What a home's age costs: many single days, one `run` and one `verify` each.

A home is built from 45 days, approved, and then gets one day after the other, each with a `run` in
a fresh process. Printed for each: wall seconds and CPU seconds of the process and all that it
started. Then the last five against the sixth to the tenth, and the CPU of an idle sensor tick.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.homes import RUN_DEADLINE_S, Project
from benchmarks.side import APPROVER

RUN_BOUND, VERIFY_BOUND, TICK_BOUND_S = 1.10, 1.5, 0.1
_EARLY, _LATE = slice(5, 10), slice(-5, None)


@dataclass(frozen=True)
class Cost:
    """One command: seconds on the clock, and of the processor with all child processes."""

    wall_s: float
    cpu_s: float


def run_command(project: Project, home: Path, *arguments: str) -> Cost:
    """Run one command of the product to its end.

    Raises:
        SystemExit: it failed.
    """
    before, began = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fraud_provenance.cli", *arguments],
        cwd=project.folder, env=project.environment(home), check=False, capture_output=True,
        text=True, timeout=RUN_DEADLINE_S,
    )  # fmt: skip
    cost = Cost(time.perf_counter() - began, _children_cpu_s() - before)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}"[-6000:]
        if "METRIC_BELOW_MINIMUM" not in said and "GATE_DENIED" not in said:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{said}")
    return cost


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def growth(costs: Sequence[Cost], measure: str) -> float:
    """The mean of the last five over the mean of the sixth to the tenth."""
    values = [float(getattr(cost, measure)) for cost in costs]
    return statistics.mean(values[_LATE]) / statistics.mean(values[_EARLY])


def hold_back(landing: Path, kept: Path, days: int) -> list[Path]:
    """Take all but the first `days` out of the landing zone; returns the files, oldest first."""
    kept.mkdir(parents=True)
    later = sorted(landing.glob("*.parquet"))[days:]
    return [Path(shutil.move(path, kept / path.name)) for path in later]


def age(project: Project, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Build a home and let it grow; returns all that was measured."""
    home = folder / "home"
    size = ("--days", str(options.days + options.more), "--rows-per-day", str(options.rows_per_day))
    project.command(home, "generate", *size, "--seed", "7")
    later = hold_back(home / "landing", folder / "later", options.days)
    runs: list[Cost] = []
    verifications: list[Cost] = []
    with project.servers(home):
        print_cost("first load", run_command(project, home, "run"))
        why = ("--environment", "local", "--as", APPROVER, "--reason", "benchmark")
        project.command(home, "approve", "model@candidate", *why)
        print_cost("promotion", run_command(project, home, "run"))
        for number, path in enumerate(later, start=1):
            shutil.move(path, home / "landing" / path.name)
            runs.append(run_command(project, home, "run"))
            verifications.append(run_command(project, home, "verify"))
            print_cost(f"run {number}", runs[-1])
            print_cost(f"verify {number}", verifications[-1])
        tick_s = project.answer(home, "benchmarks.age", "--tick")
    return {
        "runs": [vars(cost) for cost in runs],
        "verifications": [vars(cost) for cost in verifications],
        "growth": {
            f"{what} {measure}": round(growth(costs, measure), 3)
            for what, costs in (("run", runs), ("verify", verifications))
            for measure in ("wall_s", "cpu_s")
        },
        "idle_tick_cpu_s": tick_s,
    }


def ticks() -> dict[str, float]:
    """Sensor → CPU seconds of a tick that finds nothing new."""
    import dagster as dg

    from fraud_provenance.defs import alerts, automation, due
    from fraud_provenance.home.settings import settings_from
    from fraud_provenance.home.workspace import Workspace
    from fraud_provenance.run.instance import open_instance

    instance = open_instance(Workspace(settings_from(os.environ)))
    found = {}
    stages = (due.landed_day, due.due_features, due.due_online_features, due.due_training,
              due.due_scores)  # fmt: skip
    for sensor in (*stages, automation.approved_candidate, alerts.alert_delivery):
        context = dg.build_sensor_context(instance=instance)
        for _ in range(3):  # the first ones look at everything
            began = time.process_time()
            sensor(context)
            found[sensor.name] = round(time.process_time() - began, 4)
    return found


def print_cost(name: str, cost: Cost) -> None:
    """One line."""
    load = os.getloadavg()[0]
    print(f"{name:<12} {cost.wall_s:7.1f} s  {cost.cpu_s:7.1f} s CPU  load {load:.1f}", flush=True)


def print_summary(found: dict[str, Any]) -> None:
    """What grew, and the bounds."""
    for name, ratio in found["growth"].items():
        bound = RUN_BOUND if name.startswith("run") else VERIFY_BOUND
        print(f"{name:<14} last five / sixth to tenth  {ratio:.2f}  (bound {bound})")
    for name, seconds in found["idle_tick_cpu_s"].items():
        print(f"idle tick of {name}: {seconds * 1000:.0f} ms CPU (bound {TICK_BOUND_S * 1000:.0f})")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.age", description=__doc__)
    parser.add_argument("--days", type=int, default=45, help="days of the first load")
    parser.add_argument("--more", type=int, default=40, help="single days after it, at least 10")
    parser.add_argument("--rows-per-day", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    parser.add_argument("--tick", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tick:
        print(json.dumps(ticks()))
        return
    if options.more < 10:
        parser.error("--more must be at least 10")
    with tempfile.TemporaryDirectory(prefix="age-") as scratch:
        project = Project(Path(scratch) / "project")
        project.warm_up()
        found = age(project, Path(scratch), options)
    print_summary(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
