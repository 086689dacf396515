"""DT: data changed after they were attested, judged where a step reads them."""

import hashlib
import io
import os
from contextlib import AbstractContextManager
from pathlib import Path

import polars as pl

from fraud_provenance.attested.lineage.artifacts import Artifacts
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.step.step import Step
from fraud_provenance.data import versions as data_versions
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import FEATURES, RAW, data_access, training
from fraud_provenance_tests.attacks.model import Case, nothing
from fraud_provenance_tests.attacks.mutants import without

DAY, OTHER_DAY, NEW_DAY = "2018-05-09", "2018-05-08", "2031-01-01"
# The first published pair of different messages with the same MD5 (Wang et al., 2004).
COLLIDING = (
    bytes.fromhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
        "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
        "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
        "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
    ),
    bytes.fromhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89"
        "55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b"
        "d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
        "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
    ),
)


def file_of(home: Home, day: str = DAY, asset: str = RAW) -> Path:
    return home.path / "data" / asset / f"{day}.parquet"


def changed(content: bytes) -> bytes:
    """One bit in the middle is another."""
    found = bytearray(content)
    found[len(found) // 2] ^= 1
    return bytes(found)


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def flip_one_byte(home: Home) -> None:
    path = file_of(home)
    replace(path, changed(path.read_bytes()))


def write_again(home: Home) -> None:
    """The same bytes in a new file."""
    replace(file_of(home), file_of(home).read_bytes())


def change_with_pointer(home: Home) -> None:
    """The data and what DVC says of them fit each other, and neither fits the evidence."""
    path = file_of(home)
    before = path.read_bytes()
    after = changed(before)
    pointer = data_versions.pointer_path(path)
    text = pointer.read_text("utf-8")
    old, new = (hashlib.md5(item, usedforsecurity=False).hexdigest() for item in (before, after))
    assert old in text
    replace(path, after)
    replace(pointer, text.replace(old, new).encode())


def land_colliding(home: Home) -> None:
    """A day whose bytes have a twin with the same MD5."""
    path = home.path / "landing" / f"{NEW_DAY}.parquet"
    path.write_bytes(COLLIDING[0])
    with home.surroundings():
        trust = home.workspace().trust
        with Step(trust, "ingest", "attack", {"partitions": [NEW_DAY, NEW_DAY]}) as step:
            read = step.read_source("landing", {NEW_DAY: path})
            name = f"{RAW}/{NEW_DAY}.parquet"
            step.write(NEW_DAY, name, COLLIDING[0], [read.files[0].sha256])
            step.commit()


def collide(home: Home) -> None:
    md5 = {hashlib.md5(item, usedforsecurity=False).hexdigest() for item in COLLIDING}
    assert len(md5) == 1
    land_colliding(home)
    replace(file_of(home, NEW_DAY), COLLIDING[1])


def link_to_cache(home: Home) -> Path:
    """The day's file is DVC's own cached object, as with `cache.type hardlink`."""
    path = file_of(home)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    cached = next((home.path / ".dvc" / "cache").rglob(md5[2:]))
    cached.chmod(0o644)
    path.unlink()
    os.link(cached, path)
    return cached


def only_link_to_cache(home: Home) -> None:
    link_to_cache(home)


def edit_cache(home: Home) -> None:
    cached = link_to_cache(home)
    cached.write_bytes(changed(cached.read_bytes()))  # in place: the link stays


def swap_days(home: Home) -> None:
    first, second = file_of(home), file_of(home, OTHER_DAY)
    contents = first.read_bytes(), second.read_bytes()
    replace(first, contents[1])
    replace(second, contents[0])


def supersede(home: Home) -> bytes:
    """A second version of the day is attested; returns the bytes of the first."""
    path = file_of(home)
    before = path.read_bytes()
    landed = home.path / "landing" / f"{DAY}.parquet"
    with home.surroundings():
        trust = home.workspace().trust
        with Step(trust, "ingest", "late", {"partitions": [DAY, DAY]}) as step:
            read = step.read_source("landing", {DAY: landed})
            step.write(DAY, f"{RAW}/{DAY}.parquet", changed(before), [read.files[0].sha256])
            step.commit()
    return before


def roll_back(home: Home) -> None:
    replace(file_of(home), supersede(home))


def only_supersede(home: Home) -> None:
    supersede(home)


def add_file(home: Home) -> None:
    file_of(home, "2018-05-09.part2").write_bytes(file_of(home).read_bytes())


def add_pointer(home: Home) -> None:
    """What DVC may leave beside its files."""
    (home.path / "data" / RAW / ".gitignore").write_text("/*.parquet\n")


def delete_features(home: Home) -> None:
    file_of(home, DAY, FEATURES).unlink()


def believe_the_disk() -> AbstractContextManager[object]:
    """A mutant: bytes are handed over unhashed."""

    def read(self: Artifacts, node: Node, entry: FileEntry, folder: Path | None = None) -> bytes:
        return ((folder or self.location(node)) / entry.path).read_bytes()

    return patched(Artifacts, "read", read)


def skip_what_is_missing() -> AbstractContextManager[object]:
    """A mutant: like a reader that globs, a step goes on without a file that is gone."""
    original = Artifacts.read

    def read(self: Artifacts, node: Node, entry: FileEntry, folder: Path | None = None) -> bytes:
        path = (folder or self.location(node)) / entry.path
        return original(self, node, entry, folder) if path.exists() else _no_rows(path.parent)

    return patched(Artifacts, "read", read)


def _no_rows(folder: Path) -> bytes:
    buffer = io.BytesIO()
    pl.read_parquet(min(folder.glob("*.parquet"))).clear().write_parquet(buffer)
    return buffer.getvalue()


by_contracts = data_access(RAW, [DAY], "contracts")  # may read what no contract has judged yet
CASES = [
    Case("DT-01", flip_one_byte, data_access(RAW, [DAY]), write_again, believe_the_disk,
         quick=True),
    Case("DT-02", change_with_pointer, data_access(RAW, [DAY]), write_again, believe_the_disk),
    Case("DT-03", collide, data_access(RAW, [NEW_DAY], "contracts"), land_colliding,
         believe_the_disk),
    Case("DT-04", edit_cache, data_access(RAW, [DAY]), only_link_to_cache,
         believe_the_disk),
    Case("DT-05", swap_days, data_access(RAW, [OTHER_DAY, DAY]), write_again, believe_the_disk),
    Case("DT-07", roll_back, by_contracts, only_supersede, believe_the_disk),
    Case("DT-11", add_file, data_access(RAW, [DAY]), add_pointer,
         without(Artifacts, "unattested", [])),
    Case("DT-12", delete_features, training(train_start="2018-04-25"), nothing,
         skip_what_is_missing),
]  # fmt: skip
