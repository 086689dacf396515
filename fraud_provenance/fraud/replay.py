"""A model's numbers and a day's scores from raw rows alone, as one chain of pure functions.

In: raw rows, the days of each part, parameters. Out: metrics, or scores. The steps' own functions
are called, so that with nothing changed the signed numbers come out again, bit for bit. Nothing of
this project but `fraud` is imported: the same file runs under the code of another commit.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

METRICS = ("average_precision", "auc_roc", "card_precision_100")
ALERT_RATE = "alert_rate"
"""The share of the test days' payments that reach the model's own threshold."""
_RESAMPLED = 25


def features_by_day(raw: pl.DataFrame) -> pl.DataFrame:
    """The features of raw rows x the columns of `FEATURE_SCHEMA` and `day` ("2018-07-25")."""
    from fraud_provenance.fraud.recompute import recompute_features

    made = recompute_features(raw)
    return made.with_columns(day=pl.col("tx_datetime").dt.date().cast(pl.String))


def learn(
    features: pl.DataFrame, days: Sequence[str], parameters: Mapping[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Fit a model on some days; returns (UBJ bytes, feature contract).

    `parameters` are those that the step signed: the model's, and `cards_per_day`.

    Raises:
        DataError: as `model.train`.
    """
    from fraud_provenance.fraud.model import TrainingConfig, XGBoostParameters, train

    own = dict(parameters)
    cards = own.pop("cards_per_day")
    config = TrainingConfig(params=XGBoostParameters(**own), cards_per_day=cards)
    made = train(features.filter(pl.col("day").is_in(list(days))).drop("day"), config)
    return made.ubj, made.feature_contract


def held_out(
    features: pl.DataFrame, parts: Mapping[str, Sequence[str]], model: tuple[bytes, dict[str, Any]]
) -> pl.DataFrame:
    """The rows that a model is measured on, scored: delay and test days, and known frauds.

    Raises:
        DataError: as `model.predict`.
    """
    from fraud_provenance.fraud.model import predict

    frames = []
    for part, days in parts.items():
        rows = features.filter(pl.col("day").is_in(list(days))).drop("day")
        if part == "train":
            rows = rows.filter(pl.col("tx_fraud") == 1)
            values = pl.repeat(None, rows.height, dtype=pl.Float32, eager=True)
        else:
            values = pl.Series(predict(*model, rows), dtype=pl.Float32)
        frames.append(rows.with_columns(split=pl.lit(part), score=values))
    return pl.concat(frames)


def measure(scored: pl.DataFrame) -> dict[str, float]:
    """The metrics of `METRICS` over what `held_out` gives.

    Raises:
        DataError: as `evaluation.evaluate`.
    """
    from fraud_provenance.fraud.evaluation import evaluate

    found = evaluate(scored)
    return {name: float(found[name]) for name in METRICS}


def chance(scored: pl.DataFrame) -> dict[str, float]:
    """The standard error of each metric: cards of the test days are drawn anew, with a fixed seed.

    Raises:
        DataError: as `measure`.
    """
    from fraud_provenance.fraud.errors import DataError

    draw = np.random.default_rng(0)
    test = scored.filter(pl.col("split") == "test")
    rest = scored.filter(pl.col("split") != "test")
    cards = test["customer_id"].unique().sort()
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(_RESAMPLED):
        drawn = cards.gather(draw.integers(0, cards.len(), cards.len())).alias("customer_id")
        copies = pl.DataFrame({"customer_id": drawn}).join(test, on="customer_id", how="inner")
        try:
            for name, value in measure(pl.concat([rest, copies.select(rest.columns)])).items():
                found[name].append(value)
        except DataError:
            continue  # a draw without a single fraud says nothing
    return {name: float(np.std(values)) if values else 0.0 for name, values in found.items()}


def score_day(
    features: pl.DataFrame, day: str, model: tuple[bytes, dict[str, Any]]
) -> dict[int, float]:
    """Transaction → score of one day.

    Raises:
        DataError: as `model.predict`.
    """
    from fraud_provenance.fraud.model import predict

    rows = features.filter(pl.col("day") == day).drop("day")
    return dict(zip(rows["transaction_id"].to_list(), predict(*model, rows).tolist(), strict=True))


def moved(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    """How far two sets of scores are apart.

    Of the same transactions, the mean difference of their scores; of others, the distance of the
    distributions (Kolmogorov-Smirnov).
    """
    from fraud_provenance.fraud.shift import distance

    shared = a.keys() & b.keys()
    if 2 * len(shared) > max(len(a), len(b), 1):
        return float(np.mean([abs(a[key] - b[key]) for key in shared]))
    return distance(np.sort(np.array([*a.values()])), np.sort(np.array([*b.values()])))


class Replay:
    """Makes things again and again; what was made once from the same bytes is kept.

    A model is (UBJ bytes, feature contract) where it is given, or (days, parameters) to learn from.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._features: dict[str, pl.DataFrame] = {}
        self._models: dict[str, tuple[bytes, dict[str, Any]]] = {}

    def knows(self, key: str) -> bool:
        """Whether these raw rows were loaded."""
        return key in self._features

    def load(self, key: str, raw: pl.DataFrame) -> None:
        """Raw rows under a name of their own; their features are made at once."""
        self._features[key] = features_by_day(raw)

    def _model(self, key: str, learnt: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if "ubj" in learnt:
            return bytes.fromhex(learnt["ubj"]), dict(learnt["contract"])
        name = f"{key} {json.dumps(dict(learnt), sort_keys=True)}"
        if name not in self._models:
            features = self._features[key]
            self._models[name] = learn(features, learnt["days"], learnt["parameters"])
        return self._models[name]

    def chance(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """As `chance`."""
        return chance(held_out(self._features[key], parts, self._model(key, learnt)))

    def metrics(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """As `measure`, and the `ALERT_RATE`."""
        from fraud_provenance.fraud.evaluation import alert_rate

        model = self._model(key, learnt)
        scored = held_out(self._features[key], parts, model)
        return measure(scored) | {ALERT_RATE: alert_rate(scored, float(model[1]["threshold"]))}

    def scores(self, key: str, learnt: Mapping[str, Any], day: str) -> dict[int, float]:
        """As `score_day`."""
        return score_day(self._features[key], day, self._model(key, learnt))


def serve() -> None:
    """Answer requests on standard input, one JSON document a line, until it ends."""
    replay = Replay()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["call"] == "load":
                replay.load(asked["key"], pl.read_parquet(asked["path"]))
                answer: Any = None
            elif asked["call"] in ("metrics", "chance"):
                ask = replay.metrics if asked["call"] == "metrics" else replay.chance
                answer = ask(asked["key"], asked["learnt"], asked["parts"])
            else:
                scores = replay.scores(asked["key"], asked["learnt"], asked["day"])
                answer = list(scores.items())
            told = {"answer": answer}
        except Exception as error:
            kind = type(error).__name__
            told = {"error": str(error)[:200], "kind": kind, "code": getattr(error, "code", "")}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
