"""One verified statement as one OpenLineage run: its job, what it read, what it made.

Told are materialisations, contracts, what the gates decided on models, what people signed, and
reads that were refused. A permission to read, a model's signature, its bill of materials, a
promotion request and a prediction batch are parts of these: the run's evidence leads to them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent, RunState

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import (
    Decision,
    Judgement,
    Materialisation,
    Node,
    Verified,
)
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.people import Revocation, Waiver
from fraud_provenance.attested.statements.statements import Contract, Material, Provenance, Summary
from fraud_provenance.investigate import openlineage_form as form
from fraud_provenance.investigate.known_columns import KnownColumns
from fraud_provenance.models.facts import EVALUATION, MODEL
from fraud_provenance.models.registry import CHAMPION

_REGISTERED, _APPROVALS, _POLICIES = "release_candidate", "approvals", "policies"
_ACCESS, _REGISTRATION, _DEPLOYMENT = "data_access", "release", "deploy"
_PEOPLE = {
    "approval": "approve", "acceptance": "accept", "waiver": "waive", "supersede": "supersede",
    "revocation": "revoke", "policy": "release_policies",
}  # fmt: skip
"""What a person signs → the job that it is."""


@dataclass
class Said:
    """What one statement comes to."""

    job: str
    kind: str
    inputs: list[InputDataset] = field(default_factory=list)
    outputs: list[OutputDataset] = field(default_factory=list)
    started_at: str = ""
    dagster_run: str = ""
    commit: str = ""
    dirty: bool | None = None
    materials: Sequence[Material] = ()
    days: Sequence[str] = ()
    failed: str = ""


def is_told(node: Node) -> bool:
    """Whether a statement is a run of its own."""
    match node.claims.said:
        case Summary() as summary:
            return summary.gate != _ACCESS or not summary.allowed
        case Provenance() | Contract():
            return True
    return node.kind in _PEOPLE


@dataclass
class Runs:
    """Makes events of nodes that verified; whoever calls has looked at that.

    Attributes:
        trust: The opened home.
        columns: What is known of columns.
        gone: Files that were withdrawn, by SHA-256.
        untold: Statements that do not verify or were withdrawn.
    """

    trust: Trust
    columns: KnownColumns
    gone: Collection[str] = ()
    untold: Collection[str] = ()

    @property
    def namespace(self) -> str:
        """Of all that is told."""
        return form.namespace_of(self.trust.environment)

    def events(self, node: Node) -> list[RunEvent]:
        """START and COMPLETE (FAIL where a gate refused) of one statement.

        Nothing when all that it made was withdrawn.
        """
        if not isinstance(node, Verified) or (said := self._said(node)) is None:
            return []
        signed_at = encoding.utc_text(node.bundle.signed_at)
        person = node.bundle.identity.subject if node.kind in _PEOPLE else ""
        evidence = form.evidence_of(node.bundle, signed_at, said.materials, said.dirty)
        run = form.run_of(node.statement, self.namespace, evidence, said.dagster_run, said.days)
        job = form.job_of(self.namespace, said.job, said.kind, said.commit, person)
        started = min(said.started_at or signed_at, signed_at)
        begun = RunEvent(
            eventTime=started, eventType=RunState.START, run=run, job=job, producer=form.PRODUCER
        )
        done = RunEvent(
            eventTime=signed_at,
            eventType=RunState.FAIL if said.failed else RunState.COMPLETE,
            run=form.with_failure(run, said.failed) if said.failed else run,
            job=job,
            inputs=sorted(said.inputs, key=lambda item: item.name),
            outputs=sorted(said.outputs, key=lambda item: item.name),
            producer=form.PRODUCER,
        )
        return [begun, done]

    def _said(self, node: Verified) -> Said | None:
        match node:
            case Materialisation():
                return self._materialisation(node)
            case Judgement():
                return self._contract(node)
            case Decision():
                return self._decision(node)
        return self._person(node)

    # --- materialisations ----------------------------------------------------------------

    def _materialisation(self, node: Materialisation) -> Said | None:
        made = node.provenance
        entries = [entry for entry in node.entries if entry.sha256 not in node.revoked]
        if not entries:
            return None
        is_whole = len(entries) == len(node.entries)
        used = None if is_whole else {digest for entry in entries for digest in entry.made_from}
        read = [item for item in made.materials if item.role in ("input", "source")]
        inputs = [self._read(item, used) for item in read]
        champion = self._champion(made.outputs.get("decision"))
        rows = made.outputs.get("rows")
        schema, sources = self.columns.schema(node), self.columns.sources(node)
        output = form.output_set(
            self.namespace,
            made.asset,
            node.bundle.statement.subject_digest,
            form.parts_of(entries),
            form.columns_of(self.namespace, schema, sources, (item.name for item in read)),
            form.made_statistics(entries, rows if isinstance(rows, dict) else None),
        )
        return Said(
            job=made.step,
            kind="STEP",
            inputs=[*filter(None, inputs), *champion],
            outputs=[output],
            started_at=made.started_at,
            dagster_run=made.run_id,
            commit=str(made.outputs.get("git_commit", "")),
            dirty=bool(made.outputs.get("git_dirty")),
            materials=made.materials,
            days=sorted({entry.partition for entry in entries}),
        )

    def _read(self, material: Material, used: set[str] | None) -> InputDataset | None:
        """What was read, or of it what is used by all that was not withdrawn."""
        entries: list[FileEntry] = [
            entry
            for entry in self.trust.store.manifest(material.digest).entries
            if used is None or entry.sha256 in used
        ]
        if not entries:
            return None
        return form.input_set(
            self.namespace, material.name, material.digest, form.parts_of(entries),
            form.read_statistics(entries),
        )  # fmt: skip

    def _champion(self, decision: Any) -> list[InputDataset]:  # noqa: ANN401 - JSON
        """The champion as it was decided, where scores name a decision that verifies."""
        node = self.trust.lineage().node(decision) if isinstance(decision, str) else None
        if not isinstance(node, Decision) or not node.is_sound:
            return []
        if node.statement in self.untold:
            return []
        if (node.summary.gate, node.summary.allowed) != (_DEPLOYMENT, True):
            return []
        digest = node.bundle.statement.subject_digest
        return [form.input_set(self.namespace, CHAMPION, digest)]

    # --- contracts and gates -------------------------------------------------------------

    def _contract(self, node: Judgement) -> Said:
        contract, manifest, said = node.contract, node.manifest, node.bundle.statement
        passed = [str(name) for name in said.predicate.get("passedTests", ())]
        entries = [entry for entry in manifest.entries if entry.sha256 not in self.gone]
        days = sorted({entry.partition for entry in entries})
        judged = form.input_set(
            self.namespace, manifest.asset, said.subject_digest, form.parts_of(entries),
            form.assertions_of(contract, passed, days),
        )  # fmt: skip
        return Said(
            job=f"contract.{contract.suite}",
            kind="CONTRACT",
            inputs=[judged],
            dagster_run=str(said.predicate["annotations"].get("runId", "")),
            days=days,
        )

    def _decision(self, node: Decision) -> Said:
        summary, said = node.summary, node.bundle.statement
        listed = said.predicate["annotations"].get("reasons", ())
        reasons = [f"{item.get('code')}: {item.get('message')}" for item in listed]
        failed = "" if summary.allowed else "; ".join(reasons) or "denied"
        found = Said(job=summary.gate, kind="GATE", failed=failed)
        if summary.gate == _ACCESS:
            parts = [form.Part(str(name)) for name in summary.facts.get("partitions", ())]
            found.inputs = [
                form.input_set(self.namespace, said.subject_name, said.subject_digest, parts)
            ]
            return found
        found.inputs = [*self._rested_on(node), self._set(_POLICIES, summary.policy_digest)]
        made = {_REGISTRATION: _REGISTERED, _DEPLOYMENT: CHAMPION}.get(summary.gate)
        if made and summary.allowed:
            found.outputs = [form.output_set(self.namespace, made, said.subject_digest)]
        return found

    def _rested_on(self, node: Node) -> Iterable[InputDataset]:
        """What a gate decided on: of a denial only what itself verifies."""
        approvals: list[str] = []
        for child in node.children:
            if not isinstance(child, Verified) or not child.is_sound:
                continue
            digest = child.bundle.statement.subject_digest
            if child.kind == "approval":
                approvals.append(child.statement)
            match child:
                case Materialisation(provenance=made) if made.asset in (MODEL, EVALUATION):
                    parts = form.parts_of(child.entries)
                    yield form.input_set(self.namespace, made.asset, digest, parts)
                case Decision(summary=summary) if summary.gate == _REGISTRATION:
                    yield self._set(_REGISTERED, digest)
        if approvals:
            parts = tuple(form.Part(item, item, "statement") for item in sorted(approvals))
            yield form.input_set(self.namespace, _APPROVALS, parts=parts)

    def _set(self, name: str, digest: str) -> InputDataset:
        return form.input_set(self.namespace, name, digest)

    # --- people --------------------------------------------------------------------------

    def _person(self, node: Verified) -> Said:
        said = node.bundle.statement
        found = Said(job=_PEOPLE[node.kind], kind="PERSON")
        asset, digest = said.subject_name, said.subject_digest
        match node.kind:
            case "approval":
                part = form.Part(node.statement, node.statement, "statement")
                found.inputs = [self._set(asset, digest)]
                found.outputs = [form.output_set(self.namespace, _APPROVALS, parts=[part])]
            case "policy":
                found.outputs = [form.output_set(self.namespace, _POLICIES, digest)]
            case "waiver":
                day = statements.read(said, Waiver).partition
                found.inputs = [form.input_set(self.namespace, asset, parts=[form.Part(day)])]
                found.days = [day]
            case "revocation":
                found.inputs = self._revoked(node)
            case _:  # an acceptance or a supersede, about one file of one partition
                day = str(said.predicate.get("partition", ""))
                part = form.Part(day, str(said.predicate.get("sha256", "")))
                found.inputs = [form.input_set(self.namespace, asset, parts=[part])]
                found.days = [day]
        return found

    def _revoked(self, node: Verified) -> list[InputDataset]:
        """The day or model that was withdrawn; a statement or signer is no data set."""
        told = statements.read(node.bundle.statement, Revocation)
        if told.kind not in ("partition", "model") or not told.artifact:
            return []
        sole = told.digests[0] if len(told.digests) == 1 else ""
        if told.kind == "model":
            return [self._set(told.artifact, sole)]
        part = form.Part(told.partition, sole)
        return [form.input_set(self.namespace, told.artifact, parts=[part])]
