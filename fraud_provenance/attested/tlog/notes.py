"""Signed notes and checkpoints of transparency logs, and witnesses' countersignatures on them.

Formats: C2SP signed-note, tlog-checkpoint and tlog-cosignature (`cosignature/v1`). Everything read
here is untrusted: a note is a claim until one of its signatures verified under a key that the
trusted root or the witness policy names.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, VerificationError, reason

MAX_NOTE_BYTES = 1 << 16
_MAX_SIGNATURES = 64
_SIGNATURE_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_KEY_NAME = re.compile(r"[^\s+]{1,255}")
_COSIGNATURE = b"\x04"
_ED25519_BYTES, _TIME_BYTES, _HINT_BYTES, _HASH_BYTES = 64, 8, 4, 32


def _untrusted(message: str) -> VerificationError:
    return VerificationError(reason(RootCause.CHECKPOINT_UNTRUSTED, message))


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: who claims to have signed, which key, and the signature proper."""

    name: str
    hint: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, without its newline."""
        content = base64.b64encode(self.hint + self.signature).decode("ascii")
        return f"— {self.name} {content}"


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its name, how many leaves it has, and the Merkle root over them."""

    origin: str
    size: int
    root: bytes
    text: bytes = field(repr=False)
    signatures: tuple[NoteSignature, ...] = field(repr=False)

    @property
    def note(self) -> bytes:
        """The whole note, byte for byte in canonical form."""
        lines = "".join(f"{item.line}\n" for item in self.signatures)
        return self.text + b"\n" + lines.encode("utf-8")

    def with_signatures(self, more: Iterable[NoteSignature]) -> "Checkpoint":
        """The same checkpoint with further signature lines."""
        known = dict.fromkeys([*self.signatures, *more])
        return Checkpoint(self.origin, self.size, self.root, self.text, tuple(known))


def parse_checkpoint(content: bytes) -> Checkpoint:
    """Read a note as a checkpoint; nothing about it is verified.

    Raises:
        VerificationError: CHECKPOINT_UNTRUSTED, it is none.
    """
    if len(content) > MAX_NOTE_BYTES:
        raise _untrusted(f"a checkpoint of {len(content)} bytes, limit {MAX_NOTE_BYTES}")
    try:
        head, lines = content.decode("utf-8").split("\n\n")
        origin, size, root, *_ = head.split("\n")
        if not origin or not _NUMBER.fullmatch(size) or not lines.endswith("\n"):
            raise ValueError("not a note")
        found = [_signature(line) for line in lines[:-1].split("\n")]
        if len(found) > _MAX_SIGNATURES:
            raise ValueError(f"{len(found)} signatures")
        digest = _base64(root)
        if len(digest) != _HASH_BYTES:
            raise ValueError("the root is no SHA-256")
    except (ValueError, binascii.Error) as error:
        raise _untrusted(f"not a checkpoint: {error}") from error
    return Checkpoint(origin, int(size), digest, f"{head}\n".encode(), tuple(found))


def _base64(text: str) -> bytes:
    """Decode base64 in its one canonical form; its spare bits could carry anything."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode("ascii") != text:
        raise ValueError("base64 in another form")
    return content


def _signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise ValueError("a signature line is malformed")
    content = _base64(match[2])
    if len(content) <= _HINT_BYTES:
        raise ValueError("a signature is too short")
    return NoteSignature(match[1], content[:_HINT_BYTES], content[_HINT_BYTES:])


def unsigned_checkpoint(origin: str, size: int, root: bytes) -> Checkpoint:
    """A checkpoint that nobody signed yet."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode('ascii')}\n".encode()
    return Checkpoint(origin, size, root, text, ())


# --- the log's own signature -------------------------------------------------------------------


