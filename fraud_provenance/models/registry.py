"""MLflow's model registry: aliases are hints for people; decisions are what counts.

Where a registry lies is one port, `RegistryStore`: the home's SQLite database, or an MLflow server.
Here is what holds for both. Whatever is read is compared with signed evidence.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.errors import (
    BackendError,
    ProvenanceError,
    VerificationError,
    reason,
    storage_error,
)
from fraud_provenance.causes.product import ProductCause

MODEL_NAME = "fraud_model"
CANDIDATE, CHAMPION = "candidate", "champion"
_SOURCE = re.compile(r"models:/(m-[0-9a-f]+)\Z")
_CREATION_S: Final = 30


@dataclass(frozen=True)
class RegisteredVersion:
    """A registry version: its number, its logged model, and where its files are said to be."""

    version: str
    model_id: str
    location: str


@dataclass(frozen=True)
class Found:
    """A version as a store tells it: number, source and where its files are said to be."""

    version: str
    source: str
    location: str


class RegistryStore(Protocol):
    """What is read of one MLflow store. Any error it raises means that it cannot be asked."""

    @property
    def uri(self) -> str:
        """The store's address for MLflow's own client, which alone writes."""
        ...

    def is_there(self) -> bool:
        """Whether the store exists; one behind a network says so when it is asked."""
        ...

    def sign_in(self) -> None:
        """Give MLflow's own client, in this process, what it needs to be let in."""
        ...

    def named(self, alias: str) -> str | None:
        """The number of the version that an alias names, or None."""
        ...

    def version(self, number: str) -> Found | None:
        """A version by its number, or None."""
        ...

    def numbers(self, source: str) -> list[int]:
        """The numbers of all versions that have a source."""
        ...

    def metrics(self, run_id: str, model_id: str) -> list[tuple[str, float]]:
        """Every metric of a run or its model."""
        ...

    def copies(self, run_id: str, version: str) -> list[tuple[str, str]]:
        """Every tag and parameter of a run or a version."""
        ...

    def check_location(
        self, version: RegisteredVersion, location: str, attested: Mapping[str, str]
    ) -> None:
        """As `Registry.check_location`."""
        ...


