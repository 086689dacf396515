"""The same rows and parameters give the same bytes; anything else is refused by name."""

import pickle
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from fraud_provenance.fraud.columns import FEATURES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.model import (
    TrainedModel,
    TrainingConfig,
    XGBoostParameters,
    check_split,
    predict,
    resolve_split,
    train,
)

CONFIG = TrainingConfig(params=XGBoostParameters(n_estimators=10, max_depth=3))


def _days(first: str, count: int) -> list[str]:
    start = date.fromisoformat(first).toordinal()
    return [str(date.fromordinal(start + index)) for index in range(count)]


def _split_column() -> pl.Expr:
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    split = resolve_split(CONFIG, _days("2018-04-01", 50))
    return (
        pl.when(day.is_in(list(split.train)))
        .then(pl.lit("train"))
        .when(day.is_in(list(split.delay)))
        .then(pl.lit("delay"))
        .when(day.is_in(list(split.test)))
        .then(pl.lit("test"))
        .alias("split")
    )


@pytest.fixture(scope="module")
def rows(features: pl.DataFrame) -> pl.DataFrame:
    return features.with_columns(_split_column()).drop_nulls("split")


@pytest.fixture(scope="module")
def train_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("split") == "train")


@pytest.fixture(scope="module")
def model(train_rows: pl.DataFrame) -> TrainedModel:
    return train(train_rows, CONFIG)


def test_resolve_split_with_the_handbooks_days_available_takes_them() -> None:
    split = resolve_split(TrainingConfig(), _days("2018-04-01", 183))

    assert (split.train[0], split.train[-1]) == ("2018-07-25", "2018-07-31")
    assert (split.test[0], split.test[-1]) == ("2018-08-08", "2018-08-14")
    assert len(split.days) == 21


def test_resolve_split_without_them_takes_the_newest_days() -> None:
    split = resolve_split(TrainingConfig(), _days("2018-04-01", 60))

    assert (split.train[0], split.test[-1]) == ("2018-05-10", "2018-05-30")


def test_resolve_split_with_a_gap_names_the_missing_day() -> None:
    days = [day for day in _days("2018-04-01", 60) if day != "2018-05-20"]

    with pytest.raises(DataError, match=r"PARTITION_MISSING.*missing 2018-05-20"):
        resolve_split(TrainingConfig(), days)


@pytest.mark.parametrize("start", [None, date(2018, 5, 9)])
def test_resolve_split_goes_past_a_day_that_was_declared_empty(start: date | None) -> None:
    days = [day for day in _days("2018-04-01", 60) if day != "2018-05-20"]

    split = resolve_split(TrainingConfig(train_start=start), days, ["2018-05-20", "2018-05-21"])

    assert (split.days[0], split.days[-1], len(split.days)) == ("2018-05-09", "2018-05-30", 21)
    assert "2018-05-20" not in split.days
    assert "2018-05-21" in split.days


@pytest.mark.parametrize("start", [None, date(2018, 4, 1)])
def test_resolve_split_with_no_days_is_refused(start: date | None) -> None:
    with pytest.raises(DataError, match="PARTITION_MISSING"):
        resolve_split(TrainingConfig(train_start=start), [])


@pytest.mark.parametrize(
    "change",
    [
        {"sample_frac": 0.01},
        {"delay_days": 6},
        {"params": {"n_trees": 3}},
        {"params": {"gamma": float("nan")}},
    ],
)
def test_training_config_of_an_unknown_or_impossible_value_is_refused(
    change: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(change)


def test_train_on_shuffled_rows_gives_the_same_bytes(
    train_rows: pl.DataFrame, model: TrainedModel
) -> None:
    again = train(train_rows.sample(fraction=1.0, shuffle=True, seed=1), CONFIG)

    assert again == model


def test_train_states_every_parameter_and_the_contract(model: TrainedModel) -> None:
    learner = model.resolved_parameters["booster"]["learner"]

    assert model.resolved_parameters["requested"]["tree_method"] == "exact"
    assert learner["gradient_booster"]["name"] == "gbtree"
    assert model.feature_contract["names"] == list(FEATURES)
    assert 0 < model.feature_contract["threshold"] < 1


def test_predict_gives_float32_probabilities_that_tell_frauds_apart(
    train_rows: pl.DataFrame, model: TrainedModel
) -> None:
    scores = predict(model.ubj, model.feature_contract, train_rows)

    fraud = train_rows["tx_fraud"].to_numpy() == 1
    assert scores.dtype == np.float32
    assert scores[fraud].mean() > 3 * scores[~fraud].mean()
    assert predict(model.ubj, model.feature_contract, train_rows.clear()).shape == (0,)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(pickle.dumps({"a": 1}), "FORMAT_MAGIC", id="pickle"),
        pytest.param(b'{"learner": {}}', "FORMAT_MAGIC", id="text-json"),
        pytest.param(b"", "FORMAT_MAGIC", id="empty"),
        pytest.param(b"{L" + bytes(40), "MODEL_MALFORMED", id="nonsense"),
    ],
)
def test_predict_with_bytes_that_are_no_model_is_refused(
    train_rows: pl.DataFrame, model: TrainedModel, content: bytes, code: str
) -> None:
    with pytest.raises(DataError, match=code):
        predict(content, model.feature_contract, train_rows)


