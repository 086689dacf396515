"""Bytes on disk: whole or not at all, read once, no links."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.errors import EvidenceError

# The system itself breaks the write off in the middle: the file may not grow past 64 KiB.
_BROKEN_WRITE = """
import resource, signal, sys
from pathlib import Path
from fraud_provenance.attested.core import files
if sys.argv[2] == "killed":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
files.write_atomic(Path(sys.argv[1]), b"n" * 1_000_000)
"""


def refusal(path: Path, limit_bytes: int = 1000) -> str:
    with pytest.raises(EvidenceError) as caught:
        files.read_once(path, limit_bytes=limit_bytes)
    return caught.value.reasons[0].code


@pytest.mark.parametrize("durable", [True, False])
def test_write_atomic_into_a_new_folder_leaves_just_the_file(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b.json"
    files.write_atomic(path, b"one", durable=durable)
    files.write_atomic(path, b"two", durable=durable)
    assert path.read_bytes() == b"two"
    assert [item.name for item in path.parent.iterdir()] == ["b.json"]


def test_write_atomic_of_a_private_file_is_private_from_the_start(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "key", b"secret", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_write_atomic_over_a_link_replaces_the_link_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    files.write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert not (tmp_path / "link").is_symlink()


def test_write_atomic_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write_atomic(tmp_path / "bundle.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}").touch()
    assert sorted(files.names_below(tmp_path)) == ["0", "1", "2"]
    monkeypatch.setattr(files, "MAX_FOLDER_FILES", 2)
    with pytest.raises(EvidenceError, match="SIZE_LIMIT"):
        files.names_below(tmp_path)


@pytest.mark.parametrize("end", ["killed", "full"])
def test_write_atomic_broken_off_half_way_leaves_the_old_bytes(tmp_path: Path, end: str) -> None:
    path = tmp_path / "evidence" / "bundle.json"
    path.parent.mkdir()
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", _BROKEN_WRITE, str(path), end], check=False, capture_output=True
    )
    assert path.read_bytes() == b"old"
    left = [item for item in path.parent.iterdir() if item != path]
    if end == "killed":
        assert done.returncode == -signal.SIGXFSZ
        assert [0 < item.stat().st_size < 1_000_000 for item in left] == [True]
        assert files.sweep(tmp_path) == 1
        assert list(path.parent.iterdir()) == [path]
    else:
        assert b"File too large" in done.stderr
        assert left == []


def test_sweep_leaves_what_a_living_writer_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: swept.append(files.sweep(tmp_path)))
    files.write_atomic(tmp_path / "bundle.json", b"new")
    assert swept == [0, 0]  # while writing, and while the folder is made durable
    assert (tmp_path / "bundle.json").read_bytes() == b"new"


def test_write_atomic_swept_away_before_it_began_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(".*.tmp"))
            swept[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    files.write_atomic(tmp_path / "bundle.json", b"new")
    assert len(swept) == 1
    assert [item.read_bytes() for item in tmp_path.iterdir()] == [b"new"]


def test_sweep_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".a.tmp").mkdir()
    (tmp_path / ".a.tmp" / "kept").touch()
    (tmp_path / ".b.tmp").symlink_to(tmp_path / ".a.tmp" / "kept")
    (tmp_path / "c.tmp").touch()
    (tmp_path / ".d").touch()
    os.mkfifo(tmp_path / ".e.tmp")
    before = {item.name for item in tmp_path.iterdir()} - {".e.tmp"}
    files.sweep(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} - {".e.tmp"} == before
    assert (tmp_path / ".a.tmp" / "kept").exists()


def test_read_once_of_a_file_gives_all_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert files.read_once(tmp_path / "a", limit_bytes=1000) == b"x" * 1000


def test_read_once_above_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1001)
    assert refusal(tmp_path / "a") == "SIZE_LIMIT"


def test_read_once_of_a_file_that_hides_its_size_is_refused() -> None:
    path = Path("/proc/self/maps")  # a regular file of "0 bytes" that holds thousands
    assert path.stat().st_size == 0
    assert refusal(path, 100) == "SIZE_LIMIT"


@pytest.mark.parametrize("kind", ["nothing", "link", "dangling", "folder", "pipe", "device"])
def test_read_once_of_anything_but_a_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "link":
        (tmp_path / "target").write_bytes(b"x")
        path.symlink_to(tmp_path / "target")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    assert refusal(path) == "ARTIFACT_MISSING"


def test_exclusive_lock_held_elsewhere_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    order: list[str] = []

    def second() -> None:
        with files.exclusive_lock(path):
            order.append("second")

    with files.exclusive_lock(path):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]


def test_exclusive_lock_of_a_killed_holder_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from fraud_provenance.attested.core import files\n"
        "with files.exclusive_lock(Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with files.exclusive_lock(path):
        assert path.exists()


def test_resolved_follows_a_link_in_the_folder_and_at_the_end(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "module.py").touch()
    (tmp_path / "folder").symlink_to(real)
    (real / "linked.py").symlink_to(real / "module.py")
    folders: dict[str, str] = {}
    for name in ("folder/module.py", "folder/linked.py", "real/module.py"):
        path = f"{tmp_path}/{name}"
        assert files.resolved(path, folders) == os.path.realpath(path)
