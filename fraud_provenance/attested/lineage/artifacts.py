"""The files on disk against what is attested of them: read, compared, and none besides."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import PROVENANCE, Provenance
from fraud_provenance.attested.store.store import EvidenceStore, Head

_MAX_STRANGERS = 20  # files that are named one by one
DATA = "data"


@dataclass
class Artifacts:
    """The attested files of one home.

    `node` gives the node of a statement, `known` only if it was looked at already.
    """

    home: Path
    store: EvidenceStore
    node: Callable[[str], Node]
    known: Callable[[str], Node | None]
    _digests: dict[tuple[int, ...], str] = field(default_factory=dict)

    def location(self, node: Node) -> Path:
        """The folder below which a materialisation's files lie.

        Raises:
            VerificationError: SOURCE_MISMATCH.
        """
        made = node.claims.made
        relative = str(made.outputs.get("location", DATA)) if made else ""
        folder = (self.home / relative).resolve()
        if not folder.is_relative_to(self.home.resolve()):
            raise VerificationError(
                reason(RootCause.SOURCE_MISMATCH, f"{relative!r} leaves the home")
            )
        return folder

    def found(self, node: Node, path: str, sha256: str, folder: Path | None = None) -> bytes:
        """The bytes that lie where an attested file should, whatever they are.

        Where none lie, and the home keeps its files elsewhere too, they are brought from there, if
        the statement that names them is good. So they are where machines share a home, and what
        lies here is an older version: another machine made the newer one.

        `folder`: the node's location, if the caller has just asked for it.

        Raises:
            EvidenceError: ARTIFACT_MISSING.
            VerificationError: DIGEST_MISMATCH, what is kept elsewhere is something else.
            BackendError: STORAGE_UNAVAILABLE.
        """
        place = (folder or self.location(node)) / path
        if self.store.contents and not node.reasons and not os.path.lexists(place):
            self.store.contents.bring(sha256, place)
        content = files.read_once(place)
        if self.store.contents and self.store.contents.is_shared and not node.reasons:
            here = encoding.digest_bytes(content)
            if here != sha256 and self._is_older(node, path, here):
                self.store.contents.bring(sha256, place)
                content = files.read_once(place)
        return content

    def _is_older(self, node: Node, path: str, sha256: str) -> bool:
        """Whether these bytes are an older version of this file than the node's."""
        made = node.claims.made
        if made is None or is_written_once(made):
            return False
        return any(
            (head.asset, head.path) == (node.name, path) and head.sequence < made.sequence
            for head in self.store.files_named(sha256)
        )

    def read(self, node: Node, entry: FileEntry, folder: Path | None = None) -> bytes:
        """The bytes of an attested file, read once and equal to their digest.

        `folder`: as `found`.

        Raises:
            EvidenceError: ARTIFACT_MISSING.
            VerificationError: DIGEST_MISMATCH, SUBJECT_PARTITION_MISMATCH or ROLLBACK.
            BackendError: As `found`.
        """
        try:
            content = self.found(node, entry.path, entry.sha256, folder)
        except EvidenceError as error:
            place = {"artifact": node.name, "partition": entry.partition}
            raise EvidenceError(
                *(item.model_copy(update=place) for item in error.reasons)
            ) from error
        found = encoding.digest_bytes(content)
        if found != entry.sha256:
            grown = len(content) > entry.size and _is_whole_parquet(content)
            raise self._mismatch(node, entry, found, grown=grown)
        return content

    def _mismatch(
        self, node: Node, entry: FileEntry, found: str, *, grown: bool
    ) -> VerificationError:
        """Say whose bytes lie there instead, as far as evidence knows them."""
        here = (entry.path, entry.partition)
        known = [head for head in self.store.files_named(found) if head.asset == node.name]
        made = node.claims.made
        other = next((head for head in known if head.partition != entry.partition), None)
        code, told = RootCause.DIGEST_MISMATCH, ""
        if made and known and is_written_once(made):
            code = RootCause.SUBJECT_MISMATCH
            told = "; these bytes were attested by another statement"
        elif versions := [head for head in known if (head.path, head.partition) == here]:
            told = "; these bytes are a newer version's"
            if not (made and self._is_superseded(made, versions)):
                code, told = RootCause.ROLLBACK, "; these bytes are an older version's"
        elif other is not None:
            code = RootCause.SUBJECT_PARTITION_MISMATCH
            told = f"; these bytes belong to {other.partition}"
        elif grown:
            code = RootCause.PARTITION_MUTATED_AFTER_ATTESTATION
            told = "; a larger file stands in its place"
        return VerificationError(
            reason(
                code,
                f"{entry.path} has sha256 {found[:12]}, attested {entry.sha256[:12]}{told}",
                artifact=node.name,
                partition=entry.partition,
            )
        )

    def check(
        self, node: Node, listed: set[str], wanted: Collection[str] | None = None
    ) -> list[Reason]:
        """What is wrong with the files on disk, where this node is their newest version.

        `listed`: as for `unattested`. `wanted`: the files that are looked at, by their attested
        SHA-256; all of them by default.
        """
        if not isinstance(node, Materialisation):
            return []
        heads = self.store.heads(node.manifest.asset)
        found: list[Reason] = []
        is_newest = False
        try:
            folder = self.location(node)
        except ProvenanceError as error:
            return [node.explain(item) for item in error.reasons]
        for entry in node.manifest.entries:
            if wanted is not None and entry.sha256 not in wanted:
                continue
            if self._is_superseded(node.provenance, heads.get(entry.partition, ())):
                continue  # the newer statement answers for the file
            is_newest = True
            try:
                self._compare(node, entry, folder)
            except ProvenanceError as error:
                found += error.reasons
        try:
            found += self.unattested(node, listed) if is_newest else []
        except ProvenanceError as error:
            found += error.reasons
        return [node.explain(item) for item in dict.fromkeys(found)]

    def present(self) -> Iterator[tuple[FileEntry, bytes]]:
        """Every file that should lie here, by evidence that verifies: newest versions, models.

        Raises:
            EvidenceError, VerificationError, BackendError: as `read`.
        """
        for record in self.store.records(predicate_type=PROVENANCE):
            node = self.node(record.statement)
            if not isinstance(node, Materialisation):
                continue  # `verify` says what is wrong with it
            heads = self.store.heads(node.manifest.asset)
            for entry in node.manifest.entries:
                if not self._is_superseded(node.provenance, heads.get(entry.partition, ())):
                    yield entry, self.read(node, entry)

    def _compare(self, node: Node, entry: FileEntry, folder: Path) -> None:
        """Read a file, unless this process did and nothing has touched the file since."""
        path = f"{folder}/{entry.path}"
        state = _state(path)
        if state is not None and self._digests.get(state) == entry.sha256:
            return
        self.read(node, entry, folder)
        if state is not None and state == _state(path):
            self._digests[state] = entry.sha256

    def _is_superseded(self, old: Provenance, heads: Sequence[Head]) -> bool:
        """Whether a newer statement really attests the partition; the index alone is no proof."""
        if is_written_once(old):
            return False
        for head in heads:
            match self.node(head.statement):
                case Materialisation(provenance=new, manifest=manifest) if (
                    new.asset,
                    new.sequence > old.sequence,
                ) == (old.asset, True) and head.partition in manifest.partitions:
                    return True
        return False

    def unattested(self, node: Node, listed: set[str]) -> list[Reason]:
        """One reason for each file beside the node's own that no evidence names.

        `listed` are the assets whose folder was looked through for this question: many days of
        one asset lie in one folder.

        Below `data/` an asset's folder holds the newest version of each partition and DVC's
        pointers to these; anywhere else the folder is the manifest. The index says what the other
        partitions are; where their statement was verified already, that decides.
        """
        made = node.claims.made
        if made is None or node.claims.manifest is None:
            return []
        folder, names = self.location(node), {entry.path for entry in node.entries}
        prefix = ""
        if not is_written_once(made):
            if made.asset in listed:
                return []
            listed.add(made.asset)
            prefix = f"{made.asset}/"
            heads = self.store.heads(made.asset)
            names |= self._attested([head for found in heads.values() for head in found])
            names |= {f"{name}.dvc" for name in names} | {f"{prefix}.gitignore"}
        present = files.names_below(folder / prefix) if (folder / prefix).is_dir() else []
        strangers = [f"{prefix}{name}" for name in present if f"{prefix}{name}" not in names]
        return [
            reason(
                RootCause.UNATTESTED_FILE,
                f"{name} is named by no evidence",
                artifact=made.asset,
            )
            for name in strangers[:_MAX_STRANGERS]
        ]

    def _attested(self, heads: Sequence[Head]) -> set[str]:
        """The paths of index rows, without those that their verified statement does not attest."""
        known = {head.statement: self.known(head.statement) for head in heads}
        paths = {
            statement: {entry.path for entry in node.entries}
            for statement, node in known.items()
            if node is not None
        }
        return {
            head.path
            for head in heads
            if head.statement not in paths or head.path in paths[head.statement]
        }


def is_written_once(made: Provenance) -> bool:
    """Whether a materialisation's folder is its manifest, for good: any but those below `data/`.

    Such a folder has a name of its own, as a model's has. What is made next lies elsewhere.
    """
    return bool(made.outputs.get("location", DATA) != DATA)


def _state(path: str) -> tuple[int, ...] | None:
    """What changes whenever a file does; its change time cannot be set by its owner."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return (
        facts.st_dev, facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns,
        facts.st_ctime_ns,
    )  # fmt: skip


def _is_whole_parquet(content: bytes) -> bool:
    """Whether bytes begin and end as Parquet does (file format, "File layout")."""
    return content[:4] == content[-4:] == b"PAR1"
