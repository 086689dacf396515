"""Remedies tell what can be typed; what cures play is what the remedies tell."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from fraud_provenance.attested.core.codes import Case, known, remedy
from fraud_provenance.cli.application import app
from fraud_provenance_tests.attacks.cures import CURES
from fraud_provenance_tests.attacks.curing import case_of
from fraud_provenance_tests.attacks.remedies import COMMAND, Cure, tells, typed_in
from fraud_provenance_tests.attacks.unplayed import UNPLAYED
from fraud_provenance_tests.test_remedies_of_files import CODES

PROJECT = Path(__file__).resolve().parents[1]
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_RULE = re.compile(
    r"^#   code: (?P<code>\w+)$\n(?:^#.*\n)*?^#   remedy: (?P<told>.+)$", re.MULTILINE
)
GROUP = typer.main.get_command(app)
_CLICK = typer.BadParameter.__mro__[2]  # of every mistake in what is typed


def rules() -> list[tuple[str, str]]:
    """Code and remedy of every rule of the policies."""
    found = [
        (rule["code"], rule["told"].strip('"'))
        for path in sorted((PROJECT / "policies").rglob("*.rego"))
        for rule in _RULE.finditer(path.read_text("utf-8"))
    ]
    assert len(found) > 60
    return found


def messages() -> list[str]:
    """Every text of the product that tells a command, in its remedies and in its words."""
    found = []
    for path in sorted((PROJECT / "fraud_provenance").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        texts = {id(item) for node in ast.walk(tree) for item in _docstring(node)}
        texts |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                  for part in node.values}  # fmt: skip
        found += [
            _words(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in texts
        ]
    told = [text for text in found if f"`{COMMAND} " in text]
    assert len(told) > 40
    return told


def _docstring(node: ast.AST) -> list[ast.AST]:
    body = getattr(node, "body", None)
    return [body[0].value] if isinstance(body, list) and body and isinstance(
        body[0], ast.Expr) else []  # fmt: skip


def _words(node: ast.JoinedStr | ast.Constant) -> str:
    """The text, with X for what is put in while it runs."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def problems_of(text: str) -> list[str]:
    """What a printed remedy tells to type that nobody can type."""
    found = []
    for typed in typed_in(text):
        first, *words = shlex.split(typed)
        if first == "make":
            targets = set(_TARGET.findall((PROJECT / "Makefile").read_text("utf-8")))
            found += [f"no target {word}" for word in words if word not in targets]
        if first == COMMAND and words and words[0] != "--help":
            found += _refused(words)
    return found


def _refused(words: list[str]) -> list[str]:
    """Why the command line does not take these words, their places filled in."""
    verb, *rest = words
    command = GROUP.commands.get(verb)  # type: ignore[attr-defined]  # a group of commands
    if command is None:
        return [f"no command {verb}"]
    filled = ["7" if word == "N" else word for word in rest]  # a number that any option takes
    try:
        command.make_context(verb, filled)
    except _CLICK as error:
        return [f"{' '.join(words)}: {error}"]
    return []


@pytest.mark.parametrize("code", [*known(), *Case])
def test_every_command_of_a_remedy_can_be_typed(code: str) -> None:
    assert problems_of(remedy(code)) == []


def test_every_command_of_a_rule_or_a_message_can_be_typed() -> None:
    told = [*(text for _, text in rules()), *messages()]
    assert [problem for text in told for problem in problems_of(text)] == []


@pytest.mark.parametrize("text", [
    "Run `fraud-provenance repair`.", "`fraud-provenance run --again`", "`make clean mend`",
    "`fraud-provenance approve model@candidate`", "`fraud-provenance revoke log:N`",
])  # fmt: skip
def test_a_command_that_nobody_can_type_is_found(text: str) -> None:
    assert len(problems_of(text)) == 1


@pytest.mark.parametrize("cure", CURES, ids=lambda cure: cure.code)
def test_every_step_of_a_cure_is_told_by_the_remedy(cure: Cure) -> None:
    """By the code's own remedy or by a rule's; playing compares it with what was printed."""
    told = [remedy(cure.code), *(text for code, text in rules() if code == cure.code)]
    assert case_of(cure)
    assert any(all(tells(text, step) for step in cure.steps) for text in told), told


@pytest.mark.parametrize(("told", "step", "fits"), [
    ("`fraud-provenance rollback ASSET PARTITION`", "rollback raw 1", True),
    ("`fraud-provenance rollback ASSET PARTITION`", "rollback raw 1 --to 2", False),
    ("`fraud-provenance rollback raw_transactions DAY`", "rollback features 1", False),
    ("`fraud-provenance revoke log:N --reason TEXT`", "revoke log:17 --reason x", True),
    ("`fraud-provenance run`", "run --train-start 2018-04-25", True),
    ("Run it again.", "run", False),
])  # fmt: skip
def test_a_step_is_told_where_every_word_but_the_places_is(
    told: str, step: str, *, fits: bool
) -> None:
    assert tells(told, f"{COMMAND} {step}") is fits


def test_every_code_has_one_cure_or_is_known_to_have_none() -> None:
    """A new code needs a row that is played; `UNPLAYED` may only shrink."""
    cured = [cure.code for cure in CURES]
    assert len(set(cured)) == len(cured)
    played = {*cured, *CODES} - {"FILE_FORMAT", "FILE_NOT_FOUND"}  # of reading files alone
    assert played & UNPLAYED == set()
    assert played | UNPLAYED == {str(code) for code in known()}
    assert len(UNPLAYED) <= 4
