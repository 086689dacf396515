"""AP, PT and OP-08: who approves what until when, and promotions that meet each other."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.due.planning import registry_of
from fraud_provenance.models import approvals, effect
from fraud_provenance.models.registry import CHAMPION, Registry
from fraud_provenance_tests.approving import honest_approval
from fraud_provenance_tests.attacks.home import Home, clock_ahead, patched
from fraud_provenance_tests.attacks.judges import outcome, promote
from fraud_provenance_tests.attacks.model import Attack, Case, Mutant, Outcome, nothing
from fraud_provenance_tests.attacks.mutants import (
    both,
    policy_without,
    rests_on_anything,
    without,
)

OFFICER, TRAINER = "risk.officer@example.com", "ml.engineer@example.com"
_A_DAY = 86_400.0


def revoke_given(home: Home) -> None:
    """The approvals that the state came with count no more."""
    for record in home.workspace().store.records(predicate_type=statements.APPROVAL):
        said = home.command("revoke", record.statement, "--reason", "given too early")
        assert said.code == 0, said.err


def approval(home: Home, who: str = OFFICER, **lies: Any) -> VerifiedBundle:
    """An approval of the candidate as `who` would sign it, but for `lies`."""
    with home.surroundings():
        digest, honest = honest_approval(home.workspace())
        said = honest | lies
        subject = said.pop("subject", digest)
        return home.forger().sign(statements.APPROVAL, "fraud_model", subject, said, who)


def only(who: str = OFFICER, **lies: Any) -> Attack:
    """An attack: the one approval that is left is by `who` and lies."""

    def attack(home: Home) -> None:
        revoke_given(home)
        approval(home, who, **lies)

    return attack


def expired(home: Home) -> None:
    """The approval's time ended a moment ago."""
    now = datetime.now(UTC)
    only(expires_at=encoding.utc_text(now - timedelta(seconds=1)))(home)


flaws_do_not_count = both(
    policy_without(
        "APPROVAL_MISSING", "APPROVAL_SUBJECT_MISMATCH", "APPROVAL_ENV", "APPROVAL_EXPIRED",
        "APPROVAL_REVOKED", "APPROVAL_ROLE", "SELF_APPROVAL",
    ),
    rests_on_anything,
    without(effect, "_check_approval"),
)  # fmt: skip
"""A mutant: the rules about approvals are gone, in the policy and in the kernel, and so is what
chooses those that are used up."""


def case(name: str, attack: Attack, mutant: Mutant = flaws_do_not_count, **more: Any) -> Case:
    return Case(name, attack, promote(), more.pop("twin", only()), mutant, state="approved", **more)


# --- promotions that meet ----------------------------------------------------------------------


def overtaken(home: Home) -> None:
    """Between this promotion's decision and its move, somebody else moves the alias."""
    original = Registry.move

    def move(self: Registry, alias: str, expected: str, version: str) -> None:
        if alias == CHAMPION and not home.notes.get("overtaken"):
            home.notes["overtaken"] = True
            original(self, alias, expected, version)  # the other one, who wins
        original(self, alias, expected, version)

    home.hold(patched(Registry, "move", move))


def moved_first(home: Home) -> Outcome:
    """P4: one of two moves wins; the other is told so, and leaves nothing half done."""
    said = home.job("promotion")
    made = outcome(home, "P4", said)
    assert registry_of(home.workspace()).alias(CHAMPION) is not None
    assert not (home.path / "run" / "alias-move.json").exists()
    return made


def move_blindly() -> AbstractContextManager[object]:
    """A mutant: the alias moves whatever it names now."""

    def move(self: Registry, alias: str, _expected: str, version: str) -> None:
        self._client().set_registered_model_alias("fraud_model", alias, version)

    return patched(Registry, "move", move)


def fired_twice(home: Home) -> Outcome:
    """The job runs twice: one decision, one move, no refusal."""
    found = [outcome(home, "P3", home.job("promotion")) for _ in range(2)]
    workspace = home.workspace()
    links = workspace.store.chain("deployments")
    assert len(links) == 1, f"{len(links)} decisions"
    return next((item for item in found if item.refused), found[-1])


@contextmanager
def any_clock() -> Iterator[None]:
    """A mutant: nobody compares a stated time with the timestamp; the policy judges no time."""
    codes: Sequence[str] = ("TIME_SKEW", "APPROVAL_EXPIRED", "APPROVAL_MISSING")
    ages = without(effect, "_check_age")  # by the same clock, a decision made now is old
    with without(Signers, "check_clock")(), ages(), policy_without(*codes)():
        yield


def clock_of_promoter(home: Home) -> None:
    home.hold(clock_ahead(_A_DAY))


def clock_a_minute_off(home: Home) -> None:
    home.hold(clock_ahead(60.0))


nothing_is_withdrawn = both(flaws_do_not_count, without(approvals, "_is_withdrawn", result=False))
CASES = [
    case("AP-01", only(TRAINER), quick=True),
    case("AP-03", only(subject="d" * 64)),
    case("AP-04", only(environment="staging")),
    case("AP-05", expired),
    case("AP-07", revoke_given, nothing_is_withdrawn),
    Case("PT-03", overtaken, moved_first, nothing, move_blindly, state="approved"),
    Case("PT-04", nothing, fired_twice, state="approved"),
    case("OP-08", clock_of_promoter, any_clock, twin=clock_a_minute_off),
]
