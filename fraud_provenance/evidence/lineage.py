"""The one verifier: from a statement, partition or artifact down to the raw data.

Order for each node, fixed: stored bytes equal their name → signature, certificate, timestamp, log
inclusion → predicate and single subject → signer allowed by the layout for that step and
environment → closed parameters → manifest → materials: each read was allowed by a signed decision
under a released policy, whose inputs verify in turn → every output made from bytes of a material →
contracts passed, not vacuously, on these very bytes → the files on disk, and no others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.evidence import encoding, files, statements
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.evidence.layout import Layout, StepRule
from fraud_provenance.evidence.manifest import FileEntry, Manifest
from fraud_provenance.evidence.statements import (
    Contract,
    Identity,
    Material,
    Provenance,
    Summary,
)
from fraud_provenance.evidence.store import EvidenceStore, Head
from fraud_provenance.evidence.verdict import Link, Verdict
from fraud_provenance.evidence.verification import BundleVerifier, VerifiedBundle

_MAX_LINEAGE_NODES = 100_000
_MAX_STRANGERS = 20  # files that are named one by one


@dataclass
class Node:
    """One verified (or refused) statement and what hangs below it."""

    kind: str
    name: str
    statement: str
    bundle: VerifiedBundle | None = None
    manifest: Manifest | None = None
    provenance: Provenance | None = None
    summary: Summary | None = None
    contract: Contract | None = None
    children: list["Node"] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    distance: int = 0

    def blame(self, error: ProvenanceError) -> None:
        """Record an error as this node's own, naming this node where it names nothing."""
        self.reasons.extend(self.explain(item) for item in error.reasons)

    def explain(self, item: Reason) -> Reason:
        """A reason that names this node, its signer and its time where it names nothing."""
        signer = str(self.bundle.identity) if self.bundle else ""
        at = encoding.utc_text(self.bundle.signed_at) if self.bundle else ""
        return item.model_copy(
            update={
                "artifact": item.artifact or self.name,
                "identity": item.identity or signer,
                "at": item.at or at,
            }
        )

    def walk(self) -> Iterable["Node"]:
        """This node and all below it, each once."""
        seen: dict[int, Node] = {}
        stack = [self]
        while stack:
            node = stack.pop()
            if id(node) not in seen:
                seen[id(node)] = node
                stack.extend(node.children)
        return list(seen.values())

    def link(self, on_disk: Iterable[Reason] = ()) -> Link:
        """This node as a link of a verdict; `on_disk` is what was found wrong with its files."""
        commit = self.provenance.material("source_code") if self.provenance else None
        return Link(
            kind=self.kind,
            name=self.name,
            digest=self.bundle.statement.subject_digest if self.bundle else "",
            statement=self.statement,
            signer=str(self.bundle.identity) if self.bundle else "",
            signed_at=encoding.utc_text(self.bundle.signed_at) if self.bundle else "",
            log_index=self.bundle.log_index if self.bundle else None,
            git_commit=(
                str(self.provenance.outputs.get("git_commit", "")) if self.provenance else ""
            )
            or (commit.digest[:12] if commit else ""),
            partitions=self.manifest.partitions if self.manifest else (),
            detail=_detail(self),
            distance=self.distance,
            reasons=tuple(
                item.model_copy(update={"distance": self.distance})
                for item in dict.fromkeys([*self.reasons, *on_disk])
            ),
        )


def _detail(node: Node) -> str:
    if node.summary:
        outcome = "allowed" if node.summary.allowed else "denied"
        return f"{node.summary.gate}: {outcome}, policy {node.summary.policy_digest[:12]}"
    if node.contract:
        found = node.contract
        return f"{found.suite}: {found.checks} checks, {sum(found.rows.values())} rows"
    return ""


