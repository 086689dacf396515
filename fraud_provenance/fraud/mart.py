"""The mart: how dbt builds it, and the very table that dbt's tests looked at, read.

A name says nothing about what stands behind it. A view (or a macro) of the mart's name can show
one thing to the tests and another to whoever reads it later, hence only a base table is read.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import duckdb
    import polars as pl

MART: Final = "fct_transaction_features"
DATABASE: Final = "scratch.duckdb"
# Partial parsing would build from a cache below `target/` that git ignores, not from the sources.
DBT_BUILD: Final = ("build", "--no-version-check", "--no-partial-parse")
_SCHEMA: Final = "main"


def read_mart(folder: Path) -> "pl.DataFrame":
    """Read the mart that dbt built.

    Args:
        folder: dbt's output folder, with `DATABASE` in it.

    Returns:
        Rows x the columns of the mart.

    Raises:
        DataError: OBJECT_TYPE_CHANGED, the name stands for anything else than one base table.
    """
    import duckdb  # slow import, only where dbt has run

    with duckdb.connect(str(folder / DATABASE), read_only=True) as connection:
        _check_base_table(connection)
        mart: pl.DataFrame = connection.table(f"{_SCHEMA}.{MART}").pl()
        return mart


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
        raise DataError(
            "OBJECT_TYPE_CHANGED",
            f"expected {MART} to be one base table in {_SCHEMA}, found {told}",
            file=DATABASE,
            remedy="find out what in the dbt project replaced the table; make the features again",
        )
