"""`make faults`: the fault campaign. Rounds already played under the same seed are not repeated."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.arena import PROJECT, Arena
from fraud_provenance_tests.attacks.zygote import Zygote

OUT = PROJECT / "build" / "faults.jsonl"
screen = Console(file=sys.__stdout__, highlight=False, soft_wrap=True)


def main() -> int:
    """Exit 0 only if no round of this seed had a problem."""
    signal.signal(signal.SIGTERM, lambda *_rest: sys.exit(143))  # servers of copies must end
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--arena", default="", help="build the home here and keep it running")
    parser.add_argument("--seed", default="1", help="decides every moment of every round")
    parser.add_argument("--kills", type=int, default=100, help="how many rounds with a kill")
    parser.add_argument("--only", type=int, nargs="+", default=[], help="play these rounds again")
    parser.add_argument("--skip-others", action="store_true", help="kills only")
    options = parser.parse_args()
    done = {} if options.only else _done(options.seed)
    with (
        _arena(options.arena) as arena,
        tempfile.TemporaryDirectory() as scratch,
        Zygote(Path(scratch)) as zygote,
    ):
        numbers = [n for n in options.only or range(options.kills) if n not in done]
        for found in faults.kill_rounds(arena, zygote, options.seed, numbers):
            done[found.number] = _report(found)
        others = [] if options.skip_others or options.only else faults.other_faults()
        every = faults.stages(arena)
        for number, (stage, fault) in enumerate(others, 10_000):
            if number not in done:
                empty = faults.Round(number, options.seed, stage, fault.name)
                found = faults.play_round(arena, zygote, every[stage], fault, empty)
                done[number] = _report(found)
    bad = [item for item in done.values() if item["problems"]]
    hit = sum(1 for item in done.values() if item["hit"])
    screen.print(f"{len(done)} rounds, {hit} hit their job, {len(bad)} with problems")
    return 1 if bad else 0


@contextmanager
def _arena(folder: str) -> Iterator[Arena]:
    with tempfile.TemporaryDirectory() as scratch:
        arena = Arena(Path(folder or Path(scratch) / "arena").absolute())
        try:
            arena.open(lambda text: screen.print(f"· {text}", markup=False))
            yield arena
        finally:
            if not folder:
                arena.down()


def _done(seed: str) -> dict[int, dict[str, object]]:
    if not OUT.exists():
        return {}
    rounds = [json.loads(line) for line in OUT.read_text("utf-8").splitlines()]
    return {item["number"]: item for item in rounds if item["seed"] == seed}


def _report(found: faults.Round) -> dict[str, object]:
    item = asdict(found)
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(item) + "\n")
    mark = "ok   " if not found.problems else "WRONG"
    what = ", ".join(found.codes[:2]) or ("broken off" if found.hit else "finished first")
    screen.print(
        f"{mark} {found.seed}:{found.number} {found.stage:8} {found.fault:26} {what} "
        f"{found.seconds} s",
        markup=False,
    )
    for problem in found.problems:
        screen.print(f"      {problem}", markup=False)
    return item


if __name__ == "__main__":
    sys.exit(main())
