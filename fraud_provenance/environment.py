"""The installed packages: against the lock by name and version, against their RECORD by bytes.

Hashing 1 GiB takes seconds, so its outcome is kept for each installation, beside a listing of every
file's size, times and inode; as long as the listing is the same, nothing is read again. The outcome
is signed with every model.
"""

import base64
import csv
import hashlib
import os
import re
import sys
import sysconfig
from collections.abc import Collection, Iterator, Mapping, Sequence
from email.parser import HeaderParser
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from fraud_provenance.evidence import encoding, files
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import EvidenceError

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_CODE = (".py", ".so", ".pth", ".pyd", ".dylib")
_HOOKS = ("sitecustomize", "usercustomize")
_OWN = "fraud-provenance"
_INSTALLERS = ("pip", "setuptools", "uv", "wheel")  # of the bootstrap, before there is a lock
_MAX_NAMED = 20


def problems(project: Path, cache: Path) -> tuple[str, ...]:
    """What is installed and should not be, each as `CODE: what`; at most 20 of a kind are named.

    `cache`: a folder for the outcomes, one file an installation.
    """
    distributions = installed()
    roots = sorted({sysconfig.get_path(name) for name in ("purelib", "platlib")})
    lock = files.read_once(project / "requirements.lock").decode("utf-8")
    found = lock_problems(lock, {name: version for name, version, _ in distributions})
    paths = [path for root in roots for path in _walk(root)]
    key = encoding.digest_bytes("\n".join(map(_facts, paths)).encode("utf-8", "surrogateescape"))
    kept = cache / f"{encoding.digest_json(roots)[:16]}.json"
    known = _remembered(kept, key)
    if known is None:
        known = file_problems(paths, _records([item for _, _, item in distributions]))
        cache.mkdir(parents=True, exist_ok=True)
        files.write_atomic(
            kept, encoding.canonical_json({"listing": key, "problems": known}), durable=False
        )
    hooks = hook_problems(sys.path)  # they may lie outside of what was listed
    return (*found[:_MAX_NAMED], *hooks[:_MAX_NAMED], *known[:_MAX_NAMED])


@lru_cache(maxsize=1)  # what a process has loaded does not change by a later installation
def packages_digest() -> str:
    """SHA-256 over name, version and RECORD of every installed distribution."""
    found = {}
    for name, version, distribution in installed():
        record = distribution.read_text("RECORD") or ""
        found[f"{name}=={version}"] = encoding.digest_bytes(record.encode("utf-8"))
    return encoding.digest_json(found)


def installed() -> list[tuple[str, str, metadata.Distribution]]:
    """(name, version, distribution) of every package; long descriptions are not parsed."""
    found = []
    for item in metadata.distributions():
        text = item.read_text("METADATA") or item.read_text("PKG-INFO") or ""
        fields = HeaderParser().parsestr(text.partition("\n\n")[0])
        found.append((str(fields["Name"]), str(fields["Version"]), item))
    return found


def lock_problems(lock: str, installed: Mapping[str, str]) -> list[str]:
    """Installed distributions that the lock does not name, or names in another version."""
    pins = {_normal(name): version for name, version in _PIN.findall(lock)}
    expected = {_OWN, *_INSTALLERS}
    return [
        f"{RootCause.ENV_LOCK_MISMATCH}: {name} {version}, the lock says"
        f" {pins.get(_normal(name), 'nothing')}"
        for name, version in sorted(installed.items())
        if pins.get(_normal(name)) != version and _normal(name) not in expected
    ]


def file_problems(paths: Sequence[str], records: Mapping[str, Collection[str]]) -> list[str]:
    """Files that are not what a RECORD says, and code that no RECORD names."""
    found = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if path not in records:
            if name.endswith(_CODE):
                found.append(f"{RootCause.ENV_FILE_MISMATCH}: no package names {name}")
        elif records[path] and _record_digest(path) not in records[path]:
            place = f"{folder.rpartition('/')[2]}/{name}"
            found.append(f"{RootCause.ENV_FILE_MISMATCH}: {place} differs")
    return found


def hook_problems(search_path: Sequence[str]) -> list[str]:
    """Start-up hooks on the search path, but for those of Python itself."""
    own = Path(sysconfig.get_path("stdlib"))
    return [
        f"{RootCause.ENV_FILE_MISMATCH}: start-up hook {name}.py"
        for folder in search_path
        for name in _HOOKS
        if Path(folder) != own and (Path(folder) / f"{name}.py").exists()
    ]


def _records(distributions: Sequence[metadata.Distribution]) -> dict[str, set[str]]:
    """Path → its SHA-256 as RECORD writes it (several packages may bring one file)."""
    found: dict[str, set[str]] = {}
    for item in distributions:
        base = str(item.locate_file(""))
        for name, digest, _size in csv.reader((item.read_text("RECORD") or "").splitlines()):
            digests = found.setdefault(os.path.normpath(f"{base}/{name}"), set())
            if digest:  # RECORD cannot hold its own
                digests.add(digest.removeprefix("sha256="))
    return found


def _record_digest(path: str) -> str:
    with Path(path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _walk(root: str) -> Iterator[str]:
    for folder, names, found in os.walk(root):
        names[:] = sorted(name for name in names if name != "__pycache__")
        yield from (f"{folder}/{name}" for name in sorted(found))


def _facts(path: str) -> str:
    facts = os.lstat(path)
    times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
    return f"{path} {facts.st_size} {times} {facts.st_ino}"


def _remembered(cache: Path, key: str) -> list[str] | None:
    try:
        stored = encoding.strict_json(files.read_once(cache, limit_bytes=1 << 20))
    except EvidenceError:
        return None
    if not isinstance(stored, dict) or stored.get("listing") != key:
        return None
    found = stored.get("problems")
    return [str(item) for item in found] if isinstance(found, list) else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
