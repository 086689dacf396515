"""Verdicts and the vocabulary of root causes."""

import pytest

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import GateDenied, ProvenanceError, Reason, reason
from fraud_provenance.attested.core.verdict import Link, Verdict

TAMPERED = reason(RootCause.DIGEST_MISMATCH, "changed", artifact="raw", partition="2018-04-01")
LATER = reason(RootCause.CHECK_MISSING, "not run", distance=4)
DOWN = reason(RootCause.LOG_UNAVAILABLE, "no answer")
GOOD = Link(kind="materialisation", name="raw")


def verdict(links: list[Link], extra: list[Reason] | None = None) -> Verdict:
    return Verdict.of("raw", "local", "test", links, extra)


def test_verdict_without_reasons_is_trusted() -> None:
    found = verdict([GOOD])
    assert (found.trusted, found.decided, found.root_cause, found.exit_code) == (
        True,
        True,
        None,
        0,
    )
    assert GOOD.is_good


def test_verdict_without_any_link_is_not_trusted() -> None:
    found = verdict([])
    assert not found.trusted
    assert found.exit_code == 1


def test_verdict_names_the_reason_nearest_the_raw_data_first_and_each_once() -> None:
    bad = Link(kind="materialisation", name="raw", reasons=(LATER, TAMPERED), distance=1)
    found = verdict([GOOD, bad, bad], [LATER])
    assert found.reasons == (TAMPERED, LATER)
    assert found.root_cause == TAMPERED
    assert found.links[-1] == GOOD
    assert (found.trusted, found.exit_code, bad.is_good) == (False, 1, False)


def test_verdict_that_could_not_be_decided_says_so() -> None:
    found = verdict([GOOD], [TAMPERED, DOWN])
    assert (found.trusted, found.decided, found.exit_code) == (False, False, 2)


def test_reason_is_written_with_its_code_and_place() -> None:
    assert str(TAMPERED) == "DIGEST_MISMATCH(raw@2018-04-01): changed"
    assert str(DOWN) == "LOG_UNAVAILABLE: no answer"
    assert reason("X", "m", remedy="mine").remedy == "mine"


def test_error_lists_all_its_reasons() -> None:
    with pytest.raises(ProvenanceError, match=r"DIGEST_MISMATCH.*; CHECK_MISSING") as caught:
        raise GateDenied(TAMPERED, LATER)
    assert caught.value.reasons == (TAMPERED, LATER)
