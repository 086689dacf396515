"""What every data contract returns, and how it reads its thresholds.

A contract never repairs and never raises for bad values: it reports. It raises only when it cannot
judge (no days, no threshold), so that nothing passes for want of something to look at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, RAW_SCHEMA, SCORE_SCHEMA
from fraud_provenance.fraud.errors import DataError

CODES: Final = frozenset(
    {
        "SCHEMA_COLUMN_MISSING",
        "SCHEMA_COLUMN_UNKNOWN",
        "SCHEMA_TYPE",
        "ENCODING",
        "NULL_RATE",
        "NON_FINITE",
        "VALUE_RANGE",
        "DUPLICATE_KEY",
        "DUPLICATE_BUSINESS_KEY",
        "EVENT_TIME_OUTSIDE_PARTITION",
        "EMPTY_PARTITION",
        "VOLUME",
        "UNIT_SHIFT",
        "DISTRIBUTION_SHIFT",
        "SENTINEL_VALUE",
        "CONSTANT_COLUMN",
        "COLUMNS_SWAPPED",
        "FROZEN_FEED",
        "STALE_FEED",
        "LABEL_RATE",
        "LABEL_INCOHERENT",
        "IMMATURE_LABELS",
        "TRIGGER_SUSPECT",
        "LEAKAGE_FEATURE",
        "PIT_LEAKAGE",
        "FEATURE_RECOMPUTE_MISMATCH",
        "SPLIT_CONTAMINATION",
        "PREDLOG_GAP",
    }
)
"""The closed vocabulary of root causes that a contract can name."""

BROKEN: Final = "broken"
"""Never usable: form, types, keys, encoding, impossible times, leakage, a copied feed."""
UNUSUAL: Final = "unusual"
"""Held until a person has looked: volume, distribution, rates, time of day, gaps."""
NOTED: Final = "noted"
"""Told, and nothing is held."""
_GRADES: Final = (BROKEN, UNUSUAL, NOTED)
_OTHERS: Final = "every_check"

# Statements go to a public log. An aggregate of fewer rows could be as good as one row's value.
LEAST_ROWS_OF_AN_AGGREGATE: Final = 20
_PUBLIC_COLUMNS: Final = frozenset({*RAW_SCHEMA, *FEATURE_SCHEMA, *SCORE_SCHEMA, "split"})


@dataclass(frozen=True)
class Failure:
    """One check that one day did not pass.

    Attributes:
        day: The partition, "2018-04-01".
        check: The sentence that is not true.
        code: Root cause, one of `CODES`.
        column: The column concerned, or "" for whole rows.
        rows: How many rows are concerned (0: the day as a whole).
        example: One offending value, or what was found instead. For people at this place only.
        remedy: What to do.
        observed: The aggregate that was judged, where one was; None over few rows.
        minimum: Its lower bound, or None.
        maximum: Its upper bound, or None.
        warning: Without a grade, it is told, and does not fail the day.
        grade: What it means for the day, one of `BROKEN`, `UNUSUAL`, `NOTED`; see `graded`.
    """

    day: str
    check: str
    code: str
    column: str
    rows: int
    example: str
    remedy: str
    observed: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    warning: bool = False
    grade: str = ""

    @property
    def weight(self) -> str:
        """The grade; where none was given, a warning is noted and all else is broken."""
        return self.grade or (NOTED if self.warning else BROKEN)

    def public(self) -> dict[str, str | int | float]:
        """Return what everyone may know: no example, and no column that somebody else named."""
        numbers = {"observed": self.observed, "minimum": self.minimum, "maximum": self.maximum}
        return {
            "day": self.day,
            "check": self.check,
            "code": self.code,
            "column": self.column if self.column in _PUBLIC_COLUMNS else "",
            "rows": self.rows,
            **{name: float(value) for name, value in numbers.items() if value is not None},
        }


@dataclass(frozen=True)
class ContractReport:
    """The outcome of one suite over a set of days.

    Attributes:
        suite: Name of the suite, "raw_schema".
        suite_config: JSON-able description of everything that was checked, thresholds included; its
            digest names the suite.
        checks: The true sentences that were evaluated for every day.
        days: The days judged, ascending.
        rows: Day to number of rows.
        findings: Everything found; empty if every check holds for every day.
        accepted: Unusual days whose findings somebody has accepted, all of them.
        page: The name of its own page among the suite's Data Docs, if one was written.
    """

    suite: str
    suite_config: dict[str, Any]
    checks: tuple[str, ...]
    days: tuple[str, ...]
    rows: dict[str, int]
    findings: tuple[Failure, ...]
    accepted: frozenset[str] = frozenset()
    page: str = ""

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the findings that keep their day out: for good, or until somebody accepts it."""
        return tuple(finding for finding in self.findings if finding.weight != NOTED)

    @property
    def broken(self) -> tuple[Failure, ...]:
        """Return the findings that keep their day out for good."""
        return tuple(finding for finding in self.failures if finding.weight == BROKEN)

    @property
    def held(self) -> tuple[Failure, ...]:
        """Return the findings that hold their day until somebody accepts it."""
        return tuple(finding for finding in self.failures if finding.weight == UNUSUAL)

    @property
    def stopped(self) -> tuple[str, ...]:
        """Return the days that may not be used as they are, ascending."""
        held = {finding.day for finding in self.held} - self.accepted
        return tuple(sorted({*held, *(finding.day for finding in self.broken)}))

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """Return the findings that are told and do not keep their day out."""
        return tuple(finding for finding in self.findings if finding.weight == NOTED)

    @property
    def passed(self) -> bool:
        """Tell whether every day may be used."""
        return not self.stopped

    def failures_of(self, day: str) -> tuple[Failure, ...]:
        """Return what keeps one day out."""
        return tuple(failure for failure in self.failures if failure.day == day)


