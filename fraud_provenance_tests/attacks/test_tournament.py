"""A representative part of the tournament; `make attacks` plays all of it."""

import pytest

from fraud_provenance_tests.attacks import registry
from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.attacks.model import Case
from fraud_provenance_tests.attacks.tournament import run_case

QUICK = [case for case in registry.cases() if case.quick]


@pytest.mark.e2e
@pytest.mark.parametrize("case", QUICK, ids=[case.name for case in QUICK])
def test_attack_is_stopped_for_its_reason_twin_passes_and_mutant_lets_it_through(
    arena: Arena, case: Case
) -> None:
    result = run_case(arena, case)
    assert result.holds, "\n".join(result.notes)
