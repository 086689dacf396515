"""The project's own code: which commit it is, whether it is exactly that, and its digest."""

import os
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.attested.attestors import compiled
from fraud_provenance.attested.attestors.git_objects import Repository, TreeFile
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, EvidenceError, reason
from fraud_provenance.attested.core.files import read_once, resolved, traits
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from dulwich.ignore import IgnoreFilter

_CODE = ("fraud_provenance", "policies", "dbt_project", "tools")
# What tools leave among the code. dbt parses its sources anew and runs nothing of its own folders.
_MADE = ("dbt_project/.user.yml", "dbt_project/target/", "dbt_project/logs/")
# With Python's tag in its name a file is found through its source alone, never by its own name.
_TAGGED = re.compile(r"(?:.*/)?__pycache__/[^/.]+\.[^/]+\.pyc")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TYPE, _PLAIN = 0o170000, 0o100000


def is_on_branch(project: Path, commit: str, branch: str) -> bool:
    """Whether `commit` is an ancestor of `branch` (a full ref) in the project's repository.

    Raises:
        BackendError: GIT_UNAVAILABLE, e.g. a history that was cut short before it.
    """
    repository = Repository.around(project.resolve())
    if repository is None or not _COMMIT.fullmatch(commit) or not branch.startswith("refs/"):
        return False
    tip = repository.commit(branch)
    return bool(tip) and repository.has_ancestor(tip, commit)


def state(project: Path, cache: Path | None = None) -> tuple[str, bool]:
    """(commit, dirty): dirty if a file is not as committed or what runs has one it does not know.

    Commit and tree are read from git's objects, and held against the files' bytes: an ignored file
    counts as any other. A compiled file must be what its source compiles to (`cache`: a file that
    remembers it). Outside of a repository the tree counts as dirty.

    Raises:
        BackendError: GIT_UNAVAILABLE, commit or tree could not be read whole.
    """
    repository, commit, committed = _committed(project)
    if repository is None or not committed:
        return commit, True
    if (_code_files(project) | _loaded(project)) - set(committed):
        return commit, True
    if any(not _is_plain(project, name, item) for name, item in committed.items()):
        return commit, True
    if any(repository.blob_id(_content(project / name)) != item.id
           for name, item in committed.items()):  # fmt: skip
        return commit, True
    sources = [project / name for name in sorted(committed) if _is_code(name, ".py")]
    return commit, bool(compiled.lying(sources, cache))


def listing(project: Path) -> str:
    """SHA-256 over size, times and inode of whatever lies below the folders of code.

    As long as it is the same, no code was changed: a change time cannot be set by a file's owner.
    """
    root = os.fspath(project)
    names = sorted(name for folder in _CODE for name in _below(project, folder, but=_MADE))
    facts = [f"{name} {traits(os.lstat(f'{root}/{name}'))}" for name in names]
    return encoding.digest_bytes("\n".join(facts).encode("utf-8", "surrogateescape"))


def _committed(project: Path) -> tuple[Repository | None, str, dict[str, TreeFile]]:
    """The repository, its commit, and path → what the commit has there; all empty without one."""
    folder = project.resolve()
    repository = Repository.around(folder)
    commit = repository.commit("HEAD") if repository else ""
    files = repository.files(commit, folder) if repository and commit else {}
    return repository, commit, files


def _is_code(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and name.partition("/")[0] in _CODE


def _is_plain(project: Path, name: str, item: TreeFile) -> bool:
    """Whether a regular file lies at a committed path, and neither it nor a folder is a link."""
    path = project / name
    parents = path.parents[: len(path.parents) - len(project.parents) - 1]
    linked = any(place.is_symlink() for place in (path, *parents))
    return item.mode & _TYPE == _PLAIN and not linked and path.is_file()


def _content(path: Path) -> bytes:
    try:
        return read_once(path)
    except EvidenceError as error:
        raise _unreadable(path.name, error.reasons[0].message) from error


def _unreadable(name: str, why: str) -> BackendError:
    message = f"{name} could not be read: {why}"
    return BackendError(reason(RootCause.GIT_UNAVAILABLE, message, artifact="work tree"))


def _code_files(project: Path) -> set[str]:
    """Whatever lies below the folders of code, ignored or not, but for what tools leave there."""
    found = (name for folder in _CODE for name in _below(project, folder, but=_MADE))
    return {name for name in found if not _TAGGED.fullmatch(name)}


def _below(
    project: Path,
    folder: str = "",
    ignored: "IgnoreFilter | None" = None,
    but: tuple[str, ...] = (),
) -> Iterator[str]:
    """Whatever is no folder below a folder, relative to the project; links count as files.

    Nothing of `but` is looked at: names of files, and of folders with a slash at their end.
    """

    def is_out(name: str) -> bool:
        return name in (".git", ".git/", *but) or (
            ignored is not None and ignored.is_ignored(name) is True
        )

    top = project / folder
    if folder and (top.is_symlink() or not top.is_dir()):
        if os.path.lexists(top) and not is_out(folder):
            yield folder
        return
    waiting = [folder]
    while waiting:
        name = waiting.pop()
        try:
            with os.scandir(project / name) as items:
                found = [
                    (
                        f"{name}/{item.name}" if name else item.name,
                        item.is_dir(follow_symlinks=False),
                    )
                    for item in items
                ]
        except OSError as error:
            raise _unreadable(name or "the project", error.strerror or "") from error
        waiting += [item for item, is_folder in found if is_folder and not is_out(f"{item}/")]
        yield from (item for item, is_folder in found if not is_folder and not is_out(item))


def _loaded(project: Path) -> set[str]:
    """The project's files that this process has imported; what is installed lies apart."""
    root, installed = f"{project.resolve()}/", f"{Path(sys.prefix).resolve()}/"
    origins = (getattr(module, "__file__", None) for module in dict(sys.modules).values())
    folders: dict[str, str] = {}
    found = {resolved(origin, folders) for origin in origins if isinstance(origin, str)}
    return {
        name.removeprefix(root)
        for name in found
        if name.startswith(root) and not name.startswith(installed)
    }


def files(project: Path) -> list[Path]:
    """Every file of the commit, of the code, and every other that is not ignored; no links.

    `.gitignore` of the project alone says what is ignored. Outside of a repository: of the code.

    Raises:
        BackendError: GIT_UNAVAILABLE, they could not be listed whole.
    """
    from dulwich.ignore import IgnoreFilter, read_ignore_patterns

    _, _, committed = _committed(project)
    names = set(committed) | _code_files(project)
    if committed or (project / ".git").exists():
        rules = project / ".gitignore"
        patterns = read_ignore_patterns(BytesIO(_content(rules))) if rules.exists() else ()
        ignored = IgnoreFilter(patterns)
        names.update(_below(project, ignored=ignored))
    paths = [project / name for name in sorted(names)]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def digest(project: Path) -> str:
    """SHA-256 of the manifest over every file of the work tree that is not ignored."""
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
