"""All cases: each module `cases_*.py` beside this one has `CASES`, and may have `EXCUSED`."""

import importlib
from functools import cache
from pathlib import Path

from fraud_provenance_tests.attacks.model import Case, Excused, lines

_FOLDER = Path(__file__).parent
_PACKAGE = __package__ or "fraud_provenance_tests.attacks"


@cache
def cases() -> tuple[Case, ...]:
    """Every case, in the order of the lines."""
    order = list(lines())
    found = [case for module in _modules() for case in getattr(module, "CASES", ())]
    return tuple(sorted(found, key=lambda case: (order.index(case.id), case.variant)))


@cache
def excused() -> dict[str, Excused]:
    """Cases that cannot be run here, by name."""
    found: list[Excused] = []
    for module in _modules():
        found += getattr(module, "EXCUSED", ())
    return {item.name: item for item in found}


def without_case() -> list[str]:
    """Lines for which there is neither a case nor an excuse."""
    covered = {item.id for item in (*cases(), *excused().values())}
    return [name for name in lines() if name not in covered]


def problems() -> list[str]:
    """What is wrong with the declarations themselves."""
    found = []
    names: set[str] = set()
    for case in cases():
        must_pass = case.line.verdict in ("P", "R")
        if case.name in names:
            found.append(f"{case.name} is declared twice")
        names.add(case.name)
        if not must_pass and case.twin is None:
            found.append(f"{case.name} has no benign twin")
        if not must_pass and case.mutant is None and not case.no_mutant:
            found.append(f"{case.name} has no mutant")
        if case.name in excused():
            found.append(f"{case.name} is a case and excused")
    return found


def _modules() -> list[object]:
    names = sorted(path.stem for path in _FOLDER.glob("cases_*.py"))
    return [importlib.import_module(f"{_PACKAGE}.{name}") for name in names]
