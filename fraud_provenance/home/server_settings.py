"""The servers that a home may use beside its own files, and by what they let us in.

What lies with them is no evidence: MLflow's registry is a hint, and Dagster's runs are history.
"""

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.addresses import LOOPBACK, is_safe_address
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, reason
from fraud_provenance.attested.sigstore.oidc_login import Provider
from fraud_provenance.home import surroundings

_MAX_BYTES: Final = 1 << 16
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+\Z")


class Closed(BaseModel):
    """A table of settings: frozen, and of known names only."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mlflow(Closed):
    """Where runs, models and the registry lie.

    Attributes:
        server: An MLflow server's address, https, or http on 127.0.0.1; empty for the home's own
            database.
        token_file: A file, by its full path, with the token by which the server lets us in.
    """

    server: str = ""
    token_file: Path | None = None

    @field_validator("server")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        if value and (not is_safe_address(value) or "?" in value or "#" in value):
            raise ValueError("is not an https address (nor http on 127.0.0.1)")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _is_whole(self) -> "Mlflow":
        if self.token_file is not None and not self.token_file.is_absolute():
            raise ValueError("token_file is not the full path of a file")
        if self.token_file is not None and not self.server:
            raise ValueError("token_file needs a server")
        return self


class OidcLogin(Closed):
    """Where people sign in by themselves: their company's identity provider.

    Attributes:
        issuer: Its address as it stands in its tokens: https, or http on 127.0.0.1; empty where
            people's tokens come from where all others do.
        client_id: The name under which it knows this program; a public client has no secret.
    """

    issuer: str = ""
    client_id: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> "OidcLogin":
        if bool(self.issuer) != bool(self.client_id):
            raise ValueError("issuer and client_id need each other")
        if self.issuer and (not is_safe_address(self.issuer) or {"?", "#"} & {*self.issuer}):
            raise ValueError("issuer is not an https address (nor http on 127.0.0.1)")
        return self

    def provider(self) -> Provider | None:
        """The identity provider, or None."""
        return Provider(self.issuer, self.client_id) if self.issuer else None


_NOTHING: Final = SecretStr("")


@dataclass(frozen=True)
class Login:
    """By what an MLflow server lets us in: MLflow's own variables, or a file that holds a token.

    Such a file is read afresh each time, for whoever lays it there may replace it.
    """

    username: str = ""
    password: SecretStr = _NOTHING
    token: SecretStr = _NOTHING
    token_file: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], given: Mlflow) -> "Login":
        """What the settings name; what is in the variables counts where they name no file."""
        if not given.server:
            return cls()
        if given.token_file is not None:
            return cls(token_file=given.token_file)
        username, password, token = (environ.get(name, "") for name in surroundings.MLFLOW_LOGIN)
        return cls(username, SecretStr(password), SecretStr(token))

    def bearer(self) -> str:
        """The token, or an empty string.

        Raises:
            ConfigError: USAGE, the file cannot be read, or others may read it.
        """
        if self.token_file is None:
            return self.token.get_secret_value()
        try:
            facts = self.token_file.stat()
            if facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
                raise _no_token(self.token_file, "may be read by others", "chmod 600 it")
            content = files.read_once(self.token_file.resolve(), limit_bytes=_MAX_BYTES)
            token = content.decode("ascii").strip()
        except (OSError, EvidenceError, ValueError) as error:
            raise _no_token(
                self.token_file, "cannot be read", "Lay the token of the MLflow server there"
            ) from error
        if not token or not token.isprintable() or " " in token:
            raise _no_token(self.token_file, "holds no token", "Write one line with it there")
        return token

    def sign(self, request: Any) -> Any:  # noqa: ANN401 - the HTTP library's own
        """Add the credential to a request, as MLflow's own client does."""
        token = self.bearer()
        if self.username and self.password.get_secret_value():
            from requests.auth import HTTPBasicAuth

            return HTTPBasicAuth(self.username, self.password.get_secret_value())(request)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def give(self, environ: MutableMapping[str, str]) -> None:
        """Lay the token of a file where MLflow's own client looks for one."""
        if self.token_file is not None:
            for name in surroundings.MLFLOW_LOGIN:
                environ.pop(name, None)
            environ[surroundings.MLFLOW_LOGIN[-1]] = self.bearer()


def _no_token(path: Path, what: str, remedy: str) -> ConfigError:
    return ConfigError(
        reason(
            RootCause.USAGE,
            f"the file with the MLflow server's token {what}",
            remedy=f"{remedy}: {path}.",
            artifact=path.name,
        )
    )


class Postgres(Closed):
    """Where Dagster keeps runs, events and schedules.

    Attributes:
        address: `postgresql://USER@HOST[:PORT]/DATABASE`; empty for SQLite in the home. Another
            host than 127.0.0.1 must prove its name by its certificate.
    """

    address: str = ""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and _parts(value) is None:
            raise ValueError(
                "is not postgresql://USER@HOST[:PORT]/DATABASE; the password is in the variable "
                f"{surroundings.POSTGRES_PASSWORD}"
            )
        return value

    def connection(self) -> dict[str, Any]:
        """The same as arguments of PostgreSQL's own client; the password is not among them."""
        found = self.storage()
        return {
            "user": found["username"],
            "host": found["hostname"],
            "port": found["port"],
            "dbname": found["db_name"],
            **found.get("params", {}),
        }

    def storage(self) -> dict[str, Any]:
        """The same as Dagster's configuration, where the password is read from its variable."""
        parts = _parts(self.address)
        assert parts is not None  # noqa: S101 - the validator has read it
        user, host, port, database = parts
        found: dict[str, Any] = {
            "username": user,
            "password": {"env": surroundings.POSTGRES_PASSWORD},
            "hostname": host,
            "port": port,
            "db_name": database,
        }
        if host != LOOPBACK:
            found["params"] = {"sslmode": "verify-full"}
        return found


def _parts(address: str) -> tuple[str, str, int, str] | None:
    """(user, host, port, database), or None where it is no such address."""
    try:
        parts = urlsplit(address)
        user, host, port = parts.username or "", parts.hostname or "", parts.port or 5432
    except ValueError:
        return None
    database = parts.path.removeprefix("/")
    plain = parts.password is None and not parts.query and not parts.fragment
    named = all(_NAME.match(name) for name in (user, host, database))
    return (
        (user, host, port, database) if parts.scheme == "postgresql" and plain and named else None
    )
