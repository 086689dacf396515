"""The mart: how dbt builds it, and the very table that dbt's tests looked at, read.

A name says nothing about what stands behind it. A view (or a macro) of the mart's name can show
one thing to the tests and another to whoever reads it later, hence only a base table is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fraud_provenance.fraud import engines
from fraud_provenance.fraud.blocks import in_blocks
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import duckdb
    import polars as pl

MART: Final = "fct_transaction_features"
DATABASE: Final = "scratch.duckdb"
TABLE: Final = f"warehouse/features.db/{MART}"
"""Spark's managed table: a folder of Parquet files."""
# Partial parsing would build from a cache below `target/` that git ignores, not from the sources.
DBT_BUILD: Final = ("build", "--no-version-check", "--no-partial-parse")
BLOCK_ROWS: Final = 1_000_000
_SCHEMA: Final = "main"
_NAMED: Final = 5


_BY_DEFAULT: Final = Engine()


def read_mart(
    folder: Path, engine: Engine = _BY_DEFAULT, block_rows: int = BLOCK_ROWS
) -> "Iterator[pl.DataFrame]":
    """Read the mart that dbt built, some whole days at a time: memory does not grow with days.

    Args:
        folder: dbt's output folder, with `DATABASE` or `TABLE` in it.
        engine: What dbt built it with; DuckDB reads what either left.
        block_rows: So many rows at once, or one day where that has more.

    Yields:
        Rows x the columns of the mart, in the order of their days.

    Raises:
        DataError: OBJECT_TYPE_CHANGED, the name stands for anything else than one base table.
    """
    opened = _database if engine.name == engines.DUCKDB else _table_of_spark
    with opened(folder, engine) as (connection, mart):
        counted = connection.execute(
            "select cast(tx_datetime as date) as day, count(*)"  # noqa: S608 - names of ours
            f" from {mart} where tx_datetime is not null group by day order by day"
        ).fetchall()
        for days in in_blocks(counted, block_rows):
            wanted = {"first": days[0], "after": days[-1] + timedelta(days=1)}
            block: pl.DataFrame = connection.sql(
                f"from {mart} where tx_datetime >= $first and tx_datetime < $after", params=wanted
            ).pl()
            yield block


@contextmanager
def _database(folder: Path, engine: Engine) -> "Iterator[tuple[duckdb.DuckDBPyConnection, str]]":
    import duckdb  # slow import, only where dbt has run

    limit = {"memory_limit": f"{engine.memory_gib}GiB"}
    with duckdb.connect(str(folder / DATABASE), read_only=True, config=limit) as connection:
        _check_base_table(connection)
        yield connection, f"{_SCHEMA}.{MART}"


@contextmanager
def _table_of_spark(
    folder: Path, engine: Engine
) -> "Iterator[tuple[duckdb.DuckDBPyConnection, str]]":
    import duckdb

    files = _part_files(folder / TABLE)
    limits = {"memory_limit": f"{engine.memory_gib}GiB", "temp_directory": str(folder / "spill")}
    with duckdb.connect(config=limits) as connection:
        connection.read_parquet(files).create_view(MART)
        yield connection, MART


def _part_files(table: Path) -> list[str]:
    """The files of Spark's table; it is a table if that folder of its own is there, and whole."""
    inside = sorted(table.iterdir()) if table.is_dir() and not table.is_symlink() else []
    files = [path for path in inside if path.name.startswith("part-")]
    odd = [path.name for path in inside if path.is_symlink() or not path.is_file()]
    if not files or odd or table / "_SUCCESS" not in inside:
        raise _not_a_table(f"{', '.join(odd) or 'no such folder of files'} in {TABLE}")
    return [str(path) for path in files]


def _check_base_table(connection: "duckdb.DuckDBPyConnection") -> None:
    found = connection.execute(
        "select table_schema, table_type from information_schema.tables"
        " where lower(table_name) = $name"
        " union all select schema_name, function_type from duckdb_functions()"
        " where lower(function_name) = $name",
        {"name": MART},
    ).fetchall()
    if found != [(_SCHEMA, "BASE TABLE")]:
        told = ", ".join(sorted(f"{schema}: {kind}" for schema, kind in found)) or "nothing"
        raise _not_a_table(f"{told} in {_SCHEMA} of {DATABASE}")


def _not_a_table(found: str) -> DataError:
    return DataError(
        "OBJECT_TYPE_CHANGED",
        f"expected {MART} to be one base table, found {found}",
        remedy="find out what in the dbt project replaced the table and take it out, then "
        "`fraud-provenance run` makes the features again",
    )


def not_built(results: Sequence[Mapping[str, Any]]) -> DataError:
    """What dbt could not build, or which of its tests did not hold.

    Named, and no more: what an engine says may quote rows.

    Args:
        results: The `results` of dbt's `run_results.json`; empty where dbt did not come so far.

    Returns:
        DataError: TRANSFORM_FAILED.
    """
    failed = []
    for item in results:
        kind, _project, *names = str(item["unique_id"]).split(".")
        if item["status"] not in ("success", "pass", "skipped", "warn"):
            failed.append(f"{names[kind == 'unit_test']}: {item['status']}")
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    told = ", ".join(failed[:_NAMED]) or "it ended before its first model"
    return DataError(
        "TRANSFORM_FAILED",
        f"dbt: {told}{more}",
        remedy="mend the model or the test that is named, or the days that it reads, then "
        "`fraud-provenance run`; run/run.log of the home has dbt's own words",
    )
