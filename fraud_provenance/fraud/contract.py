"""What every data contract returns, and how it reads its thresholds.

A contract never repairs and never raises for bad values: it reports. It raises only when it cannot
judge (no days, no threshold), so that nothing passes for want of something to look at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        warning: It is told, and does not fail the day.
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
    """

    suite: str
    suite_config: dict[str, Any]
    checks: tuple[str, ...]
    days: tuple[str, ...]
    rows: dict[str, int]
    findings: tuple[Failure, ...]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the findings that fail their day."""
        return tuple(finding for finding in self.findings if not finding.warning)

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """Return the findings that are told and do not fail their day."""
        return tuple(finding for finding in self.findings if finding.warning)

    @property
    def passed(self) -> bool:
        """Tell whether no day failed."""
        return not self.failures

    def failures_of(self, day: str) -> tuple[Failure, ...]:
        """Return the failures of one day."""
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
