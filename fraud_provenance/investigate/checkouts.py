"""A commit as it was, to run: its files from git's objects, and an environment of its own lock.

Files are those that hash to the names in the commit's tree; a lock has the signed SHA-256. What is
made here is scratch and cache, never evidence: whatever comes out is held against signed digests.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraud_provenance.attested.attestors import packages
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.investigate import installing
from fraud_provenance.investigate.past import LOCK, Past
from fraud_provenance.investigate.past_code import by_other_code

_PARTS = ("fraud_provenance/", "dbt_project/")
_BUILD_S, _STEP_S = 1800.0, 3600.0
_READY = "ready.json"


@dataclass(frozen=True)
class Installed:
    """An environment: its interpreter, and in words where it comes from."""

    python: Path
    origin: str


@dataclass
class Checkouts:
    """Commits laid out below a scratch folder, environments kept below a cache.

    Attributes:
        past: Reads the commits.
        project: Today's work tree, whose lock and environment are used again where they are that.
        scratch: An empty folder; the caller removes it.
        cache: Where environments are kept by the digest of their lock.
        say: Told before each thing that takes long.
    """

    past: Past
    project: Path
    scratch: Path
    cache: Path
    say: Callable[[str], None]
    _made: dict[str, Path] = field(default_factory=dict)
    _environments: dict[tuple[str, str], Installed] = field(default_factory=dict)

    def folder(self, commit: str) -> Path:
        """The commit's own files, without anything else.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        if commit not in self._made:
            self.say(f"checking out {commit[:12]}")
            target = self.scratch / f"commit-{commit[:12]}"
            tree = self.past.tree(commit).items()
            self.past.lay_out(
                {path: name for path, name in tree if path.startswith(_PARTS)}, target
            )
            self._made[commit] = target
        return self._made[commit]

    def environment(self, commit: str, lock: str, installed: str) -> Installed:
        """What a step ran in: today's environment where it is the signed one, else a built one.

        Args:
            commit: That has the lock.
            lock: The signed SHA-256 of the lock.
            installed: The signed digest of the packages that were installed, "" if none was.

        Raises:
            EvidenceError: EVIDENCE_MISSING, the commit has another lock.
            BackendError: GIT_UNAVAILABLE; TOOL_UNAVAILABLE, it could not be built.
        """
        key = (lock, installed)
        if key not in self._environments:
            content = self.past.lock_bytes(commit, lock)
            now = encoding.digest_bytes((self.project / LOCK).read_bytes())
            if now == lock and packages.packages_digest() == installed:
                found = Installed(Path(sys.executable), "today's environment: the signed packages")
            else:
                found = self._built(content, lock)
            self._environments[key] = found
        return self._environments[key]

    def _built(self, content: bytes, lock: str) -> Installed:
        """The environment of a lock, kept; what is not whole is built anew."""
        folder = self.cache / lock
        python = folder / "bin" / "python"
        if not (folder / _READY).is_file():
            self.say(f"building the environment of lock {lock[:12]}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                venv = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
                installing.run(venv, _BUILD_S)
                place = folder / LOCK
                place.write_bytes(content)
                installing.install(place, ["--python", str(python)], _BUILD_S)
            except OSError as error:
                raise _unbuilt(lock, str(error)) from error
            (folder / _READY).write_text(json.dumps({"lock": lock}), "utf-8")
        return Installed(python, f"built from lock {lock[:12]} with its hashes")

    def run(self, commit: str, environment: Installed, asked: Mapping[str, Any], out: Path) -> None:
        """Have a commit's code do one step of `fraud.remaking`; its files are in `out` then.

        Raises:
            BackendError: VERIFY_ERROR, it did not come to an end.
        """
        from fraud_provenance.fraud import remaking

        out.mkdir(parents=True)
        request = out / "request.json"
        request.write_text(json.dumps(asked), "utf-8")
        command = by_other_code(
            str(environment.python), self.folder(commit), str(remaking.__file__), "main",
            str(request), str(out),
        )  # fmt: skip
        plain = {"HOME": str(out), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(  # noqa: S603 - an interpreter of ours; code of signed commits
                command, cwd=out, env=plain, capture_output=True, timeout=_STEP_S, check=False
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise _failed(asked["step"], commit, type(error).__name__) from error
        if done.returncode:
            said = installing.last_line(done.stderr.strip() or done.stdout)
            raise _failed(asked["step"], commit, said)


def _failed(step: str, commit: str, why: str) -> BackendError:
    said = f"{step} cannot be done again by commit {commit[:12]}: {why}"
    return BackendError(
        reason(RootCause.VERIFY_ERROR, said, artifact=step,
               remedy="Read what is said; an old commit may need another Python or platform.")
    )  # fmt: skip


def _unbuilt(lock: str, said: str) -> BackendError:
    why = f"the environment of lock {lock[:12]} cannot be built: {said}"
    remedy = "Run again where the package index can be reached: the lock's hashes are required."
    return BackendError(
        reason(RootCause.TOOL_UNAVAILABLE, why, artifact="environment", remedy=remedy)
    )
