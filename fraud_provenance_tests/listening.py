"""A small HTTP server of a test, on this machine, for as long as a `with` lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fraud_provenance.attested.local.ports import HOST


@contextmanager
def listening(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """The port at which a handler answers."""
    server = ThreadingHTTPServer((HOST, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Nothing is printed."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address under which a folder is served."""
    with listening(partial(_Quiet, directory=str(folder))) as port:
        yield f"http://{HOST}:{port}"
