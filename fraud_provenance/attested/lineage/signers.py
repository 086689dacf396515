"""Who may sign what: each check compares a verified bundle with the layout, exactly."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Draft, Node
from fraud_provenance.attested.rules.layout import Layout, StepRule
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.statements import Identity

# What a signer says of the time, against what the timestamp authority says of the signature. Covers
# a slow signature and badly kept clocks; `max_clock_skew_seconds` of the policy is the same.
MAX_CLOCK_SKEW = timedelta(seconds=300)


@dataclass(frozen=True)
class Signers:
    """The checks of one environment under one layout. Each raises VerificationError."""

    layout: Layout
    environment: str

    def check_environment(self, environment: object) -> None:
        """The statement was made for this environment."""
        if environment != self.environment:
            raise VerificationError(
                reason(
                    RootCause.ENVIRONMENT_MISMATCH,
                    f"made for {str(environment)[:80]!r}, wanted {self.environment!r}",
                )
            )

    def check_workload(self, bundle: VerifiedBundle, step: str) -> StepRule:
        """The one workload of a step signed, the predicate is the step's, and it may run here."""
        rule = self.layout.step(step)
        if rule.predicate_type != bundle.statement.predicate_type:
            raise VerificationError(
                reason(RootCause.PREDICATE_TYPE, f"step {step} signs {rule.predicate_type}")
            )
        self.check_identity(bundle, rule, step)
        if self.environment not in rule.environments:
            raise VerificationError(
                reason(
                    RootCause.ENVIRONMENT_MISMATCH,
                    f"step {step} may not run in {self.environment!r}",
                )
            )
        return rule

    def check_identity(self, bundle: VerifiedBundle, rule: StepRule, step: str) -> None:
        """The one workload of a step signed, while a principal answered for it."""
        expected = rule.signer()
        if expected is None:
            raise VerificationError(
                reason(RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP, f"{step} is for people")
            )
        if bundle.identity != expected:
            code = (
                RootCause.ISSUER_MISMATCH
                if bundle.identity.subject == expected.subject
                else RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP
            )
            message = f"step {step} is signed by {bundle.identity}, the layout names {expected}"
            raise VerificationError(reason(code, message))
        if self.layout.principal(bundle.identity, bundle.signed_at) is None:
            at = encoding.utc_text(bundle.signed_at)
            message = f"no principal answered for {bundle.identity} at {at}"
            raise VerificationError(reason(RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP, message))

    def check_person(self, bundle: VerifiedBundle, step: str) -> None:
        """A person signed who had the step's role at that time, for this environment."""
        rule = self.layout.step(step)
        principal = self.layout.principal(bundle.identity, bundle.signed_at)
        if principal is None or bundle.identity.issuer != "people":
            raise VerificationError(
                reason(
                    RootCause.APPROVAL_UNKNOWN_PERSON, f"{bundle.identity} is no known principal"
                )
            )
        if rule.signer_role not in principal.roles:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"{bundle.identity} ({principal.id}) lacks the role {rule.signer_role}",
                )
            )

    @staticmethod
    def check_clock(bundle: VerifiedBundle, claimed: object) -> None:
        """The time that a signer states is the time of the signature."""
        said = _time(claimed)
        if abs(bundle.signed_at - said) > MAX_CLOCK_SKEW:
            at = encoding.utc_text(bundle.signed_at)
            raise VerificationError(
                reason(
                    RootCause.TIME_SKEW, f"its signer's clock said {claimed}, signed at {at}"
                )
            )  # fmt: skip

    @staticmethod
    def check_span(bundle: VerifiedBundle, started: object, finished: object) -> None:
        """A step ended when its statement was signed, and began before, however long that is."""
        if _time(started) > _time(finished):
            why = f"its step ended at {finished}, before it began at {started}"
            raise VerificationError(reason(RootCause.TIME_SKEW, why))
        Signers.check_clock(bundle, finished)

    @staticmethod
    def check_assent(assent: Node, named: Iterable[Node]) -> None:
        """Nobody agrees to what was not there: `assent` was signed after all that it names."""
        given = assent.claims.bundle
        if given is None:
            return
        for item in named:
            bundle = item.claims.bundle
            if bundle is not None and _is_before(given.signed_at, bundle.signed_at):
                at = encoding.utc_text(given.signed_at)
                raise VerificationError(
                    reason(
                        RootCause.APPROVAL_BEFORE_EVIDENCE,
                        f"signed at {at}, before {item.name[:80]} was"
                        f" ({encoding.utc_text(bundle.signed_at)})",
                        artifact=assent.name,
                        identity=str(given.identity),
                        at=at,
                    )
                )

    @staticmethod
    def check_order(later: Draft, earlier: Node) -> None:
        """An input was signed before its output."""
        output, given = later.claims.bundle, earlier.claims.bundle
        if output and given and _is_before(output.signed_at, given.signed_at):
            raise VerificationError(
                reason(RootCause.ORDER_INVALID, f"signed before its input {earlier.name}")
            )


def _time(claimed: object) -> datetime:
    try:
        return encoding.parse_utc(str(claimed))
    except ValueError as error:
        why = f"{str(claimed)[:40]!r} is no time"
        raise VerificationError(reason(RootCause.TIME_SKEW, why)) from error


def _is_before(first: datetime, second: datetime) -> bool:
    """Compared by seconds, which is what timestamp authorities promise."""
    return first.replace(microsecond=0) < second.replace(microsecond=0)


def identity_of(layout: Layout, step: str) -> Identity:
    """The workload identity that signs `step`.

    Raises:
        VerificationError: the layout gives the step to people or does not know it.
    """
    signer = layout.step(step).signer()
    if signer is None:
        raise VerificationError(
            reason(RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP, f"{step} is signed by people")
        )
    return signer
