"""Root causes and their cures: what the printed remedy tells to do, as it is typed.

A step is a command of the product, as the remedy prints it with its places filled in, or one of
`HANDS`: an act that the remedy tells in words. `make remedies` plays every row on a real home.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraud_provenance.home import checkout
from fraud_provenance_tests.attacks import honest, honest_evidence, honest_policies
from fraud_provenance_tests.attacks.arena import TRAINED, commit_all
from fraud_provenance_tests.attacks.cases_reproducibility import locked_package
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import RAW
from fraud_provenance_tests.attacks.model import Attack, Judge

COMMAND = "fraud-provenance"
_TYPED = re.compile(r"`([^`]+)`")
_BUNDLE = re.compile(r"bundle ([0-9a-f]{12})")
_PLACE = re.compile(r"[A-Z]+")
RUN = f"{COMMAND} run {' '.join(TRAINED)}"
APPROVE = (
    f"{COMMAND} approve model@candidate --environment local --as risk.officer@example.com "
    "--reason reviewed"
)


@dataclass(frozen=True)
class Cure:
    """One root cause, what brings it about, and what its remedy tells to do.

    `case`: the name of an attack case, or a refusal of its own. `steps`: commands, their places
    filled in (`curing.places` has those that only the home knows), or names of `HANDS`.
    """

    code: str
    case: "str | Refusal"
    steps: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """The steps that are typed."""
        return tuple(step for step in self.steps if step.startswith(COMMAND))


@dataclass(frozen=True)
class Refusal:
    """What an honest person does, and where the product says no."""

    attack: Attack
    judge: Judge
    state: str = "scored"
    name: str = "an honest act"


@dataclass(frozen=True)
class Hand:
    """An act by hand. `words`: how a remedy that tells it says so."""

    words: str
    act: Callable[[Home, Path], None]


def typed_in(told: str) -> list[str]:
    """Everything that a printed remedy tells to type."""
    return _TYPED.findall(told)


def tells(told: str, step: str) -> bool:
    """Whether a printed remedy tells this step, word by word but for the places to fill in.

    `run` may have more options: a test's home says which days it learns from.
    """
    if step in HANDS:
        return HANDS[step].words in told
    words = shlex.split(step)
    return any(_fits(shlex.split(typed), words) for typed in typed_in(told))


def _fits(printed: list[str], words: list[str]) -> bool:
    if printed == [COMMAND, "run"]:
        return words[:2] == printed
    return len(printed) == len(words) and all(
        re.fullmatch(_PLACE.sub("~", re.escape(told)).replace("~", ".+"), word)
        for told, word in zip(printed, words, strict=True)
    )


def _restored(name: str) -> Callable[[Home, Path], None]:
    def act(home: Home, backup: Path) -> None:
        shutil.rmtree(home.path / name)
        shutil.copytree(backup / name, home.path / name, symlinks=True)

    return act


def _copied(name: str) -> Callable[[Home, Path], None]:
    def act(home: Home, backup: Path) -> None:
        shutil.copytree(backup / name, home.path / name, symlinks=True, dirs_exist_ok=True)

    return act


def _remove_named(home: Home, _backup: Path) -> None:
    """The file that the refusal of DT-11 names."""
    (home.path / "data" / RAW / "2018-05-09.part2.parquet").unlink()


def _git(home: Home, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=home.project, check=True, timeout=60)


def _remove(home: Home, name: str) -> None:
    path = home.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _moved_back(home: Home, _backup: Path) -> None:
    home.path = home.path.rename(home.notes["was at"])


def _mounted(home: Home, _backup: Path) -> None:
    (home.path / "dvc-remote").unlink()
    (home.path / "dvc-remote.away").rename(home.path / "dvc-remote")


def _remove_bundles(home: Home, _backup: Path) -> None:
    """Those that the refusal names, by the first digits of their files."""
    named = set(_BUNDLE.findall(" ".join(item.message for item in home.heard)))
    files = [path for name in named for path in home.path.glob(f"evidence/bundles/{name}*")]
    assert files, "the refusal names no bundle that is there"
    for path in (*files, home.path / "evidence" / "index.sqlite"):
        path.unlink()


def _restore_policies(home: Home, _backup: Path) -> None:
    _git(home, "checkout", "--quiet", "--", "policies")


def _ended(home: Home, _backup: Path) -> None:
    """Whatever the attack holds ends: the variable, the wrong clock, the server that is away."""
    home.around.close()
    home.ports = dict(home.notes["ports"])


def _cloned(home: Home, _backup: Path) -> None:
    shutil.rmtree(home.project)
    home.arena.copy_project(home.project)


def _set_up_anew(home: Home, _backup: Path) -> None:
    """The environment that the attack made: its packages, as the lock says."""
    folder = home.path / "scratch" / "packages"
    shutil.rmtree(folder)
    folder.mkdir()
    locked_package(folder)
    checkout._PACKAGES.clear()  # as in a new process


HANDS: Mapping[str, Hand] = {
    "unset it": Hand("nset ", _ended),
    "correct the clock": Hand("Correct the clock", _ended),
    "find out who": Hand("Find out who", _ended),
    "make clean setup": Hand("`make clean setup`", _set_up_anew),
    "clone anew": Hand("clone anew", _cloned),
    "mend the model": Hand("end the model or the test that is named", _ended),
    "look at the consumer": Hand("Look at its address", honest.consumer_started),
    "build it again": Hand("`make tools`", honest_policies.built_again),
    "add the person": Hand("have this one added there", honest_policies.enrolled),
    "the log itself": Hand("Find out who serves the old head", honest_evidence.log_itself),
    "run again": Hand("Run the command again", _ended),
    "one commit": Hand("of one commit together", _restore_policies),
    "change the layout": Hand("have the layout changed", _restore_policies),
    "principals apart": Hand("in policies/data/principals.json", honest_policies.principals_apart),
    "witness back": Hand("Make the witnesses", honest_policies.witness_back),
    "make trainer": Hand("with the role trainer", _restore_policies),
    "make tools": Hand("`make tools`", _ended),
    "reachable": Hand("eachable", _ended),
    "make room": Hand("Make room", _ended),
    "commit": Hand("Commit the changes", lambda home, _: (commit_all(home.project, "x"), None)[1]),
    "merge": Hand(
        "merged into that branch, not squashed or rebased",
        lambda home, _: _git(home, "branch", "--force", "protected", "HEAD"),
    ),
    "chmod": Hand("`chmod go= PATH`", lambda home, _: (home.path / "serving").chmod(0o700)),
    "remove feast": Hand("emove feast/ of the home", lambda home, _: _remove(home, "feast")),
    "remove the key": Hand(
        "Remove it", lambda home, _: (home.project / "docs" / "notes.md").unlink()
    ),
    "remove the bundle": Hand(
        "emove the bundle that is named from evidence/bundles/, and evidence/index.sqlite",
        _remove_bundles,
    ),
    "move back": Hand("ove", _moved_back),
    "mount": Hand("reachable", _mounted),
    "restore mlflow": Hand("estore mlflow/", _copied("mlflow")),
    "copy evidence": Hand("Copy the backup of evidence/ over the home's", _copied("evidence")),
    "restore data": Hand("estore data/", _restored("data")),
    "restore log": Hand("estore log/", _restored("log")),
    "remove the column": Hand("Remove the column", _ended),
    "split by days": Hand("Split by whole days", _ended),
    "correct the window": Hand("correct it", _ended),
    "take it out": Hand("take it out", _ended),
    "take it out of what is told": Hand("Take it out of what the step tells", _ended),
    "take the secret out": Hand("Take the secret out", _ended),
    "find out who answers": Hand("find out who answers", _ended),
    "write it out": Hand("Write each ", _restore_policies),
    "lower the bar": Hand("threshold in policies/data/thresholds.json", _restore_policies),
    "repair the policies": Hand("Repair ", _restore_policies),
    "reachable mlflow": Hand("Make MLflow's store reachable", _copied("mlflow")),
    "remove the file": Hand("Remove the file", _remove_named),
    "restore the policies": Hand("estore the file", _restore_policies),
}
