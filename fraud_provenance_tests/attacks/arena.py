"""A real home, built once; its states are kept, and each case gets a copy that it may destroy.

The servers of the one home run on and serve all copies, for their ports stand in every
certificate. A copy lies beside the home under a name of the same length, so that the absolute
paths in its databases can be exchanged byte for byte.
"""

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance_tests.product import PROJECT, Product, copy_project

STATES = ("approved", "scored")
"""`approved`: the candidate is trained, registered and approved, and nobody is champion yet.
`scored`: it was promoted; the newest day is scored."""
DAYS = 45
TRAINED = ("--train-start", "2018-04-25")  # what the first run chose: a new day is no new model
_NAME = "home"
_LINKED = "fraud_provenance_tests.attacks.linked"
_UNSHARED = ("scratch", "reports", "staging")
_OF_SERVERS = ("servers.json", "*.log", "*.log.1")
# Attested bytes are never rewritten: they do not name the home in a way that anything follows.
_RELOCATED = ("mlflow/mlflow.db", "feast", ".dvc", "dvc-site")


def copy_state(source: Path, target: Path) -> Path:
    """Copy a home without its servers' runtime files and scratch; returns `target`."""
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=lambda folder, names: (
            _UNSHARED
            if Path(folder) == source
            else shutil.ignore_patterns(*_OF_SERVERS)(folder, names)
            if Path(folder) == source / "run"
            else ()
        ),
    )
    for name in _UNSHARED:
        (target / name).mkdir()
    return target


def relocate(home: Path, before: Path) -> None:
    """Make a copy's databases name `home` wherever they named `before` (of the same length)."""
    old, new = str(before).encode(), str(home).encode()
    if len(old) != len(new):
        raise ValueError(f"{home} must be as long as {before}")
    for name in _RELOCATED:
        top = home / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and old in (content := path.read_bytes()):
                path.write_bytes(content.replace(old + b"/", new + b"/"))


class _Linked(Product):
    """The command line as the cases call it: by the code of this checkout, on a clean copy."""

    @property
    def runs_from(self) -> Path:
        return PROJECT

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", _LINKED, str(self.project), *arguments]


@dataclass
class Arena:
    """One built home with its saved states, below one folder.

    `is_linked`: this checkout's code makes it, as where cases are played in this process; else the
    code of the copy does, as where each command is a process of the copy.
    """

    folder: Path
    is_linked: bool = True
    used: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        made = _Linked if self.is_linked else Product
        self.product = made(self.folder / _NAME, self.folder / "project")

    @property
    def states(self) -> Path:
        """The folder of saved states."""
        return self.folder / "states"

    @property
    def is_built(self) -> bool:
        """Whether every state was saved and the code is still what built it."""
        return (self.folder / "built.json").exists()

    def build(self, say: Callable[[str], None] = lambda _text: None) -> None:
        """Build home and states with the product's own commands. Takes minutes, once."""
        say("copying the project into a clean repository")
        copy_project(self.product.project)
        product = self.product
        say("starting the local Sigstore")
        product.ok("up")
        say(f"landing {DAYS} days")
        product.generate(DAYS)
        say("running the graph up to the candidate")
        product.ok("run")
        product.approve()
        self._save("approved")
        say("promoting and scoring")
        product.ok("run")
        self._save("scored")
        (self.folder / "built.json").write_text(json.dumps({"states": STATES}), "utf-8")

    def open(self, say: Callable[[str], None] = lambda _text: None) -> None:
        """Build what is not built, start what does not run."""
        if self.is_built:
            self.product.ok("up")
            self._remove_leftovers()
        else:
            self.build(say)

    def down(self) -> None:
        """Stop the servers."""
        self.product.ok("down")

    def _save(self, state: str) -> None:
        copy_state(self.product.home, self.states / state)

    def copy(self, state: str) -> Path:
        """A fresh copy of a state, at home under its own path."""
        if state not in STATES:
            raise ValueError(f"no such state: {state}")
        target = self.folder / f"h{secrets.token_hex(3)[:3]}"
        # Several tournaments may share one arena; MLflow keeps a database open by its path, though
        # another file lies there.
        if target in self.used or target.exists():
            return self.copy(state)
        self.used.add(target)
        copy_state(self.states / state, target)
        relocate(target, self.product.home)
        return target

    def _remove_leftovers(self) -> None:
        """Copies of tournaments that were killed. Nobody plays a case for an hour."""
        for left in self.folder.glob("h[0-9a-f][0-9a-f][0-9a-f]"):
            if time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left, ignore_errors=True)

    def copy_project(self, target: Path) -> Path:
        """A copy of the clean repository, for cases that change policies or code."""
        return Path(shutil.copytree(self.product.project, target, symlinks=True))


@contextmanager
def open_arena(folder: Path) -> Iterator[Arena]:
    """A built arena with its servers at work; they end with the block."""
    made = Arena(folder)
    try:
        made.open()
        yield made
    finally:
        made.down()


def commit_all(project: Path, message: str) -> str:
    """Commit whatever was changed in a copied project; returns the commit."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["add", "-A"], ["commit", "-qm", message]):
        subprocess.run(["git", *who, *command], cwd=project, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


__all__ = [
    "DAYS",
    "PROJECT",
    "STATES",
    "TRAINED",
    "Arena",
    "commit_all",
    "copy_state",
    "open_arena",
    "relocate",
]
