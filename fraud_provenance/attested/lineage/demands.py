"""What each kind of statement must show; what it rests on is asked for, and comes verified.

The order for each is fixed: signer allowed by the layout for that step and environment → times that
agree with the timestamp authority's → parameters, all and no others → manifest → materials, each
read allowed by a signed decision under a released policy → every output made from bytes of a
material → all that was read is one world → no older version came back undecided.
"""

from collections.abc import Callable, Generator, Sequence

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError, reason
from fraud_provenance.attested.lineage.acceptances import accepted_findings
from fraud_provenance.attested.lineage.artifacts import is_written_once
from fraud_provenance.attested.lineage.nodes import (
    Claims,
    Decision,
    Draft,
    Judgement,
    Materialisation,
    Node,
    Verified,
)
from fraud_provenance.attested.lineage.permissions import (
    ACCESS,
    Permissions,
    unread,
)
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.lineage.snapshots import SINCE, Reading, Snapshots, rests_of
from fraud_provenance.attested.lineage.versions import Versions, went_back
from fraud_provenance.attested.lineage.walk import RefusedBelow, Work
from fraud_provenance.attested.rules.layout import Layout, StepRule
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Acceptance, Approval, Supersede, Waiver
from fraud_provenance.attested.statements.predicates import Predicate, is_said
from fraud_provenance.attested.statements.statements import Contract, Material, Provenance, Summary
from fraud_provenance.attested.store.store import EvidenceStore

Released = Callable[[str], Sequence[Sequence[str]]]
"""By a policy's digest, the statements of each release that put it into force, oldest first."""


