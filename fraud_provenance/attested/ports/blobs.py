"""Bytes under names, each written once: bundles, manifests, what releases name, log tiles."""

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason


class Blobs(Protocol):
    """Named bytes that are written once. Names are relative, with `/` between their parts."""

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """The bytes under a name, or None where there are none.

        Raises:
            EvidenceError: SIZE_LIMIT; ARTIFACT_MISSING, what is there is no plain file.
        """

    def put(self, name: str, content: bytes) -> bool:
        """Keep bytes under a name that is free, durably; False where it is taken.

        What is there stays as it is, whatever it is. Of several writers one gets True; none may,
        where an answer was lost on its way: who needs to know reads what is there.
        """

    def has(self, name: str) -> bool:
        """Whether there is something under a name; says nothing about its bytes."""

    def names(self, folder: str) -> list[str]:
        """The last parts of the names directly below `folder`, sorted."""

    def drop(self, name: str) -> None:
        """Take a name away, if it is there: for notes of what is still to do, never evidence.

        Whether it is free again then, stores differ.
        """

    def as_file(self, name: str) -> Path:
        """A file of this machine for tools that want one: the blob itself, or a copy of it."""

    def check_writable(self, folder: str, size_bytes: int) -> None:
        """See whether bytes can be put below `folder` now.

        Raises:
            OSError: they cannot.
        """


class FolderBlobs:
    """Files below one folder of this machine.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     blobs = FolderBlobs(Path(folder))
    ...     (blobs.put("bundles/a.json", b"{}"), blobs.put("bundles/a.json", b"other"))
    ...     (blobs.read("bundles/a.json", limit_bytes=100), blobs.names("bundles"))
    (True, False)
    (b'{}', ['a.json'])
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """See `Blobs.read`."""
        path = self.as_file(name)
        if not path.exists():
            return None
        return files.read_once(path, limit_bytes=limit_bytes)

    def put(self, name: str, content: bytes) -> bool:
        """See `Blobs.put`."""
        return files.write_new(self.as_file(name), content)

    def has(self, name: str) -> bool:
        """See `Blobs.has`."""
        return self.as_file(name).exists()

    def names(self, folder: str) -> list[str]:
        """See `Blobs.names`."""
        with suppress(FileNotFoundError), os.scandir(self.as_file(folder)) as items:
            found = [item.name for item in items if not item.is_dir()]
            return sorted(name for name in found if not files.is_temporary(name))
        return []

    def drop(self, name: str) -> None:
        """See `Blobs.drop`."""
        self.as_file(name).unlink(missing_ok=True)

    def as_file(self, name: str) -> Path:
        """See `Blobs.as_file`."""
        return self._folder / plain(name)

    def check_writable(self, folder: str, size_bytes: int) -> None:
        """See `Blobs.check_writable`."""
        files.probe(self.as_file(folder), size_bytes)


class MemoryBlobs:
    """Blobs that live as long as the process.

    >>> blobs = MemoryBlobs()
    >>> blobs.put("a", b"1"), blobs.put("a", b"2"), blobs.read("a", limit_bytes=100)
    (True, False, b'1')
    """

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._copies = Copies()

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """See `Blobs.read`."""
        content = self._content.get(plain(name))
        return content if content is None else bounded(name, content, limit_bytes)

    def put(self, name: str, content: bytes) -> bool:
        """See `Blobs.put`."""
        with self._lock:
            is_free = plain(name) not in self._content
            self._content.setdefault(plain(name), bytes(content))
            return is_free

    def has(self, name: str) -> bool:
        """See `Blobs.has`."""
        return plain(name) in self._content

    def names(self, folder: str) -> list[str]:
        """See `Blobs.names`."""
        places = [PurePosixPath(name) for name in tuple(self._content)]
        return sorted(place.name for place in places if str(place.parent) == plain(folder))

    def drop(self, name: str) -> None:
        """See `Blobs.drop`."""
        self._content.pop(plain(name), None)

    def as_file(self, name: str) -> Path:
        """See `Blobs.as_file`."""
        return self._copies.of(name, self._content.get(name))

    def check_writable(self, folder: str, size_bytes: int) -> None:
        """See `Blobs.check_writable`."""


class Copies:
    """Files with the bytes of blobs, for as long as their owner lives.

    >>> copies = Copies()
    >>> copies.of("a/b", b"bytes").read_bytes()
    b'bytes'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def of(self, name: str, content: bytes | None) -> Path:
        """A file with these bytes; where there are none, the path of no file."""
        with self._lock:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="blobs-")
        path = Path(self._folder.name) / plain(name)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            files.write_atomic(path, content, durable=False)
        return path


def bounded(name: str, content: bytes, limit_bytes: int) -> bytes:
    """The bytes, if they are no more than allowed.

    Raises:
        EvidenceError: SIZE_LIMIT.

    >>> bounded("a", b"123", limit_bytes=2)
    Traceback (most recent call last):
    EvidenceError: SIZE_LIMIT: a has more than 2 bytes
    """
    if len(content) > limit_bytes:
        why = f"{PurePosixPath(name).name} has more than {limit_bytes} bytes"
        raise EvidenceError(reason(RootCause.SIZE_LIMIT, why))
    return content


def plain(name: str) -> str:
    """The name, if it stays below its folder.

    Raises:
        EvidenceError: EVIDENCE_MALFORMED.

    >>> plain("bundles/a.json")
    'bundles/a.json'
    >>> plain("../a.json")
    Traceback (most recent call last):
    EvidenceError: EVIDENCE_MALFORMED: '../a.json' is no name of a blob
    """
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name or str(place) != name:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"{name[:80]!r} is no name of a blob")
        )
    return name
