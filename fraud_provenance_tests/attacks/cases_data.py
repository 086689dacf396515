"""DF: data that are wrong at the door, judged where later steps would use the day."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import polars as pl

from fraud_provenance.fraud import expectations, profile, schemas
from fraud_provenance.fraud.contract import ContractReport
from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import ingest
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both

NEW_DAY = "2018-05-16"
AMOUNT = "TX_AMOUNT"
Change = Callable[[pl.DataFrame], pl.DataFrame]


def landing(home: Home) -> Path:
    return home.path / "landing" / f"{NEW_DAY}.parquet"


def landed(change: Change) -> Attack:
    """The next day arrives, changed."""

    def attack(home: Home) -> None:
        assert faults.land_next_day(home) == NEW_DAY
        path = landing(home)
        change(pl.read_parquet(path)).write_parquet(path)

    return attack


def amounts(expression: pl.Expr) -> Change:
    return lambda frame: frame.with_columns(expression.alias(AMOUNT))


def local_time(frame: pl.DataFrame) -> pl.DataFrame:
    """UTC+2 written as if it were UTC; the last two hours became the next day's."""
    return frame.with_columns(pl.col("TX_DATETIME") + timedelta(hours=2))


def unjudged() -> AbstractContextManager[object]:
    """Contracts that sign what they did not look at."""

    def good(suite: str, days: Sequence[str]) -> ContractReport:
        return ContractReport(
            suite, {}, ("nothing",), tuple(days), dict.fromkeys(days, 1), findings=()
        )

    return both(
        lambda: patched(
            schemas, "check_raw_schema", lambda frames, _: good("raw_schema", list(frames))
        ),
        lambda: patched(profile, "profile_days", lambda frames: frames),
        lambda: patched(
            expectations,
            "check_raw_expectations",
            lambda _frames, days, *_: good("raw_expectations", days),
        ),
    )()


def without_findings(*codes: str) -> Callable[[], AbstractContextManager[object]]:
    """Contracts that do not report these codes."""
    honest = ContractReport.failures.fget  # type: ignore[attr-defined]  # a property

    def fewer(report: ContractReport) -> tuple[object, ...]:
        return tuple(item for item in honest(report) if item.code not in codes)

    return lambda: patched(ContractReport, "failures", property(fewer))


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in another order: what a day means does not hang on it."""
    return frame.sample(fraction=1.0, shuffle=True, seed=1)


def drifted(frame: pl.DataFrame) -> pl.DataFrame:
    """Amounts 8 % higher and a tenth of the rows fewer than the week before."""
    return frame.sample(fraction=0.9, seed=2).with_columns((pl.col(AMOUNT) * 1.08).round(2))


def _case(
    line: str,
    attack: Attack,
    codes: tuple[str, ...] = (),
    variant: str = "",
    twin: Change = shuffled,
) -> Case:
    mutant = without_findings(*codes) if codes else unjudged
    return Case(line, attack, ingest(NEW_DAY), landed(twin), mutant, variant=variant)


_SHIFTS = ("UNIT_SHIFT", "DISTRIBUTION_SHIFT")
CASES = [
    _case("DF-01", landed(lambda frame: frame.rename({AMOUNT: "AMT"}))),
    _case("DF-02", landed(amounts(pl.col(AMOUNT).cast(pl.String)))),
    _case("DF-03", landed(amounts(pl.col(AMOUNT) * 100)), _SHIFTS, twin=drifted),
    _case("DF-11", landed(local_time), ("EVENT_TIME_OUTSIDE_PARTITION",)),
]
