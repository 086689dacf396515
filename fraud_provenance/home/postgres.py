"""A PostgreSQL server that machines share: the index's tables, and locks.

What lies there is derived or a courtesy. Whoever may write there can hide evidence or make others
wait; nothing is believed because of it.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.store.databases import Value, Write
from fraud_provenance.home.server_settings import Postgres
from fraud_provenance.home.surroundings import POSTGRES_PASSWORD

_CONNECT_S: Final = 10
_KEEPALIVE: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""Seconds, seconds, and how often: a machine that is gone is known to be after a minute, here and
there. Its locks are free then."""


@dataclass(frozen=True)
class Server:
    """A server, and the password by which it lets us in."""

    settings: Postgres
    password: SecretStr

    def connect(self, schema: str = "") -> Any:  # noqa: ANN401 - psycopg2 has no types
        """A connection in which each statement takes effect by itself.

        Raises:
            BackendError: STORAGE_UNAVAILABLE.
        """
        import psycopg2

        options = [f"tcp_{name}={value}" for name, value in _KEEPALIVE.items()]  # the server's side
        options += [f"search_path={schema}"] if schema else []
        with _answering():
            connection = psycopg2.connect(
                **self.settings.connection(),
                password=self.password.get_secret_value(),
                connect_timeout=_CONNECT_S,
                options=" ".join(f"-c {option}" for option in options),
                **_KEEPALIVE,
            )
        connection.autocommit = True
        return connection


@contextmanager
def _answering() -> Iterator[None]:
    """What the server says instead of an answer, as an error of ours.

    Raises:
        BackendError: STORAGE_UNAVAILABLE. ValueError: a value is none that it can keep.
    """
    import psycopg2

    try:
        yield
    except psycopg2.DataError as error:
        raise ValueError("a value cannot be kept in the index") from error
    except psycopg2.Error as error:
        said = str(error).partition("\n")[0][:300] or type(error).__name__
        raise BackendError(
            reason(
                RootCause.STORAGE_UNAVAILABLE,
                f"PostgreSQL cannot be used: {said}",
                artifact="postgres",
                remedy="Make the server of the settings' [postgres] answer, to this user, who may "
                f"create schemas in that database; the password is in {POSTGRES_PASSWORD}.",
            )
        ) from error


class PostgresDatabase:
    """Tables of one shared home, in a schema of their own: see `Database`."""

    def __init__(self, server: Server, place: str) -> None:
        """`place`: what names the home, where its machines remember together."""
        self._server = server
        self._schema = f"provenance_{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        self._lock = threading.RLock()
        self._connection: Any = None

    def prepare(
        self, version: int, tables: Mapping[str, Sequence[str]], indexes: Sequence[str]
    ) -> None:
        """See `Database.prepare`."""
        with self._lock, self._cursor() as cursor:
            cursor.execute("begin")
            cursor.execute("select pg_advisory_xact_lock(%s)", (_key(self._schema, "tables"),))
            cursor.execute(f"create schema if not exists {self._schema}")
            cursor.execute("create table if not exists changes (n bigint, version bigint)")
            cursor.execute("select version from changes")
            if cursor.fetchall() != [{"version": version}]:
                for table in tables:
                    cursor.execute(f"drop table if exists {table}")
                cursor.execute("delete from changes")
                cursor.execute("insert into changes values (0, %s)", (version,))
            for table, columns in tables.items():
                by_bytes = [name.replace(" text", ' text collate "C"') for name in columns]
                cursor.execute(f"create table if not exists {table} ({', '.join(by_bytes)})")
            for index in indexes:
                cursor.execute(index)
            cursor.execute("commit")

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[dict[str, Any]]:
        """See `Database.query`."""
        with self._lock, self._cursor() as cursor:
            cursor.execute(_marked(sql), tuple(values))
            return [dict(row) for row in cursor.fetchall()]

    def write(self, writes: Iterable[Write]) -> None:
        """See `Database.write`."""
        from psycopg2.extras import execute_batch

        with self._lock, self._cursor() as cursor:
            cursor.execute("begin")
            cursor.execute("update changes set n = n + 1")  # who writes comes one after the other
            for sql, values in writes:
                execute_batch(cursor, _marked(sql), list(values))
            cursor.execute("commit")

    def state(self) -> tuple[int, int]:
        """See `Database.state`."""
        return int(self.query("select n from changes")[0]["n"]), 0

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor; a connection that broke, or a transaction that did, is not used again."""
        from psycopg2.extras import RealDictCursor

        with _answering():
            if self._connection is None or not self._answers():
                self._connection = self._server.connect(self._schema)
            try:
                with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
                    yield cursor
            except BaseException:
                with suppress(Exception):
                    self._connection.close()
                self._connection = None
                raise

    def _answers(self) -> bool:
        """Whether the server has ended the connection meanwhile, as far as is known here."""
        import select

        if self._connection.closed:
            return False
        readable, _, _ = select.select([self._connection], [], [], 0)
        return not readable  # a server that says something unasked says farewell


class PostgresLocks:
    """Locks among the machines of one shared home; the server ends those of a lost connection."""

    def __init__(self, server: Server, place: str) -> None:
        self._server = server
        self._place = place

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """See `Locks.held`.

        Raises:
            BackendError: STORAGE_UNAVAILABLE, nobody can say who goes first.
        """
        with closing(self._server.connect()) as connection:
            with _answering(), connection.cursor() as cursor:
                cursor.execute("select pg_advisory_lock(%s)", (_key(self._place, name),))
            yield


def _marked(sql: str) -> str:
    return sql.replace("?", "%s")


def _key(place: str, name: str) -> int:
    """The number that stands for a lock."""
    digest = hashlib.sha256(f"{place}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
