"""Witnesses: they countersign a log's head only after they saw that it grew from the last one.

A log that forks can show each reader a consistent tree of its own. A witness keeps its own memory
and its own key, apart from the log's and from ours, and answers as C2SP tlog-witness says.
"""

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import Case, RootCause, remedy
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.tlog import merkle, notes
from fraud_provenance.attested.tlog.notes import Checkpoint, LogKey, NoteSignature, WitnessKey
from fraud_provenance.attested.tlog.tiles import Tree

_KEY_FILE, _MEMORY_SUFFIX = "witness.key", ".checkpoint"
_LIMIT_BYTES = 1 << 16
_DEADLINE_S = 10.0


class Conflict(Exception):  # noqa: N818 - the protocol's word
    """The witness remembers another size than the one the proof starts from."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the witness is at size {size}")


class Witness(Protocol):
    """One witness."""

    key: WitnessKey

    def add(
        self, checkpoint: Checkpoint, old_size: int, proof: Sequence[bytes]
    ) -> Sequence[NoteSignature]:
        """Countersignature lines on a checkpoint that grew from the one of `old_size`.

        Raises:
            Conflict: the witness is at another size.
            VerificationError: LOG_ROLLBACK, LOG_FORK or CHECKPOINT_UNTRUSTED; it will not sign.
            BackendError: WITNESS_UNAVAILABLE.
        """


class LocalWitness:
    """A witness with key and memory in a folder of its own, asked in-process."""

    def __init__(
        self,
        folder: Path,
        logs: Mapping[str, LogKey],
        clock: Clock = machine_clock,
    ) -> None:
        """`logs`: origin → the key it knows that log by.

        Raises:
            ConfigError: ROOT_DIGEST_MISMATCH, its key cannot be read.
        """
        self._folder = folder
        self._logs = logs
        self._clock = clock
        self._private, name = _load_key(folder)
        self.key = WitnessKey.of(name, self._private)

    def remembered(self, origin: str) -> Checkpoint | None:
        """The last checkpoint that it countersigned, if any; its own signature is demanded.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED, its memory was edited.
        """
        path = self._folder / f"{origin}{_MEMORY_SUFFIX}"
        if not path.exists():
            return None
        found = notes.parse_checkpoint(files.read_once(path, limit_bytes=notes.MAX_NOTE_BYTES))
        if found.origin != origin or self.key.signed_at(found) is None:
            raise VerificationError(
                reason(
                    RootCause.CHECKPOINT_UNTRUSTED,
                    f"the witness {self.key.name} does not recognise what it should remember",
                )
            )
        return found

    def add(
        self, checkpoint: Checkpoint, old_size: int, proof: Sequence[bytes]
    ) -> Sequence[NoteSignature]:
        """See `Witness.add`."""
        if checkpoint.origin not in self._logs:
            raise VerificationError(
                reason(
                    RootCause.CHECKPOINT_UNTRUSTED,
                    f"the witness knows no log {checkpoint.origin[:80]!r}",
                )
            )
        self._logs[checkpoint.origin].verify(checkpoint)
        with files.exclusive_lock(self._folder / "lock"):
            last = self.remembered(checkpoint.origin)
            size, root = (last.size, last.root) if last else (0, merkle.EMPTY_ROOT)
            if checkpoint.size < size:
                raise VerificationError(_shrank(self.key.name, size, checkpoint))
            if old_size != size:
                raise Conflict(size)
            if not merkle.is_consistent(size, root, checkpoint.size, checkpoint.root, proof):
                raise VerificationError(
                    reason(
                        RootCause.LOG_FORK,
                        f"the witness {self.key.name} saw another tree at size {size}",
                        artifact=f"log {checkpoint.origin}",
                    )
                )
            line = notes.countersign(
                checkpoint, self.key.name, self._private, int(self._clock().timestamp())
            )
            signed = checkpoint.with_signatures([line])
            files.write_atomic(
                self._folder / f"{checkpoint.origin}{_MEMORY_SUFFIX}", signed.note, mode=0o600
            )
        return [line]


def _shrank(who: str, size: int, checkpoint: Checkpoint) -> Reason:
    return reason(
        RootCause.LOG_ROLLBACK,
        f"the witness {who} saw {size} leaves, the log shows {checkpoint.size}",
        artifact=f"log {checkpoint.origin}",
    )


def create_local_witness(folder: Path) -> WitnessKey:
    """Make a witness's key, if there is none; returns the public half."""
    if not (folder / _KEY_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = ed25519.Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        name = f"witness-{secrets.token_hex(4)}.localhost"
        files.write_atomic(folder / _KEY_FILE, f"{name}\n".encode() + pem, mode=0o600)
    private, name = _load_key(folder)
    return WitnessKey.of(name, private)


def _load_key(folder: Path) -> tuple[ed25519.Ed25519PrivateKey, str]:
    try:
        name, _, pem = files.read_once(folder / _KEY_FILE, limit_bytes=_LIMIT_BYTES).partition(
            b"\n"
        )
        private = load_pem_private_key(pem, password=None)
        if not isinstance(private, ed25519.Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")
        return private, name.decode("ascii")
    except (ProvenanceError, ValueError, TypeError) as error:
        raise ConfigError(
            reason(RootCause.ROOT_DIGEST_MISMATCH, f"the witness's key cannot be used: {error}")
        ) from error


class HttpWitness:
    """A witness elsewhere, asked by the C2SP tlog-witness protocol."""

    def __init__(self, key: WitnessKey, url: str, deadline_s: float = _DEADLINE_S) -> None:
        self.key = key
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s

    def add(
        self, checkpoint: Checkpoint, old_size: int, proof: Sequence[bytes]
    ) -> Sequence[NoteSignature]:
        """See `Witness.add`; answers are 200, 409 (with its size), or a refusal."""
        import requests

        lines = [f"old {old_size}", *(base64.b64encode(item).decode() for item in proof)]
        body = "\n".join(lines).encode() + b"\n\n" + checkpoint.note
        try:
            with requests.post(
                f"{self._url}/add-checkpoint", data=body, timeout=self._deadline_s,
                allow_redirects=False, stream=True,
            ) as answer:  # fmt: skip
                status = answer.status_code
                content = answer.raw.read(notes.MAX_NOTE_BYTES, decode_content=True)
        except requests.RequestException as error:
            raise self._unavailable(type(error).__name__) from error
        if status == 409 and content.strip().isdigit():
            raise Conflict(int(content))
        if status == 422:
            raise VerificationError(
                reason(
                    RootCause.LOG_FORK,
                    f"the witness {self.key.name} saw another tree at size {old_size}",
                    artifact=f"log {checkpoint.origin}",
                )
            )
        if status != 200:
            raise self._unavailable(f"answer {status}")
        try:
            return notes.parse_checkpoint(checkpoint.text + b"\n" + content).signatures
        except VerificationError as error:
            raise self._unavailable("its answer holds no signature") from error

    def _unavailable(self, what: str) -> BackendError:
        return BackendError(
            reason(RootCause.WITNESS_UNAVAILABLE, f"the witness {self.key.name}: {what}")
        )


# --- the policy --------------------------------------------------------------------------------


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    url: str = ""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: int = Field(ge=1)
    witnesses: tuple[_Entry, ...] = Field(min_length=1, max_length=32)


@dataclass(frozen=True)
class WitnessPolicy:
    """Whose countersignatures count, where they are asked, and how many are needed."""

    threshold: int
    keys: Mapping[WitnessKey, str]

    def is_met(self, checkpoint: Checkpoint) -> bool:
        """Whether enough distinct witnesses countersigned."""
        return len(self._signed(checkpoint)) >= self.threshold

    def _signed(self, checkpoint: Checkpoint) -> list[str]:
        return [key.name for key in self.keys if key.signed_at(checkpoint) is not None]

    def check(self, checkpoint: Checkpoint) -> None:
        """Demand enough countersignatures of distinct witnesses.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED.
        """
        signed = self._signed(checkpoint)
        if len(signed) < self.threshold:
            raise VerificationError(
                reason(
                    RootCause.CHECKPOINT_UNTRUSTED,
                    f"{len(signed)} of {self.threshold} needed witnesses countersigned the "
                    f"checkpoint of {checkpoint.origin} at size {checkpoint.size}",
                )
            )


def load_policy(path: Path) -> WitnessPolicy:
    """Read `witnesses.json`.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, it is missing, malformed or can never be met.
    """
    try:
        content = files.read_once(path, limit_bytes=_LIMIT_BYTES)
    except ProvenanceError as error:
        raise _unusable(error) from error
    return parse_policy(content)


def parse_policy(content: bytes) -> WitnessPolicy:
    """Read the bytes of a `witnesses.json`.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, it is malformed or can never be met.
    """
    try:
        document = _Document.model_validate(encoding.strict_json(content))
        keys = {notes.parse_witness_key(item.key): item.url for item in document.witnesses}
        raw = {key.raw for key in keys}
        if len(raw) < len(document.witnesses) or document.threshold > len(raw):
            raise ValueError("a witness stands twice, or more are needed than there are")
    except (ProvenanceError, ValidationError, ValueError) as error:
        raise _unusable(error) from error
    return WitnessPolicy(document.threshold, keys)


def _unusable(error: Exception) -> ConfigError:
    return ConfigError(
        reason(
            RootCause.ROOT_DIGEST_MISMATCH,
            f"the witness policy cannot be used: {error}",
            remedy=remedy(Case.TRUST_FILE_UNUSABLE),
        )
    )


def policy_document(key: WitnessKey) -> bytes:
    """`witnesses.json` of a home with one witness of its own."""
    return encoding.canonical_json({"threshold": 1, "witnesses": [{"key": key.text, "url": ""}]})


def open_witnesses(
    policy: WitnessPolicy, folder: Path, logs: Mapping[str, LogKey], clock: Clock = machine_clock
) -> list[Witness]:
    """Every witness of the policy that can be asked from here."""
    found: list[Witness] = [HttpWitness(key, url) for key, url in policy.keys.items() if url]
    if os.path.lexists(folder / _KEY_FILE):
        local = LocalWitness(folder, logs, clock)
        if policy.keys.get(local.key) == "":
            found.append(local)
    return found


def countersigned(
    checkpoint: Checkpoint, tree: Tree, policy: WitnessPolicy, witnesses: Sequence[Witness]
) -> Checkpoint:
    """The checkpoint with every countersignature that could be had, at least the policy's number.

    One witness that saw another tree refuses for all: the others may have been shown the fork.

    Raises:
        VerificationError: LOG_ROLLBACK, LOG_FORK or CHECKPOINT_UNTRUSTED.
        BackendError: WITNESS_UNAVAILABLE, too few answered.
    """
    lines: list[NoteSignature] = []
    silent: list[Reason] = []
    for witness in witnesses:
        try:
            lines += _ask(witness, checkpoint, tree)
        except BackendError as error:
            silent += error.reasons
    signed = checkpoint.with_signatures(lines)
    try:
        policy.check(signed)
    except VerificationError as error:
        detail = "; ".join(item.message for item in silent) or "no other answer"
        raise BackendError(
            reason(RootCause.WITNESS_UNAVAILABLE, f"{error.reasons[0].message} ({detail})")
        ) from error
    return signed


def _ask(witness: Witness, checkpoint: Checkpoint, tree: Tree) -> Sequence[NoteSignature]:
    """Ask once to learn the witness's size, then with the proof from there."""
    old_size = checkpoint.size
    for _ in range(3):
        try:
            return witness.add(checkpoint, old_size, tree.consistency_proof(old_size))
        except Conflict as conflict:
            if conflict.size > checkpoint.size:
                raise VerificationError(
                    _shrank(witness.key.name, conflict.size, checkpoint)
                ) from conflict
            old_size = conflict.size
    raise BackendError(
        reason(RootCause.WITNESS_UNAVAILABLE, f"the witness {witness.key.name} keeps moving")
    )