class LineageVerifier:
    """Walks evidence. Results are memoised by statement digest, so shared history costs once."""

    def __init__(
        self,
        store: EvidenceStore,
        bundles: BundleVerifier,
        layout: Layout,
        environment: str,
        home: Path,
    ) -> None:
        """`home` is the folder that attested locations are relative to."""
        self.store = store
        self.bundles = bundles
        self.layout = layout
        self.environment = environment
        self.home = home
        self._nodes: dict[str, Node] = {}
        self._open: set[str] = set()

    # --- nodes -----------------------------------------------------------------------------

    def node(self, statement: str) -> Node:
        """The verified node of a statement; problems are recorded in it, not raised."""
        if statement in self._nodes:
            return self._nodes[statement]
        known = self.store.records(statement=statement)
        name = known[0].subject_name if known else f"statement {statement[:12]}"
        node = Node(kind="evidence", name=name, statement=statement)
        if statement in self._open or len(self._nodes) > _MAX_LINEAGE_NODES:
            node.blame(
                VerificationError(reason(RootCause.LINEAGE_CYCLE, "the lineage has no end here"))
            )
            return node
        self._open.add(statement)
        try:
            self._fill(node)
        except ProvenanceError as error:
            node.blame(error)
        except Exception as error:
            node.blame(VerificationError(reason(RootCause.VERIFY_ERROR, repr(error))))
        finally:
            self._open.discard(statement)
        node.distance = 1 + max((child.distance for child in node.children), default=-1)
        self._nodes[statement] = node
        return node

    def _fill(self, node: Node) -> None:
        _, content = self.store.bundle(node.statement)
        bundle = self.bundles.verify(content)
        if bundle.statement.digest != node.statement:
            raise VerificationError(
                reason(RootCause.SUBJECT_MISMATCH, "the bundle carries another statement")
            )
        node.bundle = bundle
        node.name = bundle.statement.subject_name
        match bundle.statement.predicate_type:
            case statements.PROVENANCE:
                self._fill_materialisation(node, bundle)
            case statements.VERIFICATION_SUMMARY:
                self._fill_decision(node, bundle)
            case statements.TEST_RESULT:
                self._fill_contract(node, bundle)
            case statements.APPROVAL:
                node.kind = "approval"
                self._check_person(bundle, "approve")
            case statements.POLICY_RELEASE:
                node.kind = "policy"
                self._check_person(bundle, "policy")
                self._check_environment(str(bundle.statement.predicate.get("environment")))
            case statements.PREDICTION_BATCH:
                node.kind = "prediction batch"
                self._check_signer(bundle, "predictions")
                self._check_environment(str(bundle.statement.predicate.get("environment")))
            case statements.PREDICTION_BATCH_V1:
                node.kind = "prediction batch"
                self._check_signer_is(bundle, self.layout.step("predictions"), "predictions")
                self._check_environment(str(bundle.statement.predicate.get("environment")))
            case statements.MODEL_SIGNATURE | statements.ML_BOM:
                node.kind = "model signature"
                self._check_signer_is(bundle, self.layout.step("train"), "train")
            case other:
                raise VerificationError(reason(RootCause.PREDICATE_TYPE, f"{other} is not lineage"))

    def _fill_materialisation(self, node: Node, bundle: VerifiedBundle) -> None:
        node.kind = "materialisation"
        provenance = statements.read_provenance(bundle.statement)
        node.provenance = provenance
        node.name = provenance.asset
        self._check_environment(provenance.environment)
        rule = self._check_signer(bundle, provenance.step)
        if rule.produces != provenance.asset or provenance.asset != bundle.statement.subject_name:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"step {provenance.step} may not produce {provenance.asset}",
                )
            )
        unknown = sorted(set(provenance.parameters) - set(rule.parameters))
        if unknown:
            raise VerificationError(
                reason(RootCause.PARAM_UNEXPECTED, f"parameter {unknown[0]!r} is not in the layout")
            )
        manifest = self._manifest(bundle.statement.subject_digest, provenance.asset)
        node.manifest = manifest
        views = [self._material(node, material, rule) for material in provenance.materials]
        _check_materials(views, rule)
        readable = {entry.sha256 for view in views if view for entry in view.entries}
        for entry in manifest.entries:
            if not entry.made_from or not readable.issuperset(entry.made_from):
                raise VerificationError(
                    reason(
                        RootCause.MATERIAL_UNEXPLAINED,
                        f"{entry.path} was made from bytes that no material contains",
                        partition=entry.partition,
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

    def _material(self, node: Node, material: Material, rule: StepRule) -> Manifest | None:
        """The manifest of what was read, if data were; its decision becomes a child of `node`."""
        if material.role not in ("input", "source"):
            return None
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
        step = node.provenance.step if node.provenance else ""
        decision = self._access(node, material.decision, step, material.name)
        if decision is not None:
            if decision.bundle and decision.bundle.statement.subject_digest != material.digest:
                raise _unread(material.name)
            self._check_view(manifest, decision, allowed.requires_suites)
        return manifest

    def _access(self, node: Node, statement: str, step: str, asset: str) -> Node | None:
        """The decision that let `step` read `asset`, now a child of `node`.

        None where the decision is refused itself: its own reasons tell.
        """
        decision = self.node(statement)
        node.children.append(decision)
        if decision.reasons or decision.summary is None:
            return None
        facts = decision.summary.facts
        if (
            decision.summary.gate != "data_access"
            or not decision.summary.allowed
            or facts.get("step") != step
            or facts.get("asset") != asset
        ):
            raise _unread(asset)
        self._check_order(node, decision)
        return decision

    def _check_view(self, view: Manifest, decision: Node, suites: Sequence[str]) -> None:
        """Every file read was attested for its partition and passed its contracts."""
        attested: set[FileEntry] = set()
        judged: dict[tuple[str, str, str], set[RootCause | None]] = {}
        for child in decision.children:
            if child.manifest is None or child.manifest.asset != view.asset:
                continue
            if child.provenance:
                attested.update(child.manifest.entries)
            if child.contract:
                for entry in child.manifest.entries:
                    key = (child.contract.suite, entry.partition, entry.sha256)
                    judged.setdefault(key, set()).add(child.contract.judges(entry.partition))
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

    def _fill_decision(self, node: Node, bundle: VerifiedBundle) -> None:
        node.kind = "decision"
        summary = statements.read_summary(bundle.statement)
        node.summary = summary
        self._check_environment(summary.environment)
        self._check_signer(bundle, summary.gate)
        node.name = f"{summary.gate} decision on {bundle.statement.subject_name}"
        self._check_policy(node, summary.policy_digest)
        for digest in summary.inputs:
            child = self.node(digest)
            node.children.append(child)
            if child.bundle:
                self._check_order(node, child)

    def _check_policy(self, node: Node, digest: str) -> None:
        """The policy that decided was released by a policy author; its release is a child."""
        records = self.store.records(predicate_type=statements.POLICY_RELEASE, subject=digest)
        releases = [self.node(record.statement) for record in records]
        good = [release for release in releases if not release.reasons]
        node.children.extend(good or releases)
        if not releases:
            raise VerificationError(
                reason(
                    RootCause.POLICY_UNSIGNED, f"nobody released the policy {digest[:12]}",
                    artifact="policies",
                )
            )  # fmt: skip
        for release in good[:1]:
            self._check_order(node, release)

    def _fill_contract(self, node: Node, bundle: VerifiedBundle) -> None:
        node.kind = "contract"
        node.contract = statements.read_contract(bundle.statement)
        suite = node.contract.suite
        node.name = f"{suite[:80]} on {bundle.statement.subject_name}"
        self._check_environment(node.contract.environment)
        if suite not in self.layout.contracts:
            raise VerificationError(
                reason(RootCause.CHECK_MISSING, f"unknown suite {suite[:80]!r}")
            )
        rule = self.layout.contracts[suite]
        self._check_signer(bundle, rule.step)
        manifest = self.store.manifest(bundle.statement.subject_digest)
        if manifest.asset != rule.asset:
            raise VerificationError(
                reason(RootCause.SUBJECT_MISMATCH, f"{suite} does not judge {manifest.asset}")
            )
        node.manifest = manifest
        self._check_judged(node, manifest, rule.step)

    def _check_judged(self, node: Node, judged: Manifest, step: str) -> None:
        """What the contract judged lies within what a decision let its step read."""
        assert node.contract is not None  # noqa: S101 - set by the caller
        decision = self._access(node, node.contract.decision, step, judged.asset)
        if decision is None or decision.bundle is None:
            return
        view = self._manifest(decision.bundle.statement.subject_digest, judged.asset)
        allowed = self.layout.step(step).material(judged.asset)
        if allowed is None or not set(view.entries).issuperset(judged.entries):
            raise _unread(judged.asset)
        self._check_view(judged, decision, allowed.requires_suites)

    # --- shared checks -----------------------------------------------------------------------

    def _check_environment(self, environment: str) -> None:
        if environment != self.environment:
            raise VerificationError(
                reason(
                    RootCause.ENVIRONMENT_MISMATCH,
                    f"made for {environment!r}, wanted {self.environment!r}",
                )
            )

    def _check_signer(self, bundle: VerifiedBundle, step: str) -> StepRule:
        rule = self.layout.step(step)
        if rule.predicate_type != bundle.statement.predicate_type:
            raise VerificationError(
                reason(RootCause.PREDICATE_TYPE, f"step {step} signs {rule.predicate_type}")
            )
        self._check_signer_is(bundle, rule, step)
        if self.environment not in rule.environments:
            raise VerificationError(
                reason(
                    RootCause.ENVIRONMENT_MISMATCH,
                    f"step {step} may not run in {self.environment!r}",
                )
            )
        return rule

    def _check_signer_is(self, bundle: VerifiedBundle, rule: StepRule, step: str) -> None:
        expected = rule.signer()
        if expected is None or bundle.identity == expected:
            if expected is None:
                raise VerificationError(
                    reason(RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP, f"{step} is for people")
                )
            return
        code = (
            RootCause.ISSUER_MISMATCH
            if bundle.identity.subject == expected.subject
            else RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP
        )
        raise VerificationError(
            reason(code, f"step {step} is signed by {bundle.identity}, the layout names {expected}")
        )

    def _check_person(self, bundle: VerifiedBundle, step: str) -> None:
        rule = self.layout.step(step)
        principal = self.layout.principal(bundle.identity, bundle.signed_at)
        if principal is None or bundle.identity.issuer != "people":
            raise VerificationError(
                reason(
                    RootCause.APPROVAL_UNKNOWN_PERSON, f"{bundle.identity} is no known principal"
                )
            )
        if rule.signer_role not in principal.roles:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"{bundle.identity} ({principal.id}) lacks the role {rule.signer_role}",
                )
            )

    @staticmethod
    def _check_order(later: Node, earlier: Node) -> None:
        if (
            later.bundle
            and earlier.bundle
            and earlier.bundle.signed_at.replace(microsecond=0)
            > later.bundle.signed_at.replace(microsecond=0)
        ):
            raise VerificationError(
                reason(RootCause.ORDER_INVALID, f"signed before its input {earlier.name}")
            )

    # --- files -------------------------------------------------------------------------------

    def location(self, node: Node) -> Path:
        """The folder below which a materialisation's files lie."""
        relative = str(node.provenance.outputs.get("location", "data")) if node.provenance else ""
        folder = (self.home / relative).resolve()
        if not folder.is_relative_to(self.home.resolve()):
            raise VerificationError(
                reason(RootCause.SOURCE_MISMATCH, f"{relative!r} leaves the home")
            )
        return folder

    def read_file(self, node: Node, entry: FileEntry) -> bytes:
        """The bytes of an attested file, read once and equal to their digest.

        Raises:
            EvidenceError: ARTIFACT_MISSING.
            VerificationError: DIGEST_MISMATCH or SUBJECT_PARTITION_MISMATCH.
        """
        path = self.location(node) / entry.path
        place = {"artifact": node.name, "partition": entry.partition}
        try:
            content = files.read_once(path)
        except EvidenceError as error:
            raise EvidenceError(
                *(item.model_copy(update=place) for item in error.reasons)
            ) from error
        found = encoding.digest_bytes(content)
        if found != entry.sha256:
            other = next(
                (e for e in (node.manifest.entries if node.manifest else ()) if e.sha256 == found),
                None,
            )
            code = RootCause.SUBJECT_PARTITION_MISMATCH if other else RootCause.DIGEST_MISMATCH
            raise VerificationError(
                reason(
                    code,
                    f"{entry.path} has sha256 {found[:12]}, attested {entry.sha256[:12]}"
                    + (f"; these bytes belong to {other.partition}" if other else ""),
                    **place,
                )
            )
        return content

    def check_files(self, node: Node) -> list[Reason]:
        """What is wrong with the files on disk, where this node is their newest version."""
        if node.manifest is None or node.provenance is None:
            return []
        heads = self.store.heads(node.manifest.asset)
        found: list[Reason] = []
        is_newest = False
        for entry in node.manifest.entries:
            if self._is_superseded(node, heads.get(entry.partition, ())):
                continue  # the newer statement answers for the file
            is_newest = True
            try:
                self.read_file(node, entry)
            except ProvenanceError as error:
                found += error.reasons
        try:
            found += self.unattested(node) if is_newest else []
        except ProvenanceError as error:
            found += error.reasons
        return [node.explain(item) for item in dict.fromkeys(found)]

    def unattested(self, node: Node) -> list[Reason]:
        """One reason for each file beside the node's own that no evidence names.

        Below `data/` an asset's folder holds the newest version of each partition and DVC's
        pointers to these; anywhere else the folder is the manifest. The index says what the other
        partitions are; where their statement was verified already, that decides.
        """
        if node.provenance is None or node.manifest is None:
            return []
        folder, names = self.location(node), {entry.path for entry in node.manifest.entries}
        prefix = ""
        if node.provenance.outputs.get("location", "data") == "data":
            prefix = f"{node.manifest.asset}/"
            heads = self.store.heads(node.manifest.asset)
            names |= {head.path for found in heads.values() for head in found if self._names(head)}
            names |= {f"{name}.dvc" for name in names} | {f"{prefix}.gitignore"}
        strangers = files.names_below(folder / prefix) if (folder / prefix).is_dir() else []
        return [
            reason(
                RootCause.UNATTESTED_FILE, f"{prefix}{name} is named by no evidence",
                artifact=node.manifest.asset,
            )
            for name in strangers
            if f"{prefix}{name}" not in names
        ][:_MAX_STRANGERS]  # fmt: skip

    def _names(self, head: Head) -> bool:
        """Whether the statement of an index row attests its path, as far as it was verified."""
        node = self._nodes.get(head.statement)
        entries = node.manifest.entries if node and node.manifest else ()
        return node is None or any(entry.path == head.path for entry in entries)

    def _is_superseded(self, node: Node, heads: Sequence[Head]) -> bool:
        """Whether a newer statement really attests the partition; the index alone is no proof."""
        old = node.provenance
        for head in heads:
            newer = self.node(head.statement)
            new = newer.provenance
            if (
                old and new and newer.manifest and not newer.reasons
                and (new.asset, new.sequence > old.sequence) == (old.asset, True)
                and head.partition in newer.manifest.partitions
            ):  # fmt: skip
                return True
        return False

    # --- verdicts ----------------------------------------------------------------------------

    def verdict(
        self,
        subject: str,
        purpose: str,
        roots: Sequence[Node],
        extra: list[Reason] | None = None,
        *,
        with_files: bool = True,
    ) -> Verdict:
        """Everything below `roots`, files included, as one verdict."""
        nodes = {id(node): node for root in roots for node in root.walk()}
        on_disk = {
            key: self.check_files(node)
            for key, node in nodes.items()
            if with_files and not node.reasons
        }
        links = [node.link(on_disk.get(key, ())) for key, node in nodes.items()]
        return Verdict.of(subject, self.environment, purpose, links, extra)


def _check_materials(views: Sequence[Manifest | None], rule: StepRule) -> None:
    """The step read at least what the layout says it must."""
    for needed in rule.materials:
        given = {
            entry.partition
            for view in views
            if view is not None and view.asset == needed.asset
            for entry in view.entries
        }
        if len(given) < needed.min:
            raise VerificationError(
                reason(
                    RootCause.PARTITION_MISSING,
                    f"{len(given)} partitions of {needed.asset} were read, at least {needed.min}"
                    " are needed",
                    artifact=needed.asset,
                )
            )


def _unread(asset: str) -> VerificationError:
    return VerificationError(
        reason(RootCause.DECISION_MISSING, f"no decision allowed reading {asset}")
    )


def identity_of(layout: Layout, step: str) -> Identity:
    """The workload identity that signs `step`.

    Raises:
        VerificationError: the layout gives the step to people or does not know it.
    """
    signer = layout.step(step).signer()
    if signer is None:
        raise VerificationError(
            reason(RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP, f"{step} is signed by people")
        )
    return signer
