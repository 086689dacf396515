"""What counts as exactly a commit, whatever git was told to overlook."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.attested.core.errors import BackendError

MACRO = "dbt_project/macros/windows.sql"
IGNORED = (Path(work_tree.__file__).parents[3] / ".gitignore").read_text("utf-8")


def git(project: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=project, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_commit_is_on_a_branch_only_if_the_branch_contains_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commits = []
    for number in range(2):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    git(tmp_path, "branch", "protected", commits[0])
    assert work_tree.is_on_branch(tmp_path, commits[0], "refs/heads/protected")
    assert work_tree.is_on_branch(tmp_path, commits[1], "refs/heads/main")
    assert not work_tree.is_on_branch(tmp_path, commits[1], "refs/heads/protected")
    for commit, branch in (
        ("f" * 40, "refs/heads/main"), ("", "refs/heads/main"), ("main", "refs/heads/main"),
        (commits[0], "refs/heads/nothing"), (commits[0], "--all"),
    ):  # fmt: skip
        assert not work_tree.is_on_branch(tmp_path, commit, branch)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of one commit."""
    files = {".gitignore": IGNORED, MACRO: "select 1\n", "docs/notes.md": "notes\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def edit(project: Path) -> None:
    (project / MACRO).write_text("select 2\n", "utf-8")


def edit_unwatched(project: Path) -> None:
    git(project, "update-index", "--assume-unchanged", MACRO)
    edit(project)


def edit_skipped(project: Path) -> None:
    git(project, "update-index", "--skip-worktree", MACRO)
    edit(project)


def edit_behind_a_filter(project: Path) -> None:
    (project / ".git" / "info" / "attributes").write_text("*.sql filter=same\n", "utf-8")
    git(project, "config", "filter.same.clean", "echo select 1")
    edit(project)


def edit_behind_a_replacement(project: Path) -> None:
    edit(project)
    commit = git(project, "rev-parse", "HEAD")
    git(project, "commit", "-q", "-a", "-m", "Second")
    git(project, "replace", commit, git(project, "rev-parse", "HEAD"))
    git(project, "update-ref", "HEAD", commit)


def stage(project: Path) -> None:
    edit(project)
    git(project, "add", ".")


def lose(project: Path) -> None:
    (project / "docs" / "notes.md").unlink()


def link(project: Path) -> None:
    elsewhere = project / "dbt_project" / "target"
    elsewhere.mkdir()
    (project / MACRO).rename(elsewhere / "windows.sql")
    (project / MACRO).symlink_to(elsewhere / "windows.sql")


def add(project: Path) -> None:
    (project / "dbt_project" / "macros" / "new.sql").write_text("select 1\n", "utf-8")


def add_staged(project: Path) -> None:
    add(project)
    git(project, "add", ".")


def add_excluded(project: Path) -> None:
    (project / ".git" / "info" / "exclude").write_text("*.sql\n", "utf-8")
    add(project)


def add_ignored_in_its_folder(project: Path) -> None:
    (project / "dbt_project" / "macros" / ".gitignore").write_text("*\n", "utf-8")
    add(project)


def add_a_dbt_package(project: Path) -> None:
    package = project / "dbt_project" / "dbt_packages" / "hook"
    package.mkdir(parents=True)
    (package / "dbt_project.yml").write_text("on-run-end: select 1\n", "utf-8")


def add_to_a_cache(project: Path) -> None:
    cache = project / "dbt_project" / "macros" / "__pycache__"
    cache.mkdir()
    (cache / "new.sql").write_text("select 1\n", "utf-8")


def add_ignored_code(name: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        (project / ".git" / "info" / "exclude").write_text("*\n", "utf-8")
        path = project / "fraud_provenance" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    return change


def link_a_folder(project: Path) -> None:
    """Its files are as committed, and lie where anyone may change them."""
    macros = project / "dbt_project" / "macros"
    elsewhere = macros.rename(project / "docs" / "macros")
    macros.symlink_to(elsewhere)


def commit_a_link(project: Path) -> None:
    (project / MACRO).unlink()
    (project / MACRO).symlink_to("../../docs/notes.md")
    git(project, "commit", "-q", "-a", "-m", "A link")


def leave_the_repository(project: Path) -> None:
    (project / ".git").rename(project / "git")


@pytest.mark.parametrize(
    "change",
    [
        edit, edit_unwatched, edit_skipped, edit_behind_a_filter, edit_behind_a_replacement, stage,
        lose, link, add, add_staged, add_excluded, add_ignored_in_its_folder, add_a_dbt_package,
        add_to_a_cache, leave_the_repository, link_a_folder, commit_a_link,
        *(
            add_ignored_code(name)
            for name in (
                "hidden.pyc", "native.so", "native.cpython-311-x86_64-linux-gnu.so", "hook.pth",
                "package/__init__.pyc", "__pycache__/plain.pyc", "rules.rego", "archive.zip",
            )
        ),
    ],
)  # fmt: skip
def test_tree_that_is_not_exactly_its_commit_is_dirty(
    project: Path, change: Callable[[Path], None]
) -> None:
    commit, dirty = work_tree.state(project)
    assert (commit, dirty) == (git(project, "rev-parse", "HEAD"), False)
    change(project)
    assert work_tree.state(project)[1]


@pytest.mark.parametrize(
    "where",
    [
        "dbt_project/target/run.sql", "docs/later.md", "dbt_project/.user.yml", "docs/script.py",
        "fraud_provenance/__pycache__/of_a_source_that_went.cpython-311.pyc",
    ],
)  # fmt: skip
def test_what_is_ignored_or_does_not_run_leaves_the_tree_clean(project: Path, where: str) -> None:
    (project / where).parent.mkdir(exist_ok=True, parents=True)
    (project / where).write_text("select 1\n", "utf-8")
    assert not work_tree.state(project)[1]


def test_digest_follows_every_file_that_is_not_ignored(project: Path) -> None:
    before = work_tree.digest(project)
    (project / "dbt_project" / "target").mkdir()
    (project / "dbt_project" / "target" / "run.sql").write_text("select 1\n", "utf-8")
    assert work_tree.digest(project) == before
    edit_unwatched(project)
    edited = work_tree.digest(project)
    add_excluded(project)
    assert len({before, edited, work_tree.digest(project)}) == 3


def test_module_that_was_imported_from_beside_the_commit_is_a_change(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "helpful.py").write_text("x = 1\n", "utf-8")
    assert not work_tree.state(project)[1]
    monkeypatch.syspath_prepend(project)
    importlib.import_module("helpful")
    assert work_tree.state(project)[1]
    sys.modules.pop("helpful")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to this user")
def test_folder_that_cannot_be_listed_leaves_it_undecided(project: Path) -> None:
    macros = project / "dbt_project" / "macros"
    macros.chmod(0)
    for question in (work_tree.state, work_tree.files):
        with pytest.raises(BackendError, match=r"GIT_UNAVAILABLE.*could not be read"):
            question(project)
    macros.chmod(0o755)


def test_work_tree_that_stops_answering_leaves_it_undecided(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_place: Path) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(work_tree.os, "listdir", refuse)
    for question in (work_tree.state, work_tree.files):
        with pytest.raises(BackendError, match=r"GIT_UNAVAILABLE.*could not be read"):
            question(project)
