"""Ports of one home: chosen once, on the loopback interface, then kept for the home's life.

They are part of the trust root: the issuers' URLs stand in every certificate. So they are never
chosen again, and a port that somebody else has taken is an error that names it.
"""

import hashlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
NAMES: Final = (
    "issuer",
    "ct",
    "fulcio",
    "fulcio_grpc",
    "fulcio_metrics",
    "timestamp",
    "rekor",
    "rekor_grpc",
    "rekor_metrics",
)
_FIRST: Final = 10_000
_LAST: Final = 32_000  # below the range from which Linux takes ports for outgoing connections
_STRIDE: Final = 10
_LEFT_S: Final = 3.0  # a busy machine takes a while to clear away what was killed
_BLOCKS: Final = (_LAST - _FIRST) // _STRIDE


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_left(port: int, timeout_s: float = _LEFT_S) -> bool:
    """Whether nobody listens on this port, or whoever does leaves it within some seconds.

    A server that was killed is gone to whoever asks for its process while the system still takes
    its threads and sockets from it.
    """
    deadline = time.monotonic() + timeout_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _blocks(home: Path) -> Iterable[int]:
    """First ports of all blocks, starting at one that the home's path decides."""
    start = int.from_bytes(hashlib.sha256(str(home).encode()).digest()[:8], "big") % _BLOCKS
    for step in range(_BLOCKS):
        yield _FIRST + (start + step) % _BLOCKS * _STRIDE


def choose(home: Path) -> dict[str, int]:
    """A block of neighbouring free ports, one for each of `NAMES`.

    The block is spread by the home's path, so that homes whose servers are down at the moment
    of choosing still get different ports (but for a chance of one in some thousands).

    Raises:
        OSError: not a single block is free.
    """
    for first in _blocks(home):
        if all(is_free(first + offset) for offset in range(len(NAMES))):
            return {name: first + offset for offset, name in enumerate(NAMES)}
    message = f"no {len(NAMES)} neighbouring ports are free between {_FIRST} and {_LAST}"
    raise OSError(message)
