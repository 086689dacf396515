"""The data-access gate's own process: looks for what steps ask, and answers it (`keep-gate`)."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.attested.step.access import GATE
from fraud_provenance.attested.step.keeper import Keeper, open_questions
from fraud_provenance.home.session import session, shared
from fraud_provenance.home.workspace import Workspace

_EVERY_S: Final = 0.3
_STORE_EVERY_S: Final = 1.0  # an object store is asked over a network, for each look


def keep(
    workspace: Workspace,
    say: Callable[[str], None],
    alive: Path | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Answer until `stop` is set; `alive` is touched after each look.

    Raises:
        ConfigError: USAGE, nobody asks in such a home.
        BackendError, VerificationError: there is no token of the gate; or the home is not what
            its release says.
    """
    if not workspace.settings.runs.one_identity:
        raise ConfigError(
            reason(
                RootCause.USAGE,
                "in this home each run decides by itself what it may read",
                artifact="settings.toml",
                remedy="Set one_identity of [runs] in settings.toml first.",
            )
        )
    stop = stop or threading.Event()
    trust = workspace.trust
    trust.signing.require(identity_of(trust.policies.current().layout, GATE))
    told: dict[str, str] = {}
    every_s = _STORE_EVERY_S if workspace.settings.evidence.place else _EVERY_S
    with session(workspace):
        while not stop.is_set():
            if open_questions(workspace.trust):
                workspace = shared(workspace.settings) or workspace
                _answer_all(workspace, say, told)
            if alive is not None:
                alive.touch()
            stop.wait(every_s)


def _answer_all(workspace: Workspace, say: Callable[[str], None], told: dict[str, str]) -> None:
    """Sign what is open; what cannot be signed is told once, and looked at anew the next time."""
    keeper = Keeper(workspace.trust)
    for question in open_questions(workspace.trust):
        try:
            signed = keeper.answer(question).result()
        except ProvenanceError as error:
            workspace.trust.forget()
            _tell(question, "; ".join(map(str, error.reasons)), say, told)
            continue
        _tell(question, f"signed {signed.statement.digest[:12]}", say, told)


def _tell(question: Statement, what: str, say: Callable[[str], None], told: dict[str, str]) -> None:
    if told.get(question.digest) != what:
        told[question.digest] = what
        facts = question.predicate["annotations"]["facts"]
        say(f"{facts.get('step')} reads {question.subject_name}: {what}")
