"""The site of `make production`: its folder in the home, ports, secrets, and the home's settings.

Each secret is made at random, once, into a file that only its owner may read. None is printed, and
none stands on a command line.
"""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, reason
from fraud_provenance.attested.local import ports
from fraud_provenance.home.settings import NAME as SETTINGS
from fraud_provenance.home.surroundings import HOME_VARIABLE, POSTGRES_PASSWORD

HOST: Final = ports.HOST
EVIDENCE: Final = "evidence"
"""The bucket of the evidence, and who may add to it."""
MLFLOW: Final = "mlflow"
"""The bucket, the database and the role of MLflow's server."""
DAGSTER: Final = "dagster"
"""The database and the role of Dagster."""
ROOT: Final = "root"
"""Who administers the object store."""
KEPT_DAYS: Final = 30
_SERVERS: Final = ("postgres", "store", "mlflow")
_LIMIT_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Site:
    """What the servers of one home share. All of it lies in `<home>/servers`."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where the servers keep their data, logs and process ids."""
        return self.home / "servers"

    @cached_property
    def ports(self) -> dict[str, int]:
        """The servers' ports, chosen once."""
        path = self.folder / "ports.json"
        if not path.exists():
            free = ports.choose(self.folder).values()  # other ones than the home's own block
            chosen = dict(zip(_SERVERS, free, strict=False))
            files.write_atomic(path, json.dumps(chosen).encode() + b"\n")
        try:
            stored = json.loads(files.read_once(path, limit_bytes=_LIMIT_BYTES))
            return {name: int(stored[name]) for name in _SERVERS}
        except (EvidenceError, ValueError, KeyError, TypeError) as error:
            raise _unusable(f"{path} cannot be read", f"Restore {path} from a backup.") from error

    @property
    def store_address(self) -> str:
        """The object store's."""
        return f"http://{HOST}:{self.ports['store']}"

    @property
    def mlflow_address(self) -> str:
        """MLflow's server's."""
        return f"http://{HOST}:{self.ports['mlflow']}"

    @property
    def mlflow_database(self) -> str:
        """What is behind MLflow's server, as SQLAlchemy has it; the password is in a file."""
        return f"postgresql+psycopg2://{MLFLOW}@{HOST}:{self.ports['postgres']}/{MLFLOW}"

    def secret(self, name: str) -> str:
        """A secret of this name, made when it is first asked for."""
        path = self._key(name)
        if not path.exists():
            self._write(name, secrets.token_hex(32))
        return files.read_once(path, limit_bytes=_LIMIT_BYTES).decode().strip()

    def credentials(self, user: str) -> Path:
        """A file by which S3 clients sign as a user of the object store."""
        text = (
            f"[default]\naws_access_key_id = {user}\n"
            f"aws_secret_access_key = {self.secret(f'store-{user}')}"
        )
        return self._write(f"aws-{user}", text)

    def passwords(self, role: str) -> Path:
        """A file by which PostgreSQL's clients come in as a role to its database."""
        port, secret = self.ports["postgres"], self.secret(f"database-{role}")
        return self._write(f"pgpass-{role}", f"{HOST}:{port}:{role}:{role}:{secret}")

    def variables(self) -> dict[str, str]:
        """What the product's commands need around them."""
        return {
            HOME_VARIABLE: str(self.home),
            POSTGRES_PASSWORD: self.secret(f"database-{DAGSTER}"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials(EVIDENCE)),
        }

    def write_variables(self) -> Path:
        """The same as a file for a shell."""
        lines = (f"{name}={shlex.quote(text)}" for name, text in self.variables().items())
        return self._write("environment", "\n".join(lines))

    def settings(self) -> str:
        """The home's `settings.toml`."""
        tables: Mapping[str, Mapping[str, str | int]] = {
            "evidence": {
                "place": f"s3://{EVIDENCE}/home",
                "endpoint": self.store_address,
                "kept_days": KEPT_DAYS,
            },
            "data": {"place": f"s3://{EVIDENCE}/home", "endpoint": self.store_address},
            "memory": {
                "place": f"s3://{EVIDENCE}/home",
                "endpoint": self.store_address,
                "kept_days": KEPT_DAYS,
            },
            "mlflow": {"server": self.mlflow_address},
            "postgres": {
                "address": f"postgresql://{DAGSTER}@{HOST}:{self.ports['postgres']}/{DAGSTER}"
            },
        }
        return "\n".join(
            f"[{table}]\n"
            + "".join(f"{key} = {json.dumps(text)}\n" for key, text in values.items())
            for table, values in tables.items()
        )

    def check(self) -> None:
        """Refuse a home of another kind, before anything is started.

        Raises:
            ConfigError: USAGE.
        """
        if self.is_moved:
            wanted = self.settings().encode() if (self.folder / "ports.json").exists() else b""
            is_ours = files.read_once(self.home / SETTINGS, limit_bytes=_LIMIT_BYTES) == wanted
        else:
            begun = (self.folder / "ports.json").exists()  # its demo runs, or is about to move
            is_ours = begun or not (self.home / "trust").exists()
        if not is_ours:
            raise _unusable(
                f"{self.home} is a home with other settings, which stays as it is",
                f"Set {HOME_VARIABLE} to an empty folder, or take the variable away. How a home of "
                "yours moves: docs/production.md.",
            )

    @property
    def is_moved(self) -> bool:
        """Whether the home lies on the servers already."""
        return (self.home / SETTINGS).exists()

    def write_settings(self) -> Path:
        """Write what the home's `settings.toml` is to be, for `move-home`."""
        path = self.folder / SETTINGS
        files.write_atomic(path, self.settings().encode())
        return path

    def _key(self, name: str) -> Path:
        return self.folder / "keys" / name

    def _write(self, name: str, text: str) -> Path:
        """Write a file with a secret, where it says something else now."""
        path = self._key(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = f"{text}\n".encode()
        if not path.exists() or files.read_once(path, limit_bytes=_LIMIT_BYTES) != content:
            files.write_atomic(path, content, mode=0o600)
        return path


def closed_to_others(folder: Path) -> list[Path]:
    """The folders on the way to this one that another user cannot pass."""
    there = [path for path in (folder, *folder.parents) if path.exists()]
    return [path for path in there if not os.stat(path).st_mode & 0o001]


def _unusable(what: str, remedy: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, what, remedy=remedy))
