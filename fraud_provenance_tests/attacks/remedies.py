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

from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.cases_data import DAY, NEW_DAY
from fraud_provenance_tests.attacks.cases_tampering import OTHER_DAY
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import FEATURES, RAW

COMMAND = "fraud-provenance"
_TYPED = re.compile(r"`([^`]+)`")
_PLACE = re.compile(r"[A-Z]+")
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


def _restore_policies(home: Home, _backup: Path) -> None:
    subprocess.run(
        ["git", "checkout", "--quiet", "--", "policies"], cwd=home.project, check=True, timeout=60
    )


def _ended(home: Home, _backup: Path) -> None:
    """Whatever the attack holds ends: the variable, the wrong clock, the server that is away."""
    home.around.close()
    home.ports = dict(home.notes["ports"])


HANDS: Mapping[str, Hand] = {
    "unset it": Hand("unset", _ended),
    "correct the clock": Hand("Correct the clock", _ended),
    "make tools": Hand("`make tools`", _ended),
    "reachable": Hand("eachable", _ended),
    "make room": Hand("Make room", _ended),
    "restore mlflow": Hand("estore mlflow/", _restored("mlflow")),
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

UNPLAYED = frozenset(
    """
    ALIAS_WITHOUT_DECISION APPROVAL_BEFORE_EVIDENCE APPROVAL_EVIDENCE APPROVAL_MISSING
    APPROVAL_POLICY APPROVAL_ROLE APPROVAL_SUPERSEDED APPROVAL_UNKNOWN_PERSON ARTIFACT_MISSING
    AUTHORITY_UNAVAILABLE CANARY_FAILED CAS_CONFLICT CHAIN_BROKEN CHECKPOINT_UNTRUSTED
    CHECK_FAILED CHECK_VACUOUS CLOCK_BEHIND CODE_VERSION_MISMATCH COLUMNS_SWAPPED
    COMMIT_UNTRUSTED CONFIG_OVERRIDE CONSTANT_COLUMN CONSUMER_UNAVAILABLE COSIGN_REJECTED
    DECISION_EXPIRED DECISION_INPUT_MISMATCH DECISION_MISSING DECISION_SUPERSEDED
    DIGEST_ALG_UNACCEPTABLE DISTRIBUTION_SHIFT DUPLICATE_BUSINESS_KEY DUPLICATE_KEY
    DUPLICATE_KEY_IDENTITY EMPTY_PARTITION ENCODING ENVIRONMENT_MISMATCH ENV_FILE_MISMATCH
    ENV_LOCK_MISMATCH EVALUATION_TOO_SMALL EVAL_ON_TRAIN EVENT_TIME_OUTSIDE_PARTITION
    EVIDENCE_MALFORMED EVIDENCE_SIDECAR_MISMATCH EVIDENCE_TAMPERED EVIDENCE_TOO_OLD FAIL_CLOSED
    FEATURES_TOO_FEW FEATURE_DEF_MISMATCH FEATURE_RECOMPUTE_MISMATCH FEATURE_SKEW FEATURE_TAMPER
    FEATURE_TRACE_MISMATCH FORBIDDEN_FORMAT FORMAT_MAGIC FROZEN_FEED GATE_DENIED GIT_DIRTY
    GIT_UNAVAILABLE HEARTBEAT_MISSING HOME_MISSING HOME_MOVED IDENTITY_NOT_AUTHORIZED_FOR_STEP
    IDENTITY_PATTERN IDENTITY_UNTRUSTED IGNORE_PATHS_UNEXPECTED IMMATURE_LABELS
    INCLUSION_INVALID INPUT_INVALID INPUT_MISSING INPUT_TYPE INPUT_UNVERIFIED_FIELD
    ISSUER_MISMATCH JSON_DUPLICATE_KEY KEY_NOT_FROM_ROOT KEY_REVOKED LABEL_INCOHERENT LABEL_RATE
    LEAKAGE_FEATURE LINEAGE_CYCLE LOG_CORRUPT LOG_ENTRY_KIND LOG_ENTRY_MISMATCH
    LOG_ENTRY_MISSING LOG_FORK LOG_STALE LOG_UNAVAILABLE MANIFEST_MALFORMED MAPPING_INVALID
    MATERIAL_NOT_ALLOWED MATERIAL_UNEXPLAINED MERKLE_MISMATCH METRIC_BELOW_MINIMUM
    METRIC_UNSIGNED MODEL_MALFORMED MODEL_REVOKED MODEL_TOO_OLD NON_FINITE NULL_RATE
    OBJECT_TYPE_CHANGED ORDER_INVALID PARAM_MISSING PARAM_UNEXPECTED PARTITION_DUPLICATE
    PARTITION_REVOKED PII_IN_ATTESTATION PIT_LEAKAGE POLICY_AUTHOR_UNKNOWN POLICY_DATA_INVALID
    POLICY_EVAL_ERROR POLICY_REVISION_MISMATCH POLICY_ROLLBACK POLICY_UNAVAILABLE
    POLICY_UNDEFINED POLICY_UNSIGNED PREDICATE_TYPE PREDLOG_FORK PREDLOG_GAP PREDLOG_UNAVAILABLE
    PRODUCER_UNKNOWN PURPOSE_NOT_ALLOWED REGISTRATION_POLICY REGISTRY_UNAVAILABLE RESOURCE_LIMIT
    ROLE_CONFLICT ROOT_MALFORMED ROWS_WOULD_BE_LOST SCHEMA_COLUMN_MISSING SCHEMA_COLUMN_UNKNOWN
    SCHEMA_TYPE SECRET_IN_ATTESTATION SECRET_IN_TREE SENTINEL_VALUE SEQUENCE_GAP SIGNATURE_COUNT
    SIGNATURE_INVALID SIGNATURE_MISSING SIZE_LIMIT SNAPSHOT_INCOHERENT SOURCE_MISMATCH
    SOURCE_SCHEME SPLIT_CONTAMINATION STALE_FEED STATEMENT_REVOKED STEP_UNKNOWN
    STORAGE_UNAVAILABLE SUBJECT_MISMATCH THRESHOLD_OUT_OF_RANGE TIMESTAMP_INVALID
    TIMESTAMP_UNAVAILABLE TIME_SKEW TMP_PERMS TOOL_DIGEST_MISMATCH TOOL_UNAVAILABLE
    TRAINER_UNKNOWN TRANSFORM_FAILED TRIGGER_SUSPECT UNEXPECTED_LOG_ENTRY UNIT_SHIFT USAGE
    VALUE_RANGE VERIFY_ERROR VOLUME WITNESS_UNAVAILABLE
    """.split()
)
"""Codes whose remedy nobody plays yet. One that gets a row leaves; none may come."""
