"""The engine of a home: what dbt is told, what evidence says, and what is missing by its name."""

import socket
from importlib import metadata
from pathlib import Path

import pytest

from fraud_provenance.fraud import engines
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.fraud.errors import DataError

PYSPARK = "4.3.0"


@pytest.fixture
def spark_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySpark and Java, as far as anybody looks for them before dbt does."""
    monkeypatch.setattr(engines.metadata, "version", lambda _name: PYSPARK)
    monkeypatch.setattr(engines.shutil, "which", lambda _name: "/usr/bin/java")


def test_duckdb_is_what_no_parameter_names() -> None:
    engine = Engine(memory_gib=3)
    assert engine.parameters() == {}
    assert engine.said() == {"name": "duckdb", "version": metadata.version("duckdb")}
    assert engine.environment() == {"FRAUD_PROVENANCE_DBT_MEMORY_GIB": "3"}


@pytest.mark.usefixtures("spark_is_there")
def test_spark_is_a_parameter_that_the_layout_judges() -> None:
    engine = Engine("spark", master="local[2]")
    assert engine.parameters() == {"engine": "spark"}
    assert engine.said() == {"name": "spark", "version": PYSPARK, "master": "local[2]"}
    assert engine.environment() == {
        "FRAUD_PROVENANCE_DBT_MEMORY_GIB": "2",
        "FRAUD_PROVENANCE_DBT_MASTER": "local[2]",
        "FRAUD_PROVENANCE_DBT_HOST": "127.0.0.1",
    }


@pytest.mark.usefixtures("spark_is_there")
def test_cluster_is_told_the_address_by_which_it_sees_this_machine() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        engine = Engine("spark", master=f"spark://127.0.0.2:{server.getsockname()[1]}")
        found = engine.environment()
        peer = server.accept()[1][0]
    assert found["FRAUD_PROVENANCE_DBT_HOST"] == peer
    with pytest.raises(DataError, match=r"TOOL_UNAVAILABLE.*does not answer.*settings\.toml"):
        engine.environment()


def test_engine_that_is_not_installed_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    with monkeypatch.context() as none:
        none.setattr(engines.metadata, "version", missing)
        with pytest.raises(DataError, match=r"TOOL_UNAVAILABLE.*not installed.*make spark"):
            Engine("spark").environment()
    monkeypatch.setattr(engines.metadata, "version", lambda _name: PYSPARK)
    monkeypatch.setattr(engines.shutil, "which", lambda _name: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"TOOL_UNAVAILABLE.*no Java"):
        Engine("spark").environment()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    assert Engine("spark").environment()["FRAUD_PROVENANCE_DBT_MASTER"] == "local[*]"
