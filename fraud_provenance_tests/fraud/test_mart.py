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


TABLE = f"create table {MART} as select 1 as transaction_id"


def test_a_base_table_is_read(tmp_path: Path) -> None:
    frame = read_mart(made(tmp_path, TABLE, "create view other as select 2 as transaction_id"))
    assert frame["transaction_id"].to_list() == [1]


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
        read_mart(made(tmp_path, *statements))


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
