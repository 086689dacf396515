"""What is there to read: which partitions may be used, and why the others may not.

Nothing here signs, writes or decides. The gate decides when something is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fraud_provenance.attested.core.codes import Case, RootCause, remedy
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import EvidenceError, Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Judgement
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.statements.statements import Contract
from fraud_provenance.attested.step.inputs import Usable, VerifiedFile
from fraud_provenance.attested.store.store import ContractResult, Head


@dataclass(frozen=True)
class Catalogue:
    """The attested partitions of one home, as one policy sees them."""

    trust: Trust
    policy: Policy
    lineage: LineageVerifier

    def usable(
        self,
        asset: str,
        partitions: Iterable[str] | None = None,
        *,
        step: str,
        with_outdated: bool = False,
    ) -> Usable:
        """The partitions of `asset` whose contracts passed, for what `step` needs.

        What was made from an older version of something is left out until it is made anew, but
        not `with_outdated`: contracts may judge it nevertheless.
        """
        heads = self.trust.store.heads(asset)
        wanted = sorted(heads) if partitions is None else sorted(set(partitions))
        outdated = (
            {}
            if with_outdated
            else self.lineage.snapshots.outdated_heads(
                {name: heads[name] for name in wanted if name in heads},
                self.policy.layout.inputs(asset),
            )
        )
        results = self.trust.store.contract_results(asset)
        rule = self.policy.layout.step(step).material(asset)
        suites = rule.requires_suites if rule else ()
        good: list[str] = []
        refused: dict[str, Reason] = {}
        for partition in wanted:
            problem = outdated.get(partition) or self._unusable(
                asset, partition, heads.get(partition), suites, results
            )
            if problem is None:
                good.append(partition)
            else:
                refused[partition] = problem
        return Usable(tuple(good), refused)

    def _unusable(
        self,
        asset: str,
        partition: str,
        heads: list[Head] | None,
        suites: Iterable[str],
        results: Mapping[tuple[str, str], Mapping[str, ContractResult]],
    ) -> Reason | None:
        place = {"artifact": asset, "partition": partition}
        if not heads:
            return reason(RootCause.PARTITION_MISSING, f"{partition} is not attested", **place)
        for head in heads:
            found = results.get((partition, head.sha256), {})
            for suite in suites:
                if suite not in found:
                    return reason(RootCause.CHECK_MISSING, f"{suite} has not run", **place)
                forms = self.policy.layout.contract(suite).suite_digests
                if found[suite].suite_digest not in forms:
                    why = f"{suite} ran in a former form only"
                    return reason(RootCause.CHECK_MISSING, why, **place)
                if found[suite].result == "FAILED":
                    return reason(RootCause.CHECK_FAILED, f"{suite} failed", **place)
                if found[suite].result != "PASSED" and not self.frees(head, found[suite]):
                    return held(asset, partition, suite)
        return self.trust.revoked_head(heads, self.lineage)

    def frees(self, head: Head, result: ContractResult) -> bool:
        """Whether somebody accepted all that a result holds these bytes for."""
        said = self.lineage.node(result.statement).claims.said
        found = said.held_findings(head.partition) if isinstance(said, Contract) else ()
        place = (head.asset, head.partition, head.sha256)
        return self.lineage.accepting(place, result.suite, found) is not None

    def is_accepted(
        self, item: VerifiedFile, asset: str, suite: str, findings: Iterable[Mapping[str, Any]]
    ) -> bool:
        """Whether somebody accepted all that a suite holds these bytes for now."""
        found = [Finding.model_validate(dict(finding)) for finding in findings]
        place = (asset, item.partition, item.sha256)
        return self.lineage.accepting(place, suite, found) is not None

    def newest(self, asset: str, partitions: list[str]) -> list[Head]:
        """The newest files of all these partitions.

        Raises:
            EvidenceError: PARTITION_MISSING.
        """
        heads = self.trust.store.heads(asset)
        missing = [partition for partition in partitions if partition not in heads]
        if missing or not partitions:
            raise EvidenceError(
                reason(
                    RootCause.PARTITION_MISSING,
                    f"{len(missing)} of {len(partitions)} partitions are not attested",
                    artifact=asset,
                    partition=missing[0] if missing else "",
                )
            )
        return [head for partition in partitions for head in heads[partition]]

    def newest_result(self, asset: str, suite: str) -> Contract | None:
        """What a suite's newest result says, if it and all that it rests on verifies."""
        statement = self.trust.store.newest_result(asset, suite)
        node = self.lineage.node(statement) if statement else None
        return node.contract if isinstance(node, Judgement) and not node.all_reasons() else None


def catalogue_of(trust: Trust) -> Catalogue:
    """What is there under the policy that is in force now; for who plans and runs no step."""
    policy = trust.policies.current()
    return Catalogue(trust, policy, trust.lineage(policy))


def held(asset: str, partition: str, suite: str) -> Reason:
    """Why an unusual partition may not be used yet, and what frees it."""
    return reason(
        RootCause.DATA_HELD,
        f"{suite} found it unusual, and nobody has accepted it",
        artifact=asset,
        partition=partition,
        remedy=remedy(Case.PARTITION_HELD, asset=asset, partition=partition),
    )
