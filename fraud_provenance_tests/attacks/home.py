"""A case's own copy of the home: what attacks and judges hold in their hands."""

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, storage_error
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.local import trust_root
from fraud_provenance.attested.local.processes import Processes, wait_healthy
from fraud_provenance.attested.local.servers import all_servers
from fraud_provenance.cli import answers, home, news, proofs, running, verifying
from fraud_provenance.cli import application as cli
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.attacks.network import diverted, free_port
from fraud_provenance_tests.conftest import Forger

_WHO_SAY_WHY = (answers, cli, home, news, proofs, running, verifying)
_CODE = re.compile(r"\b[A-Z][A-Z]+(?:_[A-Z]+)+\b|\bENCODING\b|\bROLLBACK\b")


@dataclass(frozen=True)
class Said:
    """What one command or job said. `reasons`: of the refusal, the primary one first."""

    code: int
    reasons: tuple[Reason, ...]
    out: str = ""
    err: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """Root causes, the primary one first, each once."""
        return tuple(dict.fromkeys(str(item.code) for item in self.reasons))


@dataclass
class Home:
    """One copy. Everything it opens is closed with it, see `opened`."""

    arena: Arena
    path: Path
    project: Path
    around: ExitStack = field(default_factory=ExitStack)
    """What must hold from the attack until the judgement is over: servers, diversions, patches."""
    ports: dict[int, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    """What an attack wants to tell its judge."""
    heard: list[Reason] = field(default_factory=list)
    """Every reason that the product gave since this was emptied, with the remedies it told."""

    # --- opening ---------------------------------------------------------------------------

    def workspace(self, environment: str = "local") -> Workspace:
        """The copy opened anew: nothing is remembered from before."""
        return Workspace(Settings(home=self.path, environment=environment, project=self.project))

    def forger(self) -> Forger:
        """Signs lies into this copy with real identities, through the real servers."""
        return Forger(self.workspace().trust)

    def own_project(self) -> Path:
        """From here on this copy has a project of its own, whose policies and code may change."""
        if self.project == self.arena.product.project:
            self.project = self.arena.copy_project(self.path / "own-project")
        return self.project

    def hold(self, manager: AbstractContextManager[Any]) -> Any:  # noqa: ANN401 - the manager's own
        """Enter a context manager now; it ends when the case ends."""
        return self.around.enter_context(manager)

    # --- asking the product ----------------------------------------------------------------

    def command(self, *arguments: str, **environment: str) -> Said:
        """One command of the command line, in this process."""
        said: list[Reason] = []
        out, err = io.StringIO(), io.StringIO()
        printed = cli.print_reasons

        def record(reasons: Sequence[Reason], *rest: Any, **named: Any) -> None:
            said.extend(reasons)
            printed(reasons, *rest, **named)

        with ExitStack() as stack:
            stack.enter_context(self.surroundings(environment))
            for group in _WHO_SAY_WHY:
                stack.enter_context(patched(group, "print_reasons", record))
            stack.enter_context(_writing(cli.err, err))
            stack.enter_context(redirect_stdout(out))
            code = cli.execute(list(arguments))
        return self._said(code, said, out.getvalue(), err.getvalue())

    def job(
        self,
        name: str,
        *,
        days: Sequence[str] = (),
        assets: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Said:
        """One Dagster job of the product, in this process. `options`: those of `run`."""
        from fraud_provenance.run.pipeline import Pipeline
        from fraud_provenance.run.report import RunOptions

        chosen = RunOptions(**(options or {}))
        with self.surroundings(), patched(Pipeline, "_load", _load):
            pipeline = Pipeline(self.workspace(), chosen, lambda _text: None)
            pipeline.workspace.create_folders()
            try:
                if days:
                    known = sorted({*days, *pipeline.workspace.store.heads("raw_transactions")})
                    pipeline._run_days(name, list(days), known)
                else:
                    config = chosen.run_config() if name == "training" else None
                    pipeline._run_job(name, config, assets=list(assets) or None)
            except Exception as error:  # as the command line does
                own = error if isinstance(error, ProvenanceError) else storage_error(error)
                if own is None:
                    raise
                return self._said(own.exit_code, own.reasons)
            return self._said(pipeline.report.exit_code, pipeline.report.refused)

    def ask(self, question: Callable[[Workspace], object]) -> Said:
        """Any call of the product's own code that raises where it refuses."""
        with self.surroundings():
            try:
                question(self.workspace())
            except ProvenanceError as error:
                return self._said(error.exit_code, error.reasons)
        return Said(0, ())

    def _said(self, code: int, reasons: Sequence[Reason], out: str = "", err: str = "") -> Said:
        self.heard.extend(reasons)
        return Said(code, tuple(reasons), out, err)

    def alert_codes(self) -> tuple[str, ...]:
        """Every code in the alerts raised since the copy was made."""
        outbox = Outbox(self.path)
        texts = [
            alert.text
            for alert in (*outbox.pending(), *outbox.delivered())
            if alert.id not in self.notes["known alerts"]
        ]
        return tuple(dict.fromkeys(code for text in texts for code in _CODE.findall(text)))

    @contextmanager
    def surroundings(self, environment: Mapping[str, str] | None = None) -> Iterator[None]:
        """The environment of a command; restored afterwards, whatever libraries set."""
        before = dict(os.environ)
        os.environ.update({"FRAUD_PROVENANCE_HOME": str(self.path)} | dict(environment or {}))
        try:
            with on_project(self.project), diverted(self.ports):
                yield
        finally:
            _end_mlflow_run()
            os.environ.clear()
            os.environ.update(before)

    # --- servers ---------------------------------------------------------------------------

    def port(self, name: str) -> int:
        """The port of one server (see `local.ports.NAMES`), as it stands in the trust root."""
        return trust_root.load(self.path).ports[name]

    def divert(self, server: str, port: int) -> None:
        """From here on connections of this copy to `server` reach another port."""
        self.ports[self.port(server)] = port

    def own_server(self, name: str) -> int:
        """Start a server of this copy's own in place of the shared one; returns its process id.

        It has the copy's keys and files, hence its log is the copy's `log/`: nobody else's
        entries are in it. Every case has its own log from the start.
        """
        if name in self.notes:
            return int(self.notes[name])
        settings = trust_root.load(self.path)
        own = {key: free_port() for key in settings.ports if key.split("_")[0] == name}
        server = next(
            item
            for item in all_servers(self.path, replace(settings, ports=settings.ports | own))
            if item.name == name
        )
        processes = Processes(self.path / "run")
        process = processes.start(server)
        self.around.callback(processes.end, [server])
        problem = wait_healthy(server, process, 30)
        assert problem is None, f"{problem}: {processes.last_lines(name)}"
        self.divert(name, server.port)
        self.notes[name] = int(process.pid)
        return int(process.pid)


@contextmanager
def on_project(project: Path) -> Iterator[None]:
    """Whatever this process opens is of another project, for the time of the block."""
    defaults = Settings.__init__.__defaults__
    assert defaults is not None
    Settings.__init__.__defaults__ = _with_project(defaults, project)
    try:
        yield
    finally:
        Settings.__init__.__defaults__ = defaults


def _with_project(defaults: tuple[Any, ...], project: Path) -> tuple[Any, ...]:
    """The defaults of `Settings` with another project, wherever it stands among them."""
    names = [item.name for item in fields(Settings) if item.default is not MISSING]
    return tuple(
        project if name == "project" else value for name, value in zip(names, defaults, strict=True)
    )


def _end_mlflow_run() -> None:
    """A process of the product ends its MLflow run when it exits; this process goes on."""
    if "mlflow" in sys.modules:
        import mlflow

        if mlflow.active_run():
            mlflow.end_run()


def _load(pipeline: Any) -> Any:  # noqa: ANN401 - Pipeline's own method
    """The asset graph, put together once for all judgements, on the copy's own instance."""
    from fraud_provenance.run.instance import open_instance

    if pipeline._dagster is None:
        with pipeline._quiet():
            pipeline._dagster = (_definitions(), open_instance(pipeline.workspace))
    return pipeline._dagster


@cache
def _definitions() -> Any:  # noqa: ANN401 - Dagster is imported late
    import dagster as dg

    from fraud_provenance.definitions import defs

    return dg.Definitions.merge(defs())


@contextmanager
def _writing(console: Console, stream: io.StringIO) -> Iterator[None]:
    """A console writes somewhere else for a while."""
    before = console.file
    console.file = stream
    try:
        yield
    finally:
        console.file = before


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:  # noqa: ANN401 - anything
    """Replace an attribute for a while: of a module, a class or an object.

    Raises:
        AttributeError: there is none of this name, so that nothing would change.
    """
    getattr(owner, name)
    own = vars(owner)
    is_slot = hasattr(type(owner), name)  # such as a function's own defaults
    had = name in own or is_slot
    before = own[name] if name in own else getattr(owner, name, None)  # a static method stays one
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def clock_ahead(seconds: float) -> Iterator[None]:
    """The product's clock is ahead (or behind); the authorities' clocks are right."""
    original = Trust.__init__

    def ahead(self: Trust, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.clock = lambda: datetime.now(UTC) + timedelta(seconds=seconds)

    with patched(Trust, "__init__", ahead):
        yield


@contextmanager
def opened(arena: Arena, state: str) -> Iterator[Home]:
    """A fresh copy of a state; everything that it started or opened ends with it."""
    path = arena.copy(state)
    home = Home(arena, path, arena.product.project)
    outbox = Outbox(path)
    home.notes["known alerts"] = {a.id for a in (*outbox.pending(), *outbox.delivered())}
    home.notes["opened at"] = datetime.now(UTC)
    try:
        with home.around:
            home.own_server("rekor")  # the log audit must see this copy's entries and no others
            yield home
    finally:
        shutil.rmtree(path, ignore_errors=True)
