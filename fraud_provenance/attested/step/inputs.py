"""What a step reads: verified bytes, by partition, and where each read is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, Reason, reason
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Material
from fraud_provenance.attested.store.store import Head


@dataclass(frozen=True)
class VerifiedFile:
    """Bytes that equal their attested digest. Use these; never open the path again."""

    partition: str
    name: str
    sha256: str
    content: bytes


@dataclass(frozen=True)
class VerifiedInput:
    """What one `read` handed over."""

    asset: str
    view: Manifest
    files: tuple[VerifiedFile, ...]
    nodes: tuple[Materialisation, ...] = ()

    @cached_property
    def digests(self) -> dict[str, str]:
        """Partition → SHA-256 (the last file's where a partition has several)."""
        return {item.partition: item.sha256 for item in self.files}

    def export(self, folder: Path) -> Path:
        """Write the verified bytes into a private folder for a tool that reads files."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for item in self.files:
            (folder / Path(item.name).name).write_bytes(item.content)
        return folder


@dataclass(frozen=True)
class Usable:
    """Which partitions may be read, and why the others may not."""

    partitions: tuple[str, ...]
    refused: Mapping[str, Reason]


@dataclass(frozen=True)
class Taken:
    """One read as the step's statement will name it; `pending` is the decision that allowed it."""

    material: Material
    view: Manifest
    pending: PendingSignature | None = None
    nodes: tuple[Materialisation, ...] = ()


def entry_of(node: Materialisation, head: Head) -> FileEntry:
    """A head's file in the verified manifest of its statement.

    Raises:
        EvidenceError: EVIDENCE_MISSING, the manifest has no such file.
    """
    for entry in node.manifest.entries:
        if entry.partition == head.partition and entry.path == head.path:
            return entry
    raise EvidenceError(
        reason(
            RootCause.EVIDENCE_MISSING,
            f"{head.path} is in no verified manifest",
            artifact=head.asset,
            partition=head.partition,
        )
    )
