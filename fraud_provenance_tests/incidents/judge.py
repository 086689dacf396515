"""Asks the product what caused an incident, as a person would, and looks at the answer."""

import json
import time
from typing import Any

from fraud_provenance_tests.incidents.model import Answer, Incident
from fraud_provenance_tests.incidents.place import Place

NOT_PROVEN = ("infrastructure", "missing")
"""What is not there has no statement; what is said of it is news."""


def ask(place: Place, incident: Incident) -> Answer:
    """The quick answer and the full one, each by a process of its own."""
    subject = incident.subject
    if subject.partition("/")[0] == "alert":
        subject = newest_alert(place, subject.partition("/")[2])
    against = ("--against", incident.against) if incident.against else ()
    answer = Answer(incident, alarmed=bool(place.alarms) or bool(newest_alert(place)))
    began = time.monotonic()
    place.product.run("blame", subject, *against, "--quick", "--json")
    answer.quick_s = time.monotonic() - began
    began = time.monotonic()
    done = place.product.run("blame", subject, *against, "--json")
    answer.full_s = time.monotonic() - began
    answer.code = done.code
    try:
        answer.document = json.loads(done.out)
    except ValueError:
        answer.headline = done.text.strip()[-300:]
        return answer
    answer.headline = str(answer.document["headline"])
    answer.named = frozenset(item["cause"] for item in answer.document["causes"])
    answer.alarmed |= not answer.document["verdict"]["trusted"]  # whoever uses it is refused
    answer.grounded = all(is_grounded(item) for item in answer.document["causes"])
    return answer


def is_grounded(cause: dict[str, Any]) -> bool:
    """Whether the path is verified statements, to the last but what itself does not hold."""
    path = cause["path"]
    if not path:
        return False
    above = path[:-1] if cause["broken"] else path
    if cause["kind"] in NOT_PROVEN:
        return all(link["verified"] for link in above)
    return all(link["verified"] and link["statement"] for link in above)


def newest_alert(place: Place, about: str = "") -> str:
    """The newest alert (about something) as a subject; "" for none."""
    folders = [place.home / "alerts" / name for name in ("pending", "delivered")]
    known = [json.loads(path.read_text("utf-8")) for folder in folders
             for path in folder.glob("*.json")]  # fmt: skip
    known = [alert for alert in known if about in ("", alert["subject"])]
    newest = max(known, key=lambda alert: str(alert["raised_at"]), default=None)
    return f"alert:{newest['id'][:16]}" if newest else ""
