"""The alerts of one home: kept before they are sent, and delivered to each sink once.

Two folders, `pending` and `delivered`, with one JSON file an alert, named by what it says: the same
alert found twice is one file. A third, `acknowledged`, says who took which alert upon themselves.

A process killed between a sink's answer and the note of it cannot know whether it was heard. That
a message leaves is written down first, so what is sent again says that it may be a repeat; its id
is the same, and a sink that knows it sends nothing twice.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.alerts.alert import Alert, Progress
from fraud_provenance.alerts.sinks import Sink
from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason
from fraud_provenance.attested.ports.clock import Clock, machine_clock

_ROUND_S = 20.0
_FILE_LIMIT = 1 << 16
_SHORTEST_NAME = 4
_QUIET = timedelta(hours=36)
"""What is acknowledged stays quiet while it is found again within this time: daily checks are."""
_LOOK = timedelta(hours=1)
_Document = TypeVar("_Document", "Alert", "Acknowledgement")


class Acknowledgement(BaseModel):
    """Somebody took an alert upon themselves. News, as the alert: nobody signs it.

    `seen_at`: when what it tells was last found again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{64}$")
    by: str = Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,253}$")
    reason: str = Field(min_length=1, max_length=1000)
    at: datetime
    topic: str = ""
    seen_at: datetime


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
        self._delivery_lock = home / "run" / "alert-delivery.lock"  # held while a sink answers
        self._pending = home / "alerts" / "pending"
        self._delivered = home / "alerts" / "delivered"
        self._acknowledged = home / "alerts" / "acknowledged"

    def put(self, alert: Alert) -> bool:
        """Keep an alert for delivery, durably; False if it is known, or acknowledged and goes on.

        An acknowledgement holds while the same is found again; after a break it is news.
        """
        with files.exclusive_lock(self._put_lock):
            if self._is_quiet(alert) or self._path(self._acknowledged, alert.id).exists():
                return False
            known = [self._path(folder, alert.id) for folder in (self._pending, self._delivered)]
            if any(path.exists() for path in known):
                return False
            self._write(self._pending, alert)
            return True

    def _is_quiet(self, alert: Alert) -> bool:
        """Whether somebody knows of this very thing, which never went away since."""
        if not alert.topic:
            return False
        for taken in self._read(self._acknowledged, Acknowledgement):
            if taken.topic != alert.topic or alert.raised_at - taken.seen_at > _QUIET:
                continue
            if alert.raised_at - taken.seen_at > _LOOK:
                seen = taken.model_copy(update={"seen_at": alert.raised_at})
                self._write(self._acknowledged, seen)
            return True
        return False

    # --- what is there -----------------------------------------------------------------------

    def everything(self) -> list[Alert]:
        """All alerts, oldest first."""
        found = {alert.id: alert for alert in self._read(self._pending, Alert)}
        found.update({alert.id: alert for alert in self._read(self._delivered, Alert)})
        return sorted(found.values(), key=lambda alert: (alert.raised_at, alert.id))

    def pending(self) -> list[Alert]:
        """Alerts that some sink has not accepted yet and nobody acknowledged, oldest first."""
        taken = {path.stem for path in self._acknowledged.glob("*.json")}
        waiting = self._read(self._pending, Alert)
        waiting = [item for item in waiting if item.id not in taken and not self._is_sent(item)]
        return sorted(waiting, key=lambda alert: (alert.raised_at, alert.id))

    def delivered(self) -> list[Alert]:
        """Alerts that every sink has accepted, oldest first."""
        found = self._read(self._delivered, Alert)
        return sorted(found, key=lambda alert: (alert.raised_at, alert.id))

    def acknowledged(self) -> dict[str, Acknowledgement]:
        """Who took which alert upon themselves, by the alert's id."""
        return {taken.id: taken for taken in self._read(self._acknowledged, Acknowledgement)}

    def acknowledge(self, name: str, by: str, why: str, now: datetime) -> Alert:
        """Take the alert whose id begins with `name` upon oneself: nobody is sent it any more.

        Raises:
            ConfigError: USAGE, there is no such alert, more than one, or no person or reason.
        """
        found = [item for item in self.everything() if item.id.startswith(name)]
        if len(found) != 1 or len(name) < _SHORTEST_NAME:
            raise ConfigError(
                reason(
                    RootCause.USAGE,
                    f"{len(found)} alerts begin with {name[:64]!r}",
                    remedy=f"Give {_SHORTEST_NAME} or more digits of an id that "
                    "`fraud-provenance alerts` shows.",
                )
            )
        (alert,) = found
        try:
            taken = Acknowledgement(
                id=alert.id, by=by, reason=why.strip(), at=now, topic=alert.topic, seen_at=now
            )
        except ValidationError as error:
            raise ConfigError(
                reason(
                    RootCause.USAGE,
                    "an acknowledgement needs an e-mail address and a reason",
                    remedy="Give --as EMAIL and --reason TEXT.",
                )
            ) from error
        with files.exclusive_lock(self._put_lock):
            if not self._path(self._acknowledged, alert.id).exists():  # the first one stands
                self._write(self._acknowledged, taken)
        return alert

    # --- delivery ----------------------------------------------------------------------------

    def deliver(self, sinks: Sequence[Sink], now: Clock = machine_clock) -> Delivery:
        """Send what is due. A sink that fails is left alone for this round, and tried later."""
        delivered, errors = 0, dict[str, str]()
        began = time.monotonic()
        with files.exclusive_lock(self._delivery_lock):
            for waiting in self.pending() if sinks else ():
                alert = waiting
                for sink in sinks:
                    if sink.name in errors or time.monotonic() - began > _ROUND_S:
                        continue
                    if self._path(self._acknowledged, alert.id).exists():
                        break  # while this round went on
                    alert, error = self._send(alert, sink, now)
                    if error:
                        errors[sink.name] = error
                if all(alert.progress(sink.name).sent_at for sink in sinks):
                    done = alert.model_copy(update={"delivered_at": now()})
                    self._write(self._delivered, done)
                    self._path(self._pending, alert.id).unlink(missing_ok=True)
                    delivered += 1
            return Delivery(delivered, len(self.pending()), "; ".join(errors.values()))

    def _send(self, alert: Alert, sink: Sink, now: Clock) -> tuple[Alert, str]:
        """(the alert as it is now, what went wrong) after one attempt, if one was due."""
        before = alert.progress(sink.name)
        if before.sent_at or (before.not_before is not None and before.not_before > now()):
            return alert, ""
        leaving = before.model_copy(update={"in_doubt": True})
        self._write(self._pending, alert.with_progress(sink.name, leaving))
        answer = sink.send(alert)
        if answer.accepted:
            after = Progress(attempts=before.attempts + 1, sent_at=now(), last_error=answer.error)
        else:
            in_doubt = before.in_doubt or answer.in_doubt
            after = before.later(answer.error, now(), in_doubt=in_doubt)
        alert = alert.with_progress(sink.name, after)
        self._write(self._pending, alert)
        return alert, "" if answer.accepted else answer.error

    # --- files -------------------------------------------------------------------------------

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        return folder / f"{name}.json"

    def _write(self, folder: Path, document: Alert | Acknowledgement) -> None:
        content = encoding.canonical_json(document.model_dump(mode="json"))
        files.write_atomic(self._path(folder, document.id), content, mode=0o600)

    def _read(self, folder: Path, form: type[_Document]) -> list[_Document]:
        found = []
        for path in folder.glob("*.json"):
            try:
                content = files.read_once(path, limit_bytes=_FILE_LIMIT)
                document = form.model_validate(encoding.strict_json(content))
            except (ProvenanceError, ValidationError):
                continue  # not ours, or edited: an alert is news, no evidence
            if path.stem == document.id:
                found.append(document)
        return found

    def _is_sent(self, alert: Alert) -> bool:
        """Delivered, but killed before it left `pending`."""
        return self._path(self._delivered, alert.id).exists()
