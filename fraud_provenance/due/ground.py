"""What a day was judged against, and which days are due for judgement because that moved.

A day that did not pass may do so later: a neighbour was delivered, waived or accepted, a suite or
a threshold changed. Its result names what it was judged against (`ground`). Where that is another
one now, it is judged once more, and the new result names the new ground: so this ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.step.catalogue import catalogue_of
from fraud_provenance.data.landing import landed_days
from fraud_provenance.due.planning import (
    FEATURE_SUITES,
    RAW_SUITES,
    WINDOW_DAYS,
    current_entries,
    declared_empty,
    revoked_partitions,
    unjudged_days,
    window_of,
)
from fraud_provenance.home.workspace import Workspace

RAW, FEATURES = "raw_transactions", "transaction_features"
SUITES = {RAW: RAW_SUITES, FEATURES: FEATURE_SUITES}
_READER = {RAW: "features", FEATURES: "training_set"}  # the first step that needs all suites


@dataclass(frozen=True)
class Surroundings:
    """What the days of one asset are held against.

    Attributes:
        usable: Day to the SHA-256 of its file and, where it was accepted, by which statement.
        delivered: Every day that arrived, usable or not, to its SHA-256 ("" where unread).
        empty: Day to the waiver that declares it empty.
        form: The suites and their thresholds, in one digest.
    """

    usable: Mapping[str, str]
    delivered: Mapping[str, str]
    empty: Mapping[str, str]
    form: str

    def ground(self, day: str) -> str:
        """The SHA-256 of all that a result on `day` depends on, beside its own bytes."""
        before = sorted(other for other in self.usable if other < day)[-WINDOW_DAYS:]
        reach = str(date.fromisoformat(day) - timedelta(days=WINDOW_DAYS))
        since = min([*before[:1], reach])
        there = {d: what for d, what in self.delivered.items() if d not in self.usable}
        return encoding.digest_json(
            {
                "form": self.form,
                "against": {other: self.usable[other] for other in before},
                "there": {d: what for d, what in there.items() if since <= d < day},
                "empty": {d: what for d, what in self.empty.items() if since <= d < day},
            }
        )


def surroundings(workspace: Workspace, asset: str, policy: Policy) -> Surroundings:
    """What the days of `asset` are held against now, under `policy`."""
    store = workspace.store
    known = catalogue_of(workspace.trust)
    usable = known.usable(asset, step=_READER[asset], with_outdated=True).partitions
    own = {day: heads[0].sha256 for day, heads in store.heads(asset).items()}
    raw = {day: heads[0].sha256 for day, heads in store.heads(RAW).items()}
    sections = [policy.data("contracts").get(suite) for suite in SUITES[asset]]
    grades = [policy.data("contracts").get("grades", {}).get(suite) for suite in SUITES[asset]]
    feed = policy.optional("feed")
    forms = [policy.layout.contract(suite).suite_digests for suite in SUITES[asset]]
    return Surroundings(
        usable={day: accepted(workspace, asset, day, own[day]) or own[day] for day in usable},
        delivered=dict.fromkeys(landed_days(workspace.landing), "") | raw | own,
        empty=declared_empty(workspace),
        form=encoding.digest_json(
            {"forms": forms, "thresholds": sections, "grades": grades, "feed": feed}
        ),
    )


def accepted(workspace: Workspace, asset: str, day: str, sha256: str) -> str:
    """The newest statement that accepts these bytes, or an empty string."""
    nodes = workspace.trust.lineage().acceptances(asset, day, sha256)
    return nodes[0].statement if nodes else ""


def stopped_results(workspace: Workspace, asset: str) -> dict[str, str]:
    """Day → the ground of the result that first keeps its newest bytes from passing."""
    results = workspace.store.contract_results(asset)
    found = {}
    for day, heads in workspace.store.heads(asset).items():
        of_day = results.get((day, heads[0].sha256), {})
        first = next((of_day[suite] for suite in SUITES[asset]
                      if suite in of_day and of_day[suite].result != "PASSED"), None)  # fmt: skip
        if first is not None:
            found[day] = first.ground
    return found


def moved_days(workspace: Workspace, asset: str) -> list[str]:
    """Days that did not pass and whose ground is another one now, and those that follow them.

    A day that passes now is a yardstick for the days after it: all that did not pass go along.
    """
    stopped = stopped_results(workspace, asset)
    if not stopped:
        return []
    now = surroundings(workspace, asset, workspace.trust.policies.current())
    left_out = {*now.usable, *revoked_partitions(workspace, asset)}
    waiting = sorted(day for day in stopped if day not in left_out)
    if asset == FEATURES:
        waiting = _made_from_current(workspace, waiting)
    moved = [day for day in waiting if stopped[day] != now.ground(day)]
    return [day for day in waiting if moved and day >= moved[0]]


def _made_from_current(workspace: Workspace, days: list[str]) -> list[str]:
    """Features that are made anew before anybody judges them again are left out."""
    if not days:
        return []
    known = catalogue_of(workspace.trust)
    usable = known.usable(RAW, step=_READER[RAW], with_outdated=True).partitions
    raw, made = current_entries(workspace, RAW), current_entries(workspace, FEATURES)
    return [
        day
        for day in days
        if day in usable
        and set(made[day].made_from) == {raw[d].sha256 for d in window_of([day], usable)}
    ]


def days_to_judge(workspace: Workspace, asset: str) -> list[str]:
    """Days of raw transactions or features that no suite has judged, or not on this ground."""
    new = unjudged_days(workspace, asset, SUITES[asset])
    return sorted({*new, *moved_days(workspace, asset)})


def moved_key(workspace: Workspace, asset: str) -> str:
    """A name of the days that are due again and of their ground; empty where none is.

    The same days are not due under the same name twice: what was judged names its ground.
    """
    days = moved_days(workspace, asset)
    if not days:
        return ""
    now = surroundings(workspace, asset, workspace.trust.policies.current())
    return encoding.digest_json({"asset": asset} | {day: now.ground(day) for day in days})
