"""How far things moved, which changes explain it, and what chance may do by itself.

A metric is measured on a few test days: its standard error (cards drawn anew) is what the days may
move it by, for nothing. Made again on the same days it has no such error; what a small change of
the rows does to a model by chance is told by leaving out days that nobody changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.investigate.changes import DATA, DAYS, TRAINING_DAYS, Change, new_day
from fraud_provenance.investigate.shares import Shares, explain
from fraud_provenance.investigate.why import RAW
from fraud_provenance.investigate.worlds import Worlds

_SIGMAS = 2.0
_NEIGHBOURS = 10
"""Days before whose scores show how far days are apart for nothing."""
_NUMBER = 0.25
"""So much fewer scores than on any of these days, or more, are no chance."""
_TOLERANCE = 0.2
_ENOUGH = 4
_SAME = 1e-6


@dataclass
class Effect:
    """What moved, and what explains it.

    Attributes:
        said: What moved, in words.
        shares: Key of a change → its share.
        alone: Key of a change → the share that goes when it alone is put back.
        unexplained: The share that stays when everything is put back; None where nothing was made.
        chance: Why it is no effect at all, where it is none.
        more: Changes that were found on the way.
        runs: How many worlds were made.
        tolerance: What may stay unexplained.
    """

    said: str
    shares: dict[str, float] = field(default_factory=dict)
    alone: dict[str, float] = field(default_factory=dict)
    unexplained: float | None = None
    chance: str = ""
    more: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: int = 0
    tolerance: float = _TOLERANCE


# --- metrics ---------------------------------------------------------------------------------


def metric_effect(worlds: Worlds, about: str = "") -> Effect:
    """Which changes moved a model's metrics: the one that fell most, by its standard error.

    `about`: the one that is asked about; a share of alerts may move either way.
    """
    from fraud_provenance.fraud.replay import ALERT_RATE, METRICS

    before, now = worlds.a.metrics, worlds.b.metrics
    errors = worlds.chance()
    fall = {name: before[name] - now[name] for name in METRICS}
    clear = [name for name in METRICS if fall[name] > errors[name] / 2]  # the finest first
    metric = clear[0] if clear else max(METRICS, key=lambda name: abs(fall[name]))
    if about and about in before and about in now:
        metric = about
    if metric == ALERT_RATE:
        fall[metric], errors[metric] = abs(before[metric] - now[metric]), before[metric] / 2
    effect = Effect(f"{metric} {before[metric]:.4f} → {now[metric]:.4f}")
    again = worlds.metrics(frozenset())
    if abs(again[metric] - now[metric]) > _SAME:
        effect.notes.append(f"made again it is {again[metric]:.4f}: not all of it is made again")
    if abs(fall[metric]) <= _SAME:
        effect.chance = "no metric moved"
        return effect

    def away(put_back: frozenset[str]) -> float:
        return abs(before[metric] - worlds.metrics(put_back)[metric])

    floors = _metric_floors(worlds, metric, errors[metric])
    found = _explained(worlds, away, floors, effect)
    _days_apart(worlds, effect, found, floors, away)
    if not effect.shares and (effect.unexplained or 0) <= _TOLERANCE:
        band = _SIGMAS * errors[metric]
        effect.chance = f"the test days alone move it by ±{band:.3f}"
    return effect


def _metric_floors(worlds: Worlds, metric: str, error: float) -> dict[str, float]:
    """What each change must bring at least: days the error of two tests, rows what any row may do.

    A parameter or a file works the same way each time: half of that, or of the effect, will do.
    """
    wobble = _wobble(worlds, metric)
    effect = abs(worlds.a.metrics[metric] - worlds.b.metrics[metric])
    of_kind = {DAYS: _SIGMAS * error * 2**0.5, DATA: wobble}
    return {
        key: of_kind.get(change.kind, min(wobble, effect) / 2)
        for key, change in worlds.changes.items()
    }


def _wobble(worlds: Worlds, metric: str) -> float:
    """What leaving out a train day that nobody changed does to the metric; the middle of some."""
    changed = {change.name.partition("/")[2] for change in worlds.changes.values()}
    days = [day for day in worlds.world(frozenset()).parts["train"] if day not in changed]
    now = worlds.metrics(frozenset())[metric]
    if len(days) < _ENOUGH:
        return 0.0  # of so few days each one counts for something
    moved = sorted(abs(worlds.metrics_without(day)[metric] - now) for day in days[:3])
    return moved[len(moved) // 2]


def _explained(
    worlds: Worlds, away: Callable[[frozenset[str]], float], floors: Mapping[str, float],
    effect: Effect,
) -> Shares:  # fmt: skip
    """Shares of all changes; a world that cannot be made is as far away as the present."""
    failed: set[str] = set()
    present = away(frozenset())

    def safe(put_back: frozenset[str]) -> float:
        try:
            return away(put_back)
        except DataError as error:
            failed.add(str(error)[:200])
            return present

    found = explain(safe, list(worlds.changes), floors)
    effect.shares, effect.alone = dict(found.by_change), dict(found.alone)
    effect.unexplained, effect.runs = found.unmoved, found.runs
    effect.notes += [f"a world could not be made: {why}" for why in sorted(failed)]
    order = sorted(effect.shares, key=lambda key: -effect.shares[key])
    effect.shares = {key: effect.shares[key] for key in order}
    return found


def _days_apart(
    worlds: Worlds, effect: Effect, found: Shares, floors: Mapping[str, float],
    away: Callable[[frozenset[str]], float],
) -> None:  # fmt: skip
    """Days that moved on are no cause by themselves: the new day that does it is, if one does."""
    key = f"{DAYS} {TRAINING_DAYS}"
    share = effect.shares.pop(key, None)
    if share is None:
        return
    least = floors.get(key, 0.0)
    before, now = worlds.world(frozenset([key])), worlds.world(frozenset())
    new = [day for part in ("train", "test") for day in now.parts[part]
           if day not in before.parts[part]]  # fmt: skip
    for day in new:
        gain = found.effect - worlds.away_without(day, away)
        if gain >= max(least, found.effect / 2) and day in worlds.b.raw:
            change = new_day(day, worlds.b.raw[day])
            effect.more.append(change)
            effect.shares[change.key] = share
            return
    effect.alone[key] = share
    effect.chance = "" if effect.shares else "the days moved on, and no single day explains it"


# --- scores ----------------------------------------------------------------------------------


def score_effect(worlds: Worlds, transaction: int | None) -> Effect:
    """Which changes moved a day's scores, or one score: measured from the good ones."""
    from fraud_provenance.fraud.replay import moved

    good = worlds.scores(frozenset(worlds.changes))
    one = transaction in good

    def away(put_back: frozenset[str]) -> float:
        scores = worlds.scores(put_back)
        if one and transaction is not None:
            return abs(scores[transaction] - good[transaction])
        return moved(good, scores)

    effect_notes = _unlike(worlds, good)
    far = away(frozenset())
    same_day = worlds.a.scored == worlds.b.scored
    what = "its score moved" if one else "its scores moved on average" if same_day else (
        "the distribution of its scores moved")  # fmt: skip
    effect = Effect(f"{what} by {far:.4f}", notes=effect_notes)
    if far <= _SAME:
        effect.chance = "not a score moved"
        return effect
    others = [] if same_day else _neighbours(worlds)
    usual = _usual(worlds, [moved(good, other) for other in others])
    days = {key for key, change in worlds.changes.items() if change.kind == DAYS}
    floors = dict.fromkeys(days, usual)
    _explained(worlds, away, floors, effect)
    _own_day(worlds, effect, days)
    if not effect.shares and not same_day and not one:
        _of_their_number(worlds, effect, [good, *others])
    if not effect.shares and not same_day:
        effect.chance = f"other days before are {usual:.3f} apart"
    return effect


