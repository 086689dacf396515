"""How far a day may lie from the days before it: limits that come from the feed's own history.

Two things explain a difference: chance, which is larger where there are fewer rows, and the feed's
own unrest, which is how far its days lay from the days before them (a robust spread, drawn to a
prior where there are few days). What both together explain is no difference at all. A day may be
like the week before it, or like its own weekday. Days that stand out are no yardstick for others.

In: one row a day. Out: one row a day. Sources: Huber, Robust Statistics, chapter 5 (median absolute
deviation); Hilbe, Negative Binomial Regression, chapter 8 (counts that come in clusters).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Bounds = Mapping[str, tuple[float | None, float | None]]

MONTH_DAYS: Final = 28
"""Usable days that tell how restless a feed is; so many hold each weekday four times."""

# The median absolute deviation of a normal distribution is its standard deviation over this.
_NORMAL: Final = 1.4826
# Squared relative error of an average over n rows, times n: amounts spread twice their mean.
_ROW_NOISE: Final = 4.0
# The largest hundredth of a day is a few rows, and frauds among them come together.
_TAIL_NOISE: Final = {"amount_p99": 15.0}
# Fewer expected frauds than this say nothing about their rate.
_LEAST_EXPECTED_FRAUDS: Final = 4.0
# So many expected cases make half of them impossible by chance (Poisson: less than 1 in 10,000).
_ENOUGH: Final = 40.0
# Gaps of less than an hour say nothing, whatever the days before had.
_LEAST_GAP_MINUTES: Final = 60.0
# Standard errors of a mean time of day that chance explains.
_CLOCK_ERRORS: Final = 6.0
# Minus the decimal logarithm of a chance that is none: one day in a million.
_SURE: Final = 6.0
_DAY_MINUTES: Final = 1440.0
_LEAST_CHANCE: Final = 1e-300
_POISSON: Final = 1e-9
_SHARES: Final = {"known_pair_share": "rows", "recurring_fraud_share": "frauds"}
_SHARE_RATIOS: Final = {
    "known_pair_share": "known_pair_ratio",
    "recurring_fraud_share": "recurring_fraud_ratio",
}


@dataclass(frozen=True)
class Limits:
    """How much a feed's own history explains.

    Attributes:
        days: The newest usable days whose median is the level, as a number.
        factor: Standard deviations that are still explained.
        prior: Relative spread of a feed's level of which nothing is known.
        fraud_prior: The same of its fraud rate.
        prior_days: How many days of its own outweigh a prior.
    """

    days: int
    factor: float
    prior: float
    fraud_prior: float
    prior_days: float


def unrest(residuals: Floats, noise: Floats, prior: float, prior_days: float) -> Floats:
    """Variance of a feed's level, by column, beyond that of chance.

    Args:
        residuals: Days x columns, relative; NaN where nothing was compared.
        noise: The variance of each that chance explains.
        prior: Spread where there are no days.
        prior_days: Days of its own that outweigh the prior.
    """
    known = ~np.isnan(residuals)
    count = known.sum(axis=0)
    middle = _median(np.abs(residuals)) * _NORMAL
    own = np.maximum(middle**2 - _median(np.where(known, noise, np.nan)), 0.0)
    # A few days may look calmer than they are; what they say is worth little, and soon much.
    own = np.where(count > 0, own * (1 + prior_days / np.maximum(count, 1)), 0.0)
    share = (prior_days / (prior_days + count)) ** 2
    total: Floats = share * prior**2 + (1 - share) * own
    return total


def count_surprise(found: float, expected: float, unrest: float) -> float:
    """Minus the decimal logarithm of the chance of a count as far off; negative if too small.

    Args:
        found: The count.
        expected: Its mean.
        unrest: Variance of its mean, relative: a negative binomial distribution; 0 is Poisson's.
    """
    from scipy.special import betainc, pdtr, pdtrc

    # Over the incomplete beta function, as scipy's `nbinom` has it, without its hundred checks.
    share = 1 / (1 + unrest * expected)
    is_poisson = unrest < _POISSON
    if found <= expected:
        tail = pdtr(found, expected) if is_poisson else betainc(1 / unrest, found + 1, share)
        return float(np.log10(max(tail, _LEAST_CHANCE)))
    tail = pdtrc(found - 1, expected) if is_poisson else betainc(found, 1 / unrest, 1 - share)
    return float(-np.log10(max(tail, _LEAST_CHANCE)))


def compare(
    profile: pl.DataFrame,
    judged: Collection[str],
    limits: Limits,
    bounds: Bounds,
    names: Collection[str],
) -> pl.DataFrame:
    """Set each day against the usable days before it.

    Args:
        profile: Days (ascending) x their statistics.
        judged: Days that are not accepted yet: they are a yardstick only if they do not stand out.
        limits: What the history explains.
        bounds: Statistic to its least and greatest value: who is outside stands out.
        names: Columns of the profile to compare with their level.

    Returns:
        Days x `day` and the comparisons: `NAME_ratio` of each of `names`, `fraud_count_surprise`,
        and of raw days what `_Past.habits` returns. Null where there is nothing to compare with.
    """
    past = _Past(profile, limits, tuple(names))
    waiting = profile["day"].cast(pl.String).is_in(list(judged)).to_list()
    odd = _outside(profile, bounds).to_list()
    found = []
    for day in range(profile.height):
        statistics = past.judge(day)
        found.append(statistics)
        strange = odd[day] or any(_is_outside(bounds, name, statistics) for name in statistics)
        if not (waiting[day] and strange):
            past.usable.append(day)
    table = pl.DataFrame(found, schema=dict.fromkeys(found[0], pl.Float64)).fill_nan(None)
    return table.insert_column(0, profile["day"])


def _outside(profile: pl.DataFrame, bounds: Bounds) -> pl.Series:
    bad = pl.lit(value=False)
    for name, (least, most) in bounds.items():
        if name in profile.columns:
            value = pl.col(name)
            bad |= value < least if least is not None else False
            bad |= value > most if most is not None else False
    return profile.select(pl.int_range(pl.len()), bad=bad.fill_null(value=False))["bad"]


def _is_outside(bounds: Bounds, name: str, statistics: Mapping[str, float]) -> bool:
    least, most = bounds.get(name, (None, None))
    value = statistics[name]
    return (least is not None and value < least) or (most is not None and value > most)


def _median(values: Floats) -> Floats:
    """The median of each column, NaN left out; NaN where nothing is left, or there are no rows."""
    known = (~np.isnan(values)).sum(axis=0)
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    ordered = np.sort(values, axis=0)  # NaN comes last
    columns = np.arange(values.shape[1])
    low, high = np.maximum(known - 1, 0) // 2, np.maximum(known, 1) // 2
    middle: Floats = ordered[low, columns] + ordered[np.minimum(high, len(values) - 1), columns]
    return np.where(known > 0, middle / 2, np.nan)


def _share_noise(share: Floats, cases: Floats) -> Floats:
    """The relative variance of a share of so many cases."""
    return (1 - share) / np.maximum(share * cases, 1.0)


@dataclass
class _Past:
    """The usable days so far, and how each lay beside those before it."""

    profile: pl.DataFrame
    limits: Limits
    names: tuple[str, ...]
    usable: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = (*self.names, *(name for name in _SHARES if name in self.profile.columns))
        table = {name: self._floats(name) for name in self.profile.columns}
        self.table = table
        self.weekdays = self.profile["day"].dt.weekday().to_numpy()
        rows = np.maximum(table["rows"], 1.0)
        # A share of nothing is less than one case, and has a logarithm.
        self.values = np.column_stack([self._level(name) for name in self.columns])
        self.noise = np.column_stack(
            [
                _share_noise(table[name], table[_SHARES[name]])
                if name in _SHARES
                else _TAIL_NOISE.get(name, _ROW_NOISE) / rows
                for name in self.columns
            ]
        )
        days = self.profile.height
        self.apart = np.full_like(self.values, np.nan)
        self.frauds_apart = np.full((days, 1), np.nan)
        self.frauds_noise = np.full((days, 1), np.nan)
        self.turns = np.full((days, 1), np.nan)

    def _floats(self, name: str) -> Floats:
        column = self.profile[name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            return np.empty(0)
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)

    def _level(self, name: str) -> Floats:
        values = self.table[name]
        if name not in _SHARES:
            return values
        return np.maximum(values, 0.5 / np.maximum(self.table[_SHARES[name]], 1.0))

    def judge(self, day: int) -> dict[str, float]:
        """What the usable days say of this one; it does not join them by itself."""
        month = self.usable[-MONTH_DAYS:]
        week = month[-self.limits.days :]
        alike = [other for other in month if self.weekdays[other] == self.weekdays[day]] or week
        level = _median(self.values[week])
        ratios = self._ratios(day, month, (level, _median(self.values[alike])))
        found = {f"{name}_ratio": float(ratios[at]) for at, name in enumerate(self.names)}
        found |= self._frauds(day, month, week, alike)
        if "known_pair_share" in self.columns:
            shares = dict(zip(self.columns, zip(level, ratios, strict=True), strict=True))
            found |= self.habits(day, week, shares)
            ratio = float(shares["recurring_fraud_share"][1])
            found["recurring_fraud_ratio"] = self._recurring(day, month, ratio)
            found["clock_shift_minutes"] = self._clock_shift(day, month, week, alike)
        return found

    def _unrest(self, residuals: Floats, noise: Floats, prior: float) -> Floats:
        return unrest(residuals, noise, prior, self.limits.prior_days)

    def _ratios(self, day: int, month: list[int], levels: tuple[Floats, Floats]) -> Floats:
        """Ratios to the nearer level; 1 where chance and the feed's unrest explain them."""
        with np.errstate(divide="ignore", invalid="ignore"):
            both = [
                np.where(level > 0, np.log(self.values[day] / level), np.nan) for level in levels
            ]
        is_alike = np.abs(both[1]) < np.abs(both[0])
        apart = np.where(is_alike, both[1], both[0])
        self.apart[day] = np.where(np.isfinite(apart), apart, np.nan)
        own = self._unrest(self.apart[month], self.noise[month], self.limits.prior)
        noise = self._noise_at(day, np.where(is_alike, levels[1], levels[0]))
        explained = self.limits.factor * np.sqrt(own + noise)
        ratio: Floats = np.exp(np.where(np.abs(apart) <= explained, 0.0, apart))
        return ratio

    def _noise_at(self, day: int, expected: Floats) -> Floats:
        """What chance does to the day's values if they are the expected ones, by column.

        A share that fell to nothing says by itself only that chance may do anything to it.
        """
        noise: Floats = self.noise[day].copy()
        for at, name in enumerate(self.columns):
            if name in _SHARES:
                noise[at] = _share_noise(expected[at], self.table[_SHARES[name]][day])
        return noise

    def _frauds(
        self, day: int, month: list[int], week: list[int], alike: list[int]
    ) -> dict[str, float]:
        """The day's frauds, and in raw days the week's, against those before."""
        rates, rows = self.table["fraud_rate"][:, None], self.table["rows"]
        found = self.table["frauds"][day]
        expected = min(
            (float(_median(rates[days])[0]) * rows[day] for days in (week, alike)),
            key=lambda count: abs(found - count),
        )
        before = self.frauds_apart[month], self.frauds_noise[month]
        own = float(self._unrest(*before, self.limits.fraud_prior)[0])
        surprise = np.nan
        if not np.isnan(expected):
            surprise = count_surprise(found, max(expected, _LEAST_EXPECTED_FRAUDS), own)
            if expected >= _LEAST_EXPECTED_FRAUDS:
                self.frauds_apart[day], self.frauds_noise[day] = found / expected - 1, 1 / expected
        return {
            "fraud_count_surprise": surprise,
            "run_of_frauds_surprise": self._run_of_frauds(day, month),
            "week_of_frauds_ratio": self._week_of_frauds(day, month, own),
        }

    def _run_of_frauds(self, day: int, month: list[int]) -> float:
        """The frauds of the newest days together, up to a week: the least likely of these runs.

        A run is set against the usable days before it. It speaks only where its last day is no
        better than the whole of it: what is over, and was accepted, is no fault of today.
        """
        rates, frauds, rows = (self.table[name] for name in ("fraud_rate", "frauds", "rows"))
        size, found = self.limits.days, np.nan
        for length in range(2, size + 1):
            run, before = [*month[1 - length :], day], month[: 1 - length]
            if len(before) < size:
                break
            count, of_run = frauds[run].sum(), rows[run].sum()
            levels = (_median(rates[days, None])[0] for days in (before[-size:], before))
            level = min(levels, key=lambda rate: abs(count - rate * of_run))
            is_over = frauds[day] * of_run > count * rows[day]
            if is_over or not level * of_run >= _LEAST_EXPECTED_FRAUDS:
                continue
            apart = self.frauds_apart[before], self.frauds_noise[before]
            own = float(self._unrest(*apart, self.limits.fraud_prior)[0])
            found = float(np.fmin(found, count_surprise(count, level * of_run, own)))
        return found

    def _week_of_frauds(self, day: int, month: list[int], own: float) -> float:
        """Frauds of the newest week against the week before; 1 where unrest explains it."""
        frauds, rows = self.table["frauds"], self.table["rows"]
        size = self.limits.days
        newest, before = [*month[len(month) - size + 1 :], day], month[-2 * size + 1 : 1 - size]
        if len(month) < 2 * size - 1 or not rows[before].sum():
            return np.nan
        expected = frauds[before].sum() / rows[before].sum() * rows[newest].sum()
        if not expected >= _ENOUGH:
            return np.nan
        ratio = frauds[newest].sum() / expected
        explained = self.limits.factor * np.sqrt(own + 1 / expected)
        return 1.0 if ratio > 0 and abs(np.log(ratio)) <= explained else float(ratio)

    def habits(
        self, day: int, week: list[int], shares: Mapping[str, tuple[float, float]]
    ) -> dict[str, float]:
        """What only speaks where the days before gave enough to compare with."""
        table = self.table
        met, ratio = shares["known_pair_share"]
        is_enough = met * table["rows"][day] >= _ENOUGH
        gaps = table["longest_gap_minutes"]
        before = np.nanmax(gaps[week], initial=0.0) if week else 0.0
        is_long = gaps[day] > _LEAST_GAP_MINUTES and before > 0
        origin = float(_median(table["origin_day"][week][:, None])[0])
        return {
            "known_pair_ratio": ratio if is_enough else np.nan,
            "longest_gap_ratio": float(gaps[day] / before) if is_long else np.nan,
            "swapped_pair_excess": self._swapped(day, week),
            "origin_shift_days": abs(table["origin_day"][day] - origin),
        }

    def _recurring(self, day: int, month: list[int], ratio: float) -> float:
        """The ratio of frauds that recur; 1 where chance explains it, for they are few on a day."""
        from scipy.special import bdtr

        shares, frauds = self.table["recurring_fraud_share"], self.table["frauds"]
        known = [other for other in month if not np.isnan(shares[other])]
        if np.isnan(ratio) or ratio >= 1 or not known:
            return ratio
        usual = float((shares[known] * frauds[known]).sum() / frauds[known].sum())
        chance = float(bdtr(round(shares[day] * frauds[day]), frauds[day], usual))
        return ratio if -np.log10(max(chance, _LEAST_CHANCE)) >= _SURE else 1.0

    def _swapped(self, day: int, week: list[int]) -> float:
        """The share of pairs that met the other way round, beyond what chance and habit explain."""
        shares, rows = self.table["swapped_pair_share"], self.table["rows"][day]
        if np.isnan(shares[day]):
            return np.nan
        usual = np.nanmax(shares[week], initial=0.0)
        expected = max(usual * rows, 1.0)
        is_chance = count_surprise(shares[day] * rows, expected, 0.0) < _SURE
        return 0.0 if is_chance else float(shares[day] - usual)

    def _clock_shift(self, day: int, month: list[int], week: list[int], alike: list[int]) -> float:
        """Minutes by which a day's mean time moved, less what chance and unrest explain."""
        sine, cosine = self.table["clock_sine"], self.table["clock_cosine"]
        turns = [
            _turn(sine[day], cosine[day], sine[days], cosine[days])
            for days in (week, alike)
            if not np.isnan(sine[days]).all()
        ]
        if not turns or np.isnan(sine[day]):
            return np.nan
        turn = min(turns, key=abs)
        length = max(float(np.hypot(sine[day], cosine[day])), 1e-9)
        error = min(1 / (length * np.sqrt(2 * self.table["rows"][day])), np.pi)
        own = self._unrest(self.turns[month], np.zeros((len(month), 1)), 0.0)[0]
        self.turns[day] = turn
        explained = max(_CLOCK_ERRORS * error, self.limits.factor * float(np.sqrt(own)))
        return float(max(abs(turn) - explained, 0.0) * _DAY_MINUTES / (2 * np.pi))


def _turn(sine: float, cosine: float, sines: Floats, cosines: Floats) -> float:
    """The angle from the mean time of other days to this one's, the short way round."""
    before = np.arctan2(np.nanmean(sines), np.nanmean(cosines))
    return float((np.arctan2(sine, cosine) - before + np.pi) % (2 * np.pi) - np.pi)
