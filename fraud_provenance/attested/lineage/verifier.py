"""The one verifier: from a statement, partition or artifact down to the raw data.

Order for each statement, fixed: stored bytes equal their name → signature, certificate, timestamp,
log inclusion → predicate and single subject → what its kind must show (`demands`), down to what it
rests on (`walk`) and what a permission rests on (`permissions`) → neither it nor its signer is
revoked. Then, for the chain as a whole: versions without gap or fork, and the files on disk, and no
others.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.lineage.acceptances import ids_of
from fraud_provenance.attested.lineage.artifacts import Artifacts
from fraud_provenance.attested.lineage.demands import Demands, Released
from fraud_provenance.attested.lineage.nodes import (
    AcceptedDay,
    Claims,
    Draft,
    Node,
    Verified,
    Withdrawal,
    below,
    fallen,
)
from fraud_provenance.attested.lineage.revocations import Revocations
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.lineage.snapshots import Snapshots
from fraud_provenance.attested.lineage.versions import REVOCATIONS, SeenHeads, Versions
from fraud_provenance.attested.lineage.walk import Walk, Work
from fraud_provenance.attested.ports.memory import Memory
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.people import Acceptance, Waiver
from fraud_provenance.attested.statements.predicates import PREDICATES
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.attested.store.store import EvidenceStore

_Kind = TypeVar("_Kind", bound=Node)


class LineageVerifier:
    """Walks evidence. Results are memoised by statement digest, so shared history costs once."""

    def __init__(
        self,
        store: EvidenceStore,
        bundles: BundleVerifier,
        layout: Layout,
        environment: str,
        home: Path,
        memory: Memory,
        released: Released,
    ) -> None:
        """Attested locations are relative to the folder `home`; `memory` knows the heads."""
        self.store = store
        self.bundles = bundles
        self.layout = layout
        self.environment = environment
        self.versions = Versions(store, SeenHeads(memory), self.node)
        self.snapshots = Snapshots(store, self.node)
        self.demands = Demands(
            store, layout, Signers(layout, environment), self.snapshots, self.versions, released
        )
        self._walk = Walk(self._fill, self._name_of)
        self.artifacts = Artifacts(home, store, self.node, self._walk.known)
        self._revocations: Revocations | None = None

    # --- nodes -----------------------------------------------------------------------------

    def node(self, statement: str) -> Node:
        """The node of a statement, verified or refused; problems are not raised."""
        return self._walk.node(statement)

    def trusted(self, statement: str, kind: type[_Kind]) -> _Kind:
        """A statement as what it should be, whole, and nothing is refused of it or below it.

        Raises:
            VerificationError: it is refused, or rests on what is, or is something else.
        """
        return self.node(statement).trusted(kind)

    def refuse(self, node: Node, error: ProvenanceError) -> Node:
        """A node refused for what this library does not know of; it stays so for this verifier."""
        return self._walk.refuse(node, error)

    def _name_of(self, statement: str) -> str:
        known = self.store.records(statement=statement)
        return known[0].subject_name if known else f"statement {statement[:12]}"

    def _fill(self, draft: Draft) -> Work:
        _, content = self.store.bundle(draft.statement)
        bundle = self.bundles.verify(content)
        if bundle.statement.digest != draft.statement:
            raise VerificationError(
                reason(RootCause.SUBJECT_MISMATCH, "the bundle carries another statement")
            )
        draft.claims = Claims(bundle)
        draft.name = bundle.statement.subject_name
        row = PREDICATES[bundle.statement.predicate_type]
        draft.kind = row.kind
        yield from self.demands.fill(draft, bundle, row)
        if bundle.statement.predicate_type != statements.REVOCATION:
            self._check_revoked(draft, bundle)  # a revocation counts, whoever is revoked besides

    def waivers(self, asset: str) -> dict[str, str]:
        """Day → statement, for the days of `asset` that people declared empty.

        One that does not verify, or was revoked, declares nothing.
        """
        found = {}
        for record in self.store.records(predicate_type=statements.WAIVER):
            node = self.node(record.statement)
            if isinstance(node, Verified):
                waiver = statements.read(node.bundle.statement, Waiver)
                if waiver.asset == asset:
                    found[waiver.partition] = record.statement
        return found

    def acceptances(self, asset: str, partition: str, sha256: str) -> list[AcceptedDay]:
        """Those of one day's bytes that count, the newest first.

        One that does not verify, or was revoked, accepts nothing.
        """
        records = self.store.records(predicate_type=statements.ACCEPTANCE, subject=sha256)
        nodes = [self.node(record.statement) for record in reversed(records)]
        place = (asset, partition)
        return [
            node
            for node in nodes
            if isinstance(node, AcceptedDay) and (node.said.asset, node.said.partition) == place
            and node.is_sound and not node.revoked
        ]  # fmt: skip

    def accepting(
        self, place: tuple[str, str, str], suite: str, findings: Iterable[Finding]
    ) -> AcceptedDay | None:
        """The newest acceptance of all that a suite holds a day for.

        `place` is the asset, the partition and the SHA-256 of its file.
        """
        needed = ids_of(suite, findings)
        known = self.acceptances(*place) if needed else []
        return next((node for node in known if node.said.covered.issuperset(needed)), None)

    # --- revocations ---------------------------------------------------------------------------

    @property
    def revocations(self) -> Revocations:
        """Everything that people withdrew, as far as the store knows it."""
        if self._revocations is None:
            records = self.store.records(predicate_type=statements.REVOCATION)
            self._revocations = Revocations.of(
                [self.node(record.statement) for record in records], self.layout
            )
        return self._revocations

    def _check_revoked(self, draft: Draft, bundle: VerifiedBundle) -> None:
        """Refuse what is revoked; note which files of a manifest are, or were made from such.

        A materialisation or contract that is revoked as a whole takes its files along, and so
        everything that was made from them, but nothing else that happens to be beside these.
        """
        signer = self.revocations.of_signer(bundle.identity, bundle.signed_at)
        found = self.revocations.of_statement(bundle.statement)
        _, said, manifest = draft.claims
        if isinstance(said, Acceptance):  # it takes along what it freed, and nothing else
            found = found or (Withdrawal(signer, bundle.logged) if signer else None)
            if found:
                whole = found._replace(why=draft.claims.explain(draft.name, found.why))
                draft.revoked = {said.sha256: whole}
            return
        if signer:
            draft.blame(VerificationError(signer))
        if manifest is None:
            if found:
                draft.blame(VerificationError(found.why))
            return
        if found:
            whole = found._replace(why=draft.claims.explain(draft.name, found.why))
            draft.revoked = {entry.sha256: whole for entry in manifest.entries}
            return
        if not isinstance(said, Provenance):
            return
        tainted = {
            digest: child.revoked[digest]
            for decision in draft.children
            for child, digest in fallen(decision.children, lambda read: read.revoked)
        }
        for entry in manifest.entries:
            causes = [self.revocations.of_file(entry.sha256)]
            for source in entry.made_from:
                causes += [tainted.get(source), self.revocations.of_file(source)]
            known = list(filter(None, causes))
            if known:
                first = min(cause.logged for cause in known)
                draft.revoked[entry.sha256] = Withdrawal(known[0].why, first)

    # --- verdicts ----------------------------------------------------------------------------

    def chain_problems(self, nodes: Iterable[Node]) -> list[Reason]:
        """Gaps, forks and lost heads of the assets concerned, and of the revocations."""
        distances: dict[str, int] = {}
        for node in nodes:
            if made := node.claims.made:
                asset = made.asset
                distances[asset] = min(node.distance, distances.get(asset, node.distance))
        found = [
            item.model_copy(update={"distance": distance})
            for asset, distance in sorted(distances.items())
            for item in self.versions.problems(asset)
        ]
        return [*found, *self.versions.problems(REVOCATIONS), *self.revocations.problems]

    def verify(
        self,
        subject: str,
        purpose: str,
        roots: Collection[Node],
        extra: Iterable[Reason] = (),
        *,
        with_files: bool = True,
        partitions: Mapping[str, Collection[str]] | None = None,
        files: Collection[str] | None = None,
    ) -> Verdict:
        """The verdict on `subject`, in this verifier's environment and for `purpose`.

        The only way anything becomes trusted: commands, gates and every step's `read` ask here.
        It covers `roots`, everything below them, their chains, what people revoked and, unless the
        caller reads them itself, the files. `extra` is what else speaks against the subject.

        `partitions` are those of each root, by its statement, that the question is about (all of
        them by default): a revoked one speaks against the verdict, the others do not. `files` are
        those that are looked at, by their SHA-256 (all by default).
        """
        nodes = list(dict.fromkeys(map(self._walk.latest, below(roots))))
        more: dict[int, list[Reason]] = {}
        listed: set[str] = set()
        for node in nodes:
            if with_files and not node.reasons:
                more[id(node)] = self.artifacts.check(node, listed, files)
        problems = [*extra, *self.chain_problems(nodes)]
        for root in roots:
            about = None if partitions is None else partitions.get(root.statement, ())
            problems += revoked_in(root, about)
        links = [node.link(more.get(id(node), ())) for node in nodes]
        return Verdict.of(subject, self.environment, purpose, links, problems)


def revoked_in(node: Node, partitions: Collection[str] | None = None) -> list[Reason]:
    """Why partitions of a materialisation (all of them by default) may not be used any more."""
    found = [
        node.revoked[entry.sha256].why
        for entry in node.entries
        if entry.sha256 in node.revoked and (partitions is None or entry.partition in partitions)
    ]
    return list(dict.fromkeys(found))
