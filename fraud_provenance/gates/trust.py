"""Everything a gate works with, put together once per process by `workspace`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fraud_provenance.evidence.lineage import LineageVerifier
from fraud_provenance.evidence.log_audit import LogAuditor
from fraud_provenance.evidence.signing import SigningService
from fraud_provenance.evidence.statements import Identity, Material
from fraud_provenance.evidence.store import EvidenceStore
from fraud_provenance.evidence.verification import BundleVerifier
from fraud_provenance.gates.policy import Policy, PolicyEngine


@dataclass(frozen=True)
class CodeFacts:
    """What ran: commit, the digest of the actual work tree, lock and installed packages."""

    git_commit: str
    git_dirty: bool
    materials: tuple[Material, ...]


@dataclass
class Trust:
    """One home in one environment, ready to verify, decide and sign."""

    home: Path
    environment: str
    store: EvidenceStore
    bundles: BundleVerifier
    signing: SigningService
    policies: PolicyEngine
    code: Callable[[], CodeFacts]
    auditor: Callable[[], LogAuditor]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _lineage: dict[str, LineageVerifier] = field(default_factory=dict)

    def lineage(self, policy: Policy | None = None) -> LineageVerifier:
        """The verifier under the current policy's layout; shared so that its memo is."""
        policy = policy or self.policies.current()
        if policy.digest not in self._lineage:
            self._lineage[policy.digest] = LineageVerifier(
                self.store, self.bundles, policy.layout, self.environment, self.home
            )
        return self._lineage[policy.digest]

    def forget(self) -> None:
        """Verify everything anew from here on."""
        self._lineage.clear()

    def builder_id(self, identity: Identity) -> str:
        """The SLSA builder id of a workload identity."""
        return f"urn:fraud-provenance:{identity.issuer}{identity.subject}"
