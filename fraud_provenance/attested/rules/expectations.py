"""What a release fixes, who signed it, and the chain of those that were ever in force."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import Case, RootCause, remedy
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement

TRUST_FILES = (
    "client_trust_config.json",
    "issuers.json",
    "signing_config.json",
    "trusted_root.json",
    "witnesses.json",
)
NEVER = datetime.min.replace(tzinfo=UTC)
_MAX_RELEASES = 10_000


class Expectations(BaseModel):
    """What one release fixes. Its digest names the release."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    version: int = Field(ge=1, le=_MAX_RELEASES)
    previous: str
    policies: str
    trust: dict[str, str]
    tools: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return encoding.digest_json(self.model_dump(mode="json"))

    def statement(self, signer: str, why: str) -> Statement:
        """What the person behind the e-mail address `signer` signs."""
        predicate = self.model_dump(mode="json", exclude={"policies"})
        return statements.build_statement(
            statements.POLICY_RELEASE,
            "policies",
            self.policies,
            predicate | {"signer": signer, "reason": why},
        )


@dataclass(frozen=True)
class Release:
    """Expectations with those who have validly signed them so far."""

    expectations: Expectations
    authors: tuple[str, ...]
    statements: tuple[str, ...]
    completed_at: tuple[int, int] = (0, 0)  # where the signature that completes it was logged
    signed_at: datetime = NEVER  # when that was
    identities: tuple[Identity, ...] = ()  # every one that its authors have
    is_complete: bool = False  # enough distinct people signed


@dataclass(frozen=True)
class Refusal:
    """A release that enough people signed and that does not bind; or one that names such a one."""

    release: Release
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Chain:
    """Every release that was ever in force, oldest first, and what waits for more signatures."""

    releases: tuple[Release, ...] = ()
    proposals: tuple[Release, ...] = ()
    problems: tuple[Reason, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def head(self) -> Release | None:
        """The release in force."""
        return self.releases[-1] if self.releases else None

    @property
    def open_refusals(self) -> tuple[Refusal, ...]:
        """Refused releases in whose place no other one came into force yet."""
        known = len(self.releases)
        return tuple(one for one in self.refused if one.release.expectations.version > known)

    def why_not(self, matches: Callable[[Expectations], bool]) -> tuple[Reason, ...]:
        """Why the release that `matches` does not bind, if one was signed and is refused."""
        return next((one.reasons for one in self.refused if matches(one.release.expectations)), ())

    def versions_of(self, policies: str) -> list[int]:
        """The versions that had exactly these policy files."""
        return [
            item.expectations.version
            for item in self.releases
            if item.expectations.policies == policies
        ]


Draft = tuple[Expectations, list[str]]
"""What somebody said that a release should be, with the statements that say it."""


def read_expectations(statement: Statement) -> Expectations:
    """What a release statement says is expected.

    Raises:
        VerificationError: PREDICATE_TYPE, it is no release statement or malformed.
    """
    predicate = dict(statement.predicate)
    signer, why = predicate.pop("signer", None), predicate.pop("reason", None)
    try:
        if statement.predicate_type != statements.POLICY_RELEASE:
            raise ValueError(statement.predicate_type)
        if not isinstance(signer, str) or not isinstance(why, str):
            raise ValueError("signer and reason must be text")
        expected = Expectations.model_validate(predicate | {"policies": statement.subject_digest})
        if set(expected.trust) != set(TRUST_FILES):
            raise ValueError("it names other trust files")
    except ValueError as error:
        raise VerificationError(
            reason(
                RootCause.PREDICATE_TYPE,
                f"malformed policy release: {str(error)[:200]}",
                artifact="policies",
            )
        ) from error
    return expected


def not_bound(item: Release, before: Release | None, error: ProvenanceError) -> tuple[Reason, ...]:
    """Why a release does not bind, with what is in force instead and the way out."""
    version = item.expectations.version
    stays = f"release {version - 1} stays in force" if before else "there is no release"
    said = f"release {version}, signed by {', '.join(item.authors)}, does not bind; {stays}: "
    way_out = remedy(Case.RELEASE_NOT_BINDING)
    return tuple(
        one.model_copy(
            update={"message": said + one.message, "remedy": f"{one.remedy} {way_out}".strip()}
        )
        for one in error.reasons
    )


def successors(refused: Iterable[Refusal], drafts: Mapping[str, Draft]) -> list[Refusal]:
    """What was signed on top of a release that does not bind: it does not, either."""
    why = {one.release.expectations.digest: one.reasons for one in refused}
    found: list[Refusal] = []
    for digest, (expected, _) in sorted(drafts.items(), key=lambda item: item[1][0].version):
        if expected.previous in why:
            why[digest] = why[expected.previous]
            found.append(Refusal(Release(expected, (), ()), why[digest]))
    return found


def policy_difference(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Paths whose digest differs between two policies, sorted."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
