"""The audit on a log that lies and a store that loses: each is found, and named."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.sigstore.log_audit import AuditReport, Depth, LogAuditor
from fraud_provenance.attested.sigstore.verification import (
    PAYLOAD_TYPE,
    LogPosition,
    VerifiedBundle,
)
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement
from fraud_provenance.attested.tlog import checkpoints, merkle
from fraud_provenance.attested.tlog.checkpoints import Ledger, LogKeeper, WitnessedLogs
from fraud_provenance.attested.tlog.notes import Checkpoint
from fraud_provenance.attested.tlog.tiles import signed_digest
from fraud_provenance.attested.tlog.witness import (
    LocalWitness,
    create_local_witness,
    policy_document,
)
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, entry_body

TRAIN = Identity(issuer="workloads", subject="/steps/train")
INGEST = Identity(issuer="workloads", subject="/steps/ingest")
STRANGER = Identity(issuer="workloads", subject="/steps/nobody")
OURS = (TRAIN, INGEST)


class World:
    """A home with a simulated log, a store in memory, and signatures that are just believed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = SimulatedLog(home / "log")
        self.log.publish()
        trust = home / "trust"
        trust.mkdir(parents=True)
        (trust / "trusted_root.json").write_bytes(self.log.trusted_root())
        (trust / "logs.json").write_text(json.dumps({self.log.origin: "log"}))
        key = create_local_witness(home / "witness")
        (trust / "witnesses.json").write_bytes(policy_document(key))
        self.kept: dict[str, VerifiedBundle] = {}
        self.announced: list[bytes] = []
        self.damaged: set[str] = set()
        self.settled: set[str] = set()
        self.made = 0

    # what LogAuditor asks of a store

    def bundles(self) -> Sequence[str]:
        return sorted(self.kept)

    def bundle_bytes(self, digest: str) -> bytes:
        return digest.encode()

    def logged_since(self, log_id: bytes, index: int) -> list[str]:
        return [
            name
            for name, item in self.kept.items()
            if item.log.log_id == log_id.hex() and item.log_index >= index
        ]

    def intents(self) -> list[bytes]:
        return self.announced

    def stored_statements(self) -> set[str]:
        return {item.statement.digest for item in self.kept.values()}

    # what it asks of a verifier

    def verify(self, content: bytes) -> VerifiedBundle:
        if content.decode() in self.damaged:
            raise VerificationError(reason("SIGNATURE_INVALID", "damaged"))
        return self.kept[content.decode()]

    def signer_of(self, certificate: bytes) -> Identity | None:
        issuer, _, subject = certificate.decode().partition(" ")
        return Identity(issuer=issuer, subject=subject) if subject else None

    # what happens in it

    def statement(self) -> Statement:
        self.made += 1
        return statements.build_statement(
            statements.PROVENANCE, "asset", f"{self.made:064x}", {"made": self.made}
        )

    def logged(self, statement: Statement, who: Identity) -> int:
        """Somebody signs and logs a statement; returns the leaf's index."""
        digest = signed_digest(statement.content, PAYLOAD_TYPE)
        certificate = f"{who.issuer} {who.subject}".encode()
        body = entry_body(digest, certificate, f"{len(self.log.bodies)}".encode())
        self.log.bodies.append(body)
        self.log.publish()
        return len(self.log.bodies) - 1

    def sign(self, who: Identity = TRAIN, statement: Statement | None = None) -> str:
        """An honest signature: announced, logged, stored; returns the bundle's name."""
        statement = statement or self.statement()
        index = self.logged(statement, who)
        head = self.log.head()
        name = encoding.digest_bytes(self.log.bodies[index])
        self.kept[name] = VerifiedBundle(
            statement=statement,
            identity=who,
            signed_at=datetime(2026, 1, 1, tzinfo=UTC),
            log_index=index,
            bundle_digest=name,
            log=LogPosition(
                log_id=self.log.key.log_id.hex(),
                rank=0,
                leaf=merkle.leaf_hash(self.log.bodies[index]).hex(),
                tree_size=head.size,
                tree_root=head.root.hex(),
            ),
        )
        return name

    def logs(self) -> WitnessedLogs:
        return WitnessedLogs(self.home / "trust")

    def auditor(self) -> LogAuditor:
        keeper = LogKeeper(self.home, self.logs())
        return LogAuditor(keeper, self, self)  # type: ignore[arg-type]

    def audit(self, depth: Depth = Depth.REMEMBERED) -> AuditReport:
        """An audit by a new process."""
        return self.auditor().audit(OURS, depth, settled=self.settled)

    def codes(self, depth: Depth = Depth.REMEMBERED) -> list[str]:
        return [item.code for item in self.audit(depth).reasons]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for who in (INGEST, TRAIN, INGEST):
        made.sign(who)
    return made


