"""What is late, by day: a day that should be there and is not, since when, and why.

A hole stays until it is mended: by a delivery, a waiver, an acceptance, a run. Days are expected
from an asset's first day to the newest day of what it is made from.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.data.landing import landed_days
from fraud_provenance.due.planning import stopped_days
from fraud_provenance.workspace import Workspace

RAW, FEATURES, SCORES = "raw_transactions", "transaction_features", "transaction_scores"
MADE_FROM = {RAW: "", FEATURES: RAW, SCORES: FEATURES}
"""By asset, what its days are made from; raw days from what is delivered."""


@dataclass(frozen=True)
class LateDay:
    """A day of an asset that is not there. `since`: UTC, when it could have been there."""

    asset: str
    day: str
    since: str
    why: str


def late_days(workspace: Workspace, asset: str) -> list[LateDay]:
    """The days of an asset that are late, oldest first."""
    source = MADE_FROM[asset]
    own = workspace.store.heads(asset)
    known = workspace.store.heads(source) if source else own
    if not own or not known:
        return []
    missing = [day for day in _between(min(own), max(*own, *known)) if day not in own]
    waived = workspace.trust.lineage().waivers(RAW) if missing else {}
    missing = [day for day in missing if day not in waived]
    if not missing:
        return []
    landed = landed_days(workspace.landing)
    stopped = stopped_days(workspace, source) if source else {}
    found = []
    for day in missing:
        if source and day not in known:
            why = f"{source} has no such day"
        elif day in stopped:
            why = f"{source} is held or broken: {stopped[day]}"
        elif source or day in landed:
            why = "it was not made yet"
        else:
            why = "it was not delivered"
        found.append(LateDay(asset, day, _since(workspace, source or asset, day), why))
    return found


def _between(first: str, last: str) -> list[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=number)) for number in range((end - start).days + 1)]


def _since(workspace: Workspace, source: str, day: str) -> str:
    """When the day it rests on was signed, or the first one after it."""
    heads = workspace.store.heads(source)
    nearest = min((other for other in heads if other >= day), default="")
    if not nearest:
        return ""
    bundle = workspace.trust.lineage().node(heads[nearest][0].statement).bundle
    return encoding.utc_text(bundle.signed_at) if bundle is not None else ""
