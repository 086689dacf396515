"""Secrets that must not lie among code or artifacts: found by their form, named by their place."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fraud_provenance.evidence import files
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import EvidenceError, VerificationError, reason

_MARKS = (b"PRIVATE KEY", b"AGE-SECRET-KEY-1", b"ghp_", b"AKIA")
_SECRET = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:, -]{16}"
    rb"|AGE-SECRET-KEY-1[0-9A-Z]{58}|\bghp_[A-Za-z0-9]{36}\b|\bAKIA[0-9A-Z]{16}\b"
)
_KEY_BYTES = 64 * 1024


def has_secret(content: bytes) -> bool:
    """Whether the bytes hold a private key or an access token. Cheap where they do not."""
    return any(mark in content for mark in _MARKS) and _SECRET.search(content) is not None


def key_sized(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the files below `folder` that are no larger than a key's: 64 KiB.

    A store of artifacts grows with the years and holds few of these. What is larger was looked
    through when it was written. What is no file, or goes meanwhile, is left to the verifier.
    """
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in sorted(names)):
            with suppress(EvidenceError):
                content = files.read_once(path, limit_bytes=_KEY_BYTES)
                yield path.relative_to(folder.parent).as_posix(), content


def refuse_secrets(contents: Iterable[tuple[str, bytes]]) -> None:
    """Refuse the first file with a secret; the message names it and shows nothing of it.

    Raises:
        VerificationError: SECRET_IN_TREE.
    """
    for name, content in contents:
        if has_secret(content):
            raise VerificationError(
                reason(
                    RootCause.SECRET_IN_TREE,
                    "it holds a private key or an access token",
                    artifact=name,
                )
            )