# --- what must pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", list(Depth))
def test_audit_of_an_honest_log_finds_nothing(world: World, depth: Depth) -> None:
    first, again = world.audit(depth), world.audit(depth)

    assert first.trusted
    assert (first.exit_code, first.reasons) == (0, ())
    assert (first.logs[0].size, first.logs[0].ours, first.logs[0].bundles) == (3, 3, 3)
    assert again.trusted


def test_audit_looks_at_new_leaves_only_unless_it_is_full(world: World) -> None:
    world.sign()
    world.audit()
    world.sign()

    assert world.audit(Depth.TAIL).logs[0].entries == 1
    assert world.audit().logs[0].entries == 0
    assert world.audit(Depth.FULL).logs[0].entries == 5


def test_audit_over_many_tiles_finds_nothing(world: World) -> None:
    for _ in range(3):
        world.log.bodies += [entry_body("ff", signature=b"%d" % n) for n in range(300)]
        world.sign()
        assert world.audit().trusted
    assert world.audit(Depth.FULL).logs[0].entries == 906


def test_audit_ignores_entries_of_others(world: World) -> None:
    world.logged(world.statement(), STRANGER)
    world.log.bodies.append(entry_body("ff"))
    world.log.publish()

    assert world.audit().trusted


def test_audit_explains_a_leaf_by_its_announcement(world: World) -> None:
    statement = world.statement()
    world.announced = [statement.content]
    world.logged(statement, TRAIN)

    report = world.audit()
    world.announced = []

    assert (report.trusted, report.logs[0].journalled) == (True, 1)
    assert world.audit(Depth.FULL).trusted  # the ledger remembers that it was announced


def test_audit_explains_a_statement_that_was_signed_twice(world: World) -> None:
    statement = world.statement()
    world.logged(statement, TRAIN)  # killed before the bundle was stored
    world.sign(TRAIN, statement)

    assert world.audit().trusted


def test_audit_takes_the_same_evidence_in_other_bytes(world: World) -> None:
    world.audit()
    name = world.sign()
    world.audit()
    world.kept["other"] = world.kept.pop(name).model_copy(update={"bundle_digest": "other"})

    assert world.audit().trusted
    assert world.audit(Depth.FULL).trusted


# --- the log lies ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", list(Depth))
def test_audit_of_a_log_that_shrank_is_a_rollback(world: World, depth: Depth) -> None:
    world.audit()
    del world.log.bodies[2:]
    world.log.publish()

    assert world.codes(depth) == ["LOG_ROLLBACK"]


def test_audit_of_a_log_that_shrank_before_anything_was_remembered_again(world: World) -> None:
    """The bundles themselves remember."""
    world.audit()
    world.sign()
    del world.log.bodies[3:]
    world.log.publish()

    assert world.codes() == ["LOG_STALE"]


@pytest.mark.parametrize("depth", list(Depth))
def test_audit_of_a_forked_log_is_a_fork(world: World, depth: Depth) -> None:
    world.audit()
    world.log.bodies[0] = entry_body("ee")
    world.log.bodies.append(entry_body("ff"))
    world.log.publish()

    assert world.codes(depth) == ["LOG_FORK"]


