"""The store over blobs that lie: what is listed is not there, what is there is no plain file."""

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.ports.blobs import MemoryBlobs
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.store.objects import Objects
from fraud_provenance.attested.store.store import EvidenceStore

A = "a" * 64
MANIFEST = Manifest.of("raw", [FileEntry(partition="2018-04-01", path="a", sha256=A, size=1)])


class LyingBlobs(MemoryBlobs):
    """Blobs with a method for each lie."""

    def __init__(self) -> None:
        super().__init__()
        self._listed: dict[str, list[str]] = {}
        self._odd: set[str] = set()

    def list_too_much(self, folder: str, name: str) -> None:
        """Name something that is not there (any more)."""
        self._listed.setdefault(folder, []).append(name)

    def make_odd(self, name: str) -> None:
        """Have a folder or a link where bytes should be."""
        self._odd.add(name)

    def names(self, folder: str) -> list[str]:
        """See `Blobs.names`."""
        return sorted([*super().names(folder), *self._listed.get(folder, ())])

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """See `Blobs.read`."""
        if name in self._odd:
            raise EvidenceError(reason(RootCause.ARTIFACT_MISSING, f"cannot read {name}"))
        return super().read(name, limit_bytes)


@pytest.fixture
def blobs() -> LyingBlobs:
    return LyingBlobs()


def test_a_bundle_that_goes_while_it_is_listed_is_not_indexed(blobs: LyingBlobs) -> None:
    blobs.list_too_much("bundles", f"{A}.sigstore.json")
    store = EvidenceStore(blobs)
    assert (store.records(), store.bundles()) == ([], [A])
    with pytest.raises(EvidenceError, match="ARTIFACT_MISSING"):
        store.bundle_bytes(A)


def test_a_manifest_that_is_no_file_is_missing(blobs: LyingBlobs) -> None:
    store = EvidenceStore(blobs)
    digest = store.put_manifest(MANIFEST)
    assert store.manifest(digest) == MANIFEST
    blobs.make_odd(f"manifests/{digest}.json")
    with pytest.raises(EvidenceError, match="EVIDENCE_MISSING"):
        store.manifest(digest)


def test_an_intent_that_is_no_file_is_none(blobs: LyingBlobs) -> None:
    store = EvidenceStore(blobs)
    kept, other = (
        statements.build_statement(statements.PROVENANCE, "raw", digest, {})
        for digest in (A, "b" * 64)
    )
    store.put_intent(kept)
    store.put_intent(other)
    blobs.make_odd(f"intents/{other.digest}.json")
    blobs.list_too_much("intents", f"{'c' * 64}.json")
    assert store.intents() == [kept.content]
    store.drop_intent(kept.digest)
    assert store.intents() == []


def test_what_a_release_names_and_is_no_file_is_missing(blobs: LyingBlobs) -> None:
    objects = Objects(blobs)
    digest = objects.put(b"rules")
    assert (objects.get(digest), encoding.digest_bytes(b"rules")) == (b"rules", digest)
    blobs.make_odd(digest)
    with pytest.raises(EvidenceError, match="EVIDENCE_MISSING"):
        objects.get(digest)
