"""Distribution contracts of whole days (Great Expectations on pandas).

Each day is one row of its profile, set against up to seven usable days before it, within limits
that come from the feed's own history (`spread`); all days are validated by one suite at once. A day
without earlier days is judged by the absolute expectations alone.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.contract import (
    LEAST_ROWS_OF_AN_AGGREGATE,
    ContractReport,
    Failure,
    graded,
    require_days,
    threshold,
)
from fraud_provenance.fraud.crowding import CROWDING_PROFILE, IDENTIFIERS
from fraud_provenance.fraud.data_docs import write_data_docs
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.expectation_suites import SUITES, Expectation
from fraud_provenance.fraud.feed import feed_of, without_quiet_days
from fraud_provenance.fraud.history import HISTORY_PROFILE
from fraud_provenance.fraud.spread import Limits, compare
from fraud_provenance.fraud.summaries import REPEATS

if TYPE_CHECKING:
    import pandas as pd

_FORM: Final = {"result_format": "COMPLETE", "unexpected_index_column_names": ["day"]}
_SPREAD: Final = ("factor", "prior", "fraud_prior", "prior_days")
_NOT_COMPARED: Final = ("frauds", "fraud_rate", *HISTORY_PROFILE, *CROWDING_PROFILE, *REPEATS)


def check_raw_expectations(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any],
    docs_dir: Path | None,
    empty_days: Collection[str] = (),
    there: Collection[str] = (),
) -> ContractReport:
    """Judge days of raw transactions as wholes.

    Args:
        profile: `profile_days` of the days to judge and of the days before them (the baseline).
        days: The days to judge.
        thresholds: The parsed `policies/data/contracts.json` (section `raw_expectations`).
        docs_dir: Where to write Data Docs and a summary that needs no network; None for none.
        empty_days: Days that were declared empty: between two others they are no gap.
        there: Days that were delivered and are no yardstick: no gap, either.

    Returns:
        The report of suite `raw_expectations`.

    Raises:
        DataError: PARTITION_MISSING if there is no day or a day has no profile; THRESHOLD_MISSING
            or THRESHOLD_TYPE; CHECK_ERROR if an expectation could not be evaluated.
    """
    frame = raw_statistics(profile, days, thresholds, empty_days, there)
    return check_statistics("raw_expectations", frame, thresholds, docs_dir)


def raw_statistics(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any],
    empty_days: Collection[str] = (),
    there: Collection[str] = (),
    accepted: Collection[str] = (),
) -> pl.DataFrame:
    """Compute what suite `raw_expectations` bounds.

    Args:
        profile: As `check_raw_expectations`.
        days: The days to judge.
        thresholds: The parsed `policies/data/contracts.json`.
        empty_days: As `check_raw_expectations`.
        there: As `check_raw_expectations`.
        accepted: Days that somebody accepted: a yardstick for others, whatever they are held for.

    Returns:
        The days to judge x `day` and every statistic of the suite.

    Raises:
        DataError: As `check_raw_expectations`.
    """
    certain = threshold(thresholds, "raw_expectations", "surprise_of_a_finding")
    known = profile.with_columns(*_single_amounts(certain, thresholds), *_gathered(certain))
    return _comparisons(known, days, thresholds, "raw_expectations", empty_days, there, accepted)


def _single_amounts(certain: float, thresholds: Mapping[str, Any]) -> list[pl.Expr]:
    """Sort an amount that stands out into one of three kinds; 0 where none stands out."""
    excess = (
        pl.when(pl.col("top_amount_surprise") > certain).then("top_amount_excess").otherwise(0.0)
    )
    stands_in = pl.col("top_amount_is_placeholder")
    small = pl.col("top_amount_excess") <= threshold(
        thresholds, "raw_expectations", "point_mass_maximum"
    )
    return [
        pl.when(stands_in).then(excess).otherwise(0.0).alias("placeholder_share"),
        pl.when(~stands_in).then(excess).otherwise(0.0).alias("point_mass"),
        pl.when(~stands_in & small).then(excess).otherwise(0.0).alias("trigger_share"),
    ]


def _gathered(certain: float) -> list[pl.Expr]:
    """Shares that chance does not explain; 0 where it does."""
    names = [f"{kind}_{which}" for kind in IDENTIFIERS for which in ("placeholder", "crowd")]
    return [
        pl.when(pl.col(f"{name}_surprise") > certain)
        .then(f"{name}_excess")
        .otherwise(0.0)
        .alias(f"{name}_share")
        for name in ("near_duplicate", *names)
    ]


def check_feature_expectations(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any],
    docs_dir: Path | None,
    empty_days: Collection[str] = (),
    there: Collection[str] = (),
) -> ContractReport:
    """Judge days of transaction features as wholes.

    Args:
        profile: `profile_days` of the features of the days to judge and of the days before them.
        days: The days to judge.
        thresholds: The parsed `policies/data/contracts.json` (section `feature_expectations`).
        docs_dir: Where to write Data Docs and a summary that needs no network; None for none.
        empty_days: As `check_raw_expectations`.
        there: As `check_raw_expectations`.

    Returns:
        The report of suite `feature_expectations`.

    Raises:
        DataError: As `check_raw_expectations`.
    """
    frame = feature_statistics(profile, days, thresholds, empty_days, there)
    return check_statistics("feature_expectations", frame, thresholds, docs_dir)


def feature_statistics(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any],
    empty_days: Collection[str] = (),
    there: Collection[str] = (),
    accepted: Collection[str] = (),
) -> pl.DataFrame:
    """Compute what suite `feature_expectations` bounds; as `raw_statistics`."""
    return _comparisons(
        profile, days, thresholds, "feature_expectations", empty_days, there, accepted
    )


def check_statistics(
    suite: str, frame: pl.DataFrame, thresholds: Mapping[str, Any], docs_dir: Path | None
) -> ContractReport:
    """Hold statistics of days against the bounds of a suite.

    Args:
        suite: `raw_expectations` or `feature_expectations`.
        frame: Days x `day` and every statistic of the suite.
        thresholds: The parsed `policies/data/contracts.json`.
        docs_dir: As `check_raw_expectations`.

    Returns:
        The suite's report.

    Raises:
        DataError: As `check_raw_expectations`.
    """
    return _validate(suite, frame, thresholds, docs_dir)


def _comparisons(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any],
    section: str,
    empty_days: Collection[str],
    there: Collection[str],
    accepted: Collection[str],
) -> pl.DataFrame:
    """Return one row per judged day: its statistics and their ratios to the days before it."""
    require_days(days)
    known = set(profile["day"].cast(pl.String))
    missing = [day for day in days if day not in known]
    if missing or len(known) != profile.height:
        raise DataError(
            "PARTITION_MISSING",
            f"expected one profile a day, none of {missing[:5]}",
            row_count=len(missing),
            remedy="profile each day once",
        )
    frauds = pl.col("frauds").cast(pl.Float64)
    # A few frauds among a few rows are no rate: what lies three standard errors below is one.
    sure = (frauds - 3 * frauds.sqrt()).clip(lower_bound=0) / pl.col("rows")
    ordered = profile.sort("day").with_columns(sure_fraud_rate=sure.fill_nan(0.0))
    if "customers" in ordered.columns:
        per_row = pl.col("customers", "terminals") / pl.col("rows")
        ordered = ordered.with_columns(per_row)
    if "content_repeats" not in ordered.columns:
        copies = pl.int_range(pl.len()).over("content_sha256").cast(pl.Int64)
        ordered = ordered.with_columns(content_repeats=copies)
    suite = SUITES[section]
    wanted = {item.statistic for item in suite}
    compared = [
        name for name in ordered.columns if name not in _NOT_COMPARED and f"{name}_ratio" in wanted
    ]
    bounds = {item.statistic: _bounds(item, section, thresholds) for item in suite}
    no_gap = set(without_quiet_days(feed_of(thresholds), ordered["day"], empty_days))
    ordered = ordered.with_columns(
        *_neighbours(ordered["day"], no_gap - known, set(there) - known), *_first_day(ordered)
    )
    waiting = set(days).difference(accepted)
    beside = compare(ordered, waiting, limits_of(thresholds, section), bounds, compared)
    return ordered.join(beside, on="day", maintain_order="left").filter(
        pl.col("day").cast(pl.String).is_in(list(days))
    )


def limits_of(thresholds: Mapping[str, Any], section: str) -> Limits:
    """Read how much of a difference a feed's own history explains.

    Args:
        thresholds: The parsed `policies/data/contracts.json`.
        section: Name of the suite.

    Raises:
        DataError: THRESHOLD_MISSING or THRESHOLD_TYPE.
    """
    return Limits(
        days=int(threshold(thresholds, section, "baseline_days")),
        **{name: threshold(thresholds, section, f"spread_{name}") for name in _SPREAD},
    )


def _bounds(
    item: Expectation, section: str, thresholds: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """The least and the greatest value; a warning has none, for its day passes."""
    if item.warning:
        return None, None
    return tuple(  # type: ignore[return-value]  # two of them
        threshold(thresholds, section, name) if name else None
        for name in (item.minimum, item.maximum)
    )


def _neighbours(
    days: pl.Series, empty_days: Collection[str], there: Collection[str]
) -> tuple[pl.Series, pl.Series]:
    """Days since the last delivered one, and for the first day, days to the next delivered one.

    Days that were declared empty are left out. What is before the first day that counts is no
    past: a stray date does not make the day after it late.
    """
    own = days.to_numpy().astype("datetime64[D]")
    delivered = np.union1d(own, np.array(sorted(there), dtype="datetime64[D]"))
    empty = np.array(sorted(empty_days), dtype="datetime64[D]")
    place = np.searchsorted(delivered, own)
    before = delivered[np.maximum(place - 1, 0)]
    after = delivered[np.minimum(place + 1, delivered.size - 1)]
    passed = np.searchsorted(empty, own) - np.searchsorted(empty, before)
    first = np.arange(own.size) == 0
    gap = np.where(first, np.nan, (own - before).astype(float) - passed)
    apart = np.where(first & (after > own), (after - own).astype(float), np.nan)
    return (
        pl.Series("gap_days", gap).fill_nan(None),
        pl.Series("days_apart", apart).fill_nan(None),
    )


def _first_day(profile: pl.DataFrame) -> list[pl.Expr]:
    """The longest pause of a day that has nothing before it, its edges among them."""
    if "longest_gap_minutes" not in profile.columns:
        return []
    is_first = pl.int_range(pl.len()) == 0
    return [pl.when(is_first).then(pl.col("longest_gap_minutes")).alias("first_day_gap_minutes")]


def _validate(
    suite: str,
    frame: pl.DataFrame,
    thresholds: Mapping[str, Any],
    docs_dir: Path | None,
) -> ContractReport:
    expectations = SUITES[suite]
    config = [_describe(item, suite, thresholds) for item in expectations]
    statistics = dict.fromkeys(item.statistic for item in expectations)
    day = pl.col("day").cast(pl.String)
    table = frame.select(day, *statistics).to_pandas()
    context, outcomes = _run(suite, table, config, is_shown=docs_dir is not None)
    found = {item.check: item for item in expectations}
    order = list(found)
    rows = {str(name): int(count) for name, count in frame.select(day, "rows").iter_rows()}
    failures = {failure for outcome in outcomes for failure in _failures(outcome, found, rows)}
    report = ContractReport(
        suite=suite,
        suite_config={
            "suite": suite,
            "engine": "great_expectations",
            "expectations": config,
            "history": asdict(limits_of(thresholds, suite)),
            **_settings(thresholds),
        },
        checks=tuple(found),
        days=tuple(sorted(rows)),
        rows=rows,
        # In the order of the suite, which names causes before their consequences.
        findings=tuple(sorted(failures, key=lambda f: (f.day, order.index(f.check), f.example))),
    )
    report = graded(report, thresholds, suite)
    if docs_dir is not None:
        return replace(report, page=write_data_docs(context, report, table, docs_dir))
    return report


def _settings(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """What the feed's settings change: nothing is said of the defaults."""
    quiet = feed_of(thresholds).quiet_weekdays
    return {"quiet_weekdays": list(quiet)} if quiet else {}


