"""Commits and trees come from git's own files, each object held against its name."""

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.attested.attestors.git_objects import Repository
from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance_tests.attestors.test_work_tree import MACRO, edit, git
from fraud_provenance_tests.attestors.test_work_tree import project as project  # noqa: PLC0414 - a fixture


def loose(project: Path, name: str) -> Path:
    path = project / ".git" / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.chmod(0o644)
    return path


def put(project: Path, kind: str, content: bytes, name: str = "") -> str:
    """Write a loose object by hand, under its own name or another one's."""
    whole = f"{kind} {len(content)}\0".encode() + content
    name = name or hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    loose(project, name).write_bytes(zlib.compress(whole))
    return name


def head(project: Path, what: str = "HEAD") -> str:
    return git(project, "rev-parse", what)


def pack(project: Path) -> None:
    git(project, "gc", "-q", "--aggressive", "--prune=now")
    assert not loose(project, head(project)).exists()
    assert (project / ".git" / "packed-refs").exists()


def nothing(project: Path) -> None:
    pass


def test_commit_is_named_by_id_reference_or_tag_and_by_nothing_else(project: Path) -> None:
    git(project, "tag", "-a", "v1", "-m", "first")
    found = Repository.around(project)
    assert found is not None
    for name in (head(project), "HEAD", "refs/heads/main", "refs/tags/v1", head(project, "v1")):
        assert found.named(name) == head(project), name
    assert found.named("refs/heads/other") == ""
    for name in ("f" * 40, head(project, f"HEAD:{MACRO}")):
        with pytest.raises(BackendError, match=name[:12]):
            found.named(name)


def many_commits(project: Path) -> None:
    for number in range(3):
        (project / "docs" / "notes.md").write_text(f"{number}\n" * 500, "utf-8")
        git(project, "commit", "-q", "-a", "-m", f"{number}")


def many_commits_packed(project: Path) -> None:
    many_commits(project)
    pack(project)


def detach(project: Path) -> None:
    git(project, "checkout", "-q", "--detach")


def configured_oddly(project: Path) -> None:
    git(project, "config", "core.bare", "true")


def garbage_in_the_index(project: Path) -> None:
    (project / ".git" / "index").write_bytes(b"garbage")


def of_another_user(project: Path) -> None:
    if os.geteuid() == 0:
        for path in (project, project / ".git"):
            os.chown(path, 12345, 12345)


def with_alternates(project: Path) -> None:
    objects = project / ".git" / "objects"
    elsewhere = objects.rename(project / ".git" / "elsewhere")
    (objects / "info").mkdir(parents=True)
    (objects / "info" / "alternates").write_text(f"{elsewhere}\n", "utf-8")


ODD_BUT_HONEST = [
    nothing, pack, many_commits, many_commits_packed, detach, configured_oddly,
    garbage_in_the_index, of_another_user, with_alternates,
]  # fmt: skip


