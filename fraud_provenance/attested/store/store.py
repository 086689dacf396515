"""The evidence store: bundles and manifests under their own SHA-256, and the index over them."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, ProvenanceError, Reason, reason
from fraud_provenance.attested.ports.blobs import Blobs
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.columns import DEPLOYMENTS, REVOCATIONS
from fraud_provenance.attested.statements.manifest import Manifest, parse_manifest
from fraud_provenance.attested.store.contents import Contents
from fraud_provenance.attested.store.databases import Database
from fraud_provenance.attested.store.index import Index
from fraud_provenance.attested.store.rows import (
    ChainLink,
    ContractResult,
    Head,
    Record,
    VersionAt,
    open_bundle,
    rows_of,
)

__all__ = (
    "BUNDLE_SUFFIX", "DEPLOYMENTS", "REVOCATIONS", "ChainLink", "ContractResult", "EvidenceStore",
    "Head", "Record", "VersionAt", "open_bundle",
)  # fmt: skip
BUNDLE_SUFFIX = ".sigstore.json"
_BUNDLES, _MANIFESTS, _INTENTS = "bundles", "manifests", "intents"
_UNREADABLE = (ProvenanceError, ValueError, LookupError, TypeError, AttributeError, sqlite3.Error)


class EvidenceStore(Index):
    """Content-addressed evidence and what finds it. Safe for many threads and processes."""

    def __init__(
        self,
        blobs: Blobs,
        index: Database | None = None,
        logs: Iterable[bytes] = (),
        contents: Contents | None = None,
    ) -> None:
        """`index`: where the tables of the derived index lie, None for memory.

        `logs`: the ids of the logs that evidence is in, the oldest first. What is in a later log
        was logged later, whatever its index there. What is in a log that is none of these is older
        than all.

        `contents`: where attested files are kept beside their folders; None for nowhere.
        """
        super().__init__(index, logs)
        self._blobs = blobs
        self.contents = contents
        self.refresh()

    # --- manifests -------------------------------------------------------------------------

    def put_manifest(self, manifest: Manifest) -> str:
        """Store a manifest; returns its digest."""
        self._blobs.put(_manifest(manifest.digest), manifest.content)
        return manifest.digest

    def manifest(self, digest: str) -> Manifest:
        """The manifest that `digest` names.

        Raises:
            EvidenceError: EVIDENCE_MISSING, EVIDENCE_TAMPERED or MANIFEST_MALFORMED.
        """
        try:
            content = self._blobs.read(_manifest(digest), encoding.MAX_DOCUMENT_BYTES)
        except EvidenceError as error:
            raise _no_manifest(digest) from error
        if content is None:
            raise _no_manifest(digest)
        return parse_manifest(content, digest)

    # --- bundles ---------------------------------------------------------------------------

    def put_bundle(self, content: bytes) -> str:
        """Store a Sigstore bundle and index it; returns the digest of its statement."""
        digest = encoding.digest_bytes(content)
        self._blobs.put(_bundle(digest), content)
        return self._index(digest, content)

    def bundle(self, statement: str) -> tuple[str, bytes]:
        """(bundle digest, bytes) of the bundle that carries the statement named.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        carriers = self.carriers(statement)
        for digest, subject in carriers:
            content = self._blobs.read(_bundle(digest), encoding.MAX_DOCUMENT_BYTES)
            if content is not None:
                return digest, _unchanged(digest, content, subject)
        name = carriers[0][1] if carriers else ""
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_MISSING,
                f"no bundle carries statement {statement[:12]}"
                + (f" about {name}" if name else ""),
                artifact=name or f"statement {statement[:12]}",
            )
        )

    def has(self, statement: str) -> bool:
        """Whether a bundle is there that should carry the statement; says nothing of its bytes."""
        return any(self._blobs.has(_bundle(digest)) for digest, _ in self.carriers(statement))

    def bundle_bytes(self, bundle_digest: str, name: str = "") -> bytes:
        """The bytes of one bundle, equal to its name.

        Raises:
            EvidenceError: ARTIFACT_MISSING or EVIDENCE_TAMPERED.
        """
        content = self._blobs.read(_bundle(bundle_digest), encoding.MAX_DOCUMENT_BYTES)
        if content is None:
            why = f"cannot read {bundle_digest}{BUNDLE_SUFFIX}: No such file or directory"
            raise EvidenceError(reason(RootCause.ARTIFACT_MISSING, why))
        return _unchanged(bundle_digest, content, name)

    def bundle_path(self, bundle_digest: str) -> Path:
        """A file of this machine with a bundle's bytes, for tools that want one."""
        return self._blobs.as_file(_bundle(bundle_digest))

    def manifest_path(self, digest: str) -> Path:
        """A file of this machine with a manifest's bytes."""
        return self._blobs.as_file(_manifest(digest))

    def bundles(self) -> list[str]:
        """The digests of all bundles that are there, sorted."""
        names = self._blobs.names(_BUNDLES)
        return [name.removesuffix(BUNDLE_SUFFIX) for name in names if name.endswith(BUNDLE_SUFFIX)]

    def stored_statements(self) -> set[str]:
        """Digests of the statements that some bundle here carries, as the index knows them."""
        there, known = set(self.bundles()), self.known()
        return {statement for bundle, statement in known.items() if bundle in there}

    def check_writable(self, size_bytes: int) -> None:
        """See whether a bundle of this size could be stored now.

        Raises:
            OSError: it could not.
        """
        self._blobs.check_writable(_BUNDLES, size_bytes)

    def problems(self) -> list[Reason]:
        """One reason for each bundle that was indexed once and is lost or changed now."""
        found: list[Reason] = []
        for record in self.records():
            try:
                self.bundle_bytes(record.bundle, record.subject_name)
            except EvidenceError as error:
                missing = any(item.code == RootCause.ARTIFACT_MISSING for item in error.reasons)
                found += (
                    [
                        reason(
                            RootCause.EVIDENCE_MISSING,
                            f"bundle {record.bundle[:12]} is gone from the store",
                            artifact=record.subject_name,
                        )
                    ]
                    if missing
                    else error.reasons
                )
        return found

    # --- what is about to be signed --------------------------------------------------------

    def put_intent(self, statement: statements.Statement) -> None:
        """Journal what is about to be signed, so that a lost run's log entry can be explained."""
        self._blobs.put(_intent(statement.digest), statement.content)

    def drop_intent(self, statement_digest: str) -> None:
        """Forget an intent once its bundle is stored."""
        self._blobs.drop(_intent(statement_digest))

    def intents(self) -> list[bytes]:
        """The statements that were announced and whose bundle is not stored (yet)."""
        found = []
        for name in self._blobs.names(_INTENTS):
            try:
                content = self._blobs.read(f"{_INTENTS}/{name}", encoding.MAX_DOCUMENT_BYTES)
            except EvidenceError:
                continue  # not a file of ours
            if content is not None and f"{encoding.digest_bytes(content)}.json" == name:
                found.append(content)
        return found

    # --- the derived index -----------------------------------------------------------------

    def refresh(self) -> None:
        """Index every bundle that is there and that the index does not know yet."""
        known = self.known()
        for digest in self.bundles():
            if digest in known:
                continue
            try:
                content = self._blobs.read(_bundle(digest), encoding.MAX_DOCUMENT_BYTES)
                if content is not None:
                    self._index(digest, content)
            except _UNREADABLE:
                continue  # whatever it is: whoever needs its statement reports it missing

    def _index(self, digest: str, content: bytes) -> str:
        rows = rows_of(digest, content, self.manifest)
        self.add(rows)
        return rows.record.statement


def _unchanged(digest: str, content: bytes, name: str) -> bytes:
    """A bundle's bytes, if they equal its name."""
    if encoding.digest_bytes(content) != digest:
        file = f"{digest}{BUNDLE_SUFFIX}"
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_TAMPERED,
                f"bundle {file} of {name or 'a statement'} was changed",
                artifact=f"bundle {digest[:12]} ({name})" if name else file,
            )
        )
    return content


def _bundle(digest: str) -> str:
    return f"{_BUNDLES}/{digest}{BUNDLE_SUFFIX}"


def _manifest(digest: str) -> str:
    return f"{_MANIFESTS}/{digest}.json"


def _intent(digest: str) -> str:
    return f"{_INTENTS}/{digest}.json"


def _no_manifest(digest: str) -> EvidenceError:
    name = f"manifest {digest[:12]}"
    return EvidenceError(
        reason(RootCause.EVIDENCE_MISSING, f"{name} is not in the store", artifact=name)
    )