def _describe(
    item: Expectation, suite: str, thresholds: Mapping[str, Any]
) -> dict[str, str | float | bool]:
    bounds = {
        side: threshold(thresholds, suite, name)
        for side, name in (("minimum", item.minimum), ("maximum", item.maximum))
        if name
    }
    return {
        "check": item.check,
        "code": item.code,
        "statistic": item.statistic,
        "required": item.required,
        **bounds,
    }


def _run(
    suite: str, table: "pd.DataFrame", config: list[dict[str, Any]], *, is_shown: bool
) -> tuple[Any, Sequence[Any]]:
    """Validate the table with one suite; return the context and each expectation's result.

    `is_shown`: the context keeps the validation, for Data Docs; that costs as much again.
    """
    import great_expectations as gx  # takes seconds to import

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    data = context.data_sources.add_pandas("profiles").add_dataframe_asset(suite)
    days = data.add_batch_definition_whole_dataframe("days")
    bundle = gx.ExpectationSuite(name=suite, expectations=_objects(config))
    whole, form = {"dataframe": table}, _FORM
    if is_shown:
        validation = context.validation_definitions.add(
            gx.ValidationDefinition(name=suite, data=days, suite=context.suites.add(bundle))
        )
        result = validation.run(batch_parameters=whole, result_format=form)
    else:
        result = days.get_batch(whole).validate(bundle, result_format=form)
    if len(result.results) != len(bundle.expectations):
        told = f"{len(result.results)} of {len(bundle.expectations)} expectations were evaluated"
        raise DataError("CHECK_ERROR", told, remedy="report it; nothing was judged")
    return context, result.results


