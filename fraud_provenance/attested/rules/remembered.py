"""What a home remembers of its releases: the first, and the newest that was in force."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.ports.memory import Memory

_FILE = "trust/releases.json"


class Remembered(BaseModel):
    """The anchor and the newest release, by digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    anchor: str
    version: int = Field(ge=1)
    release: str


def read(memory: Memory) -> dict[str, Remembered]:
    """What is remembered, by environment.

    Raises:
        VerificationError: ROOT_DIGEST_MISMATCH.
    """
    return _read(memory.read(_FILE, _grew))


def _read(document: bytes | None) -> dict[str, Remembered]:
    if document is None:
        return {}
    try:
        content = encoding.strict_json(document)
        return {name: Remembered.model_validate(item) for name, item in content.items()}
    except (ValidationError, AttributeError) as error:
        raise missing("it cannot be read as what this home remembers") from error


def _grew(before: bytes | None, after: bytes | None) -> bool:
    """Whether each environment still begins with the same release, and is no older."""
    now = _read(after)
    return all(
        name in now
        and (now[name].anchor, now[name].version >= known.version) == (known.anchor, True)
        for name, known in _read(before).items()
    )


def write(memory: Memory, environment: str, now: Remembered, replaceable: frozenset[str]) -> None:
    """Remember a release, unless a newer one is; one that never could bind is replaced."""

    def grown(before: bytes | None) -> bytes | None:
        found = _read(before)
        known = found.get(environment)
        if known and known.version >= now.version and known.release not in replaceable:
            return before
        found[environment] = now
        content = {name: item.model_dump(mode="json") for name, item in found.items()}
        return encoding.canonical_json(content)

    memory.change(_FILE, grown, _grew)


def missing(message: str) -> VerificationError:
    """ROOT_DIGEST_MISMATCH about the memory."""
    return VerificationError(reason(RootCause.ROOT_DIGEST_MISMATCH, message, artifact=_FILE))
