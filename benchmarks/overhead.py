"""`make bench`: the cost of provenance, as a ratio of two runs of the same graph.

Each round is a pair: the graph with evidence (run, approve, run) and without, each in a fresh
process on a fresh home, one right after the other, so that a busy machine slows both. The next
round begins with the other side. Landing the data and starting the servers are outside the clock.
Both must have made the same bytes.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.homes import PROJECT, Project, Usage, as_json, made_files
from benchmarks.side import SIDES

HANDBOOK = PROJECT.parent / "shared" / "data" / "handbook_transactions.parquet"
DAYS, ROWS_PER_DAY = 183, 9586  # the size of the handbook's data


@dataclass(frozen=True)
class Run:
    """One side of one round."""

    side: str
    used: Usage
    parts: Mapping[str, Any]

    @property
    def wall_s(self) -> float:
        """From the process's start to its end; what only evidence imports counts there alone."""
        return self.used.wall_s - self._not_its_own("evidence_imports_s")

    @property
    def cpu_s(self) -> float:
        """Of the process, the tools that it ran and the home's servers."""
        total = self.used.cpu_s + self.used.servers_cpu_s
        return total - self._not_its_own("evidence_imports_cpu_s")

    @property
    def work_s(self) -> float:
        """Wall seconds once the libraries that both sides use are loaded."""
        return self.wall_s - float(self.parts["imports_s"])

    def _not_its_own(self, name: str) -> float:
        """The plain side loads evidence's libraries only because it shares modules."""
        return 0.0 if self.side == "with" else float(self.parts[name])

    def document(self) -> dict[str, Any]:
        """For machines."""
        numbers = {"wall_s": self.wall_s, "work_s": self.work_s, "cpu_s": self.cpu_s}
        rounded = {name: round(value, 3) for name, value in numbers.items()}
        return rounded | {"process": as_json(self.used), "parts": dict(self.parts)}


def summary(pairs: Sequence[tuple[Run, Run]]) -> dict[str, dict[str, Any]]:
    """Measure → the ratio with/without of each pair, their median, least and greatest."""
    measures = {
        "wall": [(one.wall_s, two.wall_s) for one, two in pairs],
        "wall without imports": [(one.work_s, two.work_s) for one, two in pairs],
        "CPU": [(one.cpu_s, two.cpu_s) for one, two in pairs],
        "peak memory": [(one.used.peak_mib, two.used.peak_mib) for one, two in pairs],
    }
    found = {}
    for name, values in measures.items():
        ratios = [one / two for one, two in values]
        found[name] = {
            "ratios": [round(ratio, 3) for ratio in ratios],
            "median": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "greatest": round(max(ratios), 3),
        }
    return found


def land(project: Project, landed: Path, options: argparse.Namespace) -> str:
    """Land the data once, for all homes to copy; returns what it is."""
    source = options.data
    if source is None and options.days is None and options.rows_per_day is None:
        source = HANDBOOK if HANDBOOK.exists() else None
    if source is not None:
        project.command(landed, "import", str(source.absolute()))
        return str(source.name)
    days, rows = options.days or DAYS, options.rows_per_day or ROWS_PER_DAY
    size = ("--days", str(days), "--rows-per-day", str(rows))
    project.command(landed, "generate", *size, "--seed", "7")
    return f"generated, {days} days x about {rows} rows"


def run_pair(project: Project, landed: Path, folder: Path, order: Sequence[str]) -> tuple[Run, Run]:
    """One round, its sides in the order given; returns (with, without).

    Raises:
        SystemExit: a side failed, or they did not make the same files.
    """
    runs: dict[str, Run] = {}
    made: dict[str, Mapping[str, bytes]] = {}
    for side in order:
        home = folder / side
        shutil.copytree(landed / "landing", home / "landing")
        if side == "with":
            with project.servers(home) as servers:
                runs[side] = Run(side, *project.run_side(side, home, servers))
        else:
            runs[side] = Run(side, *project.run_side(side, home, []))
        made[side] = made_files(home)
        print_run(runs[side])
        shutil.rmtree(home)
    if made["with"] != made["without"]:
        names = made["with"].keys() | made["without"].keys()
        differ = sorted(n for n in names if made["with"].get(n) != made["without"].get(n))
        raise SystemExit(f"the sides made different files: {', '.join(differ[:5])}")
    return runs["with"], runs["without"]


def print_run(run: Run) -> None:
    """One run as one line, and its stages as another."""
    load = os.getloadavg()[0]
    print(
        f"{run.side:>8}  {run.wall_s:8.1f} s wall  {run.work_s:8.1f} s without imports  "
        f"{run.cpu_s:8.1f} s CPU (servers {run.used.servers_cpu_s:.1f})  "
        f"{run.used.peak_mib:7.0f} MiB peak  load {load:.1f}"
    )
    stages = "  ".join(f"{name} {seconds:.1f}" for name, seconds in run.parts["stages"])
    print(f"          {stages}", flush=True)


def print_summary(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The ratios, pair by pair."""
    print("\nwith / without, pair by pair")
    for name, numbers in found.items():
        pairs = "  ".join(f"{ratio:.2f}" for ratio in numbers["ratios"])
        print(
            f"  {name:<22} median {numbers['median']:.2f}  "
            f"({numbers['least']:.2f} to {numbers['greatest']:.2f})   {pairs}"
        )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--data", type=Path, help="transactions, as `import` takes them")
    parser.add_argument("--days", type=int, help="generate this many days instead")
    parser.add_argument("--rows-per-day", type=int, help="generate this many rows a day instead")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (default 3)")
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    options = parser.parse_args(given)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.data and (options.days or options.rows_per_day):
        parser.error("either --data or --days and --rows-per-day")
    return options


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="overhead-") as scratch:
        folder = Path(scratch)
        project = Project(folder / "project")
        what = land(project, folder / "landed", options)
        project.warm_up()
        print(f"data: {what}; {os.cpu_count()} cores; {options.rounds} rounds", flush=True)
        pairs = []
        for number in range(1, options.rounds + 1):
            print(f"\nround {number}", flush=True)
            order = SIDES if number % 2 else SIDES[::-1]  # being first may help or hinder
            pairs.append(run_pair(project, folder / "landed", folder / f"round-{number}", order))
    found = summary(pairs)
    print_summary(found)
    if options.json:
        document = {
            "data": what,
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "system": platform.platform(),
            },
            "rounds": [
                dict(zip(SIDES, (a.document(), b.document()), strict=True)) for a, b in pairs
            ],
            "summary": found,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