def _objects(config: list[dict[str, Any]]) -> list[Any]:
    """Return the Great Expectations objects of the described expectations."""
    import great_expectations as gx  # takes seconds to import

    ranges = [
        gx.expectations.ExpectColumnValuesToBeBetween(
            column=item["statistic"],
            min_value=item.get("minimum"),
            max_value=item.get("maximum"),
            meta={"check": item["check"]},
        )
        for item in config
    ]
    # A statistic that could not be computed must not pass as "nothing to compare with".
    presence = [
        gx.expectations.ExpectColumnValuesToNotBeNull(
            column=item["statistic"], meta={"check": item["check"]}
        )
        for item in config
        if item["required"]
    ]
    return [*ranges, *presence]


def _failures(
    outcome: Any,  # noqa: ANN401  # Great Expectations ships no usable type for it
    found: Mapping[str, Expectation],
    rows: Mapping[str, int],
) -> list[Failure]:
    if outcome.success:
        return []
    item = found[outcome.expectation_config.meta["check"]]
    places = outcome.result.get("unexpected_index_list")
    if not places:
        told = f"{item.check} could not be evaluated: {outcome.exception_info}"
        raise DataError("CHECK_ERROR", told, remedy="report it; nothing was judged")
    bounds = outcome.expectation_config.kwargs
    return [
        Failure(
            day=str(place["day"]),
            check=item.check,
            code=item.code,
            column=item.column,
            rows=0,
            example=f"{item.statistic} = {place.get(item.statistic)}",
            remedy=item.remedy,
            observed=_aggregate(place.get(item.statistic), rows[str(place["day"])]),
            minimum=bounds.get("min_value"),
            maximum=bounds.get("max_value"),
            warning=item.warning,
        )
        for place in places
    ]


def _aggregate(value: object, rows: int) -> float | None:
    """Return the statistic if it may leave this place: finite, and over enough rows."""
    if not isinstance(value, int | float) or rows < LEAST_ROWS_OF_AN_AGGREGATE:
        return None
    return float(value) if math.isfinite(value) else None
