"""A score taken apart: the same bits, and shares that add up to the log odds."""

import numpy as np
import polars as pl
import pytest

from fraud_provenance.fraud.columns import FEATURES
from fraud_provenance.fraud.explain import explain
from fraud_provenance.fraud.model import TrainedModel, TrainingConfig, predict, train


@pytest.fixture(scope="module")
def model(features: pl.DataFrame) -> TrainedModel:
    return train(features, TrainingConfig(params={"n_estimators": 20, "max_depth": 4}))


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_shares_add_up_and_the_score_is_the_models_own(
    features: pl.DataFrame, model: TrainedModel, place: int
) -> None:
    row = features[place] if place >= 0 else features[-1:]
    found = explain(model.ubj, model.feature_contract, row)
    own = predict(model.ubj, model.feature_contract, row)[0]
    assert found.score.view(np.uint32) == own.view(np.uint32)
    assert found.bits == f"{int(own.view(np.uint32)):08x}"
    assert list(found.contributions) == list(FEATURES)
    assert sum(found.contributions.values()) + found.base == pytest.approx(found.margin, abs=1e-5)
    assert 1 / (1 + np.exp(-found.margin)) == pytest.approx(float(own), abs=1e-6)


def test_an_input_that_no_tree_asks_for_has_no_share(features: pl.DataFrame) -> None:
    same = features.with_columns(tx_during_night=pl.lit(0, dtype=pl.Int8))
    model = train(same, TrainingConfig(params={"n_estimators": 5, "max_depth": 2}))
    found = explain(model.ubj, model.feature_contract, same[:1])
    assert found.contributions["tx_during_night"] == 0
