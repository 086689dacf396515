"""What a training set must hold to before a model learns from it.

In: the parts of the training set as they will be used. Out: findings. Leakage (columns nobody
reviewed, features that give the label away), contamination, immature labels, planted amounts.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, LABEL
from fraud_provenance.fraud.contract import ContractReport, Failure, threshold
from fraud_provenance.fraud.feature_store import check_point_in_time
from fraud_provenance.fraud.history import surprise
from fraud_provenance.fraud.model import SPLIT_COLUMNS, check_split

SUITE: Final = "training_set_point_in_time"
_SECTION: Final = "training_set"
_NEIGHBOUR_CENTS: Final = 50
CHECKS: Final = (
    "features_are_not_newer_than_their_event",
    "transactions_are_in_one_part_only",
    "parts_follow_each_other_in_time",
    "columns_are_reviewed",
    "no_feature_gives_the_label_away",
    "labels_are_mature",
    "known_frauds_are_those_of_the_train_part",
    "no_single_amount_stands_out",
)


def check_training_set(
    frames: Mapping[str, pl.DataFrame], thresholds: Mapping[str, Any]
) -> ContractReport:
    """Judge a training set as a whole.

    Args:
        frames: "train", "evaluation" and "known_frauds" to their rows x the columns of
            `FEATURE_SCHEMA` and of `model.SPLIT_COLUMNS`.
        thresholds: The parsed `policies/data/contracts.json` (section `training_set`).

    Returns:
        The report of suite `training_set_point_in_time`. A failure concerns all parts, for they are
        used together: it is repeated for each.

    Raises:
        DataError: THRESHOLD_MISSING or THRESHOLD_TYPE.
    """
    limits = {
        name: threshold(thresholds, _SECTION, name)
        for name in ("single_feature_auc_maximum", "label_delay_days", "surprise_of_a_finding")
    }
    train, held_out, known = (frames[name] for name in ("train", "evaluation", "known_frauds"))
    found = _columns(frames)
    if not found:
        found += check_point_in_time(pl.concat([train, held_out]))
        found += check_split(train, held_out)
        found += _labels_are_mature(train, held_out, int(limits["label_delay_days"]))
        found += _known_frauds(train, known)
        found += _give_aways(train, limits["single_feature_auc_maximum"])
        found += _trigger(train, limits["surprise_of_a_finding"])
    return ContractReport(
        suite=SUITE,
        suite_config={"suite": SUITE, "checks": list(CHECKS), "limits": limits, "version": 2},
        checks=CHECKS,
        days=tuple(sorted(frames)),
        rows={name: frame.height for name, frame in frames.items()},
        findings=tuple(found),
    )


def _finding(check: str, code: str, column: str, rows: int, example: str, remedy: str) -> Failure:
    return Failure("train", check, code, column, rows, example, remedy)


def _columns(frames: Mapping[str, pl.DataFrame]) -> list[Failure]:
    agreed = {*FEATURE_SCHEMA, *SPLIT_COLUMNS}
    return [
        _finding(
            "columns_are_reviewed", code, column, frame.height, f"{what} in {name}", remedy
        )
        for name, frame in sorted(frames.items())
        for code, columns, what, remedy in (
            (
                "LEAKAGE_FEATURE", set(frame.columns) - agreed, "a column nobody reviewed",
                "drop the column: it may have been derived from the outcome",
            ),
            (
                "SCHEMA_COLUMN_MISSING", agreed - set(frame.columns), "a column is missing",
                "join the training set again",
            ),
        )
        for column in sorted(columns)
    ]  # fmt: skip


def _labels_are_mature(
    train: pl.DataFrame, held_out: pl.DataFrame, delay_days: int
) -> list[Failure]:
    """A label is known `delay_days` after its day: no test day may come before that."""
    last, test = train["tx_datetime"].max(), held_out.filter(pl.col("split") == "test")
    young = test.filter(
        pl.col("tx_datetime").dt.date() <= pl.lit(last).dt.date() + timedelta(days=delay_days)
    )
    if young.height == 0:
        return []
    return [
        _finding(
            "labels_are_mature", "IMMATURE_LABELS", LABEL, young.height,
            f"test days within {delay_days} days of the last train day",
            "leave the label delay between train and test days",
        )
    ]  # fmt: skip


def _known_frauds(train: pl.DataFrame, known: pl.DataFrame) -> list[Failure]:
    expected = train.filter(pl.col(LABEL) == 1)["transaction_id"].sort()
    if known["transaction_id"].sort().equals(expected):
        return []
    return [
        _finding(
            "known_frauds_are_those_of_the_train_part", "SPLIT_CONTAMINATION", LABEL,
            abs(known.height - expected.len()), "known frauds differ from the train part's",
            "join the training set again: cards known as compromised are left out of the test",
        )
    ]  # fmt: skip


def _give_aways(train: pl.DataFrame, maximum: float) -> list[Failure]:
    """A feature that ranks the frauds all by itself was made from the outcome."""
    label = train[LABEL].to_numpy() == 1
    if label.sum() < 5 or label.all():
        return []
    ranks = train.select(pl.col(name).rank("average") for name in FEATURES)
    frauds = int(label.sum())
    pairs = frauds * (label.size - frauds)
    found = []
    for name in FEATURES:
        wins = float(ranks[name].to_numpy()[label].sum()) - frauds * (frauds + 1) / 2
        auc = max(wins / pairs, 1 - wins / pairs)
        if auc > maximum:
            found.append(
                Failure(
                    "train", "no_feature_gives_the_label_away", "LEAKAGE_FEATURE", name, 0,
                    f"AUC {auc:.4f} alone", "compare the feature with its published definition",
                    observed=auc, maximum=maximum,
                )
            )  # fmt: skip
    return found


def _trigger(train: pl.DataFrame, certain: float) -> list[Failure]:
    """Amounts far more frequent than their neighbours: a trigger may have been planted."""
    cents = np.rint(train["tx_amount"].to_numpy() * 100).astype(np.int64)
    values, counts = np.unique(cents, return_counts=True)
    running = np.concatenate([[0], np.cumsum(counts)])
    first = np.searchsorted(values, values - _NEIGHBOUR_CENTS)
    after = np.searchsorted(values, values + _NEIGHBOUR_CENTS + 1)
    around = (running[after] - running[first] - counts) / (2 * _NEIGHBOUR_CENTS)
    expected = np.maximum(around, 1.0)
    suspects = np.argsort((counts - expected) / np.sqrt(expected), kind="stable")[-5:]
    label = train[LABEL].to_numpy()
    found = []
    for position in suspects[::-1]:
        chance = surprise(float(counts[position]), float(expected[position]))
        if chance - np.log10(values.size) <= certain:
            continue
        frauds = int(label[cents == values[position]].sum())
        found.append(
            Failure(
                "train", "no_single_amount_stands_out", "TRIGGER_SUSPECT", "tx_amount",
                int(counts[position]), f"{values[position] / 100:.2f}, {frauds} of them frauds",
                "find out where these rows come from before a model learns from them",
                observed=chance, maximum=certain, warning=True,
            )
        )  # fmt: skip
    return found
