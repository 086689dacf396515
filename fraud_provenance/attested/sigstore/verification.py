"""Verifying one Sigstore bundle: from untrusted bytes to a statement and its verified facts.

Order: the form, read by ourselves → an authority of ours issued the certificate → the entry leads
to a head that our log signed, and is of the kind that it makes → payload type → certificate,
timestamp, signed certificate timestamp, log inclusion, signature (sigstore-python), which must have
read the same message → the entry is in the witnessed tree → statement. Who signed is returned,
never guessed: callers compare it with the layout.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.x509 import (
    Certificate,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    load_der_x509_certificate,
)
from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.sigstore import bundle_form, library
from fraud_provenance.attested.sigstore.bundle_form import BundleForm
from fraud_provenance.attested.sigstore.recall import Recall, code_of_verification
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity, Statement, parse_statement
from fraud_provenance.attested.store.store import open_bundle
from fraud_provenance.attested.tlog import merkle, notes
from fraud_provenance.attested.tlog import tiles as log
from fraud_provenance.attested.tlog.checkpoints import WitnessedLogs

if TYPE_CHECKING:
    from sigstore._internal.trust import CertificateAuthority
    from sigstore.verify import Verifier

_FULCIO = "1.3.6.1.4.1.57264.1"
_ISSUER_OID, _REPOSITORY_OID, _REFERENCE_OID = f"{_FULCIO}.8", f"{_FULCIO}.12", f"{_FULCIO}.14"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


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
    """A statement whose bundle verified, with the facts the verification established.

    `identity` is in its one form; `spelled` is the certificate's own spelling, where it is another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: Statement
    identity: Identity
    spelled: Identity | None = None
    signed_at: datetime
    log_index: int
    bundle_digest: str
    log: LogPosition

    @property
    def logged(self) -> tuple[int, int]:
        """When it was logged, to compare: a later log counts on where the one before ended."""
        return self.log.rank, self.log_index


class _ReadIdentity:
    """Collects issuer and subject of the certificate; refuses all but exactly one subject.

    `source`: address and reference of the repository that a workflow ran for; empty elsewhere.

    `was_asked`: the library came so far. Time, chain and signed certificate timestamp held.
    """

    def __init__(self) -> None:
        self.issuer = ""
        self.subject = ""
        self.source = ("", "")
        self.was_asked = False

    def verify(self, cert: Certificate) -> None:
        self.was_asked = True
        names = cert.extensions.get_extension_for_class(SubjectAlternativeName).value
        subjects = [
            name.value for name in names if isinstance(name, UniformResourceIdentifier | RFC822Name)
        ]
        if len(subjects) != 1 or len(list(names)) != 1:
            raise _invalid(
                RootCause.IDENTITY_UNTRUSTED, "the certificate must name exactly one subject"
            )
        self.subject = subjects[0]
        found = {ext.oid.dotted_string: ext.value for ext in cert.extensions}  # each at most once
        if _ISSUER_OID not in found:
            raise _invalid(RootCause.ISSUER_MISMATCH, "the certificate names no issuer")
        self.issuer = _text(found[_ISSUER_OID])
        self.source = (_text(found.get(_REPOSITORY_OID)), _text(found.get(_REFERENCE_OID)))


class _Library(NamedTuple):
    verifier: "Verifier"
    authorities: Sequence[Certificate]
    timekeepers: "Sequence[CertificateAuthority]"


