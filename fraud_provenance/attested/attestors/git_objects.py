"""Commits and trees, read from a repository's own files: no git binary is asked or believed.

Every object is held against the digest that it was asked for by, so that neither a loose object nor
a pack can give another. Index, configuration, replacements and grafts are not looked at. What is
missing or damaged is "could not decide", never "nothing".
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ProvenanceError, reason

if TYPE_CHECKING:
    from dulwich.object_store import DiskObjectStore
    from dulwich.refs import DiskRefsContainer, Ref

_KINDS = {b"commit": 1, b"tree": 2, b"tag": 4}
_ID = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_FOLDER, _TYPE = 0o040000, 0o170000
_MAX_FOLDERS, _MAX_PEELED = 100_000, 10


@dataclass(frozen=True)
class TreeFile:
    """What a commit has under one path. `mode`: git's, e.g. 0o100644; `id`: of its bytes."""

    mode: int
    id: str


@dataclass(frozen=True)
class Repository:
    """One repository on disk. `top`: its work tree; `own`, `common`: where git keeps its files."""

    top: Path
    own: Path
    common: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository | None":
        """The repository that `folder` lies in, if it lies in one.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        for top in (folder, *folder.parents):
            if os.path.lexists(top / ".git"):
                with _readable(".git"):
                    own, common = _kept(top / ".git")
                    if (common / "reftable").exists():
                        raise ValueError("its references are a reftable, which is not read here")
                    if (common / "objects").is_dir() and (own / "HEAD").exists():
                        return cls(top, own, common)
                    if top == folder:
                        raise ValueError("it is not a repository's")
        return None

    def commit(self, name: str) -> str:
        """The commit that HEAD or a full reference names; "" if there is no such reference.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        with _readable(name):
            from dulwich.refs import Ref

            chain, named = self._refs.follow(Ref(name.encode()))
            if name == "HEAD" and named is None and len(chain) < 2:
                raise ValueError("it names nothing")
            return self._peeled(named) if named else ""

    def named(self, name: str) -> str:
        """The commit that an id, HEAD or a full reference names; "" if there is no such reference.

        Raises:
            BackendError: GIT_UNAVAILABLE, also for an id that is not here or is no commit's.
        """
        if not _ID.fullmatch(name.encode()):
            return self.commit(name)
        with _readable(name[:12]):
            return self._peeled(name.encode())

    def _peeled(self, name: bytes) -> str:
        for _ in range(_MAX_PEELED):
            kind, content = self._object(name)
            if kind == _KINDS[b"commit"]:
                return name.decode()
            name = _field(content, b"object")  # an annotated tag
        raise ValueError("it is no commit")

    def files(self, commit: str, folder: Path) -> dict[str, TreeFile]:
        """Path below `folder` → what the commit has there; nothing if it has no such folder.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        with _readable(f"the tree of {commit[:12]}"):
            tree = _field(self._content(commit.encode(), b"commit"), b"tree")
            for part in folder.relative_to(self.top).parts:
                inner = {name: item for name, _, item in self._entries(tree)}
                if part not in inner:
                    return {}
                tree = inner[part]
            return dict(self._below(tree))

    def blob(self, name: str) -> bytes:
        """The bytes of a committed file, which hash to its name.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        with _readable(f"file {name[:12]}"):
            kind, content = self._object(name.encode())
            if kind in _KINDS.values():
                raise ValueError("it is no file")
            return content

    def has_ancestor(self, tip: str, commit: str) -> bool:
        """Whether `commit` is `tip` or one of its ancestors; a history cut short cannot tell.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        with _readable(f"the history of {tip[:12]}"):
            waiting, seen, problem = [self._dated(tip)], {tip}, None
            while waiting:
                _, newest, parents = heappop(waiting)
                if newest == commit:
                    return True
                for parent in set(parents) - seen:
                    seen.add(parent)
                    try:
                        heappush(waiting, self._dated(parent))
                    except ValueError as error:  # a shallow clone ends here; others may go on
                        problem = error
            if problem is not None:
                raise problem
            return False

    def blob_id(self, content: bytes) -> str:
        """Git's name for a file of these bytes."""
        return self._hash(b"blob %d\0" % len(content) + content)

    # --- objects -----------------------------------------------------------------------------

    @cached_property
    def _refs(self) -> "DiskRefsContainer":
        from dulwich.refs import DiskRefsContainer

        return DiskRefsContainer(self.common, self.own)

    @cached_property
    def _hash(self) -> Callable[[bytes], str]:
        """Git's digest, by the length of HEAD's: SHA-1 or SHA-256."""
        long = len(self._refs.follow(_head())[1] or b"") == 64
        algorithm = "sha256" if long else "sha1"
        return lambda content: hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()

    @cached_property
    def _store(self) -> "DiskObjectStore":
        from dulwich.object_format import get_object_format
        from dulwich.object_store import DiskObjectStore

        name = "sha256" if len(self._hash(b"")) == 64 else "sha1"
        return DiskObjectStore(self.common / "objects", object_format=get_object_format(name))

    def _object(self, name: bytes) -> tuple[int, bytes]:
        """Kind and bytes of an object, which must hash to its name."""
        from dulwich.objects import ObjectID

        if not _ID.fullmatch(name):
            raise ValueError(f"{name[:12]!r} is no object's name")
        try:
            kind, content = self._store.get_raw(ObjectID(name))
        except KeyError:
            raise ValueError(f"object {name.decode()[:12]} is missing") from None
        word = next((word for word, number in _KINDS.items() if number == kind), b"blob")
        if self._hash(b"%s %d\0" % (word, len(content)) + content) != name.decode():
            raise ValueError(f"object {name.decode()[:12]} holds other bytes than its name says")
        return kind, content

    def _content(self, name: bytes, kind: bytes) -> bytes:
        found, content = self._object(name)
        if found != _KINDS[kind]:
            raise ValueError(f"object {name.decode()[:12]} is no {kind.decode()}")
        return content

    def _entries(self, tree: bytes) -> Iterator[tuple[str, int, bytes]]:
        from dulwich.objects import parse_tree

        content = self._content(tree, b"tree")
        for name, mode, item in parse_tree(content, len(tree) // 2):
            yield name.decode("utf-8", "surrogateescape"), mode, item

    def _below(self, tree: bytes) -> Iterator[tuple[str, TreeFile]]:
        waiting, seen = [("", tree)], 0
        while waiting:
            folder, tree = waiting.pop()
            seen += 1
            if seen > _MAX_FOLDERS:
                raise ValueError(f"it has more than {_MAX_FOLDERS} folders")
            for name, mode, item in self._entries(tree):
                if mode & _TYPE == _FOLDER:
                    waiting.append((f"{folder}{name}/", item))
                else:
                    yield f"{folder}{name}", TreeFile(mode, item.decode())

    def _dated(self, commit: str) -> tuple[int, str, list[str]]:
        """A commit and its parents, ordered by the time it claims: a hint for the search."""
        header = self._content(commit.encode(), b"commit").partition(b"\n\n")[0]
        times = re.findall(rb"^committer .*> ([0-9]{1,18}) ", header, re.MULTILINE)
        parents = re.findall(rb"^parent ([0-9a-f]+)$", header, re.MULTILINE)
        return -int(times[0]) if times else 0, commit, [name.decode() for name in parents]


def _kept(own: Path) -> tuple[Path, Path]:
    """Where git keeps the files of this work tree, and those of all work trees of a repository."""
    if own.is_file():
        named = own.read_text("utf-8").strip()
        if not named.startswith("gitdir: "):
            raise ValueError("it names no folder")
        own = own.parent / named.removeprefix("gitdir: ")
    shared = own / "commondir"
    return own, own / shared.read_text("utf-8").strip() if shared.exists() else own


def _head() -> "Ref":
    from dulwich.refs import Ref

    return Ref(b"HEAD")


def _field(content: bytes, name: bytes) -> bytes:
    """The object that a header names; what follows the first empty line is somebody's text."""
    header = content.partition(b"\n\n")[0]
    found = re.search(rb"^%s ([0-9a-f]+)$" % name, header, re.MULTILINE)
    if found is None:
        raise ValueError(f"an object has no {name.decode()}")
    return found.group(1)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Whatever goes wrong while git's files are read means that they could not be read."""
    try:
        yield
    except ProvenanceError:
        raise
    except Exception as error:
        told = str(error) if isinstance(error, ValueError | OSError) else type(error).__name__
        raise BackendError(
            reason(RootCause.GIT_UNAVAILABLE, f"{what} could not be read: {told}", artifact="git")
        ) from error
