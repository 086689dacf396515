"""SI: signatures and identities of the training statement, judged where a model is promoted."""

import base64
import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.local import trust_root
from fraud_provenance.attested.local.trust_root import private_folder
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.models.facts import EVALUATION
from fraud_provenance_tests.attacks.bundles import (
    as_of_now,
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
from fraud_provenance_tests.attacks.cases_governance import start_over
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case, Mutant
from fraud_provenance_tests.attacks.mutants import (
    both,
    cosign_accepts_all,
    nothing_verified,
    policy_without,
    unordered,
    without,
)

_HOUR = timedelta(hours=1)
_ISSUER_OID = "1.3.6.1.4.1.57264.1.8"  # Fulcio's: the token's issuer


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


def authority_key(home: Home) -> ec.EllipticCurvePrivateKey:
    """The certificate authority's own key."""
    private = private_folder(home.path)
    password = json.loads((private / "fulcio.json").read_bytes())["fileca-key-passwd"]
    key = load_pem_private_key((private / "ca.key").read_bytes(), password.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def sign_after_the_end(home: Home) -> None:
    """A key of the trusted authority whose certificate ended an hour before the signature."""
    record = newest(home)
    document = document_of(home, record)
    authority = authority_key(home)
    key = ec.generate_private_key(ec.SECP256R1())
    like = certificate_of(document)
    certificate = other_certificate(like, key, authority, like.issuer, _HOUR)
    replace_bundle(home, record, signed_with(home, payload_of(document), key, certificate))


def vouched_for_by(issuer: str) -> Attack:
    """The evaluation under a real certificate that names another issuer."""

    def attack(home: Home) -> None:
        record = newest(home, EVALUATION)
        document = document_of(home, record)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certified(home, certificate_of(document), key, issuer)
        replace_bundle(home, record, signed_with(home, payload_of(document), key, certificate))

    return attack


def signed_anew(home: Home) -> None:
    """The twin: our own issuer vouches for a next version; what comes after it is signed again."""
    document = document_of(home, newest(home, EVALUATION))
    payload = json.loads(payload_of(document))
    predicate = as_of_now(payload["predicate"])
    sequence, previous = home.workspace().trust.lineage().versions.next(EVALUATION)
    internal = predicate["buildDefinition"]["internalParameters"]
    internal |= {"sequence": sequence, "previous": previous}
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certified(home, certificate_of(document), key, "")
    content = signed_with(home, encoding.canonical_json(payload), key, certificate)
    home.workspace().store.bundle_path(encoding.digest_bytes(content)).write_bytes(content)
    forget_index(home)
    start_over(home)


def _certified(
    home: Home, like: x509.Certificate, key: ec.EllipticCurvePrivateKey, issuer: str
) -> x509.Certificate:
    """What the authority would have issued for a token of `issuer`, with the CT log's promise."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR / 12)
        .not_valid_after(now + _HOUR / 12)
    )
    for extension in like.extensions:
        if extension.oid == ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS:
            continue
        value: x509.ExtensionType = extension.value
        if issuer and extension.oid.dotted_string == _ISSUER_OID:
            raw = issuer.encode()
            value = x509.UnrecognizedExtension(extension.oid, bytes([0x0C, len(raw)]) + raw)
        builder = builder.add_extension(value, extension.critical)
    authority = authority_key(home)
    announced = builder.add_extension(x509.PrecertPoison(), critical=True)
    promise = _ct_promise(home, announced.sign(authority, hashes.SHA256()))
    oid = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
    final = builder.add_extension(x509.UnrecognizedExtension(oid, promise), critical=False)
    return final.sign(authority, hashes.SHA256())


def _ct_promise(home: Home, announced: x509.Certificate) -> bytes:
    """The CT log's timestamp for a precertificate, as an extension's value (RFC 6962, 3.2, 3.3)."""
    root = x509.load_pem_x509_certificate((private_folder(home.path) / "ca.pem").read_bytes())
    chain = [base64.b64encode(item.public_bytes(Encoding.DER)) for item in (announced, root)]
    answer = requests.post(
        f"{trust_root.load(home.path).url('ct')}/ct/v1/add-pre-chain",
        json={"chain": [item.decode() for item in chain]},
        timeout=30,
    )
    answer.raise_for_status()
    said = answer.json()
    promise = (
        bytes([0])
        + base64.b64decode(said["id"])
        + int(said["timestamp"]).to_bytes(8, "big")
        + bytes(2)  # no extensions
        + base64.b64decode(said["signature"])
    )
    one = len(promise).to_bytes(2, "big") + promise
    listed = len(one).to_bytes(2, "big") + one
    assert len(listed) < 128  # the short form of a length
    return bytes([0x04, len(listed)]) + listed


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


def any_issuer() -> AbstractContextManager[object]:
    """A mutant: the name alone says who signed, whoever vouches for it."""

    def identity(verifier: BundleVerifier, reader: Any) -> Identity:  # noqa: ANN401 - as the original
        return next(
            Identity(issuer=role, subject=reader.subject.removeprefix(url.rstrip("/")))
            if role == "workloads"
            else Identity(issuer=role, subject=reader.subject)
            for url, role in verifier._roles.items()
            if (role == "workloads") == reader.subject.startswith("http")
        )

    return patched(BundleVerifier, "_identity", identity)


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
    _case("SI-11", vouched_for_by("https://issuer.example"),
          both(any_issuer, cosign_accepts_all, unordered), signed_anew),
    _case("SI-13", changed_bundle(bring_own_key)),
    _case("SI-15", lift_timestamp),
]  # fmt: skip
