"""Bytes of attested files under their own SHA-256, kept elsewhere than in the home.

The home's folders are a copy of them then: a file that is not there is brought. One that is there
is never replaced, but for an older version where machines share a home. What comes from there is
compared with the digest that evidence names, and goes nowhere but below the folders of files that
steps make: whoever may sign for a step must not write settings.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason
from fraud_provenance.attested.ports.blobs import Blobs

_AT_ONCE = 4


class Contents:
    """What was attested, by digest.

    >>> from fraud_provenance.attested.ports.blobs import MemoryBlobs
    >>> contents = Contents(MemoryBlobs(), [Path("data")])
    >>> digest = encoding.digest_bytes(b"a day")
    >>> contents.keep(digest, b"a day"), contents.keep(digest, b"a day")
    (True, False)
    """

    def __init__(self, blobs: Blobs, folders: Sequence[Path], *, is_shared: bool = False) -> None:
        """`blobs`: where they lie. `folders`: below which a file may be brought.

        `is_shared`: other machines make new versions of files that lie here.
        """
        self._blobs = blobs
        self.is_shared = is_shared
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="contents")

    def begin(self, digest: str, content: bytes) -> "Future[bool]":
        """`keep`, while the caller goes on."""
        return self._workers.submit(self.keep, digest, content)

    def keep(self, digest: str, content: bytes) -> bool:
        """Put a file's bytes under their digest; False where they are there already.

        Raises:
            BackendError: STORAGE_UNAVAILABLE, also where the name is taken and nothing is shown.
            VerificationError: DIGEST_MISMATCH, other bytes lie there.
        """
        if self._blobs.put(digest, content):
            return True
        if self._read(digest) is None:
            why = f"the store of data says that it has {digest[:12]}, and does not show it"
            raise BackendError(reason(RootCause.STORAGE_UNAVAILABLE, why))
        return False

    def bring(self, digest: str, place: Path) -> None:
        """Write the bytes of a digest to a place where no file is; nothing where none are kept.

        Nor is anything written outside of the folders for it.

        Raises:
            BackendError: STORAGE_UNAVAILABLE.
            VerificationError: DIGEST_MISMATCH.
        """
        parent = Path(os.path.realpath(place.parent))
        if not any(parent.is_relative_to(folder) for folder in self._folders):
            return
        content = self._read(digest)
        if content is not None:
            files.write_atomic(place, content, durable=False)

    def _read(self, digest: str) -> bytes | None:
        content = self._blobs.read(digest, files.MAX_ARTIFACT_BYTES)
        if content is not None and (found := encoding.digest_bytes(content)) != digest:
            why = f"the store of data holds other bytes (sha256 {found[:12]}) under {digest[:12]}"
            raise VerificationError(reason(RootCause.DIGEST_MISMATCH, why))
        return content
