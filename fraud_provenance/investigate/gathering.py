"""Which evidence a file must hold: exactly what the verifier asked for, and no more.

A store that notes what is read tells it. The same is asked of a home and of the home that a file
makes; a member that nothing asks for is refused, for nobody would have looked at it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS, REVOCATIONS
from fraud_provenance.attested.ports.blobs import Blobs
from fraud_provenance.attested.rules.releases import TRUST_FILES, Release
from fraud_provenance.attested.sigstore import bundle_form
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.predicates import PREDICATES
from fraud_provenance.attested.store.contents import Contents
from fraud_provenance.attested.store.databases import Database
from fraud_provenance.attested.store.store import ChainLink, EvidenceStore, Record
from fraud_provenance.attested.tlog import notes
from fraud_provenance.attested.tlog.checkpoints import LogMemory, WitnessedLogs
from fraud_provenance.attested.tlog.notes import Checkpoint
from fraud_provenance.attested.tlog.tiles import tile_path
from fraud_provenance.home.workspace import Workspace, contents_of
from fraud_provenance.investigate.proof_file import Newest, Standing, Subject
from fraud_provenance.investigate.token_form import check_token
from fraud_provenance.models.registry import CHAMPION

_JUDGING = ("trusted_root.json", "issuers.json", "witnesses.json")
_RULES = ("data/layout.json", "data/principals.json")
_OF_MANIFESTS = tuple(row.uri for row in PREDICATES.values() if row.listed in ("files", "results"))


class NotingStore(EvidenceStore):
    """A store that notes which statements and manifests were asked for."""

    def __init__(
        self,
        blobs: Blobs,
        index: Database,
        logs: Iterable[bytes],
        contents: Contents | None,
    ) -> None:
        """As `EvidenceStore`."""
        self.statements: set[str] = set()
        self.manifests: set[str] = set()
        super().__init__(blobs, index, logs, contents)
        self.manifests.clear()  # indexing read all there are

    def bundle(self, statement: str) -> tuple[str, bytes]:
        """As `EvidenceStore.bundle`."""
        found = super().bundle(statement)
        self.statements.add(statement)
        return found

    def manifest(self, digest: str) -> Manifest:
        """As `EvidenceStore.manifest`."""
        found = super().manifest(digest)
        self.manifests.add(digest)
        return found


def noting(workspace: Workspace) -> NotingStore:
    """Have an opened home note what is read of its evidence; before anything is."""
    root = files.read_once(workspace.home / "trust" / "trusted_root.json", limit_bytes=1 << 20)
    store = NotingStore(
        workspace.blobs("evidence"),
        workspace.index(),
        notes.log_keys(root),
        contents_of(workspace.settings),
    )
    workspace.store = store
    return store


def chains_of(workspace: Workspace, subject: Subject, store: NotingStore) -> list[str]:
    """The chains that a verdict rests on: of each asset that was looked at, and what people say."""
    made = {
        record.asset
        for statement in store.statements
        for record in store.records(statement=statement)
        if record.predicate_type == statements.PROVENANCE
    }
    more = {REVOCATIONS} | ({DEPLOYMENTS} if subject.alias == CHAMPION else set())
    versions = workspace.trust.lineage().versions
    return sorted(chain for chain in made | more if versions.links(chain))


def standing_of(workspace: Workspace, chains: Iterable[str]) -> Standing:
    """What is in force in an opened home."""
    releases = workspace.releases.chain().releases
    head = workspace.releases.head().expectations
    versions = workspace.trust.lineage().versions
    links: dict[str, ChainLink] = {chain: versions.links(chain)[-1] for chain in chains}
    return Standing(
        environment=workspace.environment,
        trusted_root=head.trust["trusted_root.json"],
        first_release=releases[0].expectations.digest,
        release=head.digest,
        version=head.version,
        chains={
            name: Newest(sequence=link.sequence, statement=link.statement)
            for name, link in links.items()
        },
    )


def members_of(workspace: Workspace, store: NotingStore, chains: Iterable[str]) -> dict[str, bytes]:
    """Every member of a file by its name, after the verdict was asked for.

    Raises:
        EvidenceError, VerificationError: a piece is gone, or no signature of ours.
    """
    releases = workspace.releases.chain().releases
    wanted = set(store.statements) | {one for item in releases for one in item.statements}
    versions = workspace.trust.lineage().versions
    for chain in chains:
        wanted |= {link.statement for link in versions.links(chain)}
    manifests = set(store.manifests) | {item.expectations.policies for item in releases}
    found: dict[str, bytes] = {}
    for statement in sorted(wanted):
        record, name, content = _bundle(workspace, store, statement)
        found[name] = content
        if record.predicate_type in _OF_MANIFESTS:
            manifests.add(record.subject_digest)
    for digest in manifests:
        found[f"evidence/manifests/{digest}.json"] = store.manifest(digest).content
    for release in releases:
        for digest in _objects(workspace, release):
            found[f"trust/objects/{digest}"] = workspace.releases.objects.get(digest)
    for release in releases:
        found |= _log(workspace.releases.verifier(release.expectations).logs)
    return found


def _bundle(workspace: Workspace, store: NotingStore, statement: str) -> tuple[Record, str, bytes]:
    """The one bundle of a statement in its one form, verified in that form."""
    _, content = EvidenceStore.bundle(store, statement)
    content = _in_one_form(content)
    verifier, verified = _verified(workspace, content)
    check_token(bundle_form.read(content), verifier)
    if verified.statement.digest != statement:
        why = "the bundle carries another statement"
        raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
    record = store.records(statement=statement)[0]
    return record, f"evidence/bundles/{encoding.digest_bytes(content)}.sigstore.json", content


def _in_one_form(content: bytes) -> bytes:
    """A bundle as canonical JSON; what may be there or not, without meaning, is there or not."""
    document = encoding.strict_json(content)
    bundle_form.check_shape(document)
    document["verificationMaterial"]["tlogEntries"][0].setdefault("integratedTime", "0")
    document["dsseEnvelope"]["signatures"][0].pop("keyid", None)  # empty, or it does not verify
    return encoding.canonical_json(document)


def _verified(workspace: Workspace, content: bytes) -> tuple[BundleVerifier, VerifiedBundle]:
    """A bundle, and who verified it: by the trust root in force, else by one before."""
    refused: VerificationError | None = None
    for release in reversed(workspace.releases.chain().releases):
        verifier = workspace.releases.verifier(release.expectations)
        try:
            return verifier, verifier.verify(content)
        except VerificationError as error:
            refused = refused or error
    raise refused or VerificationError(reason(RootCause.POLICY_UNSIGNED, "there is no release"))


def _objects(workspace: Workspace, release: Release) -> set[str]:
    """What a release names and judging by it takes; of the one in force, all of it."""
    expected, entries = release.expectations, workspace.releases.manifest(release).entries
    is_head = release is workspace.releases.chain().releases[-1]
    trust = {expected.trust[name] for name in (TRUST_FILES if is_head else _JUDGING)}
    return trust | {entry.sha256 for entry in entries if is_head or entry.path in _RULES}


def _log(logs: WitnessedLogs) -> dict[str, bytes]:
    """The newest countersigned head of each log, and the tiles that were read below it."""
    found: dict[str, bytes] = {}
    for memory in logs.memories.values():
        folder = f"trust/checkpoints/{memory.key.origin}"
        newest = memory.newest()
        found[f"{folder}/{newest.size:016d}.checkpoint"] = _signed_enough(logs, memory, newest)
        if newest.size:
            for level, index, tile in memory.tree().known_tiles():
                found[f"{folder}/{tile_path(level, index, len(tile))}"] = b"".join(tile)
    return found


def _signed_enough(logs: WitnessedLogs, memory: LogMemory, head: Checkpoint) -> bytes:
    """A head with its log's signature and as many witnesses' as are needed, and no other line."""
    alone = [replace(head, signatures=(line,)) for line in dict.fromkeys(head.signatures)]
    own = [item for item in alone if memory.key.is_signer_of(item)][:1]
    witnesses = [item for key in logs.policy.keys for item in alone if key.signed_at(item)]
    signed = [*own, *witnesses[: logs.policy.threshold]]
    return replace(head, signatures=tuple(item.signatures[0] for item in signed)).note


def check_members(given: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    """Demand that a file holds what was asked for, in its one form, and nothing else.

    Raises:
        VerificationError: UNATTESTED_FILE or EVIDENCE_TAMPERED. EvidenceError: EVIDENCE_MISSING.
    """
    if extra := sorted(given.keys() - wanted.keys()):
        why = f"nothing asks for {extra[0][:120]}, so nobody has looked at it"
        raise VerificationError(reason(RootCause.UNATTESTED_FILE, why, artifact="proof file"))
    if absent := sorted(wanted.keys() - given.keys()):
        why = f"{absent[0][:120]} is not in it"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact="proof file"))
    if other := sorted(name for name, content in wanted.items() if given[name] != content):
        why = f"{other[0][:120]} is in another form"
        raise VerificationError(reason(RootCause.EVIDENCE_TAMPERED, why, artifact="proof file"))
