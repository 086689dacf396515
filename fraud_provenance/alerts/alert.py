"""One alert: what a person should know, and how far each sink is with it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fraud_provenance.attested.core import codes, encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.core.secret_forms import redacted

Kind = Literal[
    "contract_failed",
    "contract_noted",
    "gate_refused",
    "not_trusted",
    "could_not_decide",
    "run_failed",
    "late",
]
WEBHOOK = "webhook"
"""The sink that older homes knew alone."""
_TITLES: Mapping[str, str] = {
    "contract_failed": "Contract failed",
    "contract_noted": "Noted by a contract, nothing is held",
    "gate_refused": "Refused",
    "not_trusted": "Not trusted",
    "could_not_decide": "Could not decide",
    "run_failed": "Run failed",
    "late": "Late",
}
_TEXT_LIMIT = 3000  # Slack cuts a message's block off here
REASON_LIMIT = 5
_FIRST_RETRY_S, _LAST_RETRY_S = 30, 3600
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
_REPEAT = "(Perhaps told before: whoever sent it could not see whether it arrived.)"


class Progress(BaseModel):
    """How far one sink is with one alert. `in_doubt`: it was sent, and no answer was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(default=0, ge=0)
    not_before: datetime | None = None
    last_error: str = ""
    in_doubt: bool = False
    sent_at: datetime | None = None

    def later(self, error: str, now: datetime, *, in_doubt: bool) -> "Progress":
        """After a failed attempt: half a minute, then twice as long, at most an hour."""
        wait_s = min(_FIRST_RETRY_S * 2 ** min(self.attempts, 10), _LAST_RETRY_S)
        return Progress(
            attempts=self.attempts + 1,
            not_before=now + timedelta(seconds=wait_s),
            last_error=error,
            in_doubt=in_doubt,
        )


class Alert(BaseModel):
    """One thing that a person should know, and how far its delivery is.

    `topic`: what is the same while the same thing goes on, day after day; empty where it does not.
    `subject`: what it is about, such as an asset's day or a step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{64}$")
    kind: Kind
    text: str = Field(max_length=2 * _TEXT_LIMIT)
    raised_at: datetime
    subject: str = ""
    topic: str = ""
    sinks: dict[str, Progress] = {}
    delivered_at: datetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_sink_of_old(cls, document: Any) -> Any:  # noqa: ANN401 - anything, before it is checked
        """An older home knew one sink, the webhook, and kept its progress in the alert itself."""
        if not isinstance(document, dict):
            return document
        known = dict(document)
        old = {
            name: known.pop(name)
            for name in ("attempts", "not_before", "last_error")
            if name in known
        }
        if old and "sinks" not in known:
            known["sinks"] = {WEBHOOK: {**old, "sent_at": known.get("delivered_at")}}
        return known

    @classmethod
    def of(
        cls,
        kind: Kind,
        scope: str,
        headline: str,
        body: Sequence[str],
        now: datetime,
        *,
        subject: str = "",
        goes_on: bool = False,
    ) -> Self:
        """An alert whose identity is kind, `scope` and headline; `body` are further lines.

        `goes_on`: what is told may be found again under another scope, such as the next day.
        """
        lines = [f"{_TITLES[kind]}: {headline}", *body]
        text = redacted("\n".join(lines))
        if len(text) > _TEXT_LIMIT:
            text = text[: _TEXT_LIMIT - 1] + "…"
        identity = encoding.digest_json({"kind": kind, "scope": scope, "headline": headline})
        topic = encoding.digest_json({"kind": kind, "headline": headline}) if goes_on else ""
        named = redacted(subject)
        return cls(id=identity, kind=kind, text=text, raised_at=now, subject=named, topic=topic)

    @property
    def headline(self) -> str:
        """The first line."""
        return self.text.partition("\n")[0]

    def words(self, sink: str) -> str:
        """The text for a sink; a repeat says that it may be one."""
        return f"{self.text}\n{_REPEAT}" if self.progress(sink).in_doubt else self.text

    def progress(self, sink: str) -> Progress:
        """How far a sink is."""
        return self.sinks.get(sink, Progress())

    def with_progress(self, sink: str, progress: Progress) -> "Alert":
        """The same alert, further at one sink."""
        return self.model_copy(update={"sinks": {**self.sinks, sink: progress}})


def alert_of_error(error: ProvenanceError, place: str, now: datetime) -> Alert:
    """A refusal as an alert; the same refusal is told once a day. `place` is a step or command."""
    kind, remedy = kind_of(type(error).__name__), error.reasons[0].remedy
    return alert_of_refusal(kind, place, str(error), now, remedy=remedy)


def kind_of(error: str) -> Kind | None:
    """The kind of alert for one of our errors by its class's name; None for anybody else's."""
    return _KINDS.get(error)


def alert_of_refusal(
    kind: Kind | None,
    place: str,
    text: str,
    now: datetime,
    notes: Sequence[str] = (),
    remedy: str = "",
) -> Alert:
    """A refusal as an alert, from its error's text: reasons, the root cause first.

    `remedy`: of the first reason, where it has one of its own; else that of its code.
    """
    parts = _NEXT_REASON.split(text.strip()) or [""]
    body = [f"also {part}" for part in parts[1:REASON_LIMIT]]
    if len(parts) > REASON_LIMIT:
        body.append(f"… and {len(parts) - REASON_LIMIT} more")
    code = _CODE.match(parts[0])
    if known := remedy or (codes.remedy(code[0]) if code else ""):
        body.append(f"remedy: {known}")
    return Alert.of(
        kind or "run_failed",
        f"{now:%Y-%m-%d}",
        f"{place}: {parts[0][:_HEADLINE_LIMIT]}",
        [*body, *notes],
        now,
        subject=place,
        goes_on=True,
    )