class Registry:
    """One registered model in one MLflow store."""

    def __init__(self, store: RegistryStore, home: Path) -> None:
        self._store = store
        self._home = home
        self._may_move: Callable[[], None] | None = None

    @property
    def uri(self) -> str:
        """The store's address for MLflow's own client."""
        return self._store.uri

    def _client(self) -> Any:  # noqa: ANN401 - MLflow is imported late
        from mlflow import MlflowClient

        self._store.sign_in()
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def alias(self, alias: str) -> RegisteredVersion | None:
        """The version an alias names, or None.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE. VerificationError: SOURCE_SCHEME.
        """
        with _asking("cannot read the registry"):
            number = self._store.named(alias)
        return self.version(number) if number is not None else None

    def version(self, version: str) -> RegisteredVersion | None:
        """A version by its number, or None; raises as `alias`."""
        with _asking("cannot read the registry"):
            found = self._store.version(version)
        if found is None:
            return None
        model_id = self._check_source(found.version, found.source)
        return RegisteredVersion(found.version, model_id, found.location)

    def of_model(self, model_id: str) -> RegisteredVersion | None:
        """The newest version of a logged model, or None; raises as `alias`."""
        with _asking("cannot read the registry"):
            numbers = self._store.numbers(f"models:/{model_id}")
        return self.version(str(max(numbers))) if numbers else None

    @staticmethod
    def _check_source(number: str, source: str) -> str:
        """The id of the logged model that a source names; a path or an address names none."""
        logged = _SOURCE.match(source)
        if logged is None:
            raise wrong(ProductCause.SOURCE_SCHEME, number, f"has the source {source[:80]!r}")
        return logged[1]

    def is_there(self) -> bool:
        """Whether the registry's store exists; one behind a network says so itself."""
        return self._store.is_there()

    def metrics(self, run_id: str, model_id: str) -> list[tuple[str, float]]:
        """Every metric that MLflow holds of a run or its model: copies, to be compared.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        with _asking("cannot read the metrics"):
            return self._store.metrics(run_id, model_id)

    def copies(self, run_id: str, version: str) -> list[tuple[str, str]]:
        """Every tag and parameter that MLflow holds of a run or a version: copies, to be compared.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        with _asking("cannot read the tags"):
            return self._store.copies(run_id, version)

    def check_location(
        self, version: RegisteredVersion, location: str, attested: Mapping[str, str]
    ) -> None:
        """The registry must lead to the files that the signed evidence names.

        `location`: the attested folder, `attested`: the SHA-256 of each file in it.

        Raises:
            VerificationError: SOURCE_SCHEME or SOURCE_MISMATCH.
            BackendError: REGISTRY_UNAVAILABLE.
        """
        with _asking("cannot read the model's files"):
            self._store.check_location(version, location, attested)

    def register(self, model_id: str, run_id: str, tags: dict[str, str]) -> str:
        """Create a version for a logged model (once); returns its number.

        Raises:
            VerificationError: SOURCE_SCHEME where any version came from elsewhere.
            BackendError: REGISTRY_UNAVAILABLE.
        """
        import mlflow

        mlflow.set_tracking_uri(self.uri)  # the client looks a logged model up in the process's own
        with writing_to_mlflow("cannot register"):
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
            made = client.create_model_version(
                MODEL_NAME, source=source, run_id=run_id, tags=tags, model_id=model_id,
                await_creation_for=_CREATION_S,
            )  # fmt: skip
        number = str(made.version)
        with _asking("cannot read the registry"):
            kept = self._store.version(number)
        if kept is None or kept.source != source:
            raise _unavailable(f"version {number} was registered, and is not kept as such")
        return number

    def note(self, version: str, tags: Mapping[str, str]) -> None:
        """Write copies of what was signed beside a version, for people to read.

        Raises:
            BackendError: REGISTRY_UNAVAILABLE.
        """
        with writing_to_mlflow("cannot write the tags"):
            client = self._client()
            for name, value in tags.items():
                client.set_model_version_tag(MODEL_NAME, version, name, value)

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

        What was written is read back: whoever else may write there is not bound by our lock.

        Raises:
            VerificationError: CAS_CONFLICT. Whatever `asking` was given raises.
            BackendError: REGISTRY_UNAVAILABLE.
        """
        with files.exclusive_lock(self._home / "run" / "registry.lock"):
            self._require(alias, expected)
            with writing_to_mlflow("cannot move the alias"):
                client = self._client()
            if self._may_move is not None:
                self._may_move()
            with writing_to_mlflow("cannot move the alias"):
                client.set_registered_model_alias(MODEL_NAME, alias, version)
            self._require(alias, version)

    def _require(self, alias: str, expected: str) -> None:
        found = self.alias(alias)
        current = found.version if found else ""
        if current != expected:
            raise VerificationError(
                reason(
                    ProductCause.CAS_CONFLICT,
                    f"{alias} names version {current or 'none'}, expected {expected or 'none'}",
                    artifact=MODEL_NAME,
                )
            )


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Whatever a store raises means that the registry cannot be asked."""
    try:
        yield
    except ProvenanceError:
        raise
    except Exception as error:
        raise _unavailable(f"{what}: {error}") from error


@contextmanager
def writing_to_mlflow(what: str) -> Iterator[None]:
    """What MLflow's own client raises means that its store cannot be used.

    Raises:
        BackendError: REGISTRY_UNAVAILABLE; STORAGE_UNAVAILABLE, the disk or the database failed.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise storage_error(error) or _unavailable(f"{what}: {error}") from error


def _unavailable(what: str) -> BackendError:
    return BackendError(reason(ProductCause.REGISTRY_UNAVAILABLE, what[:500]))


def is_model_id(text: str) -> bool:
    """Whether this is MLflow's id of a logged model, which is also the name of a folder."""
    return _SOURCE.match(f"models:/{text}") is not None


def wrong(code: str, version: str, what: str, remedy: str = "") -> VerificationError:
    """A version that is not as it must be. `remedy`: where the code's own does not fit."""
    where = {"remedy": remedy} if remedy else {}
    return VerificationError(
        reason(code, f"version {version} {what}", artifact=f"{MODEL_NAME}:{version}", **where)
    )