@pytest.mark.parametrize("change", ODD_BUT_HONEST)
def test_tree_of_any_honest_repository_is_read(
    project: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(project)
    with monkeypatch.context() as blind:
        blind.setenv("PATH", "/nowhere")
        blind.setenv("GIT_DIR", "/nowhere")
        commit, dirty = work_tree.state(project)
        assert not dirty
        edit(project)
        assert work_tree.state(project) == (commit, True)
    if change is not configured_oddly and change is not garbage_in_the_index:
        assert commit == git(project, "-c", "safe.directory=*", "rev-parse", "HEAD")


def test_linked_work_tree_and_folder_of_a_repository_are_read(project: Path) -> None:
    git(project, "worktree", "add", "-q", "-b", "other", str(project / "docs" / "linked"))
    linked = project / "docs" / "linked"
    assert work_tree.state(linked) == (head(project), False)
    assert work_tree.is_on_branch(linked, head(project), "refs/heads/main")
    edit(linked)
    assert work_tree.state(linked)[1]
    assert set(Repository.around(project).files(head(project), project / "dbt_project")) == {  # type: ignore[union-attr]
        "macros/windows.sql"
    }


def test_repository_of_sha256_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    assert work_tree.state(tmp_path) == (head(tmp_path), False)
    assert work_tree.is_on_branch(tmp_path, head(tmp_path), "refs/heads/main")
    (tmp_path / "a").write_text("b")
    assert work_tree.state(tmp_path)[1]


def lose_the_tree(project: Path) -> None:
    loose(project, head(project, "HEAD^{tree}")).unlink()


def lose_a_folder(project: Path) -> None:
    loose(project, head(project, "HEAD:dbt_project/macros")).unlink()


def lose_the_commit(project: Path) -> None:
    loose(project, head(project)).unlink()


def lose_all_objects(project: Path) -> None:
    (project / ".git" / "objects").rename(project / ".git" / "gone")


def lose_head(project: Path) -> None:
    (project / ".git" / "HEAD").unlink()


def spoil_head(project: Path) -> None:
    (project / ".git" / "HEAD").write_bytes(b"\0garbage")


def spoil_the_branch(project: Path) -> None:
    (project / ".git" / "refs" / "heads" / "main").write_bytes(b"garbage\n")


def spoil_the_tree(project: Path) -> None:
    loose(project, head(project, "HEAD^{tree}")).write_bytes(b"garbage")


def forge_a_folder(project: Path) -> None:
    """The folder's object names the changed file; its own name is the committed one."""
    edit(project)
    name = head(project, "HEAD:dbt_project/macros")
    blob = put(project, "blob", (project / MACRO).read_bytes())
    put(project, "tree", b"100644 windows.sql\0" + bytes.fromhex(blob), name)


def forge_the_commit(project: Path) -> None:
    commit = head(project)
    edit(project)
    git(project, "commit", "-q", "-a", "-m", "Second")
    content = git(project, "cat-file", "commit", "HEAD").encode() + b"\n"
    put(project, "commit", content, commit)
    (project / ".git" / "refs" / "heads" / "main").write_text(f"{commit}\n", "utf-8")


def forge_a_pack(project: Path) -> None:
    """The index of a pack calls the changed commit by the name of the committed one."""
    commit = head(project)
    edit(project)
    git(project, "commit", "-q", "-a", "-m", "Second")
    second = head(project)
    pack(project)
    index = next((project / ".git" / "objects" / "pack").glob("*.idx"))
    index.chmod(0o644)
    names = {commit: second, second: commit}
    content = index.read_bytes()
    places = {name: content.index(bytes.fromhex(name)) for name in names}
    changed = bytearray(content)
    for name, place in places.items():  # offsets stay: each name now stands for the other's bytes
        changed[place : place + 20] = bytes.fromhex(names[name])
    index.write_bytes(bytes(changed))


def reftable(project: Path) -> None:
    (project / ".git" / "reftable").mkdir()


def nowhere(project: Path) -> None:
    (project / ".git").rename(project / "docs" / "git")
    (project / ".git").write_text("gitdir: /nowhere\n", "utf-8")


def garbage_for_git(project: Path) -> None:
    (project / ".git").rename(project / "docs" / "git")
    (project / ".git").write_bytes(b"garbage")


def linked_to_nothing(project: Path) -> None:
    (project / ".git").rename(project / "docs" / "git")
    (project / ".git").symlink_to("/nowhere")


BROKEN = [
    lose_the_tree, lose_a_folder, lose_the_commit, lose_all_objects, lose_head, spoil_head,
    spoil_the_branch, spoil_the_tree, forge_a_folder, forge_the_commit, forge_a_pack, reftable,
    nowhere, garbage_for_git, linked_to_nothing,
]  # fmt: skip


@pytest.mark.parametrize("change", BROKEN)
def test_commit_or_tree_that_cannot_be_read_whole_leaves_it_undecided(
    project: Path, change: Callable[[Path], None]
) -> None:
    change(project)
    for question in (work_tree.state, work_tree.files):
        with pytest.raises(BackendError, match=r"GIT_UNAVAILABLE.*could not be read: \w") as told:
            question(project)
        assert told.value.exit_code == 2


def test_history_cut_short_knows_what_it_has_and_cannot_tell_the_rest(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "-q")
    for number in range(4):
        git(whole, "commit", "-q", "--allow-empty", "-m", str(number))
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{whole}", "shallow")
    shallow, main = tmp_path / "shallow", "refs/remotes/origin/main"
    assert work_tree.is_on_branch(shallow, head(shallow, "HEAD~1"), main)
    with pytest.raises(BackendError, match="is missing"):
        work_tree.is_on_branch(shallow, head(whole, "HEAD~3"), main)
    assert not work_tree.is_on_branch(whole, head(shallow, "HEAD")[::-1], "refs/heads/main")


def test_branch_is_a_commit_or_a_tag_of_one(project: Path) -> None:
    git(project, "tag", "-a", "-m", "signed off", "v1")
    assert work_tree.is_on_branch(project, head(project), "refs/tags/v1")
    git(project, "tag", "tree", "HEAD^{tree}")
    with pytest.raises(BackendError, match="GIT_UNAVAILABLE"):
        work_tree.is_on_branch(project, head(project), "refs/tags/tree")


def test_graft_or_replacement_adds_no_ancestor(project: Path) -> None:
    first = head(project)
    git(project, "checkout", "-q", "--orphan", "other")
    git(project, "commit", "-q", "-m", "Another history")
    (project / ".git" / "info" / "grafts").write_text(f"{head(project)} {first}\n", "utf-8")
    git(project, "replace", "--graft", head(project), first)
    assert not work_tree.is_on_branch(project, first, "refs/heads/other")


def test_outside_of_a_repository_the_code_is_listed_and_dirty(project: Path) -> None:
    (project / ".git").rename(project.parent / "git")
    (project / ".venv").mkdir()
    (project / ".venv" / "x.py").touch()
    assert work_tree.state(project) == ("", True)
    assert [path.name for path in work_tree.files(project)] == ["windows.sql"]


def test_repository_without_a_commit_is_dirty(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("a")
    assert work_tree.state(tmp_path) == ("", True)
    assert [path.name for path in work_tree.files(tmp_path)] == ["a"]
