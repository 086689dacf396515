"""The registry behind an MLflow server, read over its REST interface without MLflow.

A server may be down, slow, or lie: each answer is bounded in size and time, no redirect is
followed, and only MLflow's own "not found" means that something is not there. What it says
is a hint.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.home.server_settings import Login
from fraud_provenance.models.registry import MODEL_NAME, Found, RegisteredVersion, wrong

SCHEME: Final = "mlflow-artifacts"
_API, _FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
_ANSWER_BYTES: Final = 1 << 24
_FILE_BYTES: Final = 1 << 30
_CHUNK_BYTES: Final = 1 << 16
_PAGE, _MAX_PAGES, _MAX_FILES = 1000, 100, 1000
_CONNECT_S: Final = 10
_REMEDY: Final = (
    "Have the server's artifacts and its database restored from their backups, or train again; "
    "models are registered by the pipeline only."
)
_MISSING: Final = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Pair(_Said):
    key: str
    value: str = ""


class _Metric(_Said):
    key: str
    value: float | int | str


class _Version(_Said):
    name: str
    version: str = Field(pattern=r"^[1-9][0-9]{0,9}$")
    source: str = ""
    tags: tuple[_Pair, ...] = Field(default=(), strict=False)


class _OneVersion(_Said):
    model_version: _Version


class _Versions(_Said):
    model_versions: tuple[_Version, ...] = Field(default=(), strict=False)
    next_page_token: str = ""


class _Place(_Said):
    artifact_uri: str


class _Data(_Said):
    metrics: tuple[_Metric, ...] = Field(default=(), strict=False)
    params: tuple[_Pair, ...] = Field(default=(), strict=False)
    tags: tuple[_Pair, ...] = Field(default=(), strict=False)


class _Info(_Said):
    run_id: str


class _Run(_Said):
    info: _Info
    data: _Data = _Data()


class _OneRun(_Said):
    run: _Run


class _File(_Said):
    path: str
    is_dir: bool = False


class _Listing(_Said):
    files: tuple[_File, ...] = Field(default=(), strict=False)


@dataclass(frozen=True)
class ServerStore:
    """MLflow's tracking server, registry and proxied artifacts at one address.

    Attributes:
        uri: https, or http to this machine; without a slash at its end.
        login: By what the server lets us in.
        deadline_s: For how long one answer may take, whole.
    """

    uri: str
    login: Login
    deadline_s: float = 60

    def is_there(self) -> bool:
        """See `RegistryStore`."""
        return True

    def sign_in(self) -> None:
        """See `RegistryStore`: MLflow's own client takes a token from a variable only."""
        self.login.give(os.environ)

    def named(self, alias: str) -> str | None:
        """See `RegistryStore`."""
        found = self._version("/registered-models/alias", alias=alias)
        return found.version if found else None

    def version(self, number: str) -> Found | None:
        """See `RegistryStore`."""
        found = self._version("/model-versions/get", version=number)
        if found is None:
            return None
        if found.version != number:
            raise _unusable(f"it was asked for version {number}, and told {found.version}")
        place = self._json("/model-versions/get-download-uri", name=MODEL_NAME, version=number)
        return Found(number, found.source, _Place.model_validate(place or {}).artifact_uri)

    def _version(self, path: str, **asked: str) -> _Version | None:
        answer = self._json(path, name=MODEL_NAME, **asked)
        if answer is None:
            return None
        found = _OneVersion.model_validate(answer).model_version
        if found.name != MODEL_NAME:
            raise _unusable(f"it was asked for {MODEL_NAME}, and told {found.name[:80]!r}")
        return found

    def numbers(self, source: str) -> list[int]:
        """See `RegistryStore`."""
        found: list[int] = []
        token = ""
        for _ in range(_MAX_PAGES):
            asked = {"filter": f"name = '{MODEL_NAME}'", "max_results": str(_PAGE)}
            answer = self._json("/model-versions/search", **asked, page_token=token)
            page = _Versions.model_validate(answer or {})
            found += [int(item.version) for item in page.model_versions if item.source == source]
            token = page.next_page_token
            if not token:
                return found
        raise _unusable(f"it lists versions on more than {_MAX_PAGES} pages")

    def metrics(self, run_id: str, model_id: str) -> list[tuple[str, float]]:
        """See `RegistryStore`."""
        model = self._json(f"/logged-models/{quote(model_id, safe='')}") or {}
        told = model.get("model")
        data = told.get("data") if isinstance(told, dict) else {}
        both = [*self._run(run_id).metrics, *_Data.model_validate(data or {}).metrics]
        return [(item.key, float(item.value)) for item in both]

    def copies(self, run_id: str, version: str) -> list[tuple[str, str]]:
        """See `RegistryStore`."""
        data = self._run(run_id)
        kept = self._version("/model-versions/get", version=version)
        pairs = [*data.tags, *data.params, *(kept.tags if kept else ())]
        return [(item.key, item.value) for item in pairs]

    def _run(self, run_id: str) -> _Data:
        answer = self._json("/runs/get", run_id=run_id)
        if answer is None:
            raise _unusable(f"it does not know the run {run_id}")
        run = _OneRun.model_validate(answer).run
        if run.info.run_id != run_id:
            raise _unusable(f"it was asked for the run {run_id}, and told another")
        return run.data

    def check_location(
        self,
        version: RegisteredVersion,
        location: str,
        attested: Mapping[str, str],
    ) -> None:
        """See `RegistryStore`: there must be exactly the attested files, byte for byte.

        The server says in what folder; that does not matter, for what lies there is compared.
        """
        folder = artifact_folder(version.version, version.location, version.model_id)
        listed = set(self._listed(folder))
        if not attested or listed != set(attested):
            odd = sorted(listed.symmetric_difference(attested))[:3]
            what = f"has other files on the server than {location} has: {', '.join(odd)}"
            raise wrong(RootCause.SOURCE_MISMATCH, version.version, what[:200], _REMEDY)
        for name, digest in attested.items():
            if self._digest(f"{folder}/{name}") != digest:
                what = f"has another {name} on the server than was attested"
                raise wrong(RootCause.SOURCE_MISMATCH, version.version, what, _REMEDY)

    def _listed(self, folder: str) -> Iterator[str]:
        """The names of all files in a folder of artifacts, relative to it."""
        waiting, seen = [""], 0
        while waiting:
            here = waiting.pop()
            answer = self._document(_FILES, {"path": f"{folder}/{here}".rstrip("/")})
            for item in _Listing.model_validate(answer).files:
                seen += 1
                if seen > _MAX_FILES or "/" in item.path or item.path in ("", ".", ".."):
                    raise _unusable("its list of a model's files cannot be")
                name = f"{here}/{item.path}".lstrip("/")
                if item.is_dir:
                    waiting.append(name)
                else:
                    yield name

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(f"{_FILES}/{quote(path)}", {}, _FILE_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    def _json(self, path: str, **asked: str) -> dict[str, Any] | None:
        """What it answers; None if it says, in MLflow's words, that there is no such thing."""
        try:
            return self._document(f"{_API}{path}", asked)
        except _NotFoundError:
            return None

    def _document(self, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
        document = json.loads(b"".join(self._chunks(path, asked, _ANSWER_BYTES)))
        if not isinstance(document, dict):
            raise _unusable("its answer is no JSON object")
        return document

    def _chunks(self, path: str, asked: Mapping[str, str], limit_bytes: int) -> Iterator[bytes]:
        """The body of an answer, bounded.

        Raises:
            _NotFoundError: it says that there is no such thing. BackendError: it is no answer.
        """
        import requests

        with requests.get(
            f"{self.uri}{path}",
            params={name: value for name, value in asked.items() if value},
            auth=self.login.sign,
            timeout=(_CONNECT_S, self.deadline_s),
            stream=True,
            allow_redirects=False,
        ) as answer:
            if answer.status_code == 200:
                yield from self._bounded(answer, path, limit_bytes)
                return
            said = b"".join(self._bounded(answer, path, _ANSWER_BYTES))
            if answer.status_code in (400, 404) and _is_missing(said):
                raise _NotFoundError
            raise _unusable(f"it answered {answer.status_code} for {path}")

    def _bounded(self, answer: Any, path: str, limit_bytes: int) -> Iterator[bytes]:  # noqa: ANN401
        end, size = time.monotonic() + self.deadline_s, 0
        # `read1` gives what is there; who waits for a whole chunk waits for a server that drips.
        while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            if size > limit_bytes:
                raise _unusable(f"its answer for {path} has more than {limit_bytes} bytes")
            if time.monotonic() > end:
                raise _unusable(f"its answer for {path} took more than {self.deadline_s:.0f} s")
            yield chunk


class _NotFoundError(Exception):
    """MLflow says that there is no such thing."""


def artifact_folder(version: str, location: str, model_id: str) -> str:
    """The folder, within the server's artifacts, in which a logged model's files are said to lie.

    Raises:
        VerificationError: SOURCE_SCHEME, it is elsewhere than with the server itself.
            SOURCE_MISMATCH, it is another model's.
    """
    claimed = urlsplit(location)
    parts = unquote(claimed.path).strip("/").split("/")
    plain = not (claimed.netloc or claimed.query or claimed.fragment)
    if claimed.scheme != SCHEME or not plain or {"", ".", ".."} & set(parts):
        raise wrong(ProductCause.SOURCE_SCHEME, version, f"lies at {location[:80]!r}", _REMEDY)
    if model_id not in parts:
        raise wrong(RootCause.SOURCE_MISMATCH, version, "lies in another model's folder", _REMEDY)
    return "/".join(parts)


def _is_missing(content: bytes) -> bool:
    """Whether an error of MLflow's says that what was asked for does not exist."""
    try:
        said = json.loads(content)
        return said["error_code"] in _MISSING and "not found" in str(said["message"]).lower()
    except (ValueError, LookupError, TypeError):
        return False


def _unusable(what: str) -> BackendError:
    return BackendError(
        reason(
            ProductCause.REGISTRY_UNAVAILABLE,
            f"the MLflow server cannot be used: {what}",
            remedy="Make the MLflow server of settings.toml answer, or correct its address there.",
        )
    )
