"""What every command pays: nothing slow is loaded where nothing of it is used."""

import subprocess
import sys

import pytest

SLOW = {
    "altair", "boto3", "botocore", "dagster", "dagster_dbt", "dbt", "duckdb", "feast",
    "great_expectations", "lark", "mlflow", "numpy", "pandas", "pandera", "polars", "pyarrow",
    "scipy", "sklearn", "sqlglot", "xgboost",
}  # fmt: skip
A_SCHEMA = "from fraud_provenance.attested.core import json_schemas as it; it.first_problem({}, 1)"


@pytest.mark.parametrize("code", ["import fraud_provenance.cli.application", A_SCHEMA])
def test_nothing_slow_is_loaded(code: str) -> None:
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "fraud_provenance" in loaded
    assert not loaded & SLOW
