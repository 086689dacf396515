"""PO, PT, SN, OP: a policy or engine that says nothing, the wrong thing, or too much."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates import canaries, cosign
from fraud_provenance.attested.gates import policy as policy_module
from fraud_provenance.attested.gates.policy import Answer, Policy, PolicyEngine
from fraud_provenance.models import promotion
from fraud_provenance_tests.attacks.cases_governance import (
    AUTHOR,
    REVIEWER,
    comment,
    edit,
    sign,
    sign_untried,
    start_over,
    upgrade_the_policy,
)
from fraud_provenance_tests.attacks.cases_other_models import evaluated_itself
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import (
    RAW,
    alias_move,
    data_access,
    promote,
    question,
    registration,
)
from fraud_provenance_tests.attacks.model import Attack, Case, Judge, Mutant, nothing
from fraud_provenance_tests.attacks.mutants import both, cosign_accepts_all, policy_without, without

DAY = "2018-05-09"
self_check = question("P8", lambda workspace: workspace.self_check())
_TYPE_CODES = ("INPUT_TYPE", "INPUT_MISSING", "INPUT_INVALID", "INPUT_UNVERIFIED_FIELD")


# --- policies that give no answer -----------------------------------------------------------------


def misspelt(gate: str) -> Attack:
    """Both authors release a policy in which the gate's decision has another name."""

    def attack(home: Home) -> None:
        edit(home, f"{gate}/{gate}.rego", lambda t: t.replace("decision := {", "decisoin := {"))
        sign_untried(home, AUTHOR, REVIEWER)

    return attack


def release_a_comment(home: Home) -> None:
    comment(home)
    sign(home, AUTHOR, REVIEWER)


def silence_is_consent(*codes: str) -> Mutant:
    """A mutant: where the engine gives no answer for these reasons, the gate opens."""
    asked = PolicyEngine.evaluate

    def evaluate(
        engine: PolicyEngine, policy: Policy, gate: str, document: Mapping[str, Any]
    ) -> Answer:
        try:
            return asked(engine, policy, gate, document)
        except ProvenanceError as error:
            if error.reasons[0].code in codes:
                return Answer(allowed=True, reasons=())
            raise

    return lambda: patched(PolicyEngine, "evaluate", evaluate)


def break_a_built_in(home: Home) -> None:
    """A rule compares times; the value given is no time, so that its deny rule is undefined."""
    rule = """
reasons contains {"code": "X", "message": "m", "remedy": "r", "subject": "s"} if {
	time.parse_rfc3339_ns(input.model.name) > 0
}
"""
    edit(home, "model_deployment/model_deployment.rego", lambda text: text + rule)
    sign(home, AUTHOR, REVIEWER)
    start_over(home)


def deny_if_not(field: str) -> Attack:
    """Both authors release a rule that denies where `field` of the model is not there."""
    rule = f"""
reasons contains {{"code": "X", "message": "m", "remedy": "r", "subject": "s"}} if {{
	not input.model.{field}
}}
"""

    def attack(home: Home) -> None:
        edit(home, "model_deployment/model_deployment.rego", lambda text: text + rule)
        sign_untried(home, AUTHOR, REVIEWER)

    return attack


@contextmanager
def without_strict_errors() -> Iterator[None]:
    """A mutant: a built-in's error makes its rule undefined, and nothing denies."""
    with patched(policy_module, "subprocess", _running(_lenient)):
        yield


def _lenient(command: list[str], **named: Any) -> subprocess.CompletedProcess[bytes]:
    left = [part for part in command if part != "--strict-builtin-errors"]
    return subprocess.run(left, check=False, **{k: v for k, v in named.items() if k != "check"})


# --- facts off their schema -----------------------------------------------------------------------


def facts(change: Callable[[dict[str, Any]], None]) -> Attack:
    """What the deployment gate is told is changed on its way, as a fault in the collector would."""
    honest = promotion.registration_input

    def changed(*arguments: Any) -> dict[str, Any]:
        document: dict[str, Any] = honest(*arguments)
        change(document)
        return document

    return lambda home: home.hold(patched(promotion, "registration_input", changed))


