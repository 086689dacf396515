"""The mart is read from one base table, whatever else takes its name."""

from pathlib import Path

import duckdb
import pytest

from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.mart import DATABASE, MART, not_built, read_mart


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
