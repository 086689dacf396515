"""Tools for cases that tamper with signed evidence, and the verifier that looks at nothing."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.dsse import Statement as DsseStatement
from sigstore.models import ClientTrustConfig
from sigstore.sign import Signer, SigningContext

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.store.store import Record
from fraud_provenance_tests.attacks.home import Home

MODEL = "fraud_model"
Change = Callable[[dict[str, Any]], None]


def newest(home: Home, asset: str = MODEL) -> Record:
    """The index row of an asset's newest materialisation."""
    return home.workspace().store.records(asset=asset)[-1]


def document_of(home: Home, record: Record) -> dict[str, Any]:
    """A stored bundle as JSON."""
    path = home.workspace().store.bundle_path(record.bundle)
    return dict(json.loads(path.read_bytes()))


def replace_bundle(home: Home, record: Record, content: bytes) -> None:
    """Put other bytes in a bundle's place, under their own name, as an attacker with the disk."""
    store = home.workspace().store
    store.bundle_path(record.bundle).unlink()
    store.bundle_path(encoding.digest_bytes(content)).write_bytes(content)
    forget_index(home)


def forget_index(home: Home) -> None:
    """The index is derived: without it, it is what the bundles on disk say."""
    (home.path / "evidence" / "index.sqlite").unlink()


def changed_bundle(change: Change, asset: str = MODEL) -> Callable[[Home], None]:
    """An attack: the newest bundle of `asset`, changed and stored again."""

    def attack(home: Home) -> None:
        record = newest(home, asset)
        document = document_of(home, record)
        change(document)
        replace_bundle(home, record, json.dumps(document).encode())

    return attack


def rewritten(home: Home, asset: str = MODEL) -> None:
    """A twin: the same bundle in other bytes, keys in another order and indented."""
    record = newest(home, asset)
    document = document_of(home, record)
    content = json.dumps(dict(reversed(document.items())), indent=1).encode()
    replace_bundle(home, record, content)


def certificate_of(document: dict[str, Any]) -> x509.Certificate:
    """The signing certificate of a bundle."""
    raw = document["verificationMaterial"]["certificate"]["rawBytes"]
    return x509.load_der_x509_certificate(base64.b64decode(raw))


class _OwnSigner(Signer):
    """Signs with a key and a certificate that did not come from Fulcio just now."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, home: Home
    ) -> None:
        config = home.workspace().sigstore.trust_config.read_text("utf-8")
        self._signing_ctx = SigningContext.from_trust_config(ClientTrustConfig.from_json(config))
        self._key, self._certificate = key, certificate

    @property
    def _private_key(self) -> ec.EllipticCurvePrivateKey:
        return self._key

    def _signing_cert(self) -> x509.Certificate:
        return self._certificate


def signed_with(
    home: Home, payload: bytes, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> bytes:
    """A bundle under any key: its timestamp and its log entry are real."""
    return _OwnSigner(key, certificate, home).sign_dsse(DsseStatement(payload)).to_json().encode()


def payload_of(document: dict[str, Any]) -> bytes:
    """The signed bytes of a bundle."""
    return base64.b64decode(document["dsseEnvelope"]["payload"])


def as_of_now(predicate: dict[str, Any]) -> dict[str, Any]:
    """A materialisation's predicate that is signed again: the step says that it ran just now."""
    now = encoding.utc_text(datetime.now(UTC))
    predicate["runDetails"]["metadata"] |= {"startedOn": now, "finishedOn": now}
    return predicate
