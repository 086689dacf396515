"""What it costs to look at one score among many: seconds of `trace` and `recall`, bytes of index.

    python -m benchmarks.scores                   # six Handbooks: ten million scores
    python -m benchmarks.scores --copies 1        # a sixth of it, in minutes
    python -m benchmarks.scores --keep FOLDER     # keep the home there; measure again what is there

A home is made whose champion scores every day. Scores that chance picks are traced, each in a
fresh process, then again in one process that stays. A raw day in the middle and the champion are
recalled.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.age import run_command
from benchmarks.homes import RUN_DEADLINE_S, Project
from benchmarks.landed import landed
from benchmarks.side import APPROVER

TRACE_BOUND_S, WARM_BOUND_S, RECALL_BOUND_S, INDEX_BOUND_BYTES = 1.0, 0.15, 2.0, 60.0
_MODULE, _PICKED = "benchmarks.scores", 7


def build(project: Project, folder: Path, home: Path, copies: int) -> None:
    """Land the days, make a champion, and have it score all of them."""
    feed = folder / "feed"
    feed.mkdir()
    days = []
    for day, frame in landed(copies):
        frame.write_parquet(feed / f"{day}.parquet")
        days.append(day)
    say("import")
    project.command(home, "import", str(feed), deadline_s=RUN_DEADLINE_S)
    say("run")
    project.command(home, "run", deadline_s=RUN_DEADLINE_S)
    why = ("--environment", "local", "--as", APPROVER, "--reason", "benchmark")
    project.command(home, "approve", "model@candidate", *why)
    say("promotion and scores")
    wanted = [word for day in days for word in ("--score", day)]
    project.command(home, "run", *wanted, deadline_s=RUN_DEADLINE_S)


def scored(home: Path) -> list[Path]:
    """The files of scores, the oldest day first."""
    return sorted((home / "data" / "transaction_scores").glob("*.parquet"))


def bytes_of_index(home: Path) -> int:
    """What finds a score and proves its place: the index, and each day's leaves."""
    leaves = (home / "data" / "transaction_scores").glob("*.leaves")
    return sum(path.stat().st_size for path in (home / "evidence" / "index.sqlite", *leaves))


def picked(files: Sequence[Path]) -> list[int]:
    """Transactions of different days, the same ones each time."""
    chance = random.Random(7)  # noqa: S311 - a choice that can be made again, no secret
    chosen = chance.sample(files, min(_PICKED, len(files)))
    return [
        int(chance.choice(pl.read_parquet(path)["transaction_id"].to_list())) for path in chosen
    ]


def warm(project: Project, home: Path, transactions: Sequence[int]) -> list[float]:
    """Wall seconds of each trace in one process; the first one, which opens the home, is left."""
    given = map(str, transactions)
    return [float(seconds) for seconds in project.answer(home, _MODULE, "--warm", *given)][1:]


def trace_here(transactions: Sequence[int]) -> list[float]:
    """Trace them in this process; wall seconds of each."""
    from fraud_provenance.home.settings import settings_from
    from fraud_provenance.home.workspace import Workspace
    from fraud_provenance.investigate.trace import trace_score

    trust = Workspace(settings_from(os.environ)).trust
    found = []
    for transaction in transactions:
        began = time.perf_counter()
        traced = trace_score(trust, transaction)
        found.append(time.perf_counter() - began)
        if not traced.verdict.trusted:
            raise SystemExit(traced.headline)
    return found


def measure(project: Project, home: Path) -> dict[str, Any]:
    """All figures, in seconds and bytes."""
    files = scored(home)
    count = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in files)
    transactions = picked(files)
    middle = files[len(files) // 2].stem
    subjects = (f"raw_transactions/{middle}", "model@champion")
    return {
        "scores": count,
        "days": len(files),
        "index_bytes_a_score": bytes_of_index(home) / count,
        "trace_s": [run_command(project, home, "trace", str(item)).wall_s for item in transactions],
        "warm_trace_s": warm(project, home, transactions),
        "recall_s": {
            subject: [run_command(project, home, "recall", subject).wall_s for _ in range(3)]
            for subject in subjects
        },
    }


def print_found(found: dict[str, Any]) -> None:
    """One line a figure: median, least and greatest, and the bound."""
    print(f"{found['scores']:,} scores of {found['days']} days")
    size = found["index_bytes_a_score"]
    print(f"index: {size:.1f} bytes a score (bound {INDEX_BOUND_BYTES:.0f})")
    lines = [
        ("trace, a fresh process", found["trace_s"], TRACE_BOUND_S),
        ("trace, the same process", found["warm_trace_s"], WARM_BOUND_S),
        *((f"recall {name}", values, RECALL_BOUND_S) for name, values in found["recall_s"].items()),
    ]
    for name, values, bound in lines:
        middle = statistics.median(values)
        span = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{name:<36} {middle:6.2f} s ({span}, bound {bound:g})")


def say(what: str) -> None:
    """One line of progress."""
    print(f"· {time.strftime('%H:%M:%S')} {what}", flush=True)


def main() -> None:
    """Build, measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scores", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--copies", type=int, default=6, help="so many times the Handbook's rows")
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    parser.add_argument("--keep", type=Path, help="a folder for the home, or one that has it")
    parser.add_argument("--warm", type=int, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.warm:
        print(json.dumps(trace_here(options.warm)))
        return
    with tempfile.TemporaryDirectory(prefix="scores-") as scratch:
        folder = (options.keep or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        home = folder / "home"
        project = Project(Path(scratch) / "project")
        project.warm_up()
        with project.servers(home):
            if not scored(home):
                build(project, folder, home, options.copies)
            found = measure(project, home)
    print_found(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
