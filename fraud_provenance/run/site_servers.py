"""PostgreSQL, an object store and MLflow's server on this machine: made, started, found, stopped.

Each may be found at work or half made: what is there and whole is used, the rest is made again. The
programs are those of their own projects; here is only how they are put together.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import psutil

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError, reason
from fraud_provenance.attested.local import ports, tool, tools_dir
from fraud_provenance.attested.local.processes import (
    Processes,
    Server,
    is_current,
    is_healthy,
    wait_healthy,
)
from fraud_provenance.home.settings import PROJECT
from fraud_provenance.home.surroundings import HOME_VARIABLE
from fraud_provenance.run.site import DAGSTER, EVIDENCE, HOST, MLFLOW, ROOT, Site, closed_to_others

PACKAGE: Final = "apt-get install --no-install-recommends postgresql"
REGION: Final = "us-east-1"
_DATABASE_USER: Final = "postgres"
_DEADLINE_S: Final = 120.0
_STORE_S, _MLFLOW_S = 30.0, 240.0
_END_S: Final = 20.0
_HALF: Final = "postgres.new-"
Say = Callable[[str], None]


class Postgres:
    """PostgreSQL of Debian's package, on a folder of the site, under a user that is not root."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.folder / "postgres"
        self._user = _DATABASE_USER if os.geteuid() == 0 else None

    def check(self) -> None:
        """Whether it can be used here at all.

        Raises:
            ConfigError: TOOL_UNAVAILABLE, it is not installed; USAGE, its user cannot come here.
        """
        if programs() is None:
            message, remedy = "PostgreSQL is not installed", f"{PACKAGE}; then run this again."
            raise ConfigError(reason(RootCause.TOOL_UNAVAILABLE, message, remedy=remedy))
        if self._user and (closed := closed_to_others(self._site.folder)):
            raise ConfigError(
                reason(
                    RootCause.USAGE,
                    f"the user {self._user}, as whom PostgreSQL runs, cannot pass {closed[0]}",
                    remedy=f"Set {HOME_VARIABLE} to a folder where everything above is open to "
                    "others (chmod o+x), or run this as another user than root.",
                )
            )

    def start(self, say: Say) -> None:
        """Make the databases if there are none, start it, wait until it answers.

        Raises:
            BackendError: STORAGE_UNAVAILABLE.
        """
        if not self._folder.exists():
            say("making PostgreSQL's databases")
            self._make()
        if self.pid() is not None:
            return
        say(f"starting PostgreSQL on port {self._site.ports['postgres']}")
        self._run("pg_ctl", *self.start_arguments())

    def start_arguments(self) -> list[str]:
        """What `pg_ctl` is told."""
        port = self._site.ports["postgres"]
        options = f"-p {port} -c listen_addresses={HOST} -c unix_socket_directories="
        return ["-D", "data", "-l", "log", "-w", "-t", "60", "-o", options, "start"]

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self.pid() is not None:
            self._run("pg_ctl", "-D", "data", "-m", "fast", "-w", "stop")

    def pid(self) -> int | None:
        """Its process, by what it wrote itself; None where it does not run."""
        data = self._folder / "data"
        try:
            pid = int((data / "postmaster.pid").read_text().splitlines()[0])
            is_it = Path(psutil.Process(pid).cwd()) == data and psutil.pid_exists(pid)
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return pid if is_it else None

    def _make(self) -> None:
        """Databases and roles, in a folder that appears under its name when it is whole.

        The roles are made before anything listens. Nobody comes in as the administrator: not by
        a socket, for there is none, and not by a password, for none is set.
        """
        whole = self._folder
        for half in whole.parent.glob(f"{_HALF}*"):
            shutil.rmtree(half, ignore_errors=True)  # what a killed start left may still grow
        self._folder = Path(tempfile.mkdtemp(prefix=_HALF, dir=whole.parent))
        try:
            if self._user:
                shutil.chown(self._folder, self._user)
            access = ["--auth-local=reject", "--auth-host=scram-sha-256"]
            names = ["-U", _DATABASE_USER, "-E", "UTF8", "--locale=C.UTF-8"]
            self._run("initdb", "-D", "data", *names, *access)
            quiet = ["-c", "log_min_error_statement=panic", "-c", "exit_on_error=on"]
            self._run("postgres", "--single", *quiet, "-D", "data", "postgres", told=self._roles())
            self._folder.rename(whole)
        finally:
            self._folder = whole

    def _roles(self) -> str:
        """SQL: each of two servers has a role and a database of its own."""
        return "".join(
            f"create role {name} login password '{self._site.secret(f'database-{name}')}';\n"
            f"create database {name} owner {name};\n"
            f"revoke all on database {name} from public;\n"
            for name in (DAGSTER, MLFLOW)
        )

    def _run(self, program: str, *arguments: str, told: str = "") -> None:
        """Run one of its programs; what it says is in the log of its name."""
        where = programs()
        assert where is not None  # noqa: S101 - `check` was asked
        said = self._site.folder / f"{program}.log"
        with said.open("wb") as log:
            done = subprocess.run(  # noqa: S603 - a fixed list of arguments
                [str(where / program), *arguments],
                cwd=self._folder, user=self._user, start_new_session=True,
                input=told.encode(), stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self._folder), "LANG": "C.UTF-8"},
                timeout=_DEADLINE_S, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            own = self._folder / "log"
            more = f"; the server's own: {own}" if own.exists() else ""
            last = said.read_text(errors="replace").strip().splitlines()[-3:]
            raise BackendError(
                reason(
                    RootCause.STORAGE_UNAVAILABLE,
                    f"PostgreSQL: {program} failed: {' / '.join(last)}",
                    remedy=f"Mend what the log says: {said}{more}; then run this again.",
                )
            )


