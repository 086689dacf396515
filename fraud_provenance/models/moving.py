"""MLflow's records of a home, brought to the database behind MLflow's server.

Evidence names models by their ids, and a server's own interface gives new ones. So the database
is copied as it is, row by row in one transaction; only what says where files lie is changed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError, reason
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.registry_server import SCHEME

DATABASE: Final = "mlflow.db"
_VERSIONS: Final = "alembic_version"
_BATCH: Final = 500
_VERSION: Final = "select version_num from alembic_version"
_RUNS, _MODELS = "select run_uuid from runs", "select name, version from model_versions"


def experiment_of(home: Path, name: str) -> str:
    """The number of the home's experiment, by which the server keeps its files.

    Raises:
        ConfigError: USAGE, this home has none yet.
    """
    with _store(home).connect() as store:
        found = store.execute(
            sql.text("select experiment_id from experiments where name = :name"), {"name": name}
        ).scalar_one_or_none()
    if found is None:
        raise _cannot("MLflow has no runs in this home yet", "There is nothing to move: set the "
                      "server in settings.toml.")  # fmt: skip
    return str(found)


def copy_files(home: Path, server: str, experiment: str) -> int:
    """Send every file of the home's runs and models through the server; how many there are.

    Raises:
        BackendError: REGISTRY_UNAVAILABLE.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder = home / "mlflow" / "artifacts"
    try:
        there = get_artifact_repository(f"{SCHEME}:/{experiment}", tracking_uri=server)
        there.log_artifacts(str(folder))
    except (MlflowException, OSError) as error:
        raise _unavailable(f"MLflow's server at {server} took no files", error) from error
    return sum(path.is_file() for path in folder.rglob("*"))


def copy_records(home: Path, address: str, experiment: str) -> int:
    """Copy the home's database into the empty one at `address`; how many rows are new there.

    All or nothing. What was copied before is found there, and nothing is done.

    Args:
        home: The home, whose `mlflow/mlflow.db` is read only.
        address: SQLAlchemy's of the database that the server made, for example
            `postgresql+psycopg2://mlflow@db.example.com/mlflow`; the password is in PGPASSFILE.
        experiment: As `experiment_of` has it.

    Raises:
        ConfigError: USAGE, that database is of another version of MLflow, or is in use.
        BackendError: REGISTRY_UNAVAILABLE.
    """
    local, served = (home / "mlflow" / "artifacts").as_uri(), f"{SCHEME}:/{experiment}"
    try:
        with _store(home).connect() as old, _engine(address).begin() as new:
            if _is_there(old, new):
                return 0
            return _fill(old, new, (local, served))
    except SQLAlchemyError as error:
        where = f"{urlsplit(address).hostname or 'the file'}"
        raise _unavailable(f"MLflow's database at {where} cannot be used", error) from error


def _is_there(old: sql.Connection, new: sql.Connection) -> bool:
    """Whether all of it is there; an empty database of the same version is what may be filled."""
    versions = [_rows(store, _VERSION) for store in (old, new)]
    if versions[0] != versions[1]:
        raise _cannot("the two databases are of different versions of MLflow",
                      "Start the server once with this project's MLflow (`mlflow server`, or "
                      "`mlflow db upgrade`), then run this again.")  # fmt: skip
    known = _rows(new, _RUNS), _rows(new, _MODELS)
    if not any(known):
        return False
    ours = _rows(old, _RUNS), _rows(old, _MODELS)
    if all(mine <= there for mine, there in zip(ours, known, strict=True)):
        return True
    raise _cannot("the server's database holds runs or models of somebody else",
                  "Give this home a server whose database is new.")  # fmt: skip


def _fill(old: sql.Connection, new: sql.Connection, places: tuple[str, str]) -> int:
    """Replace the few rows that a new server makes by the home's."""
    ours, theirs = sql.MetaData(), sql.MetaData()
    ours.reflect(old)
    theirs.reflect(new)
    tables = [table for table in theirs.sorted_tables if table.name != _VERSIONS]
    for table in reversed(tables):
        new.execute(table.delete())
    count = 0
    for table in tables:
        for rows in _moved(old, ours.tables[table.name], places):
            new.execute(table.insert(), rows)
            count += len(rows)
        if new.dialect.name == "postgresql":
            _count_on(new, table)
    return count


def _moved(
    old: sql.Connection, table: sql.Table, places: tuple[str, str]
) -> Iterator[list[dict[str, Any]]]:
    """The rows of one table in batches, with the places of files as they are on the server."""
    found = old.execution_options(yield_per=_BATCH).execute(table.select()).mappings()
    for rows in found.partitions():
        yield [{name: _place(value, places) for name, value in row.items()} for row in rows]


def _place(value: Any, places: tuple[str, str]) -> Any:  # noqa: ANN401 - any column's
    """A value; where it says that a file lies in the home, the same place on the server."""
    local, served = places
    if not isinstance(value, str) or not value.startswith(local):
        return value
    return served + value.removeprefix(local)


def _count_on(new: sql.Connection, table: sql.Table) -> None:
    """The next number that PostgreSQL gives comes after those that were copied."""
    for column in table.primary_key.columns:
        if not isinstance(column.type, sql.Integer) or column.server_default is None:
            continue
        newest = new.execute(sql.select(sql.func.max(column))).scalar_one()
        sequence = sql.func.pg_get_serial_sequence(table.name, column.name)
        new.execute(sql.select(sql.func.setval(sequence, newest or 1, newest is not None)))


def _rows(store: sql.Connection, query: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in store.execute(sql.text(query))}


def _store(home: Path) -> sql.Engine:
    """The home's own, for reading only."""
    return sql.create_engine(f"sqlite:///file:{home / 'mlflow' / DATABASE}?mode=ro&uri=true")


def _engine(address: str) -> sql.Engine:
    try:
        if sql.make_url(address).password:
            raise ValueError("others see what a command is told")
        return sql.create_engine(address)
    except (SQLAlchemyError, ValueError, ImportError) as error:
        what = "the address of MLflow's database cannot be used"
        raise _cannot(what, "Write postgresql+psycopg2://USER@HOST:PORT/NAME, without a password: "
                      "that stands in the file that PGPASSFILE names.") from error  # fmt: skip


def _cannot(message: str, remedy: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, message, remedy=remedy))


def _unavailable(message: str, error: Exception) -> BackendError:
    """By its kind: a driver's words may hold the address."""
    return BackendError(
        reason(ProductCause.REGISTRY_UNAVAILABLE, f"{message}: {type(error).__name__}")
    )
