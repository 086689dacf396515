"""Server processes that outlive their starter: start, recognise, end.

A process is known by its id **and** its creation time, so a reused id is never signalled. One
that was started by a run killed before it could write its record is recognised by its exact
command line, which contains paths of this home only.
"""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from fraud_provenance.attested.core.files import write_atomic

State = Literal["running", "crashed", "stopped"]
_SAME_PROCESS_S = 2.0  # a creation time may shift a little when the clock is set
_TERM_S = 5.0
_LOG_LIMIT_BYTES = 8 * 1024**2  # looked at when a server starts
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # kept, so that an ended child is reaped
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy


@dataclass(frozen=True)
class ServerStatus:
    """One server as it is now.

    Attributes:
        name: issuer, ct, fulcio, timestamp or rekor.
        pid: process id, None when it does not run.
        port: its HTTP port on the loopback interface.
        state: running; crashed (was started, never stopped, is gone); stopped.
        detail: one sentence for a person.
    """

    name: str
    pid: int | None
    port: int
    state: State
    detail: str


@dataclass(frozen=True)
class Server:
    """How to start one server and how to see that it answers.

    `environment`: variables of its own, beside the few that every server gets.
    """

    name: str
    argv: Sequence[str]
    port: int
    health_url: str
    other_ports: Sequence[int] = field(default=())
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Record:
    """A started process: id and creation time (seconds since 1970)."""

    pid: int
    created_at_s: float


class Processes:
    """The processes of one home, recorded in `<run>/servers.json`; logs in `<run>/<name>.log`."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._file = run / "servers.json"

    def records(self) -> dict[str, Record]:
        """What was started and not stopped; an unreadable file counts as nothing."""
        try:
            stored = json.loads(self._file.read_bytes())
            return {
                name: Record(pid=int(entry["pid"]), created_at_s=float(entry["created_at_s"]))
                for name, entry in stored.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, records: Mapping[str, Record]) -> None:
        content = {
            name: {"pid": record.pid, "created_at_s": record.created_at_s}
            for name, record in sorted(records.items())
        }
        write_atomic(self._file, json.dumps(content, indent=2).encode() + b"\n", durable=False)

    def _remember(self, name: str, process: psutil.Process) -> None:
        record = Record(process.pid, process.create_time())
        self._write(self.records() | {name: record})

    def find(self, server: Server) -> psutil.Process | None:
        """The server's live process by its record, if it has one."""
        record = self.records().get(server.name)
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            same = abs(process.create_time() - record.created_at_s) < _SAME_PROCESS_S
        except psutil.Error:
            return None
        return process if same and _is_alive(process) else None

    def adopt(self, server: Server) -> psutil.Process | None:
        """Find a live process with the server's very command line, and record it."""
        for process in psutil.process_iter(["cmdline"]):
            if _same_command(process.info["cmdline"] or [], server.argv) and _is_alive(process):
                self._remember(server.name, process)
                return process
        return None

    def start(self, server: Server) -> psutil.Process:
        """Start a server in its own session, its output appended to its log."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self._run), "LANG": "C.UTF-8"}
        path = self.log(server.name)
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 (fixed command lines of pinned tools)
                list(server.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._run,
                env=environment | dict(server.environment),
                start_new_session=True,
                umask=0o077,
            )
        _CHILDREN[child.pid] = child
        process = psutil.Process(child.pid)
        self._remember(server.name, process)
        return process

    def end(self, servers: Sequence[Server]) -> None:
        """End servers together: TERM, and KILL for what is left after some seconds."""
        found = [process for s in servers if (process := self.find(s) or self.adopt(s))]
        _end(found)
        left = [s.name for s in servers if self.find(s) is not None]
        names = {s.name for s in servers}
        self._write({n: r for n, r in self.records().items() if n not in names or n in left})

    def end_leftovers(self, folder: Path) -> None:
        """End processes that were given a path below `folder`, which is of a deleted home."""
        prefix = f"{folder}/"
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if _is_server(process.info["cmdline"] or [], prefix)
        ]
        _end(found)

    def log(self, name: str) -> Path:
        """Where a server's output goes."""
        return self._run / f"{name}.log"

    def last_lines(self, name: str, count: int = 12) -> str:
        """The end of a server's log, indented."""
        try:
            with self.log(name).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - 16_384))
                lines = stream.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            lines = []
        return "\n".join(f"    {line}" for line in lines) or "    (no output)"

    def status(self, server: Server) -> ServerStatus:
        """The server as it is now."""
        process = self.find(server)
        if process is not None:
            answers = is_healthy(server)
            detail = "answers" if answers else f"does not answer; log: {self.log(server.name)}"
            return ServerStatus(server.name, process.pid, server.port, "running", detail)
        record = self.records().get(server.name)
        if record is None:
            return ServerStatus(server.name, None, server.port, "stopped", "not started")
        detail = f"process {record.pid} is gone; log: {self.log(server.name)}"
        return ServerStatus(server.name, None, server.port, "crashed", detail)


def _is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended but was not waited for yet does not."""
    child = _CHILDREN.get(process.pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[process.pid]
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_current(server: Server, process: psutil.Process) -> bool:
    """Whether a process was started as this version would start it: same tool, same options."""
    try:
        return _same_command(process.cmdline(), server.argv)
    except psutil.Error:
        return False


def _same_command(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two command lines are the same; one Python has several names in its folder."""
    if not one or list(one[1:]) != list(other[1:]):
        return False
    names = [Path(command[0]).name for command in (one, other)]
    return one[0] == other[0] or all(name.startswith("python") for name in names)


def _is_server(command: Sequence[str], prefix: str) -> bool:
    """Whether a command line is one of a local Sigstore with paths below `prefix`."""
    programs = ("ct-test-srv", "fulcio", "timestamp-server", "rekor-server")
    if not command:
        return False
    is_ours = Path(command[0]).name in programs or command[1:4] == ["-I", "-m", "http.server"]
    return is_ours and any(word.startswith(prefix) or f"={prefix}" in word for word in command[1:])


def _end(processes: Sequence[psutil.Process]) -> None:
    """TERM, then KILL; psutil compares the creation time again before each signal."""
    left = list(processes)
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        deadline = time.monotonic() + _TERM_S
        while left and time.monotonic() < deadline:
            left = [process for process in left if _is_alive(process)]
            time.sleep(0.01)


def is_healthy(server: Server, timeout_s: float = 1.0) -> bool:
    """Whether the server answers its health URL with success."""
    try:
        with _DIRECT.open(server.health_url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def wait_healthy(
    server: Server,
    process: psutil.Process,
    timeout_s: float,
    again: Callable[[], psutil.Process] | None = None,
) -> str | None:
    """Wait until a server answers; None, or what went wrong.

    `again` starts it anew. It is given for a process that was found at work: one that somebody
    has just killed is found, too, until it is gone.
    """
    deadline = time.monotonic() + timeout_s
    while not is_healthy(server):
        if not _is_alive(process):
            if again is None:
                return f"{server.name} ended"
            process, again = again(), None
        if time.monotonic() > deadline:
            return f"{server.name} does not answer within {timeout_s:.0f} s"
        time.sleep(0.02)
    return None
