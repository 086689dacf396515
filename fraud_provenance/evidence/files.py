"""Bytes on disk: atomic writes, single reads without following links, exclusive locks."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import EvidenceError, reason

MAX_ARTIFACT_BYTES = 8 * 1024**3


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file so that a reader sees the old bytes or all the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


def read_once(path: Path, *, limit_bytes: int = MAX_ARTIFACT_BYTES) -> bytes:
    """All bytes of a regular file, read once, following no link at its end.

    Raises:
        EvidenceError: ARTIFACT_MISSING or SIZE_LIMIT.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise EvidenceError(
            reason(RootCause.ARTIFACT_MISSING, f"cannot read {path.name}: {error.strerror}")
        ) from error
    with os.fdopen(descriptor, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit_bytes:
            raise EvidenceError(
                reason(RootCause.SIZE_LIMIT, f"{path.name} has {size} bytes, limit {limit_bytes}")
            )
        return stream.read(limit_bytes + 1)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock that the kernel releases when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
