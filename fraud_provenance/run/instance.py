"""Dagster's instance of a home: SQLite in it, or a PostgreSQL server that the settings name."""

import json
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError, causes_of, reason
from fraud_provenance.home.settings import NAME, Settings
from fraud_provenance.home.surroundings import POSTGRES_PASSWORD
from fraud_provenance.home.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg  # heavy

_OURS: Final = "# Written from settings.toml of the home; what is changed here is lost.\n"
_HISTORY: Final = "fraud_provenance.run.history"
_BEFORE: Final = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
_MAX_BYTES: Final = 1 << 20


def open_instance(workspace: Workspace) -> "dg.DagsterInstance":
    """The home's Dagster instance; the same one that `make ui` shows.

    Raises:
        ConfigError: USAGE, PostgreSQL is set and cannot be used from here.
        BackendError: STORAGE_UNAVAILABLE, its database is damaged, full or away.
    """
    import dagster as dg

    write_configuration(workspace)
    os.environ["DAGSTER_HOME"] = str(workspace.dagster)
    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        away = history_error(workspace, error)
        if away is None:
            raise
        raise away from error


def history_error(workspace: Workspace, error: BaseException) -> BackendError | None:
    """What a database of Dagster's that is damaged, full or away comes to, through the causes.

    None where it is something else.
    """
    from sqlalchemy.exc import SQLAlchemyError

    found = next((item for item in causes_of(error) if isinstance(item, SQLAlchemyError)), None)
    if found is None:
        return None
    if workspace.settings.postgres.address:
        what = "Dagster's PostgreSQL cannot be used"
        remedy = f"Make the server of {NAME} answer; its password is in {POSTGRES_PASSWORD}."
        artifact = "postgres"
    else:
        what, artifact = "Dagster's history of runs cannot be used", "dagster"
        remedy = (
            f"Take it away, `mv {workspace.dagster} {workspace.dagster}-damaged`, then run again: "
            "a new history begins, and no evidence was in the old one."
        )
    said = str(found).partition("\n")[0][:300]
    why = reason(RootCause.STORAGE_UNAVAILABLE, f"{what}: {said}", artifact=artifact, remedy=remedy)
    return BackendError(why)


def write_configuration(workspace: Workspace) -> None:
    """Write `dagster.yaml`; one that people wrote is kept where it says what the settings say.

    Raises:
        ConfigError: USAGE.
    """
    path = workspace.dagster / "dagster.yaml"
    wanted = _configuration(workspace)
    kept = files.read_once(path, limit_bytes=_MAX_BYTES).decode() if path.exists() else ""
    if not kept or kept == _BEFORE or kept.startswith(_OURS):
        if kept != wanted:
            files.write_atomic(path, wanted.encode())
    elif workspace.settings.postgres.address and not _has(kept, workspace.settings):
        raise _unusable(
            f"{path} is your own, and names another storage than {NAME}",
            f"Take it away ({NAME} is written into a new one), or give it that storage.",
        )


def _configuration(workspace: Workspace) -> str:
    """Dagster's settings, as YAML that is also JSON."""
    settings = workspace.settings
    wanted: dict[str, Any] = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
    if settings.postgres.address:
        wanted["storage"] = {"postgres": {"postgres_db": _server(settings)}}
    else:
        kept = {"base_dir": str(workspace.dagster)}
        wanted["storage"] = {"custom": {"module": _HISTORY, "class": "History", "config": kept}}
    return f"{_OURS}{json.dumps(wanted, indent=2)}\n"


def _server(settings: Settings) -> dict[str, Any]:
    """The PostgreSQL server, as Dagster takes it.

    Raises:
        ConfigError: USAGE, it cannot be used from here.
    """
    if find_spec("dagster_postgres") is None:
        raise _unusable(
            "PostgreSQL is set, and dagster-postgres is not installed",
            "Run `make setup`, or install fraud-provenance[postgres].",
        )
    if not os.environ.get(POSTGRES_PASSWORD):
        raise _unusable(f"{POSTGRES_PASSWORD} is not set", f"Set {POSTGRES_PASSWORD}.")
    return settings.postgres.storage()


def _has(kept: str, settings: Settings) -> bool:
    """Whether a configuration names the storage of the settings."""
    import yaml

    try:
        found = yaml.safe_load(kept)["storage"]["postgres"]["postgres_db"]
    except (yaml.YAMLError, LookupError, TypeError):
        return False
    return bool(found == settings.postgres.storage())


def _unusable(what: str, remedy: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, what, remedy=remedy, artifact="postgres"))
