"""SI: signatures and identities of the training statement, judged where a model is promoted."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from fraud_provenance.evidence.signers import Signers
from fraud_provenance.evidence.statements import Identity
from fraud_provenance.local.trust_root import private_folder
from fraud_provenance_tests.attacks.bundles import (
    certificate_of,
    changed_bundle,
    document_of,
    forget_index,
    newest,
    payload_of,
    replace_bundle,
    rewritten,
    signed_with,
)
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case, Mutant
from fraud_provenance_tests.attacks.mutants import (
    both,
    nothing_verified,
    policy_without,
    unordered,
    without,
)

_HOUR = timedelta(hours=1)


def drop_signature(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["signatures"] = []


def add_first_signature(document: dict[str, Any]) -> None:
    """Another key signs the same bytes and stands first; the trusted signature follows."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = key.sign(b"the attacker's words", ec.ECDSA(hashes.SHA256()))
    signatures = document["dsseEnvelope"]["signatures"]
    signatures.insert(0, {"sig": base64.b64encode(own).decode()})


def bring_own_key(document: dict[str, Any]) -> None:
    """The bundle names a public key of its own where its certificate was."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    del document["verificationMaterial"]["certificate"]
    document["verificationMaterial"]["publicKey"] = {"hint": base64.b64encode(raw).decode()}


def lift_timestamp(home: Home) -> None:
    """The training statement carries the timestamp of the training set's."""
    lifted = document_of(home, newest(home, "training_set"))["verificationMaterial"]

    def change(document: dict[str, Any]) -> None:
        stamps = lifted["timestampVerificationData"]
        document["verificationMaterial"]["timestampVerificationData"] = stamps

    changed_bundle(change)(home)


def other_certificate(
    like: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    ended: timedelta,
) -> x509.Certificate:
    """A certificate with the names of `like`, whose validity ended some time ago."""
    until = datetime.now(UTC) - ended
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - _HOUR / 6)
        .not_valid_after(until)
    )
    for extension in like.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer_key, hashes.SHA256())


def sign_with_own_certificate(home: Home) -> None:
    """Everything is right but the authority, which is the attacker's own."""
    record = newest(home)
    document = document_of(home, record)
    key = ec.generate_private_key(ec.SECP256R1())
    like = certificate_of(document)
    certificate = other_certificate(like, key, key, like.issuer, -_HOUR / 12)
    replace_bundle(home, record, signed_with(home, payload_of(document), key, certificate))


def sign_after_the_end(home: Home) -> None:
    """A key of the trusted authority whose certificate ended an hour before the signature."""
    record = newest(home)
    document = document_of(home, record)
    private = private_folder(home.path)
    password = json.loads((private / "fulcio.json").read_bytes())["fileca-key-passwd"]
    authority = load_pem_private_key((private / "ca.key").read_bytes(), password.encode())
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    like = certificate_of(document)
    certificate = other_certificate(like, key, authority, like.issuer, _HOUR)
    replace_bundle(home, record, signed_with(home, payload_of(document), key, certificate))


def signed_by(subject: str) -> Attack:
    """The very training statement, signed anew by a workload that holds a valid identity."""

    def attack(home: Home) -> None:
        workspace, record = home.workspace(), newest(home)
        node = workspace.trust.lineage().node(record.statement)
        assert node.bundle is not None
        workspace.store.bundle_path(record.bundle).unlink()
        identity = Identity(issuer="workloads", subject=subject)
        workspace.trust.signing.sign(node.bundle.statement, identity)
        forget_index(home)

    return attack


anybody_may_sign = both(
    without(Signers, "check_identity"),
    unordered,
    policy_without("IDENTITY_NOT_AUTHORIZED_FOR_STEP", "TRAINER_UNKNOWN"),
)
"""A mutant: neither the kernel nor the policy compares the signer with the layout's."""


def _case(
    name: str, attack: Attack, mutant: Mutant = nothing_verified, twin: Attack = rewritten
) -> Case:
    return Case(
        id=name,
        attack=attack,
        judge=promote(),
        twin=twin,
        mutant=mutant,
        state="approved",
        quick=name == "SI-03",
    )


CASES = [
    _case("SI-01", changed_bundle(drop_signature)),
    _case("SI-02", sign_with_own_certificate),
    _case("SI-03", signed_by("/steps/ingest"), anybody_may_sign),
    _case("SI-06", changed_bundle(add_first_signature)),
    _case("SI-08", sign_after_the_end),
    _case("SI-13", changed_bundle(bring_own_key)),
    _case("SI-15", lift_timestamp),
]
