"""Loopback servers that take alerts: a webhook and a mailbox, each a process that may be killed.

Each writes a line to its book before it answers: that is what it accepted. A line is whole or not
there, however the process ends.
"""

import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fraud_provenance.alerts import Alert, AlertSettings, LogSink, MailSink, Outbox, WebhookSink

REPEAT = "Perhaps told before"


class Book:
    """What a server accepted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, name: str, text: str, **more: str) -> None:
        line = json.dumps({"id": name, "text": text, **more}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def lines(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]


def webhook(book: Book, answers: list[int] | None = None, port: int = 0) -> ThreadingHTTPServer:
    """A webhook; `answers` are statuses before it begins to say 200."""
    left = answers if answers is not None else []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = left.pop(0) if left else 200
            if status == 200:
                book.note(self.headers["Idempotency-Key"], body["text"])
            self._answer(status)

        def do_GET(self) -> None:
            status = left.pop(0) if left else 200
            book.note("heartbeat", self.path)
            self._answer(status)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as smtplib speaks."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, MailServer)
        self._say("220 here")
        sender, message = "", b""
        while line := self.rfile.readline():
            verb = line.split(b" ")[0].strip().upper().decode()
            if verb == "DATA":
                self._say("354 go on")
                message = b""
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    message += part
                if part == b"":
                    return
                if server.refuse:
                    self._say(server.refuse.pop(0))
                    continue
                text = message.decode()
                name = text.partition("Message-ID: <")[2].partition("@")[0]
                server.book.note(name, text, sender=sender)
            elif verb == "MAIL":
                sender = line.decode().strip()
            elif verb == "RCPT" and b"unknown" in line:
                self._say("550 no such person")
                continue
            elif verb == "QUIT":
                self._say("221 bye")
                return
            self._say("250 yes")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """A mailbox."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, book: Book, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Mail)
        self.book = book
        self.refuse: list[str] = []


def started(server: socketserver.BaseServer) -> int:
    """Serve in a thread; returns the port."""
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return int(server.server_address[1])  # type: ignore[index,unused-ignore]  # of TCP


def mail_settings(port: int, **more: object) -> AlertSettings:
    given = {"smtp": f"smtp://127.0.0.1:{port}", "mail_from": "fraud@example.com",
             "mail_to": ["on.call@example.com"]}  # fmt: skip
    return AlertSettings.model_validate(given | more)


# --- bodies of processes that are killed -----------------------------------------------------


def serve_both(folder: Path, web_port: int, mail_port: int) -> None:
    """Webhook and mailbox in one process, until it is killed."""
    started(webhook(Book(folder / "webhook.lines"), port=web_port))
    MailServer(Book(folder / "mail.lines"), mail_port).serve_forever(0.02)


def put_and_deliver(folder: Path, web_port: int, mail_port: int, alerts: list[str]) -> None:
    """Put alerts and deliver whatever waits, again and again, until it is killed."""
    from datetime import UTC, datetime, timedelta

    outbox = Outbox(folder / "home")
    sinks = [
        LogSink(folder / "alerts.log"),
        WebhookSink(f"http://127.0.0.1:{web_port}/", 1.0),
        MailSink(mail_settings(mail_port), 1.0),
    ]
    for text in alerts:
        outbox.put(Alert.of("run_failed", "round", text, [], datetime.now(UTC)))
    later = datetime.now(UTC)
    while True:
        later += timedelta(hours=2)  # whatever waits for its next attempt is due
        outbox.deliver(sinks, lambda: later)  # noqa: B023 - called within the turn
