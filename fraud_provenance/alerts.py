"""Alerts for people: written to an outbox first, then delivered to a webhook, once.

In: what went wrong, in words. Out: `{"text": …}` (Slack's form) at a webhook. The outbox is two
folders, `pending` and `delivered`, with one JSON file an alert, named by what it says: the same
alert found twice is one file. A webhook that is down delays alerts and never fails a run.

A process killed between the webhook's answer and the move to `delivered` sends once more; the
receiver can tell by the `Idempotency-Key`, which is the alert's id.
"""

import html
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core import codes, encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    reason,
)
from fraud_provenance.attested.core.secret_forms import redacted
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.store.store import EvidenceStore

Kind = Literal["contract_failed", "gate_refused", "not_trusted", "could_not_decide", "run_failed"]
WEBHOOK_VARIABLE = "FRAUD_PROVENANCE_WEBHOOK"
CONTRACTED_ASSETS = (
    "raw_transactions",
    "transaction_features",
    "training_set",
    "transaction_scores",
)
_TITLES: Mapping[str, str] = {
    "contract_failed": "Contract failed",
    "gate_refused": "Refused",
    "not_trusted": "Not trusted",
    "could_not_decide": "Could not decide",
    "run_failed": "Run failed",
}
_TEXT_LIMIT = 3000  # Slack cuts a message's block off here
_REASON_LIMIT = 5
_DEADLINE_S = 10.0
_ROUND_S = 20.0
_FIRST_RETRY_S, _LAST_RETRY_S = 30, 3600
_FILE_LIMIT = 1 << 16
_HEADLINE_LIMIT = 600
_NEXT_REASON = re.compile(r"; (?=[A-Z][A-Z_]{3,}[(:])")
_CODE = re.compile(r"[A-Z][A-Z_]{3,}(?=[(:])")
_KINDS: Mapping[str, Kind] = {
    "GateDenied": "gate_refused",
    "VerificationError": "gate_refused",
    "EvidenceError": "gate_refused",
    "DataError": "gate_refused",
    "BackendError": "could_not_decide",
    "ConfigError": "could_not_decide",
}


