"""The fraud model: which days it learns from, how it is fitted, and how it scores.

XGBoost with every parameter written down: the library's defaults alone moved the published average
precision from 0.639 to 0.568. Models are UBJSON bytes plus a feature contract; nothing is pickled.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, LABEL
from fraud_provenance.fraud.contract import Failure
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import xgboost as xgb

HANDBOOK_TRAIN_START: Final = date(2018, 7, 25)
SPLIT_COLUMNS: Final = ("split", "customer_feature_ts", "terminal_feature_ts")
"""What a training set has besides the features: its part, and the proof of its point-in-time
join."""

_UBJSON_OBJECT = b"{"


class XGBoostParameters(BaseModel):
    """Every parameter that shapes the model, none left to the library's defaults.

    The defaults give the handbook's published XGBoost baseline (chapter 3).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objective: Literal["binary:logistic"] = "binary:logistic"
    booster: Literal["gbtree"] = "gbtree"
    tree_method: Literal["exact", "hist", "approx"] = "exact"
    base_score: float = Field(default=0.5, gt=0, lt=1)
    n_estimators: int = Field(default=100, ge=1, le=5_000)
    max_depth: int = Field(default=6, ge=1, le=16)
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    min_child_weight: float = Field(default=1.0, ge=0)
    gamma: float = Field(default=0.0, ge=0)
    reg_alpha: float = Field(default=0.0, ge=0)
    reg_lambda: float = Field(default=1.0, ge=0)
    subsample: float = Field(default=1.0, gt=0, le=1)
    colsample_bytree: float = Field(default=1.0, gt=0, le=1)
    max_delta_step: float = Field(default=0.0, ge=0)
    scale_pos_weight: float = Field(default=1.0, gt=0)
    seed: int = Field(default=0, ge=0)
    nthread: int = Field(default=1, ge=1, le=64)


