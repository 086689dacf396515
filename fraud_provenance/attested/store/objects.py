"""Files that releases name, kept under their SHA-256: old policies, principals, trust roots."""

from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason

MAX_OBJECT_BYTES = 8 * 1024 * 1024


class Objects:
    """Files that releases name, kept under their SHA-256: old principals, old trust roots."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        """Keep `content`; returns its SHA-256."""
        digest = encoding.digest_bytes(content)
        path = self._folder / digest
        if not path.exists():
            files.write_atomic(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes that `digest` names.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        what = f"trust/objects/{digest[:12]}"
        try:
            content = files.read_once(self._folder / digest, limit_bytes=MAX_OBJECT_BYTES)
        except EvidenceError as error:
            raise EvidenceError(
                reason(RootCause.EVIDENCE_MISSING, "it is not there", artifact=what)
            ) from error
        if encoding.digest_bytes(content) != digest:
            raise EvidenceError(
                reason(RootCause.EVIDENCE_TAMPERED, "its bytes have another digest", artifact=what)
            )
        return content

    def path(self, digest: str) -> Path:
        """Where the bytes that `digest` names lie, after they were compared with it."""
        self.get(digest)
        return self._folder / digest
