"""The data-access gate as a process of its own: it signs a step's question if it finds the same.

A step that has no token but its own announces the decision that it came to, and waits. The keeper
walks the evidence itself, asks the policy itself, and signs the statement only if it is the one
that it would have made, to the byte. So nobody permits themselves to read, and it does not matter
who asks: the answer is about the step that is named, the evidence and the policy.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import check_time
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.statements import Statement, Summary
from fraud_provenance.attested.step.access import GATE, AccessGate
from fraud_provenance.attested.store.store import EvidenceStore, Head

PATIENCE: Final = timedelta(seconds=120)
"""A question that is older, or lies ahead, is nobody's any more: who asked has given up."""


@dataclass(frozen=True)
class Keeper:
    """Answers for one home, under the policy in force."""

    trust: Trust

    def answer(self, question: Statement) -> PendingSignature:
        """Sign what a step announced, if the gate comes to the same.

        Raises:
            VerificationError, EvidenceError: it does not, or what it rests on is not valid.
            BackendError: could not decide.
        """
        policy = self.trust.policies.current()
        asked = statements.read_summary(question)
        lineage = self.trust.lineage(policy)
        gate = AccessGate(self.trust, policy, lineage, str(asked.facts.get("step")))
        purpose = str(asked.facts.get("purpose"))
        view = self.trust.store.manifest(question.subject_digest)
        heads = _heads(lineage, view, asked)
        nodes = gate.verified(view.asset, heads, purpose)
        found, _ = gate.judged(view, heads, nodes, purpose, encoding.parse_utc(asked.at))
        if found.content != question.content:
            raise VerificationError(
                reason(
                    RootCause.SUBJECT_MISMATCH,
                    f"{gate.step} announced another decision than the gate comes to",
                    artifact=view.asset,
                )
            )
        return self.trust.signing.submit(question, identity_of(policy.layout, GATE), check_time)


def open_questions(trust: Trust) -> list[Statement]:
    """What steps announced that the gate has not signed, and somebody may still wait for."""
    return [
        item for item in map(_question, _announced(trust.store)) if item and _waits(trust, item)
    ]


def _announced(store: EvidenceStore) -> list[bytes]:
    return sorted(store.intents())


def _question(content: bytes) -> Statement | None:
    """An announced statement, if it is one of this gate's."""
    try:
        statement = statements.parse_statement(content)
        if statement.predicate_type != statements.VERIFICATION_SUMMARY:
            return None
        return statement if statements.read_summary(statement).gate == GATE else None
    except (ProvenanceError, ValueError):
        return None  # whatever it is: nobody signs it here


def _waits(trust: Trust, question: Statement) -> bool:
    asked = statements.read_summary(question)
    try:
        age = trust.clock() - encoding.parse_utc(asked.at)
    except ValueError:
        return False
    return abs(age) <= PATIENCE and not trust.store.has(question.digest)


def _heads(lineage: LineageVerifier, view: Manifest, asked: Summary) -> list[Head]:
    """Which attested file each entry of a view is, of the statements that the question names.

    Raises:
        EvidenceError: EVIDENCE_MISSING, one of them is in none.
    """
    known: dict[tuple[str, str, str], Head] = {}
    nodes = [lineage.node(statement) for statement in asked.inputs]
    for node in nodes:
        made = node.claims.made
        if made is None or made.asset != view.asset:
            continue
        for entry in node.entries:
            place = (entry.partition, entry.path, entry.sha256)
            if place not in known or known[place].sequence < made.sequence:
                known[place] = Head(
                    asset=view.asset, partition=entry.partition, path=entry.path,
                    sha256=entry.sha256, statement=node.statement, sequence=made.sequence,
                )  # fmt: skip
    found = [known.get((item.partition, item.path, item.sha256)) for item in view.entries]
    if None in found or not found:
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_MISSING,
                "a file of the question is in no statement that it names",
                artifact=view.asset,
            )
        )
    return [head for head in found if head]
