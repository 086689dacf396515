"""What a gate's permission must rest on, for each gate, judged from the evidence that it names.

Not here: whether that evidence holds; it was verified before.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.lineage.acceptances import finding_ids
from fraud_provenance.attested.lineage.nodes import (
    AcceptedDay,
    Decision,
    Judgement,
    Materialisation,
    Node,
    Verified,
    below,
)
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.people import Acceptance, Approval
from fraud_provenance.attested.statements.statements import Contract, Provenance, Statement, Summary
from fraud_provenance.attested.store.store import EvidenceStore

ACCESS = "data_access"
_REGISTRATION = "release"
_MANIFESTS_KEPT = 1024
_OF_A_MODEL = {"materialisation": 2, "model signature": 1}  # the model and its evaluation
_DEMANDED = {
    _REGISTRATION: _OF_A_MODEL,
    "deploy": _OF_A_MODEL | {"decision": 1, "promotion request": 1, "approval": 1},
}
"""What a permission of each gate rests on, by kind, and how many of it at least."""


class Permissions:
    """The rules of one layout for what a permission rests on."""

    def __init__(self, store: EvidenceStore, layout: Layout, signers: Signers) -> None:
        self._store, self._layout, self._signers = store, layout, signers
        self._manifest = lru_cache(maxsize=_MANIFESTS_KEPT)(self._read)

    def manifest(self, digest: str, asset: str = "") -> Manifest:
        """The manifest that `digest` names, which must be one of `asset` where that is given.

        Raises:
            EvidenceError: as `EvidenceStore.manifest`. VerificationError: SUBJECT_MISMATCH.
        """
        manifest: Manifest = self._manifest(digest)
        if asset and manifest.asset != asset:
            raise VerificationError(
                reason(
                    RootCause.SUBJECT_MISMATCH,
                    f"manifest {digest[:12]} is of {manifest.asset[:80]!r}, not of {asset}",
                )
            )
        return manifest

    def _read(self, digest: str) -> Manifest:
        return self._store.manifest(digest)

    def check_access(self, said: Statement, summary: Summary, inputs: Sequence[Node]) -> None:
        """What may be read was attested for its partition and passed its contracts, all of it.

        The inputs are that evidence and nothing else.
        """
        facts, asset = summary.facts, said.subject_name
        reader = self._layout.steps.get(str(facts.get("step")))
        allowed = reader.material(asset) if reader else None
        if allowed is None or facts.get("asset") != asset:
            raise unread(asset)
        view = self.manifest(said.subject_digest, asset)
        if list(view.partitions) != facts.get("partitions"):
            raise unread(asset)
        self._check_view(view, inputs, allowed.requires_suites)
        for child in inputs:
            match child:
                case Materialisation(manifest=manifest):
                    is_known = manifest.asset == asset
                case Judgement(manifest=manifest, contract=contract):
                    known = ("", *allowed.requires_suites)
                    is_known = manifest.asset == asset and contract.suite in known
                case AcceptedDay(said=accepted):
                    is_known = _is_about(accepted, view)
                case _:
                    is_known = bool(child.reasons)
            if not is_known:
                raise _foreign(child)

    def _check_view(self, view: Manifest, evidence: Sequence[Node], suites: Sequence[str]) -> None:
        """Every file of `view` was attested for its partition and passed its contracts."""
        attested: set[FileEntry] = set()
        judged: dict[tuple[str, str, str], set[RootCause | None]] = {}
        accepted = accepted_by(evidence)
        for child in evidence:  # also what is refused: that speaks for itself
            _, claim, manifest = child.claims
            if manifest is None or manifest.asset != view.asset:
                continue
            if isinstance(claim, Provenance):
                attested.update(manifest.entries)
            if isinstance(claim, Contract):
                for entry in manifest.entries:
                    key = (claim.suite, entry.partition, entry.sha256)
                    said = claim.judges(entry.partition)
                    if said == RootCause.DATA_HELD and any(
                        covers(item, view.asset, entry, claim) for item in accepted
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

    def check_inputs(self, said: Statement, summary: Summary, inputs: Sequence[Verified]) -> None:
        """A permission about a model rests on what its gate demands, each about that very model."""
        demanded = _DEMANDED.get(summary.gate, {})
        subject = [
            child.provenance
            for child in inputs
            if isinstance(child, Materialisation) and child.provenance.asset == said.subject_name
            and child.bundle.statement.subject_digest == said.subject_digest
        ]  # fmt: skip
        named = {str(value) for made in subject for value in made.outputs.values()}
        for child in inputs:
            read = child.provenance.materials if isinstance(child, Materialisation) else ()
            digests = {child.bundle.statement.subject_digest, *(item.digest for item in read)}
            if said.subject_digest not in digests and child.statement not in named:
                raise _foreign(child)
            gate = child.summary if isinstance(child, Decision) else None
            decided = gate and (gate.gate, gate.allowed)
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
                self.check_approval(child, summary, evidence)

    def check_approval(
        self, approval: Verified, summary: Summary, evidence: Sequence[Node]
    ) -> None:
        """An approval that a permission rests on is of what was decided, and came after it."""
        said = statements.read(approval.bundle.statement, Approval)
        decided = (
            summary.environment,
            summary.facts.get("evidence_set"),
            summary.policy_digest,
        )
        if (said.environment, said.evidence_set, said.policy_digest) != decided:
            raise _foreign(approval)
        self._signers.check_assent(approval, below(evidence))


def covers(acceptance: Acceptance, asset: str, entry: FileEntry, contract: Contract) -> bool:
    """Whether a person accepted all that a contract holds these bytes of a day for."""
    place = (acceptance.asset, acceptance.partition, acceptance.sha256)
    ids = finding_ids(entry.partition, contract)
    return place == (asset, entry.partition, entry.sha256) and acceptance.covered.issuperset(ids)


def accepted_by(nodes: Iterable[Node]) -> list[Acceptance]:
    """What people accepted among these statements, as far as it counts."""
    return [node.said for node in nodes if isinstance(node, AcceptedDay) and node.is_sound]


def _is_about(acceptance: Acceptance, view: Manifest) -> bool:
    place = (acceptance.partition, acceptance.sha256)
    known = {(entry.partition, entry.sha256) for entry in view.entries}
    return acceptance.asset == view.asset and place in known


def _foreign(child: Node) -> VerificationError:
    """What stands among a decision's inputs says nothing about its subject."""
    why = f"the decision rests on a {child.kind} ({child.name[:80]}) that is about something else"
    return VerificationError(reason(RootCause.DECISION_MISSING, why))


def unread(asset: str) -> VerificationError:
    """An asset was read, or may be, by no decision."""
    return VerificationError(
        reason(RootCause.DECISION_MISSING, f"no decision allowed reading {asset}")
    )