def test_predict_with_a_cut_off_model_is_refused(
    train_rows: pl.DataFrame, model: TrainedModel
) -> None:
    with pytest.raises(DataError, match="MODEL_MALFORMED"):
        predict(model.ubj[:500], model.feature_contract, train_rows)


def test_predict_with_another_models_contract_is_refused(
    train_rows: pl.DataFrame, model: TrainedModel
) -> None:
    swapped = {**model.feature_contract, "names": list(reversed(FEATURES))}

    with pytest.raises(DataError, match="FEATURE_DEF_MISMATCH"):
        predict(model.ubj, swapped, train_rows)


def test_predict_with_a_missing_value_is_refused(
    train_rows: pl.DataFrame, model: TrainedModel
) -> None:
    holes = train_rows.with_columns(tx_amount=pl.lit(None, pl.Float64))

    with pytest.raises(DataError, match="NON_FINITE"):
        predict(model.ubj, model.feature_contract, holes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(pl.lit(1).alias("chargeback_date"), "LEAKAGE_FEATURE", id="outcome"),
        pytest.param(pl.lit("test").alias("split"), "SPLIT_CONTAMINATION", id="test-rows"),
        pytest.param(pl.lit(0, pl.Int32).alias("transaction_id"), "DUPLICATE_KEY", id="twice"),
        pytest.param(pl.lit(0, pl.Int8).alias("tx_fraud"), "LABEL_RATE", id="one-class"),
        pytest.param(pl.lit(float("inf")).alias("tx_amount"), "NON_FINITE", id="infinite"),
        pytest.param(pl.lit("1").alias("tx_amount"), "SCHEMA_TYPE", id="text"),
    ],
)
def test_train_on_a_wrong_frame_is_refused(
    train_rows: pl.DataFrame, change: pl.Expr, code: str
) -> None:
    with pytest.raises(DataError, match=code):
        train(train_rows.with_columns(change), CONFIG)


def test_check_split_of_parts_by_whole_days_finds_nothing(
    rows: pl.DataFrame, train_rows: pl.DataFrame
) -> None:
    assert check_split(train_rows, rows.filter(pl.col("split") != "train")) == []


def test_check_split_of_random_parts_names_the_contamination(rows: pl.DataFrame) -> None:
    mixed = rows.with_columns(
        split=pl.when(pl.col("transaction_id") % 2 == 0)
        .then(pl.lit("train"))
        .otherwise(pl.lit("test"))
    )
    parts = (mixed.filter(pl.col("split") == "train"), mixed.filter(pl.col("split") == "test"))

    found = check_split(*parts)

    assert {failure.code for failure in found} == {"SPLIT_CONTAMINATION"}
    assert "parts_follow_each_other_in_time" in {failure.check for failure in found}


def test_check_split_of_a_shared_transaction_names_it(
    rows: pl.DataFrame, train_rows: pl.DataFrame
) -> None:
    evaluation = rows.filter(pl.col("split") != "train")
    planted = pl.concat([evaluation, train_rows.head(2).with_columns(split=pl.lit("delay"))])

    found = {failure.check: failure.rows for failure in check_split(train_rows, planted)}

    assert found["transactions_are_in_one_part_only"] == 2
