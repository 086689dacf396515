"""Root causes and their cures: what the printed remedy tells to do, as it is typed.

A step is a command of the product, as the remedy prints it with its places filled in, or one of
`HANDS`: an act that the remedy tells in words. `make remedies` plays every row on a real home.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.cases_data import DAY, NEW_DAY
from fraud_provenance_tests.attacks.cases_tampering import OTHER_DAY
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import FEATURES, RAW

COMMAND = "fraud-provenance"
RUN = f"{COMMAND} run {' '.join(TRAINED)}"
APPROVE = (
    f"{COMMAND} approve model@candidate --environment local --as risk.officer@example.com "
    "--reason reviewed"
)


@dataclass(frozen=True)
class Cure:
    """One root cause, the case that brings it about, and what its remedy tells to do.

    `steps`: commands, with {digest} for the version of the day before the attack, or names of
    `HANDS`.
    """

    code: str
    case: str
    steps: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """The steps that are typed."""
        return tuple(step for step in self.steps if step.startswith(COMMAND))


@dataclass(frozen=True)
class Hand:
    """An act by hand. `words`: how a remedy that tells it says so."""

    words: str
    act: Callable[[Home, Path], None]


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


def _restore_policies(home: Home, _backup: Path) -> None:
    subprocess.run(
        ["git", "checkout", "--quiet", "--", "policies"], cwd=home.project, check=True, timeout=60
    )


HANDS: Mapping[str, Hand] = {
    "copy evidence": Hand("Copy the backup of evidence/ over the home's", _copied("evidence")),
    "restore data": Hand("estore data/", _restored("data")),
    "restore log": Hand("estore log/", _restored("log")),
    "remove the file": Hand("Remove the file", _remove_named),
    "restore the policies": Hand("estore the file", _restore_policies),
}


def _back(day: str = DAY) -> str:
    return f"{COMMAND} rollback {RAW} {day} --to {{digest}}"


def _signed_by_two() -> tuple[str, ...]:
    return tuple(
        f"{COMMAND} approve policies --environment local --as {who} --reason reviewed"
        for who in ("policy.author@example.com", "policy.reviewer@example.com")
    )


CURES = (
    Cure("DATA_HELD", "AC-01 nobody accepted",
         (f"{COMMAND} accept {RAW} {NEW_DAY} --as data.owner@example.com --reason looked",)),
    Cure("DIGEST_MISMATCH", "DT-01", (_back(),)),
    Cure("PARTITION_MUTATED_AFTER_ATTESTATION", "DF-13", (_back(),)),
    Cure("ROLLBACK", "DT-07", (_back(),)),
    Cure("SUBJECT_PARTITION_MISMATCH", "DT-05",
         (_back(), _back(OTHER_DAY).replace("{digest}", "{other}"))),
    Cure("UNATTESTED_FILE", "DT-11", ("remove the file",)),
    Cure("PARTITION_MISSING", "DT-12", (f"{COMMAND} rollback {FEATURES} {DAY}",)),
    Cure("CHECK_MISSING", "DF-29", (RUN,)),
    Cure("EVIDENCE_MISSING", "LE-01", ("copy evidence",)),
    Cure("EVIDENCE_ROLLBACK", "OP-11 audit", ("copy evidence", f"{COMMAND} audit --full")),
    Cure("LOG_ROLLBACK", "TL-06", ("restore log", f"{COMMAND} audit")),
    Cure("ROOT_DIGEST_MISMATCH", "SI-21", (f"{COMMAND} up --restore",)),
    Cure("ROOT_ROLLBACK", "SI-22", (f"{COMMAND} up --restore",)),
    Cure("POLICY_DIGEST_MISMATCH", "PO-01", ("restore the policies",)),
    Cure("EXPECTATION_CHANGE_UNAPPROVED", "SI-24", _signed_by_two()),
    Cure("APPROVAL_SUBJECT_MISMATCH", "AP-03", (APPROVE,)),
    Cure("APPROVAL_ENV", "AP-04", (APPROVE,)),
    Cure("APPROVAL_EXPIRED", "AP-05", (APPROVE,)),
    Cure("APPROVAL_REVOKED", "AP-07", (APPROVE,)),
    Cure("SELF_APPROVAL", "AP-01", (APPROVE,)),
)  # fmt: skip
