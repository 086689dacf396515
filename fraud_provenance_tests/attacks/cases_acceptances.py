"""AC: an unusual day that nobody with the role accepted as it is."""

from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.acceptances import predicate_of
from fraud_provenance.attested.lineage.nodes import Judgement
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.statements import Contract
from fraud_provenance_tests.attacks.cases_data import NEW_DAY, landed
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import RAW, data_access
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import policy_without

OWNER, OFFICER = "data.owner@example.com", "risk.officer@example.com"


def a_held_day(home: Home) -> tuple[str, dict[str, Contract]]:
    """The next day arrives with far fewer rows and cheaper; its digest, and what holds it."""
    landed(lambda frame: frame.sample(fraction=0.4, seed=1))(home)
    home.job("ingest", days=[NEW_DAY])
    workspace = home.workspace()
    sha256 = workspace.store.heads(RAW)[NEW_DAY][0].sha256
    results = workspace.store.contract_results(RAW)[NEW_DAY, sha256].values()
    held = [item.statement for item in results if item.result == "WARNED"]
    assert held, "nothing holds the day"
    lineage = workspace.trust.lineage()
    return sha256, {name: lineage.trusted(name, Judgement).contract for name in held}


def accepted(who: str = OWNER, **lies: Any) -> Attack:
    """The held day with an acceptance in which these facts are others."""

    def attack(home: Home) -> None:
        sha256, contracts = a_held_day(home)
        forger = home.forger()
        when = issued(forger.trust.clock()) | {"reason": "it is right"}
        said = predicate_of("local", RAW, (NEW_DAY, sha256), contracts) | when | lies
        said["findings_digest"] = encoding.digest_json(said["findings"])
        forger.sign(statements.ACCEPTANCE, RAW, str(said["sha256"]), said, who)

    return attack


def of_fewer_findings(home: Home) -> None:
    """What was accepted is real; the day has one more finding by now."""
    sha256, contracts = a_held_day(home)
    accept(home)
    forger = home.forger()
    (statement, contract), *_ = contracts.items()
    view = forger.trust.lineage().trusted(statement, Judgement).manifest
    more = contract.held[0].model_copy(update={"check": "amount_mean_ratios_are_usual"})
    node = forger.trust.lineage().node(contract.decision)
    forger.contract(
        view, contract.suite, [], decision=node.statement, rows=contract.rows,
        held=[item.model_dump(exclude_none=True) for item in (*contract.held, more)],
    )  # fmt: skip
    assert sha256 in {entry.sha256 for entry in view.entries}


def accept(home: Home) -> None:
    said = home.command("accept", RAW, NEW_DAY, "--as", OWNER, "--reason", "a quiet day")
    assert said.code == 0, said.err


def accept_it(home: Home) -> None:
    """The twin of all: a data owner looks and accepts."""
    a_held_day(home)
    accept(home)


def withdrawn(home: Home) -> None:
    """The acceptance was real, and was revoked."""
    accept_it(home)
    store = home.workspace().store
    statement = store.records(predicate_type=statements.ACCEPTANCE)[-1].statement
    said = home.command("revoke", statement, "--reason", "it was a cut feed")
    assert said.code == 0, said.err


def _case(line: str, attack: Attack, variant: str = "") -> Case:
    return Case(line, attack, data_access(RAW, [NEW_DAY]), accept_it, policy_without("DATA_HELD"),
                variant=variant)  # fmt: skip


CASES = [
    _case("AC-01", lambda home: (a_held_day(home), None)[1], "nobody accepted"),
    _case("AC-01", accepted("/steps/contracts"), "signed by a step"),
    _case("AC-02", accepted(sha256="d" * 64)),
    _case("AC-03", of_fewer_findings),
    _case("AC-04", accepted(OFFICER)),
    _case("AC-05", accepted(environment="staging")),
    _case("AC-06", withdrawn),
]
