"""The five servers' command lines. No secret is on any of them."""

import hashlib
import sys
from pathlib import Path

from fraud_provenance.attested.local.ports import HOST
from fraud_provenance.attested.local.processes import Server
from fraud_provenance.attested.local.tools import tools_dir
from fraud_provenance.attested.local.trust_root import Settings, private_folder

TOOLS = ("ct-test-srv", "fulcio", "rekor-server", "timestamp-server")
# One signature waits for its batch; its checkpoint is published at once. Of many at a time each
# waits for the interval as well. Half of it makes none of them faster. Neither costs while idle.
CHECKPOINT_INTERVAL = "20ms"
BATCH_MAX_AGE = "5ms"


def _issuer(home: Path, settings: Settings) -> Server:
    """Two static OpenID issuers in one process."""
    port = settings.ports["issuer"]
    folder = str(home / "trust" / "issuers")
    argv = [sys.executable, "-I", "-m", "http.server", str(port), "--bind", HOST]
    health = f"{settings.issuers['workloads']}/.well-known/openid-configuration"
    return Server("issuer", [*argv, "--directory", folder], port, health)


def _ct(home: Path, settings: Settings) -> Server:
    argv = [_program("ct-test-srv"), "-config", str(private_folder(home) / "ct.json")]
    health = f"{settings.url('ct')}/submissions?hostnames="
    return Server("ct", argv, settings.ports["ct"], health)


def _fulcio(home: Path, settings: Settings) -> Server:
    private = private_folder(home)
    # Linux's abstract socket names are shared by the whole machine.
    socket_name = hashlib.sha256(str(home).encode()).hexdigest()[:24]
    options = {
        "config": private / "fulcio.json",
        "config-path": home / "trust" / "fulcio_identities.yaml",
        "log_type": "prod",
        "ca": "fileca",
        "fileca-cert": private / "ca.pem",
        "fileca-key": private / "ca.key",
        "fileca-watch": "false",
        "ct-log-url": settings.url("ct"),
        "host": HOST,
        "port": settings.ports["fulcio"],
        "grpc-host": HOST,
        "grpc-port": settings.ports["fulcio_grpc"],
        "metrics-port": settings.ports["fulcio_metrics"],
        "legacy-unix-domain-socket": f"@fraud-provenance-fulcio-{socket_name}",
    }
    others = [settings.ports["fulcio_grpc"], settings.ports["fulcio_metrics"]]
    return Server(
        "fulcio",
        [_program("fulcio"), "serve", *_flags(options)],
        settings.ports["fulcio"],
        f"{settings.url('fulcio')}/healthz",
        others,
    )


def _timestamp(home: Path, settings: Settings) -> Server:
    private = private_folder(home)
    options = {
        # Without it a file of that name in a home or working folder would be read.
        "config": home / "run" / "no-timestamp-config.yaml",
        "log-type": "prod",
        "timestamp-signer": "file",
        "file-signer-key-path": private / "timestamp.key",
        "certificate-chain-path": private / "timestamp.pem",
        "disable-ntp-monitoring": "true",
        "host": HOST,
        "port": settings.ports["timestamp"],
        "graceful-timeout": "1s",
        "cleanup-timeout": "1s",
    }
    return Server(
        "timestamp",
        [_program("timestamp-server"), "serve", *_flags(options)],
        settings.ports["timestamp"],
        f"{settings.url('timestamp')}/ping",
    )


def _rekor(home: Path, settings: Settings) -> Server:
    options = {
        "storage-dir": home / "log",
        "signer-filepath": private_folder(home) / "rekor.key",
        "hostname": settings.origin,
        "http-address": HOST,
        "http-port": settings.ports["rekor"],
        "grpc-address": HOST,
        "grpc-port": settings.ports["rekor_grpc"],
        "http-metrics-port": settings.ports["rekor_metrics"],
        "checkpoint-interval": CHECKPOINT_INTERVAL,
        "batch-max-age": BATCH_MAX_AGE,
        "tlog-timeout": "3s",
        "log-level": "warn",
    }
    others = [settings.ports["rekor_grpc"], settings.ports["rekor_metrics"]]
    return Server(
        "rekor",
        [_program("rekor-server"), "serve", *_flags(options)],
        settings.ports["rekor"],
        f"{settings.url('rekor')}/healthz",
        others,
    )


def _program(name: str) -> str:
    """A tool's path, built or not: a home is stopped and looked at without its tools."""
    return str(tools_dir() / name)


def _flags(options: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def all_servers(home: Path, settings: Settings) -> list[Server]:
    """The servers in the order in which they start: Fulcio asks the issuer for its keys."""
    makers = (_issuer, _ct, _timestamp, _rekor, _fulcio)
    return [make(home, settings) for make in makers]
