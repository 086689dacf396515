"""The installed packages: what the lock and the RECORD files do not know is named."""

import base64
import hashlib
from pathlib import Path

import pytest

from fraud_provenance import environment

LOCK = """alpha==1.0 \\
    --hash=sha256:00
beta[extra]==2.0 \\
    --hash=sha256:00
gamma-ray==3.0 ; sys_platform == "win32" \\
"""


def test_packages_as_locked_are_no_problem() -> None:
    installed = {"alpha": "1.0", "Beta": "2.0", "gamma_ray": "3.0", "pip": "1", "uv": "2"}
    assert environment.lock_problems(LOCK, installed) == []


@pytest.mark.parametrize(
    ("name", "version", "said"), [("alpha", "1.1", "1.0"), ("delta", "1.0", "nothing")]
)
def test_package_that_is_not_as_locked_is_named(name: str, version: str, said: str) -> None:
    found = environment.lock_problems(LOCK, {name: version})
    assert found == [f"ENV_LOCK_MISMATCH: {name} {version}, the lock says {said}"]


def record(content: bytes) -> set[str]:
    return {base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()}


def test_files_that_no_package_brought_or_that_changed_are_named(tmp_path: Path) -> None:
    for name in ("same.py", "edited.py", "added.pth", "added.txt", "own.py"):
        (tmp_path / name).write_bytes(b"x")
    paths = sorted(str(path) for path in tmp_path.iterdir())
    records = {
        f"{tmp_path}/same.py": record(b"x"),
        f"{tmp_path}/edited.py": record(b"y"),
        f"{tmp_path}/own.py": set(),
    }
    assert environment.file_problems(paths, records) == [
        "ENV_FILE_MISMATCH: no package names added.pth",
        f"ENV_FILE_MISMATCH: {tmp_path.name}/edited.py differs",
    ]


def test_start_up_hook_on_the_path_is_named(tmp_path: Path) -> None:
    assert environment.hook_problems([str(tmp_path)]) == []
    (tmp_path / "sitecustomize.py").touch()
    assert environment.hook_problems([str(tmp_path)]) == [
        "ENV_FILE_MISMATCH: start-up hook sitecustomize.py"
    ]


def test_outcome_is_kept_only_for_the_same_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "added.py").write_text("1")
    (tmp_path / "requirements.lock").write_text(LOCK)
    monkeypatch.setattr(environment.metadata, "distributions", list)
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda _name: str(packages))
    monkeypatch.setattr(environment.sys, "path", [])
    cache = tmp_path / "cache"
    first = environment.problems(tmp_path, cache)
    assert first == ("ENV_FILE_MISMATCH: no package names added.py",)
    with monkeypatch.context() as kept:
        kept.setattr(environment, "file_problems", None)
        assert environment.problems(tmp_path, cache) == first
    (packages / "another.py").write_text("2")
    assert len(environment.problems(tmp_path, cache)) == 2
    (kept,) = cache.iterdir()
    kept.write_text("[]")
    assert len(environment.problems(tmp_path, cache)) == 2


def test_start_up_hook_beside_the_packages_is_found_though_their_listing_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages, elsewhere = tmp_path / "packages", tmp_path / "elsewhere"
    for folder in (packages, elsewhere):
        folder.mkdir()
    (tmp_path / "requirements.lock").write_text(LOCK)
    monkeypatch.setattr(environment.metadata, "distributions", list)
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda _name: str(packages))
    monkeypatch.setattr(environment.sys, "path", [str(elsewhere)])
    cache = tmp_path / "cache"
    assert environment.problems(tmp_path, cache) == ()
    (elsewhere / "sitecustomize.py").touch()
    hook = ("ENV_FILE_MISMATCH: start-up hook sitecustomize.py",)
    assert environment.problems(tmp_path, cache) == hook
