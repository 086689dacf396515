"""PT-05, PT-06, F3: decisions are asked again where they act, and use up what was before them.

RP-08, F1, F2: what a gate demands of a model is listed, and measured by knowledge.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Decision
from fraud_provenance.attested.rules.layout import StepRule
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion, waiting
from fraud_provenance.models.registry import CHAMPION, Registry
from fraud_provenance_tests.attacks.cases_approvals import OFFICER
from fraud_provenance_tests.attacks.cases_evidence import approve
from fraud_provenance_tests.attacks.cases_governance import AUTHOR, REVIEWER, comment, sign
from fraud_provenance_tests.attacks.cases_other_models import second_model
from fraud_provenance_tests.attacks.home import Home, clock_ahead, patched
from fraud_provenance_tests.attacks.judges import alias_move, outcome
from fraud_provenance_tests.attacks.model import Attack, Case, Judge, Outcome
from fraud_provenance_tests.attacks.mutants import both, policy_without, without
from fraud_provenance_tests.attacks.serving import json_of

DEPUTY = "identity:risk.deputy@example.com"
_ALL_OF_OFFICER = f"identity:{OFFICER} since 2026-01-01T00:00:00Z"
_TEN_DAYS, _TEN_MINUTES = 864_000.0, 600.0

decided_is_done = without(promotion, "take_effect")
"""A mutant: what was decided is carried out, whatever happened since."""


# --- a revocation that lands in between ----------------------------------------------------------


def revoke(home: Home, *subjects: str) -> None:
    """People withdraw each of these; `approval` stands for the ones that were given."""
    records = home.workspace().store.records(predicate_type=statements.APPROVAL)
    for subject in subjects:
        for target in [r.statement for r in records] if subject == "approval" else [subject]:
            whom, _, since = target.partition(" since ")
            more = ("--from", since) if since else ()
            said = home.command("revoke", whom, "--reason", "found out just now", *more)
            assert said.code == 0, said.err


def meanwhile(owner: Any, name: str, *subjects: str) -> Attack:  # noqa: ANN401 - anything
    """An attack: right before `owner.name` is called, for the first time, people revoke."""

    def attack(home: Home) -> None:
        original = getattr(owner, name)

        def late(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the original's own
            if not home.notes.get("withdrawn"):
                home.notes["withdrawn"] = True
                revoke(home, *subjects)
            return original(*arguments, **named)

        home.hold(patched(owner, name, late))

    return attack


# --- a decision that a kill left undone ----------------------------------------------------------


def killed(home: Home) -> None:
    """The promotion ends between its decision and the move."""

    def never(*_arguments: object) -> None:
        raise BackendError(reason(ProductCause.REGISTRY_UNAVAILABLE, "killed here"))

    def promote(workspace: Workspace) -> None:
        registry = registry_of(workspace)
        promotion.promote(workspace.trust, registry, lambda: workspace.pinned_tool("cosign"))

    with patched(Registry, "move", never):
        said = home.ask(promote)
    assert said.codes == ("REGISTRY_UNAVAILABLE",), said
    assert (home.path / "run" / "alias-move.json").exists()


def killed_too_late(home: Home) -> None:
    """The policy lets no decision wait: what the kill left is too old, by clocks that are right."""
    killed(home)
    original = Policy.data

    def data(self: Policy, name: str) -> dict[str, Any]:
        found: dict[str, Any] = original(self, name)
        if name == "thresholds":
            found = found | {"undone_decision_minutes": {"value": 0, "reason": ""}}
        return found

    home.notes["late"] = home.hold(ExitStack())
    home.notes["late"].enter_context(patched(Policy, "data", data))


def in_time(home: Home) -> None:
    """From here on a decision may wait as long as the policy really says."""
    home.notes["late"].close()


def killed_then(*subjects: str, seconds: float = 0.0) -> Attack:
    """An attack: the next run comes after these were revoked, or so much later."""

    def attack(home: Home) -> None:
        killed(home)
        revoke(home, *subjects)
        if seconds:
            home.hold(clock_ahead(seconds))

    return attack


def policy_moved(home: Home) -> None:
    """Between decision and move two authors release another policy."""
    killed(home)
    comment(home)
    sign(home, AUTHOR, REVIEWER)


def finished(home: Home) -> Outcome:
    """P4: what `run` does first about a promotion: finish, or take back, what a kill left."""
    said = home.ask(
        lambda workspace: promotion.finish_move(workspace.trust, registry_of(workspace))
    )
    assert (said.code == 0) == (champion_of(home) == "1")
    assert not (home.path / "run" / "alias-move.json").exists(), "half a move is left"
    return outcome(home, "P4", said)


def then(mend: Attack) -> Judge:
    """P4, and the remedy after it: the next promotion decides anew and moves the alias."""

    def judge(home: Home) -> Outcome:
        made = finished(home)
        if made.refused:
            mend(home)
            said = home.job("promotion")
            assert said.code == 0, said
            assert champion_of(home) == "1"
            verdict = home.command("verify", "model@champion")
            assert verdict.code == 0, verdict.err
        return made

    return judge


# --- approvals that a promotion used up ----------------------------------------------------------


def second_promoted(home: Home) -> None:
    """Model 1 is approved and waits; model 2 is trained, approved and promoted."""
    said = home.job("training", options={"train_start": "2018-04-24"})
    assert said.code == 0, said
    approve(home)
    said = home.job("promotion")
    assert said.code == 0, said
    assert champion_of(home) == "2"
    ready = promotion.is_ready(home.workspace().trust, registry_of(home.workspace()))
    assert not ready, "a used up approval waits"


def first_approved_again(home: Home) -> None:
    """The twin: people look at model 1 once more and say that it shall replace model 2."""
    second_promoted(home)
    said = home.command(
        "approve", "model:1", "--environment", "local", "--as", OFFICER, "--reason", "after all"
    )
    assert said.code == 0, said.err


def champion_of(home: Home) -> str:
    named = registry_of(home.workspace()).alias(CHAMPION)
    return named.version if named else ""


def goes_back(home: Home) -> Outcome:
    """P3: the next promotion. Refused, the champion stays, and the one after finds all done."""
    made = outcome(home, "P3", home.job("promotion"))
    assert champion_of(home) == ("2" if made.refused else "1")
    if made.refused:
        assert home.job("promotion").code == 0, "an approval that was judged is asked again"
    return made


@contextmanager
def own_approvals_only() -> Iterator[None]:
    """A mutant: a promotion uses up the approvals that it rests on, and no others."""

    def used_up(trust: Trust, policy: Policy) -> Callable[[VerifiedBundle], bool]:
        used = {
            digest
            for node in waiting.decisions_on(trust, policy, "deploy")
            if isinstance(node, Decision) and node.summary.allowed
            for digest in node.summary.inputs
        }
        return lambda given: given.statement.digest in used

    with patched(waiting, "_used_up", used_up):
        yield


# --- what a gate demands -------------------------------------------------------------------------


def without_parameters(*names: str) -> Attack:
    """An attack: the trainer signs a second model, and its statement leaves these out."""

    def lie(predicate: dict[str, Any]) -> None:
        given = predicate["buildDefinition"]["externalParameters"]["parameters"]
        for name in names:
            del given[name]

    return lambda home: second_model(home, lie=lie)


def judged(home: Home) -> Outcome:
    """P2: evaluation and registration of the newest model."""
    assets = ["model_evaluation", "release_candidate"]
    return outcome(home, "P2", home.job("training", assets=assets))


def threshold_of(change: Callable[[float], float]) -> Attack:
    """An attack: a second model like the first but for its threshold, in all of its files."""

    def files(content: dict[str, bytes]) -> None:
        contract = json_of(content["feature_contract.json"])
        contract["threshold"] = change(contract["threshold"])
        content["feature_contract.json"] = json.dumps(contract, indent=1, sort_keys=True).encode()

    return lambda home: second_model(home, files)


def split_again(start: str) -> Attack:
    """An attack: honest jobs in another order; the training set is made anew after the training."""

    def attack(home: Home) -> None:
        said = home.job("training", options={"train_start": start}, assets=["training_set"])
        assert said.code == 0, said

    return attack


any_days = policy_without("EVAL_ON_TRAIN")
any_threshold = policy_without("THRESHOLD_OUT_OF_RANGE")
parameters_at_will = both(
    without(StepRule, "check_complete"), policy_without("PARAM_MISSING"),
)  # fmt: skip


def _during(variant: str, owner: Any, name: str, *subjects: str, **more: Any) -> Case:  # noqa: ANN401
    return Case("PT-05", meanwhile(owner, name, *subjects), alias_move(),
                meanwhile(cosign, "count_accepted", DEPUTY), decided_is_done, state="approved",
                variant=variant, **more)  # fmt: skip


def _after(variant: str, attack: Attack, twin: Attack = killed, judge: Judge | None = None) -> Case:
    return Case("PT-06", attack, judge or finished, twin, decided_is_done, state="approved",
                variant=variant)  # fmt: skip


CASES = [
    _during("approval, while cosign runs", cosign, "count_accepted", "approval"),
    _during("model, after the last look", promotion, "_sign_deployment", "model@candidate"),
    _during("day, at the move", Registry, "move", "raw_transactions/2018-05-01"),
    _during("approver, at the move", promotion, "_move_alias", _ALL_OF_OFFICER),
    _after("ten days", killed_then(seconds=_TEN_DAYS), killed_then(seconds=_TEN_MINUTES)),
    _after("too late, then decided anew", killed_too_late, killed, then(in_time)),
    _after("approval withdrawn", killed_then("approval"), killed, then(approve)),
    _after("model withdrawn", killed_then("model@candidate")),
    _after("policy moved on", policy_moved),
    *(
        Case("RP-08", without_parameters(*names), judged, without_parameters(),
             parameters_at_will, variant=" and ".join(names))
        for names in (("seed", "nthread"), ("max_depth",))
    ),
    Case("F1", split_again("2018-04-11"), judged, split_again("2018-04-25"), any_days),
    Case("F1", split_again("2018-04-24"), judged, split_again("2018-04-25"), any_days,
         variant="within the delay"),
    Case("F2", threshold_of(lambda _: 2.0), judged, threshold_of(lambda t: t * 1.01),
         any_threshold),
    Case("F2", threshold_of(lambda _: 0.999999), judged, threshold_of(lambda t: t * 0.99),
         any_threshold, variant="within the range of scores"),
    Case("F3", second_promoted, goes_back, first_approved_again, own_approvals_only,
         state="approved"),
]  # fmt: skip