def programs() -> Path | None:
    """Where the package put PostgreSQL's programs, or None where it is not installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in found), key=lambda path: int(path.parts[-2]), default=None)


def store_program() -> str:
    """The name of the object store's program, with the version that is pinned."""
    pins = (PROJECT / "tools" / "versitygw" / "go.mod").read_text()
    pinned = re.search(r"github\.com/versity/versitygw v([0-9.]+)", pins)
    return f"versitygw-{pinned[1] if pinned else ''}"


def check_store() -> None:
    """Whether the object store's program is there.

    Raises:
        ConfigError: TOOL_UNAVAILABLE, it is not built.
    """
    try:
        tool(store_program())
    except ConfigError as error:
        message = error.reasons[0].message.split(";")[0]
        told = reason(RootCause.TOOL_UNAVAILABLE, message, remedy="make object-store")
        raise ConfigError(told) from error


def store(site: Site) -> Server:
    """The object store, on a folder of the site, with versions and object lock."""
    folder, port = site.folder / "store", site.ports["store"]
    argv = [
        str(tools_dir() / store_program()), "--port", f"{HOST}:{port}", "--quiet",
        "--health", "/health", "--iam-dir", str(folder / "iam"),
        "posix", "--versioning-dir", str(folder / "versions"), str(folder / "root"),
    ]  # fmt: skip
    administrator = {
        "ROOT_ACCESS_KEY_ID": ROOT,
        "ROOT_SECRET_ACCESS_KEY": site.secret(f"store-{ROOT}"),
    }
    return Server("store", argv, port, f"{site.store_address}/health", environment=administrator)


