"""DVC by day: what the remote lacks is known and pushed, also after it was away."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import BackendError, EvidenceError
from fraud_provenance.data import versions
from fraud_provenance_tests.conftest import codes


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "data" / "raw_transactions"
    folder.mkdir(parents=True)
    for day in ("2018-04-01", "2018-04-02"):
        (folder / f"{day}.parquet").write_bytes(day.encode())
    return sorted(folder.iterdir())


def test_remote_that_was_away_is_caught_up(tmp_path: Path, files: list[Path]) -> None:
    assert versions.lacking(tmp_path, files) == files
    remote = tmp_path / "dvc-remote"
    remote.write_bytes(b"no folder")
    with pytest.raises(BackendError) as caught:
        versions.track(tmp_path, files)
    assert codes(caught.value) == ["STORAGE_UNAVAILABLE"]
    assert versions.lacking(tmp_path, files) == files
    remote.unlink()
    versions.track(tmp_path, files)
    assert versions.lacking(tmp_path, files) == []


def test_version_that_the_remote_lost_is_pushed_again(tmp_path: Path, files: list[Path]) -> None:
    versions.track(tmp_path, files)
    objects = tmp_path / "dvc-remote" / "files" / "md5"
    md5 = versions.dvc_md5(b"2018-04-01")
    (objects / md5[:2] / md5[2:]).chmod(0o644)
    shutil.rmtree(objects / md5[:2])
    assert versions.lacking(tmp_path, files) == files[:1]
    versions.track(tmp_path, files[:1])
    assert versions.lacking(tmp_path, files) == []
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    assert versions.stored_bytes(tmp_path, md5) == b"2018-04-01"


@pytest.mark.parametrize("left", ["nothing", "a folder", "a part"])
def test_set_up_that_was_killed_is_done_again(tmp_path: Path, files: list[Path], left: str) -> None:
    if left != "nothing":
        (tmp_path / ".dvc").mkdir()
    if left == "a part":
        (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    versions.track(tmp_path, files)
    assert versions.lacking(tmp_path, files) == []
    assert not list(tmp_path.glob(".dvc-*"))


def test_home_may_have_any_name_that_a_folder_has(tmp_path: Path) -> None:
    home = tmp_path / "my home é"
    home.mkdir()
    (home / "day.parquet").write_bytes(b"x")
    versions.track(home, [home / "day.parquet"])
    home.rename(tmp_path / "moved")
    assert versions.lacking(tmp_path / "moved", [tmp_path / "moved" / "day.parquet"]) == []
    (tmp_path / "moved" / "day.parquet").write_bytes(b"y")
    versions.track(tmp_path / "moved", [tmp_path / "moved" / "day.parquet"])


def test_repository_that_keeps_versions_is_never_made_anew(
    tmp_path: Path, files: list[Path]
) -> None:
    versions.track(tmp_path, files)
    config = tmp_path / ".dvc" / "config"
    config.write_text(config.read_text("utf-8").replace("no_scm = True", ""))
    files[0].write_bytes(b"delivered again")
    with pytest.raises(BackendError):
        versions.track(tmp_path, files)
    assert len(list((tmp_path / ".dvc" / "cache" / "files" / "md5").glob("*/*"))) == len(files)


def test_file_that_was_written_anew_is_kept_again(tmp_path: Path, files: list[Path]) -> None:
    """Its run was killed before DVC had it: the pointer still names the bytes before."""
    versions.track(tmp_path, files)
    files[0].write_bytes(b"other")
    assert versions.lacking(tmp_path, files) == files[:1]
    versions.track(tmp_path, files[:1])
    assert versions.lacking(tmp_path, files) == []
    assert versions.kept_bytes(tmp_path, files[0]) == b"other"


def test_same_bytes_written_again_are_kept_already(tmp_path: Path, files: list[Path]) -> None:
    versions.track(tmp_path, files)
    files[0].write_bytes(files[0].read_bytes())
    assert versions.lacking(tmp_path, files) == []


def test_file_that_is_gone_is_nothing_to_keep_and_its_bytes_are_there(
    tmp_path: Path, files: list[Path]
) -> None:
    versions.track(tmp_path, files)
    files[0].unlink()
    assert versions.lacking(tmp_path, files) == []
    assert versions.kept_bytes(tmp_path, files[0]) == b"2018-04-01"
    versions.pointer_path(files[0]).unlink()
    with pytest.raises(EvidenceError) as caught:
        versions.kept_bytes(tmp_path, files[0])
    assert codes(caught.value) == ["ARTIFACT_MISSING"]


def test_files_of_a_partition_are_those_that_carry_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for name in (
        "2018-04-01.leaves",
        "2018-04-01.parquet",
        "2018-04-01.parquet.dvc",
        "train.parquet",
    ):
        (folder / name).touch()
    found = versions.files_of(tmp_path, "scores", "2018-04-01")
    assert [path.name for path in found] == ["2018-04-01.leaves", "2018-04-01.parquet"]


def _collect_garbage(home: Path) -> None:
    """What a person types who wants the space back, in the cache and in the remote."""
    subprocess.run(
        [sys.executable, "-m", "dvc", "gc", "--workspace", "--cloud", "--force"],
        cwd=home, check=True, capture_output=True, timeout=120,
        env={**os.environ, "DVC_SITE_CACHE_DIR": str(home / "dvc-site"), "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip


def test_collecting_garbage_takes_no_version_that_was_attested(
    tmp_path: Path, files: list[Path]
) -> None:
    """Only by taking away its pointer, which is a thing that somebody must mean to do."""
    versions.track(tmp_path, files)
    files[0].write_bytes(b"delivered again")
    versions.track(tmp_path, files[:1])
    first = versions.dvc_md5(b"2018-04-01")
    _collect_garbage(tmp_path)
    assert versions.stored_bytes(tmp_path, first) == b"2018-04-01"
    assert versions.lacking(tmp_path, files) == []

    versions.version_path(tmp_path, files[0], first).unlink()
    _collect_garbage(tmp_path)
    with pytest.raises(EvidenceError) as caught:
        versions.stored_bytes(tmp_path, first)
    assert codes(caught.value) == ["ARTIFACT_MISSING"]
    assert versions.kept_bytes(tmp_path, files[0]) == b"delivered again"


def test_version_without_a_pointer_that_stays_gets_one(tmp_path: Path, files: list[Path]) -> None:
    versions.track(tmp_path, files)
    shutil.rmtree(tmp_path / "dvc-versions")
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    assert versions.lacking(tmp_path, files) == files
    versions.track(tmp_path, files)  # a home of before has hundreds: nothing is added again
    assert versions.lacking(tmp_path, files) == []
    assert not (tmp_path / ".dvc" / "cache").exists()


def test_every_version_comes_back_by_its_own_name(tmp_path: Path, files: list[Path]) -> None:
    """`dvc checkout` of a version's pointer brings exactly that version."""
    versions.track(tmp_path, files)
    files[0].write_bytes(b"delivered again")
    versions.track(tmp_path, files[:1])
    first = versions.dvc_md5(b"2018-04-01")
    kept = versions.version_path(tmp_path, files[0], first)
    subprocess.run(
        [sys.executable, "-m", "dvc", "checkout", str(kept)],
        cwd=tmp_path, check=True, capture_output=True, timeout=120,
        env={**os.environ, "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc-site")},
    )  # fmt: skip
    assert kept.with_suffix("").read_bytes() == b"2018-04-01"