def test_audit_of_a_fork_of_the_same_size_is_a_fork(world: World) -> None:
    world.audit()
    world.log.bodies[-1] = entry_body("ee")
    world.log.publish()

    assert world.codes() == ["LOG_FORK"]


def test_audit_finds_a_fork_that_only_a_bundle_saw(world: World) -> None:
    world.audit()
    world.sign()
    world.log.bodies[-1] = entry_body("ee")
    world.log.publish()

    assert "LOG_FORK" in world.codes()
    assert not world.audit().trusted  # and what forked was not remembered


def test_audit_compares_every_head_that_was_remembered(world: World, tmp_path: Path) -> None:
    world.audit()
    world.sign()
    world.audit()
    # Whoever holds the keys of log and witness can plant a head; the log still does not pass it.
    lie = SimulatedLog(tmp_path, world.log.origin, world.log.private, [entry_body("ee")] * 3)
    (tmp_path / "witness" / f"{lie.origin}.checkpoint").unlink()
    planted = next((tmp_path / "trust").rglob(f"*{3}.checkpoint"))
    planted.write_bytes(_countersigned(world, lie).note)

    assert world.codes() == ["LOG_FORK"]
    assert world.codes(Depth.TAIL) == []


def _countersigned(world: World, lie: SimulatedLog) -> Checkpoint:
    witness = LocalWitness(world.home / "witness", {lie.origin: lie.key})
    head = lie.head()
    return head.with_signatures(witness.add(head, 0, []))


def test_audit_of_a_head_that_stands_still_while_runs_submit_is_stale(world: World) -> None:
    world.audit()
    served = {path: path.read_bytes() for path in (world.home / "log").rglob("*") if path.is_file()}
    world.sign()
    for path in (world.home / "log").rglob("*"):
        if path.is_file():
            path.unlink()
    for path, content in served.items():
        path.write_bytes(content)

    assert world.codes() == ["LOG_STALE"]


@pytest.mark.parametrize("path", ["tile/0/000.p/3", "tile/entries/000.p/3"])
def test_audit_of_a_changed_file_is_corrupt(world: World, path: str) -> None:
    content = bytearray((world.home / "log" / path).read_bytes())
    content[40] ^= 1
    (world.home / "log" / path).write_bytes(content)

    assert world.codes() == ["LOG_CORRUPT"]


def test_audit_of_a_head_under_another_key_is_untrusted(world: World, tmp_path: Path) -> None:
    SimulatedLog(tmp_path / "log", world.log.origin, bodies=world.log.bodies).publish()

    assert world.codes() == ["CHECKPOINT_UNTRUSTED"]


def test_audit_without_the_log_is_undecided(world: World) -> None:
    (world.home / "log" / "checkpoint").unlink()
    report = world.audit()

    assert [item.code for item in report.reasons] == ["LOG_UNAVAILABLE"]
    assert report.exit_code == 2
    with pytest.raises(BackendError):
        report.check()


def test_audit_that_breaks_is_undecided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "intents", lambda: 1 / 0)

    assert world.codes() == ["VERIFY_ERROR"]


def test_report_of_no_log_at_all_trusts_nothing() -> None:
    report = AuditReport(logs=())

    assert report.exit_code == 2
    with pytest.raises(BackendError, match="there is no log"):
        report.check()


# --- entries nobody made, evidence that is gone -------------------------------------------------


