"""Contracts, blocking: every day of raw data and features is judged before anyone may use it.

The verdict on each day is a signed test result about its exact bytes, which every later read
demands; Dagster's check is what people see. Failing one day fails the check of this run, marks
that day, and leaves the other days usable.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, reason
from fraud_provenance.attested.step import catalogue
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import support
from fraud_provenance.defs.whole_days import BASELINE_DAYS, judge_wholes, thresholds_of
from fraud_provenance.due.ground import Surroundings, accepted, days_to_judge, surroundings
from fraud_provenance.due.planning import (
    FEATURE_SUITES,
    RAW_SUITES,
    in_days,
    stopped_days,
    window_of,
)
from fraud_provenance.fraud.blocks import in_blocks
from fraud_provenance.home.pages import address_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.contract import ContractReport


_BLOCK_BYTES = 60_000_000  # of Parquet, two million rows of raw data: some 1.5 GiB while judged
_MEND = "Do what the remedies below say; a broken day cannot be accepted."


@dataclass(frozen=True)
class _Suites:
    """The pair of suites that judges one asset."""

    asset: str
    schema: str
    expectations: str


_RAW = _Suites("raw_transactions", *RAW_SUITES)
_FEATURES = _Suites("transaction_features", *FEATURE_SUITES)


@dg.multi_asset_check(
    name="judge_raw_transactions",  # a job is called raw_contracts
    specs=[
        dg.AssetCheckSpec(
            "raw_schema",
            asset="raw_transactions",
            blocking=True,
            description=(
                "Pandera, without coercion: columns and types are exactly as declared, values are "
                "present, finite and in range, transactions unique, event times inside their day."
            ),
        ),
        dg.AssetCheckSpec(
            "raw_expectations",
            asset="raw_transactions",
            blocking=True,
            description=(
                "Great Expectations: volume, amounts, labels and freshness of the day against "
                "the days before it; no frozen feed, no unit shift."
            ),
        ),
    ],
)
@as_failure
def raw_contracts(
    context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    """Judge the days of this run (or all days not judged yet)."""
    yield from _judge(context, provenance.open(), _RAW)


@dg.multi_asset_check(
    name="judge_transaction_features",  # a job is called feature_contracts
    specs=[
        dg.AssetCheckSpec(
            "feature_schema",
            asset="transaction_features",
            blocking=True,
            description=(
                "Pandera, without coercion: feature columns, types and ranges; windows are nested; "
                "calendar flags follow from the time; rows are exactly those of the raw day, and "
                "every feature equals its recomputation as of each transaction's own moment."
            ),
        ),
        dg.AssetCheckSpec(
            "feature_expectations",
            asset="transaction_features",
            blocking=True,
            description="Great Expectations: each feature's mean against the days before.",
        ),
    ],
)
@as_failure
def feature_contracts(
    context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    """Judge the days of this run (or all days not judged yet)."""
    yield from _judge(context, provenance.open(), _FEATURES)


def _judge(
    context: dg.AssetCheckExecutionContext, workspace: Workspace, suites: _Suites
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    known = sorted(workspace.store.heads(suites.asset))
    days = support.days_of_run(context, known) or days_to_judge(workspace, suites.asset)
    days = [day for day in days if day in set(known)]
    if not days:
        yield from _nothing_to_judge(workspace, suites)
        return
    reports: list[ContractReport] = []
    for block in _blocks(workspace, suites.asset, sorted(days)):
        found = judge_days(workspace, context.run.run_id, suites.asset, block)
        for report in found:
            for day in report.stopped:
                yield mark_day(suites.asset, report, day, workspace.home)
        reports += found
    for name in (suites.schema, suites.expectations):
        own = [report for report in reports if report.suite == name]
        if own:
            yield check_result(suites.asset, _as_one(own), workspace.home)
            continue
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(suites.asset),
            check_name=name,
            passed=False,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"failed_days": days},
            description="not evaluated: no day passed the schema",
        )


def _blocks(workspace: Workspace, asset: str, days: Sequence[str]) -> Iterator[list[str]]:
    """The days in their order, as many at once as memory is meant for."""
    heads = workspace.store.heads(asset)
    sized = ((day, sum(_size(workspace.data / h.path) for h in heads.get(day, ()))) for day in days)
    return in_blocks(sized, _BLOCK_BYTES)


def _size(path: Path) -> int:
    """Bytes of a file: a hint, for whoever reads it compares its digest."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _as_one(reports: "Sequence[ContractReport]") -> "ContractReport":
    """What one suite found in several blocks; a link leads to the newest page."""
    rows: dict[str, int] = {}
    for report in reports:
        rows |= report.rows
    return replace(
        reports[-1],
        days=tuple(day for report in reports for day in report.days),
        rows=rows,
        findings=tuple(finding for report in reports for finding in report.findings),
        accepted=frozenset().union(*(report.accepted for report in reports)),
    )


