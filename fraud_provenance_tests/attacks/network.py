"""Diverts this process's own connections: a server that is down, hung, lying or somebody else's."""

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from threading import local
from typing import Any

import requests
from urllib3.util import connection

from fraud_provenance.attested.local import ports
from fraud_provenance_tests.listening import listening

HOST = "127.0.0.1"
_THREAD = local()  # a relay's own request must reach the real server, whatever is diverted


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    body: bytes
    content_type: str


Answer = Callable[[Request], tuple[int, bytes]]


@contextmanager
def diverted(ports: dict[int, int]) -> Iterator[None]:
    """Connections to the loopback ports named go to others. In this process only."""
    original = connection.create_connection

    def create(address: tuple[str, int], *rest: Any, **named: Any) -> socket.socket:
        host, port = address
        goes_straight = getattr(_THREAD, "goes_straight", False)
        return original((host, port if goes_straight else ports.get(port, port)), *rest, **named)

    connection.create_connection = create  # type: ignore[assignment]
    try:
        yield
    finally:
        connection.create_connection = original


def free_port() -> int:
    """A loopback port on which nobody listens at this moment.

    Below those of homes, and of the system's outgoing connections, which could come first.
    """
    while not ports.is_free(port := 5_000 + secrets.randbelow(5_000)):
        pass
    return port


@contextmanager
def hung_server() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(64)
        yield int(listener.getsockname()[1])


@contextmanager
def lying_server(answer: Answer) -> Iterator[int]:
    """A server that answers each request with what `answer` returns: (status, body)."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type") or "application/json"
            status, content = answer(Request(self.command, self.path, body, kind))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the library's names

        def log_message(self, *_arguments: object) -> None:
            """Nothing is printed."""

    with listening(Handler) as port:
        yield port


def relay(port: int, change: Callable[[Request, bytes], bytes]) -> Answer:
    """Answers with what the real server on `port` says, after `change(request, answer)`."""

    def answer(request: Request) -> tuple[int, bytes]:
        _THREAD.goes_straight = True
        try:
            found = requests.request(
                request.method,
                f"http://{HOST}:{port}{request.path}",
                data=request.body,
                headers={"Content-Type": request.content_type},
                timeout=30,
            )
        finally:
            _THREAD.goes_straight = False
        return found.status_code, change(request, found.content)

    return answer
