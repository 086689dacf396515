"""DF, DS-03, OK-10: what arrives at the door, judged where later steps would use the day."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from fraud_provenance.data import delimited
from fraud_provenance.defs import raw_history
from fraud_provenance.fraud import expectations, profile, schemas, summaries, transactions
from fraud_provenance.fraud.contract import ContractReport
from fraud_provenance.fraud.expectation_suites import RAW as RAW_EXPECTATIONS
from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.cases_tampering import (
    believe_the_disk,
    file_of,
    write_again,
)
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import RAW, data_access, ingest
from fraud_provenance_tests.attacks.model import Attack, Case, Outcome
from fraud_provenance_tests.attacks.mutants import both, policy_without, without
from fraud_provenance_tests.parquet_lies import understated

NEW_DAY, BEFORE, DAY = "2018-05-16", "2018-05-15", "2018-05-09"
AMOUNT = "TX_AMOUNT"
Change = Callable[[pl.DataFrame], pl.DataFrame]


def landing(home: Home, day: str = NEW_DAY) -> Path:
    return home.path / "landing" / f"{day}.parquet"


def landed(change: Change) -> Attack:
    """The next day arrives, changed."""

    def attack(home: Home) -> None:
        assert faults.land_next_day(home) == NEW_DAY
        path = landing(home)
        change(pl.read_parquet(path)).write_parquet(path)

    return attack


def amounts(expression: pl.Expr) -> Change:
    return lambda frame: frame.with_columns(expression.alias(AMOUNT))


def one_in(count: int, value: float) -> Change:
    """Every so manieth amount is this value."""
    chosen = pl.int_range(pl.len()) % count == 0
    return amounts(pl.when(chosen).then(value).otherwise(pl.col(AMOUNT)))


def sent_twice(frame: pl.DataFrame) -> pl.DataFrame:
    """Every fifth row once more: the day's size and shape alone say nothing."""
    return pl.concat([frame, frame.gather_every(5)])


def yesterday_again(home: Home) -> None:
    """Yesterday's payments with today's dates and ids."""
    assert faults.land_next_day(home) == NEW_DAY
    own, old = pl.read_parquet(landing(home)), pl.read_parquet(landing(home, BEFORE))
    ids = pl.int_range(pl.len()) + own["TRANSACTION_ID"].min()
    replayed = old.with_columns(
        pl.col("TX_DATETIME") + timedelta(days=1),
        ids.cast(pl.Int32).alias("TRANSACTION_ID"),
        pl.col("TX_TIME_SECONDS") + 86_400,
        (pl.col("TX_TIME_DAYS") + 1).cast(pl.Int16),
    )
    replayed.write_parquet(landing(home))


def append_late_rows(home: Home) -> None:
    frame = pl.read_parquet(file_of(home))
    late = pl.concat([frame, frame.tail(50)])
    file_of(home).unlink()
    late.write_parquet(file_of(home))


def equal_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Seven million equal rows: kilobytes on disk, a third of a gigabyte in memory."""
    row = frame.row(0)
    return pl.select(
        pl.repeat(value, 7_000_000, dtype=kind).alias(name)
        for value, (name, kind) in zip(row, frame.schema.items(), strict=True)
    )


def understate(home: Home) -> None:
    """The day's own rows and a footer that knows no others; its pages go on for millions."""
    faults.land_next_day(home)
    landing(home).write_bytes(understated(pl.read_parquet(landing(home))))


def deliver_csv(header: bytes) -> Attack:
    """The next day comes as a CSV file that begins with these bytes."""

    def attack(home: Home) -> None:
        faults.land_next_day(home)
        content = pl.read_parquet(landing(home)).write_csv().encode()
        landing(home).unlink()
        (home.path / "scratch" / "delivered.csv").write_bytes(header + content)

    return attack


def marks_are_no_matter() -> AbstractContextManager[Any]:
    """Mutant: nobody looks for a byte order mark."""
    return patched(delimited, "_BYTE_ORDER_MARKS", ())


def marks_are_no_part_of_names() -> AbstractContextManager[Any]:
    """Mutant: the column that would then be unknown, which refuses the file as well, is known."""
    real = delimited._names
    return patched(delimited, "_names", lambda text, by: real(text.removeprefix("\ufeff"), by))


def importing(home: Home) -> Outcome:
    """P0: the delivered file is imported."""
    said = home.command("import", str(home.path / "scratch" / "delivered.csv"))
    code = re.search(r"^refused ([A-Z_]+)", said.err, re.MULTILINE)
    return Outcome("P0", said.code != 0, (code[1],) if code else (), text=said.err)


