"""The fault campaign: processes killed at random moments, full disks, servers down, hung, lying.

Each round takes a fresh copy of the home, breaks something while one job runs, and looks: is
anything trusted that should not be, is evidence lost, is a half-written file in view? Then the
same job runs again, unharmed, and everything must be trusted. Rounds are numbered; a round is
decided by its number and the campaign's seed alone, so that any one can be played again.
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.attested.core.codes import is_undecided
from fraud_provenance.due.planning import registry_of
from fraud_provenance.models.registry import CHAMPION
from fraud_provenance_tests.attacks.arena import DAYS, Arena
from fraud_provenance_tests.attacks.home import Home, opened
from fraud_provenance_tests.attacks.network import Request as HttpRequest
from fraud_provenance_tests.attacks.network import free_port, hung_server, lying_server, relay
from fraud_provenance_tests.attacks.zygote import Ended, Request, Zygote

SCORED_DAY = "2018-05-09"
FIRST_GUESS_S = 10.0  # how long a stage takes, before the first one was seen


@dataclass(frozen=True)
class Stage:
    """One thing that the product does, and how to see that it is done."""

    name: str
    state: str
    job: str
    subject: str
    days: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    needs_landing: bool = False
    at_signature: bool = False

    def request(self, home: Home, **more: object) -> Request:
        """The job on a copy."""
        return Request(
            arena=str(home.arena.folder),
            home=str(home.path),
            project=str(home.project),
            job=self.job,
            days=self.days,
            options=self.options,
            ports=home.ports,
            **more,  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Fault:
    """What goes wrong during one round."""

    name: str
    kill_after: float | None = None
    limit_bytes: int = 0
    skew_s: int = 0
    dies_at: str = ""
    network: Callable[[Home], AbstractContextManager[object]] = lambda _home: nullcontext()
    must_refuse: bool = False


@dataclass
class Round:
    """What one round came to. `problems` is empty where all went as it must."""

    number: int
    seed: str
    stage: str
    fault: str
    hit: bool = False
    codes: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    took_s: float = 0.0
    """Seconds of the run that was not broken."""
    seconds: float = 0.0


def stages(arena: Arena) -> dict[str, Stage]:
    """The stages by name; the day that is landed anew follows the arena's own."""
    new = next_day(arena)
    return {
        "ingest": Stage(
            "ingest", "scored", "ingest", f"raw_transactions/{new}", (new,), needs_landing=True
        ),
        "train": Stage(
            "train", "scored", "training", "model@candidate", options={"train_days": 6}
        ),
        "sign": Stage(
            "sign", "scored", "ingest", f"raw_transactions/{new}", (new,),
            needs_landing=True, at_signature=True,
        ),
        "promote": Stage("promote", "approved", "promotion", "model@champion"),
        "score": Stage(
            "score", "scored", "scoring", f"transaction_scores/{SCORED_DAY}", (SCORED_DAY,)
        ),
    }  # fmt: skip


def next_day(arena: Arena) -> str:
    """The day after the newest landed one; its file is made once and kept beside the states."""
    folder = arena.folder / "next-day"
    if not list(folder.glob("*.parquet")):
        with opened(arena, "scored") as home:
            before = {path.name for path in (home.path / "landing").iterdir()}
            count = len([name for name in before if name.endswith(".parquet")]) + 1
            said = home.command(
                "generate", "--days", str(count), "--rows-per-day", "1200", "--seed", "7"
            )
            assert said.code == 0, said.err
            made = [p for p in (home.path / "landing").iterdir() if p.name not in before]
            assert len(made) == 1, f"{made}, the arena has {DAYS} days"
            folder.mkdir(exist_ok=True)
            (folder / made[0].name).write_bytes(made[0].read_bytes())
    return next(folder.glob("*.parquet")).stem


def land_next_day(home: Home) -> str:
    """Land the day after the newest one; returns it."""
    day = next_day(home.arena)
    name = f"{day}.parquet"
    (home.path / "landing" / name).write_bytes((home.arena.folder / "next-day" / name).read_bytes())
    return day


# --- one round ---------------------------------------------------------------------------------


def play_round(arena: Arena, zygote: Zygote, stage: Stage, fault: Fault, found: Round) -> Round:
    """Break one job of a fresh copy, look, let it run again, look."""
    began = time.monotonic()
    with opened(arena, stage.state) as home:
        if stage.needs_landing:
            land_next_day(home)
        home.own_server("rekor")
        before = evidence_of(home)
        with fault.network(home):
            ended = _broken_run(zygote, stage, fault, home)
        found.hit = ended.code != 0
        found.codes = ended.codes
        if fault.must_refuse and ended.code == 0:
            found.problems.append("the job ended well although it could not decide")
        found.problems += _looks_wrong(home, stage, ended, before)
        if ended.code != 0:
            ended = zygote.run(stage.request(home))
            if ended.code != 0:
                found.problems.append(f"the next run failed: {ended.code} {ended.text[-1500:]}")
        found.took_s = round(ended.seconds, 2)
        found.problems += _is_not_clean(home, before)
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _broken_run(zygote: Zygote, stage: Stage, fault: Fault, home: Home) -> Ended:
    pid = zygote.start(
        stage.request(
            home, limit_bytes=fault.limit_bytes, skew_s=fault.skew_s, dies_at=fault.dies_at
        )
    )
    if fault.kill_after is not None:
        with _handle(pid) as process:
            if stage.at_signature:
                _await_intent(home.path / "evidence" / "intents")
            time.sleep(fault.kill_after)
            with suppress(ProcessLookupError):  # it was quicker
                signal.pidfd_send_signal(process, signal.SIGKILL)
    return zygote.wait(pid)


