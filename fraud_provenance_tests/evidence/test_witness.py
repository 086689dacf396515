"""Witnesses: they sign what grew from what they saw, and their refusal is everybody's."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fraud_provenance.attested.core.errors import BackendError, ConfigError, VerificationError
from fraud_provenance.attested.ports.clock import SetClock
from fraud_provenance.attested.tlog import merkle, notes
from fraud_provenance.attested.tlog.notes import Checkpoint, NoteSignature, WitnessKey
from fraud_provenance.attested.tlog.tiles import FolderSource, LogFiles, Tree
from fraud_provenance.attested.tlog.witness import (
    Conflict,
    HttpWitness,
    LocalWitness,
    Witness,
    WitnessPolicy,
    countersigned,
    create_local_witness,
    load_policy,
    open_witnesses,
    policy_document,
)
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, entry_body
from fraud_provenance_tests.evidence.simulated_witness import served, speaking


@pytest.fixture
def log(tmp_path: Path) -> SimulatedLog:
    made = SimulatedLog(tmp_path / "log", bodies=[entry_body(f"{n:02x}") for n in range(9)])
    made.publish()
    return made


@pytest.fixture
def witness(tmp_path: Path, log: SimulatedLog) -> LocalWitness:
    return make(tmp_path / "witness", log)


def make(folder: Path, log: SimulatedLog) -> LocalWitness:
    create_local_witness(folder)
    at = datetime.fromtimestamp(1_700_000_000.5, UTC)
    return LocalWitness(folder, {log.origin: log.key}, clock=SetClock(at))


def tree_of(log: SimulatedLog) -> Tree:
    head = log.publish()
    return Tree(LogFiles(FolderSource(log.folder)).tile, head.size, head.root)


def policy_of(*witnesses: Witness, threshold: int = 1) -> WitnessPolicy:
    return WitnessPolicy(threshold, dict.fromkeys((item.key for item in witnesses), ""))


# --- one witness -------------------------------------------------------------------------------


def test_witness_countersigns_the_first_head_it_sees(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    head = log.head()

    signed = head.with_signatures(witness.add(head, 0, []))

    assert witness.key.signed_at(signed) == 1_700_000_000
    assert witness.remembered(log.origin) == signed


def test_witness_countersigns_a_head_that_grew(witness: LocalWitness, log: SimulatedLog) -> None:
    witness.add(log.head(3), 0, [])

    assert witness.add(log.head(), 3, tree_of(log).consistency_proof(3))
    assert witness.add(log.head(), 9, [])


def test_witness_refuses_a_fork(witness: LocalWitness, log: SimulatedLog) -> None:
    witness.add(log.head(3), 0, [])
    log.bodies[1] = entry_body("ff")

    with pytest.raises(VerificationError, match="LOG_FORK"):
        witness.add(log.head(), 3, tree_of(log).consistency_proof(3))
    with pytest.raises(VerificationError, match="LOG_FORK"):
        witness.add(log.head(3), 3, [])


def test_witness_refuses_a_log_that_shrank(witness: LocalWitness, log: SimulatedLog) -> None:
    witness.add(log.head(), 0, [])
    with pytest.raises(VerificationError, match="LOG_ROLLBACK"):
        witness.add(log.head(8), 0, [])


def test_witness_at_another_size_says_so(witness: LocalWitness, log: SimulatedLog) -> None:
    witness.add(log.head(3), 0, [])
    with pytest.raises(Conflict) as caught:
        witness.add(log.head(), 0, [])
    assert caught.value.size == 3


def test_witness_refuses_a_head_that_the_log_did_not_sign(
    witness: LocalWitness, log: SimulatedLog, tmp_path: Path
) -> None:
    stranger = SimulatedLog(tmp_path / "stranger", log.origin, bodies=log.bodies)
    unknown = SimulatedLog(tmp_path / "unknown", "unknown.test", bodies=log.bodies)
    for lie in (stranger, unknown):
        with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
            witness.add(lie.head(), 0, [])


def test_witness_does_not_believe_an_edited_memory(
    witness: LocalWitness, log: SimulatedLog, tmp_path: Path
) -> None:
    witness.add(log.head(), 0, [])
    (tmp_path / "witness" / f"{log.origin}.checkpoint").write_bytes(log.head(2).note)
    with pytest.raises(VerificationError, match="does not recognise"):
        witness.add(log.head(), 2, [])


def test_witness_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = create_local_witness(tmp_path / "w")

    assert create_local_witness(tmp_path / "w") == first
    assert (tmp_path / "w" / "witness.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"name\nnot pem", b"\xff\n"])
def test_witness_key_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    create_local_witness(tmp_path)
    (tmp_path / "witness.key").write_bytes(content)
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        LocalWitness(tmp_path, {})


# --- several witnesses -------------------------------------------------------------------------


class Silent:
    """A witness that is down."""

    def __init__(self, key: WitnessKey) -> None:
        self.key = key

    def add(self, *_arguments: object) -> Sequence[NoteSignature]:
        """No answer."""
        return HttpWitness(self.key, "http://127.0.0.1:9", 1).add(
            notes.unsigned_checkpoint("x", 0, merkle.EMPTY_ROOT), 0, []
        )


def test_countersigned_with_one_of_three_down_holds(tmp_path: Path, log: SimulatedLog) -> None:
    three = [make(tmp_path / name, log) for name in "abc"]
    policy = policy_of(*three, threshold=2)
    asked: list[Witness] = [Silent(three[0].key), *three[1:]]

    signed = countersigned(log.head(), tree_of(log), policy, asked)

    policy.check(signed)
    assert three[0].key.signed_at(signed) is None


def test_countersigned_with_two_of_three_down_is_undecided(
    tmp_path: Path, log: SimulatedLog
) -> None:
    three = [make(tmp_path / name, log) for name in "abc"]
    asked: list[Witness] = [Silent(three[0].key), Silent(three[1].key), three[2]]
    with pytest.raises(BackendError, match="WITNESS_UNAVAILABLE"):
        countersigned(log.head(), tree_of(log), policy_of(*three, threshold=2), asked)


def test_countersigned_is_refused_when_one_witness_saw_a_fork(
    tmp_path: Path, log: SimulatedLog
) -> None:
    three = [make(tmp_path / name, log) for name in "abc"]
    fork = SimulatedLog(tmp_path / "fork", log.origin, log.private, [entry_body("ee")] * 4)
    three[2].add(fork.head(), 0, [])
    with pytest.raises(VerificationError, match="LOG_FORK"):
        countersigned(log.head(), tree_of(log), policy_of(*three), three)


def test_countersigned_is_refused_when_one_witness_saw_more(
    tmp_path: Path, log: SimulatedLog
) -> None:
    witness = make(tmp_path / "w", log)
    witness.add(log.head(), 0, [])
    del log.bodies[5:]
    with pytest.raises(VerificationError, match="LOG_ROLLBACK"):
        countersigned(log.head(), tree_of(log), policy_of(witness), [witness])


def test_countersigned_asks_from_the_size_that_the_witness_names(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    witness.add(log.head(4), 0, [])

    signed = countersigned(log.head(), tree_of(log), policy_of(witness), [witness])

    assert witness.key.signed_at(signed)


class Restless:
    """A witness whose size is another one at each question."""

    def __init__(self, key: WitnessKey) -> None:
        self.key, self.size = key, 0

    def add(self, *_arguments: object) -> Sequence[NoteSignature]:
        """Never at rest."""
        self.size += 1
        raise Conflict(self.size)


def test_countersigned_gives_up_on_a_witness_that_keeps_moving(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    with pytest.raises(BackendError, match="keeps moving"):
        countersigned(log.head(), tree_of(log), policy_of(witness), [Restless(witness.key)])


def test_policy_counts_distinct_witnesses(witness: LocalWitness, log: SimulatedLog) -> None:
    twice = log.head().with_signatures(
        [*witness.add(log.head(), 0, []), *witness.add(log.head(), 9, [])]
    )
    policy = WitnessPolicy(2, {witness.key: ""})
    with pytest.raises(VerificationError, match="1 of 2 needed"):
        policy.check(twice)


# --- the policy file ---------------------------------------------------------------------------


def test_policy_of_a_home_names_its_witness(
    tmp_path: Path, witness: LocalWitness, log: SimulatedLog
) -> None:
    path = tmp_path / "witnesses.json"
    path.write_bytes(policy_document(witness.key))

    policy = load_policy(path)
    found = open_witnesses(policy, tmp_path / "witness", {log.origin: log.key})

    assert (policy.threshold, policy.keys) == (1, {witness.key: ""})
    assert [item.key for item in found] == [witness.key]


def test_policy_with_an_address_asks_there_and_not_here(
    tmp_path: Path, witness: LocalWitness, log: SimulatedLog
) -> None:
    path = tmp_path / "witnesses.json"
    entry = {"key": witness.key.text, "url": "https://witness.example"}
    path.write_text(json.dumps({"threshold": 1, "witnesses": [entry]}))

    found = open_witnesses(load_policy(path), tmp_path / "witness", {log.origin: log.key})

    assert [type(item) for item in found] == [HttpWitness]


def test_key_that_the_policy_does_not_name_countersigns_nothing(
    tmp_path: Path, witness: LocalWitness, log: SimulatedLog
) -> None:
    create_local_witness(tmp_path / "other")
    policy = policy_of(witness)

    assert open_witnesses(policy, tmp_path / "other", {log.origin: log.key}) == []


@pytest.mark.parametrize("change", ["twice", "too many needed", "none", "zero", "text", "missing"])
def test_policy_that_cannot_be_met_is_refused(
    tmp_path: Path, witness: LocalWitness, change: str
) -> None:
    entry = {"key": witness.key.text, "url": ""}
    content: dict[str, object] = {
        "twice": {"threshold": 1, "witnesses": [entry, entry]},
        "too many needed": {"threshold": 2, "witnesses": [entry]},
        "none": {"threshold": 1, "witnesses": []},
        "zero": {"threshold": 0, "witnesses": [entry]},
        "text": "{",
    }  # type: ignore[assignment]
    path = tmp_path / "witnesses.json"
    if change != "missing":
        path.write_text(json.dumps(content[change]))
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        load_policy(path)


# --- a witness elsewhere -----------------------------------------------------------------------


def test_remote_witness_countersigns_what_grew_and_refuses_a_fork(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    witness.add(log.head(5), 0, [])
    with served(speaking(witness)) as url:
        remote = HttpWitness(witness.key, url)
        policy = policy_of(witness)

        policy.check(countersigned(log.head(), tree_of(log), policy, [remote]))

        log.bodies[0] = entry_body("ff")
        with pytest.raises(VerificationError, match="LOG_FORK"):
            countersigned(log.head(), tree_of(log), policy, [remote])


@pytest.mark.parametrize(
    ("status", "content"),
    [(500, b""), (200, b""), (200, b"what\n"), (409, b"no number"), (404, b""), (403, b"")],
)
def test_remote_witness_that_does_not_answer_as_it_must_is_undecided(
    witness: LocalWitness, log: SimulatedLog, status: int, content: bytes
) -> None:
    with (
        served(lambda _body: (status, content)) as url,
        pytest.raises(BackendError, match="WITNESS_UNAVAILABLE"),
    ):
        HttpWitness(witness.key, url).add(log.head(), 0, [])


def test_remote_witness_that_signs_something_else_does_not_count(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    line = witness.add(log.head(3), 0, [])[0].line
    head, tree, policy = log.head(), tree_of(log), policy_of(witness)

    with (
        served(lambda _body: (200, f"{line}\n".encode())) as url,
        pytest.raises(BackendError, match="0 of 1 needed"),
    ):
        countersigned(head, tree, policy, [HttpWitness(witness.key, url)])


def test_witness_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    create_local_witness(tmp_path)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "witness.key").write_bytes(b"name\n" + pem)
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        LocalWitness(tmp_path, {})


def test_home_without_a_witness_of_its_own_asks_only_the_others(
    tmp_path: Path, witness: LocalWitness, log: SimulatedLog
) -> None:
    path = tmp_path / "witnesses.json"
    path.write_bytes(policy_document(witness.key))
    assert open_witnesses(load_policy(path), tmp_path / "elsewhere", {log.origin: log.key}) == []


class Ahead:
    """A witness that says it saw a larger tree."""

    def __init__(self, key: WitnessKey) -> None:
        self.key = key

    def add(self, checkpoint: Checkpoint, *_arguments: object) -> Sequence[NoteSignature]:
        """One leaf more."""
        raise Conflict(checkpoint.size + 1)


def test_countersigned_is_refused_when_a_witness_names_a_larger_tree(
    witness: LocalWitness, log: SimulatedLog
) -> None:
    with pytest.raises(VerificationError, match="LOG_ROLLBACK"):
        countersigned(log.head(), tree_of(log), policy_of(witness), [Ahead(witness.key)])
