"""What cures begin with: releases that two policy authors signed, and that do not do."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.local import tools
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.step import access
from fraud_provenance.attested.step.step import Step
from fraud_provenance.attested.tlog.notes import log_keys
from fraud_provenance.attested.tlog.witness import LocalWitness, create_local_witness
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people import governing
from fraud_provenance.predictions import audit
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions.batch import Batch
from fraud_provenance_tests.attacks import cases_governance, cases_rotation, honest
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attacks.cases_data import DAY
from fraud_provenance_tests.attacks.cases_governance import AUTHOR, REVIEWER
from fraud_provenance_tests.attacks.cases_log import sign_something
from fraud_provenance_tests.attacks.cases_policy import wake_the_canaries
from fraud_provenance_tests.attacks.cases_reproducibility import demand
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import RAW, question
from fraud_provenance_tests.attacks.model import Attack, Judge
from fraud_provenance_tests.attacks.network import free_port
from fraud_provenance_tests.evidence.simulated_witness import served, speaking

Change = Callable[[Any], None]


# --- documents -----------------------------------------------------------------------------------


def released(name: str, change: Change, *, tried: bool = False) -> Attack:
    """Both authors sign a changed JSON file of the policies, as before releases were tried."""

    def changed(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document, indent=2)

    def attack(home: Home) -> None:
        cases_governance.edit(home, name, changed)
        sign = cases_governance.sign if tried else cases_governance.sign_untried
        sign(home, AUTHOR, REVIEWER)

    return attack


def reads(**change: Any) -> Attack:
    """In the next release the features step is another one."""
    return released("data/layout.json", lambda layout: layout["steps"]["features"].update(change))


def asks_of_the_request(change: Change) -> Attack:
    """In the next release the gate of data demands another request than the code makes."""
    return released(
        "schemas/data_access.json", lambda schema: change(schema["properties"]["request"])
    )


def a_field_less(request: Any) -> None:  # noqa: ANN401 - JSON
    del request["properties"]["purpose"]
    request["required"].remove("purpose")


def a_field_more(request: Any) -> None:  # noqa: ANN401 - JSON
    request["properties"]["ticket"] = {"type": "string"}
    request["required"].append("ticket")


def another_type(request: Any) -> None:  # noqa: ANN401 - JSON
    request["properties"]["purpose"] = {"type": "integer"}


def other_words(request: Any) -> None:  # noqa: ANN401 - JSON
    request["properties"]["purpose"] = {"type": "string", "enum": ["to read"]}


def no_age(home: Home) -> None:
    """Both authors' signatures are under a layout that lacks what its schema demands."""

    def forget(layout: Any) -> None:  # noqa: ANN401 - JSON
        del layout["steps"]["features"]["max_age_days"]

    cases_governance.edit_layout(home, forget)
    cases_governance.force(home)


def read_for(purpose: str) -> Judge:
    """P1: the features step reads a day for a purpose that it names."""

    def read(workspace: Workspace) -> None:
        with Step(workspace.trust, "features", "judge") as step:
            step.read(RAW, [DAY], purpose)

    return question("P1", read)


# --- rules ---------------------------------------------------------------------------------------


def rule_released(name: str, before: str, after: str) -> Attack:
    def attack(home: Home) -> None:
        cases_governance.edit(home, name, lambda text: text.replace(before, after))
        cases_governance.sign_untried(home, AUTHOR, REVIEWER)
        wake_the_canaries(home)

    return attack


anybody_signs = rule_released(
    "data_access/data_access.rego", "not signed_by_producer(partition)", "not true"
)
silent_no = rule_released(
    "data_access/data_access.rego", "count(reasons) == 0", "count(reasons) == 99"
)


def back_to_the_first(home: Home) -> None:
    """A release is in force, and somebody checks the policies of the one before it out."""
    cases_governance.comment(home)
    cases_governance.sign(home, AUTHOR, REVIEWER)
    subprocess.run(["git", "checkout", "-q", "--", "policies"], cwd=home.project, check=True)


# --- demands -------------------------------------------------------------------------------------


def more_features(thresholds: Any) -> None:  # noqa: ANN401 - JSON
    thresholds["min_features"]["value"] = 16


def demands(threshold: str, value: int) -> Attack:
    """From the next release on a model must do more."""
    return lambda home: demand(home, threshold, lambda _before: value)


def an_old_model(home: Home) -> None:
    """No model may be older than three weeks, and the newest one is a month old."""
    demand(home, "max_data_age_days", lambda _before: 21)
    home.job("training", options={"train_start": "2018-04-05"})


# --- people --------------------------------------------------------------------------------------

STRANGER = "new.colleague@example.com"


def enrolled(home: Home, _backup: Path) -> None:
    """The hand: the colleague becomes an approver in the principals."""

    def add(text: str) -> str:
        document = json.loads(text)
        officer = next(p for p in document["principals"] if p["id"] == "model-risk")
        colleague = {"issuer": "people", "subject": STRANGER}
        document["principals"].append(officer | {"id": "new-colleague", "identities": [colleague]})
        return json.dumps(document, indent=2)

    cases_governance.edit(home, "data/principals.json", add)


def trainer_retired(home: Home) -> None:
    """Nobody is trainer any more; the identity goes on to sign."""

    def retire(principals: Any) -> None:  # noqa: ANN401 - JSON
        next(p for p in principals["principals"] if "trainer" in p["roles"])["roles"] = ["platform"]

    released("data/principals.json", retire)(home)


THIRD = "policy.third@example.com"


