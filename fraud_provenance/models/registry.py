"""MLflow's model registry: aliases are hints for people; decisions are what counts.

Reading an alias goes straight to a SQLite store when there is one, because importing MLflow costs
seconds that `verify` and `trace` do not have. Whatever is read is compared with signed evidence.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason

MODEL_NAME = "fraud_model"
CANDIDATE, CHAMPION = "candidate", "champion"
_SQLITE = "sqlite:///"
_SOURCE = re.compile(r"models:/(m-[0-9a-f]+)\Z")


@dataclass(frozen=True)
class RegisteredVersion:
    """A registry version: its number, its logged model, and where its files are said to be."""

    version: str
    model_id: str
    location: str


class Registry:
    """One registered model in one MLflow store."""

    def __init__(self, uri: str, home: Path) -> None:
        self.uri = uri
        self._home = home
        self._may_move: Callable[[], None] | None = None

    def _client(self) -> Any:  # noqa: ANN401 - MLflow is imported late
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def alias(self, alias: str) -> RegisteredVersion | None:
        """The version an alias names, or None.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE. VerificationError: SOURCE_SCHEME.
        """
        return self._find(alias=alias)

    def version(self, version: str) -> RegisteredVersion | None:
        """A version by its number, or None; raises as `alias`."""
        return self._find(version=version)

    def of_model(self, model_id: str) -> RegisteredVersion | None:
        """The newest version of a logged model, or None; raises as `alias`."""
        source = f"models:/{model_id}"
        try:
            find = self._numbers_in_sqlite if self.uri.startswith(_SQLITE) else self._numbers
            numbers = find(source)
        except Exception as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot read the registry: {error}")
            ) from error
        return self.version(str(max(numbers))) if numbers else None

    def _numbers(self, source: str) -> list[int]:
        known = self._client().search_model_versions(f"name = '{MODEL_NAME}'")
        return [int(item.version) for item in known if item.source == source]

    def _numbers_in_sqlite(self, source: str) -> list[int]:
        if not self.is_there():
            return []
        rows = self._rows(
            "select version from model_versions where name = ? and source = ?",
            (MODEL_NAME, source),
        )
        return [int(row[0]) for row in rows]

    def _find(self, *, alias: str = "", version: str = "") -> RegisteredVersion | None:
        try:
            find = self._in_sqlite if self.uri.startswith(_SQLITE) else self._with_client
            found = find(alias, version)
        except Exception as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot read the registry: {error}")
            ) from error
        if found is None:
            return None
        number, source, location = found
        return RegisteredVersion(number, self._check_source(number, source), location)

    @staticmethod
    def _check_source(number: str, source: str) -> str:
        """The id of the logged model that a source names; a path or an address names none."""
        logged = _SOURCE.match(source)
        if logged is None:
            raise _wrong(RootCause.SOURCE_SCHEME, number, f"has the source {source[:80]!r}")
        return logged[1]

    def is_there(self) -> bool:
        """Whether the registry's store exists; one behind a network says so itself."""
        return not self.uri.startswith(_SQLITE) or Path(self.uri.removeprefix(_SQLITE)).exists()

    def metrics(self, run_id: str, model_id: str) -> list[tuple[str, float]]:
        """Every metric that MLflow holds of a run or its model: copies, to be compared.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        try:
            if not self.uri.startswith(_SQLITE):
                return list(self._client().get_run(run_id).data.metrics.items())
            return self._rows(
                "select key, value from metrics where run_uuid = :run union "
                "select key, value from latest_metrics where run_uuid = :run union "
                "select metric_name, metric_value from logged_model_metrics "
                "where model_id = :model",
                {"run": run_id, "model": model_id},
            )
        except Exception as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot read the metrics: {error}")
            ) from error

    def copies(self, run_id: str, version: str) -> list[tuple[str, str]]:
        """Every tag and parameter that MLflow holds of a run or a version: copies, to be compared.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        try:
            if not self.uri.startswith(_SQLITE):
                client = self._client()
                run, registered = (
                    client.get_run(run_id),
                    client.get_model_version(MODEL_NAME, version),
                )
                return [*run.data.tags.items(), *run.data.params.items(), *registered.tags.items()]
            return self._rows(
                "select key, value from tags where run_uuid = :run union "
                "select key, value from params where run_uuid = :run union "
                "select key, value from model_version_tags "
                "where name = :name and version = :version",
                {"run": run_id, "name": MODEL_NAME, "version": version},
            )
        except Exception as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot read the tags: {error}")
            ) from error

    def _in_sqlite(self, alias: str, version: str) -> tuple[str, str, str] | None:
        if not self.is_there():
            return None
        if alias:
            named = self._rows(
                "select version from registered_model_aliases where name = ? and alias = ?",
                (MODEL_NAME, alias),
            )
            if not named:
                return None
            version = str(named[0][0])
        rows = self._rows(
            "select version, source, storage_location from model_versions "
            "where name = ? and version = ?",
            (MODEL_NAME, version),
        )
        return (str(rows[0][0]), str(rows[0][1]), str(rows[0][2] or "")) if rows else None

    def _rows(self, query: str, values: Sequence[str] | Mapping[str, str]) -> list[Any]:
        """What a query finds in the SQLite store, which is opened for reading only."""
        path = self.uri.removeprefix(_SQLITE)
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def _with_client(self, alias: str, version: str) -> tuple[str, str, str] | None:
        from mlflow.exceptions import MlflowException

        client = self._client()
        try:
            found = (
                client.get_model_version_by_alias(MODEL_NAME, alias)
                if alias
                else client.get_model_version(MODEL_NAME, version)
            )
        except MlflowException as error:
            if "not found" in str(error).lower():
                return None
            raise
        location = client.get_model_version_download_uri(MODEL_NAME, found.version)
        return str(found.version), str(found.source), str(location)

    def check_location(self, version: RegisteredVersion, location: str) -> None:
        """The registry must point at the folder that the signed evidence names.

        Raises:
            VerificationError: SOURCE_SCHEME or SOURCE_MISMATCH.
        """
        claimed = urlparse(version.location)
        path = Path(unquote(claimed.path))
        plain = not (claimed.netloc or claimed.params or claimed.query or claimed.fragment)
        if claimed.scheme != "file" or not plain or ".." in path.parts:
            raise _wrong(
                RootCause.SOURCE_SCHEME, version.version, f"lies at {version.location[:80]!r}"
            )
        if path != self._home / location:
            raise _wrong(
                RootCause.SOURCE_MISMATCH, version.version, "is stored elsewhere than attested"
            )

    def register(self, model_id: str, run_id: str, tags: dict[str, str]) -> str:
        """Create a version for a logged model (once); returns its number.

        Raises:
            VerificationError: SOURCE_SCHEME where any version came from elsewhere.
            BackendError: REGISTRY_UNAVAILABLE.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(self.uri)  # the client looks a logged model up in the process's own
        try:
            client = self._client()
            if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
                client.create_registered_model(MODEL_NAME)
            source = f"models:/{model_id}"
            registered = client.search_model_versions(f"name = '{MODEL_NAME}'")
            for known in registered:
                self._check_source(str(known.version), str(known.source))
            for known in registered:
                if known.source == source:
                    return str(known.version)
            made = client.create_model_version(MODEL_NAME, source=source, run_id=run_id, tags=tags)
        except MlflowException as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot register: {error}")
            ) from error
        return str(made.version)

    def note(self, version: str, tags: Mapping[str, str]) -> None:
        """Write copies of what was signed beside a version, for people to read.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        from mlflow.exceptions import MlflowException

        try:
            client = self._client()
            for name, value in tags.items():
                client.set_model_version_tag(MODEL_NAME, version, name, value)
        except MlflowException as error:
            raise BackendError(
                reason(RootCause.REGISTRY_UNAVAILABLE, f"cannot write the tags: {error}")
            ) from error

    @contextmanager
    def asking(self, may_move: Callable[[], None]) -> Iterator[None]:
        """Each move within asks `may_move` last, when nobody else can move; it raises its no."""
        self._may_move = may_move
        try:
            yield
        finally:
            self._may_move = None

    def move(self, alias: str, expected: str, version: str) -> None:
        """Point `alias` at `version` if it still names `expected` (empty: no version).

        Raises:
            VerificationError: CAS_CONFLICT. Whatever `asking` was given raises.
        """
        with files.exclusive_lock(self._home / "run" / "registry.lock"):
            found = self.alias(alias)
            current = found.version if found else ""
            if current != expected:
                raise VerificationError(
                    reason(
                        RootCause.CAS_CONFLICT,
                        f"{alias} names version {current or 'none'}, expected {expected or 'none'}",
                        artifact=MODEL_NAME,
                    )
                )
            client = self._client()
            if self._may_move is not None:
                self._may_move()
            client.set_registered_model_alias(MODEL_NAME, alias, version)


def _wrong(code: str, version: str, what: str) -> VerificationError:
    return VerificationError(
        reason(code, f"version {version} {what}", artifact=f"{MODEL_NAME}:{version}")
    )