def judge_days(
    workspace: Workspace, run_id: str, asset: str, days: Sequence[str]
) -> "list[ContractReport]":
    """Run both suites on `days` of `asset` and sign their results."""
    from fraud_provenance.fraud import schemas
    from fraud_provenance.fraud.judging import beside

    suites = _RAW if asset == _RAW.asset else _FEATURES
    with Step(workspace.trust, "contracts", run_id) as step:
        around = surroundings(workspace, asset, step.policy)
        usable = {day: what for day, what in around.usable.items() if day not in days}
        around = replace(around, usable=usable)
        thresholds = thresholds_of(step)
        read = step.read(asset, beside(usable, sorted(days), BASELINE_DAYS))
        frames = support.frames_of(read)
        judged = {day: frames[day] for day in days}
        if suites is _RAW:
            first = schemas.check_raw_schema(judged, thresholds)
        else:
            raw = _raw_of(step, workspace, read, days)
            first = schemas.check_feature_schema(judged, thresholds, raw)
        reports, histories = [first], [""]
        sound = sorted(day for day in days if not first.failures_of(day))
        if sound:
            second, history = judge_wholes(
                workspace, step, suites.expectations, read, frames, sound, around
            )
            reports.append(second)
            histories.append(history)
            passed = [day for day in sound if day not in second.stopped]
            around = replace(around, usable=usable | _usable_now(workspace, read, passed))
        pending = [
            _attest(step, read.view.select(report.days), report, around, history)
            for report, history in zip(reports, histories, strict=True)
        ]
        step.join_reads()
        for signature in pending:
            signature.result()
    return reports


def _usable_now(workspace: Workspace, read: VerifiedInput, passed: Sequence[str]) -> dict[str, str]:
    """Days that passed or are accepted, as `Surroundings` names them."""
    return {
        day: accepted(workspace, read.asset, day, read.digests[day]) or read.digests[day]
        for day in passed
    }


def _raw_of(
    step: Step, workspace: Workspace, features: VerifiedInput, days: Sequence[str]
) -> "pl.DataFrame":
    """The raw rows of the whole windows of `days`: those that the features were made from.

    Raises:
        EvidenceError: PARTITION_MISSING where raw days changed since, came to them, or are missing;
            features that cannot be recomputed are not judged, hence not usable.
    """
    import polars as pl

    from fraud_provenance.fraud.columns import RAW_SCHEMA

    made_from = {entry.partition: set(entry.made_from) for entry in features.view.entries}
    # Not only the days that they say: a window is no less wrong for a day that was left out.
    known = step.usable(_RAW.asset, step="features").partitions
    heads = workspace.store.heads(_RAW.asset)
    stale = [
        day
        for day in days
        if {heads[other][0].sha256 for other in window_of([day], known)} != made_from[day]
    ]
    if stale:
        raise EvidenceError(
            reason(
                RootCause.PARTITION_MISSING,
                "features were made from raw days that are not the current ones",
                artifact=features.asset,
                partition=stale[0],
                remedy="Materialise transaction_features again for these days.",
            )
        )
    frames = support.frames_of(step.read(_RAW.asset, window_of(days, known)))
    return pl.concat([frame.select(list(RAW_SCHEMA)) for frame in frames.values()])


def _attest(
    step: Step,
    view: Any,  # noqa: ANN401 - a manifest
    report: "ContractReport",
    around: Surroundings,
    history: str = "",
) -> Any:  # noqa: ANN401 - a pending signature
    stopped = {finding.day for finding in report.failures}
    is_whole = report.suite in (_RAW.expectations, _FEATURES.expectations)
    first = min([*around.usable, *report.days])
    empty = {d: w for d, w in around.empty.items() if first < d < max(report.days)}
    return step.attest_contract(
        view,
        suite=report.suite,
        suite_digest=encoding.digest_json(report.suite_config),
        checks=report.checks,
        failures=[failure.public() for failure in report.broken],
        held=[failure.public() for failure in report.held],
        warnings=[warning.public() for warning in report.warnings],
        rows=report.rows,
        waivers=empty if is_whole else None,
        history=history,
        ground={day: around.ground(day) for day in sorted(stopped)},
    )


