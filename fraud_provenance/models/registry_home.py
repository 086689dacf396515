"""The registry in a home's own SQLite database, read without MLflow.

Importing MLflow costs seconds that `verify` and `trace` do not have.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.registry import MODEL_NAME, Found, RegisteredVersion, wrong

_SQLITE = "sqlite:///"


class HomeStore:
    """MLflow's tables below `mlflow/` of a home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "mlflow" / "mlflow.db"
        self.uri = f"{_SQLITE}{self._path}"

    def is_there(self) -> bool:
        """See `RegistryStore`."""
        return self._path.exists()

    def sign_in(self) -> None:
        """See `RegistryStore`; files ask nobody in."""

    def named(self, alias: str) -> str | None:
        """See `RegistryStore`."""
        if not self.is_there():
            return None
        rows = self._rows(
            "select version from registered_model_aliases where name = ? and alias = ?",
            (MODEL_NAME, alias),
        )
        return str(rows[0][0]) if rows else None

    def version(self, number: str) -> Found | None:
        """See `RegistryStore`."""
        if not self.is_there():
            return None
        rows = self._rows(
            "select version, source, storage_location from model_versions "
            "where name = ? and version = ?",
            (MODEL_NAME, number),
        )
        return Found(str(rows[0][0]), str(rows[0][1]), str(rows[0][2] or "")) if rows else None

    def numbers(self, source: str) -> list[int]:
        """See `RegistryStore`."""
        if not self.is_there():
            return []
        rows = self._rows(
            "select version from model_versions where name = ? and source = ?",
            (MODEL_NAME, source),
        )
        return [int(row[0]) for row in rows]

    def metrics(self, run_id: str, model_id: str) -> list[tuple[str, float]]:
        """See `RegistryStore`."""
        return self._rows(
            "select key, value from metrics where run_uuid = :run union "
            "select key, value from latest_metrics where run_uuid = :run union "
            "select metric_name, metric_value from logged_model_metrics "
            "where model_id = :model",
            {"run": run_id, "model": model_id},
        )

    def copies(self, run_id: str, version: str) -> list[tuple[str, str]]:
        """See `RegistryStore`."""
        return self._rows(
            "select key, value from tags where run_uuid = :run union "
            "select key, value from params where run_uuid = :run union "
            "select key, value from model_version_tags "
            "where name = :name and version = :version",
            {"run": run_id, "name": MODEL_NAME, "version": version},
        )

    def check_location(
        self,
        version: RegisteredVersion,
        location: str,
        attested: Mapping[str, str],
    ) -> None:
        """See `RegistryStore`: it must be the attested folder itself."""
        claimed = urlparse(version.location)
        path = Path(unquote(claimed.path))
        plain = not (claimed.netloc or claimed.params or claimed.query or claimed.fragment)
        if claimed.scheme != "file" or not plain or ".." in path.parts:
            raise wrong(
                ProductCause.SOURCE_SCHEME, version.version, f"lies at {version.location[:80]!r}"
            )
        if path != self._home / location:
            raise wrong(
                RootCause.SOURCE_MISMATCH, version.version, "is stored elsewhere than attested"
            )

    def _rows(self, query: str, values: Sequence[str] | Mapping[str, str]) -> list[Any]:
        """What a query finds in the store, which is opened for reading only."""
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
