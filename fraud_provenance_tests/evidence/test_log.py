"""Reading a log's tiles: what does not add up to the signed root is never handed out."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_provenance.attested.core.errors import BackendError, EvidenceError, VerificationError
from fraud_provenance.attested.tlog import merkle, notes
from fraud_provenance.attested.tlog.tiles import (
    FileSystemSource,
    FolderSource,
    HttpSource,
    LogFiles,
    LogSource,
    Tree,
    open_source,
    parse_entry,
    read_entries,
    signed_digest,
    tile_path,
)
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, entry_body
from fraud_provenance_tests.listening import serving

SIZES = (1, 2, 3, 255, 256, 257, 511, 700)


def bodies(count: int) -> list[bytes]:
    return [entry_body(f"{number:064x}") for number in range(count)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> SimulatedLog:
    """A log of 700 entries: two full tiles, a partial one, and a level above."""
    made = SimulatedLog(tmp_path_factory.mktemp("log"), bodies=bodies(700))
    made.publish()
    return made


@pytest.fixture
def files(log: SimulatedLog) -> LogFiles:
    return LogFiles(FolderSource(log.folder))


@pytest.fixture
def tree(log: SimulatedLog, files: LogFiles) -> Tree:
    return Tree(files.tile, 700, log.head().root)


@pytest.fixture
def broken(log: SimulatedLog, tmp_path: Path) -> SimulatedLog:
    """A copy of the log that a test may damage."""
    made = SimulatedLog(tmp_path / "log", log.origin, log.private, log.bodies)
    made.publish()
    return made


def flip(path: Path, at: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# --- paths and sources -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 5, 7, "tile/1/005.p/7"),
        ("entries", 1234067, 256, "tile/entries/x001/x234/067"),
        (0, 1000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_tile_path_is_that_of_the_specification(
    kind: int | str, index: int, width: int, path: str
) -> None:
    assert tile_path(kind, index, width) == path


@pytest.fixture(scope="module")
def address(log: SimulatedLog) -> Iterator[str]:
    """The log behind an http address."""
    with serving(log.folder) as address:
        yield address


@pytest.fixture(params=["folder", "http", "file system"])
def source(request: pytest.FixtureRequest, log: SimulatedLog, address: str) -> LogSource:
    places = {
        "folder": log.folder.name,
        "http": address,
        "file system": f"file://{log.folder}",
    }
    return open_source(places[request.param], log.folder.parent)


def test_source_reads_the_same_tree_from_everywhere(source: LogSource, log: SimulatedLog) -> None:
    found = LogFiles(source)

    head = notes.parse_checkpoint(found.checkpoint())

    assert head == log.head()
    assert len(list(read_entries(found, Tree(found.tile, head.size, head.root), 0))) == 700


def test_source_without_the_file_says_so(source: LogSource) -> None:
    assert source.read("tile/9/000", 10) is None


def test_source_bounds_what_it_reads(source: LogSource) -> None:
    with pytest.raises(EvidenceError, match="SIZE_LIMIT"):
        source.read("tile/0/000", 100)


@pytest.mark.parametrize(
    "gone",
    [
        FolderSource(Path("/nowhere")),
        HttpSource("http://127.0.0.1:9", 1),
        FileSystemSource("no://x"),
    ],
    ids=["folder", "http", "file system"],
)
def test_source_that_is_not_there_is_undecided(gone: LogSource) -> None:
    with pytest.raises(BackendError, match="LOG_UNAVAILABLE"):
        LogFiles(gone).checkpoint()


def test_http_source_that_answers_with_an_error_is_undecided(address: str) -> None:
    with pytest.raises(BackendError, match="answered 301"):
        HttpSource(address).read("tile", 100)


def test_log_without_checkpoint_is_undecided(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no checkpoint"):
        LogFiles(FolderSource(tmp_path)).checkpoint()


# --- the tree ----------------------------------------------------------------------------------


def test_tree_gives_every_leaf_and_every_earlier_root(tree: Tree, log: SimulatedLog) -> None:
    leaves = [merkle.leaf_hash(body) for body in log.bodies]

    assert [tree.leaf(index) for index in range(700)] == leaves
    for size in (0, *SIZES):
        assert tree.root_at(size) == merkle.root_of_hashes(leaves[:size])


@pytest.mark.parametrize("index", [-1, 700])
def test_tree_has_no_leaf_beyond_its_size(tree: Tree, index: int) -> None:
    with pytest.raises(IndexError):
        tree.leaf(index)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_consistency_proof_of_any_two_sizes_holds_and_no_other_root_does(
    data: st.DataObject,
) -> None:
    leaves = [merkle.leaf_hash(bytes([n % 251, n // 251])) for n in range(600)]
    size = data.draw(st.integers(1, 600))
    old = data.draw(st.integers(0, size))
    root = merkle.root_of_hashes(leaves[:size])
    tree = Tree(lambda level, index, width: _tile(leaves[:size], level, index, width), size, root)

    proof = tree.consistency_proof(old)
    old_root = merkle.root_of_hashes(leaves[:old])

    assert merkle.is_consistent(old, old_root, size, root, proof)
    assert not merkle.is_consistent(old, b"\1" * 32, size, root, proof)
    assert not merkle.is_consistent(old, old_root, size, b"\1" * 32, proof) or old == 0
    assert not merkle.is_consistent(old, old_root, size, root, [*proof, b"\1" * 32])
    if proof:
        assert not merkle.is_consistent(old, old_root, size, root, proof[:-1])


def _tile(leaves: list[bytes], level: int, index: int, width: int) -> bytes:
    hashes = leaves
    for _ in range(level):
        hashes = [
            merkle.root_of_hashes(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)
        ]
    return b"".join(hashes[index * 256 : index * 256 + width])


@pytest.mark.parametrize(("old", "size"), [(2, 1), (-1, 3)])
def test_consistency_of_a_tree_that_shrank_is_none(old: int, size: int) -> None:
    assert not merkle.is_consistent(old, b"", size, b"", [])


@pytest.mark.parametrize(
    "path", ["tile/0/002.p/188", "tile/1/000.p/2"], ids=["right edge", "level above"]
)
def test_tree_whose_edge_was_changed_is_corrupt(broken: SimulatedLog, path: str) -> None:
    flip(broken.folder / path)
    with pytest.raises(VerificationError, match=r"LOG_CORRUPT.*do not add up"):
        Tree(LogFiles(FolderSource(broken.folder)).tile, 700, broken.head().root)


def test_tile_that_was_changed_is_named(broken: SimulatedLog) -> None:
    flip(broken.folder / "tile/0/001", 40)
    found = LogFiles(FolderSource(broken.folder))
    tree = Tree(found.tile, 700, broken.head().root)

    assert tree.leaf(0)
    with pytest.raises(VerificationError, match=r"LOG_CORRUPT\(log tile/0/001\)"):
        tree.leaf(300)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 31, b"\0" * 33])
def test_tile_that_is_lost_or_cut_is_corrupt(broken: SimulatedLog, content: bytes | None) -> None:
    path = broken.folder / "tile/0/000"
    path.unlink() if content is None else path.write_bytes(content)
    found = LogFiles(FolderSource(broken.folder))
    with pytest.raises(VerificationError, match="LOG_CORRUPT"):
        Tree(found.tile, 700, broken.head().root).leaf(0)


def test_partial_tile_that_is_gone_is_read_from_the_full_one(log: SimulatedLog) -> None:
    files = LogFiles(FolderSource(log.folder))
    root = log.head(100).root

    tree = Tree(files.tile, 100, root)

    assert tree.leaf(99) == merkle.leaf_hash(log.bodies[99])
    assert len(list(read_entries(files, tree, 90))) == 10


# --- entries -----------------------------------------------------------------------------------


def test_entries_are_read_from_the_start_named(files: LogFiles, tree: Tree) -> None:
    found = list(read_entries(files, tree, 500))

    assert [entry.index for entry in found] == list(range(500, 700))
    assert found[0].digest == f"{500:064x}"
    assert found[0].certificate == b""


def test_entry_that_is_not_its_leaf_is_corrupt(broken: SimulatedLog) -> None:
    path = broken.folder / "tile/entries/001"
    content = path.read_bytes()
    path.write_bytes(content.replace(f"{300:x}".encode(), b"fff", 0)[:-9] + b"}" * 9)
    found = LogFiles(FolderSource(broken.folder))
    tree = Tree(found.tile, 700, broken.head().root)
    with pytest.raises(VerificationError, match=r"LOG_CORRUPT.*not what the tree says"):
        list(read_entries(found, tree, 0))


@pytest.mark.parametrize("cut", [1, 400, -1])
def test_entry_bundle_that_is_cut_is_corrupt(broken: SimulatedLog, cut: int) -> None:
    path = broken.folder / "tile/entries/002.p/188"
    path.write_bytes(path.read_bytes()[:cut])
    found = LogFiles(FolderSource(broken.folder))
    tree = Tree(found.tile, 700, broken.head().root)
    with pytest.raises(VerificationError, match="LOG_CORRUPT"):
        list(read_entries(found, tree, 512))


@pytest.mark.parametrize(
    ("kind", "version"),
    [("dsse", "0.0.1"), ("dsse", "0.0.2"), ("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.3"),
     ("intoto", "0.0.2"), (["hashedrekord"], "0.0.2"), ("hashedrekord", 2), (None, None)],
)  # fmt: skip
def test_entry_of_a_kind_that_the_log_does_not_make_is_refused(
    kind: object, version: object
) -> None:
    body = json.loads(entry_body("aabb", b"\1\2")) | {"kind": kind, "apiVersion": version}
    with pytest.raises(VerificationError, match=r"LOG_ENTRY_KIND.*log entry 3"):
        parse_entry(3, b"leaf", json.dumps(body).encode())


def test_entry_says_what_was_signed_and_by_whom() -> None:
    found = parse_entry(3, b"leaf", entry_body("aabb", b"\1\2", b"\3"))
    assert (found.index, found.leaf) == (3, b"leaf")
    assert (found.algorithm, found.digest) == ("SHA2_256", "aabb")
    assert (found.signature, found.certificate) == (b"\3", b"\1\2")
    assert parse_entry(3, b"leaf", entry_body("aabb")).certificate == b""


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"kind":"hashedrekord","apiVersion":"0.0.2","spec":{}}',
        b'{"kind":"hashedrekord","apiVersion":"0.0.2","spec":{"hashedRekordV002":{}}}',
        entry_body("00").replace(b"AA==", b"A"),
        entry_body("00").replace(b"publicKey", b"neither"),
        entry_body("00").replace(b'"publicKey"', b'"x509Certificate":{},"publicKey"'),
    ],
)  # fmt: skip
def test_entry_that_cannot_be_read_is_no_entry(body: bytes) -> None:
    with pytest.raises(VerificationError, match=r"LOG_CORRUPT.*entry 7"):
        parse_entry(7, b"", body)


def test_signed_digest_is_that_of_the_pre_authentication_encoding() -> None:
    """The example of the DSSE specification, hashed."""
    import hashlib

    encoded = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    expected = hashlib.sha256(encoded).hexdigest()
    assert signed_digest(b"hello world", "http://example.com/HelloWorld") == expected


def test_tree_of_exactly_one_full_tile_has_its_root(tmp_path: Path) -> None:
    made = SimulatedLog(tmp_path, bodies=bodies(256))
    head = made.publish()
    tree = Tree(LogFiles(FolderSource(made.folder)).tile, 256, head.root)
    assert tree.root_at(256) == head.root
