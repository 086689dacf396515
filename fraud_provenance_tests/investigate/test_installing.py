"""Packages of a lock are installed by their hashes, or what went wrong is said in one line."""

import sys
from pathlib import Path

import pytest

from fraud_provenance.investigate import installing


def test_what_failed_or_never_ended_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing within 0 s"):
        installing.run(["sleep", "5"], 0.01)
    with pytest.raises(OSError, match="no-such"):
        installing.run(["ls", str(tmp_path / "no-such")], 5)


def test_a_package_without_a_hash_is_not_installed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("certifi==2026.1.1\n", "utf-8")
    place = ["--python", sys.executable, "--target", str(tmp_path / "target")]
    with pytest.raises(OSError, match="hash"):
        installing.install(lock, place, 60)


def test_an_error_is_told_without_what_is_quoted_below_it() -> None:
    assert installing.last_line(b"first\nError: no\n    4000 1234\n\n") == "Error: no"
    assert installing.last_line(b" \n") == "it said nothing"
