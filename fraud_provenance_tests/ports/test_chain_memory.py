"""Memory that machines share: stores that go back, fork, lose or delay what they took."""

import random
from dataclasses import dataclass, field

import pytest

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    ProvenanceError,
    reason,
)
from fraud_provenance.attested.ports.blobs import MemoryBlobs
from fraud_provenance.attested.ports.chain_memory import ChainMemory
from fraud_provenance.attested.ports.memory import MAX_MEMORY_BYTES, ProcessMemory
from fraud_provenance.attested.ports.object_store import ObjectBlobs
from fraud_provenance_tests.object_server import ObjectServer

NAME = "trust/heads.json"


def count(before: bytes | None) -> bytes:
    return b"%d" % (int(before or b"0") + 1)


def link(sequence: int) -> str:
    return f"{NAME}/{sequence:016d}"


class LyingBlobs(MemoryBlobs):
    """A store that may show an old listing, lose a PUT or the answer to one, or be hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: set[str] = set()
        self.loses_puts = False
        self.loses_answers = False
        self.old_names: list[str] | None = None

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        return None if name in self.hidden else super().read(name, limit_bytes)

    def names(self, folder: str) -> list[str]:
        return super().names(folder) if self.old_names is None else self.old_names

    def put(self, name: str, content: bytes) -> bool:
        if self.loses_puts:
            return True
        done = super().put(name, content)
        return False if self.loses_answers else done

    def replace(self, name: str, content: bytes) -> None:
        super().drop(name)
        super().put(name, content)


@dataclass
class Shared:
    """One place, and machines that remember there."""

    blobs: LyingBlobs = field(default_factory=LyingBlobs)

    def machine(self) -> ChainMemory:
        return ChainMemory(self.blobs, ProcessMemory())


@pytest.fixture
def shared() -> Shared:
    return Shared()


def refused(memory: ChainMemory) -> str:
    with pytest.raises(ProvenanceError) as caught:
        memory.read(NAME)
    with pytest.raises(ProvenanceError):
        memory.change(NAME, count)
    return caught.value.reasons[0].code


def test_what_one_machine_changes_the_others_read(shared: Shared) -> None:
    here, there = shared.machine(), shared.machine()
    here.change(NAME, count)
    assert there.read(NAME) == b"1"
    there.change(NAME, count)
    assert here.read(NAME) == b"2"
    here.change(NAME, lambda _: None)
    assert there.read(NAME) is None
    there.change(NAME, count)
    assert here.read(NAME) == b"1"


def test_many_changes_behind_it_catches_up_without_a_listing(shared: Shared) -> None:
    here, there = shared.machine(), shared.machine()
    here.change(NAME, count)
    assert there.read(NAME) == b"1"
    for _ in range(20):
        here.change(NAME, count)
    shared.blobs.old_names = []
    assert there.read(NAME) == b"21"


def test_an_old_listing_hides_nothing_from_who_comes_new(shared: Shared) -> None:
    here = shared.machine()
    for _ in range(3):
        here.change(NAME, count)
    shared.blobs.old_names = ["0000000000000001", "lost+found"]
    assert shared.machine().read(NAME) == b"3"


def test_a_store_that_goes_back_is_refused_by_who_saw_more(shared: Shared) -> None:
    here, there = shared.machine(), shared.machine()
    here.change(NAME, count)
    there.read(NAME)
    here.change(NAME, count)
    shared.blobs.hidden.add(link(2))
    assert refused(here) == "EVIDENCE_ROLLBACK"
    assert there.read(NAME) == b"1"


def test_a_new_machine_that_is_given_what_another_saw_believes_no_less(shared: Shared) -> None:
    own = ProcessMemory()
    here = ChainMemory(shared.blobs, own)
    for _ in range(2):
        here.change(NAME, count)
    seen, given = own.read(f"{NAME}.seen"), ProcessMemory()
    given.change(f"{NAME}.seen", lambda _: seen)
    assert ChainMemory(shared.blobs, given).read(NAME) == b"2"
    shared.blobs.hidden.add(link(2))
    assert refused(ChainMemory(shared.blobs, given)) == "EVIDENCE_ROLLBACK"


def test_another_history_is_refused_by_who_saw_the_first(shared: Shared) -> None:
    here, there, new = shared.machine(), shared.machine(), shared.machine()
    for memory in (here, there):
        memory.change(NAME, count)
    here.read(NAME)
    first = shared.blobs.read(link(2), MAX_MEMORY_BYTES)
    assert first is not None
    shared.blobs.replace(link(2), first.replace(b"kept\n2", b"kept\n9"))
    assert refused(here) == "EVIDENCE_ROLLBACK"
    new.change(NAME, count)  # who comes new cannot know: what counts is signed and logged
    shared.blobs.replace(link(2), first)
    assert refused(here) == "EVIDENCE_ROLLBACK"  # the third link was made after another second


def test_a_put_that_was_lost_is_missed(shared: Shared) -> None:
    here = shared.machine()
    here.change(NAME, count)
    shared.blobs.loses_puts = True
    here.change(NAME, count)
    assert refused(here) == "EVIDENCE_ROLLBACK"


def test_an_answer_that_was_lost_counts_once(shared: Shared) -> None:
    here = shared.machine()
    shared.blobs.loses_answers = True
    for _ in range(3):
        here.change(NAME, count)
    assert here.read(NAME) == b"3"


def test_a_place_that_is_taken_and_shown_to_nobody_decides_nothing(shared: Shared) -> None:
    shared.machine().change(NAME, count)
    shared.blobs.old_names = []
    shared.blobs.hidden.add(link(1))
    with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
        shared.machine().change(NAME, count)


def test_a_listing_of_what_is_not_there_is_refused(shared: Shared) -> None:
    shared.blobs.old_names = ["0000000000000007"]
    assert refused(shared.machine()) == "EVIDENCE_ROLLBACK"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"1", b"x" * 200, b"0" * 64 + b" short kept\n1",
        b"0" * 64 + b" " + b"0" * 32 + b" lost\n1", b"\xff" * 64 + b" " + b"0" * 32 + b" kept\n1",
        b"0" * 64 + b" " + b"0" * 32 + b" kept 1",
    ],
)  # fmt: skip
def test_a_link_that_is_none_is_refused(shared: Shared, content: bytes) -> None:
    shared.blobs.put(link(1), content)
    assert refused(shared.machine()) == "EVIDENCE_MALFORMED"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"7\n",
        b"0000000000000001\n1",
        b"0" * 16 + b"\n" + b"0" * 64 + b" " + b"0" * 32 + b" kept\n",
    ],
)
def test_what_was_seen_and_cannot_be_read_is_refused(shared: Shared, content: bytes) -> None:
    own = ProcessMemory()
    own.change(f"{NAME}.seen", lambda _: content)
    with pytest.raises(ProvenanceError, match="EVIDENCE_MALFORMED"):
        ChainMemory(shared.blobs, own).read(NAME)


def test_a_home_that_begins_to_share_brings_what_it_remembers(shared: Shared) -> None:
    own = ProcessMemory()
    own.change(NAME, lambda _: b"41")
    home = ChainMemory(shared.blobs, own)
    assert home.read(NAME) == b"41"
    assert shared.machine().read(NAME) == b"41"  # whoever reads it shares it
    home.change(NAME, count)
    assert shared.machine().read(NAME) == home.read(NAME) == b"42"
    assert ChainMemory(shared.blobs, own).read(NAME) == b"42"


def test_one_killed_while_it_began_to_share_goes_on(shared: Shared) -> None:
    own = ProcessMemory()
    own.change(NAME, lambda _: b"41")
    ChainMemory(shared.blobs, own).change(NAME, count)
    own.change(f"{NAME}.seen", lambda _: None)  # as if it had been killed before it noted that
    assert ChainMemory(shared.blobs, own).read(NAME) == b"42"


def test_a_home_that_remembers_something_else_is_refused(shared: Shared) -> None:
    shared.machine().change(NAME, count)
    own = ProcessMemory()
    own.change(NAME, lambda _: b"41")
    assert refused(ChainMemory(shared.blobs, own)) == "EVIDENCE_ROLLBACK"


def test_of_two_processes_the_slower_one_forgets_nothing(shared: Shared) -> None:
    shared.machine().change(NAME, count)
    own = ProcessMemory()
    slow, quick = (ChainMemory(shared.blobs, own) for _ in range(2))
    look = shared.blobs.read

    def read(name: str, limit_bytes: int) -> bytes | None:
        found = look(name, limit_bytes)
        if name == link(2) and found is None:  # the slow one has looked: now the quick one acts
            shared.blobs.read = look  # type: ignore[method-assign]
            quick.change(NAME, count)
        return found

    shared.blobs.read = read  # type: ignore[method-assign]
    assert slow.read(NAME) == b"1"
    shared.blobs.hidden.add(link(2))
    assert refused(slow) == "EVIDENCE_ROLLBACK"


def test_what_is_too_large_is_refused_and_changes_nothing(shared: Shared) -> None:
    here = shared.machine()
    here.change(NAME, count)
    with pytest.raises(EvidenceError, match="SIZE_LIMIT"):
        here.change(NAME, lambda _: bytes(MAX_MEMORY_BYTES))
    assert here.read(NAME) == b"1"


def test_a_link_that_says_less_is_refused_by_who_saw_more(shared: Shared) -> None:
    def grew(before: bytes | None, after: bytes | None) -> bool:
        return int(after or b"0") >= int(before or b"0")

    here, there, new = shared.machine(), shared.machine(), shared.machine()
    for _ in range(2):
        here.change(NAME, count, grew)
    there.change(NAME, lambda _: b"1")  # by who does not care, or may write there and lies
    for work in (lambda: here.read(NAME, grew), lambda: here.change(NAME, count, grew)):
        with pytest.raises(EvidenceError, match="says less") as caught:
            work()
        assert caught.value.reasons[0].code == "EVIDENCE_ROLLBACK"
    assert new.read(NAME, grew) == b"1"
    there.change(NAME, lambda _: b"3")
    assert here.read(NAME, grew) == b"3"


def test_two_that_change_it_in_turn_lose_nothing(shared: Shared) -> None:
    here, there = shared.machine(), shared.machine()

    def after_the_other(before: bytes | None) -> bytes:
        if before is None:
            there.change(NAME, count)
        return count(before)

    here.change(NAME, after_the_other)
    assert here.read(NAME) == there.read(NAME) == b"2"


class CutBlobs(MemoryBlobs):
    """A store behind a network that is cut at any moment: before it hears, or before it answers."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.is_cut = True

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        self._may_fail()
        return super().read(name, limit_bytes)

    def put(self, name: str, content: bytes) -> bool:
        self._may_fail()
        done = super().put(name, content)
        self._may_fail()
        return done

    def names(self, folder: str) -> list[str]:
        self._may_fail()
        return super().names(folder)

    def _may_fail(self) -> None:
        if self.is_cut and self._chance.random() < 0.2:
            raise BackendError(reason(RootCause.STORAGE_UNAVAILABLE, "the network is cut"))


