"""DVC by partition: each file of data has its own pointer, cache entry and copy in the remote.

DVC's MD5 is an address in storage. What the bytes are is said by the signed SHA-256 alone.

A file's pointer goes on to its newest version. Each version has one more, for good, below
`dvc-versions`: `dvc gc` takes what no pointer of the workspace names, and evidence still does.
"""

import contextlib
import functools
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, EvidenceError, reason
from fraud_provenance.attested.core.files import write_atomic

ASSETS: Final = ("raw_transactions", "transaction_features", "training_set", "transaction_scores")
_REMOTE = "storage"
_MD5 = re.compile(r"md5: ([0-9a-f]{32})$", re.MULTILINE)
_PATH = re.compile(r"(?<=^  path: ).*$", re.MULTILINE)


@contextlib.contextmanager
def _repository(home: Path, files: Sequence[Path] = ()) -> Iterator[Any]:
    """The home's DVC repository, created on first use with a local remote and no telemetry.

    It knows the pointers of `files` alone: by itself DVC reads all that there are, at each call.
    """
    os.environ["DVC_SITE_CACHE_DIR"] = str(home / "dvc-site")  # else state goes to /var/tmp
    os.environ["DVC_NO_ANALYTICS"] = "true"
    import logging

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        if not _is_made(home):
            _make(home)
        repo = _narrow(Repo, [pointer_path(path) for path in files])(str(home))
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
                remedy="Bring back what it names, or make it reachable (the remote is "
                f"{home / 'dvc-remote'}), then `fraud-provenance run`: what the remote lacks is "
                "pushed then.",
            )
        ) from error


def _narrow(whole: type[Any], pointers: Sequence[Path]) -> type[Any]:
    """DVC's repository that looks at `pointers`, as far as they are there."""

    class Narrow(whole):  # type: ignore[misc]  # DVC ships no types
        @functools.cached_property
        def index(self) -> Any:  # noqa: ANN401
            from dvc.repo.index import Index

            there = [str(path) for path in pointers if path.exists()]
            return Index.from_indexes(self, [Index.from_file(self, path) for path in there])

    return Narrow


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


def version_path(home: Path, file: Path, md5: str) -> Path:
    """Where the pointer of one version of a tracked file stays."""
    return home / "dvc-versions" / file.relative_to(home) / f"{md5}.dvc"


def files_of(data: Path, asset: str, partition: str) -> list[Path]:
    """The files of one partition that are there, without their pointers."""
    found = (data / asset).glob(f"{partition}.*")
    return sorted(path for path in found if path.suffix != ".dvc")


def pointed_to(file: Path) -> str:
    """The address that the file's pointer names; empty where DVC does not know the file."""
    pointer = pointer_path(file)
    named = _MD5.search(pointer.read_text("utf-8")) if pointer.exists() else None
    return named[1] if named else ""


def lacking(home: Path, files: Sequence[Path]) -> list[Path]:
    """Those of `files` whose pointers or bytes are not kept: not named, or not in the remote.

    A file that is not there is none of them: DVC has nothing to keep of it.
    """
    return [
        path
        for path in files
        if path.exists()
        and not (_is_stored(home, path) and version_path(home, path, pointed_to(path)).is_file())
    ]


def _is_stored(home: Path, path: Path) -> bool:
    """Whether the file's pointer names its bytes, and the remote has them."""
    objects = home / "dvc-remote" / "files" / "md5"
    md5 = pointed_to(path)
    if not md5 or not (objects / md5[:2] / md5[2:]).is_file():
        return False
    is_older = pointer_path(path).stat().st_mtime_ns < path.stat().st_mtime_ns
    return not is_older or dvc_md5(path.read_bytes()) == md5


def track(home: Path, files: Sequence[Path]) -> None:
    """Add files to DVC, push them to the remote, and keep a pointer to this version.

    Raises:
        BackendError: STORAGE_UNAVAILABLE.
    """
    new = [path for path in files if not _is_stored(home, path)]
    if new:
        with _repository(home, new) as repo, contextlib.redirect_stderr(io.StringIO()):
            repo.add([str(path) for path in new])
            for path in new:  # before the push: nobody may take what is there
                _keep_pointer(home, path)
            _push(home, repo, new)
    for path in files:
        _keep_pointer(home, path)


def _push(home: Path, repo: Any, files: Sequence[Path]) -> None:  # noqa: ANN401 - DVC ships no types
    """Copy the objects to the remote. By pointers, DVC would read each of these three times."""
    from dvc.exceptions import UploadError
    from dvc_data.hashfile.hash_info import HashInfo

    with repo.lock:
        repo.cloud.push([HashInfo("md5", pointed_to(path)) for path in files])
    left = [path for path in files if not _is_stored(home, path)]
    if left:
        raise UploadError(len(left))


def _keep_pointer(home: Path, file: Path) -> None:
    md5 = pointed_to(file)
    kept = version_path(home, file, md5)
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = _PATH.sub(md5, pointer_path(file).read_text("utf-8"), count=1)
        write_atomic(kept, written.encode(), durable=False)


def kept_bytes(home: Path, file: Path) -> bytes:
    """What DVC keeps of a file, by the file's pointer, be it the right bytes or not.

    Raises:
        EvidenceError: ARTIFACT_MISSING, no pointer, or nothing where it points.
    """
    md5 = pointed_to(file)
    if not md5:
        message = f"DVC has no pointer of {file.name}"
        raise EvidenceError(reason(RootCause.ARTIFACT_MISSING, message, artifact="dvc"))
    return stored_bytes(home, md5)


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
