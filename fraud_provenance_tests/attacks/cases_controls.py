"""OK: what an honest user does, and what honest machines suffer, must pass."""

import tempfile
from pathlib import Path

import polars as pl

from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import outcome
from fraud_provenance_tests.attacks.model import Case, Outcome, nothing
from fraud_provenance_tests.attacks.zygote import Zygote


def from_approval_to_trace(home: Home) -> Outcome:
    """Promote, score, land a day, score it too; then verify all of it and trace a score."""
    for arguments in (("run",), ("run", *TRAINED), ("verify",), ("verify", "model@champion")):
        said = home.command(*arguments)
        if arguments == ("run",):
            faults.land_next_day(home)
        if said.code != 0:
            return outcome(home, "", said)
    newest = max((home.path / "data" / "transaction_scores").glob("*.parquet"))
    transaction = pl.read_parquet(newest).sort("score", descending=True)["transaction_id"][0]
    return outcome(home, "", home.command("trace", str(transaction)))


def every_step_crashes_once(home: Home) -> Outcome:
    """Each stage's job is killed half-way on a copy of its own, then run again."""
    problems: list[str] = []
    arena = home.arena
    with tempfile.TemporaryDirectory() as scratch, Zygote(Path(scratch)) as zygote:
        lengths = faults.durations(arena, zygote)
        for number, (name, stage) in enumerate(faults.stages(arena).items()):
            moment = 0.02 if stage.at_signature else lengths[name] / 2
            fault = faults.Fault("killed half-way", kill_after=moment)
            found = faults.Round(number, "OK-02", name, fault.name)
            faults.play_round(arena, zygote, stage, fault, found)
            problems += [f"{name}: {problem}" for problem in found.problems]
            if not found.hit:
                problems.append(f"{name} ended before it was killed")
    return Outcome("", refused=bool(problems), text="\n".join(problems))


CASES = [
    Case("OK-01", nothing, from_approval_to_trace, state="approved"),
    Case("OK-02", nothing, every_step_crashes_once),
]
