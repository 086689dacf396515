"""A copied home's own log: a second Rekor over the copied files, with the same key and name.

Copies of a home share its servers. That is fine for all but the log, whose entries would belong to
some other copy: so a copy that is to be audited, or that promotes, gets a log server of its own.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from fraud_provenance.local import LocalSigstore, ports, trust_root
from fraud_provenance.local.servers import all_servers

_PORTS = ("rekor", "rekor_grpc", "rekor_metrics")
_START_S = 15.0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((ports.HOST, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def point_at_own_log(home: Path) -> None:
    """Give a copy's log server ports of its own and make the copy's signers use them."""
    before = trust_root.load(home).url("rekor")
    path = trust_root.private_folder(home) / "settings.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["ports"] |= dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    path.write_text(json.dumps(settings), "utf-8")
    after = trust_root.load(home).url("rekor")
    for name in ("signing_config.json", "client_trust_config.json"):
        config = home / "trust" / name
        config.write_text(config.read_text("utf-8").replace(before, after), "utf-8")


def start_own_log(home: Path) -> subprocess.Popen[bytes]:
    """Start the log server of a copy (after `point_at_own_log`) and wait until it answers."""
    server = next(item for item in all_servers(home, trust_root.load(home)) if item.name == "rekor")
    process = subprocess.Popen(
        server.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    deadline = time.monotonic() + _START_S
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(requests.RequestException):
                if session.get(server.health_url, timeout=1).ok:
                    LocalSigstore(home).remember_first_checkpoint()
                    return process
            time.sleep(0.02)
    stop(process)
    raise RuntimeError("the copy's log server did not start")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a log server that `start_own_log` started."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)


@contextmanager
def own_log(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A copy of a home with a log of its own for as long as the block lasts."""
    trust_root.ensure(home)  # a copy of a home that was made before it had a witness
    point_at_own_log(home)
    process = start_own_log(home)
    try:
        yield process
    finally:
        stop(process)
