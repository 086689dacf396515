"""The layout approves exactly the suites that are in force, thresholds included."""

import json
from typing import Any

import polars as pl
import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.fraud.columns import SCORE_SCHEMA
from fraud_provenance.fraud.contract import ContractReport
from fraud_provenance.fraud.expectations import check_feature_expectations, check_raw_expectations
from fraud_provenance.fraud.model import Split
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.schemas import check_feature_schema, check_raw_schema
from fraud_provenance.fraud.score_checks import check_scores
from fraud_provenance.fraud.training_checks import check_training_set
from fraud_provenance_tests.fraud.conftest import PROJECT

Days = dict[str, pl.DataFrame]
CONTRACTS = json.loads((PROJECT / "policies" / "data" / "layout.json").read_text())["contracts"]


@pytest.fixture(scope="module")
def feature_days(features: pl.DataFrame) -> Days:
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    return {
        str(key): rows.drop("day")
        for (key,), rows in features.with_columns(day=day).partition_by("day", as_dict=True).items()
    }


@pytest.fixture(scope="module")
def parts(features: pl.DataFrame) -> Days:
    stamps = pl.col("tx_datetime").dt.epoch("s")
    rows = features.with_columns(
        customer_feature_ts=stamps, terminal_feature_ts=stamps, split=pl.lit("train")
    )
    return {"train": rows, "evaluation": rows, "known_frauds": rows}


@pytest.fixture
def report(
    request: pytest.FixtureRequest,
    raw_days: Days,
    feature_days: Days,
    parts: Days,
    thresholds: dict[str, Any],
) -> ContractReport:
    few = dict(list(raw_days.items())[:10])
    few_features = {day: feature_days[day] for day in few}
    last = list(few)[-1:]
    match request.param:
        case "raw_schema":
            return check_raw_schema(few, thresholds)
        case "raw_expectations":
            return check_raw_expectations(profile_days(few), last, thresholds, None)
        case "feature_schema":
            return check_feature_schema(few_features, thresholds, pl.concat(few.values()))
        case "feature_expectations":
            profile = profile_days(few_features)
            return check_feature_expectations(profile, last, thresholds, None)
        case "scores_match_features":
            return scores_report(feature_days)
        case _:
            first, second, third = sorted(feature_days)[:3]
            asked = Split(train=(first,), delay=(second,), test=(third,))
            return check_training_set(parts, thresholds, feature_days, asked)


def scores_report(feature_days: Days) -> ContractReport:
    day, frame = next(iter(feature_days.items()))
    scored = frame.with_columns(score=pl.lit(0.5, pl.Float32), is_alert=pl.lit(False))
    return check_scores({day: scored.select(list(SCORE_SCHEMA))[1:]}, {day: frame}, b"", {})


@pytest.mark.parametrize(
    ("report", "suite"), [(name, name) for name in CONTRACTS], indirect=["report"], ids=CONTRACTS
)
def test_layout_approves_the_suite_in_force(report: ContractReport, suite: str) -> None:
    digest = encoding.digest_json(report.suite_config)
    approved = CONTRACTS[report.suite]["suite_digests"]
    assert report.suite == suite
    assert approved[-1] == digest, (
        f"{report.suite} changed: review it, then add {digest} to contracts.{report.suite}"
        ".suite_digests in policies/data/layout.json"
    )
