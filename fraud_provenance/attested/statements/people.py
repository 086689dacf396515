"""What people say, and the gate that asks them: predicates of our own, one model each.

A model writes its predicate (`document`) and reads it (`of`). Those who sign are judged elsewhere.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.statements.form import Identity, invalid
from fraud_provenance.attested.statements.manifest import is_sha256


class Said(BaseModel):
    """A predicate of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str

    def document(self) -> dict[str, Any]:
        """The predicate as it is signed."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> Self:
        """What a predicate says.

        Raises:
            VerificationError: PREDICATE_TYPE.
        """
        try:
            return cls.model_validate_json(encoding.canonical_json(dict(predicate)))
        except (ValidationError, ValueError) as error:
            kind = re.sub(r"\B([A-Z])", r" \1", cls.__name__).lower()
            raise invalid(RootCause.PREDICATE_TYPE, f"malformed {kind}: {error}") from error

    def check_subject(self, name: str, digest: str) -> None:
        """Refuse a statement whose subject is not what the predicate names, where it names one.

        Raises:
            VerificationError: SUBJECT_MISMATCH.
        """


class Bound(Said):
    """A predicate that says what it is bound to; all of it is text.

    Whoever relies on it compares each field with what it must be. So a field that is not there is
    read as empty, which nothing equals, and fields of others are not read.
    """

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> Self:
        """See `Said.of`."""
        return super().of({name: predicate.get(name, "") for name in cls.model_fields})


class Approval(Bound):
    """A person finds that a model may be deployed, on this evidence and under this policy."""

    evidence_set: str
    policy_digest: str
    issued_at: str
    nonce: str = ""
    expires_at: str
    reason: str


class Supersede(Bound):
    """A person decides that an earlier version of a day takes the place of the newest one."""

    partition: str
    sha256: str
    restores: str
    replaces: str
    issued_at: str
    nonce: str = ""
    reason: str


class Waiver(Said):
    """A person declares a day of an asset empty, such as a holiday without transactions.

    It says that there is nothing. It is therefore about a UTC day, YYYY-MM-DD, and not about bytes,
    it makes no file usable, and it only explains why a day is not there.
    """

    asset: str
    partition: str
    issued_at: str
    nonce: str = ""
    reason: str

    @property
    def subject(self) -> str:
        """The SHA-256 that names a day that has no bytes."""
        return encoding.digest_json({"asset": self.asset, "empty": self.partition})

    def check_subject(self, name: str, digest: str) -> None:
        """See `Said.check_subject`."""
        if (name, digest) != (self.asset, self.subject):
            why = "the waiver's subject is not the day that it names"
            raise invalid(RootCause.SUBJECT_MISMATCH, why)


class Accepted(Finding):
    """One finding that a person accepted, and the suite that found it."""

    suite: str


class Acceptance(Said):
    """A person looked at an unusual day and found it right.

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

    asset: str
    partition: str
    sha256: str
    contracts: tuple[str, ...]
    findings: tuple[Accepted, ...]
    findings_digest: str
    issued_at: str
    nonce: str = ""
    reason: str

    def document(self) -> dict[str, Any]:
        """See `Said.document`; a bound that a finding does not have is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> Self:
        """See `Said.of`.

        Raises:
            VerificationError: PREDICATE_TYPE, also where its findings are not those of its digest.
        """
        found = super().of(predicate)
        is_whole = found.findings_digest == digest_of(found.findings)
        if not (found.findings and found.contracts and is_whole and is_sha256(found.sha256)):
            why = "an acceptance names results, findings and the digest of these findings"
            raise invalid(RootCause.PREDICATE_TYPE, why)
        return found

    def check_subject(self, name: str, digest: str) -> None:
        """See `Said.check_subject`."""
        if (name, digest) != (self.asset, self.sha256):
            why = "the acceptance's subject is not what it names"
            raise invalid(RootCause.SUBJECT_MISMATCH, why)

    @property
    def covered(self) -> frozenset[str]:
        """What it covers, each finding as `finding_id` names it."""
        return frozenset(finding_id(item.suite, item) for item in self.findings)


def as_json(findings: Iterable[Accepted]) -> list[dict[str, Any]]:
    """Findings as they stand in a statement."""
    return [item.model_dump(exclude_none=True) for item in findings]


def digest_of(findings: Iterable[Accepted]) -> str:
    """The SHA-256 of findings as they stand in a statement."""
    return encoding.digest_json(as_json(findings))


def finding_id(suite: str, finding: Finding) -> str:
    """What a finding is called, the same whenever a day is judged again.

    The day's bytes are bound beside it. What it was compared with may be another day next time, so
    the numbers are not part of the name; they are part of the acceptance.
    """
    names = {"check": finding.check, "code": finding.code, "column": finding.column}
    return encoding.digest_json({"suite": suite, **names})


class Revocation(Said):
    """A person withdraws something; `digests` are of files, manifests or statements, by `kind`."""

    kind: Literal["partition", "model", "statement", "log entry", "identity", "principal"]
    artifact: str
    partition: str
    digests: tuple[str, ...]
    identity: Identity | None
    principal: str
    from_time: str
    sequence: int
    previous: str
    issued_at: str
    reason: str

    @field_validator("from_time")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if text:
            encoding.parse_utc(text)
        return text


class PromotionRequest(Bound):
    """A gate is about to decide on a model: the time-stamp under it tells when."""

    at: str
    evidence_set: str
