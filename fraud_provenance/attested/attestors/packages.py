"""The installed packages: against the locks by name, version and RECORD, against RECORD by bytes.

Beside them: whatever else Python would import or run from their folders, start-up hooks anywhere on
the search path, and modules that this process has imported from elsewhere.

Hashing 1 GiB takes seconds, so its outcome is kept for each installation, beside a listing of every
file's size, times and inode; as long as the listing is the same, nothing is read again. The outcome
is signed with every model.
"""

import base64
import csv
import hashlib
import os
import re
import stat
import sys
import sysconfig
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path

from fraud_provenance.attested.attestors import installed
from fraud_provenance.attested.attestors.compiled import lying
from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_CODE = (
    *all_suffixes(), ".pth", ".pyo", ".pyd", ".dylib", ".dll", ".egg-link", ".egg", ".zip",
    ".jar", ".class", ".conf", ".properties", ".sh", ".xml",  # what Spark takes from its folders
)  # fmt: skip
_HOOKS = ("sitecustomize", "usercustomize")
_EXPECTED = ("fraud-provenance", "pip")  # this project, and what Python itself brings
_LOCKS = ("requirements.lock", "requirements-spark.lock", "tools/bootstrap.lock")
_MAX_NAMED = 20
_TAGGED = re.compile(r"/__pycache__/[^/.]+\.[^/]+\.pyc$")
_RUNNING = Path(__file__).resolve().parents[3]  # the work tree that this code was loaded from


def problems(project: Path, cache: Path) -> tuple[str, ...]:
    """What is installed and should not be, each as `CODE: what`; at most 20 of a kind are named.

    `cache`: a folder for the outcomes, one file an installation.
    """
    distributions = installed.packages()
    roots = sorted({sysconfig.get_path(name) for name in ("purelib", "platlib")})
    scripts = sysconfig.get_path("scripts")
    pins = "\n".join(files.read_once(project / name).decode("utf-8") for name in _LOCKS)
    found = lock_problems(pins, [(name, version) for name, version, _ in distributions])
    walked = [path for root in roots for path in _walk(root)]
    paths = list(dict.fromkeys([*walked, *_listed(scripts)]))
    pinned = files.read_once(project / installed.PLACE).decode("utf-8")
    listing = "\n".join([pinned, str(_RUNNING), *map(_facts, paths)])
    key = encoding.digest_bytes(listing.encode("utf-8", "surrogateescape"))
    kept = cache / f"{encoding.digest_json(roots)[:16]}.json"
    known = _remembered(kept, key)
    if known is None:
        records = _records([item for _, _, item in distributions])
        known = [
            *installed.problems(pinned, distributions, _RUNNING),
            *file_problems(paths, records),
            *compiled_problems(paths, records),
        ]
        cache.mkdir(parents=True, exist_ok=True)
        files.write_atomic(
            kept, encoding.canonical_json({"listing": key, "problems": known}), durable=False
        )
    # Neither lies only where was listed.
    loaded = hook_problems(sys.path) + loaded_problems(sys.modules, (*roots, scripts, str(project)))
    return (*found[:_MAX_NAMED], *loaded[:_MAX_NAMED], *known[:_MAX_NAMED])


@lru_cache(maxsize=1)  # what a process has loaded does not change by a later installation
def packages_digest() -> str:
    """SHA-256 over name, version and RECORD of every installed distribution."""
    found = {}
    for name, version, distribution in installed.packages():
        record = distribution.read_text("RECORD") or ""
        found[f"{name}=={version}"] = encoding.digest_bytes(record.encode("utf-8"))
    return encoding.digest_json(found)


def lock_problems(pins: str, found: Sequence[tuple[str, str]]) -> list[str]:
    """Installed distributions that no lock names, or names in another version, or that are twice.

    `pins`: the text of the locks.
    """
    locked = {(installed.normal(name), version) for name, version in _PIN.findall(pins)}
    said, seen = [], set()
    for name, version in sorted(found):
        normal = installed.normal(name)
        if normal in seen:
            said.append(f"{RootCause.ENV_LOCK_MISMATCH}: {name} {version} is there twice")
        elif (normal, version) not in locked and normal not in _EXPECTED:
            pins_of = sorted(pin for pinned, pin in locked if pinned == normal)
            told = f"{name} {version}, the lock says {', '.join(pins_of) or 'nothing'}"
            said.append(f"{RootCause.ENV_LOCK_MISMATCH}: {told}")
        seen.add(normal)
    return said


