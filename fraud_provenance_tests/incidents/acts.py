"""What people do, a source delivers and machines suffer: what incidents are put together from."""

import hashlib
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks import locks
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.incidents.changes import Change, same
from fraud_provenance_tests.incidents.place import SAME_DAYS, Place, Plant, day
from fraud_provenance_tests.product import PROJECT

MODEL = "fraud_provenance/fraud/model.py"
THRESHOLDS, CONTRACTS = "policies/data/thresholds.json", "policies/data/contracts.json"
RAW, FEATURES, SCORES = "raw_transactions", "transaction_features", "transaction_scores"


def of_day(*numbers: int) -> frozenset[str]:
    """These raw days as causes."""
    return frozenset(f"data {RAW}/{day(number)}" for number in numbers)


def then(*plants: Plant) -> Plant:
    """One after the other."""

    def plant(place: Place) -> None:
        for one in plants:
            one(place)

    return plant


# --- what comes --------------------------------------------------------------------------------


def again(changes: dict[int, Change], *run: str) -> Plant:
    """Days are delivered again, looked at, accepted where they are held, and used."""

    def plant(place: Place) -> None:
        for number, how in changes.items():
            place.change(day(number), how)
        done = place.run(*(run or SAME_DAYS))
        if done.code:
            place.accept(*map(day, changes))
            place.run(*(run or SAME_DAYS))

    return plant


def delivered_again(changes: dict[int, Change]) -> Plant:
    """Days are delivered again, and nobody signs for what is held."""

    def plant(place: Place) -> None:
        for number, how in changes.items():
            place.change(day(number), how)
        place.run()

    return plant


def new_day(how: Change = same, *, used: bool = False, number: int = 46) -> Plant:
    """The next day comes, changed; `used`: a person signs for it."""

    def plant(place: Place) -> None:
        named = place.deliver(number, how)
        place.run()
        if used:
            place.accept(named)
            place.run()

    return plant


def run(*options: str) -> Plant:
    """The graph, with options."""

    def plant(place: Place) -> None:
        place.run(*options)

    return plant


# --- what people do ----------------------------------------------------------------------------


def edit(path: str, before: str, after: str, message: str = "a change") -> Plant:
    """A commit."""

    def plant(place: Place) -> None:
        place.edit(path, before, after, message)

    return plant


def default(name: str, before: str, after: str) -> Plant:
    """A commit changes the default of one of the model's parameters."""

    def plant(place: Place) -> None:
        text = (place.project / MODEL).read_text("utf-8")
        line = next(row for row in text.splitlines() if row.startswith(f"    {name}: "))
        assert f"default={before}" in line, line
        changed = line.replace(f"default={before}", f"default={after}")
        place.edit(MODEL, line, changed, f"another {name}")

    return plant


def locked(versions: Mapping[str, str]) -> Plant:
    """Other real versions of libraries are locked, installed and committed; what follows runs so.

    Their environment is one of its own, and is kept beside the homes by the lock's digest.
    """

    def plant(place: Place) -> None:
        locks.resolve(place.project, versions)
        name = sha256_of(place.project / locks.LOCK)[:12]
        python = locks.build(place.project, place.home.parent / "environments" / name)
        commit_all(place.project, "other versions of libraries")
        place.product = replace(place.product, python=python)

    return plant


def todays_lock(place: Place) -> None:
    """The libraries are upgraded to what is locked today, and what follows runs so."""
    for name in locks.LOCKED:
        shutil.copy2(PROJECT / name, place.project / name)
    commit_all(place.project, "upgrade the libraries")
    place.product = replace(place.product, python=sys.executable)


def limit(path: str, before: str, after: str) -> Plant:
    """A release with another limit, signed by both authors."""

    def plant(place: Place) -> None:
        place.rewrite(path, before, after)
        place.release()

    return plant


def unsigned_limit(path: str, before: str, after: str) -> Plant:
    """A limit is edited, and nobody released it."""
    return edit(path, before, after)


def bar(metric: str, before: str, after: str) -> tuple[str, str, str]:
    """(file, before, after) of the minimum of one metric."""
    head = f'"{metric}": {{\n      "value": '
    return THRESHOLDS, f"{head}{before},", f"{head}{after},"


def said(*arguments: str) -> Plant:
    """One command, which may be refused."""

    def plant(place: Place) -> None:
        place.say(*arguments)

    return plant


def commit_file(path: str, text: str) -> Plant:
    """A commit with one new file."""

    def plant(place: Place) -> None:
        file = place.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        commit_all(place.project, f"add {path}")

    return plant


# --- what is done to files ---------------------------------------------------------------------

Files = Callable[[Place], Path]


def file_of(asset: str, partition: str, ending: str = "parquet") -> Files:
    """A data file of the home."""
    return lambda place: place.data(asset, partition, ending)


def model_file(name: str) -> Files:
    """A file of the one model that there is."""
    return lambda place: next((place.home / "mlflow" / "artifacts").rglob(name))


def turned(which: Files) -> Plant:
    """One bit in the middle of a file is another."""

    def plant(place: Place) -> None:
        path = which(place)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(bytes(content))

    return plant


def rewritten(which: Files, how: Change) -> Plant:
    """The rows of a file are others."""

    def plant(place: Place) -> None:
        path = which(place)
        frame = how(pl.read_parquet(path))
        path.chmod(0o644)
        frame.write_parquet(path)

    return plant


def removed(which: Files) -> Plant:
    """A file is gone."""
    return lambda place: which(place).unlink()


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle_of(asset: str, partition: str) -> Files:
    """The stored statement that made a partition."""
    wanted = (
        "select bundle from bundles join entries using (statement)"
        " where entries.asset = ? and entries.partition = ? and result = ''"
    )
    return lambda place: _bundle(place, _one(place, wanted, asset, partition))


def bundle_kind(predicate: str, asset: str = "") -> Files:
    """The newest stored statement of a kind: the beginning of what follows the last slash."""
    wanted = (
        "select bundle from bundles where predicate_type like ? and asset like ?"
        " order by log_index desc"
    )
    return lambda place: _bundle(place, _one(place, wanted, f"%{predicate}%", f"{asset}%"))


def _bundle(place: Place, digest: str) -> Path:
    return place.home / "evidence" / "bundles" / f"{digest}.sigstore.json"


def _one(place: Place, wanted: str, *values: str) -> str:
    known = sqlite3.connect(place.home / "evidence" / "index.sqlite")
    try:
        found = known.execute(wanted, values).fetchone()
    finally:
        known.close()
    assert found, f"nothing of {values}"
    return str(found[0])
