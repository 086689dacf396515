"""Another lock for a copy of the project, and a real environment of it, as `make lock` does both.

Versions are real ones of the package index; the hashes are resolved. What the packages install is
written down, too, so that what runs in the environment is what the copy's locks say.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.homes import PROJECT

LOCK = "requirements.lock"
LOCKED = ("pyproject.toml", LOCK, "tools/installed.lock")
"""The files that another lock changes."""
_BUILD_S = 1800


def resolve(project: Path, versions: Mapping[str, str]) -> None:
    """Lock other versions (package → version); what nobody names stays as it was.

    Raises:
        OSError: they do not go together, or the index does not have them.
    """
    declared = project / "pyproject.toml"
    text = declared.read_text("utf-8")
    for name, version in versions.items():
        text = re.sub(rf'"{re.escape(name)}==[^"]+"', f'"{name}=={version}"', text)
    declared.write_text(text, "utf-8")
    wanted = " ".join(f"--upgrade-package {name}=={version}" for name, version in versions.items())
    _make(project, "resolve", f"VENV={sys.prefix}", f"UPGRADE={wanted}")
    missing = [pin for pin in (f"{name}=={version}" for name, version in versions.items())
               if f"\n{pin} " not in (project / LOCK).read_text("utf-8")]  # fmt: skip
    if missing:
        raise OSError(f"not locked: {', '.join(missing)}")


def build(project: Path, folder: Path) -> str:
    """Build the environment of the copy's lock, linked to the copy, and note what it installs.

    One that is there is used again.

    Returns:
        Its interpreter.

    Raises:
        OSError: it could not be built.
    """
    if not (folder / ".ready").is_file():
        _make(project, f"VENV={folder}", str(folder / ".ready"))
    python = str(folder / "bin" / "python")
    subprocess.run(
        [python, "-m", "fraud_provenance.attested.attestors.installed"],
        cwd=project, check=True, timeout=_BUILD_S,
        env={**os.environ, "PYTHONPATH": str(project)},
    )  # fmt: skip
    return python


def _make(project: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["make", "--silent", f"--makefile={PROJECT / 'Makefile'}", *arguments],
        cwd=project, check=False, capture_output=True, text=True, timeout=_BUILD_S,
    )  # fmt: skip
    if done.returncode:
        raise OSError(f"make {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"[-3000:])