def mlflow(site: Site) -> Server:
    """MLflow's server: PostgreSQL behind it, artifacts in the object store, by way of itself."""
    port = site.ports["mlflow"]
    argv = [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", site.mlflow_database,
        "--artifacts-destination", f"s3://{MLFLOW}/artifacts", "--serve-artifacts",
        "--host", HOST, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    environment = {
        "PGPASSFILE": str(site.passwords(MLFLOW)),
        "AWS_SHARED_CREDENTIALS_FILE": str(site.credentials(MLFLOW)),
        "AWS_DEFAULT_REGION": REGION,
        "MLFLOW_S3_ENDPOINT_URL": site.store_address,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Server("mlflow", argv, port, f"{site.mlflow_address}/health", environment=environment)


def ensure(site: Site, server: Server, timeout_s: float, say: Say) -> None:
    """Find a server at work, or start it, and wait until it answers.

    Raises:
        BackendError: STORAGE_UNAVAILABLE, it did not come up; its log is named.
    """
    processes = Processes(site.folder)
    found = processes.find(server) or processes.adopt(server)
    if found is not None and not is_current(server, found):
        stop(site, [server])
        found = None
    begin = partial(_begin, site, server, say)
    process, again = (found, begin) if found is not None else (begin(), None)
    if problem := wait_healthy(server, process, timeout_s, again):
        raise _down(processes, server, problem)


def _begin(site: Site, server: Server, say: Say) -> psutil.Process:
    """Start a server that does not run."""
    processes = Processes(site.folder)
    end_strays(site.folder)
    if not ports.is_left(server.port):
        raise _down(processes, server, f"port {server.port} is taken by another program")
    say(f"starting {server.name} on port {server.port}")
    return processes.start(server)


def stop(site: Site, servers: Sequence[Server]) -> None:
    """End servers with whatever they started."""
    Processes(site.folder).end(servers)
    end_strays(site.folder)


def end_strays(folder: Path) -> None:
    """End what a server left running that was killed: its home is this folder, its parent gone."""
    recorded = {record.pid for record in Processes(folder).records().values()}
    left = []
    for process in psutil.process_iter(["environ", "ppid"]):
        given = process.info["environ"] or {}
        family = {process.pid, process.info["ppid"]}
        if given.get("HOME") == str(folder) and not family & recorded:
            left.append(process)
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=_END_S)
    for process in alive:
        process.kill()


def status(site: Site) -> list[tuple[str, int | None, str]]:
    """(name, process id or None, address) of each server."""
    processes = Processes(site.folder)
    rows: list[tuple[str, int | None, str]] = [
        ("postgres", Postgres(site).pid(), f"{HOST}:{site.ports['postgres']}")
    ]
    for server in (store(site), mlflow(site)):
        found = processes.find(server)
        pid = found.pid if found and is_healthy(server) else None
        rows.append((server.name, pid, f"http://{HOST}:{server.port}"))
    return rows


def start(site: Site, say: Say) -> None:
    """All of them, each after what it needs.

    Raises:
        BackendError: STORAGE_UNAVAILABLE.
    """
    Postgres(site).start(say)
    for name in ("iam", "versions", "root"):
        (site.folder / "store" / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure(site, store(site), _STORE_S, say)
    furnish(site)
    ensure(site, mlflow(site), _MLFLOW_S, say)


def furnish(site: Site) -> None:
    """Two buckets, each with a user who can do there what its server needs, and nowhere else.

    Evidence is added and read, never deleted by its user; MLflow cleans up after itself.
    """
    administrator = client(site, ROOT)
    reading = ["s3:GetObject", "s3:PutObject"]
    allowed = {
        EVIDENCE: [*reading, "s3:PutObjectRetention"],
        MLFLOW: [*reading, "s3:DeleteObject", "s3:AbortMultipartUpload"],
    }
    for name, actions in allowed.items():
        _add_user(site, name)
        known = {item["Name"] for item in administrator.list_buckets().get("Buckets", ())}
        if name not in known:
            administrator.create_bucket(Bucket=name, ObjectLockEnabledForBucket=name == EVIDENCE)
        administrator.put_bucket_policy(Bucket=name, Policy=policy(name, actions))
        client(site, name).list_objects_v2(Bucket=name, MaxKeys=1)


def policy(bucket: str, actions: Sequence[str]) -> str:
    """The policy of a bucket whose user has the same name."""
    place = f"arn:aws:s3:::{bucket}"
    rules = [([*actions], f"{place}/*"), (["s3:ListBucket"], place)]
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": [bucket]}, "Action": can, "Resource": [at]}
                for can, at in rules
            ],
        }
    )


def client(site: Site, user: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """An S3 client of a user of the object store."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=site.store_address,
        region_name=REGION,
        aws_access_key_id=user,
        aws_secret_access_key=site.secret(f"store-{user}"),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def _add_user(site: Site, name: str) -> None:
    """By the store's own interface: its command would take the secret as an argument."""
    import requests
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    fields: Mapping[str, str] = {
        "Access": name, "Secret": site.secret(f"store-{name}"), "Role": "user",
    }  # fmt: skip
    body = "".join(f"<{key}>{escape(text)}</{key}>" for key, text in fields.items())
    asked = AWSRequest(
        "PATCH", f"{site.store_address}/create-user", data=f"<Account>{body}</Account>"
    )
    S3SigV4Auth(Credentials(ROOT, site.secret(f"store-{ROOT}")), "s3", REGION).add_auth(asked)
    sent = asked.prepare()
    session = requests.Session()
    session.trust_env = False
    answer = session.request(
        sent.method, sent.url, data=sent.body, headers=dict(sent.headers), timeout=_STORE_S
    )
    if not answer.ok and answer.status_code != requests.codes.conflict:
        raise BackendError(
            reason(
                RootCause.STORAGE_UNAVAILABLE,
                f"the object store made no user {name}: {answer.status_code}",
                remedy=f"Look at its log: {Processes(site.folder).log('store')}",
            )
        )


def _down(processes: Processes, server: Server, problem: str) -> BackendError:
    log = processes.log(server.name)
    message = f"{problem}; its log ends:\n{processes.last_lines(server.name)}"
    remedy = f"Mend what the log says: {log}; then run this again."
    return BackendError(reason(RootCause.STORAGE_UNAVAILABLE, message, remedy=remedy))
