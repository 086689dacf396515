"""Sinks: a webhook, a mailbox, a log file. Each says whether it has accepted an alert.

No error repeats an address or a password.
"""

import html
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from fraud_provenance.alerts.alert import WEBHOOK, Alert
from fraud_provenance.alerts.settings import AlertSettings
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.addresses import LOOPBACK

if TYPE_CHECKING:
    from smtplib import SMTP

DEADLINE_S = 10.0
_PORTS = {"smtp": 587, "smtps": 465}
_LOG_TAIL = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What a sink said. `in_doubt`: it may have got the message, and did not say so.

    `error` of one that accepted: what it told besides.
    """

    accepted: bool
    error: str = ""
    in_doubt: bool = False


_YES = Answer(accepted=True)


class Sink(Protocol):
    """Where alerts go."""

    @property
    def name(self) -> str:
        """The sink's name in the outbox; stays the same for ever."""

    def send(self, alert: Alert) -> Answer:
        """Send one alert; never raises."""


def sinks_of(settings: AlertSettings) -> list[Sink]:
    """The sinks that are set, the log first: it is the nearest."""
    found: list[Sink] = []
    if settings.log is not None:
        found.append(LogSink(settings.log))
    if settings.webhook is not None:
        found.append(WebhookSink(settings.webhook.get_secret_value()))
    if settings.smtp:
        found.append(MailSink(settings))
    return found


def within(deadline_s: float, ask: Callable[[], Answer], what: str) -> Answer:
    """The answer; a server that answers byte by byte must not hold up a run."""
    future: Future[Answer] = Future()

    def work() -> None:
        try:
            future.set_result(ask())
        except Exception as error:
            future.set_result(_broken(what, error))

    threading.Thread(target=work, daemon=True, name="alert").start()
    try:
        return future.result(timeout=deadline_s + 1)
    except TimeoutError:
        return Answer(False, f"{what} gave no answer within {deadline_s:.0f} s", in_doubt=True)


def _broken(what: str, error: BaseException) -> Answer:
    return Answer(False, f"{what} cannot be reached ({type(error).__name__})", in_doubt=True)


# --- webhook ---------------------------------------------------------------------------------


class WebhookSink:
    """Posts `{"text": …}`; `Idempotency-Key` is the alert's id."""

    name = WEBHOOK

    def __init__(self, url: str, deadline_s: float = DEADLINE_S) -> None:
        self._url, self._deadline_s = url, deadline_s

    def send(self, alert: Alert) -> Answer:
        """Send one alert."""
        return within(self._deadline_s, lambda: self._post(alert), "the webhook")

    def _post(self, alert: Alert) -> Answer:
        message = {"text": html.escape(alert.words(self.name), quote=False)}
        headers = {"Idempotency-Key": alert.id}
        return request("POST", self._url, self._deadline_s, "the webhook", message, headers)


def request(
    verb: str,
    url: str,
    deadline_s: float,
    what: str,
    message: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask an address; 2xx is a yes, and no redirect is followed."""
    import requests
    from urllib3.exceptions import NewConnectionError

    try:
        with requests.Session() as session:
            session.trust_env = urlsplit(url).scheme == "https"  # no proxy to this machine
            with session.request(
                verb,
                url,
                json=message,
                headers=headers,
                timeout=deadline_s,
                allow_redirects=False,  # else a redirect could lead to plain http
                stream=True,
            ) as answer:
                if answer.status_code // 100 == 2:
                    return _YES
                return Answer(False, f"{what} answered {answer.status_code}")
    except requests.exceptions.ConnectTimeout as error:
        return Answer(False, f"{what} cannot be reached ({type(error).__name__})")
    except requests.exceptions.ConnectionError as error:
        cause = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(cause, NewConnectionError):  # nobody listens there
            return Answer(False, f"{what} cannot be reached ({type(error).__name__})")
        return _broken(what, error)


# --- e-mail ----------------------------------------------------------------------------------


class MailSink:
    """Sends one e-mail an alert; its Message-ID is made of the alert's id."""

    name = "mail"

    def __init__(self, settings: AlertSettings, deadline_s: float = DEADLINE_S) -> None:
        self._settings, self._deadline_s = settings, deadline_s

    def send(self, alert: Alert) -> Answer:
        """Send one alert."""
        return within(self._deadline_s, lambda: self._send(alert), "the mail server")

    def message(self, alert: Alert) -> EmailMessage:
        """The e-mail: the first line is its subject."""
        message = EmailMessage()
        message["Subject"] = " ".join(f"[fraud provenance] {alert.headline}".split())[:200]
        message["From"] = self._settings.mail_from
        message["To"] = ", ".join(self._settings.mail_to)
        message["Message-ID"] = f"<{alert.id}@fraud-provenance.invalid>"
        message["Date"] = alert.raised_at
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(alert.words(self.name))
        return message

    def _send(self, alert: Alert) -> Answer:
        import smtplib
        import ssl

        server: smtplib.SMTP | None = None
        try:
            server = self._connected()
            refused = server.send_message(self.message(alert))
            return Answer(True, f"{len(refused)} recipients were refused" if refused else "")
        except smtplib.SMTPServerDisconnected as error:
            return _broken("the mail server", error)
        except smtplib.SMTPException as error:
            code = getattr(error, "smtp_code", type(error).__name__)
            return Answer(False, f"the mail server refused it ({code})")
        except (ConnectionRefusedError, ssl.SSLError) as error:
            return Answer(False, f"the mail server cannot be reached ({type(error).__name__})")
        finally:
            if server is not None:
                server.close()  # what is accepted stays so, whatever a farewell would come to

    def _connected(self) -> "SMTP":
        """A server that is spoken to in secret, or is on this machine."""
        import smtplib
        import ssl

        parts = urlsplit(self._settings.smtp)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        secure = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=self._deadline_s, context=secure
            )
        else:
            server = smtplib.SMTP(host, port, timeout=self._deadline_s)
            if host != LOOPBACK:
                server.starttls(context=secure)
        if self._settings.smtp_user and self._settings.smtp_password is not None:
            secret = self._settings.smtp_password.get_secret_value()
            server.login(self._settings.smtp_user, secret)
        return server


# --- the log ---------------------------------------------------------------------------------


class LogSink:
    """Appends one JSON line an alert to a file of mode 600, and none twice."""

    name = "log"

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, alert: Alert) -> Answer:
        """Write one alert."""
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            try:
                self._append(descriptor, alert)
            finally:
                os.close(descriptor)
        except OSError as error:
            return Answer(False, f"the log cannot be written ({error.strerror})", in_doubt=True)
        return _YES

    def _append(self, descriptor: int, alert: Alert) -> None:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _LOG_TAIL, max(0, size - _LOG_TAIL))
        if alert.progress(self.name).in_doubt and _has_line(tail, alert.id):
            return
        line = {
            "id": alert.id,
            "at": encoding.utc_text(alert.raised_at),
            "kind": alert.kind,
            "subject": alert.subject,
            "text": alert.text,
        }
        whole = b"" if not tail or tail.endswith(b"\n") else b"\n"  # a part of a killed writer's
        content = whole + json.dumps(line, sort_keys=True).encode() + b"\n"
        if os.write(descriptor, content) != len(content):
            raise OSError(28, "only a part of a line was written")
        os.fsync(descriptor)


def _has_line(tail: bytes, name: str) -> bool:
    wanted = f'"id": "{name}"'.encode()
    return any(wanted in line for line in tail.splitlines(keepends=True) if line.endswith(b"\n"))
