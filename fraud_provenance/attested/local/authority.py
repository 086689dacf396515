"""Keys and certificates of the local Sigstore (RFC 5280, RFC 3161 section 2.3, RFC 6962)."""

import datetime as dt
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANIZATION = "fraud_provenance local"
LIFETIME = dt.timedelta(days=3653)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def new_ec_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: PrivateKey) -> bytes:
    """PKCS #8 PEM, unencrypted: for files that only their owner may read."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def encrypted_pem(key: ec.EllipticCurvePrivateKey, password: bytes) -> bytes:
    """Encrypted PEM after RFC 1423, the one form that Fulcio's file CA documents."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(password),
    )


def sec1_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as SEC 1 DER, the form in the CT server's configuration."""
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def spki_der(key: PublicKey) -> bytes:
    """The public key as SubjectPublicKeyInfo DER."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def ct_log_id(key: PublicKey) -> bytes:
    """A CT log's id: SHA-256 of its SubjectPublicKeyInfo (RFC 6962 section 3.2)."""
    return hashlib.sha256(spki_der(key)).digest()


def rekor_log_id(origin: str, key: ed25519.Ed25519PublicKey) -> bytes:
    """A Rekor v2 log's id: the untruncated key hash of C2SP signed-note for Ed25519.

    Its first four bytes are the key hint on the checkpoint's signature line.
    """
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(origin.encode() + b"\n\x01" + raw).digest()


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, not_before: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def root_certificate(
    common_name: str, key: ec.EllipticCurvePrivateKey, not_before: dt.datetime
) -> x509.Certificate:
    """A self-signed CA certificate that may issue leaves only, valid for ten years."""
    public = key.public_key()
    return (
        _builder(common_name, _name(common_name), public, not_before)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def timestamp_certificate(
    key: ec.EllipticCurvePublicKey,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    not_before: dt.datetime,
) -> x509.Certificate:
    """The timestamp authority's leaf: the one critical usage is timeStamping (RFC 3161)."""
    issuer_key = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return (
        _builder("timestamp authority", root.subject, key, not_before)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> bytes:
    """A PEM chain, leaf first."""
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)


def der(certificate: x509.Certificate) -> bytes:
    """One certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)