def mark_day(
    asset: str, report: "ContractReport", day: str, home: Path | None = None
) -> dg.AssetCheckEvaluation:
    """The failed day by itself, as the UI shows it, since the checks have no partitions.

    It belongs to this run: Dagster keeps one evaluation by (check, run, day), and the same day
    may fail again in a later run. Until then it is what the check's page shows, with what to do.
    """
    failures = report.failures_of(day)
    codes = ", ".join(dict.fromkeys(failure.code for failure in failures))
    is_broken = any(failure.day == day for failure in report.broken)
    what_next = _MEND if is_broken else catalogue.held(asset, day, report.suite).remedy
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=report.suite,
        passed=False,
        partition=day,
        metadata=_page_of(report, home) | {"next": what_next} | failure_metadata(failures),
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
        description=f"{day} is {'broken' if is_broken else 'held'}: {codes}. {what_next}",
    )


def _page_of(report: "ContractReport", home: Path | None) -> dict[str, Any]:
    """The link to this very validation, where it has a page."""
    if home is None or not report.page:
        return {}
    return {"report": dg.MetadataValue.url(address_of(home, report.suite, report.page))}


def failure_metadata(failures: Sequence[Any]) -> dict[str, Any]:
    """Failures as a table that fits a page: where, what was found; and what to do, once for each.

    A value of a row is nobody's business here: what is found are numbers of the day as a whole.
    """
    names = ("day", "grade", "code", "check", "column", "found")
    records = [
        dg.TableRecord(
            dict(zip(names, (f.day, f.weight, f.code, f.check, f.column, _found(f)), strict=True))
        )
        for f in failures[:100]
    ]
    remedies = dict.fromkeys(f"- {f.code}: {f.remedy}" for f in failures if f.remedy)
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])
    return {
        "failures": dg.TableMetadataValue(records, schema),
        "what to do": dg.MetadataValue.md("\n".join(remedies) or "nothing is known"),
    }


def _found(failure: Any) -> str:  # noqa: ANN401 - Failure, imported late
    """The aggregate that was judged and its bounds, else how many rows there are."""
    if failure.observed is None:
        return f"{failure.rows} rows" if failure.rows else "the day as a whole"
    bounds = [
        f"{word} {bound:.6g}"
        for word, bound in (("at least", failure.minimum), ("at most", failure.maximum))
        if bound is not None
    ]
    return f"{failure.observed:.6g}" + (f", allowed {' and '.join(bounds)}" if bounds else "")


def check_result(
    asset: str, report: "ContractReport", home: Path | None = None
) -> dg.AssetCheckResult:
    """A report as the UI shows it; with `home`, with a link to its own page."""
    bad = list(report.stopped)
    held = [day for day in bad if day not in {failure.day for failure in report.broken}]
    codes = sorted({failure.code for failure in report.failures if failure.day in bad})
    metadata: Mapping[str, Any] = (
        _page_of(report, home)
        | {
            "rows_judged": sum(report.rows.values()),
            "checks": list(report.checks),
            "suite_sha256": encoding.digest_json(report.suite_config),
            "failed_days": bad,
            "held_days": held,
            "codes": codes,
        }
        | (failure_metadata(report.findings) if report.findings else {})
    )
    summary = (
        f"{len(bad)} of {in_days(report.days)} failed or are held ({', '.join(codes)}): "
        f"{', '.join(bad[:5])}"
        if bad
        else f"{in_days(report.days)} passed {len(report.checks)} checks"
    )
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset),
        check_name=report.suite,
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=dict(metadata),
        description=summary,
    )


def _nothing_to_judge(workspace: Workspace, suites: _Suites) -> Iterator[dg.AssetCheckResult]:
    """All is judged already: repeat what the evidence says."""
    failed = stopped_days(workspace, suites.asset)
    if not workspace.store.heads(suites.asset):
        raise ConfigError(reason("CHECK_VACUOUS", "no day is attested", artifact=suites.asset))
    for suite in (suites.schema, suites.expectations):
        bad = sorted(day for day, by in failed.items() if by == suite)
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(suites.asset),
            check_name=suite,
            passed=not bad,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"failed_days": bad},
            description="no new day; the signed results stand",
        )
