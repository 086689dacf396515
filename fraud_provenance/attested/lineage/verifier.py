"""The one verifier: from a statement, partition or artifact down to the raw data.

Order for each node, fixed: stored bytes equal their name → signature, certificate, timestamp, log
inclusion → predicate and single subject → neither it nor its signer revoked → signer allowed by the
layout for that step and environment → parameters, all and no others → manifest → materials: each
read was allowed by a signed decision under a released policy, whose inputs verify in turn → every
output made from bytes of a material → all that was read is one world: of each partition one
version, the newest when that was decided → contracts passed, not vacuously, on these very bytes →
no older version came back undecided. Then, for the chain as a whole: versions without gap or fork,
and the files on disk, and no others.
"""

import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.lineage.acceptances import accepted_findings, finding_ids, ids_of
from fraud_provenance.attested.lineage.artifacts import Artifacts, is_written_once
from fraud_provenance.attested.lineage.nodes import Node, Withdrawal, below, fallen
from fraud_provenance.attested.lineage.revocations import Revocations
from fraud_provenance.attested.lineage.signers import Signers, identity_of
from fraud_provenance.attested.lineage.snapshots import SINCE, Reading, Snapshots, rests_of
from fraud_provenance.attested.lineage.versions import REVOCATIONS, SeenHeads, Versions, went_back
from fraud_provenance.attested.ports.memory import Memory
from fraud_provenance.attested.rules.layout import Layout, StepRule
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.people import Acceptance, Approval, Supersede, Waiver
from fraud_provenance.attested.statements.predicates import PREDICATES, Predicate, is_said
from fraud_provenance.attested.statements.statements import Contract, Material, Provenance, Summary
from fraud_provenance.attested.store.store import EvidenceStore

__all__ = ["LineageVerifier", "Node", "covers", "identity_of"]

_MAX_LINEAGE_NODES = 100_000
_MAX_SECONDS = 600.0
_Work = Generator[str, Node, None]  # asks for nodes by statement, is sent them verified


class _RefusedBelow(Exception):  # noqa: N818 - ends a walk, is never seen outside
    """What a statement rests on is refused: that says why, and there is nothing more to look at."""


