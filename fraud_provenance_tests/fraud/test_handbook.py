"""The published results, on the reference data (only where it is at hand)."""

from typing import Any

import polars as pl
import pytest

from fraud_provenance.data.landing import by_day
from fraud_provenance.data.reading import read_transactions
from fraud_provenance.fraud.evaluation import evaluate
from fraud_provenance.fraud.expectations import check_raw_expectations
from fraud_provenance.fraud.model import TrainingConfig, predict, resolve_split, train
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.recompute import recompute_features
from fraud_provenance.fraud.schemas import check_raw_schema
from fraud_provenance.fraud.transactions import to_raw
from fraud_provenance_tests.fraud.conftest import HANDBOOK


@pytest.fixture(scope="module")
def days() -> dict[str, pl.DataFrame]:
    parts = by_day(read_transactions(HANDBOOK))
    return {day: to_raw(frame) for day, frame in parts.items()}


def test_contracts_of_all_reference_days_hold(
    days: dict[str, pl.DataFrame], thresholds: dict[str, Any]
) -> None:
    schema = check_raw_schema(days, thresholds)
    whole_days = check_raw_expectations(profile_days(days), list(days), thresholds, None)

    assert len(schema.days) == len(whole_days.days) == 183
    assert schema.failures == whole_days.failures == ()


def test_model_of_the_reference_split_gives_the_published_results(
    days: dict[str, pl.DataFrame],
) -> None:
    split = resolve_split(TrainingConfig(), list(days))
    needed = [day for day in days if "2018-06-15" <= day <= split.test[-1]]
    features = recompute_features(pl.concat(days[day] for day in needed))
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    parts = {"train": split.train, "delay": split.delay, "test": split.test}
    rows = pl.concat(
        features.filter(day.is_in(list(names))).with_columns(split=pl.lit(part))
        for part, names in parts.items()
    )
    train_rows = rows.filter(pl.col("split") == "train")

    model = train(train_rows, TrainingConfig())
    result = evaluate(rows.with_columns(score=predict(model.ubj, model.feature_contract, rows)))

    assert (train_rows.height, train_rows["tx_fraud"].sum()) == (67_240, 598)
    assert (result["rows"], result["frauds"]) == (58_264, 385)
    assert (result["rows_before_removal"], result["frauds_before_removal"]) == (67_080, 568)
    assert result["auc_roc"] == pytest.approx(0.862, abs=0.002)
    assert result["average_precision"] == pytest.approx(0.639, abs=0.002)
    assert result["card_precision_100"] == pytest.approx(0.273, abs=0.002)
