"""Bytes on disk: atomic writes, single reads without following links, exclusive locks."""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, Reason, reason

MAX_ARTIFACT_BYTES = 8 * 1024**3
MAX_FOLDER_FILES = 1_000_000
_SETTLED_NS = 2_000_000_000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file so that a reader sees the old bytes or all the new ones, never a part.

    What a killed writer leaves beside it goes with the next `sweep`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = _open_temporary(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            temporary.replace(path)  # while it is locked: afterwards it may be swept away
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


def write_new(path: Path, content: bytes) -> bool:
    """Write a file durably under a name that is free; False where it is taken.

    Of several writers, in any process, exactly one gets True. A reader sees all or nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return False
    descriptor, temporary = _open_temporary(path, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            _name(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return True


def _name(temporary: Path, path: Path) -> None:
    """Give a whole file its name, if that is free.

    Where the file system knows no second name for a file, two writers at once may both believe
    that they were first; what is there is one of them, whole.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(path) from error
        temporary.rename(path)


def probe(folder: Path, size_bytes: int) -> None:
    """See whether a folder takes a file of this size now.

    Raises:
        OSError: it does not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = _open_temporary(folder / "probe", 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(bytes(size_bytes))
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file is one that is being written, or was left by a killed writer."""
    return name.startswith(".") and name.endswith(".tmp")


def _open_temporary(path: Path, mode: int) -> tuple[int, Path]:
    """A new file beside `path`, locked for as long as its writer lives."""
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)  # swept away before it was locked


def sweep(folder: Path) -> int:
    """Remove what killed writers left below a folder; returns how many files these were."""
    removed = 0
    for path in folder.rglob(".*.tmp"):
        with suppress(OSError):  # its writer lives, or somebody else was quicker
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
            finally:
                os.close(descriptor)
    return removed


def traits(at: os.stat_result) -> str:
    """What changes whenever a file is changed: no owner of a file can set its change time."""
    return f"{at.st_size} {at.st_mtime_ns} {at.st_ctime_ns} {at.st_ino}"


def settled(path: Path) -> str | None:
    """The traits of a file or folder, or None: too young to tell what the next tick brings.

    Raises:
        OSError: it is not there.
    """
    at = os.lstat(path)
    if at.st_ctime_ns > time.time_ns() - _SETTLED_NS:  # noqa: TID251 - the file system's own time
        return None
    return f"{at.st_mode} {traits(at)}"


def resolved(path: str, folders: dict[str, str]) -> str:
    """As `os.path.realpath`, each folder (`folders`) once: a process has thousands of modules."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return f"{folders[folder]}/{name}"


def read_once(path: Path, *, limit_bytes: int = MAX_ARTIFACT_BYTES) -> bytes:
    """All bytes of a regular file, read once, following no link at its end.

    Raises:
        EvidenceError: ARTIFACT_MISSING (also for folders, pipes and devices) or SIZE_LIMIT.
    """
    try:
        # O_NONBLOCK: a pipe laid in a file's place must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise EvidenceError(
            reason(RootCause.ARTIFACT_MISSING, f"cannot read {path.name}: {error.strerror}")
        ) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise EvidenceError(
            reason(RootCause.ARTIFACT_MISSING, f"cannot read {path.name}: not a regular file")
        )
    with os.fdopen(descriptor, "rb") as stream:
        if facts.st_size > limit_bytes:
            raise EvidenceError(_too_large(path, facts.st_size, limit_bytes))
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:  # it grew, or its size is not what the system says
        raise EvidenceError(_too_large(path, len(content), limit_bytes))
    return content


def _too_large(path: Path, size_bytes: int, limit_bytes: int) -> Reason:
    return reason(RootCause.SIZE_LIMIT, f"{path.name} has {size_bytes} bytes, limit {limit_bytes}")


def names_below(folder: Path) -> list[str]:
    """Whatever is no folder below `folder`, as sorted relative paths; links count as files.

    Raises:
        EvidenceError: SIZE_LIMIT.
    """
    found: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as items:
            for item in items:
                inner = item.is_dir(follow_symlinks=False)
                (waiting if inner else found).append(f"{below}{item.name}{'/' if inner else ''}")
        if len(found) + len(waiting) > MAX_FOLDER_FILES:
            raise EvidenceError(
                reason(
                    RootCause.SIZE_LIMIT, f"{folder.name} holds more than {MAX_FOLDER_FILES} files"
                )
            )
    return sorted(found)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock that the kernel releases when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
