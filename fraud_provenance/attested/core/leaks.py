"""Secrets where they must not be: found by their form, named by their place, never shown."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.core.secret_forms import FILES, WORDS, has_form

_OFTEN = {
    mark: pattern
    for mark, pattern in FILES.items()
    if mark.startswith((b"PRIVATE KEY", b"AGE-SECRET-KEY-", b"gh", b"AKIA"))
}
_KEY_BYTES = 64 * 1024


def has_secret(content: bytes) -> bool:
    """Whether the bytes hold a private key or an access token. Cheap where they do not.

    What is larger than a key's file is looked through for the commonest forms only.
    """
    return has_form(content, FILES if len(content) <= _KEY_BYTES else _OFTEN)


def key_sized(folder: Path, seen: dict[str, str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the files below `folder` that are no larger than a key's: 64 KiB.

    A store of artifacts grows with the years and holds few of these. What is larger was looked
    through when it was written. What is no file, or goes meanwhile, is left to the verifier.
    `seen` remembers what was handed over without an objection, and hands it over once.
    """
    for place, _, names in os.walk(folder):
        for path in (f"{place}/{name}" for name in sorted(names)):
            with suppress(EvidenceError, OSError):
                facts = os.lstat(path)
                if facts.st_size > _KEY_BYTES:
                    continue
                now = files.traits(facts)
                if seen is not None and seen.get(path) == now:
                    continue
                content = files.read_once(Path(path), limit_bytes=_KEY_BYTES)
                yield os.path.relpath(path, folder.parent), content
                if seen is not None:
                    seen[path] = now


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


def refuse_secret_words(content: bytes) -> None:
    """Refuse the payload of a statement that holds a token, a private key or a password.

    Raises:
        VerificationError: SECRET_IN_ATTESTATION, naming the place and not the secret.
    """
    if has_form(content, WORDS):
        place = _place(encoding.strict_json(content))
        raise VerificationError(
            reason(
                RootCause.SECRET_IN_ATTESTATION,
                f"{place or 'the statement'} holds what looks like a token, a key or a password",
            )
        )


def _place(value: Any) -> str:  # noqa: ANN401 - JSON
    """Name of the innermost field in which a secret stands."""
    if isinstance(value, dict):
        for name, item in value.items():
            if has_form(name.encode("utf-8"), WORDS):
                return "a field's name"
            found = _place(item)
            if found:
                return name[:40] if found == "it" else found
    elif isinstance(value, list):
        return next(filter(None, map(_place, value)), "")
    elif isinstance(value, str) and has_form(value.encode("utf-8"), WORDS):
        return "it"
    return ""