class TrainingConfig(BaseModel):
    """Days and parameters of one training; a closed schema, so that a typing error is an error.

    Attributes:
        train_start: First train day; None takes the handbook's days if all are there, else the
            newest ones.
        train_days: Days learnt from.
        delay_days: Days between train and test whose labels are not known yet at training time.
        test_days: Days evaluated on.
        retrain_after_days: So many newer days make a new training due, where nothing else does.
        cards_per_day: Cards that can be investigated a day; sets the decision threshold.
        params: The model's parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_start: date | None = None
    train_days: int = Field(default=7, ge=1, le=366)
    delay_days: int = Field(default=7, ge=7, le=366)
    test_days: int = Field(default=7, ge=1, le=366)
    retrain_after_days: int = Field(default=1, ge=1, le=366)
    cards_per_day: int = Field(default=100, ge=1)
    params: XGBoostParameters = XGBoostParameters()


@dataclass(frozen=True)
class Split:
    """Days ("2018-07-25") of the three consecutive parts, each ascending."""

    train: tuple[str, ...]
    delay: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def days(self) -> tuple[str, ...]:
        """All days, ascending."""
        return (*self.train, *self.delay, *self.test)


@dataclass(frozen=True)
class TrainedModel:
    """One trained model.

    Attributes:
        ubj: The booster as UBJSON; the same data, parameters and versions give the same bytes.
        feature_contract: JSON-able: the inputs' names in order, their dtypes, the decision
            threshold and the meaning of the output.
        resolved_parameters: JSON-able: what was asked for, and the library's own full account.
    """

    ubj: bytes
    feature_contract: dict[str, Any]
    resolved_parameters: dict[str, Any]


def resolve_split(
    config: TrainingConfig, available_days: Sequence[str], empty_days: Collection[str] = ()
) -> Split:
    """Choose the days of train, delay and test.

    Args:
        config: The training's configuration.
        available_days: The days that can be read, in any order.
        empty_days: Days that were declared empty; where one is not available, it is gone past.

    Returns:
        Consecutive days. Without `train_start`: the handbook's (train from 2018-07-25) if all of
        them are available, else those that end with the newest available day.

    Raises:
        DataError: PARTITION_MISSING, naming the days that are needed and not available.
    """
    available = set(available_days)
    if not available:
        raise DataError(
            "PARTITION_MISSING",
            "no days are available",
            remedy="bring days in: `fraud-provenance import FILE`, then `fraud-provenance run`",
        )
    empty = set(empty_days) - available
    length = config.train_days + config.delay_days + config.test_days
    if config.train_start is not None:
        days = _consecutive(config.train_start, length, empty)
    else:
        days = _consecutive(HANDBOOK_TRAIN_START, length, empty)
        if not available.issuperset(days):
            newest = date.fromisoformat(max(available))
            days = _consecutive(newest, length, empty, step=-1)[::-1]
    missing = [day for day in days if day not in available]
    if missing:
        raise DataError(
            "PARTITION_MISSING",
            f"training needs {days[0]} to {days[-1]}, missing {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            remedy="bring these days in (`fraud-provenance import FILE`, then `fraud-provenance "
            "run`), accept those that are held, or learn from others: `fraud-provenance run "
            "--train-start DAY`",
        )
    delay, test = config.train_days, config.train_days + config.delay_days
    return Split(train=days[:delay], delay=days[delay:test], test=days[test:])


def _consecutive(start: date, count: int, empty: Collection[str], step: int = 1) -> tuple[str, ...]:
    """So many days from `start` on (or back), without those that were declared empty."""
    span = range(count + len(empty))
    days = [str(start + timedelta(days=index * step)) for index in span]
    return tuple([day for day in days if day not in empty][:count])


def check_split(train: pl.DataFrame, evaluation: pl.DataFrame) -> list[Failure]:
    """Check that nothing of the evaluation was learnt from.

    Args:
        train: Rows with transaction_id, tx_datetime, split.
        evaluation: Rows with the same columns, parts "delay" and "test".

    Returns:
        SPLIT_CONTAMINATION failures: a transaction in both, a wrong part, or parts that do not
        follow each other in time. Empty if all is well.
    """
    remedy = "split by whole days: train, then delay, then test"
    shared = train.join(evaluation, on="transaction_id", how="semi")
    parts = pl.concat(
        [
            train.select("split", "tx_datetime", part=pl.lit(0)),
            evaluation.select(
                "split",
                "tx_datetime",
                part=pl.when(pl.col("split") == "delay").then(1).otherwise(2),
            ),
        ]
    ).with_columns(day=pl.col("tx_datetime").dt.date())
    named = pl.col("split") == pl.lit(["train", "delay", "test"]).list.get(pl.col("part"))
    wrong = parts.filter(~named)
    spans = parts.group_by("part").agg(
        pl.col("day").min().alias("a"), pl.col("day").max().alias("z")
    )
    spans = spans.sort("part").with_columns(previous=pl.col("z").shift(1))
    late = spans.filter(pl.col("a") <= pl.col("previous"))
    found = (
        ("transactions_are_in_one_part_only", shared.height, "transaction in both parts"),
        ("parts_have_their_own_name", wrong.height, "row under another part's name"),
        ("parts_follow_each_other_in_time", late.height, "day shared by two parts"),
        ("parts_are_not_empty", 3 - spans.height, "part without rows"),
    )
    day = str(parts["day"].max()) if parts.height else ""
    return [
        Failure(day, check, "SPLIT_CONTAMINATION", "split", rows, example, remedy)
        for check, rows, example in found
        if rows
    ]


def train(frame: pl.DataFrame, config: TrainingConfig) -> TrainedModel:
    """Fit the model.

    Args:
        frame: Train rows x at least the columns of `FEATURE_SCHEMA`; besides them only those of
            `SPLIT_COLUMNS`. Order of rows does not matter.
        config: The training's configuration.

    Returns:
        The model. Its threshold is the median, over the train days, of the score of the day's
        `cards_per_day`-th riskiest card (its lowest score on days with fewer cards): what is at or
        above it is about what can be investigated a day.

    Raises:
        DataError: LEAKAGE_FEATURE for a column that is no agreed input; SPLIT_CONTAMINATION for
            rows of another part; SCHEMA_COLUMN_MISSING, SCHEMA_TYPE, NON_FINITE, DUPLICATE_KEY;
            LABEL_RATE if there is only one class.
    """
    import xgboost as xgb  # takes seconds to import

    _check_training_frame(frame)
    rows = frame.sort("transaction_id")
    labels = rows[LABEL].to_numpy()
    names = list(FEATURES)
    data = xgb.DMatrix(
        matrix(rows, names), label=labels, feature_names=names, nthread=config.params.nthread
    )
    params = config.params.model_dump(exclude={"n_estimators"})
    booster = xgb.train(
        {**params, "validate_parameters": True}, data, num_boost_round=config.params.n_estimators
    )
    scores = booster.predict(data)
    contract = {
        "format": "ubj",
        "names": names,
        "dtypes": ["float32"] * len(names),
        "output": "probability of fraud, float32",
        "threshold": _threshold(rows, scores, config.cards_per_day),
        "threshold_meaning": f"score of the {config.cards_per_day}th riskiest card of a train day",
    }
    resolved = {
        "requested": config.params.model_dump(),
        "library": {"name": "xgboost", "version": xgb.__version__},
        "booster": json.loads(booster.save_config()),
    }
    return TrainedModel(bytes(booster.save_raw(raw_format="ubj")), contract, resolved)


def predict(
    ubj: bytes, feature_contract: dict[str, Any], frame: pl.DataFrame
) -> npt.NDArray[np.float32]:
    """Score transactions.

    Args:
        ubj: The model's bytes, as verified by the caller.
        feature_contract: The contract made with the model.
        frame: Rows x at least the contract's inputs.

    Returns:
        One probability of fraud per row, in row order, float32.

    Raises:
        DataError: FORMAT_MAGIC if the bytes are no UBJSON object, MODEL_MALFORMED if they are no
            model, FEATURE_DEF_MISMATCH if model and contract disagree, SCHEMA_COLUMN_MISSING,
            SCHEMA_TYPE or NON_FINITE.
    """
    import xgboost as xgb  # takes seconds to import

    names = [str(name) for name in feature_contract["names"]]
    booster = load_booster(ubj)
    if booster.feature_names != names:
        raise DataError(
            "FEATURE_DEF_MISMATCH",
            f"the model's inputs are {booster.feature_names}, the contract's {names}",
            remedy="use the contract that was signed with this model",
        )
    if frame.height == 0:
        return np.empty(0, dtype=np.float32)
    data = xgb.DMatrix(matrix(frame, names), feature_names=names, nthread=1)
    return np.asarray(booster.predict(data), dtype=np.float32)


def load_booster(ubj: bytes) -> "xgb.Booster":
    """The booster that UBJSON bytes hold; nothing is unpickled.

    Raises:
        DataError: FORMAT_MAGIC or MODEL_MALFORMED.
    """
    import xgboost as xgb  # takes seconds to import

    # Text JSON also starts with a brace; its second byte is a quote or white space, never a length.
    if ubj[:1] != _UBJSON_OBJECT or ubj[1:2] in (b'"', b" ", b"\n", b"\t", b"}", b""):
        raise DataError(
            "FORMAT_MAGIC", f"expected UBJSON, found {ubj[:4]!r}", remedy="save the model as ubj"
        )
    try:
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(ubj))
    except xgb.core.XGBoostError as error:
        raise DataError(
            "MODEL_MALFORMED",
            f"XGBoost cannot load it: {str(error)[:200]}",
            remedy="train the model again",
        ) from error
    return booster


def _check_training_frame(frame: pl.DataFrame) -> None:
    strange = [n for n in frame.columns if n not in FEATURE_SCHEMA and n not in SPLIT_COLUMNS]
    if strange:
        raise DataError(
            "LEAKAGE_FEATURE",
            f"{strange} are no agreed inputs; they may be derived from the outcome",
            column=strange[0],
            remedy="drop the column, or add it to the features with its definition",
        )
    missing = [name for name in FEATURE_SCHEMA if name not in frame.columns]
    if missing:
        raise DataError(
            "SCHEMA_COLUMN_MISSING", f"missing {missing}", column=missing[0], remedy="add it"
        )
    if "split" in frame.columns and set(frame["split"].unique()) != {"train"}:
        raise DataError(
            "SPLIT_CONTAMINATION",
            f"expected rows of part 'train' only, found {sorted(set(frame['split']), key=str)}",
            column="split",
            remedy="train on train.parquet",
        )
    if frame["transaction_id"].n_unique() != frame.height:
        raise DataError(
            "DUPLICATE_KEY", "a transaction occurs twice", column="transaction_id", remedy="drop it"
        )
    if frame[LABEL].null_count() or set(frame[LABEL].unique()) != {0, 1}:
        raise DataError(
            "LABEL_RATE",
            f"expected labels 0 and 1, found {sorted(set(frame[LABEL]), key=str)[:5]}",
            column=LABEL,
            remedy="train on days that have frauds: `fraud-provenance run --train-days N`",
        )


def matrix(frame: pl.DataFrame, names: list[str]) -> npt.NDArray[np.float32]:
    """Rows x inputs as float32, as the model sees them.

    Raises:
        DataError: SCHEMA_COLUMN_MISSING, SCHEMA_TYPE, NON_FINITE.
    """
    for name in names:
        if name not in frame.columns:
            raise DataError(
                "SCHEMA_COLUMN_MISSING", f"missing {name}", column=name, remedy="add it"
            )
        if not frame.schema[name].is_numeric():
            raise DataError(
                "SCHEMA_TYPE",
                f"expected numbers, found {frame.schema[name]}",
                column=name,
                remedy="deliver numbers",
            )
    matrix = frame.select(pl.col(name).cast(pl.Float32) for name in names).to_numpy()
    bad = ~np.isfinite(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            "NON_FINITE",
            "an input is missing or infinite",
            column=names[int(column)],
            rows=[int(row) + 1],
            row_count=int(bad.any(axis=1).sum()),
            remedy="check the features' contracts",
        )
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _threshold(rows: pl.DataFrame, scores: npt.NDArray[np.float32], cards: int) -> float:
    per_card = (
        rows.select("customer_id", day=pl.col("tx_datetime").dt.date())
        .with_columns(score=pl.Series(scores))
        .group_by("day", "customer_id")
        .agg(pl.col("score").max())
    )
    per_day = per_card.group_by("day").agg(pl.col("score").top_k(cards).min())
    return float(np.median(per_day["score"].to_numpy()))
