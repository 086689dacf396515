"""Whatever way the product is entered: no code is printed without its remedy."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from fraud_provenance.attested.core import codes
from fraud_provenance.attested.core.codes import Case, RootCause
from fraud_provenance.causes.data import DataCause
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.fraud import contract

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "fraud_provenance"
_STAND_ALONE = ("attested", "fraud")
"""Rooms that know no remedies; a program of theirs is started by one of the others, which tells."""
_ASKED = """
import importlib, sys
importlib.import_module(sys.argv[1])
from fraud_provenance.attested.core import codes
silent = [name for name in (*codes.known(), *codes.Case) if not codes.remedy(name)]
print(len(codes.known()), silent)
"""


def entry_points() -> list[str]:
    """Modules that somebody starts: scripts, Dagster's locations, and programs of the package."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    places = yaml.safe_load((PROJECT / "workspace.yaml").read_text("utf-8"))["load_from"]
    programs = [
        path.relative_to(PROJECT).with_suffix("")
        for path in sorted(PACKAGE.rglob("*.py"))
        if 'if __name__ == "__main__":' in path.read_text("utf-8")
    ]
    return [
        *(target.split(":")[0] for target in project["scripts"].values()),
        *(place["python_module"]["module_name"] for place in places),
        *(".".join(path.parts) for path in programs if path.parts[1] not in _STAND_ALONE),
    ]


@pytest.mark.parametrize("module", entry_points())
def test_every_entry_point_registers_all_remedies(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASKED, module],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[-2] == f"{len(codes.known())} []"


def test_library_used_alone_tells_no_remedy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASKED, "fraud_provenance.attested.step.step"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    silent = [str(name) for name in (*RootCause, *Case)]
    assert done.stdout.startswith(f"{len(RootCause)} [")
    assert re.findall(r"[:] '(\w+)'", done.stdout) == silent


def test_every_code_of_a_contract_or_a_rule_is_known() -> None:
    rules = [path.read_text("utf-8") for path in sorted((PROJECT / "policies").rglob("*.rego"))]
    ruled = {
        code for text in rules for code in re.findall(r"^#   code: (\w+)$", text, re.MULTILINE)
    }
    assert len(ruled) > 20
    assert {*ruled, *contract.CODES} - set(codes.known()) == set()


@pytest.mark.parametrize("room", ["data", "fraud"])
def test_every_refusal_of_data_says_what_to_do(room: str) -> None:
    calls = [
        (path.name, call)
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "DataError"
    ]
    assert len(calls) > 10
    silent = [
        f"{name}:{call.lineno}"
        for name, call in calls
        if "remedy" not in {item.arg for item in call.keywords}
    ]
    assert silent == []


def test_every_code_of_the_product_is_found_by_somebody() -> None:
    places = [PACKAGE, PROJECT / "policies"]
    files = [
        path for place in places for path in place.rglob("*") if path.suffix in (".py", ".rego")
    ]
    text = "".join(path.read_text("utf-8") for path in files if "causes" not in path.parts)
    words = set(re.findall(r"\b[A-Z][A-Z_]+\b", text))
    assert {code for code in (*ProductCause, *DataCause) if code not in words} == set()


def test_library_names_no_command_of_the_product() -> None:
    told = re.compile(r"`(?:fraud-provenance|make) [^`]*`")
    found = {
        path.name: told.findall(path.read_text("utf-8"))
        for path in sorted((PACKAGE / "attested").rglob("*.py"))
        if path.name != "tools.py"  # it is about this checkout, which builds them
    }
    assert {name: typed for name, typed in found.items() if typed} == {}
