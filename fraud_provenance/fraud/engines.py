"""The engines that dbt makes the features by: one of them is chosen, here, for one home.

Both are asked by the same SQL and give the same bits. Each is a target of that name in
`dbt_project/profiles.yml`, which reads the variables that are named here.
"""

import os
import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from fraud_provenance.fraud.errors import DataError

Name = Literal["duckdb", "spark"]
DUCKDB: Final[Name] = "duckdb"
SPARK: Final[Name] = "spark"
LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    DUCKDB: ("dbt-duckdb", "duckdb"),
    SPARK: ("dbt-spark", "pyspark", "duckdb"),  # DuckDB reads what Spark wrote
}
"""Engine → the distributions that compute its values."""
LOCAL_MASTER: Final = "local[*]"
_LOOPBACK: Final = "127.0.0.1"
_LOCAL: Final = re.compile(r"local(\[(\d{1,3}|\*)\])?")
_CLUSTER: Final = re.compile(r"spark://(?P<host>[A-Za-z0-9.-]+):(?P<port>\d{1,5})")
_ASKED_S: Final = 10


def is_master(text: str) -> bool:
    """Whether this is a master of Spark that can be used: this machine, or one of Spark's own."""
    return bool(_LOCAL.fullmatch(text) or _CLUSTER.fullmatch(text))


@dataclass(frozen=True)
class Engine:
    """What makes the features of a home, and how much of a machine it may take.

    Attributes:
        name: The engine, and its dbt target.
        memory_gib: DuckDB's memory; with Spark that of the driver, and of each executor.
        master: Spark's: `local[*]`, `local[N]` or `spark://HOST:PORT`.
    """

    name: Name = DUCKDB
    memory_gib: int = 2
    master: str = LOCAL_MASTER

    def parameters(self) -> dict[str, str]:
        """What the step signs of the choice; the layout says which are allowed beside DuckDB."""
        return {} if self.name == DUCKDB else {"engine": self.name}

    def said(self) -> dict[str, str]:
        """Which engine, in which version, and where, as evidence says it."""
        if self.name == DUCKDB:
            return {"name": self.name, "version": metadata.version("duckdb")}
        return {
            "name": self.name, "version": metadata.version("pyspark"), "master": self.master,
        }  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The variables that dbt's profile reads.

        Raises:
            DataError: TOOL_UNAVAILABLE, Spark, Java or the cluster's master is not there.
        """
        told = {"FRAUD_PROVENANCE_DBT_MEMORY_GIB": str(self.memory_gib)}
        if self.name == SPARK:
            self._require_spark()
            told["FRAUD_PROVENANCE_DBT_MASTER"] = self.master
            told["FRAUD_PROVENANCE_DBT_HOST"] = self._own_address()
        return told

    def _require_spark(self) -> None:
        try:
            metadata.version("pyspark")
        except metadata.PackageNotFoundError:
            raise _unavailable("Spark is not installed", "`make spark`") from None
        java = Path(os.environ.get("JAVA_HOME") or "/usr") / "bin" / "java"
        if not (shutil.which("java") or java.is_file()):
            raise _unavailable("Spark finds no Java", "install Java 17 or newer")

    def _own_address(self) -> str:
        """This machine as the cluster sees it: executors come back to it."""
        there = _CLUSTER.fullmatch(self.master)
        if there is None:
            return _LOOPBACK
        try:
            with socket.create_connection((there["host"], int(there["port"])), _ASKED_S) as asked:
                return str(asked.getsockname()[0])
        except (OSError, OverflowError) as error:
            raise _unavailable(
                f"{self.master} does not answer: {error}", "start the master, or name another one"
            ) from error


def or_duckdb(remedy: str) -> str:
    """What to do where Spark cannot work: make it work, or do without.

    >>> or_duckdb("`make spark`").partition(", or ")[0]
    '`make spark`'
    """
    return (
        f'{remedy}, or choose `engine = "duckdb"` under [features] in settings.toml; then '
        "`fraud-provenance run`"
    )


def _unavailable(what: str, remedy: str) -> DataError:
    return DataError(
        "TOOL_UNAVAILABLE",
        what,
        remedy=or_duckdb(remedy),
    )
