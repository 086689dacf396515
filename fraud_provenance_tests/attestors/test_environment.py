"""The installed packages: what the lock and the RECORD files do not know is named."""

import base64
import hashlib
import json
import marshal
import py_compile
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from fraud_provenance.attested.attestors import packages as environment

LOCK = """alpha==1.0 \\
    --hash=sha256:00
beta[extra]==2.0 \\
    --hash=sha256:00
gamma-ray==3.0 ; sys_platform == "win32" \\
"""


def test_packages_as_locked_are_no_problem() -> None:
    installed = [("alpha", "1.0"), ("Beta", "2.0"), ("gamma_ray", "3.0"), ("pip", "1")]
    assert environment.lock_problems(LOCK, installed) == []


@pytest.mark.parametrize(
    ("name", "version", "said"), [("alpha", "1.1", "1.0"), ("delta", "1.0", "nothing")]
)
def test_package_that_is_not_as_locked_is_named(name: str, version: str, said: str) -> None:
    found = environment.lock_problems(LOCK, [(name, version)])
    assert found == [f"ENV_LOCK_MISMATCH: {name} {version}, the lock says {said}"]


def test_package_that_is_installed_twice_is_named() -> None:
    found = environment.lock_problems(LOCK, [("alpha", "1.0"), ("Alpha", "1.0")])
    assert found == ["ENV_LOCK_MISMATCH: alpha 1.0 is there twice"]


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


@pytest.mark.parametrize(
    "name",
    ["hook.pyc", "hook.so", "package.cpython-311-x86_64-linux-gnu.so", "__pycache__/plain.pyc",
     "more.pth", "old.egg-link", "packed.zip", "jars/more.jar", "conf/spark-defaults.conf"],
)  # fmt: skip
def test_anything_that_python_runs_and_no_package_brought_is_named(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    paths = list(environment._walk(str(tmp_path)))
    said = f"ENV_FILE_MISMATCH: no package names {name.rpartition('/')[2]}"
    assert environment.file_problems(paths, {}) == [said]


def test_folder_that_is_a_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "package").symlink_to(tmp_path / "elsewhere")
    paths = list(environment._walk(str(tmp_path / "packages")))
    said = "ENV_FILE_MISMATCH: no package names package"
    assert environment.file_problems(paths, {}) == [said]
    before = environment._facts(paths[0])
    (tmp_path / "elsewhere" / "more.py").touch()
    assert environment._facts(paths[0]) != before


def hook_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).touch()


def hook_package(folder: Path) -> None:
    (folder / "usercustomize").mkdir()
    (folder / "usercustomize" / "__init__.pyc").touch()


def hook_namespace(folder: Path) -> None:
    (folder / "sitecustomize").mkdir()


@pytest.mark.parametrize(
    "add",
    [
        hook_file("sitecustomize.py"), hook_file("sitecustomize.pyc"),
        hook_file("usercustomize.so"), hook_file("sitecustomize.abi3.so"), hook_package,
        hook_namespace,
    ],
)  # fmt: skip
def test_start_up_hook_on_the_path_is_named(tmp_path: Path, add: Callable[[Path], None]) -> None:
    assert environment.hook_problems([str(tmp_path)]) == []
    add(tmp_path)
    (said,) = environment.hook_problems([str(tmp_path)])
    assert said.startswith("ENV_FILE_MISMATCH: start-up hook ")


def test_start_up_hook_in_an_archive_is_named(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("sitecustomize.py", "")
    (said,) = environment.hook_problems([str(tmp_path / "more.zip")])
    assert said == "ENV_FILE_MISMATCH: start-up hook sitecustomize"


def test_module_that_was_imported_from_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.py").touch()
    odd = SimpleNamespace(__file__=str(tmp_path / "odd.py"))
    gone = SimpleNamespace(__file__=str(tmp_path / "gone.py"))
    modules = {"odd": odd, "json": json, "environment": environment, "sys": sys, "gone": gone}
    said = ["ENV_FILE_MISMATCH: odd was imported from elsewhere"]
    assert environment.loaded_problems(modules, []) == said
    assert environment.loaded_problems(modules, [str(tmp_path)]) == []


def test_this_process_has_imported_nothing_from_elsewhere() -> None:
    roots = [sysconfig.get_path("purelib"), sysconfig.get_path("scripts")]
    assert environment.loaded_problems(sys.modules, roots) == []


def test_compiled_file_that_is_younger_than_the_installation_holds_its_source(
    tmp_path: Path,
) -> None:
    source, record_of_it = tmp_path / "module.py", tmp_path / "a.dist-info" / "RECORD"
    source.write_text("x = 1\n")
    record_of_it.parent.mkdir()
    path = Path(str(py_compile.compile(str(source))))
    code = marshal.dumps(compile("x = 2\n", str(source), "exec"))
    path.write_bytes(path.read_bytes()[:16] + code)
    paths, records = list(environment._walk(str(tmp_path))), {str(record_of_it): set[str]()}
    said = [f"ENV_FILE_MISMATCH: {path.name} is of other code"]
    assert environment.compiled_problems(paths, records) == said
    time.sleep(0.05)  # a file system's clock has ticks
    record_of_it.touch()
    assert environment.compiled_problems(paths, records) == []
    time.sleep(0.05)
    path.chmod(0o600)  # its change time is now
    assert environment.compiled_problems(paths, records) == said
    py_compile.compile(str(source))
    assert environment.compiled_problems(paths, records) == []


def locks(folder: Path) -> None:
    (folder / "tools").mkdir()
    (folder / "requirements.lock").write_text(LOCK)
    (folder / "tools" / "bootstrap.lock").write_text("uv==0.13.9 \\\n")
    (folder / "requirements-spark.lock").write_text("pyspark==4.3.0 \\\n")
    (folder / "tools" / "installed.lock").touch()


def test_outcome_is_kept_only_for_the_same_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "added.py").write_text("1")
    locks(tmp_path)
    monkeypatch.setattr(environment.metadata, "distributions", list)
    monkeypatch.setattr(environment, "loaded_problems", lambda *_places: [])  # all is elsewhere
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
    with monkeypatch.context() as elsewhere:  # the same packages, to code of another work tree
        elsewhere.setattr(environment, "_RUNNING", tmp_path)
        elsewhere.setattr(environment.installed, "problems", lambda *given: [str(given[2])])
        assert str(tmp_path) in environment.problems(tmp_path, cache)
    kept.write_text("[]")
    assert len(environment.problems(tmp_path, cache)) == 2


def test_start_up_hook_beside_the_packages_is_found_though_their_listing_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages, elsewhere = tmp_path / "packages", tmp_path / "elsewhere"
    for folder in (packages, elsewhere):
        folder.mkdir()
    locks(tmp_path)
    monkeypatch.setattr(environment.metadata, "distributions", list)
    monkeypatch.setattr(environment, "loaded_problems", lambda *_places: [])  # all is elsewhere
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda _name: str(packages))
    monkeypatch.setattr(environment.sys, "path", [str(elsewhere)])
    cache = tmp_path / "cache"
    assert environment.problems(tmp_path, cache) == ()
    (elsewhere / "sitecustomize.py").touch()
    hook = ("ENV_FILE_MISMATCH: start-up hook sitecustomize",)
    assert environment.problems(tmp_path, cache) == hook
