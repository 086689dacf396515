"""The server of our assets, jobs and sensors that `ui` starts: Dagster's pages and daemon ask it.

`dagster dev` starts two: one that loads the code, and one before it that passes each question on,
so that a button of the pages can load changed code. Here is the first alone, as in production:
nothing is passed on, and code does not change under a daemon that is at work. It ends by itself
where nobody tells it any more that `ui` is there.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

MODULE: Final = "fraud_provenance.definitions"
BEAT_S: Final = 10.0
ALONE_S: Final = 45
"""After so long without a heartbeat it ends, once the runs that it started have ended."""
_START_S, _LOOK_S, _ANSWER_S = 600.0, 0.5, 5
_NAME: Final = "fraud_provenance"


class CodeServer:
    """One server, at a socket in a private folder; whoever starts its command ends it."""

    def __init__(self, folder: Path, alone_s: int = ALONE_S) -> None:
        self._socket = folder / "code.socket"
        self._alone_s = alone_s
        self._client = DagsterGrpcClient(socket=str(self._socket))
        self.workspace = folder / "workspace.yaml"
        """For Dagster's `-w`: where the server is."""
        server = {"location_name": _NAME, "socket": str(self._socket)}
        self.workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}), "utf-8")

    @property
    def command(self) -> list[str]:
        """Arguments of `python -m`; an error in the code is shown, and ends nothing."""
        return [
            "dagster", "api", "grpc", "--module-name", MODULE, "--attribute", "defs",
            "--location-name", _NAME, "--socket", str(self._socket), "--lazy-load-user-code",
            "--heartbeat", "--heartbeat-timeout", str(self._alone_s), "--log-level", "warning",
        ]  # fmt: skip

    def wait(self, is_there: Callable[[], bool]) -> bool:
        """Wait until it answers; False if its process `is_there` no more, or for ten minutes."""
        end = time.monotonic() + _START_S
        while is_there() and time.monotonic() < end:
            if self._beat():
                return True
            time.sleep(_LOOK_S)
        return False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell it that we are there, for the time of the block."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                self._beat()

        threading.Thread(target=beat, daemon=True, name="heartbeat").start()
        try:
            yield
        finally:
            over.set()

    def shut_down(self) -> None:
        """Ask it to end once its runs have; without that a signal waits for its heartbeat's."""
        with suppress(DagsterUserCodeUnreachableError):
            self._client.shutdown_server(timeout=_ANSWER_S)

    def _beat(self) -> bool:
        with suppress(DagsterUserCodeUnreachableError):
            self._client.heartbeat("ui")
            return True
        return False
