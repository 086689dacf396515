"""Errors and verdicts say the same of the same code: refused is 1, could not decide is 2."""

import re
from pathlib import Path

import pytest

from fraud_provenance.evidence.codes import UNDECIDED, RootCause
from fraud_provenance.evidence.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    GateDenied,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.evidence.verdict import Verdict

PACKAGE = Path(__file__).resolve().parents[2] / "fraud_provenance"


@pytest.mark.parametrize("code", sorted(RootCause))
@pytest.mark.parametrize("kind", [EvidenceError, VerificationError, BackendError, GateDenied])
def test_exit_code_of_an_error_is_that_of_a_verdict(
    kind: type[ProvenanceError], code: RootCause
) -> None:
    verdict = Verdict.of("x", "local", "test", [], [reason(code, "m")])
    expected = 2 if code in UNDECIDED else 1
    assert (kind(reason(code, "m")).exit_code, verdict.exit_code) == (expected, expected)


def test_exit_code_of_bad_usage_is_2() -> None:
    assert ConfigError(reason(RootCause.USAGE, "m")).exit_code == 2


def test_backend_errors_are_raised_with_codes_that_mean_undecided() -> None:
    pattern = re.compile(r"BackendError\(\s*reason\(\s*RootCause\.([A-Z_]+)")
    text = "".join(path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    found = set(pattern.findall(text))
    assert len(found) > 5
    assert found <= {str(code) for code in UNDECIDED}
