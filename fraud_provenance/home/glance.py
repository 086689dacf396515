"""What changes with whatever a sensor would find: an idle tick compares it, and opens nothing.

It only spares looks that would find what the last one found. Evidence that is changed in place is
found by whoever reads it, and by the daily checks; all is looked at again each hour.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.home.settings import Settings

_FOLDERS = ("evidence/bundles", "evidence/manifests", "trust/objects", "trust/checkpoints")
_WHOLE = ("landing", "staging")
_FILES = ("evidence/index.sqlite", "settings.toml", "mlflow/mlflow.db", "run/alias-move.json")


def glance(settings: Settings, now: datetime) -> str:
    """SHA-256 over what tells that something came, went or was written anew; and the hour.

    Raises:
        EvidenceError: SIZE_LIMIT.
    """
    home = settings.home
    paths = [home / name for name in (*_FOLDERS, *_FILES)]
    paths += _below(home / "trust", deep=False)
    for folder in (*(home / name for name in _WHOLE), settings.project / "policies"):
        paths += _below(folder)
    hour = now.astimezone(UTC).strftime("%Y-%m-%dT%H")
    told = "\n".join([hour, settings.environment, *map(_facts, paths)])
    return encoding.digest_bytes(told.encode("utf-8", "surrogateescape"))


def _below(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    if folder.is_dir():
        names = files.names_below(folder) if deep else sorted(os.listdir(folder))
        yield from (folder / name for name in names)


def _facts(path: Path) -> str:
    try:
        return f"{path} {files.traits(os.lstat(path))}"
    except OSError:
        return f"{path} is not there"
