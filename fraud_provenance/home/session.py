"""One run opens its home once: its jobs share the policy, the verifier and what they verified.

What lies on disk is looked at as before: each step compares the policy with the release in force
and reads its inputs byte by byte, and each job looks whether the code is what was measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace


class _Session:
    def __init__(self, workspace: Workspace) -> None:
        workspace.attestor.forget()  # what it measured before the look that follows
        self.workspace = workspace
        self._code = work_tree.listing(workspace.project)
        self._release = ""

    def look_again(self) -> Workspace:
        """The home for the next job: opened anew where another release is in force now.

        Raises:
            VerificationError: as `Releases.check_trust_root`.
        """
        workspace = self.workspace
        release = workspace.releases.head().expectations.digest
        if self._release not in ("", release):
            self.workspace = workspace = Workspace(workspace.settings)
        workspace.releases.check_trust_root()
        code = work_tree.listing(workspace.project)
        if code != self._code:
            workspace.attestor.forget()
        self._release, self._code = release, code
        return workspace


_OPEN: ContextVar[_Session | None] = ContextVar("session", default=None)


_RUNS: dict[str, _Session] = {}
"""The run at work in this process → its home; the one before it is forgotten."""


@contextmanager
def session(workspace: Workspace) -> Iterator[None]:
    """Let the jobs that run inside of the block share `workspace`."""
    held = _Session(workspace)
    token = _OPEN.set(held)
    try:
        yield
    finally:
        _OPEN.reset(token)


def keep(workspace: Workspace, run_id: str) -> Workspace:
    """Share a home that was just opened with whatever else this Dagster run makes."""
    if run_id and _OPEN.get() is None:
        _RUNS.clear()
        _RUNS[run_id] = _Session(workspace)
    return workspace


def shared(settings: Settings, run_id: str = "") -> Workspace | None:
    """The home that the session, or else the run, has opened, if it is what `settings` name.

    Raises:
        VerificationError: the trust root is not the released one any more.
    """
    found = _OPEN.get() or _RUNS.get(run_id)
    if found is None or found.workspace.settings != settings:
        return None
    return found.look_again()
