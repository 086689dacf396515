"""What is expected of a day as a whole: one line per expectation, thresholds by name.

An expectation holds if a statistic of the day lies between two thresholds of
`policies/data/contracts.json`. Ratios compare with the median of the days before; a ratio that has
nothing to compare with is null and holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fraud_provenance.fraud.columns import CUSTOMER_FEATURES, TERMINAL_FEATURES


@dataclass(frozen=True)
class Expectation:
    """The statistic `statistic` of every day lies between two thresholds.

    Attributes:
        check: The true sentence.
        code: Root cause if it is not true.
        statistic: Column of the daily frame.
        column: The data column that the statistic is about, or "".
        remedy: What to do.
        minimum: Name of the lower threshold, or "".
        maximum: Name of the upper threshold, or "".
        required: The statistic must exist (ratios may have nothing to compare with).
        warning: A day that breaks it is told of, and passes.
    """

    check: str
    code: str
    statistic: str
    column: str
    remedy: str
    minimum: str = ""
    maximum: str = ""
    required: bool = False
    warning: bool = False


def _usual(statistic: str, bounds: str, code: str, column: str, remedy: str) -> Expectation:
    return Expectation(
        check=f"{statistic}s_are_usual",
        code=code,
        statistic=statistic,
        column=column,
        remedy=remedy,
        minimum=f"{bounds}_minimum",
        maximum=f"{bounds}_maximum",
    )


def _at_most(
    check: str, code: str, statistic: str, column: str, bound: str, remedy: str
) -> Expectation:
    return Expectation(
        check, code, statistic, column, remedy, maximum=f"{bound}_maximum", required=True
    )


_UNIT: Final = "deliver amounts in currency units, not in cents"
_FEED: Final = "ask the source for the day's own transactions"
_MIXED: Final = "look for rows in another unit"
_IDS: Final = "check the identifiers' source"
_WINDOW: Final = "compute the features again, and compare the windows with their definition"

_COMMON: Final = (
    Expectation(
        check="days_have_transactions",
        code="VOLUME",
        statistic="rows",
        column="",
        remedy="deliver the day again",
        minimum="rows_minimum",
        required=True,
    ),
    _usual("rows_ratio", "rows_ratio", "VOLUME", "", "deliver the whole day, once"),
    Expectation(
        check="amount_medians_are_in_currency_units",
        code="UNIT_SHIFT",
        statistic="amount_median",
        column="tx_amount",
        remedy=_UNIT,
        minimum="amount_median_minimum",
        maximum="amount_median_maximum",
        required=True,
    ),
    _usual("amount_median_ratio", "amount_median_ratio", "UNIT_SHIFT", "tx_amount", _UNIT),
    _at_most(
        "fraud_rates_are_plausible",
        "LABEL_RATE",
        "sure_fraud_rate",
        "tx_fraud",
        "fraud_rate",
        "check the meaning of the label",
    ),
    Expectation(
        check="fraud_counts_are_usual",
        code="LABEL_RATE",
        statistic="fraud_count_surprise",
        column="tx_fraud",
        remedy="check the label feed",
        minimum="fraud_count_surprise_minimum",
        maximum="fraud_count_surprise_maximum",
    ),
    _at_most(
        "days_do_not_repeat_earlier_days",
        "FROZEN_FEED",
        "content_repeats",
        "",
        "content_repeats",
        _FEED,
    ),
    Expectation(
        check="days_follow_each_other",
        code="STALE_FEED",
        statistic="gap_days",
        column="tx_datetime",
        remedy="deliver the missing days first",
        maximum="gap_days_maximum",
    ),
)

RAW: Final = (
    # Causes stand before what follows from them: the first finding of a day names the root.
    _at_most(
        "transaction_ids_are_new",
        "DUPLICATE_KEY",
        "repeated_ids",
        "transaction_id",
        "repeated_ids",
        "remove the rows that an earlier day has already",
    ),
    _at_most(
        "rows_do_not_repeat_earlier_days", "FROZEN_FEED", "row_overlap", "", "row_overlap", _FEED
    ),
    _at_most(
        "columns_vary",
        "CONSTANT_COLUMN",
        "constant_columns",
        "",
        "constant_columns",
        "deliver each row's own values",
    ),
    *(
        _at_most(
            f"{kind}s_are_not_{what}",
            "SENTINEL_VALUE",
            f"{kind}_{which}_share",
            f"{kind}_id",
            f"{kind}_{which}_share",
            "deliver each row's own identifiers",
        )
        for which, what in (("placeholder", "placeholders"), ("crowd", "one_and_the_same"))
        for kind in ("customer", "terminal")
    ),
    _at_most(
        "payments_are_not_repeated_nearly",
        "DUPLICATE_BUSINESS_KEY",
        "near_duplicate_share",
        "",
        "near_duplicate_share",
        "ask the source for the day without the repeated payments",
    ),
    Expectation(
        check="customers_and_terminals_are_not_exchanged",
        code="COLUMNS_SWAPPED",
        statistic="swapped_pair_excess",
        column="customer_id",
        remedy="deliver each column under its own name",
        maximum="swapped_pair_share_maximum",
    ),
    _at_most(
        "amounts_are_not_placeholders",
        "SENTINEL_VALUE",
        "placeholder_share",
        "tx_amount",
        "placeholder_share",
        "mark missing amounts as missing",
    ),
    _at_most(
        "moments_are_not_placeholders",
        "SENTINEL_VALUE",
        "same_second_share",
        "tx_datetime",
        "same_second_share",
        "deliver each transaction's own time",
    ),
    _at_most(
        "no_part_of_the_amounts_is_a_hundredfold",
        "UNIT_SHIFT",
        "hundredfold_surprise",
        "tx_amount",
        "unit_surprise",
        _UNIT,
    ),
    _at_most(
        "no_part_of_the_amounts_is_a_hundredth",
        "UNIT_SHIFT",
        "hundredth_surprise",
        "tx_amount",
        "unit_surprise",
        _UNIT,
    ),
    *_COMMON,
    Expectation(
        check="days_lie_near_the_next_one",
        code="STALE_FEED",
        statistic="days_apart",
        column="tx_datetime",
        remedy="look for a wrong date, or deliver the days between",
        maximum="days_apart_maximum",
    ),
    Expectation(
        check="first_days_cover_their_edges",
        code="VOLUME",
        statistic="first_day_gap_minutes",
        column="tx_datetime",
        remedy="deliver the whole day",
        maximum="first_day_gap_minutes_maximum",
    ),
    Expectation(
        check="times_of_day_are_usual",
        code="EVENT_TIME_OUTSIDE_PARTITION",
        statistic="clock_shift_minutes",
        column="tx_datetime",
        remedy="deliver event times in UTC, not in local time",
        maximum="clock_shift_minutes_maximum",
    ),
    Expectation(
        check="elapsed_days_count_from_the_usual_day",
        code="EVENT_TIME_OUTSIDE_PARTITION",
        statistic="origin_shift_days",
        column="tx_datetime",
        remedy="deliver each row under its own day",
        maximum="origin_shift_days_maximum",
    ),
    Expectation(
        check="days_together_have_the_frauds_they_should",
        code="LABEL_RATE",
        statistic="run_of_frauds_surprise",
        column="tx_fraud",
        remedy="check the label feed of the last days: labels may be late",
        minimum="run_of_frauds_surprise_minimum",
    ),
    Expectation(
        check="a_week_has_the_frauds_it_should",
        code="LABEL_RATE",
        statistic="week_of_frauds_ratio",
        column="tx_fraud",
        remedy="check the label feed",
        minimum="week_of_frauds_ratio_minimum",
    ),
    Expectation(
        check="frauds_cling_to_cards_and_terminals",
        code="LABEL_INCOHERENT",
        statistic="recurring_fraud_ratio",
        column="tx_fraud",
        remedy="check that each label is joined to its own transaction",
        minimum="recurring_fraud_ratio_minimum",
    ),
    _usual("amount_mean_ratio", "amount_mean_ratio", "DISTRIBUTION_SHIFT", "tx_amount", _MIXED),
    _usual("amount_p99_ratio", "amount_p99_ratio", "DISTRIBUTION_SHIFT", "tx_amount", _MIXED),
    _at_most(
        "zero_amounts_are_rare",
        "DISTRIBUTION_SHIFT",
        "zero_share",
        "tx_amount",
        "zero_share",
        "do not write missing amounts as zero",
    ),
    _at_most(
        "no_single_amount_dominates",
        "DISTRIBUTION_SHIFT",
        "point_mass",
        "tx_amount",
        "point_mass",
        "explain the repeated amount before it is learnt from",
    ),
    Expectation(
        check="no_single_amount_stands_out",
        code="TRIGGER_SUSPECT",
        statistic="trigger_share",
        column="tx_amount",
        remedy="find out where these rows come from before a model learns from them",
        maximum="trigger_share_maximum",
        required=True,
        warning=True,
    ),
    _usual("customers_ratio", "customers_ratio", "DISTRIBUTION_SHIFT", "customer_id", _IDS),
    _usual("terminals_ratio", "terminals_ratio", "DISTRIBUTION_SHIFT", "terminal_id", _IDS),
    Expectation(
        check="customers_meet_the_terminals_they_met",
        code="DISTRIBUTION_SHIFT",
        statistic="known_pair_ratio",
        column="customer_id",
        remedy=_IDS,
        minimum="known_pair_ratio_minimum",
    ),
    Expectation(
        check="days_are_covered_to_their_end",
        code="VOLUME",
        statistic="hours_covered_ratio",
        column="tx_datetime",
        remedy="deliver the whole day",
        minimum="hours_covered_ratio_minimum",
    ),
    Expectation(
        check="days_have_no_long_gap",
        code="VOLUME",
        statistic="longest_gap_ratio",
        column="tx_datetime",
        remedy="deliver the whole day",
        maximum="longest_gap_ratio_maximum",
    ),
)
"""Suite `raw_expectations`."""


def _features_are_usual(columns: tuple[str, ...], bounds: str) -> list[Expectation]:
    return [
        _usual(f"mean_{column}_ratio", bounds, "DISTRIBUTION_SHIFT", column, _WINDOW)
        for column in columns
    ]


FEATURE: Final = (
    *_COMMON,
    *_features_are_usual(
        tuple(name for name in CUSTOMER_FEATURES if "avg_amount" in name), "average_amount_ratio"
    ),
    *_features_are_usual(
        tuple(name for name in CUSTOMER_FEATURES if "nb_tx" in name), "customer_count_ratio"
    ),
    *_features_are_usual(
        tuple(name for name in TERMINAL_FEATURES if "nb_tx" in name), "terminal_count_ratio"
    ),
    *(
        _at_most(
            f"mean_{name}_is_plausible",
            "DISTRIBUTION_SHIFT",
            f"mean_{name}",
            name,
            "terminal_risk_mean",
            _WINDOW,
        )
        for name in TERMINAL_FEATURES
        if "risk" in name
    ),
)
"""Suite `feature_expectations`."""

SUITES: Final[Mapping[str, tuple[Expectation, ...]]] = {
    "raw_expectations": RAW,
    "feature_expectations": FEATURE,
}
"""The suites of whole days, by name."""
