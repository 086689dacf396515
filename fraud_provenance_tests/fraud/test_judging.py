"""One odd day stops nobody but itself: days are held against the newest days that count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import pytest

from fraud_provenance.defs.whole_days import BASELINE_DAYS, Wholes
from fraud_provenance.due.ground import Surroundings
from fraud_provenance.fraud.contract import (
    BROKEN,
    NOTED,
    UNUSUAL,
    ContractReport,
    Failure,
    graded,
)
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.judging import beside, judge_in_order
from fraud_provenance.fraud.schemas import check_raw_schema
from fraud_provenance.fraud.transactions import to_raw

Days = dict[str, pl.DataFrame]
FRIDAY, EPOCH, FIRST = "2018-11-23", "1970-01-01", "2018-11-12"
ID, MOMENT = pl.col("TRANSACTION_ID"), pl.col("TX_DATETIME")


def feed(kind: str) -> Days:
    """Sixteen days of a feed with one honest oddity, as it is delivered."""
    days = dict(generate_days(16, 700, 1, date.fromisoformat(FIRST)))
    usual = ID % 100 < 45
    change = {
        "blackfriday": lambda day, f: f if day == FRIDAY else f.filter(usual),
        "weekend": lambda day, f: f.filter(ID % 100 < 25) if is_weekend(day) else f,
        "partial_first": lambda day, f: f.filter(MOMENT.dt.hour() >= 22) if day == FIRST else f,
        "new_level": lambda day, f: f if day >= FRIDAY else f.filter(usual),
    }.get(kind, lambda _day, f: f)
    found = {day: to_raw(change(day, frame)) for day, frame in days.items()}
    if kind == "epoch_row":
        row = days[FIRST].head(1).with_columns(
            TRANSACTION_ID=pl.lit(999_999, pl.Int32), TX_DATETIME=pl.lit(0).cast(pl.Datetime("us")),
            TX_TIME_SECONDS=pl.lit(0, pl.Int32), TX_TIME_DAYS=pl.lit(0, pl.Int16),
        )  # fmt: skip
        found[EPOCH] = to_raw(row)
    return dict(sorted(found.items()))


def is_weekend(day: str) -> bool:
    return date.fromisoformat(day).weekday() > 4


@dataclass
class Home:
    """What a home remembers of a feed, without evidence: who counts, and what arrived."""

    thresholds: dict[str, Any]
    frames: Days = field(default_factory=dict)
    usable: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    findings: dict[str, set[str]] = field(default_factory=dict)

    def deliver(self, days: Days) -> ContractReport:
        self.frames |= days
        return self.judge(list(days))

    def judge(self, days: Sequence[str]) -> ContractReport:
        """Both suites, as the contracts' step runs them."""
        first = check_raw_schema({day: self.frames[day] for day in days}, self.thresholds)
        assert first.passed
        around = self.around(self.usable - set(days))
        known = {day: self.frames[day] for day in {*around.usable, *days}}
        wholes = Wholes(
            self.thresholds, "raw_expectations", known, days, None, around, None,
            accepted=sorted(self.accepted.intersection(days)),
        )  # fmt: skip
        report = judge_in_order(
            wholes.judge, around.usable, days, lambda day, _: day in self.accepted, BASELINE_DAYS
        )
        self.usable = {*around.usable, *days}.difference(report.stopped)
        self.findings |= {day: {f.code for f in report.failures_of(day)} for day in days}
        return report

    def around(self, usable: Iterable[str]) -> Surroundings:
        return Surroundings(dict.fromkeys(usable, "a"), dict.fromkeys(self.frames, "a"), {}, "f")

    @property
    def stopped(self) -> list[str]:
        return sorted(set(self.frames) - self.usable)


ODD = {
    "usual": [],
    "blackfriday": [FRIDAY],
    "partial_first": [FIRST],
    "epoch_row": [EPOCH],
}


def one_by_one(home: Home, days: Days, first: int, last: int) -> None:
    """Deliver all days before `first` at once, then one a time, up to `last`."""
    parts = list(days.items())
    if first:
        home.deliver(dict(parts[:first]))
    for day, frame in parts[first:last]:
        home.deliver({day: frame})


@pytest.mark.parametrize("kind", ODD)
def test_only_the_odd_day_of_an_honest_feed_is_held(thresholds: dict[str, Any], kind: str) -> None:
    home = Home(thresholds)
    home.deliver(feed(kind))

    assert home.stopped == ODD[kind]


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [("blackfriday", 10, 14), ("partial_first", 0, 4), ("epoch_row", 0, 4)],
)
def test_odd_day_stops_no_later_one_where_days_come_one_by_one(
    thresholds: dict[str, Any], kind: str, first: int, last: int
) -> None:
    home = Home(thresholds)
    one_by_one(home, feed(kind), first, last)

    assert home.stopped == ODD[kind]
    assert "STALE_FEED" not in {c for day in home.usable for c in home.findings[day]}


def test_days_after_a_quiet_weekend_are_judged_as_usual(thresholds: dict[str, Any]) -> None:
    home = Home(thresholds)
    one_by_one(home, feed("weekend"), 5, 9)

    assert [day for day in home.stopped if not is_weekend(day)] == []


