"""The index over bundles: tables of a database. It is derived, and only finds things.

Whatever it finds is verified from the bytes, so an edited index can make evidence disappear from
view, never make anything trusted. Deleting it rebuilds it.
"""

import threading
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from fraud_provenance.attested.store.databases import Database, SqliteDatabase
from fraud_provenance.attested.store.rows import (
    ChainLink,
    ContractResult,
    Head,
    Record,
    Rows,
    VersionAt,
)

_TABLES: Mapping[str, tuple[str, ...]] = {
    "bundles": (
        "bundle text primary key", "statement text not null", "predicate_type text not null",
        "subject_name text not null", "subject_digest text not null", "step text not null",
        "asset text not null", "environment text not null", "result text not null",
        "suite text not null", "sequence bigint not null", "previous text not null",
        "log text not null", "log_index bigint not null",
    ),
    "entries": (
        "asset text not null", "partition text not null", "path text not null",
        "sha256 text not null", "statement text not null", "sequence bigint not null",
        "primary key (asset, partition, path, statement)",
    ),
    "results": (
        "asset text not null", "partition text not null", "sha256 text not null",
        "suite text not null", "suite_digest text not null", "result text not null",
        "checks bigint not null", "rows bigint not null", "statement text not null",
        "log text not null", "log_index bigint not null", "ground text not null",
    ),
    "revoked": ("statement text primary key",),
}  # fmt: skip
_INDEXES = (
    "create index if not exists by_statement on bundles (statement)",
    "create index if not exists by_subject on bundles (subject_digest, predicate_type)",
    "create index if not exists by_asset on bundles (asset, predicate_type)",
    "create index if not exists by_bytes on entries (sha256)",
    "create index if not exists by_result on results (asset, sha256)",
    "create index if not exists by_judgement on results (statement)",
)
_UPSERT_ENTRY = (
    "insert into entries values (?,?,?,?,?,?) on conflict (asset, partition, path, statement) "
    "do update set sha256 = excluded.sha256, sequence = excluded.sequence"
)
_VERSION = 6  # an index of another version is thrown away and built anew
_UNKNOWN_LOG = -1


