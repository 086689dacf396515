"""The project's own code: which commit it is, whether it is exactly that, and its digest."""

import os
import re
import subprocess
from collections.abc import Collection
from pathlib import Path

from fraud_provenance.evidence import encoding
from fraud_provenance.evidence.files import read_once
from fraud_provenance.evidence.manifest import FileEntry, Manifest

_DEADLINE_S = 30
_CODE = ("fraud_provenance", "policies", "dbt_project", "tools")


def is_on_branch(project: Path, commit: str, branch: str) -> bool:
    """Whether `commit` is an ancestor of `branch` (a full ref) in the project's repository."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        return False
    tip = _git(project, "rev-parse", "--verify", "--end-of-options", f"{branch}^{{commit}}").strip()
    return bool(tip) and _git(project, "merge-base", commit, tip).strip() == commit


def _git(project: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(  # noqa: S603 - argument list, no shell
        ["git", "--no-replace-objects", *arguments],  # noqa: S607 - the user's own git
        cwd=project,
        input=stdin,
        capture_output=True,
        timeout=_DEADLINE_S,
        check=False,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    )
    return done.stdout if done.returncode == 0 else ""


def state(project: Path) -> tuple[str, bool]:
    """(commit, dirty): dirty if a file is not as committed or what runs has one git does not know.

    Asked of the bytes, not of `git status`: a flag in the index, a filter or a private exclude list
    hides changes from that. Outside a repository the tree counts as dirty.
    """
    commit = _git(project, "rev-parse", "HEAD").strip()
    committed = _committed(project)
    unknown = _unknown(project, committed, *_CODE)
    paths = [name for name in committed if (project / name).is_file()]
    found = _git(project, "hash-object", "--no-filters", "--stdin-paths", stdin="\n".join(paths))
    same = dict(zip(paths, found.split(), strict=False)) == committed
    linked = any((project / name).is_symlink() for name in paths)
    return commit, not commit or not same or linked or bool(unknown)


def _committed(project: Path) -> dict[str, str]:
    """Path → git's digest of the bytes, for each file of the commit."""
    listed = _git(project, "ls-tree", "-r", "-z", "HEAD").split("\0")
    return {
        name: facts.split()[2]
        for facts, _, name in (line.partition("\t") for line in listed if line)
    }


def _unknown(project: Path, committed: Collection[str], *folders: str) -> set[str]:
    """Files that no commit has and that the project's own `.gitignore` does not leave out."""
    listed = _git(
        project, "ls-files", "-z", "--others", "--exclude-from=.gitignore", "--", *folders
    )
    tracked = _git(project, "ls-files", "-z", "--cached", "--", *folders)
    return {name for name in f"{listed}{tracked}".split("\0") if name} - set(committed)


def files(project: Path) -> list[Path]:
    """Every file of the commit and every other that `.gitignore` does not leave out; no links."""
    committed = _committed(project)
    paths = [project / name for name in sorted({*committed, *_unknown(project, committed)})]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def digest(project: Path) -> str:
    """SHA-256 of the manifest over every file of the work tree that git does not ignore."""
    return folder_digest(project, files(project))


def folder_digest(folder: Path, paths: list[Path]) -> str:
    """SHA-256 of the manifest over `paths`, named relative to `folder`; links are left out."""
    entries = []
    for path in paths:
        if path.is_file() and not path.is_symlink():
            content = read_once(path)
            entries.append(
                FileEntry(
                    path=path.relative_to(folder).as_posix(),
                    partition="",
                    size=len(content),
                    sha256=encoding.digest_bytes(content),
                )
            )
    return Manifest.of(folder.name or "tree", entries).digest
