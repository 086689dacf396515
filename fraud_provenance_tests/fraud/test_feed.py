"""Settings of a feed move bounds: what is honest there passes, and what is a fault stays one."""

import json
from datetime import date
from typing import Any

import jsonschema
import polars as pl
import pytest

from benchmarks.feeds import AMOUNT, SETTINGS, Change, settings, some
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.expectations import check_raw_expectations
from fraud_provenance.fraud.feed import Feed, feed_of, fitted
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.schemas import check_raw_schema
from fraud_provenance.fraud.transactions import to_raw
from fraud_provenance_tests.fraud.conftest import PROJECT

Days = dict[str, pl.DataFrame]
SCHEMA = json.loads((PROJECT / "policies" / "schemas" / "feed.json").read_text("utf-8"))
SHIPPED = json.loads((PROJECT / "policies" / "data" / "feed.json").read_text("utf-8"))


FEEDS = {name: feed for name, feed in SETTINGS.items() if name != "no-sundays"}


@pytest.fixture(scope="module")
def days() -> Days:
    """Eighteen days, so that a Sunday is among the last ones."""
    return {day: to_raw(frame) for day, frame in generate_days(18, 1_000, seed=4)}


def failed(days: Days, thresholds: dict[str, Any], judged: list[str]) -> set[str]:
    schema = check_raw_schema({day: days[day] for day in judged}, thresholds)
    if schema.failures:
        return {item.code for item in schema.failures}
    report = check_raw_expectations(profile_days(days), judged, thresholds, None)
    return {item.code for item in report.failures}


@pytest.mark.parametrize("name", FEEDS)
def test_feed_passes_by_its_settings_and_is_refused_without_them(
    days: Days, thresholds: dict[str, Any], name: str
) -> None:
    feed, change = FEEDS[name]
    changed = {day: change(rows) for day, rows in days.items()}
    assert failed(changed, fitted(thresholds, feed), list(changed)) == set()
    assert failed(changed, fitted(thresholds, {}), list(changed))


FAULTS: dict[str, tuple[str, Change]] = {
    "hundredfold": ("UNIT_SHIFT", lambda f: f.with_columns((AMOUNT * 100).round(3))),
    "zeros": ("DISTRIBUTION_SHIFT", some(5, pl.lit(0.0))),
    "missing": ("NULL_RATE", some(30, pl.lit(float("nan")))),
    "all-signs-turned": ("UNIT_SHIFT", lambda f: f.with_columns(-AMOUNT - 0.01)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", FEEDS)
def test_settings_switch_no_fault_off(
    days: Days, thresholds: dict[str, Any], name: str, fault: str
) -> None:
    feed, change = FEEDS[name]
    changed = {day: change(rows) for day, rows in days.items()}
    day = max(changed)
    code, spoil = FAULTS[fault]
    found = failed({**changed, day: spoil(changed[day])}, fitted(thresholds, feed), [day])
    assert found & {code, "VALUE_RANGE"}


def test_quiet_weekday_is_no_gap_and_another_missing_day_is(
    days: Days, thresholds: dict[str, Any]
) -> None:
    own = fitted(thresholds, settings(quiet_weekdays=[7]))
    no_sundays = {day: f for day, f in days.items() if date.fromisoformat(day).weekday() != 6}
    assert failed(no_sundays, own, list(no_sundays)) == set()
    assert failed(no_sundays, thresholds, list(no_sundays)) == {"STALE_FEED"}
    hole = {day: f for day, f in no_sundays.items() if date.fromisoformat(day).weekday() != 2}
    assert failed(hole, own, list(hole)) == {"STALE_FEED"}


def test_settings_are_part_of_the_suites_digest(days: Days, thresholds: dict[str, Any]) -> None:
    profile, day = profile_days(days), [max(days)]
    plain = check_raw_expectations(profile, day, thresholds, None).suite_config
    for feed in (*(feed for feed, _ in FEEDS.values()), settings(quiet_weekdays=[7])):
        own = fitted(thresholds, feed)
        other = check_raw_expectations(profile, day, own, None).suite_config
        rows = check_raw_schema(days, own).suite_config
        assert (other, rows) != (plain, check_raw_schema(days, thresholds).suite_config)


def test_defaults_are_what_ships_and_what_an_older_policy_has(thresholds: dict[str, Any]) -> None:
    assert feed_of({"feed": SHIPPED}) == feed_of({}) == Feed()
    assert fitted(thresholds, SHIPPED) == {**thresholds, "feed": SHIPPED}
    jsonschema.validate(SHIPPED, SCHEMA)


@pytest.mark.parametrize("feed", [{"decimals": {"value": 2}}, {"refunds": {}}, {"refunds": 1}, 3])
def test_setting_that_is_none_is_refused(thresholds: dict[str, Any], feed: object) -> None:
    with pytest.raises(DataError, match="THRESHOLD_TYPE"):
        feed_of({**thresholds, "feed": feed})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(feed, SCHEMA)
