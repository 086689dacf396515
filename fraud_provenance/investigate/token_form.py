"""The form of a timestamp token (RFC 3161, RFC 5652) where its own signature does not reach.

A library compares what was signed. Version numbers, certificates that the token brings along and
whatever follows the signature could say anything; in a file for an auditor they say one thing.
"""

from cryptography.hazmat.primitives.serialization import Encoding

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.sigstore.bundle_form import BundleForm
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.attested.tlog import notes

_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID = 0x30, 0x31, 0x02, 0x04, 0x06
_ZERO, _GRANTED = 0xA0, b"\x02\x01\x00"
_ALGORITHMS = {  # digest → ECDSA with it, as DER
    bytes.fromhex("608648016503040201"): bytes.fromhex("2a8648ce3d040302"),
    bytes.fromhex("608648016503040202"): bytes.fromhex("2a8648ce3d040303"),
    bytes.fromhex("608648016503040203"): bytes.fromhex("2a8648ce3d040304"),
}


def check_token(form: BundleForm, verifier: BundleVerifier) -> None:
    """Demand the one form of a bundle's timestamp, and of its checkpoint's signatures.

    Raises:
        VerificationError: TIMESTAMP_INVALID or CHECKPOINT_UNTRUSTED.
    """
    known = {item.public_bytes(Encoding.DER) for item in verifier.timekeepers()}
    try:
        _check(form.timestamp.as_bytes(), known)
    except ValueError as error:
        why = f"the timestamp's form: {error}"
        raise VerificationError(reason(RootCause.TIMESTAMP_INVALID, why)) from error
    head = notes.parse_checkpoint(form.proof.checkpoint.envelope.encode("utf-8"))
    if len(head.signatures) != 1:
        why = f"the checkpoint of a bundle has {len(head.signatures)} signatures, its log's is 1"
        raise VerificationError(reason(RootCause.CHECKPOINT_UNTRUSTED, why))


def _check(token: bytes, known: set[bytes]) -> None:
    (answer,) = _items(token, _SEQUENCE)
    status, content = _items(answer, _SEQUENCE, _SEQUENCE)
    kind, signed = _items(content, _OID, _ZERO)
    (signed,) = _items(signed, _SEQUENCE)
    version, digests, _, certificates, signers = _items(
        signed, _INTEGER, _SET, _SEQUENCE, _ZERO, _SET
    )
    (signer,) = _items(signers, _SEQUENCE)
    one, _, digest, _, algorithm, _ = _items(
        signer, _INTEGER, _SEQUENCE, _SEQUENCE, _ZERO, _SEQUENCE, _OCTETS
    )
    if (status, version, one) != (_GRANTED, b"\x03", b"\x01") or not kind:
        raise ValueError("another status or version")
    (name,) = _items(digest, _OID)
    if algorithm != _tlv(_OID, _ALGORITHMS.get(name, b"")) or digests != _tlv(_SEQUENCE, digest):
        raise ValueError("other algorithms than an authority of ours uses")
    if not all(_tlv(tag, data) in known for tag, data in _parts(certificates)):
        raise ValueError("it brings a certificate that is not the authority's")


def _items(content: bytes, *tags: int) -> list[bytes]:
    """The contents of exactly these elements."""
    found = _parts(content)
    if tuple(tag for tag, _ in found) != tags:
        raise ValueError("other elements than expected")
    return [data for _, data in found]


def _parts(content: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element, in DER (X.690, 10.1: the shortest length)."""
    found = []
    at = 0
    while at < len(content):
        tag, size, start = content[at], int.from_bytes(content[at + 1 : at + 2], "big"), at + 2
        if size > 0x80:
            start += size - 0x80
            size = int.from_bytes(content[at + 2 : start], "big")
        end = start + size
        if end > len(content) or content[at:end] != _tlv(tag, content[start:end]):
            raise ValueError("not DER")
        found.append((tag, content[start:end]))
        at = end
    return found


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 + len(length))) + length + content
