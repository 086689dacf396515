"""Which of many changes explain an effect, and how much of it each: found by putting them back.

In: a function that tells how far from good things are once some changes were put back. Out: the
changes that matter, each with its share. A change matters if putting it back alone brings things
nearer to good, or if leaving it as it is alone keeps them away: so two changes are found that do
harm only together (either one put back helps), and two of which each does all the harm (both must
be put back). Shares are Shapley's: the mean of what a change brings over all orders.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np

Distance = Callable[[frozenset[str]], float]
"""Names of the changes that were put back → how far from good that is, 0 or more."""

LEAST = 0.1
"""The share of the effect below which a change is not called a cause."""
_EXACT, _ORDERS = 6, 24
"""Changes whose orders are all looked at; of more, so many orders."""


@dataclass(frozen=True)
class Shares:
    """What explains an effect.

    Attributes:
        effect: How far from good things are with nothing put back.
        by_change: Change → its share of the effect (1 is all of it), of those that matter.
        alone: Change → the share that goes when it alone is put back; of those looked at alone.
        left: The share that stays when all that matter are put back.
        unmoved: The share that stays when everything is put back: what no change explains.
        runs: How often the distance was asked for.
    """

    effect: float
    by_change: Mapping[str, float]
    alone: Mapping[str, float]
    left: float
    unmoved: float
    runs: int

    @property
    def together(self) -> tuple[str, ...]:
        """The changes that matter, the largest share first."""
        return tuple(sorted(self.by_change, key=lambda name: (-self.by_change[name], name)))


def explain(
    distance: Distance, changes: Sequence[str], floors: Mapping[str, float] | None = None
) -> Shares:
    """Find the changes that explain `distance(frozenset())`, and the share of each.

    Args:
        distance: How far from good; asked once for each set.
        changes: The names of all changes.
        floors: Change → what it must bring at least, in units of `distance`: what chance may do.
            `LEAST` of the effect in any case.
    """
    look = _Look(distance, changes, dict(floors or {}))
    if look.effect <= 0 or not changes:
        return Shares(max(look.effect, 0.0), {}, {}, 1.0, 1.0, len(look.known))
    found = look.relevant(list(changes))
    values = look.shapley(found)
    strong = [name for name in found if values[name] >= look.floor([name])]
    if strong != found:  # what is weak stays as it is, and the others share what they bring
        values = look.shapley(strong)
    by_change = {name: values[name] / look.effect for name in strong}
    alone = {name: (look.effect - look.known[frozenset([name])]) / look.effect
             for name in changes if frozenset([name]) in look.known}  # fmt: skip
    left = look.ask(strong) / look.effect
    unmoved = look.ask(changes) / look.effect
    return Shares(look.effect, by_change, alone, left, unmoved, len(look.known))


class _Look:
    def __init__(
        self, distance: Distance, changes: Sequence[str], floors: Mapping[str, float]
    ) -> None:
        self._distance, self._all, self._floors = distance, frozenset(changes), floors
        self.known: dict[frozenset[str], float] = {}
        self.effect = self.ask([])

    def ask(self, put_back: Collection[str]) -> float:
        wanted = frozenset(put_back)
        if wanted not in self.known:
            self.known[wanted] = float(self._distance(wanted))
        return self.known[wanted]

    def floor(self, names: Collection[str]) -> float:
        chance = max((self._floors.get(name, 0.0) for name in names), default=0.0)
        return max(LEAST * self.effect, chance)

    def matters(self, names: Collection[str]) -> bool:
        """Whether these, put back alone, or alone left as they are, make a difference."""
        least = min(self.floor([name]) for name in names)
        alone = self.effect - self.ask(names)
        kept = self.ask(self._all.difference(names)) - self.ask(self._all)
        return max(alone, kept) >= least

    def relevant(self, names: list[str]) -> list[str]:
        """Those of some changes that matter: halves of halves, for most of many do not."""
        if not self.matters(names):
            return []
        if len(names) == 1:
            return names
        middle = len(names) // 2
        found = [*self.relevant(names[:middle]), *self.relevant(names[middle:])]
        return found or self._smallest(names)

    def _smallest(self, names: list[str]) -> list[str]:
        """What is left of a set that matters only as a whole, without those it does not need."""
        kept = list(names)
        for name in names:
            rest = [other for other in kept if other != name]
            if rest and self.matters(rest):
                kept = rest
        return kept

    def shapley(self, names: Sequence[str]) -> dict[str, float]:
        """Each one's mean part in the way back to good, over all orders (or some of many)."""
        if len(names) > _EXACT:
            return self._sampled(names)
        count = len(names)
        values = dict.fromkeys(names, 0.0)
        for name in names:
            others = [other for other in names if other != name]
            for size in range(count):
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                for before in combinations(others, size):
                    gain = self.ask(before) - self.ask([*before, name])
                    values[name] += weight * gain
        return values

    def _sampled(self, names: Sequence[str]) -> dict[str, float]:
        chance = np.random.default_rng(0)
        values = dict.fromkeys(names, 0.0)
        for _ in range(_ORDERS):
            before: list[str] = []
            for index in chance.permutation(len(names)):
                gain = self.ask(before) - self.ask([*before, names[index]])
                values[names[index]] += gain / _ORDERS
                before.append(names[index])
        return values