_ACCESS, _REGISTRATION = "data_access", "release"
_OF_A_MODEL = {"materialisation": 2, "model signature": 1}  # the model and its evaluation
_DEMANDED = {
    _REGISTRATION: _OF_A_MODEL,
    "deploy": _OF_A_MODEL | {"decision": 1, "promotion request": 1, "approval": 1},
}
"""What a permission of each gate rests on, by kind, and how many of it at least."""


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
        released: Callable[[str], Sequence[Sequence[str]]],
    ) -> None:
        """`home` is the folder that attested locations are relative to; `memory` knows the heads.

        `released` gives, by a policy's digest, the statements of each release that put it into
        force, oldest first.
        """
        self.store = store
        self.bundles = bundles
        self.layout = layout
        self.environment = environment
        self._released = released
        self.signers = Signers(layout, environment)
        self.versions = Versions(store, SeenHeads(memory), self.node)
        self.snapshots = Snapshots(store, self.node)
        self._nodes: dict[str, Node] = {}
        self.artifacts = Artifacts(home, store, self.node, self._nodes.get)
        self._open: set[str] = set()
        self._revocations: Revocations | None = None

    # --- nodes -----------------------------------------------------------------------------

    def node(self, statement: str) -> Node:
        """The verified node of a statement; problems are recorded in it, not raised.

        Without recursion: a chain of any length gives a verdict.
        """
        deadline = time.monotonic() + _MAX_SECONDS
        stack: list[tuple[Node, _Work]] = []
        found = self._known_or_begun(statement, stack)
        while stack:
            node, work = stack[-1]
            try:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"verification took longer than {_MAX_SECONDS:.0f} s")
                wanted = next(work) if found is None else work.send(found)
                found = self._known_or_begun(wanted, stack)
                continue
            except (StopIteration, _RefusedBelow):
                pass
            except ProvenanceError as error:
                node.blame(error)
            except Exception as error:
                node.blame(VerificationError(reason(RootCause.VERIFY_ERROR, repr(error))))
            stack.pop()
            self._open.discard(node.statement)
            node.distance = 1 + max((child.distance for child in node.children), default=-1)
            node.is_sound = not node.reasons and all(child.is_sound for child in node.children)
            self._nodes[node.statement] = found = node
        assert found is not None  # noqa: S101 - the last node to be taken from the stack
        return found

    def _known_or_begun(self, statement: str, stack: list[tuple[Node, _Work]]) -> Node | None:
        """The node if it can be had at once; None after its work was put on the stack."""
        if statement in self._nodes:
            return self._nodes[statement]
        known = self.store.records(statement=statement)
        name = known[0].subject_name if known else f"statement {statement[:12]}"
        node = Node(kind="evidence", name=name, statement=statement)
        if statement in self._open or len(self._nodes) + len(stack) >= _MAX_LINEAGE_NODES:
            node.blame(
                VerificationError(reason(RootCause.LINEAGE_CYCLE, "the lineage has no end here"))
            )
            return node
        self._open.add(statement)
        stack.append((node, self._fill(node)))
        return None

    def _fill(self, node: Node) -> _Work:
        _, content = self.store.bundle(node.statement)
        bundle = self.bundles.verify(content)
        if bundle.statement.digest != node.statement:
            raise VerificationError(
                reason(RootCause.SUBJECT_MISMATCH, "the bundle carries another statement")
            )
        node.bundle = bundle
        node.name = bundle.statement.subject_name
        row = PREDICATES[bundle.statement.predicate_type]
        node.kind = row.kind
        if row.model is Provenance:
            yield from self._fill_materialisation(node, bundle)
        elif row.model is Summary:
            yield from self._fill_decision(node, bundle)
        elif row.model is Contract:
            yield from self._fill_contract(node, bundle)
        else:
            yield from self._fill_leaf(node, bundle, row)
        if bundle.statement.predicate_type != statements.REVOCATION:
            self._check_revoked(node, bundle)  # a revocation counts, whoever is revoked besides

    def _child(
        self, node: Node, statement: str, kind: str, absent: ProvenanceError
    ) -> Generator[str, Node, Node]:
        """The verified statement of `kind` that `node` rests on, now a child of it.

        There is no third way between such a statement and a refusal: one of another kind is
        `absent`, and where the statement itself is refused, nothing can rest on it.
        """
        child = yield statement
        node.children.append(child)
        if child.bundle is None or child.reasons:
            raise _RefusedBelow
        if child.kind != kind:
            raise absent
        self.signers.check_order(node, child)
        return child

    def _fill_leaf(self, node: Node, bundle: VerifiedBundle, row: Predicate) -> _Work:
        """A statement that rests on no other."""
        statement, predicate = bundle.statement, bundle.statement.predicate
        match row.signer:
            case "person":
                self.signers.check_person(bundle, row.step)
            case "author":  # judged by the release before, not by the layout in force
                self._check_released(bundle)
            case "workload":
                self.signers.check_workload(bundle, row.step)
            case _:  # the predicate is not the step's own, its signer is
                self.signers.check_identity(bundle, self.layout.step(row.step), row.step)
        if row.has_environment:
            self.signers.check_environment(predicate.get("environment"))
        if row.clock:
            self.signers.check_clock(bundle, predicate.get(row.clock))
        said = statements.read(statement, row.model) if is_said(row.model) else None
        if isinstance(said, Acceptance):
            node.acceptance = said
            yield from self._check_acceptance(node, bundle, said)
        if row.is_about_attested:
            yield from self._check_attested(bundle)
        if isinstance(said, Approval):
            yield from self._check_policy(node, said.policy_digest)

    def _check_acceptance(self, node: Node, bundle: VerifiedBundle, said: Acceptance) -> _Work:
        """What a person accepted is what these results say of these bytes, and was said before."""
        judged = []
        for statement in said.contracts:
            child = yield statement
            node.children.append(child)
            if child.bundle is None or child.reasons:
                raise _RefusedBelow
            entries = child.manifest.entries if child.manifest else ()
            about = {(entry.partition, entry.sha256) for entry in entries}
            of_asset = child.manifest is not None and child.manifest.asset == said.asset
            if child.contract is None or not of_asset or (said.partition, said.sha256) not in about:
                why = f"{child.name[:80]} does not judge the day that was accepted"
                raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
            if bundle.logged < child.bundle.logged:
                why = f"logged before {child.name[:80]} was"
                raise VerificationError(reason(RootCause.APPROVAL_BEFORE_EVIDENCE, why))
            judged.append(child.contract)
        if list(said.findings) != accepted_findings(said.partition, judged):
            why = "it accepts other findings than the results have that it names"
            raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))

    def _check_attested(self, bundle: VerifiedBundle) -> _Work:
        """Somebody attested the very thing that a statement is about, under the same name."""
        said = bundle.statement
        records = self.store.records(
            predicate_type=statements.PROVENANCE, subject=said.subject_digest
        )
        for record in reversed(records):
            made = yield record.statement
            if made.provenance and made.provenance.asset == said.subject_name:
                return
        raise VerificationError(
            reason(
                RootCause.EVIDENCE_MISSING,
                f"nobody attested the {said.subject_name[:80]} {said.subject_digest[:12]}",
            )
        )

    def _check_released(self, bundle: VerifiedBundle) -> None:
        releases = self._released(bundle.statement.subject_digest)
        if not any(bundle.statement.digest in signed for signed in releases):
            raise VerificationError(
                reason(
                    RootCause.EXPECTATION_CHANGE_UNAPPROVED,
                    f"the signature of {bundle.identity} put no release into force",
                )
            )

    # --- what each kind must show ------------------------------------------------------------

    def _fill_materialisation(self, node: Node, bundle: VerifiedBundle) -> _Work:
        provenance = statements.read_provenance(bundle.statement)
        node.provenance = provenance
        node.name = provenance.asset
        self.signers.check_environment(provenance.environment)
        rule = self.signers.check_workload(bundle, provenance.step)
        if rule.produces != provenance.asset or provenance.asset != bundle.statement.subject_name:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"step {provenance.step} may not produce {provenance.asset}",
                )
            )
        self.signers.check_span(bundle, provenance.started_at, provenance.finished_at)
        rule.check_parameters(provenance.parameters)
        rule.check_complete(provenance.parameters)
        manifest = self._manifest(bundle.statement.subject_digest, provenance.asset)
        node.manifest = manifest
        yield from self._check_written_once(node, provenance, manifest)
        views: list[Manifest] = []
        for material in provenance.materials:
            if material.role == "policy" and not self._released(material.digest):
                raise _never_in_force(material.digest)
            if material.role in ("input", "source"):
                views.append((yield from self._material(node, provenance, material, rule)))
        rule.check_materials(
            {(view.asset, entry.partition) for view in views for entry in view.entries}
        )
        readable = {entry.sha256 for view in views for entry in view.entries}
        for entry in manifest.entries:
            if not entry.made_from or not readable.issuperset(entry.made_from):
                raise VerificationError(
                    reason(
                        RootCause.MATERIAL_UNEXPLAINED,
                        f"{entry.path} was made from bytes that no material contains",
                        partition=entry.partition,
                    )
                )
        yield from self._check_snapshot(node, manifest)
        if any(material.role == "source" for material in provenance.materials):
            yield from self._check_not_back(node, provenance, manifest)

    def _check_snapshot(self, node: Node, manifest: Manifest) -> _Work:
        """All that was read rests on one version of each partition, the newest at that time."""
        readings = [
            Reading(
                self._manifest(
                    child.statement_of().subject_digest, child.statement_of().subject_name
                ),
                tuple(child.children),
                child.bundle.logged,
            )
            for child in node.children
            if child.bundle and child.summary and child.summary.gate == _ACCESS
        ]
        node.rests = rests_of(manifest.entries, readings)
        if node.bundle and node.bundle.signed_at >= SINCE:
            found = yield from self.snapshots.judge(readings)
            if found:
                raise VerificationError(found)

    def _check_written_once(self, node: Node, provenance: Provenance, manifest: Manifest) -> _Work:
        """Nobody changes a folder that is a manifest, not even who wrote it first."""
        if not is_written_once(node):
            return
        for partition in manifest.partitions:
            for version in self.store.versions(provenance.asset, partition):
                if version.sequence >= provenance.sequence:
                    continue
                before = yield version.statement
                is_same = before.manifest == manifest  # attested anew, and nothing changed
                if not before.reasons and is_written_once(before) and not is_same:
                    raise VerificationError(
                        reason(
                            RootCause.SUBJECT_MISMATCH,
                            f"{partition} was attested with other files before, as"
                            f" {version.statement[:12]}, and is not written again",
                            partition=partition,
                        )
                    )

    def _manifest(self, digest: str, asset: str) -> Manifest:
        """The manifest that `digest` names, which must be one of `asset`."""
        manifest = self.store.manifest(digest)
        if manifest.asset != asset:
            raise VerificationError(
                reason(
                    RootCause.SUBJECT_MISMATCH,
                    f"manifest {digest[:12]} is of {manifest.asset[:80]!r}, not of {asset}",
                )
            )
        return manifest

    def _material(
        self, node: Node, provenance: Provenance, material: Material, rule: StepRule
    ) -> Generator[str, Node, Manifest]:
        """The manifest of what was read; its decision becomes a child of `node`."""
        allowed = rule.material(material.name)
        if allowed is None:
            raise VerificationError(
                reason(RootCause.MATERIAL_NOT_ALLOWED, f"{material.name} may not be read here")
            )
        manifest = self._manifest(material.digest, material.name)
        if material.role == "source":
            if material.name not in self.layout.sources:
                raise VerificationError(
                    reason(RootCause.EVIDENCE_MISSING, f"{material.name} was read unattested")
                )
            return manifest
        decision = yield from self._access(node, material.decision, provenance.step, material.name)
        if decision.statement_of().subject_digest != material.digest:
            raise _unread(material.name)
        return manifest

    def _access(
        self, node: Node, statement: str, step: str, asset: str
    ) -> Generator[str, Node, Node]:
        """The decision that let `step` read `asset`, now a child of `node`.

        What it let be read was attested and judged: that was looked at when it was verified.
        """
        decision = yield from self._child(node, statement, "decision", _unread(asset))
        summary = decision.summary_of()
        if (
            summary.gate != _ACCESS
            or not summary.allowed
            or (summary.facts.get("step"), summary.facts.get("asset")) != (step, asset)
        ):
            raise _unread(asset)
        return decision

    def _check_access(self, node: Node, summary: Summary, inputs: Sequence[Node]) -> None:
        """What may be read was attested for its partition and passed its contracts, all of it.

        The inputs are that evidence and nothing else.
        """
        said, facts = node.statement_of(), summary.facts
        asset, reader = said.subject_name, self.layout.steps.get(str(facts.get("step")))
        allowed = reader.material(asset) if reader else None
        if allowed is None or facts.get("asset") != asset:
            raise _unread(asset)
        view = self._manifest(said.subject_digest, asset)
        if list(view.partitions) != facts.get("partitions"):
            raise _unread(asset)
        self._check_view(view, inputs, allowed.requires_suites)
        for child in inputs:
            suite = child.contract.suite if child.contract else ""
            is_evidence = child.manifest is not None and child.manifest.asset == asset
            is_known = is_evidence and suite in ("", *allowed.requires_suites)
            is_known |= child.acceptance is not None and _is_about(child.acceptance, view)
            if not is_known and not child.reasons:
                raise _foreign(child)

    def _check_view(self, view: Manifest, evidence: Sequence[Node], suites: Sequence[str]) -> None:
        """Every file of `view` was attested for its partition and passed its contracts."""
        attested: set[FileEntry] = set()
        judged: dict[tuple[str, str, str], set[RootCause | None]] = {}
        accepted = [item.acceptance for item in evidence if item.acceptance and item.is_sound]
        for child in evidence:
            if child.manifest is None or child.manifest.asset != view.asset:
                continue
            if child.provenance:
                attested.update(child.manifest.entries)
            if child.contract:
                for entry in child.manifest.entries:
                    key = (child.contract.suite, entry.partition, entry.sha256)
                    said = child.contract.judges(entry.partition)
                    if said == RootCause.DATA_HELD and any(
                        covers(item, view.asset, entry, child.contract) for item in accepted
                    ):
                        said = None
                    judged.setdefault(key, set()).add(said)
        for entry in view.entries:
            if entry not in attested:
                raise VerificationError(
                    reason(
                        RootCause.EVIDENCE_MISSING,
                        f"{entry.path} ({entry.sha256[:12]}) is in no verified manifest",
                        artifact=view.asset,
                        partition=entry.partition,
                    )
                )
            for suite in suites:
                found = judged.get(
                    (suite, entry.partition, entry.sha256), {RootCause.CHECK_MISSING}
                )
                if None not in found:
                    raise VerificationError(
                        reason(
                            min(code for code in found if code),
                            f"{suite} has not passed on these bytes",
                            artifact=view.asset,
                            partition=entry.partition,
                        )
                    )

    def _check_not_back(self, node: Node, provenance: Provenance, manifest: Manifest) -> _Work:
        """Bytes that a later version had replaced came back only if a person decided that."""
        decided = provenance.outputs.get("supersede")
        back = self.versions.gone_back(provenance.asset, provenance.sequence, manifest.entries)
        for partition, replaced in sorted(back.items()):
            entry = next(item for item in manifest.entries if item.partition == partition)
            statement = decided.get(partition) if isinstance(decided, dict) else None
            if statement is None and replaced.sha256 == entry.sha256:
                before = yield replaced.statement
                if not before.all_reasons():
                    continue
            if not isinstance(statement, str):
                raise went_back(provenance.asset, partition)
            back_without = went_back(provenance.asset, partition)
            decision = yield from self._child(node, statement, "supersede", back_without)
            said = statements.read(decision.statement_of(), Supersede)
            if (
                decision.name != provenance.asset
                or (said.partition, said.sha256) != (partition, entry.sha256)
                or said.replaces != replaced.statement
            ):
                raise back_without
            self.signers.check_assent(decision, [(yield replaced.statement)])

    def _fill_decision(self, node: Node, bundle: VerifiedBundle) -> _Work:
        summary = statements.read_summary(bundle.statement)
        node.summary = summary
        self.signers.check_environment(summary.environment)
        self.signers.check_workload(bundle, summary.gate)
        self.signers.check_clock(bundle, summary.at)
        node.name = f"{summary.gate} decision on {bundle.statement.subject_name}"
        yield from self._check_policy(node, summary.policy_digest)
        inputs: list[Node] = []
        for digest in summary.inputs:
            inputs.append((yield digest))
        node.children += inputs
        for child in inputs:
            self.signers.check_order(node, child)
        if not summary.allowed:
            return  # a denial may rest on what is wrong: that is why it is one
        if summary.gate == _ACCESS:
            self._check_access(node, summary, inputs)
        elif any(child.reasons for child in inputs):
            raise _RefusedBelow
        else:
            self._check_inputs(node, summary, inputs)

    def _check_inputs(self, node: Node, summary: Summary, inputs: Sequence[Node]) -> None:
        """A permission about a model rests on what its gate demands, each about that very model."""
        demanded = _DEMANDED.get(summary.gate, {})
        said = node.statement_of()
        subject = [
            child
            for child in inputs
            if child.provenance and child.provenance.asset == said.subject_name
            and child.statement_of().subject_digest == said.subject_digest
        ]  # fmt: skip
        named = {
            str(value) for child in subject for value in child.provenance_of().outputs.values()
        }
        for child in inputs:
            read = child.provenance.materials if child.provenance else ()
            digests = {child.statement_of().subject_digest, *(item.digest for item in read)}
            if said.subject_digest not in digests and child.statement not in named:
                raise _foreign(child)
            decided = child.summary and (child.summary.gate, child.summary.allowed)
            if child.kind not in demanded or decided not in (None, (_REGISTRATION, True)):
                raise _foreign(child)
        kinds = [child.kind for child in inputs]
        lacking = [kind for kind, count in demanded.items() if kinds.count(kind) < count]
        if lacking or len(subject) != 1:
            what = ", ".join(lacking) or f"evidence of {said.subject_name[:80]}"
            raise VerificationError(
                reason(RootCause.EVIDENCE_MISSING, f"the decision rests on no {what}")
            )
        evidence = [child for child in inputs if child.kind in _OF_A_MODEL]
        for child in inputs:
            if child.kind == "approval":
                self._check_approval(child, summary, evidence)

    def _check_approval(self, approval: Node, summary: Summary, evidence: Sequence[Node]) -> None:
        """An approval that a permission rests on is of what was decided, and came after it."""
        said = statements.read(approval.statement_of(), Approval)
        decided = (
            summary.environment,
            summary.facts.get("evidence_set"),
            summary.policy_digest,
        )
        if (said.environment, said.evidence_set, said.policy_digest) != decided:
            raise _foreign(approval)
        self.signers.check_assent(approval, below(evidence))

    def _check_policy(self, node: Node, digest: str) -> _Work:
        """The policy that decided was in force; the signatures that put it there are children."""
        releases = self._released(digest)
        if not releases:
            raise _never_in_force(digest)
        first: list[Node] = []
        for statement in releases[0]:
            first.append((yield statement))
        node.children.extend(first)
        for release in first:
            self.signers.check_order(node, release)

    def _fill_contract(self, node: Node, bundle: VerifiedBundle) -> _Work:
        contract = statements.read_contract(bundle.statement)
        node.contract = contract
        node.name = f"{contract.suite[:80]} on {bundle.statement.subject_name}"
        self.signers.check_environment(contract.environment)
        rule = self.layout.contract(contract.suite)
        self.signers.check_workload(bundle, rule.step)
        rule.check_suite(contract.suite, contract.suite_digest, former=True)
        judged = self.store.manifest(bundle.statement.subject_digest)
        if judged.asset != rule.asset:
            raise VerificationError(
                reason(
                    RootCause.SUBJECT_MISMATCH, f"{contract.suite} does not judge {judged.asset}"
                )
            )
        if set(judged.partitions) < set(contract.rows):
            why = f"{contract.suite} judged more partitions than those of its subject"
            raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
        node.manifest = judged
        yield from self._check_waivers(node, contract, judged.asset)
        decision = yield from self._access(node, contract.decision, rule.step, judged.asset)
        view = self._manifest(decision.statement_of().subject_digest, judged.asset)
        if not set(view.entries).issuperset(judged.entries):
            raise _unread(judged.asset)

    def _check_waivers(self, node: Node, contract: Contract, asset: str) -> _Work:
        """What a contract took for declared empty was declared so, before; they are children."""
        makers = [step for step in self.layout.steps.values() if step.produces == asset]
        sources = {asset, *(material.asset for step in makers for material in step.materials)}
        for day, statement in sorted(contract.waivers.items()):
            why = f"{day[:80]} was not declared empty by a waiver"
            absent = VerificationError(reason(RootCause.PREDICATE_TYPE, why, partition=day[:80]))
            child = yield from self._child(node, statement, "waiver", absent)
            declared = statements.read(child.statement_of(), Waiver)
            if declared.partition != day or declared.asset not in sources:
                why = f"the waiver is of {declared.asset[:80]}/{declared.partition[:80]}"
                raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why, partition=day))

    def waivers(self, asset: str) -> dict[str, str]:
        """Day → statement, for the days of `asset` that people declared empty.

        One that does not verify, or was revoked, declares nothing.
        """
        found = {}
        for record in self.store.records(predicate_type=statements.WAIVER):
            node = self.node(record.statement)
            if node.bundle is not None and not node.reasons:
                waiver = statements.read(node.bundle.statement, Waiver)
                if waiver.asset == asset:
                    found[waiver.partition] = record.statement
        return found

    def acceptances(self, asset: str, partition: str, sha256: str) -> list[Node]:
        """Those of one day's bytes that count, the newest first.

        One that does not verify, or was revoked, accepts nothing.
        """
        records = self.store.records(predicate_type=statements.ACCEPTANCE, subject=sha256)
        nodes = [self.node(record.statement) for record in reversed(records)]
        place = (asset, partition)
        return [
            node
            for node in nodes
            if node.acceptance and (node.acceptance.asset, node.acceptance.partition) == place
            and node.is_sound and not node.revoked
        ]  # fmt: skip

    def accepting(
        self, place: tuple[str, str, str], suite: str, findings: Iterable[Finding]
    ) -> Node | None:
        """The newest acceptance of all that a suite holds a day for.

        `place` is the asset, the partition and the SHA-256 of its file.
        """
        needed = ids_of(suite, findings)
        known = self.acceptances(*place) if needed else []
        return next(
            (n for n in known if n.acceptance and n.acceptance.covered.issuperset(needed)), None
        )

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

    def _check_revoked(self, node: Node, bundle: VerifiedBundle) -> None:
        """Refuse what is revoked; note which files of a manifest are, or were made from such.

        A materialisation or contract that is revoked as a whole takes its files along, and so
        everything that was made from them, but nothing else that happens to be beside these.
        """
        signer = self.revocations.of_signer(bundle.identity, bundle.signed_at)
        found = self.revocations.of_statement(bundle.statement)
        if node.acceptance is not None:  # it takes along what it freed, and nothing else
            found = found or (Withdrawal(signer, bundle.logged) if signer else None)
            if found:
                whole = found._replace(why=node.explain(found.why))
                node.revoked = {node.acceptance.sha256: whole}
            return
        if signer:
            node.blame(VerificationError(signer))
        if found and node.provenance is None and node.contract is None:
            node.blame(VerificationError(found.why))
        if node.manifest is None:
            return
        if found:
            whole = found._replace(why=node.explain(found.why))
            node.revoked = {entry.sha256: whole for entry in node.manifest.entries}
            return
        if node.provenance is None:
            return
        tainted = {
            digest: child.revoked[digest]
            for decision in node.children
            for child, digest in fallen(decision.children, lambda read: read.revoked)
        }
        for entry in node.manifest.entries:
            causes = [self.revocations.of_file(entry.sha256)]
            for source in entry.made_from:
                causes += [tainted.get(source), self.revocations.of_file(source)]
            known = list(filter(None, causes))
            if known:
                first = min(cause.logged for cause in known)
                node.revoked[entry.sha256] = Withdrawal(known[0].why, first)

    # --- verdicts ----------------------------------------------------------------------------

    def chain_problems(self, nodes: Iterable[Node]) -> list[Reason]:
        """Gaps, forks and lost heads of the assets concerned, and of the revocations."""
        distances: dict[str, int] = {}
        for node in nodes:
            if node.provenance is not None:
                asset = node.provenance.asset
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
    ) -> Verdict:
        """The verdict on `subject`, in this verifier's environment and for `purpose`.

        The only way anything becomes trusted: commands, gates and every step's `read` ask here.
        It covers `roots`, everything below them, their chains, what people revoked and, unless the
        caller reads them itself, the files. `extra` is what else speaks against the subject.

        `partitions` are those of each root, by its statement, that the question is about (all of
        them by default): a revoked one speaks against the verdict, the others do not.
        """
        nodes = below(roots)
        more: dict[int, list[Reason]] = {}
        for node in nodes:
            if with_files and not node.reasons:
                more[id(node)] = self.artifacts.check(node)
        problems = [*extra, *self.chain_problems(nodes)]
        for root in roots:
            about = None if partitions is None else partitions.get(root.statement, ())
            problems += revoked_in(root, about)
        links = [node.link(more.get(id(node), ())) for node in nodes]
        return Verdict.of(subject, self.environment, purpose, links, problems)


