"""Revocations: what people withdrew, as signed statements that nothing may use from then on.

Every revocation counts that a person with the role signed, also if that person was revoked later:
doubt refuses. One that is stored but cannot be verified (changed, unsigned, cut short) is a problem
of its own, for it may have been damaged in order to be forgotten.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import Reason, reason
from fraud_provenance.attested.lineage.nodes import Node, Verified, Withdrawal
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.sigstore.verification import PAYLOAD_TYPE, VerifiedBundle
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.people import Revocation
from fraud_provenance.attested.statements.statements import Identity, Statement
from fraud_provenance.attested.tlog.tiles import signed_digest

# A person without the role signed it: it never counted. Anything else may hide one that does.
_NEVER_COUNTED = frozenset(
    (
        RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
        RootCause.APPROVAL_UNKNOWN_PERSON,
        RootCause.ENVIRONMENT_MISMATCH,
    )
)


@dataclass
class Revocations:
    """Everything that is revoked, ready to be asked."""

    problems: list[Reason] = field(default_factory=list)
    _files: dict[str, Withdrawal] = field(default_factory=dict)
    _manifests: dict[str, Withdrawal] = field(default_factory=dict)
    _statements: dict[str, Withdrawal] = field(default_factory=dict)
    _entries: dict[str, Withdrawal] = field(default_factory=dict)
    _signers: list[tuple[Identity, datetime, Reason]] = field(default_factory=list)

    @classmethod
    def of(cls, nodes: Iterable[Node], layout: Layout) -> "Revocations":
        """From the nodes of all stored revocations."""
        found = cls()
        for node in sorted(nodes, key=lambda node: node.claims.logged):
            if isinstance(node, Verified):
                found._add(statements.read(node.bundle.statement, Revocation), node.bundle, layout)
            elif not any(item.code in _NEVER_COUNTED for item in node.reasons):
                found.problems += node.reasons
        return found

    def _add(self, revocation: Revocation, bundle: VerifiedBundle, layout: Layout) -> None:
        at, logged = encoding.utc_text(bundle.signed_at), bundle.logged
        said = f"revoked by {bundle.identity.subject} at {at}: {revocation.reason[:200]}"

        def because(code: str) -> Reason:
            place = {"artifact": revocation.artifact, "partition": revocation.partition}
            return reason(code, said, identity=str(bundle.identity), at=at, **place)

        def withdraw(known: dict[str, Withdrawal], code: str) -> None:
            """What was withdrawn before stays withdrawn since then."""
            found = Withdrawal(because(code), logged)
            known |= dict.fromkeys(revocation.digests, found) | known

        match revocation.kind:
            case "partition":
                withdraw(self._files, RootCause.PARTITION_REVOKED)
            case "model":
                withdraw(self._manifests, RootCause.MODEL_REVOKED)
            case "statement":
                withdraw(self._statements, RootCause.STATEMENT_REVOKED)
            case "log entry":
                withdraw(self._entries, RootCause.STATEMENT_REVOKED)
            case _:
                since = encoding.parse_utc(revocation.from_time or revocation.issued_at)
                why = because(RootCause.KEY_REVOKED)
                for identity in _identities(revocation, layout):
                    self._signers.append((identities.person(identity), since, why))

    def of_statement(self, statement: Statement) -> Withdrawal | None:
        """Why a statement is revoked, if it is: by itself, or with its subject."""
        found = self._statements.get(statement.digest)
        if self._entries:
            found = found or self._entries.get(signed_digest(statement.content, PAYLOAD_TYPE))
        if found and statement.predicate_type == statements.APPROVAL:
            code = RootCause.APPROVAL_REVOKED
            why = reason(code, found.why.message, identity=found.why.identity, at=found.why.at)
            return found._replace(why=why)
        return found or self._manifests.get(statement.subject_digest)

    @property
    def log_entries(self) -> Collection[str]:
        """Signed digests of the log entries that are revoked, whatever it was that was signed."""
        return self._entries.keys()

    def of_signer(self, identity: Identity, signed_at: datetime) -> Reason | None:
        """Why a signature counts no more, if it does not: its signer was revoked from then on."""
        return next(
            (
                why
                for revoked, since, why in self._signers
                if revoked == identities.person(identity) and signed_at >= since
            ),
            None,
        )

    def of_file(self, sha256: str) -> Withdrawal | None:
        """Why a file's bytes are revoked, if they are."""
        return self._files.get(sha256)


def _identities(revocation: Revocation, layout: Layout) -> tuple[Identity, ...]:
    if revocation.identity is not None:
        return (revocation.identity,)
    return tuple(
        identity
        for principal in layout.principals
        if principal.id == revocation.principal
        for identity in principal.identities
    )
