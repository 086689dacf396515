"""What every form of `Memory` promises: nobody's change is lost, and a refused one changes none."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.attested.ports.blobs import FolderBlobs
from fraud_provenance.attested.ports.chain_memory import ChainMemory
from fraud_provenance.attested.ports.memory import (
    MAX_MEMORY_BYTES,
    FolderMemory,
    Memory,
    ProcessMemory,
)

FORMS: dict[str, Callable[[Path], Memory]] = {
    "chain": lambda folder: ChainMemory(FolderBlobs(folder / "chains"), ProcessMemory()),
    "folder": lambda folder: FolderMemory(folder, folder / "run" / "memory.lock"),
    "process": lambda _: ProcessMemory(),
}
NAME = "trust/heads.json"


@pytest.fixture(params=sorted(FORMS))
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Memory:
    return FORMS[request.param](tmp_path)


def count(before: bytes | None) -> bytes:
    return b"%d" % (int(before or b"0") + 1)


def test_a_document_is_what_it_was_changed_to(memory: Memory) -> None:
    assert memory.read(NAME) is None
    memory.change(NAME, count)
    memory.change(NAME, count)
    assert (memory.read(NAME), memory.read("run/other.json")) == (b"2", None)


def test_of_many_changes_at_once_none_is_lost(memory: Memory) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: memory.change(NAME, count), range(40)))
    assert memory.read(NAME) == b"40"


def test_a_change_that_is_refused_changes_nothing(memory: Memory) -> None:
    memory.change(NAME, count)

    def refuse(_before: bytes | None) -> bytes:
        raise ValueError("it would go back")

    with pytest.raises(ValueError, match="go back"):
        memory.change(NAME, refuse)
    memory.change(NAME, lambda before: before)
    assert memory.read(NAME) == b"1"


def test_what_is_forgotten_is_gone(memory: Memory) -> None:
    memory.change(NAME, count)
    memory.change(NAME, lambda _: None)
    memory.change(NAME, lambda _: None)
    assert memory.read(NAME) is None


def test_a_file_that_is_no_memory_is_refused(tmp_path: Path) -> None:
    memory = FORMS["folder"](tmp_path)
    (tmp_path / "trust").mkdir()
    (tmp_path / NAME).write_bytes(bytes(MAX_MEMORY_BYTES + 1))
    with pytest.raises(EvidenceError, match="SIZE_LIMIT"):
        memory.change(NAME, count)
    assert (tmp_path / NAME).stat().st_size == MAX_MEMORY_BYTES + 1
