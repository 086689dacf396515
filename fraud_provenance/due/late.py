"""What is late, by day: a day that should be there and is not, since when, and why.

A hole stays until it is mended: by a delivery, a waiver, an acceptance, a run. Days are expected
from an asset's first day to the newest day of what it is made from.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.data.landing import landed_days
from fraud_provenance.due.planning import stopped_days
from fraud_provenance.home.workspace import Workspace

RAW, FEATURES, SCORES = "raw_transactions", "transaction_features", "transaction_scores"
MADE_FROM = {RAW: "", FEATURES: RAW, SCORES: FEATURES}
"""By asset, what its days are made from; raw days from what is delivered."""
_TO_BE_MADE = timedelta(hours=1)


@dataclass(frozen=True)
class LateDay:
    """A day of an asset that is not there.

    Attributes:
        asset: Its name.
        day: The partition.
        since: UTC, when it could have been there.
        why: What it waits for.
        is_consequence: Whether something before it in the flow is missing or held, and told there.
    """

    asset: str
    day: str
    since: str
    why: str
    is_consequence: bool = False


def late_days(workspace: Workspace, asset: str, now: datetime) -> list[LateDay]:
    """The days of an asset that are late, oldest first; what can be made has an hour for it."""
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
        since = _since(workspace, source or asset, day)
        if source and day not in known:
            found.append(LateDay(asset, day, since, f"{source} has no such day", True))
        elif day in stopped:
            why = f"{source} is held or broken: {stopped[day]}"
            found.append(LateDay(asset, day, since, why, True))
        elif source or day in landed:
            if since < encoding.utc_text(now - _TO_BE_MADE):
                found.append(LateDay(asset, day, since, "it was not made yet"))
        else:
            found.append(LateDay(asset, day, since, "it was not delivered"))
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
    bundle = workspace.trust.lineage().node(heads[nearest][0].statement).claims.bundle
    return encoding.utc_text(bundle.signed_at) if bundle is not None else ""
