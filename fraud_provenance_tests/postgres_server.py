"""A real PostgreSQL server on this machine, of the distribution's package, run by its own user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fraud_provenance_tests.attacks.network import HOST, free_port

_DEADLINE_S = 120.0
_USER, _DATABASE = "postgres", "postgres"
PASSWORD = "not/a:secret@here"  # noqa: S105 - of this server alone, with what addresses read otherwise


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs."""

    folder: Path
    port: int
    programs: Path
    user: str

    @property
    def address(self) -> str:
        """As it stands in the settings."""
        return f"postgresql://{_USER}@{HOST}:{self.port}/{_DATABASE}"

    def control(self, *arguments: str) -> None:
        """Start or stop it."""
        _as(self.user, self.folder, str(self.programs / "pg_ctl"), "-D", "data", "-w", *arguments)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses={HOST} -c unix_socket_directories="
        self.control("-l", "log", "-o", options, "start")

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self.control("-m", "fast", "stop")


def programs() -> Path | None:
    """Where the package put its programs, or None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server on an empty database; skips where there is none on this machine."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = _USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own are closed to other users
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
        command = ["-D", "data", "-U", _USER, "--auth=scram-sha-256", "--pwfile=password"]
        _as(user, folder, str(where / "initdb"), *command, "-E", "UTF8", "--locale=C.UTF-8", "-N")
        server = PostgresServer(folder, free_port(), where, user)
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as(user: str, folder: Path, *command: str) -> None:
    """Run a program of the server as its user: it refuses to be run by root."""
    done = subprocess.run(
        command, cwd=folder, user=user if os.geteuid() == 0 else None,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        timeout=_DEADLINE_S, check=False, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"
