"""Waivers: days of an asset that people declared empty, such as a holiday without transactions.

A waiver says that there is nothing. It is therefore about a day and not about bytes, it makes no
file usable, and it only explains why a day is not there. It ends when it is revoked.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.statements.statements import WAIVER, Statement


class Waiver(BaseModel):
    """What one statement declares; the day is a UTC day, YYYY-MM-DD."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    asset: str
    partition: str
    issued_at: str
    nonce: str = ""
    reason: str


def subject_of(asset: str, partition: str) -> str:
    """The SHA-256 that names a day that has no bytes."""
    return encoding.digest_json({"asset": asset, "empty": partition})


def read_waiver(statement: Statement) -> Waiver:
    """Parse a waiver.

    Raises:
        VerificationError: PREDICATE_TYPE, or SUBJECT_MISMATCH where it is about another day.
    """
    if statement.predicate_type != WAIVER:
        raise VerificationError(
            reason(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not a waiver")
        )
    try:
        content = encoding.canonical_json(dict(statement.predicate))
        found = Waiver.model_validate_json(content)
    except (ValidationError, ValueError) as error:
        raise VerificationError(
            reason(RootCause.PREDICATE_TYPE, f"malformed waiver: {error}")
        ) from error
    about = (statement.subject_name, statement.subject_digest)
    if about != (found.asset, subject_of(found.asset, found.partition)):
        raise VerificationError(
            reason(RootCause.SUBJECT_MISMATCH, "the waiver's subject is not the day that it names")
        )
    return found
