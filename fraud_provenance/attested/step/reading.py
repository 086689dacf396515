"""What one step takes in: each read verified, decided on, and noted for the step's statement."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import joined
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.lineage.snapshots import Reading, two_versions
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Material
from fraud_provenance.attested.step.access import AccessGate
from fraud_provenance.attested.step.inputs import Taken, VerifiedFile, VerifiedInput, entry_of
from fraud_provenance.attested.store.store import Head


@dataclass
class Reader:
    """The reads of one step, under one policy."""

    trust: Trust
    policy: Policy
    lineage: LineageVerifier
    step: str
    _taken: list[Taken] = field(default_factory=list)

    @property
    def materials(self) -> list[Material]:
        """Each read as the step's statement names it."""
        return [item.material for item in self._taken]

    def take(self, asset: str, chosen: Sequence[Head], purpose: str = "") -> VerifiedInput:
        """Verified bytes of these files, after the policy allowed reading exactly them.

        Raises:
            EvidenceError, VerificationError: something about the input is not valid.
            GateDenied: the policy refuses. BackendError: could not decide.
        """
        purpose = purpose or self.policy.layout.step(self.step).purposes[0]
        self._require_token()
        gate = AccessGate(self.trust, self.policy, self.lineage, self.step)
        nodes = gate.verified(asset, chosen, purpose)
        entries, handed = [], []
        for head in chosen:
            node = nodes[head.statement]
            entry = entry_of(node, head)
            content = self._content(node, entry)
            entries.append(entry)
            handed.append(VerifiedFile(entry.partition, entry.path, entry.sha256, content))
        view = Manifest.of(asset, entries)
        self._check_snapshot(Reading(view, tuple(nodes.values())))
        pending = gate.decide(view, chosen, nodes, purpose)
        decision = pending.statement.digest
        material = Material(name=asset, digest=view.digest, role="input", decision=decision)
        self._taken.append(Taken(material, view, pending, tuple(nodes.values())))
        return VerifiedInput(asset, view, tuple(handed), tuple(nodes.values()))

    def statement(self, statement: str, purpose: str = "") -> VerifiedInput:
        """As `take`, of all that one statement attests: what was decided on, not what is newest.

        Raises:
            As `take`.
        """
        node = self.lineage.node(statement).expect(Materialisation)
        asset, sequence = node.provenance.asset, node.provenance.sequence
        chosen = [
            Head(
                asset=asset, partition=entry.partition, path=entry.path, sha256=entry.sha256,
                statement=statement, sequence=sequence,
            )
            for entry in node.manifest.entries
        ]  # fmt: skip
        return self.take(asset, chosen, purpose)

    def source(self, asset: str, paths: Mapping[str, Path]) -> VerifiedInput:
        """Bytes from outside the attested world, bound by their digests."""
        self._require_token()
        entries, handed = [], []
        for partition, path in sorted(paths.items()):
            content = files.read_once(path)
            digest = encoding.digest_bytes(content)
            name = f"{asset}/{path.name}"
            entries.append(
                FileEntry(path=name, partition=partition, size=len(content), sha256=digest)
            )
            handed.append(VerifiedFile(partition, name, digest, content))
        view = Manifest.of(asset, entries)
        self.carry(view)
        return VerifiedInput(asset, view, tuple(handed))

    def carry(self, view: Manifest) -> None:
        """Name sources whose bytes are not read again."""
        self.trust.store.put_manifest(view)
        material = Material(name=view.asset, digest=view.digest, role="source")
        self._taken.append(Taken(material, view))

    def require_current_code(self, read: VerifiedInput) -> None:
        """Refuse what the former code of its step made.

        What was made before its code was recorded counts as current.

        Raises:
            VerificationError: CODE_VERSION_MISMATCH.
        """
        now = self.trust.attestor.step_code(self.policy.layout.producer(read.asset))
        for node in read.nodes:
            code = node.provenance.outputs.get("step_code")
            if code and now and code != now:
                why = f"made by the code {str(code)[:12]}, which is {now[:12]} now"
                first = min({*node.manifest.partitions} & {*read.view.partitions}, default="")
                raise VerificationError(
                    reason(
                        RootCause.CODE_VERSION_MISMATCH, why, artifact=read.asset, partition=first
                    )
                )

    def decision_about(self, view: Manifest) -> str:
        """The access decision under which everything in `view` was read.

        Raises:
            VerificationError: DECISION_MISSING.
        """
        for item in reversed(self._taken):
            if item.pending is None or item.view.asset != view.asset:
                continue
            if set(item.view.entries).issuperset(view.entries):
                item.pending.result()  # else the time-stamps could say that it came later
                return item.material.decision
        raise VerificationError(
            reason(
                RootCause.DECISION_MISSING, f"{self.step} has not read this", artifact=view.asset
            )
        )

    def join(self) -> None:
        """Wait until every access decision is signed and logged."""
        for item in self._taken:
            if item.pending is not None:
                joined(item.pending)

    def refuse_overtaken(self) -> None:
        """Do not sign what the verifier would refuse: something newer was logged before a read was.

        Raises:
            VerificationError: SNAPSHOT_INCOHERENT.
        """
        readings = [
            Reading(item.view, item.nodes, item.pending.result().logged)
            for item in self._taken
            if item.pending is not None
        ]
        read = {reading.view.asset for reading in readings}
        below = {name for asset in read for name in self.policy.layout.inputs(asset)}
        for asset in sorted(read | below):
            with self.trust.locks.held(asset):
                pass  # whoever was about to publish a version of it has done so
        found = self.lineage.snapshots.problem(readings)
        if found:
            raise VerificationError(found)

    def _require_token(self) -> None:
        """Where each run has one identity: nothing is asked for in the name of another."""
        if self.trust.gates_elsewhere:
            self.trust.signing.require(identity_of(self.policy.layout, self.step))

    def _check_snapshot(self, reading: Reading) -> None:
        """Refuse to read what does not rest on the newest version of each partition.

        Raises:
            VerificationError: SNAPSHOT_INCOHERENT.
        """
        if self.policy.layout.step(self.step).is_judge:
            return
        before = [Reading(item.view, item.nodes) for item in self._taken if item.pending]
        found = two_versions([*before, reading]) or self.lineage.snapshots.problem([reading])
        if found:
            raise VerificationError(found)

    def _content(self, node: Materialisation, entry: FileEntry) -> bytes:
        """The attested bytes; a partition whose file is gone is one that is not there."""
        try:
            return self.lineage.artifacts.read(node, entry)
        except EvidenceError as error:
            if os.path.lexists(self.lineage.artifacts.location(node) / entry.path):
                raise
            gone = {"code": RootCause.PARTITION_MISSING.value}
            raise EvidenceError(
                *(item.model_copy(update=gone) for item in error.reasons)
            ) from error
