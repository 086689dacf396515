"""What the verification of a bundle found, kept for the next process: speed, never trust.

A bundle's bytes verify under one trust root or they do not, now and ever: certificates are judged
by the time-stamp, not by the clock. So what was found is kept by the bytes' SHA-256, the trust root
and the code that looked, under a MAC whose key is as secret as the authorities' own: whoever could
make up a line could sign the bundle. A line that is not exactly so is no line, and the bundle is
verified. Whether the bytes on disk are these, and whether they are in the witnessed tree, is looked
at each time.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.errors import EvidenceError

_ROOMS = ("core", "sigstore", "statements", "tlog")
_LIBRARIES = ("cryptography", "rfc3161-client", "rfc8785", "sigstore")
_MAX_BYTES = 256 * 1024 * 1024


class Recall:
    """The lines of one file. Safe for many threads and processes; losing it costs time alone."""

    def __init__(self, path: Path, key: bytes) -> None:
        """`key`: secret bytes of this home."""
        self._path = path
        self._key = hmac.digest(key, b"fraud_provenance: verified bundles", "sha256")

    def get(self, context: str, bundle: str) -> dict[str, Any] | None:
        """What was found of a bundle (by its SHA-256) in a context, or None."""
        line = self._lines.get(bundle)
        if line is None:
            return None
        tag, found = line
        if not hmac.compare_digest(tag, self._tag(context, bundle, found)):
            return None
        facts: dict[str, Any] = json.loads(found)
        return facts

    def knows(self, context: str) -> bool:
        """Whether anything was verified in a context."""
        lines = reversed(self._lines.items())
        return any(
            hmac.compare_digest(tag, self._tag(context, bundle, found))
            for bundle, (tag, found) in lines
        )

    def put(self, context: str, bundle: str, facts: dict[str, Any]) -> None:
        """Keep what was found; where that fails, it is found again."""
        found = json.dumps(facts, sort_keys=True)
        tag = self._tag(context, bundle, found)
        line = json.dumps([bundle, tag, found]).encode("ascii") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o600)
        except OSError:
            return
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            stream.write(line)

    @cached_property
    def _lines(self) -> dict[str, tuple[str, str]]:
        """Bundle → its newest line, unjudged; as they were when first asked for."""
        try:
            content = files.read_once(self._path, limit_bytes=_MAX_BYTES)
        except EvidenceError:
            return {}
        return {line[0]: (line[1], line[2]) for line in _parsed(content.splitlines())}

    def _tag(self, context: str, bundle: str, found: str) -> str:
        message = "\n".join((context, bundle, found)).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()


def _parsed(lines: Iterable[bytes]) -> Iterable[list[str]]:
    """The lines that have the form of one; a torn one has not."""
    for line in lines:
        try:
            parts = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(parts, list) and len(parts) == 3 and all(map(_is_ascii, parts)):
            yield parts


def _is_ascii(part: object) -> bool:
    return isinstance(part, str) and part.isascii()


@cache
def code_of_verification() -> str:
    """SHA-256 over what verifies: our own files and the libraries' versions."""
    library = Path(__file__).resolve().parents[1]
    digests = {
        path.relative_to(library).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in _ROOMS
        for path in sorted((library / room).rglob("*.py"))
    }
    return encoding.digest_json(
        {"files": digests, "libraries": {name: version(name) for name in _LIBRARIES}}
    )
