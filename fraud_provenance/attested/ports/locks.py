"""Who goes first where two must not do the same at once: two runs, two promoters, two machines.

A lock saves work and refusals. What must not happen twice is held by what only grows: a number in a
chain is signed and remembered once, whoever held a lock.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from fraud_provenance.attested.core import files


class Locks(Protocol):
    """Named locks. Each is held once, by whoever; a second holder waits."""

    def held(self, name: str) -> AbstractContextManager[None]:
        """Wait for a lock, and hold it until the block ends or the process does."""


class FolderLocks:
    """Locks of this machine's processes, by files in one folder; the kernel ends a dead one's.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, FolderLocks(Path(folder)).held("promotion"):
    ...     [path.name for path in Path(folder).iterdir()]
    ['promotion.lock']
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self, name: str) -> AbstractContextManager[None]:
        """See `Locks.held`."""
        return files.exclusive_lock(self._folder / f"{name}.lock")


class ProcessLocks:
    """Locks among the threads of one process.

    >>> with ProcessLocks().held("promotion"):
    ...     "alone"
    'alone'
    """

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """See `Locks.held`."""
        with self._locks[name]:
            yield
