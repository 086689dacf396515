"""What every predicate is read with: its identities, its digests, and how it is refused."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.statements.manifest import is_sha256


class Identity(BaseModel):
    """Who signed: the issuer's role in the layout (`workloads`, `people`) and the exact subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    subject: str

    def __str__(self) -> str:
        """Subject and issuer, readable."""
        return f"{self.subject} ({self.issuer})"


def sha256_of(descriptor: Mapping[str, Any], what: str) -> str:
    """The SHA-256 of an in-toto resource descriptor; refuses any weaker name."""
    digests = descriptor.get("digest")
    found = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(found, str) or not is_sha256(found):
        raise invalid(RootCause.DIGEST_ALG_UNACCEPTABLE, f"{what} is not named by a SHA-256")
    return found


def invalid(code: str, message: str) -> VerificationError:
    """A statement that is not what it must be."""
    return VerificationError(reason(code, message))
