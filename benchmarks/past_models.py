"""Past models made again: many models, of other commits and locks, compared by all their bytes.

    python -m benchmarks.past_models --models 30 --commits 10 --locks 5 --json past.json

One home in a copy of the project. The first models are made under other locks: real versions of
libraries, locked with their hashes, in environments that are built from these locks. The next ones
are made under a commit each: other defaults, other training code, another definition of a feature.
The rest are made by the newest commit, under today's lock; by that one all are asked for again with
`reproduce`. What counts is what `reproduce` says of each model: the commit and the lock that
its own evidence names. Exit 1 if one does not come out again, or not enough are of other commits
and locks.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks import locks
from benchmarks.homes import RUN_DEADLINE_S, Project, commit_all, git

FIRST = date(2018, 4, 1)
AROUND_DAYS = 14
"""The delay and the test days that follow each window."""
MODEL = "fraud_provenance/fraud/model.py"
EVALUATION = "fraud_provenance/fraud/evaluation.py"
RECOMPUTE = "fraud_provenance/fraud/recompute.py"
WINDOWS = "dbt_project/models/intermediate/int_customer_windows"

_TABLES = {
    "polars": "2.0.0", "polars-runtime-32": "2.0.0", "pyarrow": "25.0.0", "duckdb": "2.0.1",
}  # fmt: skip
_NUMBERS = _TABLES | {"numpy": "2.4.5", "pandas": "2.3.2"}
LOCKS = (_TABLES, _NUMBERS, _NUMBERS | {"xgboost-cpu": "3.1.3", "scikit-learn": "1.9.0"})
"""The other locks in their order: package → version."""


@dataclass(frozen=True)
class Edit:
    """One commit: (file, text, the text now); a text may be there more than once."""

    said: str
    changes: tuple[tuple[str, str, str], ...]

    def apply(self, project: Path) -> None:
        """Edit the files.

        Raises:
            SystemExit: a text is not there.
        """
        for name, before, after in self.changes:
            text = (project / name).read_text("utf-8")
            if before not in text:
                raise SystemExit(f"{self.said}: {name} has no {before!r}")
            (project / name).write_text(text.replace(before, after), "utf-8")


def _default(name: str, before: str, after: str) -> Edit:
    line = f"{name} = Field(default="
    return Edit(f"another {name.partition(':')[0]}",
                ((MODEL, f"{line}{before},", f"{line}{after},"),))  # fmt: skip


_METHOD = 'tree_method: Literal["exact", "hist", "approx"] = '
_ROWS, _FROM = '    rows = frame.sort("transaction_id")\n', "    labels = rows[LABEL].to_numpy()\n"
EDITS = (
    Edit("the widest window is a day shorter, by both definitions", (
        (f"{WINDOWS}.sql", "between 2591999 preceding", "between 2505599 preceding"),
        (f"{WINDOWS}.yml", "nb_tx_30day_window: 7", "nb_tx_30day_window: 6"),
        (f"{WINDOWS}.yml", "2.6857142857142855", "1.9666666666666666"),
        (RECOMPUTE, "customer.sums(older_s=days * _DAY_S)",
                    "customer.sums(older_s=(29 if days == 30 else days) * _DAY_S)"))),
    _default("max_depth: int", "6", "5"),
    _default("seed: int", "0", "7"),
    _default("subsample: float", "1.0", "0.8"),
    Edit("trees from histograms", ((MODEL, f'{_METHOD}"exact"', f'{_METHOD}"hist"'),)),
    _default("nthread: int", "1", "2"),
    Edit("name what is learnt from", (
        (MODEL, f"{_ROWS}{_FROM}", f"    learnt_from = frame.sort(\"transaction_id\")\n"
                f"    rows = learnt_from\n{_FROM}"),)),
    Edit("learn from nine rows of ten", (
        (MODEL, "    rows = learnt_from\n",
                '    rows = learnt_from.filter(pl.col("transaction_id") % 10 != 0)\n'),)),
    _default("colsample_bytree: float", "1.0", "0.7"),
    Edit("tidy up the evaluation", (
        (EVALUATION, "CARDS_PER_DAY: Final = 100\n",
                     "# So many cards can be looked at a day.\nCARDS_PER_DAY: Final = 100\n"),)),
)  # fmt: skip
"""The other commits in their order; each builds on those before it."""


@dataclass
class Made:
    """One past model.

    Attributes:
        subject: As `reproduce` takes it; "" where no model came out.
        window: First train day and how many.
        by: What was otherwise when it was made; "" for the newest commit.
        made_s: Seconds of its run.
        refused: Why the registration gate refused it, if it did; it is evidence all the same.
        exit_code: Of `reproduce`; -1 before it was asked.
    """

    subject: str
    window: tuple[str, int]
    by: str
    made_s: float
    refused: list[str]
    exit_code: int = -1
    headline: str = ""
    again_s: float = 0.0
    ran: dict[str, list[str]] = field(default_factory=dict)
    files: int = 0

    def is_of_another_lock(self) -> bool:
        """Whether it was made again in an environment of a lock that is not today's."""
        return any("built from lock" in ground for ground in self.ran.get("fraud_model", ()))

    def is_of_another_commit(self, newest: str) -> bool:
        """Whether it was made again by another commit than the newest."""
        own = self.ran.get("fraud_model", ())
        return bool(own) and not any(f"commit {newest[:12]}" in ground for ground in own)


