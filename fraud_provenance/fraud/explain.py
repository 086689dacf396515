"""Why a model gave one transaction its score: each feature's exact share of it.

In: the model's verified bytes, its feature contract, one row. Out: the score again, and exact
TreeSHAP contributions (Lundberg et al., 2020) in the unit of the margin, the log odds of fraud.
Whether these bytes may be loaded is judged by the caller.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fraud_provenance.fraud.model import load_booster, matrix, predict


@dataclass(frozen=True)
class Explanation:
    """One score, taken apart.

    Attributes:
        score: Probability of fraud, float32.
        margin: The log odds, float32: `base` and all contributions together.
        base: What the model says of a transaction that it knows nothing of.
        contributions: Feature to its share, in the order in which the model sees them.
    """

    score: np.float32
    margin: float
    base: float
    contributions: dict[str, float]

    @property
    def bits(self) -> str:
        """The score's IEEE 754 bits in hex, as they stand in its leaf of the log."""
        return f"{int(self.score.view(np.uint32)):08x}"


def explain(ubj: bytes, feature_contract: dict[str, Any], row: pl.DataFrame) -> Explanation:
    """Score one row again and say what each feature added.

    Args:
        ubj: The model's bytes, as verified and judged by the caller.
        feature_contract: The contract made with the model.
        row: One row x at least the contract's inputs.

    Returns:
        The explanation.

    Raises:
        DataError: as `model.predict`.
    """
    import xgboost as xgb  # takes seconds to import

    score = predict(ubj, feature_contract, row)[0]
    names = [str(name) for name in feature_contract["names"]]
    booster = load_booster(ubj)
    data = xgb.DMatrix(matrix(row, names), feature_names=names, nthread=1)
    shares = np.asarray(booster.predict(data, pred_contribs=True), dtype=np.float32)[0]
    margin = np.asarray(booster.predict(data, output_margin=True), dtype=np.float32)[0]
    return Explanation(
        score=score,
        margin=float(margin),
        base=float(shares[-1]),
        contributions={name: float(share) for name, share in zip(names, shares, strict=False)},
    )
