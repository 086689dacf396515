"""Acceptances: unusual days that a person looked at and found right.

A contract holds a day that is unusual. An acceptance frees exactly these bytes of exactly these
findings: other bytes, or a finding that it does not list, stay held. It ends when it is revoked.
"""

from collections.abc import Iterable, Mapping

from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.statements.people import Accepted, as_json, digest_of, finding_id
from fraud_provenance.attested.statements.statements import Contract


def accepted_findings(partition: str, contracts: Iterable[Contract]) -> list[Accepted]:
    """What holds a partition, of all these results, in one order."""
    found = [
        Accepted(suite=contract.suite, **item.model_dump())
        for contract in contracts
        for item in contract.held_findings(partition)
    ]
    return sorted(found, key=lambda item: (item.suite, item.check, item.column))


def finding_ids(partition: str, contract: Contract) -> tuple[str, ...]:
    """The names of what a contract holds a partition for, the same whenever it is judged again."""
    return ids_of(contract.suite, contract.held_findings(partition))


def ids_of(suite: str, findings: Iterable[Finding]) -> tuple[str, ...]:
    """As `finding_ids`, of findings that no statement holds yet."""
    return tuple(sorted({finding_id(suite, item) for item in findings}))


def predicate_of(
    environment: str,
    asset: str,
    place: tuple[str, str],
    contracts: Mapping[str, Contract],
) -> dict[str, object]:
    """What a person accepts: `place` is the day and its SHA-256, `contracts` are by statement."""
    partition, sha256 = place
    findings = accepted_findings(partition, contracts.values())
    return {
        "environment": environment,
        "asset": asset,
        "partition": partition,
        "sha256": sha256,
        "contracts": sorted(contracts),
        "findings": as_json(findings),
        "findings_digest": digest_of(findings),
    }