@pytest.mark.parametrize("depth", list(Depth))
def test_audit_of_an_entry_that_nobody_made_is_told_until_it_is_explained(
    world: World, depth: Depth
) -> None:
    world.audit()
    statement = world.statement()
    world.logged(statement, TRAIN)

    report = world.audit(depth)
    assert [item.code for item in report.reasons] == ["UNEXPECTED_LOG_ENTRY"]
    assert report.reasons[0].identity == str(TRAIN)
    with pytest.raises(VerificationError, match=r"UNEXPECTED_LOG_ENTRY\(log entry 3\)"):
        report.check()
    world.sign(INGEST)
    assert world.codes(depth) == ["UNEXPECTED_LOG_ENTRY"]
    world.sign(TRAIN, statement)
    assert world.codes(depth) == []


def test_audit_does_not_take_another_identitys_bundle_as_explanation(world: World) -> None:
    statement = world.statement()
    world.sign(INGEST, statement)
    world.logged(statement, TRAIN)

    assert world.codes() == ["UNEXPECTED_LOG_ENTRY"]


def test_audit_of_one_lost_bundle_is_missing_evidence(world: World) -> None:
    world.audit()
    world.sign()
    world.audit()
    del world.kept[min(world.kept, key=lambda name: world.kept[name].log_index)]

    assert world.codes() == ["EVIDENCE_MISSING"]


def test_audit_of_a_store_put_back_is_a_rollback(world: World) -> None:
    world.audit()
    before = dict(world.kept)
    for _ in range(3):
        world.sign()
    world.audit()
    world.kept = before

    assert world.codes() == ["EVIDENCE_ROLLBACK", *["EVIDENCE_MISSING"] * 3]
    assert world.codes(Depth.FULL) == ["EVIDENCE_ROLLBACK", *["EVIDENCE_MISSING"] * 3]


@pytest.mark.parametrize("depth", list(Depth))
def test_audit_takes_what_people_revoked_for_settled(world: World, depth: Depth) -> None:
    world.audit()
    index = world.logged(world.statement(), TRAIN)
    assert not world.audit(depth).trusted
    world.settled = {world.auditor().entry(index).digest}

    assert world.audit(depth).trusted
    world.sign()
    assert world.audit(depth).trusted


def test_audit_takes_lost_evidence_that_people_revoked_for_settled(world: World) -> None:
    world.audit()
    del world.kept[next(name for name, one in world.kept.items() if one.log_index == 2)]
    assert world.codes() == ["EVIDENCE_ROLLBACK", "EVIDENCE_MISSING"]
    world.settled = {world.auditor().entry(2, world.log.origin).digest}

    assert world.audit().trusted


@pytest.mark.parametrize(("index", "origin"), [(3, ""), (-1, ""), (0, "other.test")])
def test_entry_that_no_log_has_is_refused(world: World, index: int, origin: str) -> None:
    world.audit()
    with pytest.raises(ConfigError, match="no log has an entry"):
        world.auditor().entry(index, origin)


def test_audit_reports_a_bundle_that_does_not_verify(world: World) -> None:
    name = world.bundles()[0]
    world.damaged = {name}

    report = world.audit(Depth.FULL)

    assert report.reasons[0].code == "SIGNATURE_INVALID"
    assert name[:12] in report.reasons[0].artifact


def test_audit_leaves_bundles_of_another_log_to_that_log(world: World) -> None:
    name = world.bundles()[0]
    position = world.kept[name].log.model_copy(update={"log_id": "00"})
    other = world.kept[name].model_copy(update={"log": position, "log_index": 99})
    world.kept["other"] = other

    assert world.audit(Depth.FULL).trusted


def test_audit_leaves_a_bundle_that_is_newer_than_the_head_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, listings = world.bundles()[-1], []
    grown = world.kept[newest].log.model_copy(update={"tree_size": 99})
    late = world.kept[newest].model_copy(update={"log": grown})

    def bundles() -> Sequence[str]:
        listings.append(1)
        if len(listings) > 1:  # stored after the head was read
            world.kept["late"] = late
        return sorted(world.kept)

    monkeypatch.setattr(world, "bundles", bundles)
    assert world.audit(Depth.FULL).trusted


# --- the memory --------------------------------------------------------------------------------


