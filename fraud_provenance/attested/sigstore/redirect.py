"""Where a login page sends its visitor back to: an address of this machine that lives for that.

In: one request of a browser. Out: what its address says. The page that the visitor sees tells them
to close it, and repeats nothing.
"""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from fraud_provenance.attested.core.addresses import LOOPBACK

PATH: Final = "/auth/callback"
_PAGE: Final = (
    b"<!doctype html><meta charset='utf-8'><title>fraud_provenance</title>"
    b"<p>You may close this page. The command in your terminal goes on, and says how it ended.</p>"
)
_SILENT_S: Final = 10.0
Answer = dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_arguments: Any) -> None:
        """A browser that goes away is nothing to tell."""


class Redirect:
    """Listens at a free port of 127.0.0.1 for one answer; whatever comes later gets none.

    A browser may open connections that it never uses, so each has a thread of its own.
    """

    def __init__(self) -> None:
        self._answers: queue.Queue[Answer] = queue.Queue(maxsize=1)
        taken = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            timeout = _SILENT_S

            def do_GET(handler) -> None:  # noqa: N805 - the library's name; `self` is around
                asked = urlsplit(handler.path)
                if asked.path != PATH or not taken.acquire(blocking=False):
                    handler.send_error(404)
                    return
                self._answers.put(dict(parse_qsl(asked.query)))
                handler.send_response(200)
                for name, value in _headers().items():
                    handler.send_header(name, value)
                handler.end_headers()
                handler.wfile.write(_PAGE)

            def log_message(self, *_arguments: Any) -> None:
                """The address holds a code: it is told nobody."""

        self._server = _Server((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]
        self.uri = f"http://{LOOPBACK}:{self.port}{PATH}"

    def wait(self, seconds: float) -> Answer | None:
        """The answer, or None where none came in time."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()


def _headers() -> dict[str, str]:
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(_PAGE)),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'",
        "Connection": "close",
    }
