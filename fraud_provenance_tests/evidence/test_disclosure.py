"""What a statement may not tell everyone is refused before it is signed."""

from typing import Any

import pytest

from fraud_provenance.attested.core import disclosure
from fraud_provenance.attested.core.errors import VerificationError
from fraud_provenance.attested.statements import statements

CARD = "4539148803436467"  # a made-up number with a valid check digit
HONEST = {
    "day": "2018-04-02", "check": "mean_customer_id_nb_tx_30day_windows_are_usual",
    "code": "UNIT_SHIFT", "column": "tx_amount", "rows": 3, "observed": 44.1, "maximum": 2.0,
}  # fmt: skip


def test_finding_of_names_counts_and_aggregates_is_kept_as_it_is() -> None:
    assert disclosure.public_findings([HONEST]) == [HONEST]
    assert disclosure.public_findings([]) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"example": "12.50"}, {"remedy": "call customer 4711"}, {"customer_id": 4711},
        {"column": CARD}, {"column": "customer_4711"}, {"column": "John Smith"},
        {"check": "amount_is_13777"}, {"check": "no such amount"}, {"code": "customer"},
        {"code": "C1234"}, {"day": "4711"}, {"day": "2018-04-02 customer"}, {"rows": -1},
        {"rows": "3"}, {"rows": 1.5}, {"observed": "44"}, {"observed": float("nan")},
        {"maximum": float("inf")}, {"observed": [1.0]}, {"day": None},
    ],
    ids=str,
)  # fmt: skip
def test_finding_with_anything_else_is_refused_without_repeating_it(
    changed: dict[str, Any],
) -> None:
    with pytest.raises(VerificationError) as caught:
        disclosure.public_findings([HONEST | changed])
    (found,) = caught.value.reasons
    assert found.code == "PII_IN_ATTESTATION"
    assert not any(str(value) in found.message for value in changed.values())


@pytest.mark.parametrize("place", ["failures", "warnings"])
def test_contract_with_a_row_value_in_a_finding_makes_no_statement(place: str) -> None:
    facts: dict[str, Any] = {
        "suite": "raw_schema", "suite_digest": "a" * 64, "environment": "local",
        "step": "contracts", "checks": ("amounts_are_not_negative",), "failures": [],
        "rows": {"2018-04-02": 3}, "run_id": "run", "decision": "b" * 64,
    }  # fmt: skip
    with pytest.raises(VerificationError, match="PII_IN_ATTESTATION"):
        statements.contract_predicate(**facts | {place: [HONEST | {"example": "customer 7"}]})
    with pytest.raises(VerificationError, match="PII_IN_ATTESTATION"):
        statements.contract_predicate(**facts | {"checks": (f"amount_{CARD}",)})


@pytest.mark.parametrize(
    "predicate",
    [
        {"reason": f"because of card {CARD}"}, {"reason": "4539 1488 0343 6467"},
        {"rows": {CARD: 3}}, {"deep": [{"list": [int(CARD)]}]}, {"reason": "4539-1488-0343-6467."},
    ],
    ids=str,
)  # fmt: skip
def test_statement_with_a_card_number_anywhere_is_refused(predicate: dict[str, Any]) -> None:
    with pytest.raises(VerificationError) as caught:
        statements.build_statement(statements.APPROVAL, "model", "a" * 64, predicate)
    (found,) = caught.value.reasons
    assert found.code == "PII_IN_ATTESTATION"
    assert "6467" not in found.message


@pytest.mark.parametrize(
    "value",
    [
        "4539148803436468", "4539148803436", CARD + "a" * 48, "run-" + CARD, 0.4539148803436467,
        ["2018-04-01", "2018-04-02"], "2018-04-01 2018-04-02", True, None, 26_366_349,
    ],
    ids=str,
)  # fmt: skip
def test_statement_with_other_numbers_is_built(value: object) -> None:
    made = statements.build_statement(statements.APPROVAL, "model", "a" * 64, {"value": value})
    assert made.predicate == {"value": value}
