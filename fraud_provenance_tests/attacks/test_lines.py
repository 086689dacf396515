"""The declarations: every line as the list says, every case whole."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from fraud_provenance.attested.core.codes import known
from fraud_provenance_tests.attacks import cases_operations, registry
from fraud_provenance_tests.attacks.model import GROUPS, Line, Outcome, lines
from fraud_provenance_tests.attacks.tournament import (
    Result,
    got_through,
    is_right,
    is_stopped,
    table,
    unplayed_stops,
)

OPEN: list[str] = []
"""Lines that the product does not stop yet; `make attacks` says so each time."""

LIST = Path(__file__).parents[3] / "shared" / "ATTACKS.md"
_REMEMBERED = (registry.cases, registry.excused)
_ROW = re.compile(r"^([A-Z]{2}-\d\d|[A-Z]\d) \| .* \| (.*?) \| (.*)$", re.MULTILINE)
_DESCRIBED = {  # codes that the list describes instead of naming them
    "the revocation's code": re.compile("[A-Z]+_REVOKED"),
    "could not decide": re.compile("GIT_UNAVAILABLE"),
}


def test_every_case_is_whole() -> None:
    assert registry.problems() == []


def test_every_mutant_changes_something_that_is_there() -> None:
    mutants = {case.mutant: case.name for case in registry.cases() if case.mutant}
    broken = []
    for mutant, name in mutants.items():
        try:
            with mutant():
                pass
        except AttributeError as error:
            broken.append((name, str(error)))
    assert broken == []


def test_whatever_an_attack_replaces_is_there() -> None:
    lost = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = import_module(f"{__package__}.{path.stem}")
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            match call:
                case ast.Call(
                    func=ast.Name(id="patched" | "without"),
                    args=[ast.Name(id=owner), ast.Constant(value=str(name)), *_],
                ) if hasattr(module, owner) and not hasattr(getattr(module, owner), name):
                    lost.append(f"{path.name}:{call.lineno}: {owner}.{name}")
    assert lost == []


@pytest.fixture
def nobody_may_mount(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The cases as they are declared where the user may not mount a file system."""

    def refused(command: list[str], **_named: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 1)

    spec = spec_from_file_location("declared_anew", cases_operations.__file__)
    assert spec is not None
    assert spec.loader is not None
    anew = module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", refused)
        spec.loader.exec_module(anew)
    modules = [anew if item is cases_operations else item for item in registry._modules()]
    monkeypatch.setattr(registry, "_modules", lambda: modules)
    _forget()
    yield
    _forget()


def _forget() -> None:
    for declared in _REMEMBERED:
        declared.cache_clear()


@pytest.mark.usefixtures("nobody_may_mount")
def test_case_that_cannot_be_run_here_is_excused_and_its_line_is_played() -> None:
    assert registry.problems() == []
    assert [case.name for case in registry.cases() if case.id == "OP-04"] == ["OP-04 heartbeat"]
    assert registry.without_case() == OPEN
    row = next(row for row in table([]) if row["group"] == "OP")
    assert (row["excused"], row["attacks"]) == (["OP-04 full file system"], 0)


@pytest.mark.usefixtures("nobody_may_mount")
def test_excuse_for_a_case_that_is_played_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    excuse = next(iter(registry.excused().values()))
    played = next(case for case in registry.cases() if case.id == "OP-01")
    wrong = type(excuse)(played.id, "no time", played.variant)
    monkeypatch.setattr(registry, "excused", lambda: {wrong.name: wrong})
    assert registry.problems() == ["OP-01 is a case and excused"]


def test_every_case_is_of_a_known_line_and_group() -> None:
    assert {line.group for line in lines().values()} == set(GROUPS)
    assert {case.id for case in registry.cases()} <= lines().keys()


def test_codes_of_played_lines_are_in_the_vocabulary() -> None:
    played = {case.id for case in registry.cases()}
    wanted = {code for name in played for part in lines()[name].everywhere for code in part.codes}
    assert wanted <= {str(code) for code in known()}


@pytest.mark.skipif(not LIST.exists(), reason="the list itself is not part of the repository")
def test_lines_are_those_of_the_list() -> None:
    found = {row[0]: (row[1], row[2]) for row in _ROW.findall(LIST.read_text("utf-8"))}
    ours = {name: line for name, line in lines().items() if line.group not in ("OK", "AC")}
    assert ours.keys() == found.keys()
    for name, (stop, verdict) in found.items():
        assert all(stop_name in ours[name].stops for stop_name in re.findall(r"P\d", stop)), name
        described = [codes for words, codes in _DESCRIBED.items() if words in verdict]
        for code in (code for part in ours[name].everywhere for code in part.codes):
            assert code in verdict or any(item.fullmatch(code) for item in described), name


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


def test_a_stop_apart_has_its_own_verdict_and_codes() -> None:
    apart = {"P3": {"verdict": "B", "codes": ["OTHER"]}}
    both = replace(line("A", "CODE"), stops=("P7",), elsewhere=apart)
    assert is_right(both, Outcome("P7", True, ("CODE",)))
    assert not is_right(both, Outcome("P7", True, ("OTHER",)))
    assert is_right(both, Outcome("P3", True, ("OTHER",)))
    assert not is_right(both, Outcome("P3", True, ("CODE",)))
    assert not is_stopped(both, Outcome("P3", False, (), ("OTHER",)))


def test_stop_that_a_line_names_and_no_case_plays_is_listed() -> None:
    def played(name: str, stop: str) -> Result:
        return Result(name, name, True, True, True, True, 0.0, stop)

    assert unplayed_stops([played("OP-06", "P2"), played("OP-11", "P7")]) == [
        "OP-06 P3",
        "OP-11 P3",
    ]
    assert unplayed_stops([played("OP-06", "P2"), played("OP-06", "P3"), played("OP-04", "")]) == []


def test_a_mutant_counts_only_if_nobody_refused_or_was_told() -> None:
    assert got_through(line("B", "CODE"), Outcome("P3", False))
    assert not got_through(line("B", "CODE"), Outcome("P3", True, ("OTHER",)))
    assert not got_through(line("A", "CODE"), Outcome("P3", False, (), ("CODE",)))
