"""Verifying one Sigstore bundle: from untrusted bytes to a statement and its verified facts.

Order: size and strict JSON → exactly one signature → certificate, timestamp, signed certificate
timestamp, log inclusion, signature (sigstore-python) → the entry is in the witnessed tree → payload
type → statement. Who signed is returned, never guessed: callers compare it with the layout.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.x509 import (
    Certificate,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    load_der_x509_certificate,
)
from pydantic import BaseModel, ConfigDict
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import VerificationPolicy

from fraud_provenance.evidence import encoding, files, merkle, notes
from fraud_provenance.evidence.checkpoints import WitnessedLogs
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.evidence.statements import Identity, Statement, parse_statement

_ISSUER_OID = "1.3.6.1.4.1.57264.1.8"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MAX_ITEMS = 16
_MAX_BUNDLE_BYTES = 8 * 1024 * 1024


class LogPosition(BaseModel):
    """Where a bundle's entry stands: log, leaf hash, and the head that proved its inclusion.

    `rank`: which of the trusted root's logs it is; they are listed oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: str
    rank: int
    leaf: str
    tree_size: int
    tree_root: str


class VerifiedBundle(BaseModel):
    """A statement whose bundle verified, with the facts the verification established."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: Statement
    identity: Identity
    signed_at: datetime
    log_index: int
    bundle_digest: str
    log: LogPosition

    @property
    def logged(self) -> tuple[int, int]:
        """When it was logged, to compare: a later log counts on where the one before ended."""
        return self.log.rank, self.log_index


class _ReadIdentity(VerificationPolicy):
    """Collects issuer and subject of the certificate; refuses all but exactly one subject."""

    def __init__(self) -> None:
        self.issuer = ""
        self.subject = ""

    def verify(self, cert: Certificate) -> None:
        names = cert.extensions.get_extension_for_class(SubjectAlternativeName).value
        subjects = [
            name.value for name in names if isinstance(name, UniformResourceIdentifier | RFC822Name)
        ]
        if len(subjects) != 1 or len(list(names)) != 1:
            raise _invalid(
                RootCause.IDENTITY_UNTRUSTED, "the certificate must name exactly one subject"
            )
        self.subject = subjects[0]
        issuers = [ext.value for ext in cert.extensions if ext.oid.dotted_string == _ISSUER_OID]
        if len(issuers) != 1:
            raise _invalid(RootCause.ISSUER_MISMATCH, "the certificate names no issuer")
        raw = bytes(getattr(issuers[0], "value", b""))
        self.issuer = raw[2:].decode("utf-8") if raw[:1] == b"\x0c" and raw[1] < 0x80 else ""


class BundleVerifier:
    """Verifies bundles against one trusted root. Thread-safe; results are memoised by digest."""

    def __init__(self, trusted_root: Path, issuers: Mapping[str, str], logs: WitnessedLogs) -> None:
        """`issuers`: role (`workloads`, `people`) → issuer URL; `logs`: what is remembered."""
        try:
            root = TrustedRoot.from_file(str(trusted_root))
            self._verifier = Verifier(trusted_root=root)
            self._authorities = root.get_fulcio_certs()
        except (OSError, SigstoreError, ValueError) as error:
            raise ConfigError(
                reason(RootCause.ROOT_DIGEST_MISMATCH, f"cannot use {trusted_root.name}: {error}")
            ) from error
        self.root_path = trusted_root
        self.logs = logs
        self._roles = {url: role for role, url in issuers.items()}
        self._signers: dict[bytes, Identity | None] = {}
        self._known: dict[str, VerifiedBundle] = {}

    @property
    def root_digest(self) -> str:
        """SHA-256 of the trusted root as it lies on disk."""
        return encoding.digest_bytes(files.read_once(self.root_path, limit_bytes=1 << 22))

    def certificate_identity(self, identity: Identity) -> tuple[str, str]:
        """(subject, issuer URL) as they stand in a certificate of `identity`."""
        issuer = next(url for url, role in self._roles.items() if role == identity.issuer)
        workload = identity.issuer == "workloads"
        return (f"{issuer.rstrip('/')}{identity.subject}" if workload else identity.subject), issuer

    def verify(self, content: bytes) -> VerifiedBundle:
        """Everything about one bundle but the layout.

        Raises:
            EvidenceError, VerificationError: with the root cause.
        """
        digest = encoding.digest_bytes(content)
        if digest not in self._known:
            self._known[digest] = self._verify(content, digest)
        return self._known[digest]

    def _verify(self, content: bytes, digest: str) -> VerifiedBundle:
        document = encoding.strict_json(content, _MAX_BUNDLE_BYTES)
        _check_shape(document)
        reader = _ReadIdentity()
        bundle: Bundle | None = None
        try:
            bundle = Bundle.from_json(content)
            payload_type, payload = self._verifier.verify_dsse(bundle, reader)
            timestamps = bundle.verification_material.timestamp_verification_data
            found = list(timestamps.rfc3161_timestamps) if timestamps else []
            if len(found) != 1:
                raise _invalid(RootCause.TIMESTAMP_INVALID, f"{len(found)} timestamps, exactly 1")
            signed_at = found[0].tst_info.gen_time
            position = self._position(bundle)
        except ProvenanceError:
            raise
        except SigstoreError as error:
            raise VerificationError(self._classify(error, digest, bundle)) from error
        except Exception as error:  # the libraries' parsers raise what they like on strange bytes
            raise EvidenceError(
                reason(RootCause.EVIDENCE_MALFORMED, f"bundle {digest[:12]}: {error!r}")
            ) from error
        if payload_type != PAYLOAD_TYPE:
            raise _invalid(RootCause.PREDICATE_TYPE, f"payload type {payload_type[:80]!r}")
        return VerifiedBundle(
            statement=parse_statement(payload),
            identity=self._identity(reader),
            signed_at=signed_at.astimezone(UTC),
            log_index=int(bundle.log_entry._inner.log_index),
            bundle_digest=digest,
            log=position,
        )

    def _position(self, bundle: Bundle) -> LogPosition:
        """Where the entry stands, by a head that the log signed and the witnesses do not deny."""
        entry = bundle.log_entry._inner
        proof = entry.inclusion_proof
        head = _checkpoint_of(bundle)
        index = int(proof.log_index)
        if int(entry.log_index) != index or int(proof.tree_size) != head.size:
            raise _invalid(
                RootCause.LOG_ENTRY_MISMATCH,
                f"entry {entry.log_index} with a proof for entry {index} of {proof.tree_size}",
            )
        leaf = merkle.leaf_hash(entry.canonicalized_body)
        self.logs.check_bundle(entry.log_id.key_id, index, leaf, head)
        return LogPosition(
            log_id=entry.log_id.key_id.hex(),
            rank=list(self.logs.memories).index(entry.log_id.key_id),
            leaf=leaf.hex(),
            tree_size=head.size,
            tree_root=head.root.hex(),
        )

    def signer_of(self, certificate: bytes) -> Identity | None:
        """Whom a certificate (DER) names, if an authority of ours issued it, else None."""
        if certificate not in self._signers:
            self._signers[certificate] = self._signer_of(certificate)
        return self._signers[certificate]

    def _signer_of(self, content: bytes) -> Identity | None:
        reader = _ReadIdentity()
        try:
            certificate = load_der_x509_certificate(content)
            if not self._is_issued_here(certificate):
                return None
            reader.verify(certificate)
            return self._identity(reader)
        except Exception:  # as above; certificates of our authorities have this form
            return None

    def _classify(self, error: SigstoreError, digest: str, bundle: Bundle | None) -> Reason:
        """The root cause behind a sigstore-python refusal, from its documented messages.

        Whatever failed first, a certificate of another authority is the cause: nothing else about
        such a bundle can be right. A log entry under a head that our log never signed is next.
        """
        text = f"bundle {digest[:12]}: {error}"
        if bundle is not None and not self._is_issued_here(bundle.signing_certificate):
            return reason(RootCause.IDENTITY_UNTRUSTED, text)
        found = next(
            (code for pattern, code in _CLASSES if re.search(pattern, text, re.IGNORECASE)),
            RootCause.SIGNATURE_INVALID,
        )
        if found == RootCause.INCLUSION_INVALID and bundle is not None:
            return self._checkpoint_problem(bundle) or reason(found, text)
        return reason(found, text)

    def _checkpoint_problem(self, bundle: Bundle) -> Reason | None:
        """What is wrong with a bundle's checkpoint itself, if anything."""
        entry = bundle.log_entry._inner
        try:
            memory = self.logs.memories[entry.log_id.key_id]
            memory.key.verify(_checkpoint_of(bundle))
        except KeyError:
            return reason(
                RootCause.CHECKPOINT_UNTRUSTED, "the trusted root does not know the bundle's log"
            )
        except VerificationError as error:
            return error.reasons[0]
        return None

    def _is_issued_here(self, certificate: Certificate) -> bool:
        """Whether a trusted authority signed the certificate; says nothing about its validity."""
        for authority in self._authorities:
            try:
                certificate.verify_directly_issued_by(authority)
            except Exception:  # noqa: S112 - as above; whatever it is, nobody here issued it
                continue
            return True
        return False

    def _identity(self, reader: _ReadIdentity) -> Identity:
        role = self._roles.get(reader.issuer)
        if role is None:
            raise _invalid(
                RootCause.ISSUER_MISMATCH, f"issuer {reader.issuer[:120]!r} is not one of ours"
            )
        subject = reader.subject
        if role == "workloads":
            prefix = reader.issuer.rstrip("/")
            if not subject.startswith(f"{prefix}/"):
                raise _invalid(RootCause.IDENTITY_UNTRUSTED, f"{subject!r} is not a workload here")
            subject = subject.removeprefix(prefix)
        return Identity(issuer=role, subject=subject)


