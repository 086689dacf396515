"""DVC by day: each partition file has its own pointer, cache entry and copy in the remote.

DVC's MD5 is an address in storage. What the bytes are is said by the signed SHA-256 alone.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, EvidenceError, reason

_REMOTE = "storage"
_MD5 = re.compile(r"md5: ([0-9a-f]{32})$", re.MULTILINE)


@contextlib.contextmanager
def _repository(home: Path) -> Iterator[Any]:
    """The home's DVC repository, created on first use with a local remote and no telemetry."""
    os.environ["DVC_SITE_CACHE_DIR"] = str(home / "dvc-site")  # else state goes to /var/tmp
    os.environ["DVC_NO_ANALYTICS"] = "true"
    import logging

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        if not _is_made(home):
            _make(home)
        repo = Repo(str(home))
        try:
            yield repo
        finally:
            repo.close()
    except (DvcException, OSError) as error:
        raise BackendError(
            reason(
                RootCause.STORAGE_UNAVAILABLE,
                f"DVC: {error}",
                artifact="dvc",
                remedy=f"Bring back what it names (the remote is {home / 'dvc-remote'}), then run "
                "again: what the remote lacks is pushed then.",
            )
        ) from error


def _is_made(home: Path) -> bool:
    """Whether the home's DVC repository is there as a whole. One that keeps versions is."""
    config = home / ".dvc" / "config"
    is_whole = config.exists() and "no_scm" in config.read_text("utf-8")
    return is_whole or (home / ".dvc" / "cache").exists()


def _make(home: Path) -> None:
    """Set the repository up beside its place, then move it there: it is whole or not there."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory(prefix=".dvc-", dir=home) as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            repo = Repo.init(root_dir=folder, no_scm=True)
        with repo.config.edit() as config:
            config["core"] |= {"analytics": False, "check_update": False, "remote": _REMOTE}
            config["cache"]["type"] = ["copy"]
            # Relative to here, DVC keeps it relative to its own folder: a home may be moved.
            remote = os.path.relpath(Path(folder) / "dvc-remote")
            config["remote"][_REMOTE] = {"url": remote, "verify": True}
        repo.close()
        shutil.rmtree(home / ".dvc", ignore_errors=True)  # what a kill left: nothing was kept yet
        (Path(folder) / ".dvc").rename(home / ".dvc")


def dvc_md5(content: bytes) -> str:
    """The address DVC gives to `content`."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def pointer_path(file: Path) -> Path:
    """Where DVC keeps the pointer of a tracked file."""
    return file.with_name(f"{file.name}.dvc")


def is_tracked(file: Path, md5: str) -> bool:
    """Whether the file's pointer names `md5`."""
    pointer = pointer_path(file)
    return pointer.exists() and f"md5: {md5}\n" in pointer.read_text("utf-8")


def lacking(home: Path, files: Sequence[Path]) -> list[Path]:
    """Those of `files` that have no pointer, or whose bytes the remote does not hold."""
    objects = home / "dvc-remote" / "files" / "md5"
    found = []
    for path in files:
        pointer = pointer_path(path)
        named = _MD5.search(pointer.read_text("utf-8")) if pointer.exists() else None
        if named is None or not (objects / named[1][:2] / named[1][2:]).is_file():
            found.append(path)
    return found


def track(home: Path, files: Sequence[Path]) -> None:
    """Add files to DVC and push them to the remote.

    Raises:
        BackendError: STORAGE_UNAVAILABLE.
    """
    if not files:
        return
    with _repository(home) as repo, contextlib.redirect_stderr(io.StringIO()):
        repo.add([str(path) for path in files])
        repo.push([str(pointer_path(path)) for path in files])


def stored_bytes(home: Path, md5: str) -> bytes:
    """An earlier version's bytes from the cache, else from the remote.

    Raises:
        EvidenceError: ARTIFACT_MISSING where neither has them.
    """
    with _repository(home) as repo:
        places = [repo.cache.local, repo.cloud.get_remote_odb(_REMOTE)]
        for place in places:
            with contextlib.suppress(OSError):
                return bytes(place.fs.cat_file(place.oid_to_path(md5)))
    raise EvidenceError(
        reason(RootCause.ARTIFACT_MISSING, f"DVC holds no object {md5}", artifact="dvc")
    )
