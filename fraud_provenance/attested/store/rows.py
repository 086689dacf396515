"""The rows that the index keeps of a bundle, read from its unverified statement.

In: a bundle's bytes, or a statement as JSON. Out: one frozen model a row. Whatever is read here
only finds things: what is found is verified from its bytes.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest

REVOCATIONS, DEPLOYMENTS = "revocations", "deployments"  # chains beside the assets'
_MAX_COUNT = 2**53 - 1  # the largest integer that JSON keeps exactly


class Record(BaseModel):
    """What the index knows of one bundle (unverified)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    statement: str
    predicate_type: str
    subject_name: str
    subject_digest: str
    step: str
    asset: str
    environment: str
    result: str
    suite: str
    sequence: int
    previous: str
    log: str
    log_index: int


class Head(BaseModel):
    """The newest materialisation of one file of a partition (unverified)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    partition: str
    path: str
    sha256: str
    statement: str
    sequence: int


class VersionAt(BaseModel):
    """One version of a partition: SHA-256 of its files, place in the log (unverified)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str
    statement: str
    files: frozenset[str]
    logged: tuple[int, int]


class ChainLink(BaseModel):
    """One statement in the order of its asset's versions (unverified)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str
    sequence: int
    previous: str


class ContractResult(BaseModel):
    """The newest result of one suite for one partition's bytes (unverified).

    PASSED, FAILED, or WARNED where the partition is held until somebody accepts it. `ground` is
    what a partition was judged against that did not pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str
    sha256: str
    suite: str
    suite_digest: str
    result: str
    checks: int
    rows: int
    statement: str
    ground: str = ""


@dataclass(frozen=True)
class Rows:
    """All that the index keeps of one bundle: its record, and rows of the other tables."""

    record: Record
    entries: tuple[tuple[str | int, ...], ...] = ()
    results: tuple[tuple[str | int, ...], ...] = ()
    revoked: tuple[str, ...] = ()


def rows_of(digest: str, content: bytes, manifest: Callable[[str], Manifest]) -> Rows:
    """The rows of the bundle with this digest; `manifest` finds the one that a statement names.

    Raises:
        EvidenceError and whatever a document of another form leads to: there are none.
    """
    payload, log, log_index = open_bundle(content)
    document = encoding.strict_json(payload)
    statement = encoding.digest_bytes(payload)
    facts = _facts(document)
    subject = document["subject"][0]
    record = Record(
        bundle=digest,
        statement=statement,
        predicate_type=document["predicateType"],
        subject_name=str(subject.get("name", "")),
        subject_digest=str(subject["digest"].get("sha256", "")),
        log=log,
        log_index=log_index,
        **facts,
    )
    predicate = document["predicate"]
    match record.predicate_type:
        case statements.PROVENANCE:
            made = manifest(record.subject_digest).entries
            entries = [
                (record.asset, e.partition, e.path, e.sha256, statement, record.sequence)
                for e in made
            ]
            return Rows(record, entries=tuple(entries))
        case statements.TEST_RESULT:
            judged = manifest(record.subject_digest)
            return Rows(record, results=tuple(_results(record, predicate, judged)))
        case statements.REVOCATION if predicate["kind"] == "statement":
            return Rows(record, revoked=tuple(str(digest) for digest in predicate["digests"]))
        case _:
            return Rows(record)


def _results(
    record: Record, predicate: dict[str, Any], judged: Manifest
) -> Iterator[tuple[str | int, ...]]:
    """What one suite found, a row for each file that it judged."""
    notes = predicate["annotations"]
    found = {str(item["day"]): "WARNED" for item in notes.get("held", ())}
    found |= dict.fromkeys(notes["failedPartitions"], "FAILED")
    ground = notes.get("ground", {})
    form = _form(predicate)
    for entry in judged.entries:
        yield (
            judged.asset, entry.partition, entry.sha256, record.suite, form,
            found.get(entry.partition, "PASSED"), _count(notes["checks"]),
            _count(notes["rows"].get(entry.partition, 0)), record.statement, record.log,
            record.log_index, str(ground.get(entry.partition, "")),
        )  # fmt: skip


def open_bundle(content: bytes) -> tuple[bytes, str, int]:
    """(payload, log id in hex, log index) of a bundle, unverified."""
    document = encoding.strict_json(content)
    try:
        payload = base64.b64decode(document["dsseEnvelope"]["payload"], validate=True)
        entries = document["verificationMaterial"].get("tlogEntries") or [{}]
        log = base64.b64decode(entries[0].get("logId", {}).get("keyId", ""), validate=True)
        return payload, log.hex(), _count(int(entries[0].get("logIndex", 0)))
    except (LookupError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"not a DSSE bundle: {error!r}")
        ) from error


def _count(value: object) -> int:
    """A number that the index can hold and compare."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"{str(value)[:40]!r} is not a count")
        )
    return value


def _text(value: object) -> str:
    """A word that the index can hold and compare; a number is kept as it is written."""
    if not isinstance(value, str | int):
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"{str(value)[:40]!r} is not a word")
        )
    return str(value)


def _form(predicate: dict[str, Any]) -> str:
    """The digest of the form of the suite that judged; empty where nothing is told of it."""
    try:
        return str(predicate["configuration"][0]["digest"]["sha256"])
    except (LookupError, TypeError):
        return ""  # it is found, and does not verify


def _facts(document: dict[str, Any]) -> dict[str, Any]:
    """The index's columns from an unverified statement."""
    empty = {
        "step": "", "asset": "", "environment": "", "result": "", "suite": "", "sequence": 0,
        "previous": "",
    }  # fmt: skip
    predicate = document["predicate"]
    match document["predicateType"]:
        case statements.PROVENANCE:
            external = predicate["buildDefinition"]["externalParameters"]
            internal = predicate["buildDefinition"]["internalParameters"]
            return empty | {
                "step": _text(external["step"]),
                "asset": _text(external["asset"]),
                "environment": _text(external["environment"]),
                "sequence": _count(internal["sequence"]),
                "previous": str(internal.get("previous", "")),
            }
        case statements.TEST_RESULT:
            notes = predicate["annotations"]
            return empty | {
                "step": _text(notes["step"]),
                "environment": _text(notes["environment"]),
                "result": _text(predicate["result"]),
                "suite": _text(notes["suite"]),
            }
        case statements.VERIFICATION_SUMMARY:
            notes = predicate["annotations"]
            return (
                empty
                | {
                    "step": _text(notes["gate"]),
                    "environment": _text(notes["environment"]),
                    "result": _text(predicate["verificationResult"]),
                }
                | _deployment(predicate)
            )
        case statements.REVOCATION:
            return empty | {
                "asset": REVOCATIONS,
                "environment": str(predicate["environment"]),
                "sequence": _count(predicate["sequence"]),
                "previous": str(predicate["previous"]),
            }
        case _:
            return empty | {"environment": str(predicate.get("environment", ""))}


def _deployment(predicate: dict[str, Any]) -> dict[str, Any]:
    """The place of an allowing deployment decision among all of them; nothing for others."""
    notes = predicate["annotations"]
    if notes["gate"] != "deploy" or predicate["verificationResult"] != "PASSED":
        return {}
    return {
        "asset": DEPLOYMENTS,
        "sequence": _count(notes["facts"].get("sequence", 0)),
        "previous": str(notes["facts"].get("previous", "")),
    }
