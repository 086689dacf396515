"""The measured limits are those of the product's own contracts."""

import polars as pl
import pytest

from benchmarks import contracts
from benchmarks.contracts import (
    FAULTS,
    Days,
    Fault,
    Judged,
    Scene,
    chosen,
    honest,
    scaled,
    scene_of,
    smallest,
)
from benchmarks.feeds import SETTINGS, feed_with, habit
from fraud_provenance.fraud.contract import CODES
from fraud_provenance.fraud.expectations import check_raw_expectations
from fraud_provenance.fraud.feed import fitted
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.transactions import to_raw


@pytest.fixture(scope="module")
def days() -> Days:
    return {day: to_raw(frame) for day, frame in generate_days(45, 600, seed=7)}


@pytest.fixture(scope="module")
def scene(days: Days) -> Scene:
    return scene_of(days, 1)


@pytest.mark.parametrize(("share", "rows"), [(0.001, 1), (0.01, 10), (0.3, 300), (1.0, 1000)])
def test_chosen_rows_are_the_share_that_was_asked(share: float, rows: int) -> None:
    assert pl.select(pl.int_range(1000)).filter(chosen(share)).height == rows


# What a feed of any size must be told of; the rest needs more rows than these days have.
SURE = [
    fault
    for fault in FAULTS
    if fault.name.startswith(("DF-03", "DF-05", "DF-06", "DF-08", "DF-32", "N2", "N8", "any one"))
]


def test_every_code_is_one_that_a_contract_can_name() -> None:
    assert {fault.code for fault in FAULTS} <= CODES


@pytest.mark.parametrize("fault", SURE, ids=lambda fault: fault.name)
def test_large_fault_is_caught(scene: Scene, fault: Fault) -> None:
    sizes = fault.sizes or (0.4,)
    assert contracts.codes_of(scene, fault.change(scene, sizes[-1]))


def test_day_without_a_fault_is_not(scene: Scene) -> None:
    assert contracts.codes_of(scene, scene.own) == []


def test_smallest_size_of_a_missing_amount_is_one_row(scene: Scene) -> None:
    fault = next(fault for fault in FAULTS if "DF-05" in fault.name)
    best = smallest(scene, fault)
    assert best is not None
    assert best[0] * scene.own.height == pytest.approx(1)


def test_findings_are_those_of_the_suite(days: Days) -> None:
    last = max(days)
    profile = profile_days({**days, last: days[last].head(100)})
    report = check_raw_expectations(profile, [last], contracts.THRESHOLDS, None)
    codes = [failure.code for failure in report.findings]
    assert codes
    assert contracts.findings(profile, [last]) == {last: codes}


def test_honest_days_are_counted(days: Days) -> None:
    assert honest(iter(days.items())) == Judged(days=45)


def test_larger_feed_has_its_own_customers_and_ids(days: Days) -> None:
    rows = days[max(days)]
    larger = scaled(rows, 3)
    assert larger.height == larger["transaction_id"].n_unique() == 3 * rows.height
    assert larger["customer_id"].n_unique() == 3 * rows["customer_id"].n_unique()
    assert scaled(rows, 0.1).height < rows.height / 5


def test_held_day_does_not_hold_the_days_after_it(days: Days) -> None:
    day = sorted(days)[20]
    few = {**days, day: days[day].head(100)}
    judged = honest(iter(few.items()))
    assert (list(judged.held), judged.row) == ([day], 1)


def test_accepted_weekday_is_usual_a_week_later() -> None:
    judged = honest(habit("weekend", 600, 21), accepts=True)
    assert (list(judged.held), judged.days) == (["2018-11-17", "2018-11-18"], 21)


@pytest.mark.parametrize("name", SETTINGS)
def test_feed_with_settings_has_no_day_held(name: str) -> None:
    thresholds = fitted(contracts.THRESHOLDS, SETTINGS[name][0])
    judged = honest(feed_with(name, 600, 30), thresholds)
    assert (judged.held, judged.days) == ({}, 26 if name == "no-sundays" else 30)


def test_labels_of_other_payments_show_with_ten_frauds_where_frauds_recur() -> None:
    """The chance of that is judged, not a number of frauds: where few recur, few may be none."""
    days = {day: to_raw(frame) for day, frame in generate_days(46, 1_200, seed=7)}
    last = max(days)
    assert days[last]["tx_fraud"].sum() == 10
    turned = days[last].with_columns(pl.col("tx_fraud", "tx_fraud_scenario").reverse())
    assert contracts.findings(profile_days(days), [last]) == {last: []}
    profile = profile_days({**days, last: turned})
    assert contracts.findings(profile, [last]) == {last: ["LABEL_INCOHERENT"]}