def revoked_in(node: Node, partitions: Collection[str] | None = None) -> list[Reason]:
    """Why partitions of a materialisation (all of them by default) may not be used any more."""
    entries = node.manifest.entries if node.manifest else ()
    found = [
        node.revoked[entry.sha256].why
        for entry in entries
        if entry.sha256 in node.revoked and (partitions is None or entry.partition in partitions)
    ]
    return list(dict.fromkeys(found))


def _is_about(acceptance: Acceptance, view: Manifest) -> bool:
    place = (acceptance.partition, acceptance.sha256)
    known = {(entry.partition, entry.sha256) for entry in view.entries}
    return acceptance.asset == view.asset and place in known


def covers(acceptance: Acceptance, asset: str, entry: FileEntry, contract: Contract) -> bool:
    """Whether a person accepted all that a contract holds these bytes of a day for."""
    place = (acceptance.asset, acceptance.partition, acceptance.sha256)
    ids = finding_ids(entry.partition, contract)
    return place == (asset, entry.partition, entry.sha256) and acceptance.covered.issuperset(ids)


def _foreign(child: Node) -> VerificationError:
    """What stands among a decision's inputs says nothing about its subject."""
    why = f"the decision rests on a {child.kind} ({child.name[:80]}) that is about something else"
    return VerificationError(reason(RootCause.DECISION_MISSING, why))


def _never_in_force(policy: str) -> VerificationError:
    why = f"policy {policy[:12]} was never in force"
    return VerificationError(reason(RootCause.POLICY_UNSIGNED, why, artifact="policies"))


def _unread(asset: str) -> VerificationError:
    return VerificationError(
        reason(RootCause.DECISION_MISSING, f"no decision allowed reading {asset}")
    )
