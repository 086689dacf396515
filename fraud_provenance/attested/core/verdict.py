"""What a verification says: trusted or not, why, and each link of the chain it walked."""

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core.codes import RootCause, is_undecided
from fraud_provenance.attested.core.errors import Reason


class Link(BaseModel):
    """One piece of evidence in a chain, with its own verdict.

    >>> Link(kind="materialisation", name="raw_transactions").is_good
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    digest: str = ""
    statement: str = ""
    signer: str = ""
    signed_at: str = ""
    log_index: int | None = None
    git_commit: str = ""
    partitions: tuple[str, ...] = ()
    detail: str = ""
    distance: int = 0
    reasons: tuple[Reason, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with this link itself."""
        return not self.reasons


class Verdict(BaseModel):
    """The answer about one subject. Trusted only if nothing at all speaks against it.

    >>> held = Reason(code="DATA_HELD", message="it is unusual", distance=1)
    >>> link = Link(kind="materialisation", name="raw_transactions", reasons=(held,))
    >>> found = Verdict.of("model", "local", "deployment", [link])
    >>> (found.trusted, found.exit_code, str(found.root_cause))
    (False, 1, 'DATA_HELD: it is unusual')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    environment: str
    purpose: str
    reasons: tuple[Reason, ...]
    links: tuple[Link, ...]

    @classmethod
    def of(
        cls,
        subject: str,
        environment: str,
        purpose: str,
        links: list[Link],
        extra: list[Reason] | None = None,
    ) -> "Verdict":
        """Collect every link's reasons, the one nearest the raw data first."""
        found = [item for link in links for item in link.reasons] + list(extra or ())
        # What is damaged explains what is missing at the same distance, not the other way round.
        unique = sorted(
            dict.fromkeys(found),
            key=lambda item: (item.distance, item.code == RootCause.EVIDENCE_MISSING),
        )
        ordered = sorted(links, key=lambda link: -link.distance)
        return cls(
            subject=subject,
            environment=environment,
            purpose=purpose,
            reasons=tuple(unique),
            links=tuple(ordered),
        )

    @property
    def trusted(self) -> bool:
        """Whether the subject may be used."""
        return bool(self.links) and not self.reasons

    @property
    def decided(self) -> bool:
        """False where something could not be checked; only then is a retry worth while."""
        return not any(is_undecided(item.code) for item in self.reasons)

    @property
    def root_cause(self) -> Reason | None:
        """The reason nearest the raw data."""
        return self.reasons[0] if self.reasons else None

    @property
    def exit_code(self) -> int:
        """0 trusted, 1 not trusted, 2 could not decide."""
        if self.trusted:
            return 0
        return 1 if self.decided else 2
