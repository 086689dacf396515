"""The evidence store: bundles and manifests under their own SHA-256, and an index over them.

The index only finds things. Whatever it finds is verified from the bytes, so an edited index can
make evidence disappear from view, never make anything trusted. Deleting it rebuilds it.
"""

import base64
import binascii
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, ProvenanceError, Reason, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest, parse_manifest

BUNDLE_SUFFIX = ".sigstore.json"
_MAX_COUNT = 2**53 - 1  # the largest integer that JSON keeps exactly
_SCHEMA = """
create table if not exists bundles (
    bundle text primary key, statement text not null, predicate_type text not null,
    subject_name text not null, subject_digest text not null, step text not null,
    asset text not null, environment text not null, result text not null, suite text not null,
    sequence integer not null, previous text not null, log text not null,
    log_index integer not null);
create index if not exists by_statement on bundles (statement);
create index if not exists by_subject on bundles (subject_digest, predicate_type);
create index if not exists by_asset on bundles (asset, predicate_type);
create table if not exists entries (
    asset text not null, partition text not null, path text not null, sha256 text not null,
    statement text not null, sequence integer not null,
    primary key (asset, partition, path, statement));
create index if not exists by_bytes on entries (sha256);
create table if not exists results (
    asset text not null, partition text not null, sha256 text not null, suite text not null,
    suite_digest text not null, result text not null, checks integer not null,
    rows integer not null, statement text not null, log text not null, log_index integer not null,
    ground text not null);
create index if not exists by_result on results (asset, sha256);
create table if not exists revoked (statement text primary key);
"""
REVOCATIONS, DEPLOYMENTS = "revocations", "deployments"  # chains beside the assets'
_SCHEMA_VERSION = 5  # an index of another version is thrown away and built anew
_UNKNOWN_LOG = -1
_TABLES = ("bundles", "entries", "results", "revoked")
_UNREADABLE = (ProvenanceError, ValueError, LookupError, TypeError, AttributeError, sqlite3.Error)


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


