"""Files that releases name, kept under their SHA-256: old policies, principals, trust roots."""

from pathlib import Path

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.ports.blobs import Blobs

MAX_OBJECT_BYTES = 8 * 1024 * 1024


class Objects:
    """Files that releases name, kept under their SHA-256: old principals, old trust roots."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, content: bytes) -> str:
        """Keep `content`; returns its SHA-256."""
        digest = encoding.digest_bytes(content)
        self._blobs.put(digest, content)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes that `digest` names.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        what = f"trust/objects/{digest[:12]}"
        missing = reason(RootCause.EVIDENCE_MISSING, "it is not there", artifact=what)
        try:
            content = self._blobs.read(digest, MAX_OBJECT_BYTES)
        except EvidenceError as error:
            raise EvidenceError(missing) from error
        if content is None:
            raise EvidenceError(missing)
        if encoding.digest_bytes(content) != digest:
            raise EvidenceError(
                reason(RootCause.EVIDENCE_TAMPERED, "its bytes have another digest", artifact=what)
            )
        return content

    def path(self, digest: str) -> Path:
        """A file with the bytes that `digest` names, after they were compared with it."""
        self.get(digest)
        return self._blobs.as_file(digest)
