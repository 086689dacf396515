"""Days are judged in order: one that does not pass is no yardstick for the days after it.

In: a suite, the days that count already, the days to judge. Out: one report in which each day was
held against the newest days that count, however many between did not.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from fraud_provenance.fraud.contract import ContractReport, Failure

Judge = Callable[[Sequence[str], Sequence[str]], ContractReport]
"""Judges days (the second) beside all days that count and themselves (the first)."""
Excused = Callable[[str, Sequence[Failure]], bool]
"""Whether somebody accepted all that a day is held for."""


def judge_in_order(
    judge: Judge, usable: Collection[str], days: Sequence[str], excused: Excused, reach: int
) -> ContractReport:
    """Judge `days` so that each is compared with days that count, and with no other.

    All are judged at once, each beside all others. Then the first that does not pass is taken away,
    and those that looked at it are judged again, and so on. A day depends on earlier days alone,
    so that this ends, after one round more than there are days that do not pass.

    Args:
        judge: The suite.
        usable: Days that passed or were accepted.
        days: The days to judge.
        excused: Tells of a held day whether all its findings are accepted.
        reach: How many days that count a day looks back.

    Returns:
        The report of all days; `accepted` are those that are held and excused.
    """
    wanted = sorted(set(days))
    yardsticks = {*usable, *wanted}
    whole = judge(beside(yardsticks, wanted, reach), wanted)
    found = {day: _findings_of(whole, day) for day in wanted}
    settled: set[str] = set()
    while True:
        report = replace(whole, findings=tuple(item for day in wanted for item in found[day]))
        report = replace(report, accepted=_accepted(report, excused))
        first = next((day for day in report.stopped if day not in settled), None)
        if first is None:
            return report
        settled.add(first)
        yardsticks.discard(first)
        again = [day for day in _after(first, yardsticks, reach) if day in found]
        if again:
            part = judge(beside(yardsticks, again, reach), again)
            found |= {day: _findings_of(part, day) for day in again}


def _findings_of(report: ContractReport, day: str) -> tuple[Failure, ...]:
    return tuple(item for item in report.findings if item.day == day)


def _accepted(report: ContractReport, excused: Excused) -> frozenset[str]:
    broken = {item.day for item in report.broken}
    held: dict[str, list[Failure]] = {}
    for item in report.held:
        held.setdefault(item.day, []).append(item)
    return frozenset(day for day, of in held.items() if day not in broken and excused(day, of))


def _after(day: str, known: Collection[str], reach: int) -> list[str]:
    return sorted(other for other in known if other > day)[:reach]


def beside(yardsticks: Collection[str], days: Sequence[str], reach: int) -> list[str]:
    """Return the days that count that `days` (ascending) look at, and `days` themselves."""
    before = sorted(other for other in yardsticks if other < days[0])[-reach:]
    between = {other for other in yardsticks if days[0] <= other <= days[-1]}
    return sorted({*before, *between, *days})