def load_issuers(path: Path) -> dict[str, str]:
    """Issuer role → URL from an environment's `issuers.json`."""
    document = encoding.strict_json(files.read_once(path, limit_bytes=1 << 16))
    return {str(role): str(url) for role, url in document.items()}


def _check_shape(document: Any) -> None:  # noqa: ANN401 - untrusted JSON
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


def _check_count(what: str, items: Any) -> None:  # noqa: ANN401 - untrusted JSON
    """Honest bundles have one of each; a great many are a bomb, not a mistake."""
    if isinstance(items, list) and len(items) > _MAX_ITEMS:
        raise _invalid(RootCause.SIZE_LIMIT, f"{len(items)} {what}, exactly 1 allowed")


_CLASSES = (
    (r"log entry.*inconsistent|does not match bundle|do not match", RootCause.LOG_ENTRY_MISMATCH),
    (r"inclusion|checkpoint|log entry", RootCause.INCLUSION_INVALID),
    (r"failed to load bundle|unsupported bundle format", RootCause.EVIDENCE_MALFORMED),
    (r"not valid at validation time|expired at time of signing", RootCause.KEY_REVOKED),
    (r"certificate chain", RootCause.IDENTITY_UNTRUSTED),
    (r"timestamp|verified time", RootCause.TIMESTAMP_INVALID),
    (r"SCT|issuer|certificate", RootCause.IDENTITY_UNTRUSTED),
)


def _checkpoint_of(bundle: Bundle) -> notes.Checkpoint:
    """The head that a bundle's inclusion proof leads to; nothing about it is verified."""
    envelope = bundle.log_entry._inner.inclusion_proof.checkpoint
    return notes.parse_checkpoint(envelope.envelope.encode("utf-8") if envelope else b"")


def _invalid(code: str, message: str) -> VerificationError:
    return VerificationError(reason(code, message))