def file_problems(paths: Sequence[str], records: Mapping[str, Collection[str]]) -> list[str]:
    """Files that are not what a RECORD says, and code that no RECORD names.

    A folder that is a link could hold anything: nothing below it is looked at.
    """
    found = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if _TAGGED.search(path):
            continue  # used for its source alone: `compiled_problems`
        if path not in records:
            if name.endswith(_CODE) or Path(path).is_dir():
                found.append(f"{RootCause.ENV_FILE_MISMATCH}: no package names {name}")
        elif records[path] and _record_digest(path) not in records[path]:
            place = f"{folder.rpartition('/')[2]}/{name}"
            found.append(f"{RootCause.ENV_FILE_MISMATCH}: {place} differs")
    return found


def compiled_problems(paths: Sequence[str], records: Mapping[str, Collection[str]]) -> list[str]:
    """Compiled files that are younger than the installation and hold other code than their source.

    The installer compiles everything before it writes the last RECORD, and to compile all of it
    again would take minutes. Goes by the change time of the file system, which no program sets.
    """
    lists = [path for path in records if path.endswith("/RECORD") and os.path.lexists(path)]
    installed_ns = max((os.lstat(path).st_ctime_ns for path in lists), default=0)
    young = [
        path for path in paths if _TAGGED.search(path) and os.lstat(path).st_ctime_ns > installed_ns
    ]
    sources = {Path(path).parent.parent / f"{Path(path).name.split('.')[0]}.py" for path in young}
    lies = lying(source for source in sorted(sources) if source.is_file())
    return [f"{RootCause.ENV_FILE_MISMATCH}: {path.name} is of other code" for path in lies]


def hook_problems(search_path: Sequence[str]) -> list[str]:
    """Start-up hooks on the search path, in whatever form, but for those of Python itself."""
    own = Path(sysconfig.get_path("stdlib"))
    folders = [folder for folder in search_path if Path(folder) != own]
    PathFinder.invalidate_caches()
    return [
        f"{RootCause.ENV_FILE_MISMATCH}: start-up hook {name}"
        for folder in folders
        for name in _HOOKS
        if PathFinder.find_spec(name, [folder]) is not None
    ]


def loaded_problems(modules: Mapping[str, object], places: Sequence[str]) -> list[str]:
    """Modules that were imported from a file neither below `places` nor of Python itself."""
    own = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(_RUNNING), *places)
    roots = tuple(f"{os.path.realpath(place)}/" for place in own if place)
    found = []
    folders: dict[str, str] = {}
    for name, module in dict(modules).items():  # copied at once: others import meanwhile
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not os.path.isfile(path):
            continue
        if not files.resolved(path, folders).startswith(roots):
            found.append(f"{RootCause.ENV_FILE_MISMATCH}: {name} was imported from elsewhere")
    return sorted(found)


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
    """Every file below `root`, and folders that are links."""
    for folder, names, found in os.walk(root):
        names.sort()
        links = [name for name in names if os.path.islink(f"{folder}/{name}")]
        yield from (f"{folder}/{name}" for name in sorted([*found, *links]))


def _listed(folder: str) -> list[str]:
    """The files of one folder."""
    with suppress(OSError), os.scandir(folder) as items:
        return sorted(item.path for item in items if item.is_file())
    return []


def _facts(path: str) -> str:
    """What changes with a file, and with what it links to."""
    found = [os.lstat(path)]
    if stat.S_ISLNK(found[0].st_mode) and os.path.exists(path):
        found.append(os.stat(path))
    return f"{path} {[files.traits(at) for at in found]}"


def _remembered(cache: Path, key: str) -> list[str] | None:
    try:
        stored = encoding.strict_json(files.read_once(cache, limit_bytes=1 << 20))
    except EvidenceError:
        return None
    if not isinstance(stored, dict) or stored.get("listing") != key:
        return None
    found = stored.get("problems")
    return [str(item) for item in found] if isinstance(found, list) else None