class Alert(BaseModel):
    """One thing that a person should know, and how far its delivery is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{64}$")
    kind: Kind
    text: str = Field(max_length=2 * _TEXT_LIMIT)
    raised_at: datetime
    attempts: int = Field(default=0, ge=0)
    not_before: datetime | None = None
    last_error: str = ""
    delivered_at: datetime | None = None

    @classmethod
    def of(cls, kind: Kind, scope: str, headline: str, body: Sequence[str], now: datetime) -> Self:
        """An alert whose identity is kind, `scope` and headline; `body` are further lines."""
        lines = [f"{_TITLES[kind]}: {headline}", *body]
        text = redacted("\n".join(lines))
        if len(text) > _TEXT_LIMIT:
            text = text[: _TEXT_LIMIT - 1] + "…"
        identity = encoding.digest_json({"kind": kind, "scope": scope, "headline": headline})
        return cls(id=identity, kind=kind, text=text, raised_at=now)


@dataclass(frozen=True)
class Delivery:
    """What one round of delivery did."""

    delivered: int = 0
    waiting: int = 0
    error: str = ""


class Outbox:
    """The alerts of one home."""

    def __init__(self, home: Path) -> None:
        self._put_lock = home / "run" / "alerts.lock"
        self._delivery_lock = home / "run" / "alert-delivery.lock"  # held while a webhook answers
        self._pending = home / "alerts" / "pending"
        self._delivered = home / "alerts" / "delivered"

    def put(self, alert: Alert) -> bool:
        """Keep an alert for delivery, durably; False if it is known already."""
        with files.exclusive_lock(self._put_lock):
            known = [self._pending / f"{alert.id}.json", self._delivered / f"{alert.id}.json"]
            if any(path.exists() for path in known):
                return False
            self._write(self._pending, alert)
            return True

    def pending(self) -> list[Alert]:
        """Alerts that no webhook has accepted yet, oldest first."""
        return self._read(self._pending)

    def delivered(self) -> list[Alert]:
        """Alerts that a webhook has accepted, oldest first."""
        return self._read(self._delivered)

    def deliver(
        self, url: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Delivery:
        """Send what is due. A webhook that fails ends the round; what is left is tried later.

        Raises:
            ConfigError: `url` may not be used. Nothing was sent.
        """
        check_webhook(url)
        delivered, error, began = 0, "", time.monotonic()
        with files.exclusive_lock(self._delivery_lock):
            for alert in self.pending():
                if alert.not_before is not None and alert.not_before > now():
                    continue
                if error or time.monotonic() - began > _ROUND_S:
                    break
                error = post(url, alert)
                if error:
                    self._write(self._pending, _later(alert, error, now()))
                    continue
                done = alert.model_copy(update={"delivered_at": now(), "last_error": ""})
                self._write(self._delivered, done)
                (self._pending / f"{alert.id}.json").unlink(missing_ok=True)
                delivered += 1
            return Delivery(delivered, len(self.pending()), error)

    def _write(self, folder: Path, alert: Alert) -> None:
        content = encoding.canonical_json(alert.model_dump(mode="json"))
        files.write_atomic(folder / f"{alert.id}.json", content, mode=0o600)

    def _read(self, folder: Path) -> list[Alert]:
        found = []
        for path in folder.glob("*.json"):
            try:
                document = encoding.strict_json(files.read_once(path, limit_bytes=_FILE_LIMIT))
                alert = Alert.model_validate(document)
            except (ProvenanceError, ValidationError):
                continue  # not ours, or edited: an alert is news, no evidence
            if path.stem == alert.id and not self._is_done(folder, alert):
                found.append(alert)
        return sorted(found, key=lambda alert: (alert.raised_at, alert.id))

    def _is_done(self, folder: Path, alert: Alert) -> bool:
        """Delivered, but killed before it left `pending`."""
        return folder == self._pending and (self._delivered / f"{alert.id}.json").exists()


def _later(alert: Alert, error: str, now: datetime) -> Alert:
    """The alert after a failed attempt: half a minute, then twice as long, at most an hour."""
    wait_s = min(_FIRST_RETRY_S * 2 ** min(alert.attempts, 10), _LAST_RETRY_S)
    return alert.model_copy(
        update={
            "attempts": alert.attempts + 1,
            "not_before": now + timedelta(seconds=wait_s),
            "last_error": error,
        }
    )


# --- the webhook -----------------------------------------------------------------------------


def check_webhook(url: str) -> None:
    """Only https, or http to this machine: an alert tells what is weak right now.

    Raises:
        ConfigError: USAGE. The address itself is a secret and is not repeated.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host == "127.0.0.1")
    if not (is_safe and host and "@" not in parts.netloc):
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"{WEBHOOK_VARIABLE} is not an https address (nor http on 127.0.0.1)",
                remedy="Set it to the webhook's https address, without user name and password.",
            )
        )


def post(url: str, alert: Alert, deadline_s: float = _DEADLINE_S) -> str:
    """Send one alert; returns what went wrong, without the address, or an empty string."""
    future: Future[str] = Future()
    worker = threading.Thread(
        target=lambda: future.set_result(_post(url, alert, deadline_s)), daemon=True, name="alert"
    )
    worker.start()  # a daemon thread: a server that answers byte by byte must not hold up a run
    try:
        return future.result(timeout=deadline_s + 1)
    except TimeoutError:
        return f"no answer within {deadline_s:.0f} s"


def _post(url: str, alert: Alert, deadline_s: float) -> str:
    import requests

    try:
        with requests.Session() as session:
            session.trust_env = urlsplit(url).scheme == "https"  # no proxy to this machine
            with session.post(
                url,
                json={"text": html.escape(alert.text, quote=False)},
                headers={"Idempotency-Key": alert.id},
                timeout=deadline_s,
                allow_redirects=False,  # else a redirect could lead to plain http
                stream=True,
            ) as answer:
                return "" if answer.ok else f"the webhook answered {answer.status_code}"
    except Exception as error:
        return f"the webhook cannot be reached ({type(error).__name__})"