def metric_as_text(document: dict[str, Any]) -> None:
    document["evaluation"]["metrics"]["auc_roc"] = "0.10"


def metric_missing(document: dict[str, Any]) -> None:
    del document["evaluation"]["metrics"]["auc_roc"]


def dirty_flag_missing(document: dict[str, Any]) -> None:
    """`not made.git_dirty` would be true of a lineage that says nothing about it."""
    del document["code"][0]["git_dirty"]


def verified_says_the_evidence(document: dict[str, Any]) -> None:
    document["evaluation"]["verified"] = True


def same_facts(document: dict[str, Any]) -> None:
    document["evaluation"]["metrics"] = dict(reversed(document["evaluation"]["metrics"].items()))


unchecked_input = both(
    without(PolicyEngine, "_check_input"),
    policy_without(*_TYPE_CODES, "METRIC_BELOW_MINIMUM", "GIT_DIRTY", "GATE_DENIED"),
)
"""A mutant: no schema is held against the input, neither here nor in the policy."""


def _facts_case(line: str, change: Callable[[dict[str, Any]], None]) -> Case:
    return Case(
        line, facts(change), promote(), facts(same_facts), unchecked_input, state="approved"
    )


# --- engines and verifiers that are not themselves ------------------------------------------------


def _running(run: Callable[..., Any]) -> SimpleNamespace:
    """The module `subprocess` with another `run`."""
    return SimpleNamespace(
        run=run,
        SubprocessError=subprocess.SubprocessError,
        TimeoutExpired=subprocess.TimeoutExpired,
    )


def engine(run: Callable[..., Any], gate: str = "") -> Attack:
    """Whatever starts OPA (to ask it about this gate) gets `run` instead."""

    def chosen(command: list[str], **named: Any) -> Any:  # noqa: ANN401 - as subprocess.run
        is_asked = f"data.fraud.{gate}" in command[-1]
        return (run if is_asked else subprocess.run)(command, **named)

    return lambda home: home.hold(patched(policy_module, "subprocess", _running(chosen)))


def verifier(run: Callable[..., Any]) -> Attack:
    """Whatever starts cosign gets `run` instead."""
    return lambda home: home.hold(patched(cosign, "subprocess", _running(run)))


def says_yes(command: list[str], **_named: Any) -> subprocess.CompletedProcess[bytes]:
    value = {"decision": {"allow": True, "reasons": []}, "input": {"asked": "by somebody else"}}
    said = {"result": [{"expressions": [{"value": value}]}]}
    return subprocess.CompletedProcess(command, 0, json.dumps(said).encode(), b"")


def cannot_run(command: list[str], **_named: Any) -> subprocess.CompletedProcess[bytes]:
    raise OSError(2, "No such file or directory", command[0])


