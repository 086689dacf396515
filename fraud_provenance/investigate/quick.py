"""Ranked by how far the inputs moved, and nothing made again: a first answer within seconds.

It may be wrong: what moved far need not matter. So it names no share, and says how it was ranked.
"""

from typing import TYPE_CHECKING

from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.causes import Blame, cause_of
from fraud_provenance.investigate.changes import DATA, DAYS, PARAMETER, Change, Changes
from fraud_provenance.investigate.recipes import Recipe

if TYPE_CHECKING:
    import polars as pl

_LEAST, _MOST = 0.002, 12
_UNUSED = frozenset(("tx_fraud_scenario",))
_OF_PARAMETER, _OF_OTHERS = 0.5, 0.3
"""Where a parameter, or code and libraries that shape values, stand among distances of columns."""


def ranked(trust: Trust, found: Blame, sides: tuple[Recipe, Recipe], changes: Changes) -> None:
    """Put the changes into the answer, the farthest first."""
    before, now = sides
    shifts = [(shift_of(trust, change, before, now), change) for change in changes.all]
    shifts.sort(key=lambda item: -item[0][0])
    for (distance, told), change in shifts:
        cause = cause_of(change, now.roots, None, told)
        is_cause = distance >= _LEAST and len(found.causes) < _MOST
        (found.causes if is_cause else found.immaterial).append(cause)
    found.chance = "" if found.causes else "no input moved"
    found.notes.append("ranked by the shift of the inputs; nothing was made again")


def shift_of(trust: Trust, change: Change, before: Recipe, now: Recipe) -> tuple[float, list[str]]:
    """How far a change moves its input, from 0 to 1, and by what."""
    if not change.shapes_values or change.kind == DAYS:
        return 0.0, []
    if change.kind == PARAMETER:
        return _OF_PARAMETER, []
    if change.kind != DATA:
        return _OF_OTHERS, []
    frames = _frames(trust, change, before, now)
    if frames is None:
        return 1.0, ["not compared: its bytes are gone"]
    from fraud_provenance.fraud.shift import column_shifts

    shifts = [item for item in column_shifts(*frames) if item.column not in _UNUSED]
    told = [f"{item.column}: distance {item.distance:.3f}" for item in shifts[:3]]
    return max((item.distance for item in shifts), default=0.0), told


def _frames(
    trust: Trust, change: Change, before: Recipe, now: Recipe
) -> "tuple[pl.DataFrame, pl.DataFrame] | None":
    from fraud_provenance.investigate.breaks import frames_of

    day = change.name.partition("/")[2]
    old, new = before.raw.get(day), now.raw.get(day)
    if old is None or new is None:
        return None
    return frames_of(trust, (old.node, day, old.sha256), (new.node, day, new.sha256))
