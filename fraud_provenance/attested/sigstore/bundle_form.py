"""The form of one Sigstore bundle: untrusted bytes to decoded parts, before a library is asked.

Only what our own signers make is read: bundle format 0.3 with one certificate, one DSSE envelope
with one signature, one RFC 3161 timestamp and one log entry of the one kind that Rekor v2 makes,
with its inclusion proof. Base64 and numbers have one spelling; no field is unknown. Nothing here
is verified but the form.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate, load_der_x509_certificate
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from rfc3161_client import TimeStampResponse, decode_timestamp_response

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.tlog.tiles import ENTRY_KIND, LogEntry, pre_authentication

_MAX_ITEMS = 16
_MAX_BUNDLE_BYTES = 8 * 1024 * 1024
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_NUMBER = 2**63 - 1
_SHA256_BYTES = 32
_SHA256_OID = "2.16.840.1.101.3.4.2.1"


# --- JSON, field by field ------------------------------------------------------------------------


def _decoded(value: object) -> bytes:
    """Base64 in its one canonical form; its spare bits could carry anything."""
    if not isinstance(value, str):
        raise ValueError("no base64 text")
    try:
        content = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
    if base64.b64encode(content).decode("ascii") != value:
        raise ValueError("base64 in another form")
    return content


def _number(value: object) -> int:
    """A whole number as JSON of protobuf writes it: decimal digits in a string."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or int(value) > _MAX_NUMBER:
        raise ValueError(f"{str(value)[:40]!r} is no index or size")
    return int(value)


