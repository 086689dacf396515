"""Evaluation after the handbook: AUC ROC, average precision and card precision@100.

Source: Fraud Detection Handbook, chapters 3 (baseline, known compromised cards) and 4 (card
precision top-k).
"""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.errors import DataError

CARDS_PER_DAY: Final = 100

_NEEDED: Final = ("transaction_id", "tx_datetime", "customer_id", "tx_fraud", "split", "score")


def evaluate(scored: pl.DataFrame) -> dict[str, Any]:
    """Evaluate a model on its test days.

    Cards that are known to be compromised are taken out first: those with a fraud on a train day,
    and for each test day those with a fraud at least delay + 1 days earlier.

    Args:
        scored: Rows of train, delay and test days with transaction_id, tx_datetime, customer_id,
            tx_fraud, split ("train", "delay" or "test") and score; only test rows need a score.

    Returns:
        auc_roc, average_precision, card_precision_100 (floats); rows, frauds (after removal),
        rows_before_removal, frauds_before_removal (ints); card_precision_100_by_day (day to float).

    Raises:
        DataError: SCHEMA_COLUMN_MISSING; PARTITION_MISSING without train, delay or test rows;
            NON_FINITE for a test row without a score; LABEL_RATE if the remaining test rows have
            one class only.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # takes seconds to import

    _check(scored)
    rows = scored.select(_NEEDED).with_columns(day=pl.col("tx_datetime").dt.date())
    test = _without_known(rows).sort("transaction_id")
    labels, scores = test["tx_fraud"].to_numpy(), test["score"].to_numpy()
    if len(np.unique(labels)) < 2:
        raise DataError(
            "LABEL_RATE",
            f"{test.height} test rows of one class",
            column="tx_fraud",
            remedy="evaluate on days that have frauds: `fraud-provenance run --test-days N`",
        )
    before = rows.filter(pl.col("split") == "test")
    by_day = _card_precision(test)
    return {
        "auc_roc": float(roc_auc_score(labels, scores)),
        "average_precision": float(average_precision_score(labels, scores)),
        "card_precision_100": mean_share(by_day.values()),
        "card_precision_100_by_day": by_day,
        "rows": test.height,
        "frauds": int(labels.sum()),
        "rows_before_removal": before.height,
        "frauds_before_removal": int(before["tx_fraud"].sum()),
    }


def alert_rate(scored: pl.DataFrame, threshold: float) -> float:
    """Return the share of test rows at or above a threshold, as scoring alerts on them.

    Args:
        scored: As for `evaluate`.
        threshold: The model's own.

    Returns:
        Between 0 and 1, over all test rows: scoring knows no compromised cards.
    """
    scores = scored.filter(pl.col("split") == "test")["score"]
    return float((scores >= threshold).sum()) / max(scores.len(), 1)


def _check(scored: pl.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in scored.columns]
    if missing:
        raise DataError(
            "SCHEMA_COLUMN_MISSING", f"missing {missing}", column=missing[0], remedy="add it"
        )
    parts = set(scored["split"].unique())
    if parts != {"train", "delay", "test"}:
        raise DataError(
            "PARTITION_MISSING",
            f"expected rows of train, delay and test, found {sorted(parts, key=str)}",
            column="split",
            remedy="give all three parts: frauds of train and delay tell which cards are known",
        )
    unscored = scored.filter(
        (pl.col("split") == "test") & ~pl.col("score").is_finite().fill_null(value=False)
    )
    if unscored.height:
        raise DataError(
            "NON_FINITE",
            "a test row has no score",
            column="score",
            row_count=unscored.height,
            remedy="score all rows",
        )


def _without_known(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the test rows of cards that are not known to be compromised on that day."""
    delay_days = rows.filter(pl.col("split") == "delay")["day"].n_unique()
    last_train = rows.filter(pl.col("split") == "train")["day"].max()
    frauds = rows.filter(pl.col("tx_fraud") == 1)
    first_known = frauds.group_by("customer_id").agg(pl.col("day").min().alias("first_fraud"))
    learnt = pl.col("day") - timedelta(days=delay_days + 1)
    known = (pl.col("first_fraud") <= pl.lit(last_train)) | (pl.col("first_fraud") <= learnt)
    test = rows.filter(pl.col("split") == "test").join(first_known, on="customer_id", how="left")
    return test.filter(~known.fill_null(value=False)).drop("first_fraud")


def mean_share(shares: Collection[float]) -> float:
    """Return the mean of shares of `CARDS_PER_DAY`, rounded once.

    A mean of floats may come out a bit below a bound that it reaches: 0.0199… for 0.02.

    Args:
        shares: Whole hundredths, at least one.
    """
    found = sum(round(share * CARDS_PER_DAY) for share in shares)
    return found / (CARDS_PER_DAY * len(shares))


def _card_precision(test: pl.DataFrame) -> dict[str, float]:
    """Return each day's share of frauds among its 100 riskiest cards not detected before."""
    cards = (
        test.group_by("day", "customer_id")
        .agg(pl.col("score").max(), pl.col("tx_fraud").max())
        .sort("day", "score", "customer_id", descending=[False, True, False])
    )
    detected = pl.Series("customer_id", [], dtype=cards.schema["customer_id"])
    result: dict[str, float] = {}
    days: list[date] = cards["day"].unique().sort().to_list()
    for day in days:
        left = cards.filter(
            (pl.col("day") == day) & ~pl.col("customer_id").is_in(detected.implode())
        )
        found = left.head(CARDS_PER_DAY).filter(pl.col("tx_fraud") == 1)["customer_id"]
        result[str(day)] = found.len() / CARDS_PER_DAY
        detected = detected.append(found)
    return result
