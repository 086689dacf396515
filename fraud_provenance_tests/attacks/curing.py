"""Plays cures: a refusal is brought about, its remedy done literally, the judge asked again."""

import re
import shlex
import shutil
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.codes import remedy
from fraud_provenance.models.facts import MODEL
from fraud_provenance_tests.attacks import faults, registry
from fraud_provenance_tests.attacks.arena import Arena, copy_state
from fraud_provenance_tests.attacks.cases_data import DAY
from fraud_provenance_tests.attacks.cases_tampering import OTHER_DAY
from fraud_provenance_tests.attacks.cases_training import without_trigger
from fraud_provenance_tests.attacks.home import Home, opened
from fraud_provenance_tests.attacks.judges import RAW
from fraud_provenance_tests.attacks.model import Case, Outcome
from fraud_provenance_tests.attacks.remedies import COMMAND, HANDS, Cure, Refusal, tells

_ENTRY = re.compile(r"log entry (\d+)")


@dataclass(frozen=True)
class Played:
    """What came of one cure. `note`: why it does not hold, in one line or a traceback."""

    cure: Cure
    note: str = ""

    @property
    def holds(self) -> bool:
        """The refusal was there, and its remedy ended it."""
        return not self.note


def play(arena: Arena, cure: Cure) -> Played:
    """One row on a fresh copy of the home."""
    case = case_of(cure)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            opened(arena, case.state) as home,
            home.surroundings(),
        ):
            return Played(cure, _play(home, case, cure, Path(folder) / "backup"))
    except Exception:
        return Played(cure, traceback.format_exc()[-3000:])


def case_of(cure: Cure) -> Case | Refusal:
    """What brings the row's code about.

    Raises:
        StopIteration: there is no case of this name.
    """
    if isinstance(cure.case, Refusal):
        return cure.case
    return next(case for case in registry.cases() if cure.case in (case.id, case.name))


def _play(home: Home, case: Case | Refusal, cure: Cure, backup: Path) -> str:
    _back_up(home, backup)
    digests = {name: _version(home, day) for name, day in (("digest", DAY), ("other", OTHER_DAY))}
    home.notes["ports"] = dict(home.ports)
    with home.around.pop_all():  # what is held from here on is the attack's
        case.attack(home)
        home.heard.clear()
        before = case.judge(home)
        if cure.code not in _told(before):
            return f"not brought about: {_told(before)} {before.text[-300:]}"
        printed = _printed(home, cure.code)
        found = places(home) | digests
        steps = [step.format(**found) for step in cure.steps]
        if silent := [step for step in steps if not any(tells(told, step) for told in printed)]:
            return f"{printed} does not tell {silent}"
        said = [_done(home, step, backup) for step in steps]
        home.notes["known alerts"] |= _alerts(home)
        after = case.judge(home)
        home.around.close()
    if cure.code in _told(after) or (after.refused and before.codes[:1] in ((), (cure.code,))):
        return f"still {_told(after)} after {said}: {after.text[-600:]}"
    return ""


def _back_up(home: Home, backup: Path, *, again: int = 3) -> None:
    """Copy the home; its log writes a file now and then, which is gone a moment later."""
    try:
        copy_state(home.path, backup)
    except shutil.Error:
        if not again:
            raise
        shutil.rmtree(backup)
        _back_up(home, backup, again=again - 1)


def places(home: Home) -> dict[str, str]:
    """What is filled in: a file with the next day, one with the newest day corrected, and so on."""
    day = faults.next_day(home.arena)
    newest = max((home.arena.states / "scored" / "landing").glob("*.parquet"))
    corrected = home.path / "scratch" / newest.name
    last = pl.col("TX_AMOUNT").rank("ordinal") == 1
    pl.read_parquet(newest).with_columns(
        pl.when(last).then(pl.lit(0.42)).otherwise("TX_AMOUNT").alias("TX_AMOUNT")
    ).write_parquet(corrected)
    text = " ".join(str(item) for item in home.heard)
    entry = _ENTRY.search(text)
    is_home = (home.path / "evidence").exists()
    models = home.workspace().store.records(asset=MODEL) if is_home else []
    batches = home.workspace().store.records(asset="transaction_scores") if is_home else []
    days = [item.partition for item in home.heard if item.partition]
    return {
        "file": str(home.arena.folder / "next-day" / f"{day}.parquet"),
        "corrected": str(corrected),
        "statement": str(home.notes.get("statement", ""))[:12],
        "without": str(without_trigger(home)),
        "scored": days[0] if days else "",
        "model": models[-1].subject_digest[:12] if models else "",
        "batch": batches[-1].statement[:12] if batches else "",
        "entry": entry[1] if entry else "",
    }


def _printed(home: Home, code: str) -> set[str]:
    """The remedies that the product told for a code; where only an alert names it, the code's."""
    found = {item.remedy for item in home.heard if item.code == code}
    return found or {remedy(code)}


def _version(home: Home, day: str) -> str:
    return home.workspace().store.versions(RAW, day)[-1].sha256


def _told(found: Outcome) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*found.codes, *found.alerts)))


def _done(home: Home, step: str, backup: Path) -> str:
    """Carry out one step. What it said where it did not end well, else nothing."""
    if step in HANDS:
        HANDS[step].act(home, backup)
        return ""
    said = home.command(*shlex.split(step.removeprefix(COMMAND)))
    return "" if said.code == 0 else f"{step} ended with {said.code}: {said.err[-300:]}"


def _alerts(home: Home) -> set[str]:
    outbox = Outbox(home.path)
    return {alert.id for alert in (*outbox.pending(), *outbox.delivered())}
