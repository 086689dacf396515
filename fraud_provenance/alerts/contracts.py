"""Alerts of contracts that failed or warned, from the evidence: whoever judged, however it ended.

The evidence's words are told, not judged: an alert is news.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fraud_provenance.alerts.alert import REASON_LIMIT, Alert, Kind
from fraud_provenance.attested.core import codes, encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, ProvenanceError, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.causes.told import of_day

CONTRACTED_ASSETS = (
    "raw_transactions",
    "transaction_features",
    "training_set",
    "transaction_scores",
)


def contract_alerts(store: EvidenceStore, now: datetime) -> list[Alert]:
    """One alert for each signed test result that fails a current day or warns of it.

    It asks the evidence, not a run: a run that was killed after it signed is told as well.
    """
    return [
        _contract_alert(store, asset, statement, sorted(days), now)
        for (asset, statement), days in _concerned(store).items()
    ]


def concerned_days(store: EvidenceStore) -> dict[str, tuple[str, list[str]]]:
    """Id of each alert that evidence gives rise to now → the asset and the days."""
    return {_id_of(statement): (asset, days)
            for (asset, statement), days in _concerned(store).items()}  # fmt: skip


def _concerned(store: EvidenceStore) -> dict[tuple[str, str], list[str]]:
    """(asset, test result) → the current days that it fails or warns of."""
    tests = store.records(predicate_type=statements.TEST_RESULT)
    warned = {record.statement for record in tests if record.result == "WARNED"}
    failed: dict[tuple[str, str], list[str]] = {}
    for asset in CONTRACTED_ASSETS:
        results = store.contract_results(asset)
        for day, heads in store.heads(asset).items():
            for result in results.get((day, heads[0].sha256), {}).values():
                if result.result != "PASSED" or result.statement in warned:
                    failed.setdefault((asset, result.statement), []).append(day)
    return failed


def _id_of(statement: str) -> str:
    """The statement alone is the identity: a day mended meanwhile must not make the rest news."""
    return encoding.digest_json({"kind": "contract_failed", "statement": statement})


def _contract_alert(
    store: EvidenceStore, asset: str, statement: str, days: Sequence[str], now: datetime
) -> Alert:
    try:
        notes = _annotations(store, statement)
    except (ProvenanceError, LookupError, TypeError):
        notes = {}
    suite = str(notes.get("suite", "a contract"))
    stops, noted = (
        [item for name in names for item in notes.get(name, []) if item.get("day") in days]
        for names in (("failures", "held"), ("warnings",))
    )
    found = [*stops, *noted]
    days = sorted({str(item["day"]) for item in found}) or days  # one result is of many days
    shown = ", ".join(days[:REASON_LIMIT]) + (" …" if len(days) > REASON_LIMIT else "")
    body = [
        f"{item['code']} {asset}@{item['day']} {item['column']}: not true that "
        f"{str(item['check']).replace('_', ' ')}; remedy: "
        + of_day(codes.remedy(str(item["code"])), asset, str(item["day"]))
        for item in found[:REASON_LIMIT]
    ]
    body.append(f"evidence: fraud-provenance verify {asset}/{days[0]}")
    headline = f"{suite} on {asset}, {len(days)} day{'s' * (len(days) > 1)} ({shown})"
    subject = "/".join(filter(None, (asset, days[0])))
    kind: Kind = "contract_noted" if noted and not stops else "contract_failed"
    alert = Alert.of(kind, statement, headline, body, now, subject=subject)
    return alert.model_copy(update={"id": _id_of(statement)})


def _annotations(store: EvidenceStore, statement: str) -> dict[str, Any]:
    """What the signed test result says; for the alert's words only, so it is not verified here."""
    _, content = store.bundle(statement)
    payload = base64.b64decode(encoding.strict_json(content)["dsseEnvelope"]["payload"])
    document = encoding.strict_json(payload)
    if document["predicateType"] != statements.TEST_RESULT:
        raise EvidenceError(reason(RootCause.PREDICATE_TYPE, "not a test result"))
    return dict(document["predicate"]["annotations"])
