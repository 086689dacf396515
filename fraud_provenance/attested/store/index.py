"""The index over bundles: a SQLite file, or one in memory. It is derived, and only finds things.

Whatever it finds is verified from the bytes, so an edited index can make evidence disappear from
view, never make anything trusted. Deleting it rebuilds it.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fraud_provenance.attested.store.rows import (
    ChainLink,
    ContractResult,
    Head,
    Record,
    Rows,
    VersionAt,
)

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
_SCHEMA_VERSION = 5  # an index of another version is thrown away and built anew
_UNKNOWN_LOG = -1
_TABLES = ("bundles", "entries", "results", "revoked")


class Index:
    """What is known of bundles, by what people and gates ask. Safe for threads and processes."""

    def __init__(self, place: Path | None, logs: Iterable[bytes] = ()) -> None:
        """`place`: its file; None keeps it in memory. `logs`: as for `EvidenceStore`."""
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
        ranks = {log_id.hex(): rank for rank, log_id in enumerate(logs)}
        self._lock = threading.RLock()
        self._heads: dict[str, dict[str, list[Head]]] = {}
        self._heads_of = (-1, -1)
        self._db = sqlite3.connect(place or ":memory:", timeout=30, check_same_thread=False)
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

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def add(self, rows: Rows) -> None:
        """Keep the rows of one bundle, all of them or none."""
        with self._transaction() as db:
            record = rows.record.model_dump()
            marks = ",".join(f":{name}" for name in record)
            names = ",".join(record)
            db.execute(f"insert or replace into bundles ({names}) values ({marks})", record)  # noqa: S608 - fixed names
            db.executemany("insert or replace into entries values (?,?,?,?,?,?)", rows.entries)
            db.executemany(
                "insert or replace into results values (?,?,?,?,?,?,?,?,?,?,?,?)", rows.results
            )
            digests = [(digest,) for digest in rows.revoked]
            db.executemany("insert or ignore into revoked values (?)", digests)

    def known(self) -> dict[str, str]:
        """Bundle → the statement that it carries, of all that are indexed."""
        rows = self._query("select bundle, statement from bundles")
        return {str(row["bundle"]): str(row["statement"]) for row in rows}

    def carriers(self, statement: str) -> list[tuple[str, str]]:
        """(bundle, name of its subject) of those that carry a statement, first logged first."""
        rows = self._query(
            "select bundle, subject_name from bundles where statement = ? "
            "order by log_rank(log), log_index",
            (statement,),
        )
        return [(str(row["bundle"]), str(row["subject_name"])) for row in rows]

    def logged_since(self, log_id: bytes, log_index: int) -> list[str]:
        """Digests of the bundles that say they are in a log, at `log_index` or later.

        Those of a log that nobody knows are among them.
        """
        rows = self._query(
            "select bundle from bundles where (log = ? and log_index >= ?) or log_rank(log) = ?",
            (log_id.hex(), log_index, _UNKNOWN_LOG),
        )
        return [str(row["bundle"]) for row in rows]

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
