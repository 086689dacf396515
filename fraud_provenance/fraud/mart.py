"""The mart: how dbt builds it, and the very table that dbt's tests looked at, read.

A name says nothing about what stands behind it. A view (or a macro) of the mart's name can show
one thing to the tests and another to whoever reads it later, hence only a base table is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fraud_provenance.fraud.blocks import in_blocks
from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import duckdb
    import polars as pl

MART: Final = "fct_transaction_features"
DATABASE: Final = "scratch.duckdb"
# Partial parsing would build from a cache below `target/` that git ignores, not from the sources.
DBT_BUILD: Final = ("build", "--no-version-check", "--no-partial-parse")
BLOCK_ROWS: Final = 1_000_000
_SCHEMA: Final = "main"
_NAMED: Final = 5


def read_mart(folder: Path, block_rows: int = BLOCK_ROWS) -> "Iterator[pl.DataFrame]":
    """Read the mart that dbt built, some whole days at a time: memory does not grow with days.

    Args:
        folder: dbt's output folder, with `DATABASE` in it.
        block_rows: So many rows at once, or one day where that has more.

    Yields:
        Rows x the columns of the mart, in the order of their days.

    Raises:
        DataError: OBJECT_TYPE_CHANGED, the name stands for anything else than one base table.
    """
    import duckdb  # slow import, only where dbt has run

    with duckdb.connect(str(folder / DATABASE), read_only=True) as connection:
        _check_base_table(connection)
        counted = connection.execute(
            "select cast(tx_datetime as date) as day, count(*)"  # noqa: S608 - constants of ours
            f" from {_SCHEMA}.{MART} where tx_datetime is not null group by day order by day"
        ).fetchall()
        for days in in_blocks(counted, block_rows):
            wanted = {"first": days[0], "last": days[-1]}
            block: pl.DataFrame = connection.sql(
                f"from {_SCHEMA}.{MART} where cast(tx_datetime as date) between $first and $last",
                params=wanted,
            ).pl()
            yield block


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
