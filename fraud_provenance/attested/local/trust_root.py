"""The trust root of one home: private half, created at once or not at all; public half, derived.

`trust/private/` (0700) appears by one rename and is the commit: keys, certificates, ports, the
log's origin. Everything public is derived from it and written again if it is missing, so a kill
at any moment leaves a state that the next start repairs.

The formats are those of protobuf-specs (`sigstore_trustroot.proto`), so that sigstore-python,
cosign and model_signing read them unchanged.
"""

import base64
import datetime as dt
import json
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, VerificationError, reason
from fraud_provenance.attested.core.files import fsync_folder, write_atomic
from fraud_provenance.attested.core.trust_files import client_trust_config, json_file
from fraud_provenance.attested.local import authority, ports
from fraud_provenance.attested.ports.clock import machine_clock
from fraud_provenance.attested.tlog.witness import create_local_witness, policy_document

ISSUER_NAMES = ("workloads", "people")
RESTORE: Final = "Restore trust/ from its backup: its keys are nowhere else."
PUBLIC = (
    "trusted_root.json", "signing_config.json", "client_trust_config.json", "issuers.json",
    "logs.json", "witnesses.json",
)  # fmt: skip
"""What a home needs to know of a Sigstore: whom to believe, where to sign (and both in one), who
issues tokens, where the log's files are, and who countersigns its heads."""
BACKDATED = dt.timedelta(hours=1)  # so that no clock skew makes a fresh root "not yet valid"
_STAGING = ".private."
_LOCAL = "local"


@dataclass(frozen=True)
class Settings:
    """What was decided when the home was created and never changes.

    Attributes:
        created_at: UTC start of every key's and certificate's validity.
        origin: the log's name, first line of each of its checkpoints; unique to this home.
        ports: one port for each of `ports.NAMES`.
    """

    created_at: dt.datetime
    origin: str
    ports: dict[str, int]

    def url(self, name: str) -> str:
        """Base URL of one server."""
        return f"http://{ports.HOST}:{self.ports[name]}"

    @property
    def issuers(self) -> dict[str, str]:
        """The two identity issuers' URLs by role."""
        return {name: f"{self.url('issuer')}/{name}" for name in ISSUER_NAMES}


def private_folder(home: Path) -> Path:
    """Where the keys are; nobody but the owner may enter."""
    return home / "trust" / "private"


def check_private(home: Path, environment: str) -> None:
    """Keys and their folders are the owner's alone; only a local home may have any in reach.

    Raises:
        VerificationError: TMP_PERMS.
    """
    for folder in (private_folder(home), home / "witness"):
        if not os.path.lexists(folder):
            continue
        keys = sorted([*folder.glob("*.key"), *folder.glob("*.json")])
        if environment != _LOCAL and keys and os.access(folder, os.X_OK):
            raise _open_key(folder, f"an authority's keys are within reach in {environment}")
        for path in (folder, *keys):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise _open_key(path, "it is a link")
            if mode & 0o077:
                raise _open_key(path, f"others may use it (mode {stat.S_IMODE(mode):03o})")


def _open_key(path: Path, what: str) -> VerificationError:
    return VerificationError(reason(RootCause.TMP_PERMS, what, artifact=path.name))


def _write_private(folder: Path, name: str, content: bytes) -> None:
    write_atomic(folder / name, content, mode=0o600)


def _write_fulcio(folder: Path, not_before: dt.datetime) -> None:
    key = authority.new_ec_key()
    password = secrets.token_urlsafe(32)
    certificate = authority.root_certificate("certificate authority", key, not_before)
    _write_private(folder, "ca.pem", authority.pem(certificate))
    _write_private(folder, "ca.key", authority.encrypted_pem(key, password.encode()))
    # Fulcio takes the password from this file, so it is on no command line and in no environment.
    _write_private(folder, "fulcio.json", json_file({"fileca-key-passwd": password}))


def _write_timestamp(folder: Path, not_before: dt.datetime) -> None:
    root_key, key = authority.new_ec_key(), authority.new_ec_key()
    root = authority.root_certificate("timestamp root", root_key, not_before)
    leaf = authority.timestamp_certificate(key.public_key(), root, root_key, not_before)
    # The root's key is not kept: it has signed the one certificate it is for.
    _write_private(folder, "timestamp.pem", authority.pem(leaf, root))
    _write_private(folder, "timestamp.key", authority.private_pem(key))


def _write_ct(folder: Path, port: int) -> None:
    key = authority.new_ec_key()
    personality = {
        "UserAgent": "",
        "Addr": f"{ports.HOST}:{port}",
        "PrivKey": base64.b64encode(authority.sec1_der(key)).decode(),
        "FlakinessRate": 0,
    }
    _write_private(folder, "ct.json", json_file({"Personalities": [personality]}))
    _write_private(folder, "ct.key", authority.private_pem(key))