@pytest.mark.parametrize("seed", range(20))
def test_a_network_that_is_cut_at_any_moment_loses_nothing_and_counts_nothing_twice(
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - it decides moments, no secret
    blobs = CutBlobs(chance)
    owns = [ProcessMemory() for _ in range(3)]
    done: list[str] = []
    unknown: list[str] = []
    for number in range(40):
        own = chance.choice(owns)  # one machine, of which each command is a process of its own
        mine = f"{number};"
        try:
            ChainMemory(blobs, own).change(
                NAME, lambda before, m=mine: (before or b"") + m.encode()
            )
            done.append(mine)
        except BackendError:
            unknown.append(mine)
    blobs.is_cut = False
    kept = [ChainMemory(blobs, own).read(NAME) for own in owns]
    assert kept[0] is not None
    assert kept == [kept[0]] * 3
    found = [f"{item};" for item in kept[0].decode().split(";") if item]
    assert [item for item in found if item in done] == done, "each in its place, and once"
    assert len(set(found)) == len(found)
    assert set(found) <= {*done, *unknown}
    assert unknown


@pytest.mark.integration
def test_in_an_object_store_machines_lose_nothing_and_delete_nothing(
    object_store: ObjectServer,
) -> None:
    bucket = object_store.bucket("shared/chains", kept_days=1)
    machines = [ChainMemory(ObjectBlobs(bucket), ProcessMemory()) for _ in range(2)]
    for _ in range(3):
        for machine in machines:
            machine.change(NAME, count)
    machines[0].change(NAME, lambda _: None)
    assert [machine.read(NAME) for machine in machines] == [None, None]
    assert len(ObjectBlobs(bucket).names(NAME)) == 7