def test_verifier_asks_the_witnessed_tree(world: World) -> None:
    world.audit()
    item = world.kept[world.bundles()[0]]
    head, leaf = world.log.head(), bytes.fromhex(item.log.leaf)
    logs = world.logs()

    logs.check_bundle(world.log.key.log_id, item.log_index, leaf, head)
    logs.check_bundle(world.log.key.log_id, 3, b"newer than what is remembered", head)
    with pytest.raises(VerificationError, match="LOG_FORK"):
        logs.check_bundle(world.log.key.log_id, item.log_index, b"another", head)
    with pytest.raises(VerificationError, match="knows no log"):
        logs.check_bundle(b"other", item.log_index, leaf, head)


def test_verifier_sees_what_another_process_remembered(world: World) -> None:
    world.audit()
    logs = world.logs()
    memory = next(iter(logs.memories.values()))
    assert memory.newest().size == 3
    world.sign()
    world.audit()

    assert memory.newest().size == 4
    assert memory.tree().leaf(3)


def test_heads_are_listed_once_while_nothing_touches_their_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.audit()
    listed: list[object] = []
    names = os.listdir
    monkeypatch.setattr(checkpoints.os, "listdir", lambda at: listed.append(at) or names(at))
    memory = next(iter(world.logs().memories.values()))
    assert [memory.sizes(), memory.sizes()] == [[3], [3]]
    assert len(listed) == 2, "a folder so young may change within the clock's tick"
    monkeypatch.setattr(checkpoints.files, "_SETTLED_NS", 0)
    assert [memory.sizes() for _ in range(3)] == [[3]] * 3
    assert len(listed) == 3
    world.sign()
    world.audit()
    assert memory.sizes() == [3, 4]


def test_verifier_without_any_remembered_head_trusts_nothing(world: World) -> None:
    with pytest.raises(VerificationError, match=r"CHECKPOINT_UNTRUSTED.*no checkpoint"):
        world.logs().check_bundle(world.log.key.log_id, 0, b"", world.log.head())


def test_remembered_head_needs_its_countersignature(world: World) -> None:
    world.audit()
    path = max((world.home / "trust").rglob("*.checkpoint"))
    path.write_bytes(world.log.head().note)

    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        next(iter(world.logs().memories.values())).newest()
    assert world.audit().trusted  # the witness has not forgotten, and signs again
    assert next(iter(world.logs().memories.values())).newest().size == 3


def test_remembered_heads_are_countersigned_anew_when_the_witnesses_change(world: World) -> None:
    world.audit()
    path = world.home / "trust" / "witnesses.json"
    before = path.read_bytes()
    (world.home / "witness" / "witness.key").unlink()
    (world.home / "witness" / f"{world.log.origin}.checkpoint").unlink()
    path.write_bytes(policy_document(create_local_witness(world.home / "witness")))
    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        next(iter(world.logs().memories.values())).newest()

    assert world.audit().trusted
    assert next(iter(world.logs().memories.values())).newest().size == 3
    world.sign()
    assert world.audit().trusted
    path.write_bytes(before)  # what was released under the old witnesses is judged by them
    assert next(iter(world.logs().memories.values())).newest().size == 3


def test_new_witness_does_not_countersign_a_log_that_forked_meanwhile(world: World) -> None:
    world.audit()
    (world.home / "witness" / "witness.key").unlink()
    (world.home / "witness" / f"{world.log.origin}.checkpoint").unlink()
    key = create_local_witness(world.home / "witness")
    (world.home / "trust" / "witnesses.json").write_bytes(policy_document(key))
    world.log.bodies[0] = entry_body("ee")
    world.log.publish()

    assert world.codes() == ["LOG_FORK"]


def test_remembered_head_under_another_size_is_untrusted(world: World) -> None:
    world.audit()
    path = max((world.home / "trust").rglob("*.checkpoint"))
    path.rename(path.with_name(f"{2:016d}.checkpoint"))

    assert world.codes() == ["CHECKPOINT_UNTRUSTED"]


