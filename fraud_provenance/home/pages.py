"""Data Docs as pages of this machine: where they are, and the server that `ui` runs for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason

HOST: Final = "127.0.0.1"
_FIRST: Final = 32_002  # beyond the local Sigstore's, below what Linux gives away
_HOMES: Final = 350
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"


def folder_of(home: Path) -> Path:
    """The folder of all pages: one folder a suite."""
    return home / "reports" / "data_docs"


def port_of(home: Path) -> int:
    """The home's port for pages, always the same; the next one is MLflow's."""
    return _FIRST + 2 * (int(encoding.digest_bytes(str(home).encode())[:8], 16) % _HOMES)


def address_of(home: Path, suite: str, page: str) -> str:
    """Where a validation's own page is while `ui` runs."""
    return f"http://{HOST}:{port_of(home)}/{suite}/{page or 'index.html'}"


class _Pages(SimpleHTTPRequestHandler):
    """Files of one folder; the browser is told to ask nobody else."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: who reads what is nobody's business."""


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Serve the pages of a home on this machine; yields their address.

    Raises:
        BackendError: STORAGE_UNAVAILABLE, the port is somebody else's.
    """
    folder, port = folder_of(home), port_of(home)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Pages, directory=str(folder)))
    except OSError as error:
        raise BackendError(
            reason(
                RootCause.STORAGE_UNAVAILABLE,
                f"port {port} for Data Docs is taken",
                remedy="End what listens there, such as another `fraud-provenance ui`.",
            )
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True, name="pages").start()
    try:
        yield f"http://{HOST}:{port}/"
    finally:
        server.shutdown()
        server.server_close()
