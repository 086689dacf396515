"""Where the index's tables lie: a file of SQLite, or memory; PostgreSQL is `home.postgres`'s.

The queries are such as both understand, with `?` for values.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Value = str | int
Write = tuple[str, Iterable[Sequence[Value]]]
"""A statement, and the values of each time that it is carried out."""


class Database(Protocol):
    """Tables that threads and processes share."""

    def prepare(
        self, version: int, tables: Mapping[str, Sequence[str]], indexes: Sequence[str]
    ) -> None:
        """Have tables with these columns; what another version of them holds is thrown away."""

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[dict[str, Any]]:
        """The rows, by the names of their columns."""

    def write(self, writes: Iterable[Write]) -> None:
        """Carry out all of it or nothing."""

    def state(self) -> tuple[int, int]:
        """Another one after every write, whoever made it."""


class SqliteDatabase:
    """Tables in one file of this machine, or in memory.

    >>> database = SqliteDatabase(None)
    >>> database.prepare(1, {"seen": ("name text primary key",)}, ())
    >>> database.write([("insert into seen values (?)", [("a",), ("b",)])])
    >>> database.query("select name from seen where name > ?", ("a",))
    [{'name': 'b'}]
    """

    def __init__(self, place: Path | None) -> None:
        """`place`: its file, made where there is none; None keeps it in memory."""
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(place or ":memory:", timeout=30, check_same_thread=False)
        self._db.row_factory = sqlite3.Row

    def prepare(
        self, version: int, tables: Mapping[str, Sequence[str]], indexes: Sequence[str]
    ) -> None:
        """See `Database.prepare`."""
        with self._lock, self._db:
            self._db.execute("pragma synchronous = off")  # derived data: rebuilt when in doubt
            if self._db.execute("pragma user_version").fetchone()[0] != version:
                for table in tables:
                    self._db.execute(f"drop table if exists {table}")
                self._db.execute(f"pragma user_version = {version}")
            for table, columns in tables.items():
                self._db.execute(f"create table if not exists {table} ({', '.join(columns)})")
            for index in indexes:
                self._db.execute(index)

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[dict[str, Any]]:
        """See `Database.query`."""
        with self._lock:
            return [dict(row) for row in self._db.execute(sql, values)]

    def write(self, writes: Iterable[Write]) -> None:
        """See `Database.write`."""
        with self._lock, self._db:
            for sql, values in writes:
                self._db.executemany(sql, values)

    def state(self) -> tuple[int, int]:
        """See `Database.state`."""
        with self._lock:
            others = int(self._db.execute("pragma data_version").fetchone()[0])
            return others, self._db.total_changes