def test_ledger_that_is_lost_is_not_taken_for_an_empty_one(world: World) -> None:
    world.audit()
    max((world.home / "trust").rglob("*.leaves.json")).unlink()

    assert world.codes() == ["CHECKPOINT_UNTRUSTED"]


def test_memory_keeps_the_first_head_of_a_size(world: World, tmp_path: Path) -> None:
    world.audit()
    memory = next(iter(world.logs().memories.values()))
    keeper = LogKeeper(world.home, world.logs())
    head, tree = keeper.head(memory, None)
    memory.complete(head, Ledger(audited=1))
    assert memory.ledger(3).audited == 3

    lie = SimulatedLog(tmp_path / "lie", head.origin, world.log.private, [entry_body("ee")] * 3)
    with pytest.raises(VerificationError, match="LOG_FORK"):
        keeper.remember(memory, lie.head(), tree, Ledger())


def test_first_head_is_audited_later(world: World) -> None:
    keeper = LogKeeper(world.home, world.logs())
    memory = next(iter(keeper.logs.memories.values()))
    keeper.begin(memory)
    keeper.begin(memory)
    assert memory.ledger(3) == Ledger()

    assert world.audit().logs[0].entries == 3
    assert memory.ledger(3).audited == 3
    assert sorted(memory.ledger(3).matched) == [0, 1, 2]


def test_mirror_that_was_changed_is_not_believed(world: World) -> None:
    world.audit()
    path = next((world.home / "trust" / "checkpoints").rglob("*.p/3"))
    path.write_bytes(b"\0" * 96)
    with pytest.raises(VerificationError, match="LOG_CORRUPT"):
        next(iter(world.logs().memories.values())).tree()


@pytest.mark.parametrize("content", [None, b"[]", b"{"])
def test_home_that_does_not_say_where_its_log_is_is_refused(
    world: World, content: bytes | None
) -> None:
    path = world.home / "trust" / "logs.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"logs\.json"):
        LogKeeper(world.home, world.logs())


def test_home_that_does_not_name_this_log_is_undecided(world: World) -> None:
    (world.home / "trust" / "logs.json").write_text("{}")

    assert world.codes() == ["ROOT_DIGEST_MISMATCH"]


def test_trusted_root_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError):
        WitnessedLogs(tmp_path)


# --- any history at all ------------------------------------------------------------------------

EVENTS = st.lists(st.sampled_from(["sign", "announce", "audit", "foreign"]), max_size=12)


@settings(max_examples=25, deadline=None)
@given(events=EVENTS, attack=st.sampled_from(["none", "steal", "fork", "shrink", "forget"]))
def test_audit_after_any_honest_history_finds_the_attack_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, events: list[str], attack: str
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    world.sign()
    world.sign()
    world.audit()
    for event in events:
        statement = world.statement()
        match event:
            case "sign":
                world.sign(INGEST)
            case "announce":
                world.announced.append(statement.content)
                world.logged(statement, TRAIN)
            case "foreign":
                world.logged(statement, STRANGER)
            case _:
                assert world.audit(Depth.TAIL).trusted
    match attack:
        case "steal":
            world.logged(world.statement(), TRAIN)
        case "fork":
            world.log.bodies[1] = entry_body("ee")
        case "shrink":
            del world.log.bodies[1:]
        case "forget":
            del world.kept[next(name for name, one in world.kept.items() if one.log_index == 1)]
    world.log.publish()

    expected = {
        "none": set(),
        "steal": {"UNEXPECTED_LOG_ENTRY"},
        "fork": {"LOG_FORK"},
        "shrink": {"LOG_ROLLBACK"},
        "forget": {"EVIDENCE_MISSING"},
    }
    assert set(world.codes()) - {"EVIDENCE_ROLLBACK"} == expected[attack]
