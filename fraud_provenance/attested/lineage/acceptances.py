"""Acceptances: unusual days that a person looked at and found right.

A contract holds a day that is unusual. An acceptance frees exactly these bytes of exactly these
findings: other bytes, or a finding that it does not list, stay held. It ends when it is revoked.
"""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.statements.manifest import is_sha256
from fraud_provenance.attested.statements.statements import ACCEPTANCE, Contract, Statement


class Accepted(Finding):
    """One finding that a person accepted, and the suite that found it."""

    suite: str


class Acceptance(BaseModel):
    """What one statement accepts.

    Attributes:
        environment: Where it counts.
        asset: Whose day it is.
        partition: The day.
        sha256: The day's file.
        contracts: The results that the person saw, by statement.
        findings: What held the day in these results, all of it.
        findings_digest: The SHA-256 of `findings`.
        issued_at: When it was signed.
        nonce: What makes it a statement of its own.
        reason: The person's words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    asset: str
    partition: str
    sha256: str
    contracts: tuple[str, ...]
    findings: tuple[Accepted, ...]
    findings_digest: str
    issued_at: str
    nonce: str = ""
    reason: str

    @property
    def covered(self) -> frozenset[str]:
        """What it covers, as `finding_ids` names it."""
        return frozenset(_id(item.suite, item) for item in self.findings)


def accepted_findings(partition: str, contracts: Iterable[Contract]) -> list[Accepted]:
    """What holds a partition, of all these results, in one order."""
    found = [
        Accepted(suite=contract.suite, **item.model_dump())
        for contract in contracts
        for item in contract.held_findings(partition)
    ]
    return sorted(found, key=lambda item: (item.suite, item.check, item.column))


def as_json(findings: Iterable[Accepted]) -> list[dict[str, object]]:
    """Findings as they stand in a statement."""
    return [item.model_dump(exclude_none=True) for item in findings]


def finding_ids(partition: str, contract: Contract) -> tuple[str, ...]:
    """The names of what a contract holds a partition for, the same whenever it is judged again.

    The day's bytes are bound beside them. What it was compared with may be another day next time,
    so the numbers are not part of the name; they are part of the acceptance.
    """
    return ids_of(contract.suite, contract.held_findings(partition))


def ids_of(suite: str, findings: Iterable[Finding]) -> tuple[str, ...]:
    """As `finding_ids`, of findings that no statement holds yet."""
    return tuple(sorted({_id(suite, item) for item in findings}))


def _id(suite: str, finding: Finding) -> str:
    names = {"check": finding.check, "code": finding.code, "column": finding.column}
    return encoding.digest_json({"suite": suite, **names})


def read_acceptance(statement: Statement) -> Acceptance:
    """Parse an acceptance.

    Raises:
        VerificationError: PREDICATE_TYPE, also where its findings are not those of its digest;
            SUBJECT_MISMATCH where it is about other bytes than it names.
    """
    if statement.predicate_type != ACCEPTANCE:
        raise _malformed(f"{statement.predicate_type} is not an acceptance")
    try:
        content = encoding.canonical_json(dict(statement.predicate))
        found = Acceptance.model_validate_json(content)
    except (ValidationError, ValueError) as error:
        raise _malformed(f"malformed acceptance: {error}") from error
    is_whole = found.findings_digest == encoding.digest_json(as_json(found.findings))
    if not (found.findings and found.contracts and is_whole and is_sha256(found.sha256)):
        raise _malformed("an acceptance names results, findings and the digest of these findings")
    if (statement.subject_name, statement.subject_digest) != (found.asset, found.sha256):
        raise VerificationError(
            reason(RootCause.SUBJECT_MISMATCH, "the acceptance's subject is not what it names")
        )
    return found


def predicate_of(
    environment: str,
    asset: str,
    place: tuple[str, str],
    contracts: Mapping[str, Contract],
) -> dict[str, object]:
    """What a person accepts: `place` is the day and its SHA-256, `contracts` are by statement."""
    partition, sha256 = place
    findings = as_json(accepted_findings(partition, contracts.values()))
    return {
        "environment": environment,
        "asset": asset,
        "partition": partition,
        "sha256": sha256,
        "contracts": sorted(contracts),
        "findings": findings,
        "findings_digest": encoding.digest_json(findings),
    }


def _malformed(message: str) -> VerificationError:
    return VerificationError(reason(RootCause.PREDICATE_TYPE, message))
