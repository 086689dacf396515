"""Everything a gate works with, put together once per process by `workspace`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.attested.attestors.ran import Attestor
from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.gates.policy import Policy, PolicyEngine
from fraud_provenance.attested.lineage.verifier import LineageVerifier, revoked_in
from fraud_provenance.attested.lineage.versions import REVOCATIONS
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.ports.locks import Locks
from fraud_provenance.attested.ports.memory import Memory
from fraud_provenance.attested.sigstore.log_audit import LogAuditor
from fraud_provenance.attested.sigstore.signing import SigningService
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.store.store import EvidenceStore, Head


@dataclass
class Trust:
    """One home in one environment, ready to verify, decide and sign."""

    home: Path
    environment: str
    store: EvidenceStore
    memory: Memory
    locks: Locks
    bundles: BundleVerifier
    signing: SigningService
    policies: PolicyEngine
    attestor: Attestor
    auditor: Callable[[], LogAuditor]
    self_check: Callable[[], None]
    variables: Mapping[str, str] = field(default_factory=dict)
    """What tells a step's tools more than its parameters do: parameters that no layout knows."""
    gates_elsewhere: frozenset[str] = frozenset()
    """Gates that sign in a process of their own; then each step has to have its own token."""
    clock: Clock = machine_clock
    _lineage: dict[tuple[str, int], LineageVerifier] = field(default_factory=dict)

    def lineage(self, policy: Policy | None = None) -> LineageVerifier:
        """The verifier under the current policy's layout; shared so that its memo is.

        A revocation may speak against anything: after one, everything is judged anew.
        """
        policy = policy or self.policies.current()
        key = (policy.digest, len(self.store.chain(REVOCATIONS)))
        if key not in self._lineage:
            self._lineage[key] = LineageVerifier(
                self.store,
                self.bundles,
                policy.layout,
                self.environment,
                self.home,
                self.memory,
                self.policies.releases.signed_for,
            )
        return self._lineage[key]

    def revoked_head(
        self, heads: Sequence[Head], lineage: LineageVerifier | None = None
    ) -> Reason | None:
        """Why a partition with these newest files may not be used, if people withdrew it."""
        if not self.store.chain(REVOCATIONS):
            return None  # the usual case costs nothing
        lineage = lineage or self.lineage()
        found = [
            why
            for head in heads
            for why in revoked_in(lineage.node(head.statement), [head.partition])
        ]
        return found[0] if found else None

    def forget(self) -> None:
        """Verify everything anew from here on."""
        self._lineage.clear()

    def builder_id(self, identity: Identity) -> str:
        """The SLSA builder id of a workload identity: its own URI, where it has one."""
        if "://" in identity.subject:
            return identity.subject
        return f"urn:fraud-provenance:{identity.issuer}{identity.subject}"