class Index:
    """What is known of bundles, by what people and gates ask. Safe for threads and processes."""

    def __init__(self, database: Database | None, logs: Iterable[bytes] = ()) -> None:
        """`database`: where it lies; None keeps it in memory. `logs`: as for `EvidenceStore`."""
        self._lock = threading.RLock()
        self._heads: dict[str, dict[str, list[Head]]] = {}
        self._heads_of = (-1, -1)
        known = [f"when '{log_id.hex()}' then {rank}" for rank, log_id in enumerate(logs)]
        known = known or [f"when '' then {_UNKNOWN_LOG}"]
        self._rank = f"case log {' '.join(known)} else {_UNKNOWN_LOG} end"
        self._database = database or SqliteDatabase(None)
        self._database.prepare(_VERSION, _TABLES, _INDEXES)

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Rows; `{rank}` in a query is where a row's log stands among those that are known."""
        return self._database.query(sql.replace("{rank}", self._rank), values)

    def add(self, rows: Rows) -> None:
        """Keep the rows of one bundle, all of them or none, in place of what was kept of it."""
        record = rows.record.model_dump()
        again = [(rows.record.statement,)] if rows.results else []
        self._database.write(
            [
                ("delete from bundles where bundle = ?", [(rows.record.bundle,)]),
                (_insert("bundles", record), [tuple(record.values())]),
                (_UPSERT_ENTRY, rows.entries),
                ("delete from results where statement = ?", again),
                (_insert("results", _columns("results")), rows.results),
                (_insert("revoked", ["statement"]), [(digest,) for digest in rows.revoked]),
            ]
        )

    def known(self) -> dict[str, str]:
        """Bundle → the statement that it carries, of all that are indexed."""
        rows = self._query("select bundle, statement from bundles")
        return {str(row["bundle"]): str(row["statement"]) for row in rows}

    def carriers(self, statement: str) -> list[tuple[str, str]]:
        """(bundle, name of its subject) of those that carry a statement, first logged first."""
        rows = self._query(
            "select bundle, subject_name from bundles where statement = ? "
            "order by {rank}, log_index",
            (statement,),
        )
        return [(str(row["bundle"]), str(row["subject_name"])) for row in rows]

    def logged_since(self, log_id: bytes, log_index: int) -> list[str]:
        """Digests of the bundles that say they are in a log, at `log_index` or later.

        Those of a log that nobody knows are among them.
        """
        rows = self._query(
            "select bundle from bundles where (log = ? and log_index >= ?) or {rank} = ?",
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
        where = " and ".join(f"{name} = ?" for name in used) or "1 = 1"
        rows = self._query(
            f"select * from bundles where {where} "  # noqa: S608 - fixed names
            "order by {rank}, log_index",
            tuple(used.values()),
        )
        return [Record(**row) for row in rows]

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
            heads.setdefault(row["partition"], []).append(Head(**row))
        return heads

    def versions(self, asset: str, partition: str = "") -> list[Head]:
        """Every attested version of an asset's partitions (or of one), oldest first."""
        rows = self._query(
            "select * from entries where asset = ? and ? in ('', partition) "
            "order by sequence, path",
            (asset, partition),
        )
        return [Head(**row) for row in rows]

    def replaced(self, asset: str) -> list[VersionAt]:
        """The versions of those partitions that have several statements, the newest first."""
        rows = self._query(
            "select e.partition, e.statement, e.sequence, e.sha256, {rank} as place, b.log_index "
            "from entries e join bundles b on b.statement = e.statement "
            "where e.asset = ? and e.partition in (select partition from entries "
            "where asset = ? group by partition having count(distinct statement) > 1) "
            "order by e.sequence desc, e.partition, e.statement",
            (asset, asset),
        )
        found = []
        for _, group in groupby(rows, lambda row: (row["partition"], row["statement"])):
            files = list(group)
            found.append(
                VersionAt(
                    partition=files[0]["partition"],
                    statement=files[0]["statement"],
                    files=frozenset(row["sha256"] for row in files),
                    logged=min((row["place"], row["log_index"]) for row in files),
                )
            )
        return found

    def state(self) -> tuple[int, int]:
        """Another one after every change of the index, whoever made it."""
        return self._database.state()

    def chain(self, name: str) -> list[ChainLink]:
        """The statements of an asset, of `deployments` or of `revocations`, in order."""
        rows = self._query(
            "select statement, sequence, previous from bundles "
            "where asset = ? and sequence > 0 order by sequence, {rank}, log_index",
            (name,),
        )
        links = {(row["statement"], row["sequence"], row["previous"]): row for row in rows}
        return [ChainLink(**row) for row in links.values()]

    def files_named(self, prefix: str) -> list[Head]:
        """Every version of the attested files whose SHA-256 begins with `prefix`."""
        rows = self._query(
            "select * from entries where sha256 >= ? and sha256 <= ? "
            "order by sequence, asset, path, statement",
            (prefix, f"{prefix}g"),  # the next letter after the hex digits
        )
        return [Head(**row) for row in rows]

    def statement_of_file(self, sha256: str) -> str:
        """The newest statement that attests a file with these bytes, or an empty string."""
        rows = self._query(
            "select statement from entries where sha256 = ? "
            "order by sequence desc, statement limit 1",
            (sha256,),
        )
        return str(rows[0]["statement"]) if rows else ""

    def contract_results(self, asset: str) -> dict[tuple[str, str], dict[str, ContractResult]]:
        """(partition, sha256) → suite → its newest result."""
        rows = self._query(
            "select partition, sha256, suite, suite_digest, result, checks, rows, statement, "
            "ground from results where asset = ? "
            "and statement not in (select statement from revoked) "
            "order by {rank}, log_index",
            (asset,),
        )
        found: dict[tuple[str, str], dict[str, ContractResult]] = {}
        for row in rows:
            result = ContractResult(**row)
            found.setdefault((result.partition, result.sha256), {})[result.suite] = result
        return found

    def newest_result(self, asset: str, suite: str) -> str:
        """The statement of a suite's newest result that was not revoked, or an empty string."""
        rows = self._query(
            "select statement from results where asset = ? and suite = ? and statement not in "
            "(select statement from revoked) order by {rank} desc, log_index desc limit 1",
            (asset, suite),
        )
        return str(rows[0]["statement"]) if rows else ""


def _columns(table: str) -> list[str]:
    return [line.partition(" ")[0] for line in _TABLES[table]]


def _insert(table: str, columns: Iterable[str]) -> str:
    """What adds rows to a table; one that somebody else has just added stays as it is."""
    names = list(columns)
    marks = ",".join("?" * len(names))
    return f"insert into {table} ({','.join(names)}) values ({marks}) on conflict do nothing"  # noqa: S608 - fixed names
