"""The game is as large and as mixed as it must be, and asks for nothing that cannot be played."""

import re

from fraud_provenance_tests.incidents.bases import BASES
from fraud_provenance_tests.incidents.cases import CASES
from fraud_provenance_tests.incidents.place import SCORED

KINDS = (
    "data", "parameter", "code", "library", "policy", "approval", "waiver", "revocation",
    "tampering", "missing", "infrastructure",
)  # fmt: skip


def test_incidents_are_many_and_mixed() -> None:
    count = len(CASES)
    assert count >= 100
    assert 3 * sum(case.decoy for case in CASES) >= count
    assert 6 * sum(len(case.causes) > 1 for case in CASES) >= count
    assert 12 * sum(not case.causes for case in CASES) >= count
    assert 10 * sum(case.is_of_machines for case in CASES) >= count


def test_each_incident_has_a_name_of_its_own_and_a_prepared_home() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(re.fullmatch(r"[a-z0-9-]+", case.id) for case in CASES)
    assert {case.base for case in CASES} <= {SCORED, *BASES}


def test_causes_are_of_known_kinds() -> None:
    causes = {cause for case in CASES for cause in case.causes}
    assert {cause.split(" ")[0] for cause in causes} <= set(KINDS)
