"""How evidence learns what runs: from a checkout here, from the digest of an image elsewhere."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from fraud_provenance.attested.statements.statements import Material


@dataclass(frozen=True)
class CodeFacts:
    """What ran: commit, the digest of the actual work tree, lock and installed packages."""

    git_commit: str
    git_dirty: bool
    materials: tuple[Material, ...]

    @property
    def lock(self) -> str:
        """SHA-256 of the dependency lock, or an empty string."""
        return next((item.digest for item in self.materials if item.role == "lock"), "")


class Attestor(Protocol):
    """Says what runs."""

    def code(self) -> CodeFacts:
        """The code and its surroundings, as they were when they were first asked for.

        Raises:
            BackendError: GIT_UNAVAILABLE, nobody can say. VerificationError: as the tools' digests.
        """

    def step_code(self, step: str) -> str:
        """The digest of what shapes a step's output; an empty string where nobody can tell."""

    def is_on_branch(self, commit: str, branch: str) -> bool:
        """Whether a commit is in the history of a branch (`refs/heads/…`)."""

    def packages(self) -> "Future[tuple[str, ...]]":
        """What differs between the installed packages and the lock; found in the background."""

    def forget(self) -> None:
        """Look anew when asked next."""


@dataclass(frozen=True)
class Known:
    """What ran, as somebody knows it: where nothing is measured, and in tests."""

    facts: CodeFacts

    def code(self) -> CodeFacts:
        """See `Attestor.code`."""
        return self.facts

    def step_code(self, step: str) -> str:
        """See `Attestor.step_code`: nobody can tell."""
        return ""

    def is_on_branch(self, commit: str, branch: str) -> bool:
        """See `Attestor.is_on_branch`: of this commit alone it is known."""
        return commit == self.facts.git_commit

    def packages(self) -> "Future[tuple[str, ...]]":
        """See `Attestor.packages`: nothing differs that is known of."""
        found: Future[tuple[str, ...]] = Future()
        found.set_result(())
        return found

    def forget(self) -> None:
        """See `Attestor.forget`: nothing was measured."""
