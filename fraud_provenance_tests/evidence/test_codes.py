"""The vocabulary of root causes, with and without an application."""

from enum import auto

import pytest

from fraud_provenance.attested.core import codes
from fraud_provenance.attested.core.codes import Case, Cause, Kind, RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason


class OrderCause(Cause):
    """What another application might find."""

    ORDER_UNPAID = auto(), "Nobody paid for the order."
    BANK_UNAVAILABLE = auto(), "The bank did not answer.", Kind.UNDECIDED


TOLD = {name: f"See to {name}." for name in (*RootCause, *OrderCause, *Case)}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library as it is without any application."""
    monkeypatch.setattr(codes, "_causes", {str(code): code for code in RootCause})
    monkeypatch.setattr(codes, "_remedies", {})


def test_every_code_has_a_meaning_of_its_own() -> None:
    meanings = [codes.meaning(code) for code in codes.known()]
    assert codes.meaning("?") not in meanings
    assert len(set(meanings)) == len(meanings) > len(RootCause)


@pytest.mark.usefixtures("alone")
def test_code_without_an_application_has_a_meaning_and_no_remedy() -> None:
    assert codes.known() == tuple(RootCause)
    for code in RootCause:
        assert reason(code, "m").remedy == ""
        assert codes.meaning(code) == code.meaning != ""
    assert codes.remedy(Case.PARTITION_HELD, asset="orders", partition="may") == ""
    assert codes.remedy("A_CODE_OF_A_RULE") == "Follow the rule's own remedy."


@pytest.mark.usefixtures("alone")
def test_application_brings_codes_and_remedies() -> None:
    codes.register(OrderCause, TOLD | {Case.PARTITION_HELD: "accept {asset} {partition}"})
    found = reason(OrderCause.ORDER_UNPAID, "m")
    assert (found.code, found.remedy) == ("ORDER_UNPAID", "See to ORDER_UNPAID.")
    assert codes.meaning("ORDER_UNPAID") == "Nobody paid for the order."
    assert ProvenanceError(found).exit_code == 1
    assert ProvenanceError(reason("BANK_UNAVAILABLE", "m")).exit_code == 2
    told = codes.remedy(Case.PARTITION_HELD, asset="orders", partition="may")
    assert told == "accept orders may"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "remedies",
    [
        {name: text for name, text in TOLD.items() if name != RootCause.DIGEST_MISMATCH},
        {name: text for name, text in TOLD.items() if name != Case.PARTITION_HELD},
        {**TOLD, "A_CODE_OF_NOBODY": "Do it."},
        {**TOLD, RootCause.DIGEST_MISMATCH: ""},
    ],
    ids=["code without", "case without", "about nothing", "empty"],
)
def test_application_that_does_not_tell_everything_is_refused(remedies: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="missing or about nothing"):
        codes.register(OrderCause, remedies)
    assert codes.known() == tuple(RootCause)
    assert codes.remedy(RootCause.USAGE) == ""


def test_code_is_written_once() -> None:
    class Other(Cause):
        USAGE = auto(), "Something else."

    with pytest.raises(ValueError, match="USAGE is written twice"):
        codes.register(Other, {})


def test_usage_is_an_error_of_its_own() -> None:
    assert codes.kind(RootCause.USAGE) is Kind.USAGE
    assert ConfigError(reason(RootCause.USAGE, "m")).exit_code == 2