# --- what is worth an alert ------------------------------------------------------------------


def alert_of_error(error: ProvenanceError, place: str, now: datetime) -> Alert:
    """A refusal as an alert; the same refusal is told once a day. `place` is a step or command."""
    return alert_of_refusal(kind_of(type(error).__name__), place, str(error), now)


def kind_of(error: str) -> Kind | None:
    """The kind of alert for one of our errors by its class's name; None for anybody else's."""
    return _KINDS.get(error)


def alert_of_refusal(
    kind: Kind | None, place: str, text: str, now: datetime, notes: Sequence[str] = ()
) -> Alert:
    """A refusal as an alert, from its error's text: reasons, the root cause first."""
    parts = _NEXT_REASON.split(text.strip()) or [""]
    body = [f"also {part}" for part in parts[1:_REASON_LIMIT]]
    if len(parts) > _REASON_LIMIT:
        body.append(f"… and {len(parts) - _REASON_LIMIT} more")
    code = _CODE.match(parts[0])
    if code and codes.remedy(code[0]):
        body.append(f"remedy: {codes.remedy(code[0])}")
    headline = f"{place}: {parts[0][:_HEADLINE_LIMIT]}"
    return Alert.of(kind or "run_failed", f"{now:%Y-%m-%d}", headline, [*body, *notes], now)


def contract_alerts(store: EvidenceStore, now: datetime) -> list[Alert]:
    """One alert for each signed test result that fails a current day or warns of it.

    It asks the evidence, not a run: a run that was killed after it signed is told as well.
    """
    tests = store.records(predicate_type=statements.TEST_RESULT)
    warned = {record.statement for record in tests if record.result == "WARNED"}
    failed: dict[tuple[str, str], list[str]] = {}
    for asset in CONTRACTED_ASSETS:
        results = store.contract_results(asset)
        for day, heads in store.heads(asset).items():
            for result in results.get((day, heads[0].sha256), {}).values():
                if result.result != "PASSED" or result.statement in warned:
                    failed.setdefault((asset, result.statement), []).append(day)
    return [
        _contract_alert(store, asset, statement, sorted(days), now)
        for (asset, statement), days in failed.items()
    ]


def _contract_alert(
    store: EvidenceStore, asset: str, statement: str, days: Sequence[str], now: datetime
) -> Alert:
    try:
        notes = _annotations(store, statement)
    except (ProvenanceError, LookupError, TypeError):
        notes = {}
    suite = str(notes.get("suite", "a contract"))
    shown = ", ".join(days[:_REASON_LIMIT]) + (" …" if len(days) > _REASON_LIMIT else "")
    told = [item for name in ("failures", "held", "warnings") for item in notes.get(name, [])]
    found = [item for item in told if item.get("day") in days]
    body = [
        f"{item['code']} {asset}@{item['day']} {item['column']}: not true that "
        f"{str(item['check']).replace('_', ' ')}; remedy: {codes.remedy(str(item['code']))}"
        for item in found[:_REASON_LIMIT]
    ]
    body.append(f"evidence: fraud-provenance verify {asset}/{days[0]}")
    headline = f"{suite} on {asset}, {len(days)} day{'s' * (len(days) > 1)} ({shown})"
    # The statement alone is the identity: a day mended meanwhile must not make the rest news.
    alert = Alert.of("contract_failed", statement, headline, body, now)
    return alert.model_copy(
        update={"id": encoding.digest_json({"kind": alert.kind, "statement": statement})}
    )


def _annotations(store: EvidenceStore, statement: str) -> dict[str, Any]:
    """What the signed test result says; for the alert's words only, so it is not verified here."""
    import base64

    _, content = store.bundle(statement)
    payload = base64.b64decode(encoding.strict_json(content)["dsseEnvelope"]["payload"])
    document = encoding.strict_json(payload)
    if document["predicateType"] != statements.TEST_RESULT:
        raise EvidenceError(reason(RootCause.PREDICATE_TYPE, "not a test result"))
    return dict(document["predicate"]["annotations"])
