"""Packages of a signed lock, installed beside those that run: always by the lock's hashes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def install(lock: Path, place: Sequence[str], deadline_s: float) -> None:
    """Install all packages of a lock, and nothing else.

    Args:
        lock: Requirements with hashes.
        place: Where: uv's options for an interpreter, or for a folder.
        deadline_s: Seconds.

    Raises:
        OSError: as `run`.
    """
    uv = str(Path(sys.executable).with_name("uv"))
    run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--link-mode", "copy", *place,
         "--require-hashes", "--no-deps", "-r", str(lock)], deadline_s)  # fmt: skip


def run(command: Sequence[str], deadline_s: float) -> None:
    """One step of installing something.

    Raises:
        OSError: it failed, with the error's own line, or was not done in so many seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own tools, no shell
            command, capture_output=True, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"nothing within {deadline_s:.0f} s") from error
    if done.returncode:
        raise OSError(last_line(done.stderr))


def last_line(said: bytes) -> str:
    """The error's own line, without what a library may quote of rows below it."""
    lines = [
        line
        for line in said.decode("utf-8", "replace").splitlines()
        if line.strip() and not line[:1].isspace()
    ]
    return lines[-1][:200] if lines else "it said nothing"
