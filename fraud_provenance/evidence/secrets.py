"""Secrets that must not lie among code or artifacts: found by their form, named by their place."""

import re
from collections.abc import Mapping

from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import VerificationError, reason

_MARKS = (b"PRIVATE KEY", b"AGE-SECRET-KEY-1", b"ghp_", b"AKIA")
_SECRET = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:, -]{16}"
    rb"|AGE-SECRET-KEY-1[0-9A-Z]{58}|\bghp_[A-Za-z0-9]{36}\b|\bAKIA[0-9A-Z]{16}\b"
)


def has_secret(content: bytes) -> bool:
    """Whether the bytes hold a private key or an access token. Cheap where they do not."""
    return any(mark in content for mark in _MARKS) and _SECRET.search(content) is not None


def refuse_secrets(contents: Mapping[str, bytes]) -> None:
    """Refuse the first file with a secret; the message names it and shows nothing of it.

    Raises:
        VerificationError: SECRET_IN_TREE.
    """
    for name, content in contents.items():
        if has_secret(content):
            raise VerificationError(
                reason(
                    RootCause.SECRET_IN_TREE,
                    "it holds a private key or an access token",
                    artifact=name,
                )
            )
