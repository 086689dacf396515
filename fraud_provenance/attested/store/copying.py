"""Evidence brought from one place to another, each piece compared with its name on the way."""

from collections.abc import Callable, Iterator, Sequence

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.ports.blobs import Blobs
from fraud_provenance.attested.store.objects import MAX_OBJECT_BYTES

EVIDENCE = ("bundles", "manifests")
OBJECTS = (".",)
_LIMIT_BYTES = max(MAX_OBJECT_BYTES, encoding.MAX_DOCUMENT_BYTES)


def copy(
    source: Blobs,
    target: Blobs,
    folders: Sequence[str],
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Put what `source` holds in these folders into `target`; returns how many were new there.

    It may be broken off and repeated. `report` is told how many of how many are done.

    Raises:
        EvidenceError: EVIDENCE_TAMPERED, bytes here or there do not equal their name.
        BackendError: STORAGE_UNAVAILABLE.
    """
    names = list(_names(source, folders))
    there = {name for folder in folders for name in _names(target, (folder,))}
    new = 0
    for done, name in enumerate(names, start=1):
        if name not in there:
            new += target.put(name, _checked(source, name))
        _checked(target, name)
        report(done, len(names))
    return new


def _names(blobs: Blobs, folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        yield from (name if folder == "." else f"{folder}/{name}" for name in blobs.names(folder))


def _checked(blobs: Blobs, name: str) -> bytes:
    content = blobs.read(name, _LIMIT_BYTES)
    digest = name.rpartition("/")[2].partition(".")[0]
    if content is None or encoding.digest_bytes(content) != digest:
        why = "its bytes do not equal its name"
        raise EvidenceError(reason(RootCause.EVIDENCE_TAMPERED, why, artifact=name))
    return content
