"""What a signed digest or commit meant: lock, code and policy of the past, from kept bytes.

A commit is read from git's objects, each of which must hash to its name; a lock must have the
signed SHA-256; a policy's files lie under theirs.
"""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fraud_provenance.attested.attestors.git_objects import Repository
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust

LOCK = "requirements.lock"
SPARK_LOCK = "requirements-spark.lock"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Past:
    """The project's repository and a home's kept policies. Files are read once."""

    def __init__(self, trust: Trust, project: Path) -> None:
        """`project` is the work tree whose repository should know the commits."""
        self._trust = trust
        self._project = project.resolve()
        self._trees: dict[str, dict[str, str]] = {}

    def commit(self, revision: str) -> str:
        """The commit that somebody names: by its whole id, as HEAD, or by a full reference.

        Raises:
            ConfigError: USAGE, it is named in another way, or there is no such reference.
            BackendError: GIT_UNAVAILABLE, the commit is not here.
        """
        known = revision == "HEAD" or revision.startswith("refs/") or _COMMIT.fullmatch(revision)
        found = self._repository.named(revision) if known else ""
        if not found:
            why = f"the repository knows no {revision[:80]!r}"
            remedy = (
                "Name the commit by its whole id, as HEAD, or by a full reference such as"
                " refs/heads/main."
            )
            raise ConfigError(reason(RootCause.USAGE, why, remedy=remedy, artifact="commit"))
        return found

    def tree(self, commit: str) -> dict[str, str]:
        """Path below the project → git's name of the file, as the commit has it.

        Raises:
            BackendError: GIT_UNAVAILABLE, the repository does not know the commit.
        """
        if commit not in self._trees:
            found = self._repository.files(commit, self._project)
            self._trees[commit] = {path: item.id for path, item in found.items()}
        return self._trees[commit]

    def blob(self, name: str) -> bytes:
        """The bytes of one of git's files, by git's name for them.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        return self._repository.blob(name)

    def lay_out(self, files: Mapping[str, str], folder: Path) -> None:
        """Write files of a commit (path → git's name) below a folder; raises as `blob`."""
        for path, name in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.blob(name))

    def is_running(self, files: Mapping[str, str]) -> bool:
        """Whether this process's own package has exactly these files (path → git's name)."""
        top = Path(__file__).resolve().parents[2]
        for path, name in files.items():
            own = top / path
            if not own.is_file() or self._repository.blob_id(own.read_bytes()) != name:
                return False
        return True

    @cached_property
    def _repository(self) -> Repository:
        repository = Repository.around(self._project)
        if repository is None:
            why = "the project lies in no repository"
            raise BackendError(reason(RootCause.GIT_UNAVAILABLE, why, artifact="git"))
        return repository

    def changed_files(self, a: str, b: str) -> list[dict[str, Any]]:
        """The files that differ between two commits: path, lines added, lines removed."""
        before, after = self.tree(a), self.tree(b)
        repository = self._repository
        found = []
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) == after.get(path):
                continue
            lines = [
                repository.blob(side[path]).decode("utf-8", "replace").splitlines()
                if path in side
                else []
                for side in (before, after)
            ]
            added, removed = _counted(*lines)
            found.append({"path": path, "added": added, "removed": removed})
        return found

    def lock(self, commit: str, digest: str) -> dict[str, str]:
        """Package → version, by the lock that a signed digest names; raises as `lock_bytes`."""
        return packages_of(self.lock_bytes(commit, digest).decode("utf-8"))

    def lock_bytes(self, commit: str, digest: str) -> bytes:
        """The lock that a signed digest names.

        Raises:
            BackendError: GIT_UNAVAILABLE. EvidenceError: EVIDENCE_MISSING, the commit has another.
        """
        name = self.tree(commit).get(LOCK)
        content = self._repository.blob(name) if name else b""
        if encoding.digest_bytes(content) != digest:
            why = f"commit {commit[:12]} has not the lock {digest[:12]} that was signed"
            raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=LOCK))
        return content

    def policy(self, digest: str) -> dict[str, bytes]:
        """Path → bytes of a policy's files.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        objects = self._trust.policies.releases.objects
        entries = self._trust.store.manifest(digest).entries
        return {entry.path: objects.get(entry.sha256) for entry in entries}


def packages_of(lock: str) -> dict[str, str]:
    """Package → version of a requirements lock."""
    pins = (line.split("==", 1) for line in lock.splitlines() if "==" in line[:200])
    return {
        name.strip().lower(): rest.split()[0].rstrip("\\").strip()
        for name, rest in pins
        if name[:1].isalnum() and rest.split()
    }


def requirements_of(lock: str, names: Collection[str]) -> str:
    """The lines of some packages in a requirements lock, with their hashes."""
    kept, is_wanted = [], False
    for line in lock.splitlines():
        if line[:1].isalnum():
            is_wanted = bool(packages_of(line).keys() & set(names))
        if is_wanted and line.strip() and not line.lstrip().startswith("#"):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def leaves_of(value: Any, place: str = "") -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """A document as path → value of each leaf; a list of plain values is one."""
    if isinstance(value, Mapping) and value:
        parts = [leaves_of(item, f"{place}.{name}" if place else str(name))
                 for name, item in value.items()]  # fmt: skip
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        named = [str(item.get("id", index)) if isinstance(item, dict) else str(index)
                 for index, item in enumerate(value)]  # fmt: skip
        parts = [leaves_of(item, f"{place}[{name}]")
                 for name, item in zip(named, value, strict=True)]  # fmt: skip
    else:
        return {place: value} if place else {}
    return {name: item for part in parts for name, item in part.items()}


def policy_changes(a: Mapping[str, bytes], b: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """What differs between two policies: each value of its data, each rule file by its lines."""
    found: list[dict[str, Any]] = []
    for path in sorted(a.keys() | b.keys()):
        if a.get(path) == b.get(path):
            continue
        if path.startswith("data/") and path.endswith(".json"):
            sides = [leaves_of(json.loads(side[path])) if path in side else {} for side in (a, b)]
            found += [
                {"name": f"{path.removeprefix('data/')}: {name}", "a": sides[0].get(name),
                 "b": sides[1].get(name)}
                for name in sorted(sides[0].keys() | sides[1].keys())
                if sides[0].get(name) != sides[1].get(name)
            ]  # fmt: skip
        else:
            texts = [side.get(path, b"").decode("utf-8", "replace").splitlines() for side in (a, b)]
            added, removed = _counted(*texts)
            found.append({"name": path, "a": f"{removed} lines removed", "b": f"{added} added"})
    return found


def _counted(before: list[str], after: list[str]) -> tuple[int, int]:
    """(lines added, lines removed)."""
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    added = sum(line.startswith("+") for line in lines)
    return added, sum(line.startswith("-") for line in lines)
