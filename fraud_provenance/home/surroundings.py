"""What lies around a home and must not disturb it: variables, proxies, other runs, its own place.

Everything here is asked before work begins, and says all that is wrong at once.
"""

import fcntl
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, VerificationError, reason
from fraud_provenance.attested.ports.clock import machine_clock
from fraud_provenance.causes.product import ProductCause

HOME_VARIABLE = "FRAUD_PROVENANCE_HOME"
_OWN = "FRAUD_PROVENANCE_"
_OWN_VARIABLES = frozenset(
    f"{_OWN}{name}"
    for name in (
        "HOME", "ENVIRONMENT", "EVIDENCE", "EVIDENCE_ENDPOINT", "EVIDENCE_REGION",
        "EVIDENCE_KEPT_DAYS", "DATA", "DATA_ENDPOINT", "DATA_REGION", "DATA_KEPT_DAYS",
        "MEMORY", "MEMORY_ENDPOINT", "MEMORY_REGION", "MEMORY_KEPT_DAYS",
        "MLFLOW_SERVER", "MLFLOW_TOKEN_FILE", "POSTGRES", "ONE_IDENTITY",
        "POSTGRES_PASSWORD", "TOKENS", "OIDC_LOGIN_ISSUER", "OIDC_LOGIN_CLIENT_ID", "TOOLS",
        "FEATURES_ENGINE", "FEATURES_MASTER", "FEATURES_MEMORY_GIB",
        "DBT_INPUT", "DBT_OUTPUT", "DBT_WINDOW", "DBT_MASTER", "DBT_HOST", "DBT_MEMORY_GIB",
        "WEBHOOK", "HEARTBEAT", "ALERT_LOG",  # where alerts go: `alerts.settings`
        "SMTP", "SMTP_USER", "SMTP_PASSWORD", "MAIL_FROM", "MAIL_TO",
        "OPENLINEAGE_TOKEN",  # goes with events: `proofs`
    )
)  # fmt: skip
_OVERRIDE_PREFIXES = (
    "SIGSTORE_",
    "COSIGN_",
    "TUF_",
    "REKOR_",
    "FULCIO_",
    "OPA_",
    "MLFLOW_",
    "SKIP_",
    "AWS_ENDPOINT_URL",
)
_CREDENTIALS = frozenset(("SIGSTORE_ID_TOKEN",))  # GitLab's name of a job's own token
_OVERRIDES = frozenset(("MODEL_URI", "MODEL_PATH", "VERIFY", "NO_VERIFY", "INSECURE"))
_MLFLOW_IDS = frozenset(("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"))
_MLFLOW_STORES = frozenset(("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"))
MLFLOW_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""MLflow's own variables for who asks its server; the settings say which server."""
POSTGRES_PASSWORD = f"{_OWN}POSTGRES_PASSWORD"
"""The variable that holds the password; Dagster reads it there."""
_POSTGRES_ELSEWHERE = frozenset(("PGHOSTADDR", "PGOPTIONS", "PGSERVICE", "PGSERVICEFILE"))
"""By these a client of PostgreSQL goes elsewhere than its address says."""
_SPARK_ELSEWHERE = (
    "SPARK_", "PYSPARK_", "HADOOP_", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS",
    "CLASSPATH",
)  # fmt: skip
"""What begins so tells Spark, or its Java, to run something else than the locked packages do."""
_SPARK_HARMLESS = ("SPARK_LOCAL_IP", "127.0.0.1")
"""Pandera sets it where PySpark is installed; the profile says by itself where to bind."""
HARDENED = {
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
"""What MLflow is told by us: a server leads nobody elsewhere, and does not keep us for long."""
EXPERIMENT = "fraud_model"
"""MLflow's name for our runs."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_UNUSABLE = re.compile(r"[%#?\x00-\x1f\x7f]")


def refuse_overrides(
    environ: Mapping[str, str],
    home: Path,
    mlflow_server: str = "",
    *,
    postgres: bool = False,
    spark: bool = False,
) -> None:
    """Nothing in the environment may say whom to trust or what to skip.

    `mlflow_server`: the one that the settings name, of which MLflow's own variables may tell.
    `postgres`: whether the settings name a PostgreSQL server. `spark`: whether Spark is chosen.

    Raises:
        VerificationError: CONFIG_OVERRIDE, one reason for each such variable.
    """
    told = (str(home), mlflow_server)
    elsewhere = _POSTGRES_ELSEWHERE if postgres else frozenset()
    tools = _SPARK_ELSEWHERE if spark else ()
    names = [
        name
        for name in sorted(environ)
        if name in elsewhere
        or (name.startswith(tools) and (name, environ[name]) != _SPARK_HARMLESS)
        or _overrides(name, environ[name], *told)
    ]
    if names:
        remedy = (
            f"Start without them: unset {' '.join(names)}. Only signed releases say whom to trust."
        )
        raise VerificationError(
            *(
                reason(
                    ProductCause.CONFIG_OVERRIDE,
                    f"the environment variable {name} is set",
                    remedy=remedy,
                    artifact=name,
                )
                for name in names
            )
        )


def _overrides(name: str, value: str, home: str, server: str) -> bool:
    ours = name.startswith(_OWN) and name not in _OWN_VARIABLES
    if name in _CREDENTIALS or not (
        ours or name in _OVERRIDES or name.startswith(_OVERRIDE_PREFIXES)
    ):
        return False
    if name in _MLFLOW_STORES:  # MLflow itself leaves them in a process that used this home
        return value.rstrip("/") != server if server else home not in value
    if name in _MLFLOW_IDS or (server and name in MLFLOW_LOGIN):
        return False
    return HARDENED.get(name) != value


def place_of(named: str) -> Path:
    """The folder that a home's name means: absolute, without links or `..`.

    Raises:
        ConfigError: USAGE, the path holds what addresses of databases and files read otherwise.
    """
    home = Path(named).expanduser().resolve()
    odd = sorted({*_UNUSABLE.findall(str(home))})
    if odd:
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"the home's path holds {', '.join(map(repr, odd))}",
                remedy=f"Set {HOME_VARIABLE} to a folder whose path has no %, #, ? or control "
                "character.",
            )
        )
    return home


def harden(environ: MutableMapping[str, str]) -> None:
    """Loopback is reached directly whatever proxy is set, and MLflow is told what it may not do."""
    named = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    known = [host.strip() for host in named.split(",") if host.strip()]
    direct = "*" if "*" in known else ",".join(dict.fromkeys([*known, *_LOOPBACK]))
    environ["no_proxy"] = environ["NO_PROXY"] = direct
    environ.update(HARDENED)


def check_place(home: Path) -> None:
    """A home works where it was made: MLflow's store names its folders by their full path.

    Raises:
        ConfigError: HOME_MOVED.
    """
    database = home / "mlflow" / "mlflow.db"
    if not database.exists():
        return
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        try:
            places = store.execute(
                "select artifact_location from experiments where name = ?", (EXPERIMENT,)
            ).fetchall()
        except sqlite3.Error:
            return  # whoever reads the registry says what is wrong with it
    named = [unquote(str(place).removeprefix("file://")) for (place,) in places if place]
    if elsewhere := [name for name in named if not name.startswith(f"{home}/")]:
        before = elsewhere[0].removesuffix("/mlflow/artifacts")
        raise ConfigError(
            reason(
                ProductCause.HOME_MOVED,
                f"this home was made at {before}",
                remedy=f"Move it back: mv {home} {before}",
            )
        )


@contextmanager
def alone(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One run at a time in a home: a second one says who is at work, and waits.

    The kernel lets go of the lock when its holder ends, however it ends.
    """
    path = home / "run" / "run.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {_holder(path)}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        now = encoding.utc_text(machine_clock())
        stream.write(json.dumps({"pid": os.getpid(), "since": now}).encode())
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def is_taken(home: Path) -> bool:
    """Whether a run holds the home at this moment."""
    try:
        with (home / "run" / "run.lock").open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = json.loads(path.read_bytes())
        return f"another run in this home: process {known['pid']}, since {known['since']}"
    return "another run in this home"
