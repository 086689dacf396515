"""From a folder to servers: a home's evidence, data and MLflow's records, each id and digest kept.

The home works as before until all is there; then its settings change, in one write. Whatever is
broken off is repeated.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.attested.ports.blobs import FolderBlobs
from fraud_provenance.attested.store import copying
from fraud_provenance.home.settings import NAME, Settings
from fraud_provenance.home.surroundings import EXPERIMENT, alone
from fraud_provenance.home.workspace import Workspace, blobs_of
from fraud_provenance.models import moving

_PARTS: Final = (("evidence", copying.EVIDENCE), ("trust/objects", copying.OBJECTS))
_LIMIT_BYTES: Final = 1 << 16
_LEFT: Final = ".moved"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """What is new on the servers."""

    statements: int = 0
    rows: int = 0
    files: int = 0


def copy_evidence(settings: Settings, say: Say) -> dict[str, int]:
    """Put the evidence of a home's folder into the store of `settings`; part → how many are new.

    Raises:
        As `copying.copy`.
    """
    return {
        part: copying.copy(
            FolderBlobs(settings.home / part),
            blobs_of(settings, part),
            folders,
            lambda done, every, of=part: say(f"{of}: {done} of {every}"),  # type: ignore[misc]
        )
        for part, folders in _PARTS
    }


def copy_data(workspace: Workspace, say: Say) -> tuple[int, int]:
    """Put the attested files of a home where its settings keep data: (how many, new there)."""
    contents, new, done = workspace.store.contents, 0, 0
    if contents is None:
        return 0, 0
    for entry, content in workspace.trust.lineage().artifacts.present():
        new += contents.keep(entry.sha256, content)
        done += 1
        say(f"{done} files, {new} of them new there")
    return done, new


def move(old: Settings, new: Settings, chosen: Path, database: str, say: Say) -> Moved:
    """Move a home to the servers that `new` names, of which `chosen` is the file.

    Args:
        old: As the home is set now.
        new: As it shall be.
        chosen: A settings.toml, which becomes the home's own.
        database: SQLAlchemy's address of what is behind MLflow's server.
        say: Is told what happens.

    Raises:
        ConfigError: USAGE, it would leave what it is, or an address is missing.
        BackendError: STORAGE_UNAVAILABLE, REGISTRY_UNAVAILABLE.
        EvidenceError: EVIDENCE_TAMPERED.
    """
    _check(old, new, database)
    content = files.read_once(chosen, limit_bytes=_LIMIT_BYTES)
    moved = Moved()
    with alone(old.home, say):
        if new.evidence != old.evidence:
            moved = Moved(statements=sum(copy_evidence(new, say).values()))
        if new.mlflow.server != old.mlflow.server:
            moved = _move_mlflow(new, database, moved, say)
        files.write_atomic(old.home / NAME, content)
    return moved


def _move_mlflow(new: Settings, database: str, before: Moved, say: Say) -> Moved:
    """Files first: a record that is there has its files."""
    experiment = moving.experiment_of(new.home, EXPERIMENT)
    say("MLflow's files")
    new.mlflow_login.give(os.environ)
    count = moving.copy_files(new.home, new.mlflow.server, experiment)
    say("MLflow's records")
    rows = moving.copy_records(new.home, database, experiment)
    return Moved(before.statements, rows, count)


def set_aside(home: Path) -> None:
    """MLflow's own database of a home that uses a server now: nothing may read it by mistake."""
    database = home / "mlflow" / moving.DATABASE
    if database.exists():
        database.rename(database.with_name(database.name + _LEFT))


def _check(old: Settings, new: Settings, database: str) -> None:
    """Refuse before anything is touched."""
    stays = "A home moves from its own folder to servers, and stays what it is besides"
    if (old.environment, old.tokens, old.oidc_login) != (
        new.environment, new.tokens, new.oidc_login,
    ):  # fmt: skip
        raise _cannot("the two settings differ in environment, tokens or oidc_login", f"{stays}.")
    for name, before, after in (
        ("evidence", old.evidence.place, new.evidence.place),
        ("data", old.data.place, new.data.place),
        ("mlflow", old.mlflow.server, new.mlflow.server),
    ):
        if before and before != after:
            raise _cannot(f"[{name}] is on a server already, and would go elsewhere", f"{stays}.")
    if new.mlflow.server and not old.mlflow.server and not database:
        raise _cannot(
            "MLflow's records go into the database behind its server, which is not named",
            "Run this again with --mlflow-database postgresql+psycopg2://USER@HOST:PORT/NAME.",
        )


def _cannot(message: str, remedy: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, message, remedy=remedy))