def ingest_without_contract(home: Home) -> None:
    """A run whose selection leaves the checks out: the day is attested and nobody judged it."""
    whole = dg.JobDefinition.execute_in_process

    def without_checks(job: dg.JobDefinition, **named: Any) -> Any:  # noqa: ANN401 - Dagster's own
        chosen = job.get_subset(asset_selection={dg.AssetKey(RAW)}, asset_check_selection=set())
        return whole(chosen, **named)

    faults.land_next_day(home)
    with patched(dg.JobDefinition, "execute_in_process", without_checks):
        assert home.job("ingest", days=[NEW_DAY]).code == 0


def ingest_with_contract(home: Home) -> None:
    faults.land_next_day(home)
    assert home.job("ingest", days=[NEW_DAY]).code == 0


def local_time(frame: pl.DataFrame) -> pl.DataFrame:
    """UTC+2 written as if it were UTC; the last two hours became the next day's."""
    return frame.with_columns(pl.col("TX_DATETIME") + timedelta(hours=2))


def unjudged() -> AbstractContextManager[object]:
    """Contracts that sign what they did not look at, under the name of the approved suite."""
    honest = schemas.check_raw_schema

    def schema(frames: Mapping[str, pl.DataFrame], thresholds: Mapping[str, Any]) -> ContractReport:
        looked_at = honest({day: frame.head(1) for day, frame in frames.items()}, thresholds)
        return replace(looked_at, findings=())

    def no_statistics(_profile: object, days: Sequence[str], *_rest: object) -> pl.DataFrame:
        return pl.DataFrame({"day": list(days)})

    judge = expectations.check_statistics

    def whole_days(
        suite: str, frame: pl.DataFrame, thresholds: Mapping[str, Any], *_rest: object
    ) -> ContractReport:
        blank = {item.statistic: pl.lit(0.0) for item in RAW_EXPECTATIONS} | {"rows": pl.lit(1)}
        looked_at = judge(suite, frame.select("day").with_columns(**blank), thresholds, None)
        return replace(looked_at, findings=())

    return both(
        lambda: patched(schemas, "check_raw_schema", schema),
        lambda: patched(raw_history, "summaries_of", lambda *_: summaries.nothing()),
        lambda: patched(profile, "profile_days", lambda frames, *_: frames),
        lambda: patched(expectations, "raw_statistics", no_statistics),
        lambda: patched(expectations, "check_statistics", whole_days),
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
    _case("DF-05", landed(one_in(33, float("nan"))), variant="not a number"),
    _case("DF-05", landed(amounts(pl.when(pl.int_range(pl.len()) % 33 > 0).then(AMOUNT))),
          variant="nothing"),
    _case("DF-06", landed(one_in(300, float("inf"))), variant="infinite"),
    _case("DF-06", landed(one_in(300, 1e308)), variant="huge"),
    _case("DF-06", landed(one_in(300, -0.0)), ("NON_FINITE",), "negative zero"),
    _case("DF-08", landed(sent_twice), ("DUPLICATE_KEY", "DUPLICATE_BUSINESS_KEY")),
    _case("DF-11", landed(local_time), ("EVENT_TIME_OUTSIDE_PARTITION",)),
    Case("DF-13", append_late_rows, data_access(RAW, [DAY]), write_again, believe_the_disk),
    _case("DF-23", landed(lambda frame: frame.rename({AMOUNT: f"\ufeff{AMOUNT}"})),
          variant="in a name"),
    Case("DF-23", deliver_csv(b"\xef\xbb\xbf"), importing, deliver_csv(b""),
         both(marks_are_no_matter, marks_are_no_part_of_names), variant="in a file"),
    Case("DF-29", ingest_without_contract, data_access(RAW, [NEW_DAY]), ingest_with_contract,
         policy_without("CHECK_MISSING")),
    _case("DF-32", yesterday_again, ("FROZEN_FEED",)),
    Case("DS-03", landed(equal_rows), ingest(NEW_DAY), landed(shuffled),
         both(without(transactions, "check_expansion"), unjudged), variant="equal rows"),
    Case("DS-03", understate, ingest(NEW_DAY), landed(shuffled),
         without(transactions, "check_expansion"), variant="a footer that lies"),
    Case("OK-10", landed(drifted), ingest(NEW_DAY)),
]  # fmt: skip