def threshold(thresholds: Mapping[str, Any], section: str, name: str) -> float:
    """Read one threshold.

    Args:
        thresholds: The parsed `policies/data/contracts.json`: by section and name, an object of
            "value" and "reason".
        section: Name of the suite.
        name: Name of the threshold.

    Returns:
        Its finite value.

    Raises:
        DataError: THRESHOLD_MISSING or THRESHOLD_TYPE; a contract without its threshold would be
        vacuous.
    """
    try:
        value = thresholds[section][name]["value"]
    except (KeyError, TypeError) as error:
        raise DataError(
            "THRESHOLD_MISSING",
            f"no threshold {section}.{name}.value",
            file="contracts.json",
            remedy="add it with its value and reason",
        ) from error
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise DataError(
            "THRESHOLD_TYPE",
            f"{section}.{name}.value must be a finite number, found {value!r}",
            file="contracts.json",
            remedy="write a number",
        )
    return cast("float", value)


def graded(report: ContractReport, thresholds: Mapping[str, Any], section: str) -> ContractReport:
    """Give each finding its grade, and the suite's description the grades that are not "broken".

    Args:
        report: What a suite found.
        thresholds: The parsed `policies/data/contracts.json`. By section and check, "grades" holds
            an object of "grade" and "reason"; "every_check" stands for those that are not listed.
            Without any grades a warning is noted and all else is broken.
        section: Name of the suite's section.

    Returns:
        The report. Its digest changes with any grade: who makes a check milder needs a release.

    Raises:
        DataError: THRESHOLD_TYPE, a grade is none of the three.
    """
    if "grades" not in thresholds:
        return report
    rules = thresholds["grades"].get(section, {})
    grades = {check: _grade(rules, section, check) for check in report.checks}
    milder = {check: grade for check, grade in sorted(grades.items()) if grade != BROKEN}
    return replace(
        report,
        findings=tuple(
            replace(finding, grade=grades.get(finding.check, BROKEN)) for finding in report.findings
        ),
        suite_config={**report.suite_config, **({"grades": milder} if milder else {})},
    )


def _grade(rules: Mapping[str, Any], section: str, check: str) -> str:
    """Return the grade of one check; what nobody graded is broken."""
    rule = rules.get(check, rules.get(_OTHERS, {"grade": BROKEN}))
    grade = rule.get("grade") if isinstance(rule, Mapping) else None
    if grade not in _GRADES:
        raise DataError(
            "THRESHOLD_TYPE",
            f"grades.{section}.{check} must be one of {', '.join(_GRADES)}, found {grade!r}",
            file="contracts.json",
            remedy="write one of the three, and why",
        )
    return str(grade)


def require_days(days: Sequence[str]) -> None:
    """Refuse to judge nothing.

    Args:
        days: The days to judge.

    Raises:
        DataError: PARTITION_MISSING if there is none: a contract over no days would hold vacuously.
    """
    if not days:
        raise DataError(
            "PARTITION_MISSING", "no days were given to check", remedy="name at least one day"
        )
