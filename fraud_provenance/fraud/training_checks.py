"""What a training set must hold to before a model learns from it.

In: the parts of the training set as they will be used, the attested features and the split that was
asked for. Out: findings. Rows or values that are not the attested ones, leakage (columns nobody
reviewed, features that give the label away), contamination, immature labels, planted amounts.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.columns import (
    CUSTOMER_FEATURES,
    FEATURE_SCHEMA,
    FEATURES,
    LABEL,
    TERMINAL_FEATURES,
)
from fraud_provenance.fraud.contract import ContractReport, Failure, graded, threshold
from fraud_provenance.fraud.feature_store import check_point_in_time
from fraud_provenance.fraud.history import surprise
from fraud_provenance.fraud.model import SPLIT_COLUMNS, Split, check_split

SUITE: Final = "training_set_point_in_time"
_SECTION: Final = "training_set"
_NEIGHBOUR_CENTS: Final = 50
_KEY: Final = "transaction_id"
_PARTS: Final = {
    "train": ("train",), "evaluation": ("delay", "test"), "known_frauds": ("train",),
}  # fmt: skip
"""Part of a training set → the splits whose days it has rows of."""
CHECKS: Final = (
    "rows_are_those_of_the_days_asked_for",
    "values_are_the_attested_ones",
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
    frames: Mapping[str, pl.DataFrame],
    thresholds: Mapping[str, Any],
    attested: Mapping[str, pl.DataFrame],
    asked: Split,
) -> ContractReport:
    """Judge a training set as a whole.

    Args:
        frames: "train", "evaluation" and "known_frauds" to their rows x the columns of
            `FEATURE_SCHEMA` and of `model.SPLIT_COLUMNS`.
        thresholds: The parsed `policies/data/contracts.json` (section `training_set`).
        attested: Day to the rows of its attested features, x the columns of `FEATURE_SCHEMA`.
        asked: The split that was asked for; all its days are in `attested`.

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
    train, held_out, known = (frames[name] for name in _PARTS)
    found = _columns(frames)
    if not found:
        found += _equals_attested(frames, attested, asked)
        found += check_point_in_time(pl.concat(frames[name].select(_AGREED) for name in _PARTS))
        found += check_split(train, held_out)
        found += _labels_are_mature(train, held_out, int(limits["label_delay_days"]))
        found += _known_frauds(train, known)
        found += _give_aways(train, limits["single_feature_auc_maximum"])
        found += _trigger(train, limits["surprise_of_a_finding"])
    report = ContractReport(
        suite=SUITE,
        suite_config={"suite": SUITE, "checks": list(CHECKS), "limits": limits, "version": 3},
        checks=CHECKS,
        days=tuple(sorted(frames)),
        rows={name: frame.height for name, frame in frames.items()},
        findings=tuple(found),
    )
    return graded(report, thresholds, "training_set")


def _finding(check: str, code: str, column: str, rows: int, example: str, remedy: str) -> Failure:
    return Failure("train", check, code, column, rows, example, remedy)


_AGREED: Final = (*FEATURE_SCHEMA, *SPLIT_COLUMNS)
_TYPES: Final = {**FEATURE_SCHEMA, "split": pl.String}  # stamps of the join are told by themselves


def _columns(frames: Mapping[str, pl.DataFrame]) -> list[Failure]:
    agreed = set(_AGREED)
    named = [
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
    return named or [
        _finding(
            "columns_are_reviewed", "SCHEMA_TYPE", column, frame.height,
            f"{frame.schema[column]} instead of {dtype} in {name}", "join the training set again",
        )
        for name, frame in sorted(frames.items())
        for column, dtype in _TYPES.items()
        if frame.schema[column] != dtype
    ]  # fmt: skip


def _equals_attested(
    frames: Mapping[str, pl.DataFrame], attested: Mapping[str, pl.DataFrame], asked: Split
) -> list[Failure]:
    """Each part has the attested rows of its days, all of them, and no other value in them.

    Part by part, and no part is sorted as a whole: all of them together need not fit twice.
    """
    days = {"train": asked.train, "delay": asked.delay, "test": asked.test}
    found: list[Failure] = []
    for name, splits in _PARTS.items():
        part, expected = frames[name], _rows_of(attested, {of: days[of] for of in splits})
        if name == "known_frauds":
            expected = expected.filter(pl.col(LABEL) == 1)
        if not _keys(part).equals(_keys(expected)):
            found += _other_rows(name, part, expected, _rows_of(attested, days))
            part = part.join(expected, on=_KEY, how="semi")
            once = expected.unique(_KEY, keep="first")
            expected = part.select(_KEY).join(once, on=_KEY, how="left", maintain_order="left")
        found += _other_values(name, part, expected)
    return found


def _rows_of(
    attested: Mapping[str, pl.DataFrame], days: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """The attested rows of the days of splits, and which of these each is of."""
    return pl.concat(
        attested[day].select(*FEATURE_SCHEMA, split=pl.lit(split))
        for split, named in days.items()
        for day in named
    )


def _keys(frame: pl.DataFrame) -> pl.Series:
    return frame[_KEY].sort()


def _other_rows(
    name: str, part: pl.DataFrame, expected: pl.DataFrame, anywhere: pl.DataFrame
) -> list[Failure]:
    """Transactions that a part lacks, has twice, or has from days that are another part's."""
    strange = part.join(expected, on=_KEY, how="anti")
    foreign = strange.join(anywhere, on=_KEY, how="semi")
    lost = expected.join(part, on=_KEY, how="anti")
    of_another, other = "SPLIT_CONTAMINATION", "FEATURE_RECOMPUTE_MISMATCH"
    return [
        Failure(
            name, CHECKS[0], code, _KEY, rows, f"{what} {name}", "join the training set again"
        )
        for code, rows, what in (
            (of_another, foreign.height, "transactions of another part's days in"),
            (other, strange.height - foreign.height, "transactions that nobody attested in"),
            (other, part.height - part[_KEY].n_unique(), "transactions are repeated in"),
            # A card that is not known as compromised stays in the test that it should be out of.
            (of_another if name == "known_frauds" else other, lost.height,
             "transactions are left out of"),
        )
        if rows
    ]  # fmt: skip


def _other_values(name: str, part: pl.DataFrame, expected: pl.DataFrame) -> list[Failure]:
    """What differs in rows that both have, column by column, keys first; in the keys' order."""
    codes = dict.fromkeys({**CUSTOMER_FEATURES, **TERMINAL_FEATURES}, "PIT_LEAKAGE")
    codes["split"] = "SPLIT_CONTAMINATION"
    found = []
    ours, theirs = part[_KEY].arg_sort(), expected[_KEY].arg_sort()
    for column in _TYPES:
        is_now, was = part[column].gather(ours), expected[column].gather(theirs)
        differs = is_now.ne_missing(was)
        at = differs.arg_max()  # of the first one
        if at is not None and differs[at]:
            found.append(
                Failure(
                    name, CHECKS[1], codes.get(column, "FEATURE_RECOMPUTE_MISMATCH"), column,
                    int(differs.sum()), f"{is_now[at]} instead of {was[at]}",
                    "find out who could write between the features and the join; join again",
                )
            )  # fmt: skip
    return found


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
