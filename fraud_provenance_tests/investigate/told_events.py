"""What is told of a home, read as a consumer would."""

import json
from datetime import date
from typing import Any

from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate import openlineage_form as form
from fraud_provenance.investigate.known_columns import KnownColumns
from fraud_provenance.investigate.openlineage import ALL, Told, events_of

Event = dict[str, Any]
SCORES = "transaction_scores"


def tell(workspace: Workspace, subject: str = ALL, since: date | None = None) -> Told:
    trust = workspace.trust
    columns = KnownColumns(trust, workspace.project, lambda: "")
    return events_of(trust, registry_of(workspace), columns, subject, since)


def events(told: Told) -> list[Event]:
    return [json.loads(line) for line in told.lines.splitlines()]


def ends(found: list[Event], job: str = "") -> list[Event]:
    """The events that end runs, of one job or of all."""
    return [e for e in found if e["eventType"] != "START" and job in ("", e["job"]["name"])]


def end(found: list[Event], job: str) -> Event:
    (only,) = ends(found, job)
    return only


def named(sets: list[Event], name: str) -> Event:
    (only,) = [item for item in sets if item["name"] == name]
    return only


def statements_of(found: list[Event]) -> set[str]:
    return {event["run"]["facets"][form.EVIDENCE]["statement"] for event in found}


def assertions(event: Event) -> list[Event]:
    facets = event["inputs"][0]["inputFacets"]
    return list(facets["dataQualityAssertions"]["assertions"])
