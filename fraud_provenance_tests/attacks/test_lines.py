"""The declarations: every line as the list says, every case whole."""

import re
from pathlib import Path

import pytest

from fraud_provenance.evidence.codes import RootCause
from fraud_provenance_tests.attacks import registry
from fraud_provenance_tests.attacks.model import GROUPS, Line, Outcome, lines
from fraud_provenance_tests.attacks.tournament import got_through, is_right, is_stopped

LIST = Path(__file__).parents[3] / "shared" / "ATTACKS.md"
_ROW = re.compile(r"^([A-Z]{2}-\d\d) \| .* \| (.*?) \| (.*)$", re.MULTILINE)


def test_every_case_is_whole() -> None:
    assert registry.problems() == []


def test_every_case_is_of_a_known_line_and_group() -> None:
    assert {line.group for line in lines().values()} == set(GROUPS)
    assert {case.id for case in registry.cases()} <= lines().keys()


def test_codes_of_played_lines_are_in_the_vocabulary() -> None:
    played = {case.id for case in registry.cases()}
    wanted = {code for name in played for code in lines()[name].codes}
    assert wanted <= {str(code) for code in RootCause}


@pytest.mark.skipif(not LIST.exists(), reason="the list itself is not part of the repository")
def test_lines_are_those_of_the_list() -> None:
    found = {row[0]: (row[1], row[2]) for row in _ROW.findall(LIST.read_text("utf-8"))}
    ours = {name: line for name, line in lines().items() if line.group != "OK"}
    assert ours.keys() == found.keys()
    for name, (stop, verdict) in found.items():
        assert all(stop_name in ours[name].stops for stop_name in re.findall(r"P\d", stop)), name
        assert all(code in verdict for code in ours[name].codes), name


def line(verdict: str, *codes: str) -> Line:
    return Line("SI-01", ("P3",), verdict, codes, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "outcome", "stopped", "right"),
    [
        ("B", Outcome("P3", True, ("CODE", "OTHER")), True, True),
        ("B", Outcome("P3", True, ("OTHER", "CODE")), True, False),
        ("B", Outcome("P1", True, ("CODE",)), True, False),
        ("B", Outcome("P3", False, ("CODE",)), False, True),
        ("B", Outcome("P3", True), True, False),
        ("A", Outcome("P3", False, (), ("CODE",)), True, True),
        ("A", Outcome("P3", False, (), ("OTHER",)), True, False),
        ("A", Outcome("P3", False), False, False),
        ("R", Outcome("P3", False, ("CODE",)), True, True),
        ("R", Outcome("P3", True, ("CODE",)), False, True),
        ("P", Outcome("P3", False), True, True),
        ("P", Outcome("P3", False, (), ("CODE",)), False, True),
    ],
)
def test_an_outcome_is_judged_by_verdict_stop_and_primary_code(
    verdict: str, outcome: Outcome, stopped: bool, right: bool
) -> None:
    assert is_stopped(line(verdict, "CODE"), outcome) is stopped
    assert is_right(line(verdict, "CODE"), outcome) is right


def test_a_mutant_counts_only_if_nobody_refused_or_was_told() -> None:
    assert got_through(line("B", "CODE"), Outcome("P3", False))
    assert not got_through(line("B", "CODE"), Outcome("P3", True, ("OTHER",)))
    assert not got_through(line("A", "CODE"), Outcome("P3", False, (), ("CODE",)))
