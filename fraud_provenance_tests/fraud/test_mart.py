"""The mart is read from one base table, whatever else takes its name."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from fraud_provenance.fraud import mart
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.mart import DATABASE, MART, not_built, read_mart

SPARK = Engine("spark")


def made(folder: Path, *statements: str) -> Path:
    with duckdb.connect(str(folder / DATABASE)) as connection:
        for statement in statements:
            connection.execute(statement)
    return folder


TABLE = (
    f"create table {MART} as select n as transaction_id,"  # noqa: S608 - constants
    " timestamp '2018-04-01 23:59:59' + to_hours(cast(12 * n as integer)) as tx_datetime"
    " from (values (5), (0), (2), (1)) as t(n)"
)


def test_a_base_table_is_read_in_blocks_of_whole_days(tmp_path: Path) -> None:
    folder = made(tmp_path, TABLE, "create view other as select 2 as transaction_id")
    for rows, blocks in [(1, [[0], [1, 2], [5]]), (3, [[0, 1, 2], [5]]), (4, [[0, 1, 2, 5]])]:
        found = [sorted(block["transaction_id"]) for block in read_mart(folder, block_rows=rows)]
        assert found == blocks


def test_a_table_without_rows_has_no_block(tmp_path: Path) -> None:
    assert list(read_mart(made(tmp_path, f"{TABLE} where false"))) == []


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        pytest.param([f"create view {MART} as select 1"], "main: VIEW", id="a-view"),
        pytest.param(
            [f"create view {MART.upper()} as select 1"], "main: VIEW", id="a-view-in-capitals"
        ),
        pytest.param([f"create macro {MART}() as table select 1"], "table_macro", id="a-macro"),
        pytest.param([TABLE, f"create macro {MART}() as 1"], "main: macro", id="a-macro-beside"),
        pytest.param(
            [TABLE, "create schema s", f"create view s.{MART} as select 1"], "s: VIEW", id="beside"
        ),
        pytest.param(["create table other (a int)"], "nothing", id="nothing"),
    ],
)
def test_anything_else_under_its_name_is_refused(
    tmp_path: Path, statements: list[str], found: str
) -> None:
    with pytest.raises(DataError, match=f"OBJECT_TYPE_CHANGED.*{found}"):
        list(read_mart(made(tmp_path, *statements)))


def written(folder: Path, *wanted: str) -> Path:
    """Spark's managed table, as it leaves it: a part for each condition."""
    table = folder / mart.TABLE
    table.mkdir(parents=True)
    for number, condition in enumerate(wanted):
        with duckdb.connect(str(made(folder, TABLE) / DATABASE)) as connection:
            rows = connection.sql(f"from {MART} where {condition}")
            rows.write_parquet(str(table / f"part-0000{number}.parquet"))
        (folder / DATABASE).unlink()
    (table / "_SUCCESS").touch()
    (table / "._SUCCESS.crc").touch()
    return folder


def test_files_of_spark_are_read_in_blocks_of_whole_days(tmp_path: Path) -> None:
    folder = written(tmp_path, "transaction_id > 1", "transaction_id < 2")
    for rows, blocks in [(1, [[0], [1, 2], [5]]), (4, [[0, 1, 2, 5]])]:
        found = [sorted(block["transaction_id"]) for block in read_mart(folder, SPARK, rows)]
        assert found == blocks


def test_files_of_spark_without_rows_have_no_block(tmp_path: Path) -> None:
    assert list(read_mart(written(tmp_path, "false"), SPARK)) == []


def no_files(table: Path) -> None:
    for path in table.glob("part-*"):
        path.unlink()


def not_ended(table: Path) -> None:
    (table / "_SUCCESS").unlink()


def another_folder(table: Path) -> None:
    table.rename(table.with_name("elsewhere"))
    table.symlink_to(table.with_name("elsewhere"))


def a_linked_file(table: Path) -> None:
    (table / "part-00009.parquet").symlink_to(table / "part-00000.parquet")


def a_view(table: Path) -> None:
    table.rename(table.with_name("something_else"))


@pytest.mark.parametrize("lie", [no_files, not_ended, another_folder, a_linked_file, a_view])
def test_anything_but_a_table_of_spark_is_refused(
    tmp_path: Path, lie: Callable[[Path], None]
) -> None:
    folder = written(tmp_path, "true")
    lie(folder / mart.TABLE)
    with pytest.raises(DataError, match="OBJECT_TYPE_CHANGED"):
        list(read_mart(folder, SPARK))


def test_what_dbt_could_not_build_is_named_without_its_words() -> None:
    results = [
        {"unique_id": "model.p.stg", "status": "success", "message": "OK"},
        {"unique_id": "unit_test.p.int.windows", "status": "fail", "message": "| 17 | 3.50 |"},
        *[
            {"unique_id": f"test.p.t{n}.1", "status": "error", "message": "card 7"}
            for n in range(6)
        ],
        {"unique_id": "model.p.mart", "status": "skipped", "message": None},
    ]

    said = str(not_built(results))

    assert said.startswith("TRANSFORM_FAILED: dbt: windows: fail, t0: error")
    assert "and 2 more" in said
    for hidden in ("17", "card 7", "mart:"):
        assert hidden not in said


def test_dbt_that_did_not_come_to_its_models_says_so() -> None:
    assert "ended before" in str(not_built([]))
