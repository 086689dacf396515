"""Single libraries in another version than the installed one, to run code of the past with them.

A version comes from a lock with a signed digest, and is installed with that lock's hashes into a
folder of its own, which goes before the installed packages. What else of its own the library needs
in another version than the installed one comes along. A folder is cache, never evidence: with
nothing put back the signed numbers must come out.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from fraud_provenance.attested.attestors import installed
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.investigate import installing
from fraud_provenance.investigate.changes import COMPUTING, LIBRARY, Changes
from fraud_provenance.investigate.past import Past, packages_of, requirements_of
from fraud_provenance.investigate.recipes import Recipe

Sides = tuple[Path | None, Path | None]
"""A library's folder as it was, and as it is now; None where that is the installed version."""
_INSTALL_S, _TRY_S = 45.0, 60.0
_TRY = (
    "import sys, importlib; sys.path.insert(0, sys.argv[1]); "
    "[importlib.import_module(name) for name in sys.argv[2:]]"
)


@dataclass
class Libraries:
    """The libraries of two recipes, as far as they are not those that are installed.

    Attributes:
        past: Reads the locks.
        cache: Where folders are kept by what is in them; may be deleted at any time.
        notes: What could not be had.
    """

    past: Past
    cache: Path
    notes: list[str] = field(default_factory=list)

    def between(
        self, a: Recipe, b: Recipe, changes: Changes
    ) -> tuple[Changes, Mapping[str, Sides]]:
        """Library → its folders on both sides; a change whose folders cannot be had is fixed.

        Where both sides have a version that is not the installed one, both have the same folder.
        """
        try:
            locks = [self.past.lock_bytes(side.commit, side.lock).decode() for side in (a, b)]
        except (ProvenanceError, UnicodeDecodeError):
            return self._fixed(changes, COMPUTING), {}  # what changed is not known either
        pins = [packages_of(lock) for lock in locks]
        sides: dict[str, Sides] = {}
        lost = []
        for name in COMPUTING:
            changed = pins[0].get(name) != pins[1].get(name)
            try:
                now = self._folder(name, locks[1])
                sides[name] = (self._folder(name, locks[0]) if changed else now, now)
            except OSError as error:
                lost.append(name)
                why = f"{name} {pins[0].get(name)} or {pins[1].get(name)} cannot be had here"
                self.notes.append(f"{why}, the installed one is used: {error}")
        return self._fixed(changes, lost), sides

    def _fixed(self, changes: Changes, names: Iterable[str]) -> Changes:
        known = set(names)
        return replace(changes, all=tuple(
            replace(item, can_be_put_back=False)
            if item.kind == LIBRARY and item.name in known else item for item in changes.all
        ))  # fmt: skip

    def _folder(self, name: str, lock: str) -> Path | None:
        """Where a library lies as a lock has it; None where it is installed so.

        Raises:
            OSError: it cannot be installed, or does not go together with what is installed.
        """
        wanted = packages_of(lock)
        if wanted.get(name) in (None, _installed(name)):
            return None
        own = [part for part in _parts(name) if wanted.get(part) not in (None, _installed(part))]
        text = requirements_of(lock, [name, *own])
        folder = self.cache / f"{name}-{encoding.digest_bytes((sys.version + text).encode())[:16]}"
        if not folder.is_dir():
            self._install(folder, text)
        return folder

    def _install(self, folder: Path, text: str) -> None:
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        making.parent.mkdir(parents=True, exist_ok=True)
        asked = making.with_name(f"{making.name}.lock")
        asked.write_text(text, "utf-8")
        place = ["--python", sys.executable, "--target", str(making)]
        try:
            installing.install(asked, place, _INSTALL_S)
            tried = [sys.executable, "-I", "-B", "-c", _TRY, str(making), *COMPUTING.values()]
            installing.run(tried, _TRY_S)
            with suppress(FileExistsError):
                making.rename(folder)
        finally:
            asked.unlink(missing_ok=True)
            shutil.rmtree(making, ignore_errors=True)


def _installed(name: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def _parts(name: str) -> list[str]:
    """What a library needs by itself, but for those that are libraries of their own here."""
    try:
        wanted = [Requirement(text) for text in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return []
    names = {installed.normal(item.name) for item in wanted
             if item.marker is None or item.marker.evaluate({"extra": ""})}  # fmt: skip
    return sorted(names - COMPUTING.keys())
