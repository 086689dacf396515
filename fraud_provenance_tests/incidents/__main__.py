"""`make incidents`: builds the home, plants every incident in a copy, asks, prints the table.

One incident is planted, with servers, while another one is asked about, which needs none.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.incidents.bases import BASES
from fraud_provenance_tests.incidents.cases import CASES
from fraud_provenance_tests.incidents.judge import ask
from fraud_provenance_tests.incidents.model import Answer, Incident
from fraud_provenance_tests.incidents.place import Ground, Place
from fraud_provenance_tests.incidents.stock.place import StockGround
from fraud_provenance_tests.incidents.stock.playing import play_stock, print_stock

_WIDTH = None if sys.stdout.isatty() else 160
_AHEAD = 3
screen = Console(highlight=False, soft_wrap=True, width=_WIDTH)


def main() -> int:
    """Exit 0 only if every incident that was played is answered exactly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="Names of incidents.")
    parser.add_argument("--arena", default="", help="Keep the built home here, and use it again.")
    parser.add_argument("--stock", action="store_true", help="Play the stock pipeline, too.")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.only or case.id in options.only]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.arena or Path(scratch) / "arena").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        ground = Ground(Arena(folder, is_linked=False), BASES)
        ground.prepare(lambda text: screen.print(f"· {text}", markup=False))
        answers = play(ground, chosen)
        print_table(answers)
        if options.stock:
            stock = play_stock(StockGround(ground.arena, BASES), chosen, screen)
            print_stock(stock, answers, screen)
    return 0 if answers and all(answer.holds for answer in answers) else 1


def play(ground: Ground, incidents: Sequence[Incident]) -> list[Answer]:
    """Each incident in a home of its own; those of one base follow each other."""
    ordered = sorted(incidents, key=lambda incident: incident.base)
    waiting: list[Future[Answer]] = []
    with ThreadPoolExecutor(1) as pool:
        for incident in ordered:
            place = ground.place(incident.id, incident.base)
            failed = ""
            try:
                incident.plant(place)
            except (AssertionError, OSError, ValueError, StopIteration) as error:
                failed = f"could not be planted: {error}"
            finally:
                place.down()
            waiting.append(pool.submit(_answer, ground, place, incident, failed))
            if len(waiting) > _AHEAD:
                waiting[-_AHEAD].result()  # no more copies than a few wait to be asked about
        return [future.result() for future in waiting]


def _answer(ground: Ground, place: Place, incident: Incident, failed: str) -> Answer:
    try:
        answer = Answer(incident, headline=failed) if failed else ask(place, incident)
    finally:
        ground.leave(place)
    mark = "ok" if answer.holds else "WRONG"
    screen.print(f"· {incident.id}: {mark}: {answer.headline[:300]}", markup=False)
    if not answer.holds:
        expected = ", ".join(sorted(incident.causes)) or "nothing"
        told = f"told {answer.alarmed}; grounded {answer.grounded}"
        screen.print(f"    expected {expected}; named {sorted(answer.named)}; {told}", markup=False)
    return answer


def print_table(answers: Sequence[Answer]) -> None:
    """Every answer, then the shares."""
    table = Table(
        "incident", "what went wrong", "decoy", "stopped", "exact", "one", "grounded", "quick s",
        "full s", box=None,
    )  # fmt: skip
    for answer in answers:
        case = answer.incident
        table.add_row(
            case.id, case.kind, _yes(case.decoy), _yes(answer.alarmed), _yes(answer.exact),
            _yes(answer.at_least_one), _yes(answer.grounded), f"{answer.quick_s:.1f}",
            f"{answer.full_s:.1f}",
        )  # fmt: skip
    screen.print(table)
    must = [answer for answer in answers if answer.incident.must_stop]
    cases = [answer.incident for answer in answers]
    for said, part, of in (
        ("with a decoy", sum(case.decoy for case in cases), len(cases)),
        ("of two causes or more", sum(len(case.causes) > 1 for case in cases), len(cases)),
        ("of none", sum(not case.causes for case in cases), len(cases)),
        ("of machines", sum(case.is_of_machines for case in cases), len(cases)),
        ("stopped or alerted", sum(answer.alarmed for answer in must), len(must)),
        ("exact set", sum(answer.exact for answer in answers), len(answers)),
        ("at least one", sum(answer.at_least_one for answer in answers), len(answers)),
        ("grounded", sum(answer.grounded for answer in answers), len(answers)),
        ("quick under 5 s", sum(answer.quick_s < 5 for answer in answers), len(answers)),
        ("full under 60 s", sum(answer.full_s < 60 for answer in answers), len(answers)),
    ):
        screen.print(f"{said}: {part} of {of}")


def _yes(fact: bool) -> str:
    return "yes" if fact else "-"


if __name__ == "__main__":
    sys.exit(main())
