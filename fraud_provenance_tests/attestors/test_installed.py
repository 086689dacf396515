"""What locked packages install: a rewritten RECORD shows, an installer's own notes do not."""

import sys
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors import installed
from fraud_provenance.home.settings import PROJECT

NOTES = "alpha-1.0.dist-info"
BODY = "import sys\nfrom alpha import main\nsys.exit(main())\n"
ROWS = {
    "../../../bin/alpha": "sha256=aa",
    "../../../bin/engine": "sha256=ee",
    "alpha/__init__.py": "sha256=bb",
    "alpha/__pycache__/__init__.cpython-311.pyc": "",
    f"{NOTES}/INSTALLER": "sha256=cc",
    f"{NOTES}/METADATA": "sha256=dd",
    f"{NOTES}/RECORD": "",
    f"{NOTES}/entry_points.txt": "sha256=ff",
}
Change = Callable[[Path, dict[str, str]], None]


def package(
    root: Path, change: Change | None = None, name: str = "alpha", python: str = "python"
) -> installed.Package:
    """An installed package of `ROWS` below `root`, changed where asked."""
    site, scripts = root / "lib" / "python3.11" / "site-packages", root / "bin"
    (site / NOTES).mkdir(parents=True)
    scripts.mkdir()
    (site / NOTES / "INSTALLER").write_text("uv\n")
    (scripts / "alpha").write_text(f"#!/somewhere/{python}\n{BODY}")
    (scripts / "engine").write_bytes(b"\x7fELF")
    rows = dict(ROWS)
    if change:
        change(root, rows)
    lines = [f"{path},{digest},9" for path, digest in rows.items()]
    (site / NOTES / "RECORD").write_text("\n".join(lines))
    return name, "1.0", PathDistribution(site / NOTES)


def row(path: str, digest: str) -> Change:
    return lambda _root, rows: rows.update({path: digest})


def script_body(root: Path, _rows: dict[str, str]) -> None:
    path = root / "bin" / "alpha"
    path.write_text(path.read_text() + "print('more')\n")


def another_installer(root: Path, _rows: dict[str, str]) -> None:
    (root / "lib" / "python3.11" / "site-packages" / NOTES / "INSTALLER").write_text("pip\n")


@pytest.mark.parametrize(
    "change",
    [
        row("alpha/__init__.py", "sha256=00"), row("alpha/more.py", "sha256=bb"),
        row("alpha.pth", "sha256=bb"), row("../../../bin/engine", "sha256=00"),
        row(f"{NOTES}/entry_points.txt", "sha256=00"), script_body, another_installer,
    ],
)  # fmt: skip
def test_package_whose_record_was_rewritten_is_named(tmp_path: Path, change: Change) -> None:
    lock = installed.text("", [package(tmp_path / "fresh")])
    changed = package(tmp_path / "changed", change)
    said = "ENV_FILE_MISMATCH: alpha==1.0 is not what its lock says"
    assert installed.problems(lock, [changed], tmp_path) == [said]


@pytest.mark.parametrize(
    "change",
    [
        row(f"{NOTES}/METADATA", "sha256=00"), row(f"{NOTES}/uv_cache.json", "sha256=00"),
        row("alpha/__pycache__/more.cpython-311.pyc", ""), row("../../../bin/alpha", "sha256=00"),
    ],
)  # fmt: skip
def test_what_the_installer_writes_by_itself_is_no_difference(
    tmp_path: Path, change: Change
) -> None:
    lock = installed.text("", [package(tmp_path / "fresh")])
    again = package(tmp_path / "again", change, python="another/python")
    assert installed.problems(lock, [again], tmp_path) == []


def test_package_that_the_lock_does_not_know_is_named_but_for_pythons_own(tmp_path: Path) -> None:
    found = package(tmp_path / "one")
    for lock in ("", "alpha==1.0 sha256:" + "0" * 64, "alpha==1.0\n"):
        assert len(installed.problems(lock, [found], tmp_path)) == 1
    assert installed.problems("", [package(tmp_path / "pip", name="pip")], tmp_path) == []


def test_lines_of_other_platforms_stay_as_long_as_the_version_does(tmp_path: Path) -> None:
    found = package(tmp_path / "here")
    elsewhere = "alpha==1.0 sha256:" + "0" * 64
    kept = installed.text(f"{elsewhere}\nalpha==0.9 sha256:{'1' * 64}\n", [found])
    assert kept.splitlines() == sorted(
        [elsewhere, f"alpha==1.0 sha256:{installed.digest_of(found)}"]
    )


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([], 0), (["{project}\n"], 0), (["{project}"], 0), (["/elsewhere\n"], 1),
        (["{project}\nimport os\n"], 1), (["{project}\n", "{project}\n"], 1), (["import os\n"], 1),
    ],
)  # fmt: skip
def test_project_is_linked_to_its_work_tree_and_runs_nothing_else(
    tmp_path: Path, lines: list[str], count: int
) -> None:
    def link(root: Path, rows: dict[str, str]) -> None:
        for index, line in enumerate(lines):
            place = root / "lib" / "python3.11" / "site-packages" / f"own{index}.pth"
            place.write_text(line.format(project=tmp_path))
            rows[place.name] = "sha256=00"

    own = package(tmp_path / "env", link, name="fraud_provenance")
    assert len(installed.problems(installed.text("", [own]), [own], tmp_path)) == count


def test_this_environment_is_what_the_lock_says() -> None:
    lock = (PROJECT / installed.PLACE).read_text("utf-8")
    names = {line.partition("==")[0] for line in lock.splitlines()}
    assert {"dagster", "sigstore", "xgboost-cpu", "fraud-provenance"} <= names
    found = installed.problems(lock, installed.packages(), PROJECT)
    # This very project, too: its command's entry point is a line of the lock. Its link leads to
    # the work tree that it was installed from, which may be another one than the tests'.
    changed = [item for item in found if not item.endswith("to this work tree alone")]
    assert changed == [], f"{sys.platform}: `make lock`"
