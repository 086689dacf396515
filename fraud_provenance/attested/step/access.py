"""The data-access gate as a step meets it: verified facts in, a signed decision out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import (
    decision_statement,
    identity_fact,
    sign_answer,
    signer_facts,
)
from fraud_provenance.attested.gates.policy import Answer, Policy
from fraud_provenance.attested.lineage.acceptances import finding_ids
from fraud_provenance.attested.lineage.nodes import Judgement, Materialisation
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.attested.step.inputs import entry_of
from fraud_provenance.attested.store.store import Head

GATE = "data_access"


@dataclass(frozen=True)
class AccessGate:
    """Decides for one step, under one policy, what it may read and for which purpose."""

    trust: Trust
    policy: Policy
    lineage: LineageVerifier
    step: str

    def decide(
        self,
        view: Manifest,
        heads: Sequence[Head],
        nodes: Mapping[str, Materialisation],
        purpose: str,
    ) -> PendingSignature:
        """Ask the policy about reading exactly `view`, and sign what it says.

        Raises:
            VerificationError: a contract's result does not verify.
            GateDenied: the policy refuses. BackendError: could not decide.
        """
        statement, answer = self.judged(view, heads, nodes, purpose, self.trust.clock())
        self.trust.store.put_manifest(view)
        return sign_answer(self.trust, self.policy, GATE, statement, answer)

    def verified(
        self, asset: str, heads: Sequence[Head], purpose: str
    ) -> dict[str, Materialisation]:
        """The statements of these files, each with all that it rests on, by digest.

        The files are not looked at: who reads them compares them.

        Raises:
            VerificationError: something about them is not valid, or a file there has no evidence.
        """
        nodes = {head.statement: self.lineage.node(head.statement) for head in heads}
        about: dict[str, set[str]] = {}
        for head in heads:
            about.setdefault(head.statement, set()).add(head.partition)
        listed: set[str] = set()
        unattested = [item for node in nodes.values()
                      for item in self.lineage.artifacts.unattested(node, listed)]  # fmt: skip
        verdict = self.lineage.verify(
            asset, purpose, nodes.values(), unattested, with_files=False, partitions=about
        )
        if not verdict.trusted:
            raise VerificationError(*verdict.reasons)
        return {statement: node.expect(Materialisation) for statement, node in nodes.items()}

    def judged(
        self,
        view: Manifest,
        heads: Sequence[Head],
        nodes: Mapping[str, Materialisation],
        purpose: str,
        at: datetime,
    ) -> tuple[Statement, Answer]:
        """What the policy says at a time of reading exactly `view`, as it is to be signed.

        Raises:
            As `decide`, but for a denial.
        """
        facts, inputs = self._partitions(view.asset, heads, nodes)
        document = {
            "request": {
                "step": self.step,
                "identity": identity_fact(identity_of(self.policy.layout, self.step)),
                "environment": self.trust.environment,
                "asset": view.asset,
                "purpose": purpose,
                "at": encoding.utc_text(at),
            },
            "partitions": facts,
        }
        answer = self.trust.policies.ask(GATE, document, self.policy)
        statement = decision_statement(
            self.trust,
            self.policy,
            gate=GATE,
            name=view.asset,
            digest=view.digest,
            inputs=sorted(inputs),
            facts={
                "step": self.step,
                "asset": view.asset,
                "purpose": purpose,
                "partitions": list(view.partitions),
            },
            answer=answer,
            at=at,
        )
        return statement, answer

    def _partitions(
        self, asset: str, heads: Sequence[Head], nodes: Mapping[str, Materialisation]
    ) -> tuple[list[dict[str, Any]], set[str]]:
        """The facts on each partition, and every statement that they are taken from."""
        rule = self.policy.layout.step(self.step).material(asset)
        suites = rule.requires_suites if rule else ()
        results = self.trust.store.contract_results(asset)
        inputs = set(nodes)
        facts = []
        for head in heads:
            node = nodes[head.statement]
            entry = entry_of(node, head)
            contracts = []
            for suite in suites:
                found = results.get((entry.partition, entry.sha256), {}).get(suite)
                if found is None:
                    continue
                contracts.append(self._contract_fact(found.statement, entry))
                inputs.add(found.statement)
                inputs |= {item["statement"] for item in contracts[-1].get("acceptances", ())}
            facts.append(
                {
                    "partition": entry.partition,
                    "sha256": entry.sha256,
                    "environment": node.provenance.environment,
                    "contracts": contracts,
                }
                | signer_facts(node.bundle)
            )
        return facts, inputs

    def _contract_fact(self, statement: str, entry: FileEntry) -> dict[str, Any]:
        """What the signed result says about exactly these bytes; the index only found it."""
        node = self.lineage.node(statement)
        if node.reasons:
            raise VerificationError(*node.reasons)
        known = {(item.partition, item.sha256) for item in node.entries}
        if not isinstance(node, Judgement) or (entry.partition, entry.sha256) not in known:
            raise VerificationError(
                reason(
                    RootCause.CHECK_MISSING,
                    f"{node.name} does not judge {entry.path} ({entry.sha256[:12]})",
                    partition=entry.partition,
                )
            )
        contract = node.contract
        rule = self.policy.layout.contract(contract.suite)
        rule.check_suite(contract.suite, contract.suite_digest)
        facts = signer_facts(node.bundle)
        found = {
            "suite": contract.suite,
            "result": "FAILED" if entry.partition in contract.failed else "PASSED",
            "checks": contract.checks,
            "rows": contract.rows.get(entry.partition, 0),
            "statement": facts["statement"],
            "signer": facts["signer"],
        }
        if contract.judges(entry.partition) != RootCause.DATA_HELD:
            return found
        return found | {"result": "WARNED"} | self._accepted_fact(node, entry)

    def _accepted_fact(self, node: Judgement, entry: FileEntry) -> dict[str, Any]:
        """What a contract holds these bytes for, and what a person accepted of it."""
        contract, place = node.contract, (node.manifest.asset, entry.partition, entry.sha256)
        held_by = contract.held_findings(entry.partition)
        fitting = self.lineage.accepting(place, contract.suite, held_by)
        shown = [fitting] if fitting else self.lineage.acceptances(*place)[:1]
        return {
            "findings": list(finding_ids(entry.partition, contract)),
            "acceptances": [
                {
                    "asset": item.said.asset,
                    "partition": item.said.partition,
                    "sha256": item.said.sha256,
                    "environment": item.said.environment,
                    "findings": sorted(item.said.covered),
                }
                | signer_facts(item.bundle)
                for item in shown
            ],
        }
