"""One run opens its home once: its jobs share the policy, the verifier and what they verified.

What lies on disk is looked at as before: each step compares the policy with the release in force
and reads its inputs byte by byte, and each job looks whether the code is what was measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.settings import Settings
from fraud_provenance.workspace import Workspace


@dataclass
class _Session:
    workspace: Workspace
    release: str = ""
    code: str = ""

    def look_again(self) -> Workspace:
        """The home for the next job: opened anew where another release is in force now.

        Raises:
            VerificationError: as `Releases.check_trust_root`.
        """
        workspace = self.workspace
        release = workspace.releases.head().expectations.digest
        if self.release not in ("", release):
            self.workspace = workspace = Workspace(workspace.settings)
        workspace.releases.check_trust_root()
        code = work_tree.listing(workspace.project)
        if code != self.code:
            workspace.attestor.forget()
        self.release, self.code = release, code
        return workspace


_OPEN: ContextVar[_Session | None] = ContextVar("session", default=None)


@contextmanager
def session(workspace: Workspace) -> Iterator[None]:
    """Let the jobs that run inside of the block share `workspace`."""
    token = _OPEN.set(_Session(workspace))
    try:
        yield
    finally:
        _OPEN.reset(token)


def shared(settings: Settings) -> Workspace | None:
    """The home that the session has opened, if it is the one that `settings` name.

    Raises:
        VerificationError: the trust root is not the released one any more.
    """
    found = _OPEN.get()
    if found is None or found.workspace.settings != settings:
        return None
    return found.look_again()
