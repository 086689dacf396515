"""What a day's scores must be: one for each transaction of its features, and the model's own.

In: the scores as they were signed, the features they were made from, the model's verified bytes.
Out: findings. Nothing is sampled: a day's scores are computed again, all of them.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.columns import SCORE_SCHEMA
from fraud_provenance.fraud.contract import ContractReport, Failure, require_days
from fraud_provenance.fraud.model import predict

SUITE: Final = "scores_match_features"
KEY: Final = "transaction_id"
CARRIED: Final = ("tx_datetime", "customer_id", "terminal_id", "tx_amount")
CHECKS: Final = (
    "columns_are_those_of_scores",
    "each_transaction_is_scored_once",
    "transactions_are_those_of_the_features",
    "scores_are_the_models_own",
    "alerts_follow_from_the_threshold",
)
_AGAIN: Final = "revoke the day's scores and score it again; find out who could sign them"


def check_scores(
    scores: Mapping[str, pl.DataFrame],
    features: Mapping[str, pl.DataFrame],
    ubj: bytes,
    feature_contract: dict[str, Any],
    tolerance: float = 0.0,
) -> ContractReport:
    """Compare days of scores with the features and the model that they were made from.

    Args:
        scores: Day to its rows x the columns of `SCORE_SCHEMA`, in any order.
        features: Day to its rows x the columns of `FEATURE_SCHEMA`; every day of `scores`.
        ubj: The model's bytes, as verified by the caller.
        feature_contract: The contract made with the model; its threshold makes the alerts.
        tolerance: Relative difference from the model's own output that passes. 0 means bit by bit,
            which is what the same libraries give.

    Returns:
        The report of suite `scores_match_features`.

    Raises:
        DataError: PARTITION_MISSING without days; else as `model.predict`.
    """
    require_days(sorted(scores))
    found: list[Failure] = []
    for day, frame in sorted(scores.items()):
        found += _columns(day, frame) or _rows(
            day, frame, features[day], ubj, feature_contract, tolerance
        )
    return ContractReport(
        suite=SUITE,
        suite_config={"suite": SUITE, "checks": list(CHECKS), "version": 1},
        checks=CHECKS,
        days=tuple(sorted(scores)),
        rows={day: features[day].height for day in sorted(scores)},
        findings=tuple(found),
    )


def _columns(day: str, frame: pl.DataFrame) -> list[Failure]:
    check = "columns_are_those_of_scores"
    other = [
        name
        for name in sorted({*frame.columns, *SCORE_SCHEMA})
        if frame.schema.get(name) != SCORE_SCHEMA.get(name)
    ]
    codes = {name: "SCHEMA_COLUMN_UNKNOWN" for name in other if name not in SCORE_SCHEMA}
    codes |= {name: "SCHEMA_COLUMN_MISSING" for name in other if name not in frame.columns}
    return [
        Failure(
            day, check, codes.get(name, "SCHEMA_TYPE"), name, frame.height,
            f"{frame.schema.get(name)}", _AGAIN,
        )
        for name in other
    ]  # fmt: skip


def _rows(
    day: str,
    frame: pl.DataFrame,
    features: pl.DataFrame,
    ubj: bytes,
    contract: dict[str, Any],
    tolerance: float,
) -> list[Failure]:
    """Keys first: values are compared only where each transaction has exactly one row."""
    scored, expected = frame.sort(KEY, nulls_last=True), features.sort(KEY)
    ids, wanted = scored[KEY], expected[KEY]
    if not ids.equals(wanted):
        left_out = wanted.len() - int(wanted.is_in(ids.unique()).sum())
        besides = ids.len() - (wanted.len() - left_out)
        return [
            Failure(
                day, "each_transaction_is_scored_once", "PREDLOG_GAP", KEY, left_out + besides,
                f"{left_out} left out, {besides} too many", _AGAIN,
            )
        ]  # fmt: skip
    found = []
    for name in CARRIED:
        differ = int(scored[name].ne_missing(expected[name]).sum())
        found += _differing(day, "transactions_are_those_of_the_features", name, differ)
    own = predict(ubj, contract, expected)
    score = scored["score"].to_numpy()
    found += _differing(day, "scores_are_the_models_own", "score", _unlike(score, own, tolerance))
    alerts = pl.Series(score >= float(contract["threshold"]))
    differ = int(scored["is_alert"].ne_missing(alerts).sum())
    return found + _differing(day, "alerts_follow_from_the_threshold", "is_alert", differ)


def _unlike(score: npt.NDArray[np.float32], own: npt.NDArray[np.float32], tolerance: float) -> int:
    """How many scores are not the model's own."""
    if tolerance:
        return int((~np.isclose(score, own, rtol=tolerance, atol=0.0)).sum())
    bits = np.ascontiguousarray(score).view(np.uint32)
    return int((bits != np.ascontiguousarray(own).view(np.uint32)).sum())


def _differing(day: str, check: str, column: str, rows: int) -> list[Failure]:
    if not rows:
        return []
    return [Failure(day, check, "FEATURE_RECOMPUTE_MISMATCH", column, rows, "", _AGAIN)]
