"""What a home remembers of its releases: the first, and the newest that was in force."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason

_FILE = "releases.json"


class Remembered(BaseModel):
    """The anchor and the newest release, by digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    anchor: str
    version: int = Field(ge=1)
    release: str


def read(trust: Path) -> dict[str, Remembered]:
    """What is remembered, by environment.

    Raises:
        VerificationError: ROOT_DIGEST_MISMATCH.
    """
    path = trust / _FILE
    if not path.exists():
        return {}
    try:
        content = encoding.strict_json(files.read_once(path, limit_bytes=1 << 20))
        return {name: Remembered.model_validate(item) for name, item in content.items()}
    except (ValidationError, AttributeError) as error:
        raise missing("it cannot be read as what this home remembers") from error


def write(trust: Path, environment: str, now: Remembered, replaceable: frozenset[str]) -> None:
    """Remember a release, unless a newer one is; one that never could bind is replaced."""
    with files.exclusive_lock(trust / "releases.lock"):
        memory = read(trust)
        known = memory.get(environment)
        if known is None or known.version < now.version or known.release in replaceable:
            memory[environment] = now
            content = {name: item.model_dump(mode="json") for name, item in memory.items()}
            files.write_atomic(trust / _FILE, encoding.canonical_json(content))


def missing(message: str) -> VerificationError:
    """ROOT_DIGEST_MISMATCH about the memory."""
    return VerificationError(
        reason(RootCause.ROOT_DIGEST_MISMATCH, message, artifact=f"trust/{_FILE}")
    )
