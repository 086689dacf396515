"""One tree of errors; every one blocks. "Invalid" and "could not check" are different branches."""

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_validator

from fraud_provenance.attested.core import codes
from fraud_provenance.attested.core.secret_forms import redacted


class Reason(BaseModel):
    """Why something is not trusted: a root-cause code and exactly what it concerns.

    >>> print(Reason(code="DATA_HELD", message="it is unusual", artifact="raw", partition="day"))
    DATA_HELD(raw@day): it is unusual
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    remedy: str = ""
    artifact: str = ""
    partition: str = ""
    identity: str = ""
    at: str = ""
    distance: int = 0  # steps away from the raw data: the smallest is the root cause

    @field_validator("message", "artifact", "partition")
    @classmethod
    def _hide_secrets(cls, text: str) -> str:
        """A reason is printed, stored and signed; what others' libraries say may hold a token."""
        return redacted(text)

    def __str__(self) -> str:
        """Code, place and message on one line."""
        place = "@".join(part for part in (self.artifact, self.partition) if part)
        return f"{self.code}({place}): {self.message}" if place else f"{self.code}: {self.message}"


def reason(code: str, message: str, **where: str | int) -> Reason:
    """Build a reason; the remedy is the code's own unless one is given.

    >>> reason("SIZE_LIMIT", "a document has 9 bytes", artifact="layout").artifact
    'layout'
    """
    return Reason.model_validate(
        {"code": code, "message": message, "remedy": codes.remedy(code)} | where
    )


class ProvenanceError(Exception):
    """Root of every error here. `reasons[0]` is the primary one; there is never none.

    Whoever collects reasons would take a refusal without one for no refusal at all.

    >>> ProvenanceError(reason("DIGEST_MISMATCH", "a file was edited")).exit_code
    1
    >>> ProvenanceError(reason("LOG_UNAVAILABLE", "nobody answers")).exit_code
    2
    """

    def __init__(self, *reasons: Reason) -> None:
        if not reasons:
            why = f"a {type(self).__name__} without a reason"
            reasons = (reason(codes.RootCause.VERIFY_ERROR, why),)
        self.reasons: Sequence[Reason] = reasons
        super().__init__("; ".join(str(item) for item in reasons))

    @property
    def exit_code(self) -> int:
        """1 refused, 2 could not decide: by the codes, as a `Verdict` says it."""
        return 2 if any(codes.is_undecided(item.code) for item in self.reasons) else 1


class ConfigError(ProvenanceError):
    """The command or the configuration cannot be used as it is."""

    @property
    def exit_code(self) -> int:
        """2: nothing was decided."""
        return 2


class EvidenceError(ProvenanceError):
    """Evidence is not found or malformed."""


class VerificationError(ProvenanceError):
    """Evidence was checked and is not valid: digest, signature, identity, log or lineage."""


class BackendError(ProvenanceError):
    """Could not decide: the log, an authority or the policy engine is unavailable. Retry later."""


class GateDenied(ProvenanceError):  # noqa: N818 - the design's word; a denial is no mistake
    """A gate decided, on verified evidence, to refuse."""


_DISK = frozenset((
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.EACCES,
    errno.EPERM, errno.ESTALE, errno.EMFILE, errno.ENFILE, 0,
))  # fmt: skip
"""0: a semaphore that found no room has lost its number on the way."""


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on: libraries wrap each other's.

    >>> [type(item).__name__ for item in causes_of(ValueError("x"))]
    ['ValueError']
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def storage_error(error: BaseException | None) -> BackendError | None:
    """What a disk or a database that does not work any more comes to, whoever met it first.

    Looks through the causes; None where it is something else.
    """
    for found in causes_of(error):
        if isinstance(found, OSError) and found.errno in _DISK:
            path = Path(found.filename) if isinstance(found.filename, str) else None
            what = f"{found.strerror}: {path}" if path else str(found.strerror)
            place = path.name if path else "disk"
            return BackendError(reason(codes.RootCause.STORAGE_UNAVAILABLE, what, artifact=place))
        if isinstance(found, sqlite3.OperationalError):
            return BackendError(
                reason(codes.RootCause.STORAGE_UNAVAILABLE, str(found), artifact="database")
            )
    return None
