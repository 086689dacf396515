"""OK: what an honest user does, and what honest machines suffer, must pass."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import polars as pl
from mlflow import MlflowClient

from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.cases_evidence import approve
from fraud_provenance_tests.attacks.faults import SCORED_DAY
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import RAW, data_access, outcome
from fraud_provenance_tests.attacks.model import Case, Outcome, nothing
from fraud_provenance_tests.attacks.zygote import Request, Zygote


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


def go_back(home: Home) -> Outcome:
    """A day is delivered anew, then set back by a person: both versions verify, and it is read."""
    store, day = home.workspace().store, SCORED_DAY
    before = store.heads(RAW)[day][0].sha256
    path = home.path / "landing" / f"{day}.parquet"
    pl.read_parquet(path)[:-1].write_parquet(path)
    said = home.job("ingest", days=[day])
    assert store.heads(RAW)[day][0].sha256 != before, "the day is the same as before"
    for arguments in (
        ("rollback", RAW, day, "--to", before[:12], "--reason", "delivered twice"),
        ("verify", f"{RAW}/{day}"),
        ("audit",),
    ):
        if said.code == 0:
            said = home.command(*arguments)
    assert said.code or store.heads(RAW)[day][0].sha256 == before, "the day was not set back"
    return outcome(home, "", said) if said.code else data_access(RAW, [day])(home)


def leave_notes(home: Home) -> None:
    """People write tags of their own into MLflow, and files beside the evidence."""
    client = MlflowClient(f"sqlite:///{home.path / 'mlflow' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("fraud_model", "candidate")
    client.set_tag(version.run_id, "looked_at", "on Monday")
    client.set_tag(version.run_id, "mlflow.note.content", "git_commit is 0000000")
    client.set_model_version_tag("fraud_model", version.version, "verified", "true")
    client.set_registered_model_tag("fraud_model", "manifest_sha256", "0" * 64)
    for folder in ("evidence", "evidence/bundles", "landing", "reports", "trust", "."):
        (home.path / folder / "notes.json").write_text('{"allow": true}', "utf-8")


def promote_and_verify(home: Home) -> Outcome:
    """The candidate is promoted; champion and log verify."""
    said = home.job("promotion")
    for arguments in (("verify", "model@champion"), ("audit",)):
        if said.code == 0:
            said = home.command(*arguments)
    return outcome(home, "", said)


def train_another(home: Home) -> None:
    """A second model is registered and approved beside the first, which is not promoted yet."""
    said = home.job("training", options={"train_days": 6})
    assert said.code == 0, said
    approve(home)


def two_promotions(home: Home) -> Outcome:
    """Two processes promote at once, with two models approved: both end well, with one champion.

    The first one to decide takes the candidate, and uses up the other model's approval with it.
    Given again, that approval replaces the champion: nothing is lost.
    """
    request = Request(
        arena=str(home.arena.folder), home=str(home.path), project=str(home.project),
        job="promotion", ports=home.ports,
    )  # fmt: skip
    with ExitStack() as stack:
        zygotes = []
        for name in ("one", "other"):
            scratch = home.path / "scratch" / name
            scratch.mkdir()
            zygotes.append(stack.enter_context(Zygote(scratch)))
        started = [zygote.start(request) for zygote in zygotes]
        ended = [zygote.wait(pid) for zygote, pid in zip(zygotes, started, strict=True)]
    for item in ended:
        if item.code:
            return Outcome("", refused=True, codes=item.codes, text=item.text)
    decided = home.workspace().store.chain("deployments")
    assert [link.sequence for link in decided] == [1], f"{len(decided)} decisions"
    said = home.command("verify", "model@champion")
    if said.code == 0:
        approve(home, "model:1")
        said = home.job("promotion")
    if said.code == 0:
        said = home.command("verify", "model@champion")
    decided = home.workspace().store.chain("deployments")
    assert said.code or len({link.statement for link in decided}) == 2, f"{len(decided)} decisions"
    return outcome(home, "", said)


BEFORE_SIGNING = "fraud_provenance.attested.step.step:Step._sign"
AFTER_SIGNING = "fraud_provenance.attested.step.staging:publish"
AFTER_FIRST_SIGNATURE = "fraud_provenance.attested.store.store:EvidenceStore.drop_intent"
CRASHES = (
    ("ingest", BEFORE_SIGNING),
    ("ingest", AFTER_SIGNING),
    ("ingest", AFTER_FIRST_SIGNATURE),
    ("train", BEFORE_SIGNING),
    ("train", AFTER_SIGNING),
    ("train", "fraud_provenance.models.registry:Registry.register"),
    ("promote", AFTER_FIRST_SIGNATURE),
    ("promote", "fraud_provenance.models.registry:Registry.move"),
    ("score", BEFORE_SIGNING),
    ("score", AFTER_SIGNING),
)
CASES = [
    Case("OK-01", nothing, from_approval_to_trace, state="approved"),
    Case("OK-02", nothing, every_step_crashes),
    Case("OK-05", nothing, go_back),
    Case("OK-06", leave_notes, promote_and_verify, state="approved"),
    Case("OK-07", train_another, two_promotions, state="approved"),
]