def _with_third(principals: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """A third policy author is there; returns the principals of the two before."""
    two = [p for p in principals["principals"] if "policy_author" in p["roles"]]
    third = {"id": "policy-third", "identities": [{"issuer": "people", "subject": THIRD}]}
    principals["principals"].append(two[0] | third)
    return two


def author_trains(principals: Any) -> None:  # noqa: ANN401 - JSON
    """One of both who sign went to those who train."""
    _, second = _with_third(principals)
    trainer = next(p for p in principals["principals"] if "trainer" in p["roles"])
    trainer["identities"] += second["identities"]
    principals["principals"].remove(second)


def people_released(change: Change) -> Attack:
    """Principals are released, and the candidate is registered and approved under them."""

    def attack(home: Home) -> None:
        released("data/principals.json", change)(home)
        cases_governance.start_over(home)

    return attack


def principals_apart(home: Home, _backup: Path) -> None:
    """The hand: each policy author is a principal again, and the third one stays."""
    subprocess.run(["git", "checkout", "-q", "--", "policies"], cwd=home.project, check=True)

    def add(text: str) -> str:
        document = json.loads(text)
        _with_third(document)
        return json.dumps(document, indent=2)

    cases_governance.edit(home, "data/principals.json", add)
    commit_all(home.project, "Each with a principal of its own")


# --- homes ---------------------------------------------------------------------------------------


def killed_before_its_release(home: Home) -> None:
    """A new home, of which `up` was killed before it had signed the first release."""

    def never(_workspace: object) -> None:
        raise BackendError(reason(RootCause.STORAGE_UNAVAILABLE, "killed here"))

    honest.no_home(home)
    with patched(governing, "found", never):
        assert home.command("up").code != 0


def old_day(home: Home) -> None:
    """The statement of the newest day is as old as the layout allows, and a day more."""
    statement = home.workspace().store.heads(RAW)[honest.LAST][0].statement
    home.notes["statement"] = statement
    told = access.signer_facts

    def aged(bundle: VerifiedBundle) -> dict[str, Any]:
        facts = told(bundle)
        if bundle.statement.digest == statement:
            signed = encoding.parse_utc(facts["signed_at"]) - timedelta(days=1096)
            facts["signed_at"] = encoding.utc_text(signed)
        return facts

    home.hold(patched(access, "signer_facts", aged))


def witness_away(home: Home) -> None:
    """A second witness must countersign each head, and one day it does not answer."""
    trust = home.path / "trust"
    keys = log_keys((trust / "trusted_root.json").read_bytes())
    folder = home.path / "scratch" / "second"
    key = create_local_witness(folder).text
    witness = LocalWitness(folder, {item.origin: item for item in keys.values()})
    url = home.hold(served(speaking(witness)))
    document = json.loads((trust / "witnesses.json").read_bytes())
    document["threshold"] = 2
    document["witnesses"].append({"key": key, "url": url})
    (trust / "witnesses.json").write_text(json.dumps(document), "utf-8")
    cases_rotation.release(home)
    assert home.command("audit").code == 0
    sign_something(home)
    home.ports[int(url.rsplit(":", 1)[1])] = free_port()


def witness_back(home: Home, _backup: Path) -> None:
    """The hand: the witness answers again."""
    home.ports.clear()
    home.ports.update(home.notes["ports"])


# --- tools and clocks ----------------------------------------------------------------------------


def own_tools(change: Callable[[Path], None]) -> Attack:
    """The tools lie in a folder of the home's own, and something happens to one of them."""

    def attack(home: Home) -> None:
        home.notes["built"] = tools.tools_dir()
        folder = home.path / "scratch" / "tools"
        shutil.copytree(tools.tools_dir(), folder)
        home.hold(patched(tools, "tools_dir", lambda: folder))
        change(folder)

    return attack


def tool_gone(folder: Path) -> None:
    (folder / "cosign").unlink()


def tool_replaced(folder: Path) -> None:
    with (folder / "cosign").open("ab") as stream:
        stream.write(b"\0")


def built_again(home: Home, _backup: Path) -> None:
    """The hand: the folder is deleted, and built again from the pinned sources."""
    shutil.rmtree(tools.tools_dir())
    shutil.copytree(home.notes["built"], tools.tools_dir())


def clock_behind(home: Home) -> None:
    """This machine's clock was set back by an hour."""
    names = [item.name for item in fields(Settings) if item.default is not MISSING]
    given = Settings.__init__.__defaults__
    assert given is not None
    defaults = dict(zip(names, given, strict=True))
    right = defaults["clock"]
    defaults["clock"] = lambda: right() - timedelta(hours=1)
    home.hold(patched(Settings.__init__, "__defaults__", tuple(defaults.values())))


def silence(home: Home) -> None:
    """The newest batch was logged three days ago, as far as anybody can see."""
    trust = home.workspace().trust
    newest = prediction_log.last_batch(trust)
    assert newest is not None
    hours = (trust.clock() - newest[0].signed_at - timedelta(seconds=1)) / timedelta(hours=1)
    limit, last = audit._threshold, prediction_log.last_batch

    def threshold(trust: Trust, name: str) -> Any:  # noqa: ANN401 - as the original
        return hours if name == "max_prediction_silence_hours" else limit(trust, name)

    def last_batch(trust: Trust) -> tuple[VerifiedBundle, Batch] | None:
        found = last(trust)
        if found is None or found[1] != newest[1]:
            return found
        then = found[0].signed_at - timedelta(days=3)
        return found[0].model_copy(update={"signed_at": then}), found[1]

    home.hold(patched(audit, "_threshold", threshold))
    home.hold(patched(prediction_log, "last_batch", last_batch))
