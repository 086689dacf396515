"""Errors and verdicts say the same of the same code: refused is 1, could not decide is 2."""

import errno
import re
import sqlite3
from pathlib import Path

import pytest

from fraud_provenance.attested.core.codes import Kind, RootCause, is_undecided, kind, known
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    GateDenied,
    ProvenanceError,
    VerificationError,
    reason,
    storage_error,
)
from fraud_provenance.attested.core.verdict import Verdict

PACKAGE = Path(__file__).resolve().parents[2] / "fraud_provenance"


@pytest.mark.parametrize("code", sorted(known()))
@pytest.mark.parametrize("error", [EvidenceError, VerificationError, BackendError, GateDenied])
def test_exit_code_of_an_error_is_that_of_a_verdict(
    error: type[ProvenanceError], code: str
) -> None:
    verdict = Verdict.of("x", "local", "test", [], [reason(code, "m")])
    expected = 2 if is_undecided(code) else 1
    assert (error(reason(code, "m")).exit_code, verdict.exit_code) == (expected, expected)


def test_exit_code_of_bad_usage_is_2() -> None:
    assert ConfigError(reason(RootCause.USAGE, "m")).exit_code == 2


def test_backend_errors_are_raised_with_codes_that_mean_undecided() -> None:
    found = {code for error, code in _raised() if error == "BackendError"}
    assert len(found) > 5
    assert {code for code in found if not is_undecided(code)} == set()


def test_codes_about_usage_are_raised_as_such() -> None:
    found = {item for item in _raised() if kind(item[1]) is Kind.USAGE}
    assert len(found) > 2
    assert {error for error, _ in found} == {"ConfigError"}


def test_the_library_knows_exactly_the_codes_that_it_raises() -> None:
    named = re.compile(r"\bRootCause\.([A-Z_]+)")
    sources = [path.read_text("utf-8") for path in sorted((PACKAGE / "attested").rglob("*.py"))]
    assert {code for text in sources for code in named.findall(text)} == set(RootCause)


def _raised() -> set[tuple[str, str]]:
    """Each class of error with each code that it is raised with, as far as one line says so."""
    pattern = re.compile(r"\b(\w+(?:Error|Denied))\(\s*reason\(\s*\w*Cause\.([A-Z_]+)")
    text = "".join(path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    return set(pattern.findall(text))


@pytest.mark.parametrize(
    ("inner", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b/evidence.json"), "evidence.json"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a/staging"), "staging"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "b"),
        (OSError(errno.EFBIG, "File too large"), "disk"),
        (OSError(0, "Error"), "disk"),
        (sqlite3.OperationalError("database or disk is full"), "database"),
    ],
)
def test_full_disk_is_could_not_decide_whoever_met_it(inner: Exception, place: str) -> None:
    outer = RuntimeError("a library's own")
    outer.__cause__ = ValueError("another one's")
    outer.__cause__.__context__ = inner
    found = storage_error(outer)
    assert found is not None
    assert (found.exit_code, found.reasons[0].artifact) == (2, place)
    assert found.reasons[0].code == RootCause.STORAGE_UNAVAILABLE


def test_other_errors_are_no_matter_of_the_disk() -> None:
    first, second = RuntimeError("a"), FileNotFoundError(errno.ENOENT, "gone", "x")
    first.__context__, second.__context__ = second, first
    assert storage_error(first) is None
    assert storage_error(None) is None


@pytest.mark.parametrize("kind", [VerificationError, EvidenceError, BackendError, GateDenied])
def test_refusal_has_a_reason_whoever_forgot_it(kind: type[ProvenanceError]) -> None:
    assert [item.code for item in kind().reasons] == ["VERIFY_ERROR"]