def test_odd_day_is_accepted_and_days_after_it_stay_usual(thresholds: dict[str, Any]) -> None:
    home = Home(thresholds)
    report = home.deliver(feed("blackfriday"))
    assert {item.weight for item in report.failures} == {UNUSUAL}
    assert report.broken == ()

    home.accepted.add(FRIDAY)
    again = home.judge([FRIDAY, "2018-11-24"])

    assert again.accepted == {FRIDAY}
    assert again.held != ()  # what was found is said again; only that it is accepted
    assert (again.passed, home.stopped) == (True, [])


def test_new_level_is_usual_after_four_accepted_days(thresholds: dict[str, Any]) -> None:
    home, days = Home(thresholds), feed("new_level")
    home.deliver(days)
    new = [day for day in days if day >= FRIDAY]
    assert home.stopped == new

    for day in new[:4]:
        home.accepted.add(day)
        home.judge(home.stopped)

    assert home.stopped == []


def test_missing_day_is_told_once_and_not_by_the_days_after(thresholds: dict[str, Any]) -> None:
    days = feed("usual")
    missing = days.pop("2018-11-20")
    home = Home(thresholds)
    one_by_one(home, days, 8, 11)
    assert home.stopped == ["2018-11-21"]
    assert home.findings["2018-11-21"] == {"STALE_FEED"}

    before = home.around(home.usable).ground("2018-11-21")
    home.deliver({"2018-11-20": missing})
    assert home.around(home.usable).ground("2018-11-21") != before
    home.judge(home.stopped)
    assert home.stopped == []


def test_whole_day_far_from_all_others_is_held_and_they_are_not(
    thresholds: dict[str, Any],
) -> None:
    days = feed("usual")
    stray = dict(generate_days(1, 700, 9, date(2017, 1, 1)))
    early = {
        day: to_raw(frame).with_columns(pl.col("transaction_id") + 10**6)
        for day, frame in stray.items()
    }
    home = Home(thresholds)
    home.deliver({**early, **days})

    assert home.stopped == list(early)
    assert "STALE_FEED" in home.findings["2017-01-01"]


# --- the order itself ----------------------------------------------------------------------------


def report_of(days: Sequence[str], bad: Iterable[str]) -> ContractReport:
    found = tuple(Failure(d, "c", "VOLUME", "", 0, "", "", grade=UNUSUAL) for d in sorted(bad))
    return ContractReport("s", {}, ("c",), tuple(days), dict.fromkeys(days, 1), found)


def test_each_day_is_judged_beside_days_that_count_alone() -> None:
    """Day after day is odd beside the one before; only every second one, once that is gone."""
    days = [f"2018-01-{day:02}" for day in range(1, 10)]
    rounds: list[list[str]] = []

    def judge(near: Sequence[str], asked: Sequence[str]) -> ContractReport:
        rounds.append(list(asked))
        place = {day: index for index, day in enumerate(near)}
        gap = [d for d in asked if place[d] and int(d[-2:]) - int(near[place[d] - 1][-2:]) == 1]
        return report_of(asked, gap)

    report = judge_in_order(judge, [], days, lambda *_: False, reach=2)

    assert report.stopped == tuple(days[1::2])
    assert len(rounds) == 5
    assert max(map(len, rounds[1:])) == 2  # no further than a day looks back


def test_days_beside_are_the_newest_that_count() -> None:
    usable = ["2018-01-01", "2018-01-02", "2018-01-05", "2018-01-09"]
    assert beside(usable, ["2018-01-06"], 2) == ["2018-01-02", "2018-01-05", "2018-01-06"]
    assert beside(usable, ["2018-01-03", "2018-01-08"], 1) == [
        "2018-01-02", "2018-01-03", "2018-01-05", "2018-01-08",
    ]  # fmt: skip


# --- grades --------------------------------------------------------------------------------------


def test_what_nobody_graded_is_broken_and_an_unknown_grade_is_an_error() -> None:
    report = report_of(["2018-01-01"], ["2018-01-01"])
    assert graded(report, {"grades": {}}, "s").broken
    for rule, expected in (("noted", NOTED), ("broken", BROKEN), ("unusual", UNUSUAL)):
        rules = {"grades": {"s": {"every_check": {"grade": rule}}}}
        found = graded(report, rules, "s")
        assert [item.weight for item in found.findings] == [expected]
        assert found.suite_config == ({} if rule == "broken" else {"grades": {"c": rule}})
    for wrong in ({"c": {"grade": "harmless"}}, {"c": 3}, {"c": {}}):
        with pytest.raises(DataError, match="THRESHOLD_TYPE"):
            graded(report, {"grades": {"s": wrong}}, "s")


def test_without_any_grades_a_warning_is_noted_and_all_else_is_broken() -> None:
    told = Failure("2018-01-01", "c", "VOLUME", "", 0, "", "", warning=True)
    assert (told.weight, Failure("d", "c", "VOLUME", "", 0, "", "").weight) == (NOTED, BROKEN)
    report = report_of(["2018-01-01"], [])
    assert graded(report, {}, "s") is report


def test_every_check_of_the_whole_days_has_a_grade_of_its_own(thresholds: dict[str, Any]) -> None:
    from fraud_provenance.fraud.expectation_suites import FEATURE, RAW

    for suite, expectations in (("raw_expectations", RAW), ("feature_expectations", FEATURE)):
        rules = {name for name in thresholds["grades"][suite] if name != "every_check"}
        assert rules == {item.check for item in expectations}
