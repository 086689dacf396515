"""The scores' contract: one row for each transaction of the features, the model's own output."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from fraud_provenance.fraud.columns import SCORE_SCHEMA
from fraud_provenance.fraud.contract import CODES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.model import TrainedModel, TrainingConfig, predict, train
from fraud_provenance.fraud.score_checks import check_scores

DAY = "2018-04-20"
SOME = -1  # however many the day has
Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def day_of_features(features: pl.DataFrame) -> pl.DataFrame:
    last = features["tx_datetime"].dt.date().max()
    return features.filter(pl.col("tx_datetime").dt.date() == last)


@pytest.fixture(scope="module")
def model(features: pl.DataFrame) -> TrainedModel:
    return train(features, TrainingConfig(params={"n_estimators": 3, "max_depth": 2}))


@pytest.fixture(scope="module")
def scored(day_of_features: pl.DataFrame, model: TrainedModel) -> pl.DataFrame:
    own = pl.Series("score", predict(model.ubj, model.feature_contract, day_of_features))
    limit = float(model.feature_contract["threshold"])
    return day_of_features.with_columns(own, is_alert=own >= limit).select(list(SCORE_SCHEMA))


def findings(
    scored: pl.DataFrame, features: pl.DataFrame, model: TrainedModel, tolerance: float = 0.0
) -> list[tuple[str, str, int]]:
    report = check_scores(
        {DAY: scored}, {DAY: features}, model.ubj, model.feature_contract, tolerance
    )
    assert report.rows == {DAY: features.height}
    assert {item.code for item in report.failures} <= CODES
    return [(item.code, item.column, item.rows) for item in report.failures]


def test_scores_as_the_model_gives_them_pass_in_any_order(
    scored: pl.DataFrame, day_of_features: pl.DataFrame, model: TrainedModel
) -> None:
    assert findings(scored, day_of_features, model) == []
    assert findings(scored.reverse(), day_of_features, model) == []


def at(row: int, column: str, value: pl.Expr | int | None) -> Change:
    """A lie: one cell has another value."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        here = pl.int_range(pl.len()) == row
        other = pl.when(here).then(value).otherwise(pl.col(column)).cast(SCORE_SCHEMA[column])
        return frame.with_columns(other.alias(column))

    return change


LIES: dict[str, tuple[Change, list[tuple[str, str, int]]]] = {
    "a card is left out": (
        lambda frame: frame.filter(pl.col("transaction_id") != frame["transaction_id"][3]),
        [("PREDLOG_GAP", "transaction_id", 1)],
    ),
    "all rows are left out": (
        lambda frame: frame.clear(),
        [("PREDLOG_GAP", "transaction_id", SOME)],
    ),
    "a row comes twice": (
        lambda frame: pl.concat([frame, frame[:1]]),
        [("PREDLOG_GAP", "transaction_id", 1)],
    ),
    "a row comes twice in another's place": (
        lambda frame: pl.concat([frame[1:], frame[1:2]]),
        [("PREDLOG_GAP", "transaction_id", 2)],
    ),
    "a row has no id": (
        at(0, "transaction_id", None),
        [("PREDLOG_GAP", "transaction_id", 2)],
    ),
    "another customer": (
        at(5, "customer_id", -1),
        [("FEATURE_RECOMPUTE_MISMATCH", "customer_id", 1)],
    ),
    "another terminal": (
        at(5, "terminal_id", -1),
        [("FEATURE_RECOMPUTE_MISMATCH", "terminal_id", 1)],
    ),
    "another amount": (
        at(5, "tx_amount", pl.col("tx_amount") + 0.01),
        [("FEATURE_RECOMPUTE_MISMATCH", "tx_amount", 1)],
    ),
    "another moment": (
        at(5, "tx_datetime", pl.col("tx_datetime") + pl.duration(seconds=1)),
        [("FEATURE_RECOMPUTE_MISMATCH", "tx_datetime", 1)],
    ),
    "an amount is missing": (
        at(5, "tx_amount", None),
        [("FEATURE_RECOMPUTE_MISMATCH", "tx_amount", 1)],
    ),
    "one score in its last bit": (
        lambda frame: frame.with_columns(
            pl.Series("score", _last_bit(frame["score"]), dtype=pl.Float32)
        ),
        [("FEATURE_RECOMPUTE_MISMATCH", "score", 1)],
    ),
    "an alert is taken back": (
        lambda frame: frame.with_columns(is_alert=pl.lit(False)),
        [("FEATURE_RECOMPUTE_MISMATCH", "is_alert", SOME)],
    ),
    "a column besides": (
        lambda frame: frame.with_columns(reviewed=pl.lit(True)),
        [("SCHEMA_COLUMN_UNKNOWN", "reviewed", SOME)],
    ),
    "a column is gone": (
        lambda frame: frame.drop("tx_amount"),
        [("SCHEMA_COLUMN_MISSING", "tx_amount", SOME)],
    ),
    "a column of another type": (
        lambda frame: frame.with_columns(pl.col("score").cast(pl.Float64)),
        [("SCHEMA_TYPE", "score", SOME)],
    ),
}


def _last_bit(scores: pl.Series) -> npt.NDArray[np.float32]:
    bits = scores.to_numpy().copy().view(np.uint32)
    bits[0] ^= 1
    return bits.view(np.float32)


@pytest.mark.parametrize(("lie", "expected"), LIES.values(), ids=LIES)
def test_lie_is_named_with_its_rows(
    lie: Change,
    expected: list[tuple[str, str, int]],
    scored: pl.DataFrame,
    day_of_features: pl.DataFrame,
    model: TrainedModel,
) -> None:
    found = findings(lie(scored), day_of_features, model)
    assert [item[:2] for item in found] == [item[:2] for item in expected]
    rows = [(item[2], wanted[2]) for item, wanted in zip(found, expected, strict=True)]
    assert all(count == wanted or (wanted == SOME and count > 0) for count, wanted in rows)


def test_other_library_may_differ_a_little_and_never_in_alerts(
    scored: pl.DataFrame, day_of_features: pl.DataFrame, model: TrainedModel
) -> None:
    near = LIES["one score in its last bit"][0](scored)
    far = at(0, "score", pl.col("score") * 1.1)(scored)
    assert findings(near, day_of_features, model, 0.001) == []
    assert findings(far, day_of_features, model, 0.001)[0][:2] == (
        "FEATURE_RECOMPUTE_MISMATCH",
        "score",
    )


def test_no_day_is_not_judged(model: TrainedModel) -> None:
    with pytest.raises(DataError, match="PARTITION_MISSING"):
        check_scores({}, {}, model.ubj, model.feature_contract)
