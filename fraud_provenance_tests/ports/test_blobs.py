"""What every form of `Blobs` promises: written once, whole or not at all, and nothing outside."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.attested.ports.blobs import Blobs, FolderBlobs, MemoryBlobs
from fraud_provenance.attested.ports.object_store import ObjectBlobs
from fraud_provenance_tests.object_server import ObjectServer

pytestmark = pytest.mark.integration

LIMIT = 1 << 10


@pytest.fixture(params=["folder", "memory", "objects"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    match request.param:
        case "folder":
            return FolderBlobs(tmp_path / "blobs")
        case "memory":
            return MemoryBlobs()
    object_store: ObjectServer = request.getfixturevalue("object_store")
    return ObjectBlobs(object_store.bucket(tmp_path.name))


def test_what_was_put_is_read_and_what_was_not_is_none(blobs: Blobs) -> None:
    assert (blobs.read("bundles/a", LIMIT), blobs.has("bundles/a")) == (None, False)
    assert blobs.put("bundles/a", b"one")
    assert (blobs.read("bundles/a", LIMIT), blobs.has("bundles/a")) == (b"one", True)


def test_a_name_that_is_taken_keeps_its_bytes(blobs: Blobs) -> None:
    assert blobs.put("chains/a/1", b"first")
    assert not blobs.put("chains/a/1", b"second")
    assert blobs.read("chains/a/1", LIMIT) == b"first"


def test_of_many_writers_of_a_name_one_wins(blobs: Blobs) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        return blobs.put("chains/a/1", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert blobs.read("chains/a/1", LIMIT) == b"%d" % won.index(True)


def test_names_are_those_directly_below_in_order(blobs: Blobs) -> None:
    for name in ("bundles/b", "bundles/a", "bundles/deep/c", "manifests/d"):
        blobs.put(name, b"")
    assert blobs.names("bundles") == ["a", "b"]
    assert blobs.names("nowhere") == []


def test_more_bytes_than_allowed_are_refused(blobs: Blobs) -> None:
    blobs.put("a", bytes(LIMIT + 1))
    with pytest.raises(EvidenceError, match="SIZE_LIMIT"):
        blobs.read("a", LIMIT)
    assert blobs.read("a", LIMIT + 1) == bytes(LIMIT + 1)


def test_dropped_is_gone(blobs: Blobs) -> None:
    blobs.drop("intents/a")
    blobs.put("intents/a", b"one")
    blobs.drop("intents/a")
    assert (blobs.names("intents"), blobs.read("intents/a", LIMIT)) == ([], None)


def test_a_tool_finds_the_bytes_in_a_file(blobs: Blobs) -> None:
    blobs.put("bundles/a.json", b"{}")
    assert blobs.as_file("bundles/a.json").read_bytes() == b"{}"
    assert not blobs.as_file("bundles/b.json").exists()


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/../../b", "a//b", "./a", "a\0b", "a/"])
def test_no_name_leads_outside(blobs: Blobs, name: str) -> None:
    for use in (lambda: blobs.put(name, b""), lambda: blobs.read(name, LIMIT)):
        with pytest.raises(EvidenceError, match="EVIDENCE_MALFORMED"):
            use()


def test_writable_until_it_is_not(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs.check_writable("bundles", LIMIT)
    assert blobs.names("bundles") == []
    if isinstance(blobs, FolderBlobs):

        def full(_descriptor: int) -> None:
            raise OSError(28, "no space left")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            blobs.check_writable("bundles", LIMIT)
        monkeypatch.undo()
        assert blobs.names("bundles") == []


def test_what_a_full_disk_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FolderBlobs(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        blobs.put("bundles/a", b"one")
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_link_in_a_blobs_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"other")
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvidenceError, match="ARTIFACT_MISSING"):
        FolderBlobs(tmp_path).read("a", LIMIT)
    (tmp_path / "b").symlink_to(tmp_path / "nothing")
    assert not FolderBlobs(tmp_path).put("b", b"one")
    assert not (tmp_path / "nothing").exists()


def test_what_is_being_written_is_no_blob_yet(tmp_path: Path) -> None:
    (tmp_path / ".a.0123456789ab.tmp").write_bytes(b"half")
    assert FolderBlobs(tmp_path).names(".") == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_second_names_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*_names: object) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr(os, "link", link)
    blobs = FolderBlobs(tmp_path)
    assert blobs.put("bundles/a", b"one")
    (tmp_path / "bundles" / "b").symlink_to(tmp_path / "nothing")
    assert not blobs.put("bundles/b", b"two")
    assert blobs.read("bundles/a", LIMIT) == b"one"
    assert sorted(os.listdir(tmp_path / "bundles")) == ["a", "b"]


def test_what_else_keeps_a_file_from_its_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_names: object) -> None:
        raise OSError(errno.EIO, "a broken disk")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="broken disk"):
        FolderBlobs(tmp_path).put("bundles/a", b"one")
    assert os.listdir(tmp_path / "bundles") == []
