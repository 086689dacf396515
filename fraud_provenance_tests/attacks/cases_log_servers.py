"""SN-05, DS-07, OP-02, OP-06: the log and the timestamp authority lie, hang, or are down."""

import base64
import json
import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fraud_provenance.attested.sigstore.signing import SigningService
from fraud_provenance.attested.tlog import merkle
from fraud_provenance_tests.attacks.home import Home, Said, patched
from fraud_provenance_tests.attacks.judges import outcome, promote, registration
from fraud_provenance_tests.attacks.model import Attack, Case, Outcome
from fraud_provenance_tests.attacks.mutants import nothing_verified
from fraud_provenance_tests.attacks.network import (
    Request,
    free_port,
    hung_server,
    lying_server,
    relay,
)
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog

_DEADLINE_S = 8.0
_NO_DEADLINE = "without the deadline the step would wait for ever, and still nothing be signed"
_NOTHING_TO_REMOVE = "without its entry and its date there is no bundle that could be used"


def real_port(home: Home, server: str) -> int:
    """Where a server of this copy really listens."""
    port = home.port(server)
    return home.ports.get(port, port)


# --- it lies -----------------------------------------------------------------------------------


def answered_by_another_log(home: Home) -> None:
    """Between us and the log sits somebody with a log, and a key, of his own."""
    mine = SimulatedLog(Path(), origin=SimulatedLog.of_home(home.path).origin)

    def change(_request: Request, content: bytes) -> bytes:
        return _moved_to(mine, content)

    answer = relay(real_port(home, "rekor"), change)
    home.divert("rekor", home.hold(lying_server(answer)))


def _moved_to(log: SimulatedLog, content: bytes) -> bytes:
    """The log's answer, with the entry in a tree of one leaf under another key."""
    document: dict[str, Any] = json.loads(content)
    if "canonicalizedBody" not in document:
        return content
    body = base64.b64decode(document["canonicalizedBody"])
    log.bodies = [body]
    document["logIndex"] = "0"
    document["inclusionProof"] = {
        "logIndex": "0",
        "rootHash": base64.b64encode(merkle.leaf_hash(body)).decode(),
        "treeSize": "1",
        "hashes": [],
        "checkpoint": {"envelope": log.head().note.decode()},
    }
    return json.dumps(document).encode()


def relayed(home: Home) -> None:
    """Somebody sits in between and changes nothing."""
    answer = relay(real_port(home, "rekor"), lambda _request, content: content)
    home.divert("rekor", home.hold(lying_server(answer)))


# --- it hangs, it is slow, it is down ----------------------------------------------------------


def _hurried() -> AbstractContextManager[object]:
    """The product's deadline, shortened so that a case takes seconds."""
    begin = SigningService.__init__

    def hurried(service: SigningService, *given: Any, **named: Any) -> None:
        begin(service, *given, **named, deadline_s=_DEADLINE_S)

    return patched(SigningService, "__init__", hurried)


def hung(server: str) -> Attack:
    def attack(home: Home) -> None:
        home.hold(_hurried())
        home.divert(server, home.hold(hung_server()))

    return attack


def slow(server: str) -> Attack:
    """Every answer comes half a second late."""

    def twin(home: Home) -> None:
        home.hold(_hurried())
        home.own_server(server)  # else the relay's own questions would be diverted to itself

        def late(_request: Request, content: bytes) -> bytes:
            time.sleep(0.5)
            return content

        home.divert(server, home.hold(lying_server(relay(real_port(home, server), late))))

    return twin


def down(server: str) -> Attack:
    def attack(home: Home) -> None:
        home.divert(server, free_port())

    return attack


def back_again(server: str) -> Attack:
    """It was down while somebody tried to register, and is back."""

    def twin(home: Home) -> None:
        before = dict(home.ports)
        home.divert(server, free_port())
        assert registration()(home).refused
        home.ports.clear()
        home.ports.update(before)
        home.notes["known alerts"] = _all_alerts(home)

    return twin


def _all_alerts(home: Home) -> set[str]:
    from fraud_provenance.alerts import Outbox

    outbox = Outbox(home.path)
    return {alert.id for alert in (*outbox.pending(), *outbox.delivered())}


# --- killed between the signature and the log's answer -----------------------------------------


def killed_at_the_log(home: Home, *, is_logged: bool) -> None:
    """A process signs and dies at the log: before it hears of the entry, or before the log does."""
    children: list[int] = []
    answer = relay(real_port(home, "rekor"), lambda _request, content: content)

    def kill(request: Request) -> tuple[int, bytes]:
        found = answer(request) if is_logged else (500, b"")
        os.kill(children[0], signal.SIGKILL)
        return found

    before, size = dict(home.ports), _log_size(home)
    home.divert("rekor", home.hold(lying_server(kill)))
    child = os.fork()
    if child == 0:
        try:
            home.command("approve", *_APPROVAL)
        finally:
            os._exit(1)
    children.append(child)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the approval ended before it was killed"
    home.ports.clear()
    home.ports.update(before)
    assert _log_size(home) == size + is_logged
    assert home.workspace().store.intents(), "nothing was announced before it was signed"


def _log_size(home: Home) -> int:
    return len(SimulatedLog.of_home(home.path).bodies)


def killed_before_the_log(home: Home) -> None:
    killed_at_the_log(home, is_logged=False)


def killed_before_the_answer(home: Home) -> None:
    killed_at_the_log(home, is_logged=True)


_APPROVAL = (
    "model@candidate", "--environment", "local", "--as", "risk.officer@example.com",
    "--reason", "looks good",
)  # fmt: skip


def recovered(home: Home) -> Outcome:
    """The interrupted act is done again, and the log audit finds nothing that is unexplained."""
    again = home.command("approve", *_APPROVAL)
    audited = home.command("audit", "--full")
    said = Said(again.code or audited.code, (*again.reasons, *audited.reasons), audited.out)
    return outcome(home, "", said)


CASES = [
    Case("SN-05", answered_by_another_log, registration(), relayed, nothing_verified),
    Case(
        "DS-07", hung("rekor"), registration(), slow("rekor"), variant="log",
        no_mutant=_NO_DEADLINE, quick=True,
    ),
    Case(
        "DS-07", hung("timestamp"), registration(), slow("timestamp"),
        variant="timestamp authority", no_mutant=_NO_DEADLINE,
    ),
    Case(
        "OP-06", down("rekor"), registration(), back_again("rekor"), variant="log, registration",
        no_mutant=_NOTHING_TO_REMOVE,
    ),
    Case(
        "OP-06", down("rekor"), promote(), back_again("rekor"), variant="log, promotion",
        state="approved", no_mutant=_NOTHING_TO_REMOVE,
    ),
    Case(
        "OP-06", down("timestamp"), registration(), back_again("timestamp"),
        variant="timestamp authority", no_mutant=_NOTHING_TO_REMOVE,
    ),
    Case("OP-02", killed_before_the_log, recovered, state="approved", variant="before the log"),
    Case("OP-02", killed_before_the_answer, recovered, state="approved", variant="after the log"),
]  # fmt: skip
