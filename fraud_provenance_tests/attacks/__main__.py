"""`make attacks`: builds the home, plays every case, prints the table, writes the JSON."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.attacks import curing, fields, registry, slots, tournament
from fraud_provenance_tests.attacks.arena import PROJECT, Arena
from fraud_provenance_tests.attacks.cures import CURES
from fraud_provenance_tests.attacks.home import opened
from fraud_provenance_tests.attacks.model import Case, lines
from fraud_provenance_tests.attacks.remedies import Cure

OUT = PROJECT / "build" / "attacks.json"
_WIDTH = None if sys.stdout.isatty() else 120
screen = Console(file=sys.__stdout__, highlight=False, soft_wrap=True, width=_WIDTH)


def main() -> int:
    """Exit 0 only if every case that was played holds."""
    signal.signal(signal.SIGTERM, lambda *_rest: sys.exit(143))  # servers of copies must end
    options = _arguments()
    if options.list:
        _print_list()
        return 0
    chosen = _chosen(options.only)
    for problem in registry.problems():
        screen.print(f"declaration: {problem}", style="red", markup=False)
    if options.remedies:
        return _cure(options)
    if options.down:
        Arena(Path(options.arena).absolute()).down()
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        arena = Arena(Path(options.arena or Path(scratch) / "arena").absolute())
        try:
            arena.open(lambda text: screen.print(f"· {text}", markup=False))
            results = _play(arena, chosen)
            matrices = {} if options.only else _play_matrices(arena)
        finally:
            if not options.arena:
                arena.down()
    _print_table(tournament.table(results))
    if unplayed := tournament.unplayed_stops(results):
        screen.print(f"named stops without a case: {', '.join(unplayed)}", markup=False)
    if not options.only:
        OUT.parent.mkdir(exist_ok=True)
        document = tournament.document(results) | {k: asdict(v) for k, v in matrices.items()}
        OUT.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    holes = [hole for matrix in matrices.values() for hole in matrix.holes]
    all_hold = all(item.holds for item in results) and not registry.problems()
    return 0 if all_hold and not holes else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="attacks", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="ids or groups, e.g. SI-01 DT")
    parser.add_argument("--arena", default="", help="build the home here and keep it running")
    parser.add_argument("--down", action="store_true", help="stop the kept home's servers")
    parser.add_argument("--list", action="store_true", help="list lines and their cases")
    parser.add_argument("--remedies", action="store_true", help="play the cures of cures.py")
    options = parser.parse_args()
    if options.down and not options.arena:
        parser.error("--down needs --arena")
    return options


def _cure(options: argparse.Namespace) -> int:
    """Every remedy of the table (or of the codes `--only` names, as named), done as printed."""
    wanted = [*CURES]
    if options.only:
        wanted = sorted(
            (cure for cure in CURES if cure.code in options.only),
            key=lambda cure: options.only.index(cure.code),
        )
    with tempfile.TemporaryDirectory() as scratch:
        arena = Arena(Path(options.arena or Path(scratch) / "arena").absolute())
        try:
            arena.open(lambda text: screen.print(f"· {text}", markup=False))
            failed = sum(not _cured(arena, cure) for cure in wanted)
        finally:
            if not options.arena:
                arena.down()
    screen.print(f"{len(wanted) - failed} of {len(wanted)} remedies are true", markup=False)
    return 1 if failed else 0


def _cured(arena: Arena, cure: Cure) -> bool:
    played = curing.play(arena, cure)
    verdict = "true " if played.holds else "UNTRUE"
    screen.print(f"{verdict} {cure.code} ({curing.case_of(cure).name}) {played.note}", markup=False)
    return played.holds


def _chosen(only: Sequence[str]) -> list[Case]:
    wanted = tuple(only)
    return [case for case in registry.cases() if not wanted or case.id.startswith(wanted)]


def _play_matrices(arena: Arena) -> dict[str, slots.Played | fields.Played]:
    """Every valid statement in every slot of every other one; every field of a gate's input."""
    played: dict[str, slots.Played | fields.Played] = {}
    project = arena.product.project
    played["slots"] = slots.play(Workspace(Settings(home=arena.copy("scored"), project=project)))
    inputs: dict[str, dict[str, Any]] = {}
    with opened(arena, "approved") as home, home.surroundings(), fields.recorded(inputs):
        for job in ("promotion", "training"):
            said = home.job(job)
            assert said.code == 0, said.err
        trust = home.workspace().trust
        played["fields"] = fields.play(trust.policies, trust.policies.current(), inputs)
    for name, found in played.items():
        screen.print(f"{name} matrix: {found.changes} changes, {len(found.holes)} not refused")
        for hole in found.holes[:20]:
            screen.print(f"  {hole}", style="red", markup=False)
    return played


def _play(arena: Arena, chosen: Sequence[Case]) -> list[tournament.Result]:
    results = []
    for number, case in enumerate(chosen, 1):
        result = tournament.run_case(arena, case)
        results.append(result)
        mark = "holds" if result.holds else "FAILS"
        screen.print(
            f"{number:3}/{len(chosen)} {mark} {result.name:16} {result.seconds:5.1f} s  "
            f"{case.line.what}",
            style="" if result.holds else "red",
            markup=False,
        )
        if not result.holds:
            for note in result.notes:
                screen.print(f"      {note}", markup=False)
    return results


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    shown = Table("", "group", "lines", "attacks", "stopped", "right reason", "twins passed",
                  "mutants alive", "cannot run", "no case")  # fmt: skip
    for row in rows:
        shown.add_row(
            row["group"], row["title"], str(row["lines"]), str(row["attacks"]),
            str(row["stopped"]), str(row["right_reason"]),
            f"{row['twins_passed']}/{row['twins']}",
            f"{row['mutants_alive']}/{row['mutants']}",
            str(len(row["excused"])), str(len(row["no_case"])),
        )  # fmt: skip
    screen.print(shown)
    for name, item in registry.excused().items():
        screen.print(f"cannot run {name}: {item.reason}", markup=False)
    if missing := registry.without_case():
        screen.print(f"no case: {' '.join(missing)}", markup=False)


def _print_list() -> None:
    declared: dict[str, int] = {}
    for case in registry.cases():
        declared[case.id] = declared.get(case.id, 0) + 1
    excuses: dict[str, list[str]] = {}
    for item in registry.excused().values():
        excuses.setdefault(item.id, []).append(f"cannot run {item.name}: {item.reason}")
    for name, line in lines().items():
        count = "; ".join([f"{declared.get(name, 0)} cases", *excuses.get(name, ())])
        for part in line.everywhere:
            where = "/".join(part.stops) or "-"
            screen.print(
                f"{name} {where:11} {part.verdict} {'|'.join(part.codes):36} {count}  {line.what}",
                markup=False,
            )


if __name__ == "__main__":
    sys.exit(main())
