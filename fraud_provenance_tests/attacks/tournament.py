"""Plays cases and keeps score: attack, twin and mutant, each on its own copy of the home."""

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from fraud_provenance.attested.gates import canaries
from fraud_provenance.models import promotion
from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.attacks.home import opened, patched
from fraud_provenance_tests.attacks.model import GROUPS, Attack, Case, Line, Mutant, Outcome, lines
from fraud_provenance_tests.attacks.registry import cases, excused, without_case

DEADLINE_S = 900  # for one play: longer than any honest chain of commands on a busy machine


@dataclass(frozen=True)
class Play:
    """One play: what the judge saw, or how the play itself broke."""

    outcome: Outcome | None
    broken: str = ""


@dataclass
class Result:
    """One case's score. `None`: not played, for there is no such part."""

    id: str
    name: str
    stopped: bool
    right_reason: bool
    twin_passed: bool | None
    mutant_got_through: bool | None
    seconds: float
    stop: str = ""
    """Where its judge was asked."""
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Everything that was played went as it must."""
        parts = (self.twin_passed, self.mutant_got_through)
        return self.stopped and self.right_reason and all(part is not False for part in parts)


def play(arena: Arena, case: Case, act: Attack, mutant: Mutant | None = None) -> Play:
    """Let `act` loose on a fresh copy, then ask the judge, with `mutant` in force if given."""
    try:
        with opened(arena, case.state) as home, home.surroundings(), _deadline(DEADLINE_S):
            act(home)
            with _mutated(mutant) if mutant else nullcontext():
                return Play(case.judge(home))
    except Exception:
        return Play(None, traceback.format_exc()[-3000:])


@contextmanager
def _mutated(mutant: Mutant) -> Iterator[None]:
    """A mutant in force. A promotion's last look at the log stands behind nearly every check."""
    with (
        patched(promotion, "last_look", lambda *_arguments: None),
        patched(canaries, "check", lambda *_arguments: None),
        mutant(),
    ):
        yield


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """A play that hangs is a play that failed."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no judgement within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_stopped(line: Line, found: Outcome) -> bool:
    """Whether the harm was prevented (or told of, or mended), whatever the reason given."""
    line = line.at(found.stop)
    if line.verdict == "B":
        return found.refused or line.or_passes_unharmed
    if line.verdict == "A":
        return found.refused or bool(found.alerts)
    if line.verdict == "R":
        return not found.refused
    return found.has_passed


def is_right(line: Line, found: Outcome) -> bool:
    """Whether it was stopped at the right place and for the right reason, named first."""
    line = line.at(found.stop)
    if line.stops and found.stop not in line.stops:
        return False
    if line.verdict == "P" or (line.or_passes_unharmed and not found.refused):
        return True
    if line.verdict == "B":
        return found.codes[:1] != () and found.codes[0] in line.codes
    told = {*found.codes[:1], *found.alerts} if line.verdict == "A" else {*found.codes}
    return not line.codes or bool(told & set(line.codes))


def got_through(line: Line, found: Outcome) -> bool:
    """Whether an attack succeeded: nothing refused it and nobody was told of it."""
    return not found.refused and not set(found.alerts) & set(line.at(found.stop).codes)


def run_case(arena: Arena, case: Case) -> Result:
    """Attack, twin and mutant of one case."""
    began = time.monotonic()
    notes: list[str] = []
    attack = play(arena, case, case.attack)
    _note(notes, "attack", attack)
    found = attack.outcome
    twin = _part(arena, case, case.twin, None, notes, "twin", lambda seen: seen.has_passed)
    mutant = _part(
        arena, case, case.attack if case.mutant else None, case.mutant, notes, "mutant",
        lambda seen: got_through(case.line, seen),
    )  # fmt: skip
    return Result(
        id=case.id,
        name=case.name,
        stopped=found is not None and is_stopped(case.line, found),
        right_reason=found is not None and is_right(case.line, found),
        twin_passed=twin,
        mutant_got_through=mutant,
        seconds=round(time.monotonic() - began, 1),
        stop=found.stop if found else "",
        notes=notes,
    )


def _part(
    arena: Arena,
    case: Case,
    act: Attack | None,
    mutant: Mutant | None,
    notes: list[str],
    name: str,
    is_good: Callable[[Outcome], bool],
) -> bool | None:
    if act is None:
        return None
    played = play(arena, case, act, mutant)
    _note(notes, name, played)
    return played.outcome is not None and is_good(played.outcome)


def _note(notes: list[str], name: str, played: Play) -> None:
    found = played.outcome
    if found is None:
        notes.append(f"{name} broke: {played.broken}")
        return
    verb = "refused" if found.refused else "passed"
    alerts = f", alerts {', '.join(found.alerts[:5])}" if found.alerts else ""
    text = found.text.strip().replace("\n", " | ")[:400]
    notes.append(
        f"{name} {verb} at {found.stop or '-'}: {', '.join(found.codes[:5])}{alerts} {text}"
    )


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a group: how many lines, and how each part went. Lines without a case stay out."""
    rows = []
    for group, title in GROUPS.items():
        played = [item for item in results if item.id.startswith(group)]
        all_lines = [name for name in lines() if name.startswith(group)]
        broken = {item.id for item in played if not item.holds}
        rows.append(
            {
                "group": group,
                "title": title,
                "lines": len(all_lines),
                "lines_that_hold": len({item.id for item in played} - broken),
                "attacks": len(played),
                "stopped": sum(item.stopped for item in played),
                "right_reason": sum(item.right_reason for item in played),
                "twins": sum(item.twin_passed is not None for item in played),
                "twins_passed": sum(item.twin_passed is True for item in played),
                "mutants": sum(item.mutant_got_through is not None for item in played),
                "mutants_alive": sum(item.mutant_got_through is True for item in played),
                "excused": [name for name, item in excused().items() if item.id in all_lines],
                "no_case": [name for name in all_lines if name in without_case()],
            }
        )
    return rows


def unplayed_stops(results: Sequence[Result]) -> list[str]:
    """Stops that a line names and at which none of its cases was judged, of the lines played."""
    seen = {(item.id, item.stop) for item in results}
    return [
        f"{name} {stop}"
        for name in dict.fromkeys(item.id for item in results)
        for part in lines()[name].everywhere
        for stop in part.stops
        if (name, stop) not in seen
    ]


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "groups": table(results),
        "cases": [asdict(item) | {"holds": item.holds} for item in results],
        "excused": {name: item.reason for name, item in excused().items()},
        "no_case": without_case(),
        "unplayed_stops": unplayed_stops(results),
        "declared": len(cases()),
    }