@dataclass(frozen=True)
class LogKey:
    """The key with which one log signs its checkpoints, from the trusted root."""

    origin: str
    log_id: bytes
    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    def verify(self, checkpoint: Checkpoint) -> None:
        """Demand this log's signature on its own checkpoint.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED.
        """
        if checkpoint.origin != self.origin:
            raise _untrusted(f"checkpoint of {checkpoint.origin[:80]!r}, expected {self.origin!r}")
        if self.is_signer_of(checkpoint):
            return
        raise _untrusted(
            f"the checkpoint of {self.origin} at size {checkpoint.size} is not signed with the "
            "log's key of the trusted root"
        )

    def is_signer_of(self, checkpoint: Checkpoint) -> bool:
        """Whether one of the checkpoint's signatures is this log's."""
        ours = (self.origin, self.log_id[:_HINT_BYTES])
        return any(
            (item.name, item.hint) == ours and self._is_signed(checkpoint, item)
            for item in checkpoint.signatures
        )

    def _is_signed(self, checkpoint: Checkpoint, item: NoteSignature) -> bool:
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(item.signature, checkpoint.text)
            else:
                self.key.verify(item.signature, checkpoint.text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def log_keys(trusted_root: bytes) -> dict[bytes, LogKey]:
    """Log id → key of every log in a Sigstore trusted root.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, it cannot be read.
    """
    try:
        document = encoding.strict_json(trusted_root)
        found: dict[bytes, LogKey] = {}
        for key in map(_log_key, document["tlogs"]):
            found.setdefault(key.log_id, key)  # listed again elsewhere, it is still the first one
        return found
    except (LookupError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            reason(RootCause.ROOT_DIGEST_MISMATCH, f"the trusted root's logs: {error!r}")
        ) from error


def _log_key(log: dict[str, Any]) -> LogKey:
    """One `tlogs` entry; a log's origin is its base URL's host name (rekor-tiles, CLIENTS.md)."""
    from urllib.parse import urlsplit

    key = load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"], validate=True))
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"a log key of type {type(key).__name__}")
    log_id = base64.b64decode(log["logId"]["keyId"], validate=True)
    origin = urlsplit(log["baseUrl"]).hostname
    if not origin or len(log_id) < _HINT_BYTES:
        raise ValueError("a log without name or id")
    return LogKey(origin, log_id, key)


# --- countersignatures -------------------------------------------------------------------------


@dataclass(frozen=True)
class WitnessKey:
    """The public key of one witness, as a C2SP verifier key: `name+hint+base64`."""

    name: str
    raw: bytes

    @classmethod
    def of(cls, name: str, key: ed25519.Ed25519PrivateKey) -> "WitnessKey":
        """The public half of a witness's key."""
        return cls(name, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def hint(self) -> bytes:
        """The first bytes of SHA-256 over name, algorithm and key."""
        content = self.name.encode() + b"\n" + _COSIGNATURE + self.raw
        return hashlib.sha256(content).digest()[:_HINT_BYTES]

    @property
    def text(self) -> str:
        """The verifier key as text."""
        content = base64.b64encode(_COSIGNATURE + self.raw).decode("ascii")
        return f"{self.name}+{self.hint.hex()}+{content}"

    def signed_at(self, checkpoint: Checkpoint) -> int | None:
        """When this witness countersigned (Unix seconds), or None if it did not."""
        times = [
            int.from_bytes(item.signature[:_TIME_BYTES], "big")
            for item in checkpoint.signatures
            if item.name == self.name and item.hint == self.hint and self._holds(checkpoint, item)
        ]
        return max(times, default=None)

    def _holds(self, checkpoint: Checkpoint, item: NoteSignature) -> bool:
        if len(item.signature) != _TIME_BYTES + _ED25519_BYTES:
            return False
        time_s = int.from_bytes(item.signature[:_TIME_BYTES], "big")
        try:
            key = ed25519.Ed25519PublicKey.from_public_bytes(self.raw)
            key.verify(item.signature[_TIME_BYTES:], _cosigned(checkpoint, time_s))
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_witness_key(text: str) -> WitnessKey:
    """Read a verifier key.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, it is none or its parts contradict each other.
    """
    try:
        name, hint, content = text.split("+", 2)
        raw = base64.b64decode(content, validate=True)
        if not _KEY_NAME.fullmatch(name) or raw[:1] != _COSIGNATURE:
            raise ValueError("not a cosignature/v1 key")
        ed25519.Ed25519PublicKey.from_public_bytes(raw[1:])
        found = WitnessKey(name, raw[1:])
        if found.hint.hex() != hint:
            raise ValueError("the key's hash does not fit")
    except (ValueError, binascii.Error) as error:
        raise ConfigError(
            reason(RootCause.ROOT_DIGEST_MISMATCH, f"not a witness key: {error}")
        ) from error
    return found


def countersign(
    checkpoint: Checkpoint, name: str, key: ed25519.Ed25519PrivateKey, time_s: int
) -> NoteSignature:
    """A witness's timestamped signature line on a checkpoint."""
    signature = key.sign(_cosigned(checkpoint, time_s))
    return NoteSignature(
        name,
        WitnessKey.of(name, key).hint,
        time_s.to_bytes(_TIME_BYTES, "big") + signature,
    )


def _cosigned(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n".encode() + checkpoint.text
