"""Dagster's history of runs and ticks in a home's SQLite, as Dagster keeps it, asked at less cost.

Each tick of a sensor asks about twenty times. Dagster makes an engine for each question, which then
compiles each statement anew, and asks before most of them whether tables are there that every
history of its version has. Here one engine is kept, and what was found there is not looked for
again. No connection is kept: a history that was taken away or damaged shows as before. What is
written, and when, is the same.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Final

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

_EVENTS: Final = "history/runs"
_DATABASES: Final = ("history/runs", f"{_EVENTS}/index", "schedules/schedules")
_NEWEST: Final[dict[str, list[str] | None]] = {}
"""Folder → the revisions of its databases that this process compared with Dagster's own."""


def _paths(base_dir: str) -> list[str]:
    return [os.path.join(base_dir, name) for name in _DATABASES]


def _revisions(base_dir: str) -> list[str] | None:
    """What the databases say of themselves; None where one is missing or damaged."""
    found = []
    for path in _paths(base_dir):
        if not os.path.exists(f"{path}.db"):
            return None
        try:
            with closing(sqlite3.connect(f"{path}.db")) as database:
                rows = database.execute("select version_num from alembic_version").fetchall()
        except sqlite3.Error:
            return None
        found.append(str(rows))
    return found


class _Runs(SqliteRunStorage):
    def __init__(self, address: str) -> None:
        self._engine = create_engine(address, poolclass=NullPool)
        super().__init__(address)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection


class _Ticks(SqliteScheduleStorage):
    def __init__(self, address: str) -> None:
        self._engine = create_engine(address, poolclass=NullPool)
        self._found: set[str] = set()
        super().__init__(address)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def _has_instigators_table(self, conn: Connection) -> bool:
        return self._once("instigators", partial(super()._has_instigators_table, conn))

    def has_instigators_table(self) -> bool:
        return self._once("instigators", super().has_instigators_table)

    def has_built_index(self, migration_name: str) -> bool:
        return self._once(migration_name, partial(super().has_built_index, migration_name))

    def _once(self, name: str, look: Callable[[], bool]) -> bool:
        """What was found stays; what was not is looked for again."""
        if name not in self._found and look():
            self._found.add(name)
        return name in self._found


class History(DagsterSqliteStorage):
    """Dagster's storage for `dagster.yaml`: the same files at the same places."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        found = _revisions(base_dir)
        if found and _NEWEST.get(base_dir) == found:
            self.base_dir, self._inst_data = base_dir, inst_data
            super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]
            self._event_log_storage = SqliteEventLogStorage(f"{base_dir}/{_EVENTS}/")
            self._event_log_storage._initialized_dbs.add(INDEX_SHARD_NAME)
        else:
            super().__init__(base_dir, inst_data)  # makes what is missing, tells what is older
            _NEWEST[base_dir] = _revisions(base_dir)
        runs, _, ticks = (create_db_conn_string(*os.path.split(path)) for path in _paths(base_dir))
        self._run_storage, self._schedule_storage = _Runs(runs), _Ticks(ticks)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, object]
    ) -> "History":
        """As Dagster opens it."""
        return cls.from_local(str(config_value["base_dir"]), inst_data)