_Bytes = Annotated[bytes, BeforeValidator(_decoded)]
_Count = Annotated[int, BeforeValidator(_number)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class _Raw(_Part):
    raw_bytes: _Bytes


class _LogId(_Part):
    key_id: _Bytes


class _Kind(_Part):
    kind: str
    version: str


class _Checkpoint(_Part):
    envelope: str


class _Proof(_Part):
    log_index: _Count
    root_hash: _Bytes
    tree_size: _Count
    hashes: list[_Bytes]
    checkpoint: _Checkpoint


class _Entry(_Part):
    log_index: _Count
    log_id: _LogId
    kind_version: _Kind
    integrated_time: Literal["0"] = "0"
    inclusion_proof: _Proof
    canonicalized_body: _Bytes


class _Timestamp(_Part):
    signed_timestamp: _Bytes


class _Timestamps(_Part):
    rfc3161_timestamps: list[_Timestamp]


class _Material(_Part):
    certificate: _Raw
    tlog_entries: list[_Entry]
    timestamp_verification_data: _Timestamps


class _Signature(_Part):
    sig: _Bytes
    keyid: Literal[""] = ""  # a hint that nobody signed: whose key it is, the certificate says


class _Envelope(_Part):
    payload: _Bytes
    payload_type: str
    signatures: list[_Signature]


class _Document(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


# --- the parts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class BundleForm:
    """The decoded parts of one bundle; `log_index` is the entry's, `proof` its inclusion proof."""

    payload_type: str
    payload: bytes
    signature: bytes
    certificate: Certificate
    certificate_der: bytes
    key: ec.EllipticCurvePublicKey
    timestamp: TimeStampResponse
    log_id: bytes
    log_index: int
    proof: _Proof
    body: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return pre_authentication(self.payload, self.payload_type)

    def is_signed(self) -> bool:
        """Whether the certificate's key signed the payload under its type."""
        try:
            self.key.verify(self.signature, self.signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def is_logged_as(self, entry: LogEntry) -> bool:
        """Whether a log entry is of this signature, by this certificate, on this payload."""
        digest = hashlib.sha256(self.signed).hexdigest()
        own = (digest, self.signature, self.certificate_der)
        return (entry.digest, entry.signature, entry.certificate) == own


def read(content: bytes) -> BundleForm:
    """Read one bundle.

    Raises:
        EvidenceError: EVIDENCE_MALFORMED, SIZE_LIMIT, JSON_DUPLICATE_KEY.
        VerificationError: a part is missing, doubled or of another kind, each with its own code.
    """
    document = encoding.strict_json(content, _MAX_BUNDLE_BYTES)
    check_shape(document)
    check_kind(document["verificationMaterial"]["tlogEntries"][0])
    try:
        found = _Document.model_validate(document)
        return _parts(found)
    except (ValidationError, ValueError) as error:
        raise _malformed(str(error)) from error


def _parts(found: _Document) -> BundleForm:
    material, envelope = found.verification_material, found.dsse_envelope
    entry, proof = material.tlog_entries[0], material.tlog_entries[0].inclusion_proof
    raw = material.certificate.raw_bytes
    try:
        certificate = load_der_x509_certificate(raw)
        key = certificate.public_key()
    except Exception as error:  # the parser raises what it likes on strange bytes
        raise ValueError(f"the certificate cannot be read: {error!r}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the certificate's key is not one of P-256")
    if len(entry.log_id.key_id) != _SHA256_BYTES or proof.log_index >= proof.tree_size:
        raise ValueError(f"entry {proof.log_index} in a tree of {proof.tree_size} leaves")
    return BundleForm(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signature=envelope.signatures[0].sig,
        certificate=certificate,
        certificate_der=raw,
        key=key,
        timestamp=_timestamp(material.timestamp_verification_data.rfc3161_timestamps),
        log_id=entry.log_id.key_id,
        log_index=entry.log_index,
        proof=proof,
        body=entry.canonicalized_body,
    )


def _timestamp(stamps: list[_Timestamp]) -> TimeStampResponse:
    """The one timestamp, read; its imprint must be SHA-256."""
    if len(stamps) != 1:
        raise _invalid(RootCause.TIMESTAMP_INVALID, f"{len(stamps)} timestamps, exactly 1")
    try:
        found = decode_timestamp_response(stamps[0].signed_timestamp)
        algorithm = found.tst_info.message_imprint.hash_algorithm.dotted_string
    except Exception as error:
        raise _invalid(RootCause.TIMESTAMP_INVALID, f"no timestamp: {error!r}") from error
    if algorithm != _SHA256_OID:
        raise _invalid(
            RootCause.DIGEST_ALG_UNACCEPTABLE, f"the timestamp is over a digest of {algorithm}"
        )
    return found


# --- what has a cause of its own -----------------------------------------------------------------


def check_shape(document: Any) -> None:  # noqa: ANN401 - untrusted JSON
    """One envelope with one signature, one log entry with its proof, one timestamp."""
    envelope = document.get("dsseEnvelope") if isinstance(document, dict) else None
    if not isinstance(envelope, dict):
        raise _invalid(RootCause.EVIDENCE_MALFORMED, "the bundle holds no DSSE envelope")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise _invalid(RootCause.SIGNATURE_MISSING, "the envelope carries no signature")
    _check_count("signatures", signatures)
    if len(signatures) != 1:
        raise _invalid(
            RootCause.SIGNATURE_COUNT, f"{len(signatures)} signatures, exactly 1 allowed"
        )
    material = document.get("verificationMaterial")
    entries = material.get("tlogEntries") if isinstance(material, dict) else None
    found = []
    if not isinstance(entries, list) or not entries:
        found.append(reason(RootCause.LOG_ENTRY_MISSING, "the bundle proves no log entry"))
    if isinstance(material, dict) and "publicKey" in material:
        found.append(reason(RootCause.KEY_NOT_FROM_ROOT, "the bundle brings its own key"))
    if found or not isinstance(entries, list):
        raise VerificationError(*found)
    if len(entries) != 1:
        raise _invalid(RootCause.SIZE_LIMIT, f"{len(entries)} log entries, exactly 1 allowed")
    data = material.get("timestampVerificationData") if isinstance(material, dict) else None
    stamps = data.get("rfc3161Timestamps") if isinstance(data, dict) else None
    _check_count("timestamps", stamps)
    if not isinstance(stamps, list) or len(stamps) != 1:
        # One verified timestamp satisfies the library; beside it another could claim any time.
        raise _invalid(RootCause.TIMESTAMP_INVALID, "the bundle must carry exactly one timestamp")


def check_kind(entry: Any) -> None:  # noqa: ANN401 - untrusted JSON
    """The log entry says that it is of the kind that our log makes, and brings its proof.

    Rekor v1's kinds have a time and a promise of their own, signed with the log's key alone.
    """
    if not isinstance(entry, dict):
        raise _malformed("the log entry is no object")
    kind = entry.get("kindVersion")
    said = (kind.get("kind"), kind.get("version")) if isinstance(kind, dict) else ("", "")
    if said != ENTRY_KIND:
        raise _invalid(RootCause.LOG_ENTRY_KIND, f"a log entry of kind {_shown(said)}")
    if entry.get("integratedTime", "0") != "0" or "inclusionPromise" in entry:
        raise _invalid(
            RootCause.LOG_ENTRY_KIND, "a log entry with a time or a promise of the log's own"
        )
    proof = entry.get("inclusionProof")
    if not isinstance(proof, dict) or not isinstance(proof.get("checkpoint"), dict):
        raise _invalid(
            RootCause.INCLUSION_INVALID, "the log entry has no inclusion proof with a checkpoint"
        )


def _check_count(what: str, items: Any) -> None:  # noqa: ANN401 - untrusted JSON
    """Honest bundles have one of each; a great many are a bomb, not a mistake."""
    if isinstance(items, list) and len(items) > _MAX_ITEMS:
        raise _invalid(RootCause.SIZE_LIMIT, f"{len(items)} {what}, exactly 1 allowed")


def _shown(said: tuple[object, object]) -> str:
    return f"{str(said[0])[:40]}/{str(said[1])[:20]}"


def _malformed(why: str) -> EvidenceError:
    return EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, f"the bundle's form: {why[:400]}"))


def _invalid(code: str, message: str) -> VerificationError:
    return VerificationError(reason(code, message))