def _create(home: Path) -> None:
    """Make the private half under a temporary name, then rename it into place."""
    trust = home / "trust"
    staging = trust / f"{_STAGING}{secrets.token_hex(6)}"
    staging.mkdir(parents=True, mode=0o700)
    created_at = machine_clock().replace(microsecond=0) - BACKDATED
    chosen = ports.choose(home)
    _write_fulcio(staging, created_at)
    _write_timestamp(staging, created_at)
    _write_ct(staging, chosen["ct"])
    _write_private(
        staging, "rekor.key", authority.private_pem(ed25519.Ed25519PrivateKey.generate())
    )
    for name in ISSUER_NAMES:
        _write_private(staging, f"{name}.key", authority.private_pem(authority.new_ec_key()))
    settings = {
        "version": 1,
        "created_at": created_at.isoformat(),
        "origin": f"rekor-{secrets.token_hex(8)}.localhost",
        "ports": chosen,
    }
    _write_private(staging, "settings.json", json_file(settings))
    staging.rename(private_folder(home))
    fsync_folder(trust)


def exists(home: Path) -> bool:
    """Whether this home has a trust root."""
    return private_folder(home).is_dir()


def lacking(home: Path) -> list[str]:
    """Of the public files that a Sigstore elsewhere gives to a home, those that are not there."""
    return [name for name in PUBLIC if not (home / "trust" / name).is_file()]


def is_given(home: Path) -> bool:
    """Whether this home signs by a Sigstore elsewhere: public files, no keys, no log of its own.

    The public half never comes before the private one, and a log that lost its keys is damage.
    """
    no_keys = not exists(home) and not (home / "log" / "checkpoint").exists()
    return no_keys and len(lacking(home)) < len(PUBLIC)