class Demands:
    """What a statement must show under one layout, in one environment."""

    def __init__(
        self,
        store: EvidenceStore,
        layout: Layout,
        signers: Signers,
        snapshots: Snapshots,
        versions: Versions,
        released: Released,
    ) -> None:
        self._store, self._layout, self._signers = store, layout, signers
        self._snapshots, self._versions, self._released = snapshots, versions, released
        self.permissions = Permissions(store, layout, signers)

    def fill(self, draft: Draft, bundle: VerifiedBundle, row: Predicate) -> Work:
        """Judge a statement by its kind, and note in `draft` what it says."""
        if row.model is Provenance:
            yield from self._fill_materialisation(draft, bundle)
        elif row.model is Summary:
            yield from self._fill_decision(draft, bundle)
        elif row.model is Contract:
            yield from self._fill_contract(draft, bundle)
        else:
            yield from self._fill_leaf(draft, bundle, row)

    # --- what is made ------------------------------------------------------------------------

    def _fill_materialisation(self, draft: Draft, bundle: VerifiedBundle) -> Work:
        provenance = statements.read_provenance(bundle.statement)
        draft.claims = Claims(bundle, provenance)
        draft.name = provenance.asset
        self._signers.check_environment(provenance.environment)
        rule = self._signers.check_workload(bundle, provenance.step)
        if rule.produces != provenance.asset or provenance.asset != bundle.statement.subject_name:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"step {provenance.step} may not produce {provenance.asset}",
                )
            )
        self._signers.check_span(bundle, provenance.started_at, provenance.finished_at)
        rule.check_parameters(provenance.parameters)
        rule.check_complete(provenance.parameters)
        manifest = self.permissions.manifest(bundle.statement.subject_digest, provenance.asset)
        draft.claims = Claims(bundle, provenance, manifest)
        yield from self._check_written_once(provenance, manifest)
        views: list[Manifest] = []
        for material in provenance.materials:
            if material.role == "policy" and not self._released(material.digest):
                raise _never_in_force(material.digest)
            if material.role in ("input", "source"):
                views.append((yield from self._material(draft, provenance, material, rule)))
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
        yield from self._check_snapshot(draft, bundle, manifest)
        if any(material.role == "source" for material in provenance.materials):
            yield from self._check_not_back(draft, provenance, manifest)

    def _check_snapshot(self, draft: Draft, bundle: VerifiedBundle, manifest: Manifest) -> Work:
        """All that was read rests on one version of each partition, the newest at that time."""
        readings = [
            Reading(
                self.permissions.manifest(
                    child.bundle.statement.subject_digest, child.bundle.statement.subject_name
                ),
                tuple(child.children),
                child.bundle.logged,
            )
            for child in draft.children
            if isinstance(child, Decision) and child.summary.gate == ACCESS
        ]
        draft.rests = rests_of(manifest.entries, readings)
        if bundle.signed_at >= SINCE:
            found = yield from self._snapshots.judge(readings)
            if found:
                raise VerificationError(found)

    def _check_written_once(self, provenance: Provenance, manifest: Manifest) -> Work:
        """Nobody changes a folder that is a manifest, not even who wrote it first."""
        if not is_written_once(provenance):
            return
        for partition in manifest.partitions:
            for version in self._store.versions(provenance.asset, partition):
                if version.sequence >= provenance.sequence:
                    continue
                before = yield version.statement
                if (
                    isinstance(before, Materialisation) and is_written_once(before.provenance)
                    and before.manifest != manifest  # else attested anew, and nothing changed
                ):  # fmt: skip
                    raise VerificationError(
                        reason(
                            RootCause.SUBJECT_MISMATCH,
                            f"{partition} was attested with other files before, as"
                            f" {version.statement[:12]}, and is not written again",
                            partition=partition,
                        )
                    )

    def _check_not_back(self, draft: Draft, provenance: Provenance, manifest: Manifest) -> Work:
        """Bytes that a later version had replaced came back only if a person decided that."""
        decided = provenance.outputs.get("supersede")
        back = self._versions.gone_back(provenance.asset, provenance.sequence, manifest.entries)
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
            decision = yield from self._child(draft, statement, "supersede", back_without)
            said = statements.read(decision.bundle.statement, Supersede)
            if (
                decision.name != provenance.asset
                or (said.partition, said.sha256) != (partition, entry.sha256)
                or said.replaces != replaced.statement
            ):
                raise back_without
            self._signers.check_assent(decision, [(yield replaced.statement)])

    def _material(
        self, draft: Draft, provenance: Provenance, material: Material, rule: StepRule
    ) -> Generator[str, Node, Manifest]:
        """The manifest of what was read; its decision becomes a child of `draft`."""
        allowed = rule.material(material.name)
        if allowed is None:
            raise VerificationError(
                reason(RootCause.MATERIAL_NOT_ALLOWED, f"{material.name} may not be read here")
            )
        manifest = self.permissions.manifest(material.digest, material.name)
        if material.role == "source":
            if material.name not in self._layout.sources:
                raise VerificationError(
                    reason(RootCause.EVIDENCE_MISSING, f"{material.name} was read unattested")
                )
            return manifest
        decision = yield from self._access(draft, material.decision, provenance.step, material.name)
        if decision.bundle.statement.subject_digest != material.digest:
            raise unread(material.name)
        return manifest

    def _access(
        self, draft: Draft, statement: str, step: str, asset: str
    ) -> Generator[str, Node, Decision]:
        """The decision that let `step` read `asset`, now a child of `draft`.

        What it let be read was attested and judged: that was looked at when it was verified.
        """
        decision = yield from self._child(draft, statement, "decision", unread(asset))
        if (
            not isinstance(decision, Decision)
            or (decision.summary.gate, decision.summary.allowed) != (ACCESS, True)
            or (decision.summary.facts.get("step"), decision.summary.facts.get("asset"))
            != (step, asset)
        ):
            raise unread(asset)
        return decision

    # --- what gates, contracts and people say ------------------------------------------------

    def _fill_decision(self, draft: Draft, bundle: VerifiedBundle) -> Work:
        summary = statements.read_summary(bundle.statement)
        draft.claims = Claims(bundle, summary)
        self._signers.check_environment(summary.environment)
        self._signers.check_workload(bundle, summary.gate)
        self._signers.check_clock(bundle, summary.at)
        draft.name = f"{summary.gate} decision on {bundle.statement.subject_name}"
        yield from self._check_policy(draft, summary.policy_digest)
        inputs: list[Node] = []
        for digest in summary.inputs:
            inputs.append((yield digest))
        draft.children += inputs
        for child in inputs:
            self._signers.check_order(draft, child)
        if not summary.allowed:
            return  # a denial may rest on what is wrong: that is why it is one
        if summary.gate == ACCESS:
            self.permissions.check_access(bundle.statement, summary, inputs)
            return
        verified = [child for child in inputs if isinstance(child, Verified)]
        if len(verified) < len(inputs):
            raise RefusedBelow
        self.permissions.check_inputs(bundle.statement, summary, verified)

    def _fill_contract(self, draft: Draft, bundle: VerifiedBundle) -> Work:
        contract = statements.read_contract(bundle.statement)
        draft.claims = Claims(bundle, contract)
        draft.name = f"{contract.suite[:80]} on {bundle.statement.subject_name}"
        self._signers.check_environment(contract.environment)
        rule = self._layout.contract(contract.suite)
        self._signers.check_workload(bundle, rule.step)
        rule.check_suite(contract.suite, contract.suite_digest, former=True)
        judged = self.permissions.manifest(bundle.statement.subject_digest)
        if judged.asset != rule.asset:
            raise VerificationError(
                reason(
                    RootCause.SUBJECT_MISMATCH, f"{contract.suite} does not judge {judged.asset}"
                )
            )
        if set(judged.partitions) < set(contract.rows):
            why = f"{contract.suite} judged more partitions than those of its subject"
            raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
        draft.claims = Claims(bundle, contract, judged)
        yield from self._check_waivers(draft, contract, judged.asset)
        decision = yield from self._access(draft, contract.decision, rule.step, judged.asset)
        view = self.permissions.manifest(decision.bundle.statement.subject_digest, judged.asset)
        if not set(view.entries).issuperset(judged.entries):
            raise unread(judged.asset)

    def _check_waivers(self, draft: Draft, contract: Contract, asset: str) -> Work:
        """What a contract took for declared empty was declared so, before; they are children."""
        makers = [step for step in self._layout.steps.values() if step.produces == asset]
        sources = {asset, *(material.asset for step in makers for material in step.materials)}
        for day, statement in sorted(contract.waivers.items()):
            why = f"{day[:80]} was not declared empty by a waiver"
            absent = VerificationError(reason(RootCause.PREDICATE_TYPE, why, partition=day[:80]))
            child = yield from self._child(draft, statement, "waiver", absent)
            declared = statements.read(child.bundle.statement, Waiver)
            if declared.partition != day or declared.asset not in sources:
                why = f"the waiver is of {declared.asset[:80]}/{declared.partition[:80]}"
                raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why, partition=day))

    def _fill_leaf(self, draft: Draft, bundle: VerifiedBundle, row: Predicate) -> Work:
        """A statement that rests on no other."""
        statement, predicate = bundle.statement, bundle.statement.predicate
        match row.signer:
            case "person":
                self._signers.check_person(bundle, row.step)
            case "author":  # judged by the release before, not by the layout in force
                self._check_released(bundle)
            case "workload":
                self._signers.check_workload(bundle, row.step)
            case _:  # the predicate is not the step's own, its signer is
                self._signers.check_identity(bundle, self._layout.step(row.step), row.step)
        if row.has_environment:
            self._signers.check_environment(predicate.get("environment"))
        if row.clock:
            self._signers.check_clock(bundle, predicate.get(row.clock))
        said = statements.read(statement, row.model) if is_said(row.model) else None
        draft.claims = Claims(bundle, said)
        if isinstance(said, Acceptance):
            yield from self._check_acceptance(draft, bundle, said)
        if row.is_about_attested:
            yield from self._check_attested(bundle)
        if isinstance(said, Approval):
            yield from self._check_policy(draft, said.policy_digest)

    def _check_acceptance(self, draft: Draft, bundle: VerifiedBundle, said: Acceptance) -> Work:
        """What a person accepted is what these results say of these bytes, and was said before."""
        judged = []
        for statement in said.contracts:
            child = yield statement
            draft.children.append(child)
            if not isinstance(child, Verified):
                raise RefusedBelow
            if not isinstance(child, Judgement) or not _is_on(child.manifest, said):
                why = f"{child.name[:80]} does not judge the day that was accepted"
                raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))
            if bundle.logged < child.bundle.logged:
                why = f"logged before {child.name[:80]} was"
                raise VerificationError(reason(RootCause.APPROVAL_BEFORE_EVIDENCE, why))
            judged.append(child.contract)
        if list(said.findings) != accepted_findings(said.partition, judged):
            why = "it accepts other findings than the results have that it names"
            raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why))

    def _check_attested(self, bundle: VerifiedBundle) -> Work:
        """Somebody attested the very thing that a statement is about, under the same name."""
        said = bundle.statement
        records = self._store.records(
            predicate_type=statements.PROVENANCE, subject=said.subject_digest
        )
        for record in reversed(records):
            made = yield record.statement
            if made.claims.made and made.claims.made.asset == said.subject_name:
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

    def _check_policy(self, draft: Draft, digest: str) -> Work:
        """The policy that decided was in force; the signatures that put it there are children."""
        releases = self._released(digest)
        if not releases:
            raise _never_in_force(digest)
        first: list[Node] = []
        for statement in releases[0]:
            first.append((yield statement))
        draft.children.extend(first)
        for release in first:
            self._signers.check_order(draft, release)

    def _child(
        self, draft: Draft, statement: str, kind: str, absent: ProvenanceError
    ) -> Generator[str, Node, Verified]:
        """The verified statement of `kind` that `draft` rests on, now a child of it.

        There is no third way between such a statement and a refusal: one of another kind is
        `absent`, and where the statement itself is refused, nothing can rest on it.
        """
        child = yield statement
        draft.children.append(child)
        if not isinstance(child, Verified):
            raise RefusedBelow
        if child.kind != kind:
            raise absent
        self._signers.check_order(draft, child)
        return child


def _is_on(judged: Manifest, said: Acceptance) -> bool:
    """Whether a contract judged the very day that was accepted."""
    files = {(entry.partition, entry.sha256) for entry in judged.entries}
    return judged.asset == said.asset and (said.partition, said.sha256) in files


def _never_in_force(policy: str) -> VerificationError:
    why = f"policy {policy[:12]} was never in force"
    return VerificationError(reason(RootCause.POLICY_UNSIGNED, why, artifact="policies"))
