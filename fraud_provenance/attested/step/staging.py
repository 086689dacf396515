"""Where outputs wait for their signature: staged, signed, then moved into view.

No unsigned file is ever visible. A kill at any moment leaves either nothing or something that
`recover` completes.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.core.leaks import refuse_secrets
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.store.contents import Contents

Finish = Callable[[Trust, str, Path], object]
"""What must be done with signed output before it may be seen: (trust, statement, staged files)."""
_WRITTEN = (
    "evidence",
    "trust",
    "witness",
    "landing",
    "run",
    "alerts",
    "history",
)  # file by file, by us alone


class Staging:
    """The outputs of one step, on their way to `location` of the home."""

    def __init__(self, home: Path, location: str, contents: Contents | None = None) -> None:
        """Nothing is made before the first write. `contents`: where the bytes are kept, too."""
        self.home, self.location = home, location
        self._contents = contents
        self._kept: list[Future[bool]] = []
        self.entries: list[FileEntry] = []
        self._folder: Path | None = None
        self._lock: Any = None

    def write(self, partition: str, path: str, content: bytes, made_from: Iterable[str]) -> str:
        """Stage one output file; returns its SHA-256. `path` is relative to the location.

        Raises:
            VerificationError: SECRET_IN_TREE, the bytes hold a private key or an access token.
        """
        refuse_secrets([(path, content)])
        if self._folder is None:
            self._open()
        assert self._folder is not None  # noqa: S101 - set by _open
        entry = FileEntry(
            path=path,
            partition=partition,
            size=len(content),
            sha256=encoding.digest_bytes(content),
            made_from=tuple(sorted(set(made_from))),
        )
        target = self._folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._add(entry, content)
        return entry.sha256

    def adopt(self, location: str, partition: str, made_from: Iterable[str]) -> None:
        """Take a folder that a library wrote, below the home, as output: every file of it.

        Raises:
            EvidenceError: a file cannot be read. VerificationError: SECRET_IN_TREE.
        """
        self.location = location
        folder = self.home / location
        sources = tuple(sorted(set(made_from)))
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            content = files.read_once(path)
            refuse_secrets([(path.name, content)])
            entry = FileEntry(
                path=path.relative_to(folder).as_posix(),
                partition=partition,
                size=len(content),
                sha256=encoding.digest_bytes(content),
                made_from=sources,
            )
            self._add(entry, content)

    def _add(self, entry: FileEntry, content: bytes) -> None:
        self.entries.append(entry)
        if self._contents is not None:
            self._kept.append(self._contents.begin(entry.sha256, content))

    def settle(self) -> None:
        """Wait until all bytes are kept where evidence will look for them.

        Raises:
            BackendError: STORAGE_UNAVAILABLE. VerificationError: DIGEST_MISMATCH.
        """
        for kept in self._kept:
            kept.result()

    def name(self, asset: str, digest: str) -> None:
        """Say of which manifest these files are, so that `recover` knows them."""
        if self._folder is not None:
            name = f"{asset}.{digest}.{secrets.token_hex(4)}"
            self._folder = self._folder.rename(self._folder.with_name(name))

    def publish(self, finish: Callable[[Path], object] | None = None) -> None:
        """Move the files into view, after `finish`: what that refuses is left for `recover`."""
        if self._folder is None:
            return
        if finish is not None:
            try:
                finish(self._folder)
            except BaseException:
                self._lock.close()
                self._folder = None  # signed: left for `recover`
                raise
        publish(self._folder, self.home / self.location)

    def discard(self) -> None:
        """Throw away whatever is still staged."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.close()
            self._folder = None
            self.entries = []

    def _open(self) -> None:
        folder = _root(self.home) / self.location
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder / f"open.{secrets.token_hex(8)}"
        self._folder.mkdir(mode=0o700)
        self._lock = (self._folder / ".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)


def _root(home: Path) -> Path:
    return home / "staging"


def publish(staged: Path, target: Path, only: Container[str] | None = None) -> None:
    """Move every staged file (or `only` these paths) into place; safe to repeat after a kill."""
    folders = set()
    for path in sorted(staged.rglob("*")):
        name = path.relative_to(staged).as_posix()
        if path.is_file() and name != ".lock" and (only is None or name in only):
            destination = target / path.relative_to(staged)
            destination.parent.mkdir(parents=True, exist_ok=True)
            path.replace(destination)
            folders.add(destination.parent)
    for folder in folders:
        files.fsync_folder(folder)


def recover(trust: Trust, finish: Mapping[str, Finish] | None = None) -> list[str]:
    """Finish what a killed run had signed, throw away what it had not; returns what was done.

    `finish` holds, by asset, what `commit` was given.
    """
    root = _root(trust.home)
    unfinished = sum(files.sweep(trust.home / name) for name in _WRITTEN)
    done = [f"removed {unfinished} unfinished files"] if unfinished else []
    for lock in sorted(root.rglob(".lock")):
        staged = lock.parent
        with lock.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner is alive
            asset, _, rest = staged.name.partition(".")
            digest = rest.partition(".")[0]
            signed = asset != "open" and trust.store.records(
                predicate_type=statements.PROVENANCE, asset=asset, subject=digest
            )
            if signed:
                location = staged.parent.relative_to(root)
                newest = _newest_files(trust, asset, digest)
                if newest and asset in (finish or {}):
                    if not _may_finish(trust, asset):
                        continue  # a run of its own step does
                    (finish or {})[asset](trust, signed[-1].statement, staged)
                publish(staged, trust.home / location, newest)
                done.append(f"completed {asset} {digest[:12]}")
            else:
                done.append(f"discarded unsigned output {staged.name.partition('.')[0]}")
            shutil.rmtree(staged, ignore_errors=True)
    return done


def _may_finish(trust: Trust, asset: str) -> bool:
    """Whether what is left to be signed of an asset can be signed here.

    Where each run has one identity, only by a run of the step that makes the asset.
    """
    if not trust.gates_elsewhere:
        return True
    layout = trust.policies.current().layout
    try:
        trust.signing.require(identity_of(layout, layout.producer(asset)))
    except ProvenanceError:
        return False
    return True


def _newest_files(trust: Trust, asset: str, digest: str) -> set[str]:
    """Paths of a manifest that no later run replaced: only these may be moved into view."""
    heads = trust.store.heads(asset)
    newest = {(head.path, head.sha256) for found in heads.values() for head in found}
    entries = trust.store.manifest(digest).entries
    return {entry.path for entry in entries if (entry.path, entry.sha256) in newest}
