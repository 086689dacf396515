"""Where an incident happens: a whole home of its own, copied from one that was built once."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl

from fraud_provenance.fraud.generator import generate_days
from fraud_provenance_tests.attacks.arena import Arena, commit_all, copy_state, relocate
from fraud_provenance_tests.incidents.changes import Change, same
from fraud_provenance_tests.product import PROJECT, ROWS_PER_DAY, SEED, Done, Product

FIRST, COUNT, LAST = date(2018, 4, 1), 45, 48
OFFICER, OWNER = "risk.officer@example.com", "data.owner@example.com"
AUTHORS = ("policy.author@example.com", "policy.reviewer@example.com")
SAME_DAYS = ("--train-start", "2018-04-25")
"""What the first training chose, so that a later one learns from the same days."""
SCORED = "scored"
"""The state of a home to which nothing has happened yet."""
_TODAY = (
    "fraud_provenance/investigate", "fraud_provenance/cli", "fraud_provenance_tests/incidents",
)  # fmt: skip


def day(number: int) -> str:
    """The day of this number; 45 is the newest one that the home was built with."""
    return str(FIRST + timedelta(days=number - 1))


@cache
def feed() -> Mapping[str, pl.DataFrame]:
    """The days that the source has, of which the home got the first ones."""
    return dict(generate_days(LAST, int(ROWS_PER_DAY), seed=int(SEED)))


@dataclass
class Place:
    """One home and one project that an incident may destroy.

    Its servers are its own, at the ports of the home that it was copied from: of two places only
    one may have them up.
    """

    product: Product
    alarms: list[str] = field(default_factory=list)
    """What people were told while the incident was planted: refusals, held days."""
    is_up: bool = False

    @property
    def home(self) -> Path:
        return self.product.home

    @property
    def project(self) -> Path:
        return self.product.project

    def landing(self, named: str) -> Path:
        return self.home / "landing" / f"{named}.parquet"

    def data(self, asset: str, partition: str, ending: str = "parquet") -> Path:
        return self.home / "data" / asset / f"{partition}.{ending}"

    def up(self) -> None:
        """Start the servers, where that is not done yet."""
        if not self.is_up:
            self.product.ok("up")
            self.is_up = True

    def down(self) -> None:
        if self.is_up:
            self.product.run("down")
            self.is_up = False

    def say(self, *arguments: str, **environment: str) -> Done:
        """A command that may be refused."""
        self.up()
        done = self.product.run(*arguments, **environment)
        if done.code:
            self.alarms.append(f"{arguments[0]}: {done.text.strip()[:300]}")
        return done

    def must(self, *arguments: str) -> Done:
        """A command that has to work."""
        self.up()
        return self.product.ok(*arguments)

    def run(self, *arguments: str, **environment: str) -> Done:
        """The graph."""
        return self.say("run", *arguments, **environment)

    def accept(self, *days: str) -> None:
        """A person signs for unusual days; one that nobody holds needs no signature."""
        for named in days:
            self.product.run("accept", "raw_transactions", named, "--reason", "as the source says")

    def change(self, named: str, how: Change) -> None:
        """The source delivers a day again, changed."""
        path = self.landing(named)
        how(pl.read_parquet(path)).write_parquet(path)

    def deliver(self, number: int, how: Change = same) -> str:
        """A day that has not come before."""
        how(feed()[day(number)]).write_parquet(self.landing(day(number)))
        return day(number)

    def edit(self, path: str, before: str, after: str, message: str = "a change") -> str:
        """Somebody edits a file and commits; returns the commit."""
        self.rewrite(path, before, after)
        return commit_all(self.project, message)

    def rewrite(self, path: str, before: str, after: str) -> None:
        """Somebody edits a file."""
        file = self.project / path
        text = file.read_text("utf-8")
        assert text.count(before) == 1, f"{path} has {text.count(before)} times {before!r}"
        file.write_text(text.replace(before, after), "utf-8")

    def release(self, message: str = "another policy") -> None:
        """Two authors sign the policy folder as it is now."""
        commit_all(self.project, message)
        for author in AUTHORS:
            self.must("approve", "policies", "--environment", "local", "--as", author,
                      "--reason", message)  # fmt: skip

    def script(self, module: str, *arguments: str) -> None:
        """A module of these tests, in this home."""
        self.up()
        command = [sys.executable, "-m", f"fraud_provenance_tests.incidents.{module}", *arguments]
        subprocess.run(
            command, cwd=self.project, env=self.product.environment(), check=True,
            capture_output=True, text=True,
        )  # fmt: skip

    def kill_server(self, name: str) -> None:
        """A server of the home dies."""
        self.up()
        known = json.loads((self.home / "run" / "servers.json").read_text("utf-8"))
        os.kill(int(known[name]["pid"]), signal.SIGTERM)


Plant = Callable[[Place], None]


@dataclass
class Ground:
    """The one home that was built, what was prepared in copies of it, and copies of these."""

    arena: Arena
    bases: Mapping[str, Plant]

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build the home if it is not there; its own servers make room for those of copies."""
        if not self.arena.is_built:
            self.arena.build(say)
            self.arena.down()

    def place(self, name: str, base: str = SCORED) -> Place:
        """A fresh copy of a prepared home."""
        if base == SCORED:
            return self._copy(name, self.arena.states / SCORED, self.arena.product.project,
                              self.arena.product.home)  # fmt: skip
        kept = self.arena.folder / "bases" / base
        if not (kept / "facts.json").is_file():
            self._prepare(base, kept)
        facts = json.loads((kept / "facts.json").read_text("utf-8"))
        place = self._copy(name, kept / "home", kept / "project", Path(facts["home"]))
        place.alarms += facts["alarms"]
        return place

    def _prepare(self, base: str, kept: Path) -> None:
        shutil.rmtree(kept, ignore_errors=True)
        place = self.place(f"base-{base}")
        try:
            self.bases[base](place)
        finally:
            place.down()
        kept.mkdir(parents=True)
        copy_state(place.home, kept / "home")
        shutil.copytree(place.project, kept / "project", symlinks=True)
        facts = {"home": str(place.home), "alarms": place.alarms}
        (kept / "facts.json").write_text(json.dumps(facts), "utf-8")
        self.leave(place)

    def _copy(self, name: str, home: Path, project: Path, before: Path) -> Place:
        mine = self.arena.folder / f"i{secrets.token_hex(2)[:3]}"  # as long as "home"
        if mine.exists():
            return self._copy(name, home, project, before)
        copy_state(home, mine)
        relocate(mine, before)
        own = self.arena.folder / f"project-{name}"
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(project, own, symlinks=True)
        renew(own)
        return Place(Product(mine, own))

    def leave(self, place: Place, *, keep: bool = False) -> None:
        """Stop a copy's servers and remove it."""
        place.down()
        if not keep:
            shutil.rmtree(place.home, ignore_errors=True)
            shutil.rmtree(place.project, ignore_errors=True)


def renew(project: Path) -> None:
    """A kept home may be older than the code that answers: that is of today."""
    changed = False
    for folder in _TODAY:
        for source in (PROJECT / folder).rglob("*"):
            own = project / source.relative_to(PROJECT)
            if source.suffix in (".py", ".j2") and (
                not own.is_file() or own.read_bytes() != source.read_bytes()
            ):
                own.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, own)
                changed = True
    if changed:
        commit_all(project, "the product of today")
