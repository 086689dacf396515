"""The settings of one home: variables of the environment, `settings.toml` in it, then defaults.

None of them says whom to trust: that is signed (`policies/`, `trust/`). An evidence store that was
redirected holds other evidence, and none that this home remembers: it is refused.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.addresses import is_safe_address
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, reason
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.ports.object_store import Bucket
from fraud_provenance.fraud import engines
from fraud_provenance.home import surroundings
from fraud_provenance.home.server_settings import Closed, Login, Mlflow, OidcLogin, Postgres

NAME: Final = "settings.toml"
PROJECT: Final = Path(__file__).resolve().parents[2]
VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "FRAUD_PROVENANCE_ENVIRONMENT": ("environment",),
    "FRAUD_PROVENANCE_TOKENS": ("tokens",),
    "FRAUD_PROVENANCE_OIDC_LOGIN_ISSUER": ("oidc_login", "issuer"),
    "FRAUD_PROVENANCE_OIDC_LOGIN_CLIENT_ID": ("oidc_login", "client_id"),
    "FRAUD_PROVENANCE_EVIDENCE": ("evidence", "place"),
    "FRAUD_PROVENANCE_EVIDENCE_ENDPOINT": ("evidence", "endpoint"),
    "FRAUD_PROVENANCE_EVIDENCE_REGION": ("evidence", "region"),
    "FRAUD_PROVENANCE_EVIDENCE_KEPT_DAYS": ("evidence", "kept_days"),
    "FRAUD_PROVENANCE_DATA": ("data", "place"),
    "FRAUD_PROVENANCE_DATA_ENDPOINT": ("data", "endpoint"),
    "FRAUD_PROVENANCE_DATA_REGION": ("data", "region"),
    "FRAUD_PROVENANCE_DATA_KEPT_DAYS": ("data", "kept_days"),
    "FRAUD_PROVENANCE_MEMORY": ("memory", "place"),
    "FRAUD_PROVENANCE_MEMORY_ENDPOINT": ("memory", "endpoint"),
    "FRAUD_PROVENANCE_MEMORY_REGION": ("memory", "region"),
    "FRAUD_PROVENANCE_MEMORY_KEPT_DAYS": ("memory", "kept_days"),
    "FRAUD_PROVENANCE_MLFLOW_SERVER": ("mlflow", "server"),
    "FRAUD_PROVENANCE_MLFLOW_TOKEN_FILE": ("mlflow", "token_file"),
    "FRAUD_PROVENANCE_POSTGRES": ("postgres", "address"),
    "FRAUD_PROVENANCE_ONE_IDENTITY": ("runs", "one_identity"),
    "FRAUD_PROVENANCE_FEATURES_ENGINE": ("features", "engine"),
    "FRAUD_PROVENANCE_FEATURES_MASTER": ("features", "master"),
    "FRAUD_PROVENANCE_FEATURES_MEMORY_GIB": ("features", "memory_gib"),
}
"""Variable → where the same stands in the file."""
_TOOLS: Final = "DBT_"  # dbt takes samples, other targets, states and flags from such variables
_MAX_BYTES: Final = 1 << 16
AMBIENT: Final = "ambient"
LOCAL: Final = "local"
Tokens = Path | Literal["ambient"] | None


class Place(Closed):
    """Where something of the home lies: its evidence, its data, or what it remembers.

    Evidence: bundles, manifests, what releases name.

    Attributes:
        place: `s3://BUCKET/PREFIX`; empty for the home's own folder.
        endpoint: The object store's address: https, or http on 127.0.0.1.
        region: Its region.
        kept_days: For how many days each piece is locked against deletion (COMPLIANCE); 0: none.
    """

    place: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    kept_days: int = Field(default=0, ge=0, le=36_500)

    @model_validator(mode="after")
    def _is_whole(self) -> "Place":
        if not self.place:
            if self.endpoint or self.kept_days:
                raise ValueError("endpoint and kept_days need a place")
            return self
        place = urlsplit(self.place)
        if place.scheme != "s3" or not place.netloc or "@" in place.netloc or place.query:
            raise ValueError("place is not s3://BUCKET/PREFIX")
        if not is_safe_address(self.endpoint):
            raise ValueError("endpoint is not an https address (nor http on 127.0.0.1)")
        return self

    def bucket(self) -> Bucket | None:
        """The object store, or None for the home's own folder."""
        if not self.place:
            return None
        place = urlsplit(self.place)
        return Bucket(
            name=place.netloc,
            prefix=place.path.strip("/"),
            endpoint=self.endpoint,
            region=self.region,
            kept_days=self.kept_days,
        )


