"""The documentation says what the code does: derived pages are current, names and links exist."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import typer

from fraud_provenance.attested.statements.predicates import PREDICATES
from fraud_provenance.cli.application import app

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def _generator() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / "docs" / "generate.py"))


def test_root_causes_page_equals_the_code() -> None:
    made = _generator()
    page = made["ROOT_CAUSES"].read_text("utf-8")
    assert page == made["root_causes"](), "run `python docs/generate.py`"


def test_root_causes_page_gives_every_code_a_meaning_of_its_own() -> None:
    assert "A policy or contract rule refused." not in _generator()["root_causes"]()


def test_readme_names_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    readme = PAGES[0].read_text("utf-8")
    shown = set(re.findall(r"^fraud-provenance ([a-z-]+)", readme, re.MULTILINE))
    assert shown == set(commands)


def test_predicates_page_names_every_predicate() -> None:
    page = (PROJECT / "docs" / "predicates.md").read_text("utf-8")
    rows = PREDICATES.values()
    assert {row.uri for row in rows if row.uri not in page} == set()
    listed = set(re.findall(r"^\| \[`([^`]+)`\]", page, re.MULTILINE))
    assert listed == {row.uri for row in rows if row.is_written}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_page_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