def load(home: Path) -> Settings:
    """The settings of an existing trust root.

    Raises:
        ConfigError: HOME_MISSING, there is none; ROOT_DIGEST_MISMATCH, it is damaged.
    """
    if not exists(home):
        raise ConfigError(reason(RootCause.HOME_MISSING, f"{home} has no trust root"))
    try:
        stored = json.loads((private_folder(home) / "settings.json").read_bytes())
        return Settings(
            created_at=dt.datetime.fromisoformat(stored["created_at"]),
            origin=str(stored["origin"]),
            ports={name: int(stored["ports"][name]) for name in ports.NAMES},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(f"settings.json: {error!r}") from error


def ensure(home: Path) -> Settings:
    """Create what is missing of the trust root; call it under the home's lock.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, the keys are gone but their log is not: a new root
            would orphan all evidence, so that is left to a person.
    """
    trust = home / "trust"
    for leftover in trust.glob(f"{_STAGING}*"):  # of a start that was killed
        shutil.rmtree(leftover)
    if not exists(home):
        if (home / "log" / "checkpoint").exists():
            raise _damaged("it is missing although log/ has entries")
        _create(home)
    _owner_only(private_folder(home))
    settings = load(home)
    try:
        _publish(home, settings)
    except (FileNotFoundError, ValueError) as error:
        raise _damaged(error) from error
    return settings


def _damaged(what: object) -> ConfigError:
    return ConfigError(
        reason(RootCause.ROOT_DIGEST_MISMATCH, f"trust/private/ is damaged: {what}", remedy=RESTORE)
    )


def _owner_only(folder: Path) -> None:
    """Put the private half's permissions right, should a copy or restore have loosened them."""
    folder.chmod(0o700)
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            Path(entry.path).chmod(0o600)


def load_key(home: Path, name: str) -> ec.EllipticCurvePrivateKey:
    """One of the P-256 keys in the private half.

    Raises:
        ConfigError: HOME_MISSING or ROOT_DIGEST_MISMATCH, as `load`.
    """
    load(home)
    try:
        content = (private_folder(home) / f"{name}.key").read_bytes()
        key = load_pem_private_key(content, password=None)
    except (OSError, ValueError) as error:
        raise _damaged(error) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(f"{name}.key is not a P-256 key")
    return key


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The `kid` that a token's header and the issuer's key set share."""
    return authority.ct_log_id(key).hex()[:16]


def _write_missing(path: Path, content: bytes) -> None:
    """Write a public file unless it is there: a root that was extended by hand is kept."""
    if not path.exists():
        write_atomic(path, content)


def _publish(home: Path, settings: Settings) -> None:
    trust = home / "trust"
    for name, url in settings.issuers.items():
        key = load_key(home, name).public_key()
        _write_missing(
            trust / "issuers" / name / ".well-known" / "openid-configuration",
            json_file(_discovery(url)),
        )
        _write_missing(trust / "issuers" / name / "keys", json_file({"keys": [_jwk(key)]}))
    _write_missing(trust / "fulcio_identities.yaml", _fulcio_identities(settings))
    _write_missing(trust / "issuers.json", json_file(settings.issuers))
    _write_missing(trust / "logs.json", json_file({settings.origin: "log"}))
    if not (trust / "witnesses.json").exists():
        witness = create_local_witness(home / "witness")
        write_atomic(trust / "witnesses.json", policy_document(witness))
    trusted_root = _trusted_root(home, settings)
    signing_config = _signing_config(settings)
    _write_missing(trust / "trusted_root.json", json_file(trusted_root))
    _write_missing(trust / "signing_config.json", json_file(signing_config))
    both = client_trust_config(trusted_root, signing_config)
    _write_missing(trust / "client_trust_config.json", both)


def _discovery(url: str) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 section 3; the endpoints that do not exist answer 404."""
    return {
        "issuer": url,
        "jwks_uri": f"{url}/keys",
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()

    def coordinate(value: int) -> str:
        return base64.urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode()

    return {
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "use": "sig",
        "kid": key_id(key),
        "x": coordinate(numbers.x),
        "y": coordinate(numbers.y),
    }


def _fulcio_identities(settings: Settings) -> bytes:
    """Which issuers Fulcio believes, and which claim becomes the certificate's identity.

    YAML in block style on purpose: Fulcio reads anything that is JSON with other key names.
    """
    workloads, people = settings.issuers["workloads"], settings.issuers["people"]
    return f"""oidc-issuers:
  "{workloads}":
    issuer-url: "{workloads}"
    client-id: sigstore
    type: uri
    subject-domain: "{workloads}"
  "{people}":
    issuer-url: "{people}"
    client-id: sigstore
    type: email
""".encode()


def _time(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _authority(uri: str, chain: list[x509.Certificate], start: str) -> dict[str, Any]:
    root = chain[-1].subject.rfc4514_string()
    return {
        "subject": {"organization": authority.ORGANIZATION, "commonName": root},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": _b64(authority.der(c))} for c in chain]},
        "validFor": {"start": start},
    }


def _log(
    base_url: str, key: authority.PublicKey, details: str, log_id: bytes, start: str
) -> dict[str, Any]:
    return {
        "baseUrl": base_url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(authority.spki_der(key)),
            "keyDetails": details,
            "validFor": {"start": start},
        },
        "logId": {"keyId": _b64(log_id)},
    }


def _trusted_root(home: Path, settings: Settings) -> dict[str, Any]:
    folder, start = private_folder(home), _time(settings.created_at)
    fulcio = x509.load_pem_x509_certificates((folder / "ca.pem").read_bytes())
    timestamp = x509.load_pem_x509_certificates((folder / "timestamp.pem").read_bytes())
    ct_key = load_key(home, "ct").public_key()
    rekor = load_pem_private_key((folder / "rekor.key").read_bytes(), password=None).public_key()
    if not isinstance(rekor, ed25519.Ed25519PublicKey):
        raise _damaged("rekor.key is not an Ed25519 key")
    # Verifiers take the checkpoint's origin from this URL's host name (sigstore-go), therefore
    # it is the origin and not the address; clients submit to the signing configuration's URL.
    log_url = f"http://{settings.origin}:{settings.ports['rekor']}"
    rekor_id = authority.rekor_log_id(settings.origin, rekor)
    ct_id = authority.ct_log_id(ct_key)
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [_log(log_url, rekor, "PKIX_ED25519", rekor_id, start)],
        "certificateAuthorities": [_authority(settings.url("fulcio"), fulcio, start)],
        "ctlogs": [_log(settings.url("ct"), ct_key, "PKIX_ECDSA_P256_SHA_256", ct_id, start)],
        "timestampAuthorities": [_authority(settings.url("timestamp"), timestamp, start)],
    }


def _signing_config(settings: Settings) -> dict[str, Any]:
    def service(url: str, version: int) -> dict[str, Any]:
        return {
            "url": url,
            "majorApiVersion": version,
            "validFor": {"start": _time(settings.created_at)},
            "operator": "fraud_provenance.attested.local",
        }

    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(settings.url("fulcio"), 1)],
        "oidcUrls": [service(settings.issuers["people"], 1)],
        "rekorTlogUrls": [service(settings.url("rekor"), 2)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [service(f"{settings.url('timestamp')}/api/v1/timestamp", 1)],
        "tsaConfig": {"selector": "ANY"},
    }