class Runs(Closed):
    """How many identities one run may sign by.

    Attributes:
        one_identity: Each run signs by one identity, and the data-access gate is a process of its
            own (`fraud-provenance keep-gate`): no step can sign as another, or permit itself.
    """

    one_identity: bool = False


class Features(Closed):
    """What computes the features.

    Attributes:
        engine: `duckdb` or `spark`.
        master: Spark's: `local[*]`, `local[N]` or `spark://HOST:PORT`; empty for `local[*]`.
        memory_gib: How much of a machine it may take; with Spark, each of its processes.
    """

    engine: engines.Name = engines.DUCKDB
    master: str = ""
    memory_gib: int = Field(default=2, ge=1, le=4096)

    @model_validator(mode="after")
    def _is_whole(self) -> "Features":
        if self.master and self.engine != engines.SPARK:
            raise ValueError("master needs the engine spark")
        if self.master and not engines.is_master(self.master):
            raise ValueError("master is not local[*], local[N] or spark://HOST:PORT")
        return self

    def chosen(self) -> engines.Engine:
        """The engine."""
        return engines.Engine(self.engine, self.memory_gib, self.master or engines.LOCAL_MASTER)


_HERE: Final = Place()
_ANY_RUNS: Final = Runs()
_OWN_MLFLOW: Final = Mlflow()
_NOBODY: Final = Login()
_NO_PASSWORD: Final = SecretStr("")
_OWN_DAGSTER: Final = Postgres()
_NO_LOGIN: Final = OidcLogin()
_DUCKDB: Final = Features()


class _Given(Closed):
    environment: str = Field(default=LOCAL, min_length=1)
    tokens: Tokens = None
    oidc_login: OidcLogin = _NO_LOGIN
    evidence: Place = _HERE
    data: Place = _HERE
    memory: Place = _HERE
    mlflow: Mlflow = _OWN_MLFLOW
    postgres: Postgres = _OWN_DAGSTER
    runs: Runs = _ANY_RUNS
    features: Features = _DUCKDB

    @field_validator("tokens")
    @classmethod
    def _is_whole_path(cls, value: Tokens) -> Tokens:
        if isinstance(value, Path) and not value.is_absolute():
            raise ValueError(f"is neither the full path of a folder nor {AMBIENT!r}")
        return value

    @model_validator(mode="after")
    def _shares_all(self) -> "_Given":
        """Machines that remember together need the same evidence, files, registry and locks."""
        shared = {
            "evidence.place": self.evidence.place,
            "data.place": self.data.place,
            "mlflow.server": self.mlflow.server,
            "postgres.address": self.postgres.address,
        }
        if self.memory.place and not all(shared.values()):
            missing = ", ".join(name for name, value in shared.items() if not value)
            raise ValueError(f"memory.place is for several machines, which need {missing}, too")
        return self

    @model_validator(mode="after")
    def _has_tokens_apart(self) -> "_Given":
        """Who could mint or ask for any identity's token is not held to one."""
        if self.runs.one_identity and not isinstance(self.tokens, Path):
            raise ValueError("runs.one_identity needs tokens: a folder with one run's own token")
        return self