def windows(days: int) -> Iterator[tuple[str, int]]:
    """Train windows in a feed of so many days, the newest of each length first; no two alike."""
    for length in (7, 6, 8, 5, 9):
        for start in reversed(range(days - length - AROUND_DAYS + 1)):
            yield str(FIRST + timedelta(days=start)), length


def shared_out(count: int, among: int) -> list[int]:
    """So many models among the locks, the last ones get what is left over.

    >>> shared_out(5, 3)
    [1, 2, 2]
    """
    least, more = divmod(count, among)
    return [least + (index >= among - more) for index in range(among)]


@dataclass
class Campaign:
    """One home, one copy of the project, and what was made there."""

    folder: Path
    options: argparse.Namespace
    models: list[Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Copy the project; what it is now is what its last commit becomes again."""
        self.project = Project(self.folder / "project")
        self.home = self.folder / "home"
        self.first = git(self.project.folder, "rev-parse", "HEAD")
        self.newest = self.first
        self._windows = windows(self.options.days)

    def make(self) -> None:
        """Make all models: under other locks, by other commits, by the newest one."""
        size = ("--days", str(self.options.days), "--rows-per-day", str(self.options.rows_per_day))
        self.project.command(self.home, "generate", *size, "--seed", "7")
        counts = shared_out(self.options.locks, len(LOCKS))
        for number, (versions, count) in enumerate(zip(LOCKS, counts, strict=True), start=1):
            if count:
                self._under_lock(number, versions, count)
        if self.options.locks:
            git(self.project.folder, "checkout", "-q", self.first, "--", *locks.LOCKED)
            commit_all(self.project.folder, "today's lock again")
        for edit in EDITS[: self.options.commits]:
            edit.apply(self.project.folder)
            commit_all(self.project.folder, edit.said)
            self._train(f"commit: {edit.said}")
        if self.options.commits:
            git(self.project.folder, "checkout", "-q", self.first, "--", MODEL, EVALUATION)
            commit_all(self.project.folder, "train as before")
        self.newest = git(self.project.folder, "rev-parse", "HEAD")
        while len(self.models) < self.options.models:
            self._train("")

    def _under_lock(self, number: int, versions: dict[str, str], count: int) -> None:
        pins = ", ".join(f"{name} {version}" for name, version in versions.items())
        say(f"lock {number}: {pins}")
        began = time.monotonic()
        locks.resolve(self.project.folder, versions)
        python = locks.build(self.project.folder, self.folder / "environments" / str(number))
        commit_all(self.project.folder, f"lock {pins}")
        say(f"lock {number}: resolved and installed in {time.monotonic() - began:.0f} s")
        for _ in range(count):
            self._train(f"lock: {pins}", python)

    def _train(self, by: str, python: str = sys.executable) -> None:
        """One more model, from a window of its own; that none came out is noted, too."""
        start, length = next(self._windows)
        known = self._known()
        began = time.monotonic()
        done = self.project.ask(
            self.home, "run", "--train-start", start, "--train-days", str(length), "--json",
            python=python, deadline_s=RUN_DEADLINE_S,
        )  # fmt: skip
        new = self._known() - known
        refused = _refused(done.stdout)
        made = Made("", (start, length), by, time.monotonic() - began, refused)
        if len(new) == 1:
            made.subject = f"fraud_model/{new.pop()}"
        else:
            made.headline = f"{len(new)} models came out: {done.stdout}{done.stderr}"[-3000:]
        self.models.append(made)
        said = f"; refused: {', '.join(refused)}" if refused else ""
        said += f"; {made.headline}" if made.headline else ""
        say(f"made {len(self.models)} of {self.options.models}: {length} days from {start}, "
            f"{by or 'the newest commit'}, {made.made_s:.0f} s{said}")  # fmt: skip

    def _known(self) -> set[str]:
        folder = self.home / "mlflow" / "artifacts" / "models"
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def reproduce(self) -> None:
        """Ask for each model again, by the newest commit and under today's lock."""
        for number, made in enumerate(self.models, start=1):
            if not made.subject:
                continue
            began = time.monotonic()
            done = self.project.ask(
                self.home, "reproduce", made.subject, "--json", deadline_s=RUN_DEADLINE_S
            )
            made.again_s = time.monotonic() - began
            made.exit_code = done.returncode
            try:
                told = json.loads(done.stdout)
            except ValueError:
                told = {}
            made.headline = str(told.get("headline") or f"{done.stdout}{done.stderr}"[-600:])
            made.ran = dict(told.get("ran") or {})
            made.files = len(told.get("files") or ())
            by = "; ".join(made.ran.get("fraud_model", ()))
            say(f"again {number} of {len(self.models)}: exit {made.exit_code}, "
                f"{made.again_s:.0f} s, {by}: {made.headline}")  # fmt: skip


def _refused(told: str) -> list[str]:
    """The root causes that a run told, each once."""
    try:
        reasons = json.loads(told)["refused"]
    except (ValueError, KeyError):
        return []
    return list(dict.fromkeys(str(item["code"]) for item in reasons))


def summary(models: Sequence[Made], newest: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures; `holds` is what the requirement asks for."""
    same = [made for made in models if made.exit_code == 0]
    under = [made for made in same if made.is_of_another_lock()]
    by = [made for made in same if made not in under and made.is_of_another_commit(newest)]
    grounds = {ground for made in same for ground in made.ran.get("fraud_model", ())}
    return {
        "models": len(models),
        "come out again": len(same),
        "under another commit": len(by),
        "under another lock": len(under),
        "grounds": len(grounds),
        "registered": sum(not made.refused for made in models),
        "files compared": sum(made.files for made in same),
        "holds": len(same) == len(models) >= options.models
        and len(by) >= options.commits
        and len(under) >= options.locks,
    }


def print_summary(models: Sequence[Made], told: dict[str, Any]) -> None:
    """One line a model, then the sentence that counts."""
    for made in models:
        mark = "same" if made.exit_code == 0 else f"EXIT {made.exit_code}"
        window = f"{made.window[1]} days from {made.window[0]}"
        print(f"{mark:<7} {made.made_s:5.0f} s {made.again_s:5.0f} s  {window}  "
              f"{made.by or 'the newest commit'}")  # fmt: skip
    print(f"{told['come out again']} of {told['models']} come out again; "
          f"{told['under another commit']} under another commit, "
          f"{told['under another lock']} under another lock")  # fmt: skip
    print(f"{told['files compared']} files compared; {told['grounds']} different commits and "
          f"environments; {told['registered']} models registered, the others refused for their "
          f"numbers")  # fmt: skip


def say(text: str) -> None:
    """A line of progress."""
    print(f"· {text}", flush=True)


def main() -> int:
    """Make, make again, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.past_models", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--models", type=int, default=30, help="how many in all")
    parser.add_argument("--commits", type=int, default=10, help="of these by a commit of their own")
    parser.add_argument("--locks", type=int, default=5, help="of these under other locks")
    parser.add_argument("--days", type=int, default=36)
    parser.add_argument("--rows-per-day", type=int, default=800)
    parser.add_argument("--folder", type=Path, help="a new folder for all of it, which is kept")
    parser.add_argument("--json", type=Path, help="write all of it to this file, too")
    options = parser.parse_args()
    if options.commits > len(EDITS):
        parser.error(f"there are {len(EDITS)} commits to choose from")
    if options.commits + options.locks > options.models:
        parser.error("--models are all, those of other commits and locks among them")
    if options.models > len(list(windows(options.days))):
        parser.error("the days hold not so many windows")
    with tempfile.TemporaryDirectory(prefix="past-") as scratch:
        campaign = Campaign((options.folder or Path(scratch)).absolute(), options)
        with campaign.project.servers(campaign.home):
            campaign.make()
        campaign.reproduce()
    told = summary(campaign.models, campaign.newest, options)
    print_summary(campaign.models, told)
    if options.json:
        document = {"summary": told, "newest": campaign.newest,
                    "models": [asdict(made) for made in campaign.models]}  # fmt: skip
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return 0 if told["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
