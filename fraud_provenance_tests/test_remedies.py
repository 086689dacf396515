"""Remedies tell what can be typed; what cures play is what the remedies tell."""

import re
from pathlib import Path

import pytest
import typer

from fraud_provenance.attested.core.codes import Case, known, remedy
from fraud_provenance.cli.application import app
from fraud_provenance_tests.attacks.curing import case_of
from fraud_provenance_tests.attacks.remedies import COMMAND, CURES, HANDS, Cure

PROJECT = Path(__file__).resolve().parents[1]
_TYPED = re.compile(r"`([^`]+)`")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
GROUP = typer.main.get_command(app)


def problems_of(text: str) -> list[str]:
    """What a printed remedy tells to type that nobody can type."""
    found = []
    for typed in _TYPED.findall(text):
        first, *words = typed.split()
        if first == "make":
            targets = set(_TARGET.findall((PROJECT / "Makefile").read_text("utf-8")))
            found += [f"no target {word}" for word in words if word not in targets]
        if first == COMMAND and words and words[0] != "--help":
            found += _unknown(words)
    return found


def _unknown(words: list[str]) -> list[str]:
    commands = GROUP.commands  # type: ignore[attr-defined]  # a group of commands
    if words[0] not in commands:
        return [f"no command {words[0]}"]
    known = {name for item in commands[words[0]].params for name in item.opts}
    options = [word for word in words if word.startswith("--")]
    return [f"{words[0]} has no {option}" for option in options if option not in known]


@pytest.mark.parametrize("code", [*known(), *Case])
def test_every_command_of_a_remedy_exists(code: str) -> None:
    assert problems_of(remedy(code)) == []


@pytest.mark.parametrize("text", [
    "Run `fraud-provenance repair`.", "`fraud-provenance run --again`", "`make clean mend`",
])  # fmt: skip
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    assert len(problems_of(text)) == 1


@pytest.mark.parametrize("cure", CURES, ids=[cure.code for cure in CURES])
def test_every_step_of_a_cure_is_told_by_the_remedy(cure: Cure) -> None:
    told = remedy(cure.code)
    assert case_of(cure)
    for step in cure.steps:
        if step in HANDS:
            assert HANDS[step].words in told
        else:
            _, verb, *rest = step.split()
            options = {word for word in rest if word in ("--to", "--restore", "--full")}
            assert _tells(told, verb, options), f"{told!r} does not tell {step!r}"


def _tells(told: str, verb: str, options: set[str]) -> bool:
    """Whether the remedy tells this command; "run again" is `run`."""
    printed = [typed.split() for typed in _TYPED.findall(told)]
    by_name = any(words[:2] == [COMMAND, verb] and options <= set(words) for words in printed)
    return by_name or (verb == "run" and bool(re.search(r"\b[Rr]un again\b", told)))


def test_every_code_has_a_cure_at_most_once() -> None:
    assert len({cure.code for cure in CURES}) == len(CURES)
    assert {cure.code for cure in CURES} <= set(known())