@dataclass(frozen=True)
class Settings:
    """Where the state lies and which environment this is.

    `variables`: (name, digest of its value) of what tells the tools of a step more than the step
    does; a value may be a secret. `tokens`: the folder with the tokens to sign by; None: the home's
    own issuers mint them; `ambient`: those do, and for other issuers the job that this is.
    `oidc_login`: where people sign in, whose tokens come from nowhere else then.
    `whole`: verify every bundle, whatever was found of it before.
    """

    home: Path
    environment: str = LOCAL
    variables: tuple[tuple[str, str], ...] = ()
    project: Path = PROJECT
    whole: bool = False
    tokens: Tokens = None
    oidc_login: OidcLogin = _NO_LOGIN
    evidence: Place = _HERE
    data: Place = _HERE
    memory: Place = _HERE
    mlflow: Mlflow = _OWN_MLFLOW
    mlflow_login: Login = _NOBODY
    postgres: Postgres = _OWN_DAGSTER
    postgres_password: SecretStr = _NO_PASSWORD
    runs: Runs = _ANY_RUNS
    features: Features = _DUCKDB
    clock: Clock = machine_clock

    @property
    def is_shared(self) -> bool:
        """Whether several machines work on this home."""
        return bool(self.memory.place)


def settings_from(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """The settings of the home that an environment names; `path`: by that file, not by its own.

    Raises:
        ConfigError: USAGE, a value cannot be used; it names the variable or the line of the file.
        ConfigError, VerificationError: as `surroundings.place_of` and `refuse_overrides`.
    """
    named = environ.get(surroundings.HOME_VARIABLE) or str(PROJECT / ".fraud_provenance")
    home = surroundings.place_of(named)
    given = _given(path or home / NAME, environ)
    surroundings.refuse_overrides(
        environ,
        home,
        given.mlflow.server,
        postgres=bool(given.postgres.address),
        spark=given.features.engine == engines.SPARK,
    )
    return Settings(
        home=home,
        environment=given.environment,
        variables=tuple(
            (name, encoding.digest_bytes(os.fsencode(environ[name])))
            for name in sorted(environ)
            if name.startswith(_TOOLS)
        ),
        tokens=given.tokens,
        oidc_login=given.oidc_login,
        evidence=given.evidence,
        data=given.data,
        memory=given.memory,
        mlflow=given.mlflow,
        mlflow_login=Login.of(environ, given.mlflow),
        postgres=given.postgres,
        postgres_password=SecretStr(environ.get(surroundings.POSTGRES_PASSWORD, "")),
        runs=given.runs,
        features=given.features,
    )


def _given(path: Path, environ: Mapping[str, str]) -> _Given:
    document = _read(path)
    for variable, (*tables, name) in VARIABLES.items():
        if value := environ.get(variable):
            table = document
            for key in tables:
                inner = table.setdefault(key, {})
                table = inner if isinstance(inner, dict) else {}
            table[name] = value
    try:
        return _Given.model_validate(document)
    except ValidationError as error:
        said = error.errors(include_input=False, include_url=False)
        raise _unusable(path, "; ".join(_told(item["loc"], item["msg"]) for item in said)) from None


def _told(place: tuple[int | str, ...], message: str) -> str:
    """Where the value stands, in the file and as a variable, and what is wrong with it."""
    variable = next((name for name, known in VARIABLES.items() if known == place), "")
    where = ".".join(map(str, place)) + (f" ({variable})" if variable else "")
    return f"{where}: {message.removeprefix('Value error, ')}"


def _read(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(files.read_once(path, limit_bytes=_MAX_BYTES).decode("utf-8"))
    except (EvidenceError, ValueError) as error:
        raise _unusable(path, f"it is no TOML file that can be read: {error}") from error


def _unusable(path: Path, why: str) -> ConfigError:
    known = ", ".join(".".join(place) for place in VARIABLES.values())
    return ConfigError(
        reason(
            RootCause.USAGE,
            f"the settings of this home cannot be used: {why}",
            remedy=f"Mend the variable, or {path}. Known there: {known}.",
            artifact=NAME,
        )
    )
