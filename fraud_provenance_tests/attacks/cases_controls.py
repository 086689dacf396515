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


def every_step_crashes(home: Home) -> Outcome:
    """Each stage is killed before and after its signatures, on copies of its own, and run again."""
    problems: list[str] = []
    stages = faults.stages(home.arena)
    with tempfile.TemporaryDirectory() as scratch, Zygote(Path(scratch)) as zygote:
        for number, (name, place) in enumerate(CRASHES):
            fault = faults.Fault(f"dies at {place}", dies_at=place)
            found = faults.Round(number, "OK-02", name, fault.name)
            faults.play_round(home.arena, zygote, stages[name], fault, found)
            problems += [f"{name}, {fault.name}: {problem}" for problem in found.problems]
            if not found.hit:
                problems.append(f"{name} never came to {place}")
    return Outcome("", refused=bool(problems), text="\n".join(problems))


BEFORE_SIGNING = "fraud_provenance.gates.step:Step._sign"
AFTER_SIGNING = "fraud_provenance.gates.step:publish"
AFTER_FIRST_SIGNATURE = "fraud_provenance.evidence.store:EvidenceStore.drop_intent"
CRASHES = (
    ("ingest", BEFORE_SIGNING),
    ("ingest", AFTER_SIGNING),
    ("ingest", AFTER_FIRST_SIGNATURE),
    ("train", BEFORE_SIGNING),
    ("train", AFTER_SIGNING),
    ("train", "fraud_provenance.gates.registry:Registry.register"),
    ("promote", AFTER_FIRST_SIGNATURE),
    ("promote", "fraud_provenance.gates.registry:Registry.move"),
    ("score", BEFORE_SIGNING),
    ("score", AFTER_SIGNING),
)
CASES = [
    Case("OK-01", nothing, from_approval_to_trace, state="approved"),
    Case("OK-02", nothing, every_step_crashes),
]
