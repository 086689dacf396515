"""What a home remembers beside its evidence, so that evidence cannot be taken away unseen.

Each memory is one small document under a name: heads of chains, the release in force, the length
of the prediction log, a move that was begun. It is changed by compare-and-swap, so that of two who
change it at once neither is forgotten. What only grows, the function that changes it keeps growing.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fraud_provenance.attested.core import files

MAX_MEMORY_BYTES = 1 << 20
Change = Callable[[bytes | None], bytes | None]
"""What a document is, to what it becomes; None stands for none."""
Follows = Callable[[bytes | None, bytes | None], bool]
"""Whether a document, the second, may come after another; None stands for none."""


def anything(_before: bytes | None, _after: bytes | None) -> bool:
    """Any document may follow any other.

    >>> anything(b"2", b"1")
    True
    """
    return True


class Memory(Protocol):
    """Small documents by name."""

    def read(self, name: str, follows: Follows = anything) -> bytes | None:
        """The document under a name, or None.

        `follows`: where others may write, what is there is held against what was seen here before.

        Raises:
            EvidenceError: SIZE_LIMIT or ARTIFACT_MISSING, what is there is no such document.
        """

    def change(self, name: str, change: Change, follows: Follows = anything) -> None:
        """Put what `change` makes of the document in its place, durably, or take it away.

        `change` is asked again where somebody else was quicker. What it raises leaves the
        document as it was.
        """


class FolderMemory:
    """Documents in files below one folder of this machine; one lock for all of them.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     memory = FolderMemory(Path(folder), Path(folder) / "lock")
    ...     memory.change("heads.json", lambda before: b"1" if before is None else before + b"1")
    ...     memory.read("heads.json")
    b'1'
    """

    def __init__(self, folder: Path, lock: Path) -> None:
        self._folder = folder
        self._lock = lock

    def read(self, name: str, follows: Follows = anything) -> bytes | None:
        """See `Memory.read`."""
        path = self._folder / name
        return files.read_once(path, limit_bytes=MAX_MEMORY_BYTES) if path.exists() else None

    def change(self, name: str, change: Change, follows: Follows = anything) -> None:
        """See `Memory.change`."""
        path = self._folder / name
        with files.exclusive_lock(self._lock):
            before = self.read(name)
            after = change(before)
            if after is None:
                path.unlink(missing_ok=True)
            elif after != before:
                files.write_atomic(path, after)


class ProcessMemory:
    """Documents that live as long as the process.

    >>> memory = ProcessMemory()
    >>> memory.change("length", lambda before: b"7")
    >>> memory.read("length"), memory.read("another")
    (b'7', None)
    """

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def read(self, name: str, follows: Follows = anything) -> bytes | None:
        """See `Memory.read`."""
        return self._documents.get(name)

    def change(self, name: str, change: Change, follows: Follows = anything) -> None:
        """See `Memory.change`."""
        with self._lock:
            after = change(self._documents.get(name))
            if after is None:
                self._documents.pop(name, None)
            else:
                self._documents[name] = after