class BundleVerifier:
    """Verifies bundles against one trusted root. Thread-safe; results are memoised by digest."""

    def __init__(
        self,
        trusted_root: Path,
        issuers: Mapping[str, str],
        logs: WitnessedLogs,
        recall: Recall | None = None,
    ) -> None:
        """`issuers`: role (`workloads`, `people`) → issuer URL; `logs`: what is remembered.

        `recall` spares what was verified before; None verifies everything.

        Raises:
            ConfigError: ROOT_DIGEST_MISMATCH, the root cannot be used.
        """
        self.root_path = trusted_root
        self.logs = logs
        self._roles = {url: role for role, url in issuers.items()}
        self._signers: dict[bytes, Identity | None] = {}
        self._known: dict[str, VerifiedBundle] = {}
        self._recall = recall
        self._context = self._context_of(issuers) if recall else ""
        self.newest: datetime | None = None
        """The newest time of a signature that was verified here."""
        if recall is None or not recall.knows(self._context):
            _ = self._library  # a root under which something was verified can be used

    @cached_property
    def _library(self) -> "_Library":
        """Sigstore's own reader of the trusted root: half a second to load, spared where it can."""
        library.load()
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        try:
            root = TrustedRoot.from_file(str(self.root_path))
            return _Library(
                Verifier(trusted_root=root),
                root.get_fulcio_certs(),
                root.get_timestamp_authorities(),
            )
        except Exception as error:  # the libraries' parsers raise what they like on strange bytes
            raise ConfigError(
                reason(RootCause.ROOT_DIGEST_MISMATCH, f"cannot use {self.root_path.name}: {error}")
            ) from error

    @property
    def root_digest(self) -> str:
        """SHA-256 of the trusted root as it lies on disk."""
        return encoding.digest_bytes(files.read_once(self.root_path, limit_bytes=1 << 22))

    def timekeepers(self) -> list[Certificate]:
        """The certificates of the trusted root's timestamp authorities."""
        return [
            item
            for authority in self._library.timekeepers
            for item in authority.certificates(allow_expired=True)
        ]

    def certificate_identity(self, identity: Identity) -> tuple[str, str]:
        """(subject, issuer URL) as they stand in a certificate of `identity`."""
        issuer = next(url for url, role in self._roles.items() if role == identity.issuer)
        workload = identity.issuer == identities.WORKLOADS
        return (f"{issuer.rstrip('/')}{identity.subject}" if workload else identity.subject), issuer

    def verify(self, content: bytes) -> VerifiedBundle:
        """Everything about one bundle but the layout.

        Raises:
            EvidenceError, VerificationError: with the root cause.
        """
        digest = encoding.digest_bytes(content)
        if digest not in self._known:
            try:
                found = self._recalled(content, digest) or self._verified(content, digest)
            except (EvidenceError, VerificationError) as error:
                raise type(error)(*(_named(why, digest) for why in error.reasons)) from error
            self._known[digest] = found
            self.newest = max(self.newest or found.signed_at, found.signed_at)
        return self._known[digest]

    def _context_of(self, issuers: Mapping[str, str]) -> str:
        """What the verdict on a bundle's bytes depends on beside them."""
        told = {"code": code_of_verification(), "root": self.root_digest, "issuers": dict(issuers)}
        return encoding.digest_json(told)

    def _verified(self, content: bytes, digest: str) -> VerifiedBundle:
        """Verify, and keep what was found."""
        bundle = self._verify(content, digest)
        if self._recall is not None:
            found = bundle.model_dump(mode="json", exclude={"statement"})
            self._recall.put(self._context, digest, found)
        return bundle

    def _recalled(self, content: bytes, digest: str) -> VerifiedBundle | None:
        """What was found of these very bytes before, if their entry is in the witnessed tree."""
        found = self._recall.get(self._context, digest) if self._recall else None
        if found is None:
            return None
        payload, _, _ = open_bundle(content)
        bundle = VerifiedBundle.model_validate(found | {"statement": parse_statement(payload)})
        at = bundle.log
        self.logs.check_leaf(bytes.fromhex(at.log_id), bundle.log_index, bytes.fromhex(at.leaf))
        return bundle

    def _verify(self, content: bytes, digest: str) -> VerifiedBundle:
        form = bundle_form.read(content)
        if not self._issuers_of(form.certificate):
            why = "no authority of ours issued the certificate"
            raise _invalid(RootCause.IDENTITY_UNTRUSTED, why)
        head = self._check_entry(form)
        if form.payload_type != PAYLOAD_TYPE:
            code = RootCause.PREDICATE_TYPE if form.is_signed() else RootCause.SIGNATURE_INVALID
            raise _invalid(code, f"payload type {form.payload_type[:80]!r}")
        library.load()
        from sigstore.errors import Error as SigstoreError
        from sigstore.models import Bundle

        reader = _ReadIdentity()
        try:
            found = self._library.verifier.verify_dsse(Bundle.from_json(content), reader)
        except ProvenanceError:
            raise
        except SigstoreError as error:
            cause = self._cause(form, is_identified=reader.was_asked)
            raise _invalid(cause, str(error)) from error
        except Exception as error:  # the libraries' parsers raise what they like on strange bytes
            raise EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, repr(error))) from error
        if found != (form.payload_type, form.payload):
            raise _invalid(RootCause.EVIDENCE_MALFORMED, "two readers read two messages")
        position = self._position(form, head)
        spelled = self._identity(reader)
        identity = identities.canonical(spelled)
        return VerifiedBundle(
            statement=parse_statement(form.payload),
            identity=identity,
            spelled=None if spelled == identity else spelled,
            signed_at=form.timestamp.tst_info.gen_time.astimezone(UTC),
            log_index=form.log_index,
            bundle_digest=digest,
            log=position,
        )

    def _check_entry(self, form: BundleForm) -> notes.Checkpoint:
        """The head that the log entry leads to: our log signed it, and makes such entries."""
        proof = form.proof
        path = [item.hex() for item in proof.hashes]
        try:
            root = merkle.root_from_path(form.body, proof.log_index, proof.tree_size, path)
        except ValueError as error:
            raise _invalid(RootCause.INCLUSION_INVALID, f"inclusion proof: {error}") from error
        head = notes.parse_checkpoint(proof.checkpoint.envelope.encode("utf-8"))
        if not root == proof.root_hash.hex() == head.root.hex():
            why = "the log entry does not lead to the checkpoint's root"
            raise _invalid(RootCause.INCLUSION_INVALID, why)
        memory = self.logs.memories.get(form.log_id)
        if memory is None:
            why = "the trusted root does not know the bundle's log"
            raise _invalid(RootCause.CHECKPOINT_UNTRUSTED, why)
        memory.key.verify(head)
        entry = log.parse_entry(form.log_index, b"", form.body)
        if entry.algorithm != log.ALGORITHM:
            why = f"the log entry is of a digest of {entry.algorithm[:40]}"
            raise _invalid(RootCause.DIGEST_ALG_UNACCEPTABLE, why)
        return head

    def _position(self, form: BundleForm, head: notes.Checkpoint) -> LogPosition:
        """Where the entry stands, by a head that the log signed and the witnesses do not deny."""
        index, size = form.proof.log_index, form.proof.tree_size
        if form.log_index != index or size != head.size:
            raise _invalid(
                RootCause.LOG_ENTRY_MISMATCH,
                f"entry {form.log_index} with a proof for entry {index} of {size}",
            )
        leaf = merkle.leaf_hash(form.body)
        self.logs.check_bundle(form.log_id, index, leaf, head)
        return LogPosition(
            log_id=form.log_id.hex(),
            rank=list(self.logs.memories).index(form.log_id),
            leaf=leaf.hex(),
            tree_size=head.size,
            tree_root=head.root.hex(),
        )

    def _cause(self, form: BundleForm, *, is_identified: bool) -> RootCause:
        """What is wrong with a bundle that sigstore-python refuses, by our own look at its parts.

        The library asks about the identity once time, chain and signed certificate timestamp held;
        what comes after is the signature, and that the log entry is of this very signature.
        """
        if is_identified:
            entry = log.parse_entry(form.log_index, b"", form.body)
            if form.is_signed() and not form.is_logged_as(entry):
                return RootCause.LOG_ENTRY_MISMATCH
            return RootCause.SIGNATURE_INVALID
        if not self._is_stamped(form):
            return RootCause.TIMESTAMP_INVALID
        at = form.timestamp.tst_info.gen_time
        for item in (form.certificate, *self._issuers_of(form.certificate)):
            if not item.not_valid_before_utc <= at <= item.not_valid_after_utc:
                return RootCause.KEY_REVOKED
        return RootCause.IDENTITY_UNTRUSTED

    def _is_stamped(self, form: BundleForm) -> bool:
        """Whether a timestamp authority of ours, in its time, stamped this very signature."""
        from rfc3161_client import VerificationError as TimestampError
        from rfc3161_client import VerifierBuilder

        at = form.timestamp.tst_info.gen_time
        for authority in self._library.timekeepers:
            own, *chain = authority.certificates(allow_expired=True)
            builder = VerifierBuilder().tsa_certificate(own)
            for item in chain:  # whatever stands in the trusted root is trusted
                builder = builder.add_root_certificate(item)
            end = authority.validity_period_end
            try:
                builder.build().verify_message(form.timestamp, form.signature)
            except (TimestampError, ValueError):
                continue
            return authority.validity_period_start <= at and (end is None or at < end)
        return False

    def signer_of(self, certificate: bytes) -> Identity | None:
        """Whom a certificate (DER) names, in the one form, if an authority of ours issued it."""
        if certificate not in self._signers:
            self._signers[certificate] = self._signer_of(certificate)
        return self._signers[certificate]

    def _signer_of(self, content: bytes) -> Identity | None:
        reader = _ReadIdentity()
        try:
            certificate = load_der_x509_certificate(content)
            if not self._issuers_of(certificate):
                return None
            reader.verify(certificate)
            return identities.canonical(self._identity(reader))
        except Exception:  # as above; certificates of our authorities have this form
            return None

    def _issuers_of(self, certificate: Certificate) -> list[Certificate]:
        """The trusted authorities that signed the certificate; says nothing of its validity."""
        found = []
        for authority in self._library.authorities:
            try:
                certificate.verify_directly_issued_by(authority)
            except Exception:  # noqa: S112 - as above; whatever it is, nobody here issued it
                continue
            found.append(authority)
        return found

    def _identity(self, reader: _ReadIdentity) -> Identity:
        role = self._roles.get(reader.issuer)
        if role is None:
            raise _invalid(
                RootCause.ISSUER_MISMATCH, f"issuer {reader.issuer[:120]!r} is not one of ours"
            )
        subject = reader.subject
        if role == identities.WORKLOADS:
            prefix = reader.issuer.rstrip("/")
            if not subject.startswith(f"{prefix}/"):
                raise _invalid(RootCause.IDENTITY_UNTRUSTED, f"{subject!r} is not a workload here")
            subject = subject.removeprefix(prefix)
        identity = Identity(issuer=role, subject=subject)
        own = identities.repository(identity)
        if own is not None and own != reader.source:  # others may call a workflow, as themselves
            ran_for = "@".join(reader.source)
            raise _invalid(RootCause.IDENTITY_UNTRUSTED, f"{subject!r} ran for {ran_for[:200]!r}")
        return identity


