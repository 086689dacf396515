"""The signatures under a release: whose they are, and how many people that makes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.rules.layout import Principal
from fraud_provenance.attested.rules.trial import ROLE
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.attested.store.store import EvidenceStore, open_bundle


@dataclass(frozen=True)
class Signature:
    """One valid signature of a policy author."""

    logged: tuple[int, int]
    principal: Principal
    statement: str
    signed_at: datetime


def distinct(valid: Iterable[Signature], principals: tuple[Principal, ...]) -> list[Signature]:
    """The first signature of each person; who is enrolled twice is still one person."""
    groups = identities.groups(principals)
    first: dict[int, Signature] = {}
    for one in sorted(valid, key=lambda item: (item.logged, item.principal.id, item.statement)):
        group = next(index for index, group in enumerate(groups) if one.principal in group)
        first.setdefault(group, one)
    return list(first.values())


def unverified(store: EvidenceStore, statement: str) -> Statement:
    """The statement of a stored bundle, only to sort it; whoever believes it verifies first."""
    payload, _, _ = open_bundle(store.bundle(statement)[1])
    return statements.parse_statement(payload)


def author_of(
    bundle: VerifiedBundle, statement: str, principals: tuple[Principal, ...]
) -> Principal:
    """The policy author who signed.

    Raises:
        VerificationError: SUBJECT_MISMATCH or EXPECTATION_CHANGE_UNAPPROVED.
    """
    claimed: Any = bundle.statement.predicate.get("signer")
    signer = identities.of_person(str(claimed))
    if bundle.statement.digest != statement or signer.subject != bundle.identity.subject:
        raise VerificationError(
            reason(RootCause.SUBJECT_MISMATCH, "the bundle carries another statement or signer")
        )
    principal = next(
        (
            one
            for one in principals
            if ROLE in one.roles
            and one.enrolled(bundle.identity)
            and one.is_valid_at(bundle.signed_at)
        ),
        None,
    )
    if bundle.identity.issuer != identities.PEOPLE or principal is None:
        raise VerificationError(
            reason(
                RootCause.EXPECTATION_CHANGE_UNAPPROVED,
                f"{bundle.identity} was no policy author under the release before this one",
                artifact="policies",
                identity=str(bundle.identity),
                at=encoding.utc_text(bundle.signed_at),
            )
        )
    return principal