@contextmanager
def _handle(pid: int) -> Iterator[int]:
    """A handle on one process: unlike its id it never comes to mean another one."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _await_intent(folder: Path, deadline_s: float = 60.0) -> None:
    known = set(folder.iterdir())
    until = time.monotonic() + deadline_s
    while time.monotonic() < until and set(folder.iterdir()) <= known:
        time.sleep(0.001)


def evidence_of(home: Home) -> dict[str, str]:
    """Every bundle and manifest with the digest of its bytes."""
    folder = home.path / "evidence"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("bundles", "manifests")
        for path in (folder / kind).iterdir()
    }


def _looks_wrong(home: Home, stage: Stage, ended: Ended, before: dict[str, str]) -> list[str]:
    """Between the fault and the next run: nothing lost, nothing half done is in view."""
    problems = []
    after = evidence_of(home)
    lost = [name for name, digest in before.items() if after.get(name) != digest]
    if lost:
        problems.append(f"evidence lost or changed: {lost[:3]}")
    if ended.code == 3:
        problems.append(f"an error that is not ours: {ended.text[-1500:]}")
    if ended.code == 1 and ended.codes and is_undecided(ended.codes[0]):
        problems.append(f"undecided, yet the exit code is 1: {ended.codes}")
    said = home.command("verify", stage.subject, "--json")
    if "Traceback" in said.err:
        problems.append(f"verify broke: {said.err[-1500:]}")
    if stage.name == "promote" and registry_of(home.workspace()).alias(CHAMPION) is not None:
        champion = home.command("verify", "model@champion", "--json")
        if champion.code != 0:
            problems.append(f"the alias moved, and its champion is not trusted: {champion.codes}")
    return problems


def _is_not_clean(home: Home, before: dict[str, str]) -> list[str]:
    """After the next run: all trusted, nothing left over, no evidence lost."""
    problems = []
    said = home.command("verify", "all", "--json")
    if said.code != 0:
        problems.append(f"verify all: {said.code} {said.out[-800:]} {said.err[-800:]}")
    after = evidence_of(home)
    problems += [f"lost {name}" for name, digest in before.items() if after.get(name) != digest]
    left = [
        str(path.relative_to(home.path))
        for folder in ("data", "staging", "evidence")
        for path in (home.path / folder).rglob("*")
        if path.is_file() and (folder == "staging" or path.name.endswith(".tmp"))
    ]
    if left:
        problems.append(f"left over: {left[:3]}")
    return problems


# --- the campaign ------------------------------------------------------------------------------


def kill_rounds(arena: Arena, zygote: Zygote, seed: str, numbers: Sequence[int]) -> Iterator[Round]:
    """These rounds: the stages in turn, each killed at a moment that seed and number decide.

    The moment is a part of the time that the stage took last, for machines differ.
    """
    every = stages(arena)
    names = list(every)
    lengths = dict.fromkeys(names, FIRST_GUESS_S)
    for number in numbers:
        name = names[number % len(names)]
        chance = random.Random(f"{seed}:{number}")  # noqa: S311 - a moment, not a secret
        part = chance.random()
        moment = part * (0.2 if every[name].at_signature else lengths[name])
        fault = Fault(f"killed at {part:.3f}, {moment:.2f} s", kill_after=moment)
        found = play_round(arena, zygote, every[name], fault, Round(number, seed, name, fault.name))
        if found.took_s:
            lengths[name] = found.took_s  # a busy machine is slower, and then quicker again
        yield found


@contextmanager
def server_down(home: Home, server: str) -> Iterator[None]:
    """Nobody listens where the server was."""
    with _diverted(home, server, free_port()):
        yield


@contextmanager
def server_hung(home: Home, server: str) -> Iterator[None]:
    """Connections are accepted and never answered."""
    with hung_server() as port, _diverted(home, server, port):
        yield


@contextmanager
def server_lies(home: Home, server: str) -> Iterator[None]:
    """The server's answers come back with one bit flipped in their middle."""
    real = home.ports.get(home.port(server), home.port(server))

    def flip(_request: HttpRequest, content: bytes) -> bytes:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

    with lying_server(relay(real, flip)) as port, _diverted(home, server, port):
        yield


@contextmanager
def _diverted(home: Home, server: str, port: int) -> Iterator[None]:
    before = dict(home.ports)
    home.divert(server, port)
    try:
        yield
    finally:
        home.ports.clear()
        home.ports.update(before)


def other_faults() -> list[tuple[str, Fault]]:
    """(stage, fault): servers that fail in each way, full disks, a clock a day off."""
    found = []
    for server in ("rekor", "timestamp", "fulcio"):
        for kind, make in (("down", server_down), ("hung", server_hung), ("lying", server_lies)):
            for stage in ("ingest", "promote", "score"):
                fault = Fault(
                    f"{server} {kind}",
                    network=lambda home, make=make, server=server: make(home, server),
                    must_refuse=True,
                )
                found.append((stage, fault))
    for limit in (0, 100, 3_000, 20_000, 120_000):
        for stage in ("ingest", "train", "promote", "score"):
            found.append((stage, Fault(f"files end at {limit} bytes", limit_bytes=limit or 1)))
    for skew in (-86_400, 86_400):
        for stage in ("ingest", "train", "promote", "score"):
            found.append((stage, Fault(f"clock {skew:+} s", skew_s=skew)))
    return found