class EvidenceStore:
    """Content-addressed evidence below one folder. Safe for many threads and processes."""

    def __init__(self, folder: Path, logs: Iterable[bytes] = ()) -> None:
        """`logs`: the ids of the logs that evidence is in, the oldest first.

        What is in a later log was logged later, whatever its index there. What is in a log that
        is none of these is older than all.
        """
        self.folder = folder
        ranks = {log_id.hex(): rank for rank, log_id in enumerate(logs)}
        self._bundles = folder / "bundles"
        self._manifests = folder / "manifests"
        self._intents = folder / "intents"
        for path in (self._bundles, self._manifests, self._intents):
            path.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._heads: dict[str, dict[str, list[Head]]] = {}
        self._heads_of = (-1, -1)
        self._db = sqlite3.connect(folder / "index.sqlite", timeout=30, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.create_function(
            "log_rank", 1, lambda log: ranks.get(log, _UNKNOWN_LOG), deterministic=True
        )
        with self._transaction() as db:
            db.execute("pragma synchronous = off")  # derived data: rebuilt when in doubt
            if db.execute("pragma user_version").fetchone()[0] != _SCHEMA_VERSION:
                for table in _TABLES:
                    db.execute(f"drop table if exists {table}")
                db.execute(f"pragma user_version = {_SCHEMA_VERSION}")
            db.executescript(_SCHEMA)
        self.refresh()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db

    # --- bundles and manifests -------------------------------------------------------------

    def bundle_path(self, bundle_digest: str) -> Path:
        """Where a bundle lies."""
        return self._bundles / f"{bundle_digest}{BUNDLE_SUFFIX}"

    def manifest_path(self, digest: str) -> Path:
        """Where a manifest lies."""
        return self._manifests / f"{digest}.json"

    def put_manifest(self, manifest: Manifest) -> str:
        """Store a manifest; returns its digest."""
        path = self.manifest_path(manifest.digest)
        if not path.exists():
            files.write_atomic(path, manifest.content)
        return manifest.digest

    def manifest(self, digest: str) -> Manifest:
        """The manifest that `digest` names.

        Raises:
            EvidenceError: EVIDENCE_MISSING, EVIDENCE_TAMPERED or MANIFEST_MALFORMED.
        """
        try:
            content = files.read_once(
                self.manifest_path(digest), limit_bytes=encoding.MAX_DOCUMENT_BYTES
            )
        except EvidenceError as error:
            raise EvidenceError(
                reason(
                    RootCause.EVIDENCE_MISSING,
                    f"manifest {digest[:12]} is not in the store",
                    artifact=f"manifest {digest[:12]}",
                )
            ) from error
        return parse_manifest(content, digest)

    def put_bundle(self, content: bytes) -> str:
        """Store a Sigstore bundle and index it; returns the digest of its statement."""
        digest = encoding.digest_bytes(content)
        files.write_atomic(self.bundle_path(digest), content)
        with self._transaction() as db:
            return self._index(db, digest, content)

    def bundle(self, statement: str) -> tuple[str, bytes]:
        """(bundle digest, bytes) of the bundle that carries the statement named.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        rows = self._query(
            "select bundle, subject_name from bundles where statement = ? "
            "order by log_rank(log), log_index",
            (statement,),
        )
        for row in rows:
            path = self.bundle_path(row["bundle"])
            if path.exists():
                return row["bundle"], self.bundle_bytes(row["bundle"], row["subject_name"])
        name = rows[0]["subject_name"] if rows else ""
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_MISSING,
                f"no bundle carries statement {statement[:12]}"
                + (f" about {name}" if name else ""),
                artifact=name or f"statement {statement[:12]}",
            )
        )

    def has(self, statement: str) -> bool:
        """Whether a file is there that should carry the statement; says nothing about its bytes."""
        rows = self._query("select bundle from bundles where statement = ?", (statement,))
        return any(self.bundle_path(row["bundle"]).exists() for row in rows)

    def bundle_bytes(self, bundle_digest: str, name: str = "") -> bytes:
        """The bytes of one bundle, equal to its name.

        Raises:
            EvidenceError: ARTIFACT_MISSING or EVIDENCE_TAMPERED.
        """
        path = self.bundle_path(bundle_digest)
        content = files.read_once(path, limit_bytes=encoding.MAX_DOCUMENT_BYTES)
        if encoding.digest_bytes(content) != bundle_digest:
            raise EvidenceError(
                reason(
                    RootCause.EVIDENCE_TAMPERED,
                    f"bundle {path.name} of {name or 'a statement'} was changed",
                    artifact=f"bundle {bundle_digest[:12]} ({name})" if name else path.name,
                )
            )
        return content

    def problems(self) -> list[Reason]:
        """One reason for each bundle that was indexed once and is lost or changed now."""
        found: list[Reason] = []
        for record in self.records():
            try:
                self.bundle_bytes(record.bundle, record.subject_name)
            except EvidenceError as error:
                missing = any(item.code == RootCause.ARTIFACT_MISSING for item in error.reasons)
                found += (
                    [
                        reason(
                            RootCause.EVIDENCE_MISSING,
                            f"bundle {record.bundle[:12]} is gone from the store",
                            artifact=record.subject_name,
                        )
                    ]
                    if missing
                    else error.reasons
                )
        return found

    def put_intent(self, statement: statements.Statement) -> None:
        """Journal what is about to be signed, so that a lost run's log entry can be explained."""
        files.write_atomic(self._intents / f"{statement.digest}.json", statement.content)

    def drop_intent(self, statement_digest: str) -> None:
        """Forget an intent once its bundle is stored."""
        (self._intents / f"{statement_digest}.json").unlink(missing_ok=True)

    def intents(self) -> list[bytes]:
        """The statements that were announced and whose bundle is not stored (yet)."""
        found = []
        for path in sorted(self._intents.glob("*.json")):
            try:
                content = files.read_once(path, limit_bytes=encoding.MAX_DOCUMENT_BYTES)
            except EvidenceError:
                continue  # signed and dropped meanwhile
            if encoding.digest_bytes(content) == path.stem:
                found.append(content)
        return found

    # --- the derived index -----------------------------------------------------------------

    def refresh(self) -> None:
        """Index every bundle on disk that the index does not know yet."""
        known = {row["bundle"] for row in self._query("select bundle from bundles", ())}
        for path in sorted(self._bundles.glob(f"*{BUNDLE_SUFFIX}")):
            digest = path.name.removesuffix(BUNDLE_SUFFIX)
            if digest in known:
                continue
            try:
                content = files.read_once(path, limit_bytes=encoding.MAX_DOCUMENT_BYTES)
                with self._transaction() as db:
                    self._index(db, digest, content)
            except _UNREADABLE:
                continue  # whatever it is: whoever needs its statement reports it missing

    def bundles(self) -> Iterable[str]:
        """The digests of all bundles on disk."""
        return sorted(
            path.name.removesuffix(BUNDLE_SUFFIX)
            for path in self._bundles.glob(f"*{BUNDLE_SUFFIX}")
        )

    def logged_since(self, log_id: bytes, log_index: int) -> list[str]:
        """Digests of the bundles that say they are in a log, at `log_index` or later.

        Those of a log that nobody knows are among them.
        """
        rows = self._query(
            "select bundle from bundles where (log = ? and log_index >= ?) or log_rank(log) = ?",
            (log_id.hex(), log_index, _UNKNOWN_LOG),
        )
        return [str(row["bundle"]) for row in rows]

    def stored_statements(self) -> set[str]:
        """Digests of the statements that some bundle on disk carries, as the index knows them."""
        on_disk = set(self.bundles())
        rows = self._query("select bundle, statement from bundles", ())
        return {str(row["statement"]) for row in rows if row["bundle"] in on_disk}

    def records(
        self, *, predicate_type: str = "", asset: str = "", subject: str = "", statement: str = ""
    ) -> list[Record]:
        """Index rows that match every filter given, oldest log entry first."""
        filters = {
            "predicate_type": predicate_type,
            "asset": asset,
            "subject_digest": subject,
            "statement": statement,
        }
        used = {name: value for name, value in filters.items() if value}
        where = " and ".join(f"{name} = ?" for name in used) or "1"
        rows = self._query(
            f"select * from bundles where {where} "  # noqa: S608 - fixed names
            "order by log_rank(log), log_index",
            tuple(used.values()),
        )
        return [Record(**dict(row)) for row in rows]

    def heads(self, asset: str) -> dict[str, list[Head]]:
        """Partition → its newest files. Read once for each state of the index."""
        state = self.state()
        with self._lock:
            if state != self._heads_of:
                self._heads, self._heads_of = {}, state
            if asset not in self._heads:
                self._heads[asset] = self._read_heads(asset)
            return dict(self._heads[asset])

    def _read_heads(self, asset: str) -> dict[str, list[Head]]:
        rows = self._query(
            "select * from entries e where asset = ? and sequence = (select max(sequence) from "
            "entries n where n.asset = e.asset and n.partition = e.partition) order by path",
            (asset,),
        )
        heads: dict[str, list[Head]] = {}
        for row in rows:
            heads.setdefault(row["partition"], []).append(Head(**dict(row)))
        return heads

    def versions(self, asset: str, partition: str = "") -> list[Head]:
        """Every attested version of an asset's partitions (or of one), oldest first."""
        rows = self._query(
            "select * from entries where asset = ? and ? in ('', partition) order by sequence",
            (asset, partition),
        )
        return [Head(**dict(row)) for row in rows]

    def replaced(self, asset: str) -> list[VersionAt]:
        """The versions of those partitions that have several statements, the newest first."""
        rows = self._query(
            "select e.partition, e.statement, group_concat(distinct e.sha256) as files, "
            "min(log_rank(b.log)) as log, min(b.log_index) as log_index "
            "from entries e join bundles b on b.statement = e.statement "
            "where e.asset = ? and e.partition in (select partition from entries "
            "where asset = ? group by partition having count(distinct statement) > 1) "
            "group by e.partition, e.statement order by e.sequence desc",
            (asset, asset),
        )
        return [
            VersionAt(
                partition=row["partition"],
                statement=row["statement"],
                files=frozenset(row["files"].split(",")),
                logged=(row["log"], row["log_index"]),
            )
            for row in rows
        ]

    def state(self) -> tuple[int, int]:
        """Another one after every change of the index, whoever made it."""
        with self._lock:
            others = int(self._db.execute("pragma data_version").fetchone()[0])
            return others, self._db.total_changes

    def chain(self, name: str) -> list[ChainLink]:
        """The statements of an asset, of `deployments` or of `revocations`, in order."""
        rows = self._query(
            "select distinct statement, sequence, previous from bundles "
            "where asset = ? and sequence > 0 order by sequence, log_rank(log), log_index",
            (name,),
        )
        return [ChainLink(**dict(row)) for row in rows]

    def files_named(self, prefix: str) -> list[Head]:
        """Every version of the attested files whose SHA-256 begins with `prefix`."""
        rows = self._query(
            "select * from entries where sha256 >= ? and sha256 <= ? order by sequence",
            (prefix, f"{prefix}g"),  # the next letter after the hex digits
        )
        return [Head(**dict(row)) for row in rows]

    def statement_of_file(self, sha256: str) -> str:
        """The newest statement that attests a file with these bytes, or an empty string."""
        rows = self._query(
            "select statement from entries where sha256 = ? order by sequence desc limit 1",
            (sha256,),
        )
        return str(rows[0]["statement"]) if rows else ""

    def contract_results(self, asset: str) -> dict[tuple[str, str], dict[str, ContractResult]]:
        """(partition, sha256) → suite → its newest result."""
        rows = self._query(
            "select partition, sha256, suite, suite_digest, result, checks, rows, statement, "
            "ground from results where asset = ? "
            "and statement not in (select statement from revoked) "
            "order by log_rank(log), log_index",
            (asset,),
        )
        found: dict[tuple[str, str], dict[str, ContractResult]] = {}
        for row in rows:
            result = ContractResult(**dict(row))
            found.setdefault((result.partition, result.sha256), {})[result.suite] = result
        return found

    def newest_result(self, asset: str, suite: str) -> str:
        """The statement of a suite's newest result that was not revoked, or an empty string."""
        rows = self._query(
            "select statement from results where asset = ? and suite = ? and statement not in "
            "(select statement from revoked) order by log_rank(log) desc, log_index desc limit 1",
            (asset, suite),
        )
        return str(rows[0]["statement"]) if rows else ""

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _index(self, db: sqlite3.Connection, digest: str, content: bytes) -> str:
        payload, log, log_index = open_bundle(content)
        document = encoding.strict_json(payload)
        statement = encoding.digest_bytes(payload)
        facts = _facts(document)
        subject = document["subject"][0]
        db.execute(
            "insert or replace into bundles values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                digest, statement, document["predicateType"], str(subject.get("name", "")),
                str(subject["digest"].get("sha256", "")), facts["step"], facts["asset"],
                facts["environment"], facts["result"], facts["suite"], facts["sequence"],
                facts["previous"], log, log_index,
            ),
        )  # fmt: skip
        if document["predicateType"] == statements.PROVENANCE:
            manifest = self.manifest(subject["digest"]["sha256"])
            db.executemany(
                "insert or replace into entries values (?,?,?,?,?,?)",
                [
                    (facts["asset"], e.partition, e.path, e.sha256, statement, facts["sequence"])
                    for e in manifest.entries
                ],
            )
        if facts["asset"] == REVOCATIONS and document["predicate"]["kind"] == "statement":
            digests = [(str(digest),) for digest in document["predicate"]["digests"]]
            db.executemany("insert or ignore into revoked values (?)", digests)
        if document["predicateType"] == statements.TEST_RESULT:
            manifest = self.manifest(subject["digest"]["sha256"])
            notes = document["predicate"]["annotations"]
            found = {str(item["day"]): "WARNED" for item in notes.get("held", ())}
            found |= dict.fromkeys(notes["failedPartitions"], "FAILED")
            ground = notes.get("ground", {})
            form = _form(document["predicate"])
            db.executemany(
                "insert into results values (?,?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (
                        manifest.asset, e.partition, e.sha256, facts["suite"], form,
                        found.get(e.partition, "PASSED"), _count(notes["checks"]),
                        _count(notes["rows"].get(e.partition, 0)), statement, log, log_index,
                        str(ground.get(e.partition, "")),
                    )
                    for e in manifest.entries
                ],
            )  # fmt: skip
        return statement


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
                "step": external["step"],
                "asset": external["asset"],
                "environment": external["environment"],
                "sequence": _count(internal["sequence"]),
                "previous": str(internal.get("previous", "")),
            }
        case statements.TEST_RESULT:
            notes = predicate["annotations"]
            return empty | {
                "step": notes["step"],
                "environment": notes["environment"],
                "result": predicate["result"],
                "suite": notes["suite"],
            }
        case statements.VERIFICATION_SUMMARY:
            notes = predicate["annotations"]
            return (
                empty
                | {
                    "step": notes["gate"],
                    "environment": notes["environment"],
                    "result": predicate["verificationResult"],
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
