"""SI-19, SI-23: who a signer is, however spelled; and what a release puts into force."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fraud_provenance.attested.rules.releases import Releases
from fraud_provenance.attested.statements import identities
from fraud_provenance_tests.attacks.cases_governance import (
    AUTHOR,
    REVIEWER,
    comment,
    edit,
    release_root,
    start_check,
)
from fraud_provenance_tests.attacks.cases_rotation import change_root
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, without
from fraud_provenance_tests.conftest import Forger


def put(home: Home, forger: Forger, *people: str) -> None:
    """Real signatures under the files as they are, without the product's look at them."""
    expected = home.workspace().expectations()
    for email in people:
        made = expected.statement(email, "trust me")
        forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, email)


# --- identities ----------------------------------------------------------------------------------


@contextmanager
def _by_spelling() -> Iterator[None]:
    with (
        patched(identities, "canonical", lambda identity: identity),
        patched(identities, "groups", lambda parties: [[party] for party in parties]),
    ):
        yield


def by_spelling() -> Any:  # noqa: ANN401 - a context manager
    """A mutant: whoever is written otherwise is somebody else."""
    return both(_by_spelling, without(Releases, "check"))()


def sign_twice_as(second: str) -> Attack:
    """The second policy author is the first one, spelled `second`; then "both" sign a change.

    The honest pair overlooked it when it signed who the authors are.
    """

    def attack(home: Home) -> None:
        forger = home.forger()
        edit(home, "data/principals.json", lambda text: text.replace(REVIEWER, second))
        with by_spelling():
            put(home, forger, AUTHOR, REVIEWER)
            comment(home)
            put(home, forger, AUTHOR, second)

    return attack


# --- what would bind -----------------------------------------------------------------------------


def release_a_root(change: Callable[[dict[str, Any]], None]) -> Attack:
    """Both authors sign a trusted root without trying it."""

    def attack(home: Home) -> None:
        forger = home.forger()
        forger.trust.signing._signer(identities.of_person(AUTHOR))  # reads how to sign, once
        change_root(home, change)
        put(home, forger, AUTHOR, REVIEWER)

    return attack


def log_for_ever(root: dict[str, Any]) -> None:
    del root["tlogs"][0]["publicKey"]["validFor"]


def certificates_for_ever(root: dict[str, Any]) -> None:
    del root["ctlogs"][0]["publicKey"]["validFor"]


CASES = [
    *(
        Case("SI-19", sign_twice_as(second), start_check, sign_twice_as("new.author@example.com"),
             by_spelling, variant=variant)
        for variant, second in (
            ("capitals", AUTHOR.upper()),
            ("domain", AUTHOR.replace("example.com", "Example.com")),
            ("tag", AUTHOR.replace("@", "+2@")),
        )
    ),
    *(
        Case("SI-23", release_a_root(change), start_check, release_root,
             without(Releases, "check"), variant=variant)
        for variant, change in (("log", log_for_ever), ("certificate log", certificates_for_ever))
    ),
]  # fmt: skip