def answers_500(command: list[str], **_named: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(command, -9, b"", b"500 Internal Server Error")


def says_nothing(command: list[str], **_named: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(command, 0, b"", b"")


def hangs(command: list[str], **named: Any) -> subprocess.CompletedProcess[bytes]:
    raise subprocess.TimeoutExpired(command, named["timeout"])


def crashes(command: list[str], **_named: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(command, -11, b"", b"")


def edit_the_copy(home: Home) -> None:
    """A rule is added to the policy that runs, after it was verified."""
    made = Policy.__init__

    def init(policy: Policy, *arguments: Any) -> None:
        made(policy, *arguments)
        for gate in ("model_deployment", "data_access", "model_registration"):
            path = policy.folder / gate / "more.rego"
            path.write_text(f"package fraud.{gate}\n\nmore := true\n")

    home.hold(patched(Policy, "__init__", init))


@contextmanager
def copy_unchecked() -> Iterator[None]:
    """A mutant: nobody compares the copy, and the canaries that ask it sing as ever."""
    with without(Policy, "check_copy")(), patched(canaries, "check", _sing):
        yield


_sing = canaries.check


def wake_the_canaries(home: Home) -> None:
    """A process that starts has not heard them yet; this one has."""
    home.hold(patched(canaries, "_PASSED", set()))


def read_the_copy(home: Home) -> None:
    made = Policy.__init__

    def init(policy: Policy, *arguments: Any) -> None:
        made(policy, *arguments)
        for path in sorted(policy.folder.rglob("*.rego")):
            path.write_bytes(path.read_bytes())

    home.hold(patched(Policy, "__init__", init))


# --- the gates ------------------------------------------------------------------------------------


def after(first: Attack, *then: Attack) -> Attack:
    """One thing after another."""

    def attack(home: Home) -> None:
        for act in (first, *then):
            act(home)

    return attack


@dataclass(frozen=True)
class Gate:
    """A gate that asks the policy, and the product's own job that comes to it.

    `before` and `release` lead to where nothing but the policy's answer is missing: first in the
    policy that is in force, then after another one was released.
    """

    stop: str
    name: str
    judge: Judge
    state: str = "scored"
    before: Attack = nothing
    release: Attack = nothing


GATES = (
    Gate("P1", "data_access", data_access(RAW, [DAY])),
    Gate("P2", "model_registration", registration()),
    Gate("P3", "model_deployment", promote(), "approved", release=start_over),
    # A champion stands, and another model is approved.
    Gate("P4", "model_deployment", alias_move(), before=evaluated_itself, release=start_over),
)
CASES = [
    *(
        Case(
            "PO-02", after(gate.before, misspelt(gate.name), gate.release), gate.judge,
            after(gate.before, release_a_comment, gate.release),
            silence_is_consent("POLICY_UNDEFINED"), gate.state, gate.stop,
        )
        for gate in GATES
    ),
    _facts_case("PO-03", metric_as_text),
    _facts_case("PO-04", metric_missing),
    _facts_case("PO-05", dirty_flag_missing),
    Case(
        "PO-05", after(wake_the_canaries, deny_if_not("nmae")), self_check,
        after(wake_the_canaries, deny_if_not("name")), without(PolicyEngine, "check_rules"),
        variant="start-up",
    ),
    _facts_case("PO-08", verified_says_the_evidence),
    Case(
        "PO-09", edit_the_copy, promote(), read_the_copy, without(Policy, "check_copy"),
        state="approved", variant="promotion",
    ),
    Case(
        "PO-09", after(wake_the_canaries, edit_the_copy), self_check,
        after(wake_the_canaries, read_the_copy), copy_unchecked, variant="start-up",
    ),
    Case(
        "PO-12", break_a_built_in, promote(), upgrade_the_policy, without_strict_errors,
        state="approved",
    ),
    Case(
        "SN-06", engine(says_yes), promote(), engine(subprocess.run),
        without(policy_module, "_check_echo"), state="approved",
    ),
    Case(
        "PT-09", verifier(says_nothing), promote(), verifier(subprocess.run), cosign_accepts_all,
        state="approved", variant="empty",
    ),
    Case(
        "PT-09", verifier(hangs), promote(), verifier(subprocess.run), cosign_accepts_all,
        state="approved", variant="timeout",
    ),
    Case(
        "PT-09", verifier(crashes), promote(), verifier(subprocess.run), cosign_accepts_all,
        state="approved", variant="crash",
    ),
    *(
        Case(
            "OP-05", after(gate.before, engine(run, gate.name)), gate.judge,
            after(gate.before, engine(subprocess.run)),
            silence_is_consent("POLICY_UNAVAILABLE"), gate.state, f"{how}, {gate.stop}",
            quick=(how, gate.stop) == ("missing", "P1"),
        )
        for how, run in (("missing", cannot_run), ("error", answers_500))
        for gate in GATES
    ),
]  # fmt: skip
