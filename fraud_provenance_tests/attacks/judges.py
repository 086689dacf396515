"""Judges: the product asked at one stop. Each returns what it did there, never an opinion.

P0 ingest · P1 data access · P2 training and registration · P3 promotion · P4 alias move ·
P5 scoring's load · P6 prediction audit · P7 log audit · P8 start-up self-check
"""

from collections.abc import Callable, Sequence
from typing import Any

from fraud_provenance.attested.statements.statements import read_contract
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.registry import CHAMPION
from fraud_provenance_tests.attacks.home import Home, Said
from fraud_provenance_tests.attacks.model import Judge, Outcome

RAW, FEATURES = "raw_transactions", "transaction_features"


def outcome(home: Home, stop: str, said: Said) -> Outcome:
    """A command's or job's answer as an outcome at `stop`."""
    return Outcome(
        stop=stop,
        refused=said.code != 0,
        codes=said.codes,
        alerts=home.alert_codes(),
        text="\n".join([*(str(item) for item in said.reasons), said.err])[-4000:],
    )


def command(stop: str, *arguments: str, **environment: str) -> Judge:
    """Any command: refused where it exits with 1 or 2."""

    def judge(home: Home) -> Outcome:
        said = home.command(*arguments, **environment)
        return outcome(home, stop, said)

    return judge


def job(stop: str, name: str, **named: Any) -> Judge:
    """Any job: refused where it fails."""

    def judge(home: Home) -> Outcome:
        return outcome(home, stop, home.job(name, **named))

    return judge


def question(stop: str, ask: Callable[[Workspace], object]) -> Judge:
    """Any call into the product that raises where it refuses."""

    def judge(home: Home) -> Outcome:
        return outcome(home, stop, home.ask(ask))

    return judge


def ingest(day: str) -> Judge:
    """P0: ingest a landed day and judge it; stopped where later steps may not use the day."""

    def judge(home: Home) -> Outcome:
        said = home.job("ingest", days=[day])
        codes = [*said.codes, *contract_codes(home.workspace(), RAW, day)]
        usable = not said.reasons and home.ask(lambda ws: _usable(ws, day)).code == 0
        found = Said(0 if usable else 1, said.reasons, said.out, said.err)
        made = outcome(home, "P0", found)
        return Outcome("P0", made.refused, tuple(dict.fromkeys(codes)), made.alerts, made.text)

    return judge


def _usable(workspace: Workspace, day: str) -> None:
    with Step(workspace.trust, "features", "judge") as step:
        step.read(RAW, [day])


def contract_codes(workspace: Workspace, asset: str, day: str) -> list[str]:
    """The codes of every contract that keeps the day's newest bytes out, as they were signed."""
    heads = workspace.store.heads(asset).get(day, [])
    results = workspace.store.contract_results(asset)
    found: list[str] = []
    for head in heads:
        for result in results.get((day, head.sha256), {}).values():
            _, content = workspace.store.bundle(result.statement)
            statement = workspace.bundles.verify(content).statement
            assert read_contract(statement).suite == result.suite
            notes = statement.predicate["annotations"]
            told = [*notes["failures"], *notes.get("held", ())]  # either keeps the day out
            found += [str(item["code"]) for item in told if item["day"] == day]
    return found


def data_access(asset: str, partitions: Sequence[str], step: str = "features") -> Judge:
    """P1: the gate through which a step reads."""

    def read(workspace: Workspace) -> None:
        with Step(workspace.trust, step, "judge") as opened:
            opened.read(asset, partitions)
            opened.join_reads()

    return question("P1", read)


def training(**options: Any) -> Judge:
    """P2: training set, model, evaluation and registration, with options of `run`."""
    return job("P2", "training", options=options)


def registration() -> Judge:
    """P2: only the registration of the newest model."""
    return job("P2", "training", assets=["release_candidate"])


def promote() -> Judge:
    """P3: the promotion job on the approved candidate (state `approved`)."""

    def judge(home: Home) -> Outcome:
        said = home.job("promotion")
        made = outcome(home, "P3", said)
        moved = registry_of(home.workspace()).alias(CHAMPION) is not None
        assert moved or made.refused, "the job ended well, yet nobody is champion"
        return made

    return judge


def alias_move() -> Judge:
    """P4: the promotion job; the alias moves, or it still names what it named."""

    def judge(home: Home) -> Outcome:
        before = registry_of(home.workspace()).alias(CHAMPION)
        said = home.job("promotion")
        has_moved = registry_of(home.workspace()).alias(CHAMPION) != before
        assert has_moved == (said.code == 0), f"{said.codes}, yet moved: {has_moved}"
        assert not (home.path / "run" / "alias-move.json").exists(), "half a move is left"
        return outcome(home, "P4", said)

    return judge


def scoring(day: str) -> Judge:
    """P5: score a day with the champion (state `scored`)."""
    return job("P5", "scoring", days=[day])


def champion(stop: str) -> Judge:
    """The champion as scoring finds it: alias, decision, evidence and files."""
    return question(
        stop, lambda workspace: promotion.find_champion(workspace.trust, registry_of(workspace))
    )
