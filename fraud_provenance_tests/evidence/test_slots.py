"""Whatever valid statement is put where another is due, it is refused (a sample of the matrix)."""

from fraud_provenance_tests.attacks import slots
from fraud_provenance_tests.attacks.cases_kernel import any_statement_decides
from fraud_provenance_tests.conftest import Chain


def test_no_slot_of_the_honest_chain_takes_another_valid_statement(chain: Chain) -> None:
    played = slots.play(chain.workspace)
    assert played.pairs > 60
    assert played.holes == []


def test_slot_that_nobody_looks_at_is_seen_by_the_matrix(chain: Chain) -> None:
    with any_statement_decides():
        assert slots.play(chain.workspace).holes