def load_issuers(path: Path) -> dict[str, str]:
    """Issuer role → URL from an environment's `issuers.json`.

    Raises:
        ConfigError: ROOT_DIGEST_MISMATCH, it names none.
    """
    document = encoding.strict_json(files.read_once(path, limit_bytes=1 << 16))
    if not isinstance(document, dict):
        raise ConfigError(
            reason(RootCause.ROOT_DIGEST_MISMATCH, f"{path.name} does not name the issuers")
        )
    return {str(role): str(url) for role, url in document.items()}


def _text(extension: object) -> str:
    """The text that an extension of Fulcio's holds, a UTF8String of DER; "" for anything else."""
    raw = bytes(getattr(extension, "value", b""))
    size = len(raw) - 2
    if 0 <= size < 0x80:
        header = bytes((0x0C, size))
    elif 0x81 <= size <= 0x100:
        header = bytes((0x0C, 0x81, size - 1))
    else:
        return ""
    return raw.removeprefix(header).decode("utf-8") if raw.startswith(header) else ""


def _named(why: Reason, digest: str) -> Reason:
    """A reason that says which stored bundle it is about: the file that begins with these digits.

    >>> _named(Reason(code="SIGNATURE_MISSING", message="none"), "e657866fef1e" + "0" * 52).message
    'bundle e657866fef1e: none'
    """
    return why.model_copy(update={"message": f"bundle {digest[:12]}: {why.message}"})


def _invalid(code: str, message: str) -> VerificationError:
    return VerificationError(reason(code, message))
