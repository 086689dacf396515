"""Processes of the product that start at once and may be killed at any moment.

A zygote imports everything and runs nothing; each process is a fork of it, so that a killed run
costs what the run costs and not the ten seconds of imports. It must never work itself: forks of
a process whose libraries have started threads hang.

Run as a module it is the zygote: one JSON request a line on standard input, one line for each
process that it started or that ended on standard output.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fraud_provenance_tests.product import PROJECT

_IMPORTS = (
    "fraud_provenance.definitions", "fraud_provenance.run.pipeline", "fraud_provenance.fraud.model",
    "fraud_provenance.fraud.expectations", "fraud_provenance.fraud.feature_store", "mlflow",
    "dagster_mlflow", "xgboost", "feast", "duckdb", "dvc.repo", "model_signing.signing",
    "jsonschema", "sklearn.metrics", "dagster_dbt",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One process: a command (`arguments`) or a job of a home.

    Attributes:
        limit_bytes: no file may grow beyond it, as if the disk were full there; 0 for no limit.
        skew_s: how far this process's clock is ahead.
        dies_at: `module:Class.function`; the process kills itself where that would be called.
    """

    arena: str
    home: str
    project: str
    arguments: tuple[str, ...] = ()
    job: str = ""
    days: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    limit_bytes: int = 0
    skew_s: int = 0
    dies_at: str = ""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), and the codes it reported."""

    code: int
    codes: tuple[str, ...]
    text: str
    seconds: float


class Zygote:
    """The parent's handle: start processes, wait for them, kill them by id."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._count = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fraud_provenance_tests.attacks.zygote", str(self._scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._scratch / "zygote.log").open("ab"),
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            text=True,
            bufsize=1,
        )
        self._read("ready")
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def start(self, request: Request) -> int:
        """Start a process; returns its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request.__dict__) + "\n")
        return int(self._read("started")["pid"])

    def wait(self, pid: int) -> Ended:
        """Wait until a process has ended, of itself or killed."""
        ended = self._read("ended")
        assert ended["pid"] == pid
        path = self._scratch / f"{pid}.json"
        said = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return Ended(
            ended["code"], tuple(said.get("codes", ())), said.get("text", ""), ended["seconds"]
        )

    def run(self, request: Request) -> Ended:
        """Start a process and wait for it."""
        return self.wait(self.start(request))

    def _read(self, kind: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote is gone; see {self._scratch / 'zygote.log'}")
        answer: dict[str, Any] = json.loads(line)
        assert answer["kind"] == kind, answer
        return answer


def serve(scratch: Path) -> None:
    """Be the zygote until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print must not look like an answer
    for name in _IMPORTS:
        importlib.import_module(name)
    answers.write('{"kind": "ready"}\n')
    for line in sys.stdin:
        request = Request(**json.loads(line))
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _be_the_process(request, scratch)
        answers.write(json.dumps({"kind": "started", "pid": pid}) + "\n")
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        answers.write(
            json.dumps({"kind": "ended", "pid": pid, "code": code, "seconds": seconds}) + "\n"
        )


def _dying(place: str) -> AbstractContextManager[None]:
    """The process is killed at once where the function named would be called."""
    from fraud_provenance_tests.attacks.home import patched

    module, _, name = place.partition(":")
    *above, last = name.split(".")
    owner: Any = importlib.import_module(module)
    for part in above:
        owner = getattr(owner, part)
    return patched(owner, last, lambda *_a, **_n: os.kill(os.getpid(), signal.SIGKILL))


def _be_the_process(request: Request, scratch: Path) -> None:
    """What a fork does; it never returns."""
    from fraud_provenance_tests.attacks.arena import Arena
    from fraud_provenance_tests.attacks.home import Home, clock_ahead

    code = 3
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        os.setsid()
        home = Home(
            Arena(Path(request.arena)),
            Path(request.home),
            Path(request.project),
            ports={int(port): other for port, other in request.ports.items()},
        )
        with ExitStack() as stack:
            if request.dies_at:
                stack.enter_context(_dying(request.dies_at))
            if request.skew_s:
                stack.enter_context(clock_ahead(request.skew_s))
            if request.limit_bytes:
                # Only the soft limit: whoever is not root could not lift the hard one again.
                resource.setrlimit(resource.RLIMIT_FSIZE, (request.limit_bytes, most))
            said = (
                home.job(request.job, days=request.days, options=request.options)
                if request.job
                else home.command(*request.arguments)
            )
            code = said.code
        text = "\n".join([*(str(item) for item in said.reasons), said.err])[-4000:]
        found = {"codes": said.codes, "text": text}
    except BaseException:
        import traceback

        found = {"codes": (), "text": traceback.format_exc()[-4000:]}
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    (scratch / f"{os.getpid()}.json").write_text(json.dumps(found), "utf-8")
    os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
