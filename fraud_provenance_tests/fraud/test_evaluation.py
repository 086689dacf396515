"""Known cards are taken out, and card precision counts each card once."""

from datetime import datetime, timedelta
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.evaluation import alert_rate, evaluate, mean_share

Row = tuple[int, int, int, str, float | None]


def _scored(rows: list[Row]) -> pl.DataFrame:
    start = datetime(2018, 4, 1, 12)
    return pl.DataFrame(
        {
            "transaction_id": range(len(rows)),
            "tx_datetime": [start + timedelta(days=row[0]) for row in rows],
            "customer_id": [row[1] for row in rows],
            "tx_fraud": [row[2] for row in rows],
            "split": [row[3] for row in rows],
            "score": [row[4] for row in rows],
        }
    )


# Train day 0, delay days 1 and 2, test days 3 and 4: labels of day 0 are known on day 3, of day 1
# on day 4.
BASE: list[Row] = [
    (0, 1, 1, "train", None),
    (0, 2, 0, "train", None),
    (1, 3, 1, "delay", None),
    (2, 4, 1, "delay", None),
    (3, 1, 1, "test", 0.9),
    (3, 3, 1, "test", 0.8),
    (3, 5, 0, "test", 0.2),
    (4, 3, 1, "test", 0.8),
    (4, 4, 1, "test", 0.7),
    (4, 6, 0, "test", 0.1),
]


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.7, 4 / 6), (0.71, 3 / 6), (2.0, 0.0), (0.0, 1.0)]
)
def test_alert_rate_is_the_share_of_all_test_rows_at_or_above(
    threshold: float, expected: float
) -> None:
    assert alert_rate(_scored(BASE), threshold) == pytest.approx(expected)


def test_evaluate_takes_out_cards_known_on_the_day() -> None:
    result = evaluate(_scored(BASE))

    # Card 1 is known from train; card 3 becomes known between the test days; card 4 too late.
    assert (result["rows"], result["frauds"]) == (4, 2)
    assert (result["rows_before_removal"], result["frauds_before_removal"]) == (6, 4)
    assert result["auc_roc"] == 1.0
    assert result["average_precision"] == 1.0


def test_evaluate_counts_a_detected_card_on_its_first_day_only() -> None:
    again: list[Row] = [
        *BASE,
        (3, 7, 1, "test", 0.6),
        (3, 7, 0, "test", 0.3),
        (4, 7, 1, "test", 0.9),
    ]

    result = evaluate(_scored(again))

    assert result["card_precision_100_by_day"] == {"2018-04-04": 0.02, "2018-04-05": 0.01}
    assert result["card_precision_100"] == pytest.approx(0.015)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=60))
def test_mean_share_is_the_nearest_number_to_the_exact_mean(found: list[int]) -> None:
    exact = Fraction(sum(found), 100 * len(found))
    assert mean_share([count / 100 for count in found]) == float(exact)


def test_evaluate_of_more_than_a_hundred_cards_takes_the_riskiest() -> None:
    many: list[Row] = [(3, 100 + index, 0, "test", 0.5) for index in range(99)]
    tied: list[Row] = [(3, 900, 1, "test", 0.5)]

    result = evaluate(_scored([*BASE, *many, *tied]))

    # Card 3 and 99 cards of equal score fill the hundred: equal scores are ranked by card number.
    assert result["card_precision_100_by_day"]["2018-04-04"] == 0.01


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        pytest.param(BASE[4:], "PARTITION_MISSING", id="test-only"),
        pytest.param([*BASE, (4, 8, 0, "test", None)], "NON_FINITE", id="unscored"),
        pytest.param([*BASE, (4, 8, 0, "test", float("nan"))], "NON_FINITE", id="nan"),
        pytest.param([*BASE[:4], (3, 9, 0, "test", 0.1)], "LABEL_RATE", id="one-class"),
    ],
)
def test_evaluate_of_what_cannot_be_judged_is_refused(rows: list[Row], code: str) -> None:
    with pytest.raises(DataError, match=code):
        evaluate(_scored(rows))


def test_evaluate_without_scores_is_refused() -> None:
    with pytest.raises(DataError, match="SCHEMA_COLUMN_MISSING"):
        evaluate(_scored(BASE).drop("score"))
