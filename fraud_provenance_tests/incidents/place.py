"""Where an incident happens: a whole home of its own, copied from one that was built once."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from fraud_provenance.fraud.generator import generate_days
from fraud_provenance_tests.attacks.arena import Arena, commit_all, copy_state, relocate
from fraud_provenance_tests.product import ROWS_PER_DAY, SEED, Done, Product

FIRST, COUNT = date(2018, 4, 1), 45
OFFICER, OWNER = "risk.officer@example.com", "data.owner@example.com"
SAME_DAYS = ("--train-start", "2018-04-25")
"""What the first training chose, so that a later one learns from the same days."""


def day(number: int) -> str:
    """The day of this number; 45 is the newest one that the home was built with."""
    return str(FIRST + timedelta(days=number - 1))


@dataclass
class Place:
    """One home and one project that an incident may destroy. Only one is open at a time.

    Its servers are its own, at the ports of the home that it was copied from.
    """

    product: Product
    alarms: list[str] = field(default_factory=list)
    """What people were told while the incident was planted: refusals, held days."""

    @property
    def home(self) -> Path:
        return self.product.home

    @property
    def project(self) -> Path:
        return self.product.project

    def landing(self, named: str) -> Path:
        return self.home / "landing" / f"{named}.parquet"

    def say(self, *arguments: str) -> Done:
        """A command that may be refused."""
        done = self.product.run(*arguments)
        if done.code:
            self.alarms.append(f"{arguments[0]}: {done.text.strip()[:300]}")
        return done

    def run(self, *arguments: str) -> Done:
        """The graph."""
        return self.say("run", *arguments)

    def accept(self, *days: str) -> None:
        """A person signs for unusual days; one that nobody holds needs no signature."""
        for named in days:
            self.product.run("accept", "raw_transactions", named, "--reason", "as the source says")

    def change(self, named: str, how: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """The source delivers a day again, changed."""
        path = self.landing(named)
        how(pl.read_parquet(path)).write_parquet(path)

    def deliver(
        self, number: int, how: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame
    ) -> str:
        """A day that has not come before."""
        frames = dict(generate_days(number, int(ROWS_PER_DAY), seed=int(SEED)))
        how(frames[day(number)]).write_parquet(self.landing(day(number)))
        return day(number)

    def edit(self, path: str, before: str, after: str, message: str = "a change") -> str:
        """Somebody edits a file and commits; returns the commit."""
        file = self.project / path
        text = file.read_text("utf-8")
        assert text.count(before) == 1, f"{path} has {text.count(before)} times {before!r}"
        file.write_text(text.replace(before, after), "utf-8")
        return commit_all(self.project, message)

    def kill_server(self, name: str) -> None:
        """A server of the home dies."""
        import json

        known = json.loads((self.home / "run" / "servers.json").read_text("utf-8"))
        os.kill(int(known[name]["pid"]), signal.SIGTERM)


@dataclass
class Ground:
    """The one home that was built, and copies of it."""

    arena: Arena
    copies: int = 0

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build the home if it is not there; its own servers make room for those of copies."""
        if not self.arena.is_built:
            self.arena.build(say)
        self.arena.down()

    def place(self, name: str) -> Place:
        """A fresh copy, its servers up."""
        before = self.arena.product.home
        while (home := self.arena.folder / f"i{self.copies:03d}").exists():
            self.copies += 1
        copy_state(self.arena.states / "scored", home)
        relocate(home, before)
        project = self.arena.folder / f"project-{name}"
        shutil.rmtree(project, ignore_errors=True)
        self.arena.copy_project(project)
        place = Place(Product(home, project))
        place.product.ok("up")
        return place

    def leave(self, place: Place, *, keep: bool = False) -> None:
        """Stop a copy's servers and remove it."""
        place.product.run("down")
        if not keep:
            shutil.rmtree(place.home, ignore_errors=True)
            shutil.rmtree(place.project, ignore_errors=True)
