"""What the feed is: currency, refunds, prices, quiet days, as `policies/data/feed.json` says.

Settings move bounds; none switches a check off. They are part of what a suite's digest covers.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from fraud_provenance.fraud.errors import DataError

_CENTS: Final = 2
# Bounds that are in units of the currency; they mean as many of its smallest units.
_AMOUNTS: Final = (
    ("raw_schema", "amount_maximum"),
    ("feature_schema", "amount_maximum"),
    *(
        (section, f"amount_median_{side}")
        for section in ("raw_expectations", "feature_expectations")
        for side in ("minimum", "maximum")
    ),
)


@dataclass(frozen=True)
class Feed:
    """The settings; the defaults fit the Handbook's data.

    Attributes:
        currency_decimals: Decimals of an amount: yen 0, dollars 2, dinars 3.
        refunds: Whether amounts may be negative.
        zero_share: Share of a day's rows that may be authorisations of zero.
        one_amount_share: Share of a day's rows that may have one and the same amount.
        constant_columns: So many columns have one value only, by nature.
        quiet_weekdays: Weekdays without data, Monday 1 to Sunday 7.
    """

    currency_decimals: int = _CENTS
    refunds: bool = False
    zero_share: float = 0.02
    one_amount_share: float = 0.02
    constant_columns: int = 0
    quiet_weekdays: tuple[int, ...] = ()

    @property
    def minor_units(self) -> int:
        """The smallest units in one unit of the currency."""
        return int(10**self.currency_decimals)

    @property
    def minor_unit_name(self) -> str:
        """What the smallest unit is called in the name of a check."""
        return "cents" if self.currency_decimals == _CENTS else "minor_units"

    def least_amount(self, greatest: float) -> tuple[float, str]:
        """The least amount, where `greatest` is the greatest one, and how a check names it."""
        return (-greatest, "no_huge_refunds") if self.refunds else (0, "not_negative")

    def quiet_days(self, days: Iterable[date]) -> set[str]:
        """Days between the first and the last of `days` on which nothing is expected."""
        known = sorted(days)
        between = (known[-1] - known[0]).days if self.quiet_weekdays and known else 0
        found = (known[0] + timedelta(days=number) for number in range(1, between))
        return {str(day) for day in found if day.isoweekday() in self.quiet_weekdays}


def feed_of(thresholds: Mapping[str, Any]) -> Feed:
    """Read the settings.

    Args:
        thresholds: The parsed `policies/data/contracts.json`, and under "feed" what `feed.json`
            holds: by name, an object of "value" and "reason". What is not there has its default.

    Raises:
        DataError: THRESHOLD_TYPE, a setting is none of ours or has no value.
    """
    try:
        values = {name: item["value"] for name, item in thresholds.get("feed", {}).items()}
        return replace(Feed(**values), quiet_weekdays=tuple(values.get("quiet_weekdays", ())))
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            "THRESHOLD_TYPE",
            f"feed.json: {error}",
            file="feed.json",
            remedy="write settings as policies/schemas/feed.json has them",
        ) from error


def fitted(contracts: Mapping[str, Any], feed: Mapping[str, Any]) -> dict[str, Any]:
    """Move the bounds of the contracts to where they are for this feed.

    Args:
        contracts: The parsed `policies/data/contracts.json`.
        feed: The parsed `policies/data/feed.json`; empty in policies of before it.

    Returns:
        The contracts with their bounds moved, and the settings under "feed".

    Raises:
        DataError: As `feed_of`.
    """
    moved: dict[str, Any] = {**contracts, "feed": dict(feed)}
    own = feed_of(moved)
    factor = 10.0 ** (_CENTS - own.currency_decimals)
    if factor != 1:
        for section, name in _AMOUNTS:
            _move(moved, section, name, moved[section][name]["value"] * factor)
    for name, least in (
        ("zero_share_maximum", own.zero_share),
        ("point_mass_maximum", max(own.one_amount_share, own.zero_share)),
        ("constant_columns_maximum", own.constant_columns),
    ):
        if least > moved["raw_expectations"][name]["value"]:
            _move(moved, "raw_expectations", name, least)
    return moved


def _move(moved: dict[str, Any], section: str, name: str, value: float) -> None:
    entry = {**moved[section][name], "value": value}
    moved[section] = {**moved[section], name: entry}


def without_quiet_days(
    feed: Feed, days: Iterable[date], empty_days: Collection[str]
) -> Collection[str]:
    """Days that are no gap: those that were declared empty, and quiet ones between `days`."""
    quiet = feed.quiet_days(days)
    return {*empty_days, *quiet} if quiet else empty_days