def _unlike(worlds: Worlds, good: Mapping[int, float]) -> list[str]:
    """What does not come out again as it was signed: then nothing rests on firm ground."""
    told = []
    for made, recipe in ((worlds.scores(frozenset()), worlds.b), (good, worlds.a)):
        try:
            signed = worlds.signed(recipe)
        except ProvenanceError:
            continue  # the file has made room for a newer version
        same = made.keys() == signed.keys()
        if not same or any(abs(made[key] - signed[key]) > _SAME for key in signed):
            told.append(f"{recipe.subject} does not come out again as it was signed")
    return told


def _of_their_number(worlds: Worlds, effect: Effect, others: Sequence[Mapping[int, float]]) -> None:
    """What is unlike other days may be how many scores there are: that is of the day's rows."""
    day, now = worlds.b.scored, len(worlds.scores(frozenset()))
    known = [len(scores) for scores in others]
    low, high = min(known) * (1 - _NUMBER), max(known) * (1 + _NUMBER)
    if low <= now <= high or day not in worlds.b.raw:
        return
    effect.said = f"it has {now} scores; {min(known)} to {max(known)} are usual"
    change = new_day(day, worlds.b.raw[day])
    effect.more.append(change)
    effect.shares[change.key], effect.unexplained = 1.0, 0.0


def _neighbours(worlds: Worlds) -> list[dict[int, float]]:
    """The scores of the days before, where a day has any."""
    days = sorted(day for day in worlds.b.raw if day < min(worlds.a.scored, worlds.b.scored))
    return [scores for day in days[-_NEIGHBOURS:] if (scores := worlds.scores_of(day))]


def _usual(worlds: Worlds, distances: Sequence[float]) -> float:
    """How far the scores of days that nobody complains of are from the good day's.

    At most; of a day that a contract had held for what is unusual in it, in the middle.
    """
    apart = sorted(distances)
    if not apart:
        return 0.0
    return apart[len(apart) // 2] if _was_held(worlds) else apart[-1]


def _was_held(worlds: Worlds) -> bool:
    """Whether the scored day is used because a person signed for it."""
    source = worlds.b.raw.get(worlds.b.scored)
    if source is None:
        return False
    accepted = worlds.trust.lineage().acceptances(RAW, worlds.b.scored, source.sha256)
    return bool(accepted)


def _own_day(worlds: Worlds, effect: Effect, days: Sequence[str] | set[str]) -> None:
    """Another day is no cause by itself; its rows are, where they moved more than days do."""
    for key in [key for key in effect.shares if key in days]:
        share = effect.shares.pop(key)
        day = worlds.b.scored
        if worlds.changes[key].name == TRAINING_DAYS or day not in worlds.b.raw:
            effect.alone[key] = share
            continue
        change = new_day(day, worlds.b.raw[day])
        effect.more.append(change)
        effect.shares[change.key] = effect.shares.get(change.key, 0.0) + share
