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
from fraud_provenance.attested.statements.columns import count
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.predicates import PREDICATES, Predicate

_EMPTY = {
    "step": "", "asset": "", "environment": "", "result": "", "suite": "", "sequence": 0,
    "previous": "",
}  # fmt: skip


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
    uri, predicate = document["predicateType"], document["predicate"]
    row = PREDICATES.get(uri) or Predicate(uri, "evidence", "own")  # it is found, and refused
    subject = document["subject"][0]
    record = Record(
        bundle=digest,
        statement=statement,
        predicate_type=row.uri,
        subject_name=str(subject.get("name", "")),
        subject_digest=str(subject["digest"].get("sha256", "")),
        log=log,
        log_index=log_index,
        **(_EMPTY | row.columns(predicate)),
    )
    match row.listed:
        case "files":
            made = manifest(record.subject_digest).entries
            entries = [
                (record.asset, e.partition, e.path, e.sha256, statement, record.sequence)
                for e in made
            ]
            return Rows(record, entries=tuple(entries))
        case "results":
            judged = manifest(record.subject_digest)
            return Rows(record, results=tuple(_results(record, predicate, judged)))
        case "withdrawn" if predicate["kind"] == "statement":
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
            found.get(entry.partition, "PASSED"), count(notes["checks"]),
            count(notes["rows"].get(entry.partition, 0)), record.statement, record.log,
            record.log_index, str(ground.get(entry.partition, "")),
        )  # fmt: skip


def open_bundle(content: bytes) -> tuple[bytes, str, int]:
    """(payload, log id in hex, log index) of a bundle, unverified."""
    document = encoding.strict_json(content)
    try:
        payload = base64.b64decode(document["dsseEnvelope"]["payload"], validate=True)
        entries = document["verificationMaterial"].get("tlogEntries") or [{}]
        log = base64.b64decode(entries[0].get("logId", {}).get("keyId", ""), validate=True)
        return payload, log.hex(), count(int(entries[0].get("logIndex", 0)))
    except (LookupError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"not a DSSE bundle: {error!r}")
        ) from error


def _form(predicate: dict[str, Any]) -> str:
    """The digest of the form of the suite that judged; empty where nothing is told of it."""
    try:
        return str(predicate["configuration"][0]["digest"]["sha256"])
    except (LookupError, TypeError):
        return ""  # it is found, and does not verify
