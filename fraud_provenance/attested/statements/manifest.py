"""Manifests: the canonical list of files that a digest, and so a statement, stands for.

A run that wrote 183 partitions and a model directory are the same kind of thing: one manifest.
"""

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason

MANIFEST_VERSION = 1
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hex. Pydantic's `$` is the very end of the text."""


def is_sha256(text: str) -> bool:
    """Whether `text` is a lower-case hex SHA-256.

    >>> is_sha256("ab" * 32), is_sha256("AB" * 32)
    (True, False)
    """
    return _HEX64.match(text) is not None


class FileEntry(BaseModel):
    """One file: where it lies below the data folder, what it holds, what it was made from.

    >>> FileEntry(path="raw/day.parquet", partition="2018-04-01", size=9, sha256="ab" * 32).size
    9
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str
    partition: str
    size: int = Field(ge=0, le=2**53 - 1)  # what JSON keeps exactly
    sha256: _Sha256
    made_from: tuple[_Sha256, ...] = ()

    @field_validator("path")
    @classmethod
    def _path_is_relative(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\x00" in path:
            raise ValueError("path must be relative and stay inside")
        return path


class Manifest(BaseModel):
    """A sorted list of files under one asset's name. Its digest names it.

    >>> days = ("2018-04-02", "2018-04-01")
    >>> entries = [FileEntry(path=day, partition=day, size=1, sha256="0" * 64) for day in days]
    >>> made = Manifest.of("raw", entries)
    >>> made.partitions
    ('2018-04-01', '2018-04-02')
    >>> made.select(["2018-04-01"]).digest == made.digest
    False
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = MANIFEST_VERSION
    asset: str
    entries: tuple[FileEntry, ...]

    @model_validator(mode="after")
    def _entries_are_sorted_and_unique(self) -> "Manifest":
        paths = [entry.path for entry in self.entries]
        if self.version != MANIFEST_VERSION:
            raise ValueError(f"unknown manifest version {self.version}")
        if paths != sorted(set(paths)):
            raise ValueError("entries must be sorted by path, each path once")
        return self

    @classmethod
    def of(cls, asset: str, entries: Iterable[FileEntry]) -> "Manifest":
        """A manifest over `entries` in canonical order."""
        return cls(asset=asset, entries=tuple(sorted(entries, key=lambda entry: entry.path)))

    @cached_property
    def content(self) -> bytes:
        """The canonical bytes."""
        return encoding.plain_json(self.model_dump(mode="json"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes."""
        return encoding.digest_bytes(self.content)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partitions of the files, sorted, each once."""
        return tuple(sorted({entry.partition for entry in self.entries}))

    def select(self, partitions: Iterable[str]) -> "Manifest":
        """The part of this manifest that concerns `partitions`."""
        wanted = set(partitions)
        return Manifest.of(self.asset, (e for e in self.entries if e.partition in wanted))


def parse_manifest(content: bytes, expected_digest: str) -> Manifest:
    """Read manifest bytes that must have `expected_digest` and the canonical form.

    Raises:
        EvidenceError: DIGEST_MISMATCH, MANIFEST_MALFORMED, or a strict-JSON code.

    >>> made = Manifest.of("raw", ())
    >>> parse_manifest(made.content, made.digest) == made
    True
    """
    found = encoding.digest_bytes(content)
    if found != expected_digest:
        raise EvidenceError(
            reason(
                RootCause.EVIDENCE_TAMPERED,
                f"manifest {expected_digest[:12]} has digest {found[:12]}",
                artifact=f"manifest {expected_digest[:12]}",
            )
        )
    try:
        manifest = _parse(content)
    except ValidationError as error:
        raise EvidenceError(
            reason(RootCause.MANIFEST_MALFORMED, f"manifest {expected_digest[:12]}: {error}")
        ) from error
    if manifest.content != content:
        raise EvidenceError(
            reason(
                RootCause.MANIFEST_MALFORMED, f"manifest {expected_digest[:12]} is not canonical"
            )
        )
    return manifest


@lru_cache(maxsize=256)  # a walk meets each manifest many times
def _parse(content: bytes) -> Manifest:
    encoding.strict_json(content)  # duplicate keys, depth, size
    return Manifest.model_validate_json(content)
