"""What each locked package installs, as the repository knows it: a RECORD that was rewritten shows.

A package's own RECORD comes along with its files, and whoever changes a file can change its line
there. `tools/installed.lock` says what the RECORDs of packages say that were installed afresh from
archives with the locked hashes. A package has several lines where platforms have archives of their
own.

What an installer writes by itself is left out (compiled files, notes, the interpreter's path in the
first line of a script); so are descriptions and licences, which nobody runs.
"""

import base64
import csv
import hashlib
import re
from collections.abc import Iterable
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause

PLACE = "tools/installed.lock"
_LINE = re.compile(r"(?P<pin>\S+==\S+) sha256:(?P<digest>[0-9a-f]{64})\Z")
_DESCRIPTION = re.compile(r"[^/]+\.dist-info/(?!entry_points\.txt\Z)")
_SCRIPT = re.compile(r"(?:\.\./)+bin/")
_OWN = "fraud-provenance"  # installed as a link to the work tree, whose place no lock can know
_UNPINNED = "pip"  # comes with Python, and only sets up the environment


Package = tuple[str, str, metadata.Distribution]
"""Name, version, and where it lies."""


def packages() -> list[Package]:
    """Every package that Python finds; long descriptions are not parsed."""
    found = []
    for item in metadata.distributions():
        text = item.read_text("METADATA") or item.read_text("PKG-INFO") or ""
        fields = HeaderParser().parsestr(text.partition("\n\n")[0])
        found.append((str(fields["Name"]), str(fields["Version"]), item))
    return found


def problems(lock: str, packages: Iterable[Package], project: Path) -> list[str]:
    """Packages that are not what `lock` says, each as `CODE: what`.

    A line that cannot be read says nothing, so that its package is named.
    """
    pinned = _read(lock)
    said = []
    for package in packages:
        pin, digest = _pin(package), digest_of(package)
        if digest not in pinned.get(pin, ()) and normal(package[0]) != _UNPINNED:
            said.append(f"{RootCause.ENV_FILE_MISMATCH}: {pin} is not what its lock says")
        if normal(package[0]) == _OWN:
            said += link_problems(package[2], project)
    return sorted(said)


def link_problems(item: metadata.Distribution, project: Path) -> list[str]:
    """Whether this project's own start-up line leads to `project` and does nothing else."""
    links = [path for path in item.files or () if path.suffix == ".pth"]
    contents = [files.read_once(Path(str(item.locate_file(path)))) for path in links]
    if contents in ([], [f"{project}\n".encode()], [str(project).encode()]):
        return []
    return [f"{RootCause.ENV_FILE_MISMATCH}: {_OWN} is not linked to this work tree alone"]


def digest_of(package: Package) -> str:
    """SHA-256 over what a package's RECORD says of the files that its archive brought."""
    name, _, item = package
    rows: list[tuple[str, str]] = []
    by_uv = (item.read_text("INSTALLER") or "").strip() == "uv"
    for path, digest, _size in csv.reader((item.read_text("RECORD") or "").splitlines()):
        if path.endswith(".pyc") or _DESCRIPTION.match(path):
            continue
        if path.endswith(".pth") and normal(name) == _OWN:
            continue  # `link_problems`
        if not _SCRIPT.match(path):
            rows.append((path, digest))
        elif by_uv:
            rows.append((path, _script(item, path) or digest))
    return encoding.digest_json(sorted(rows))


def text(kept: str, packages: Iterable[Package]) -> str:
    """The lock's text for `packages`, and of `kept`, the text so far, what is about these, too."""
    known = _read(kept)
    lines = {
        f"{_pin(package)} sha256:{digest}"
        for package in packages
        if normal(package[0]) != _UNPINNED
        for digest in {digest_of(package), *known.get(_pin(package), ())}
    }
    return "".join(f"{line}\n" for line in sorted(lines))


def _read(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for parts in filter(None, map(_LINE.match, text.splitlines())):
        found.setdefault(parts["pin"], set()).add(parts["digest"])
    return found


def _script(item: metadata.Distribution, name: str) -> str:
    """The digest of a script without its first line, as RECORD writes it; empty if it is none."""
    with Path(str(item.locate_file(name))).open("rb") as stream:
        if stream.read(2) != b"#!":
            return ""
        stream.readline()
        digest = hashlib.file_digest(stream, "sha256").digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _pin(package: Package) -> str:
    return f"{normal(package[0])}=={package[1]}"


def normal(name: str) -> str:
    """A package's name as locks spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write the lock of what this Python has installed; what other platforms said stays."""
    place = Path(PLACE)
    kept = place.read_text("utf-8") if place.exists() else ""
    files.write_atomic(place, text(kept, packages()).encode("utf-8"))


if __name__ == "__main__":
    main()
