"""Canonical JSON out (RFC 8785), strict and bounded JSON in, digests, UTC times."""

import hashlib
import json
import math
import re
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

import rfc8785

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 32


def digest_bytes(content: bytes) -> str:
    """Lower-case hex SHA-256 of `content`.

    >>> digest_bytes(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()


def canonical_json(document: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The one byte string that stands for a JSON value (RFC 8785).

    >>> canonical_json({"b": 1.0, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    return rfc8785.dumps(document)


def plain_json(document: Any) -> bytes:  # noqa: ANN401 - a JSON value
    """As `canonical_json`, many times as fast, for what holds neither fractions nor strange names.

    Args:
        document: Numbers in it are whole and below 2**53, names of members are ASCII.

    >>> plain_json({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def digest_json(document: Any) -> str:  # noqa: ANN401 - any JSON value
    """SHA-256 of the canonical form of a JSON value.

    >>> digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    True
    """
    return digest_bytes(canonical_json(document))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = min(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise EvidenceError(
            reason(RootCause.JSON_DUPLICATE_KEY, f"the key {twice[:80]!r} appears twice")
        )
    return found


def _no_constant(name: str) -> NoReturn:
    raise EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, f"{name} is not a JSON number"))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # 1e999 reads as infinity, which is no JSON number either
        _no_constant(text[:80])
    return number


# A string up to its closing quote, or to the end; never backtracks, so linear in the input.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _check_depth(content: bytes, limit: int) -> None:
    depth = 0
    for byte in _STRING.sub(b"", content).translate(None, _NOT_STRUCTURE):
        depth += 1 if byte in b"[{" else -1
        if depth > limit:
            raise EvidenceError(reason(RootCause.SIZE_LIMIT, f"JSON is nested deeper than {limit}"))


def strict_json(content: bytes, limit_bytes: int = MAX_DOCUMENT_BYTES) -> Any:  # noqa: ANN401
    """Parse untrusted JSON: bounded size and depth, UTF-8, no duplicate key, no NaN.

    Raises:
        EvidenceError: SIZE_LIMIT, JSON_DUPLICATE_KEY or EVIDENCE_MALFORMED.

    >>> strict_json(b'{"days": 3}')
    {'days': 3}
    >>> strict_json(b'{"days": 3, "days": 4}')
    Traceback (most recent call last):
    EvidenceError: JSON_DUPLICATE_KEY: the key 'days' appears twice
    """
    if len(content) > limit_bytes:
        raise EvidenceError(
            reason(RootCause.SIZE_LIMIT, f"document has {len(content)} bytes, limit {limit_bytes}")
        )
    _check_depth(content, MAX_DEPTH)
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"not valid JSON: {error}")
        ) from error


def utc_text(moment: datetime) -> str:
    """RFC 3339 UTC with seconds, e.g. `2018-04-01T00:00:00Z`.

    >>> utc_text(datetime(2018, 4, 1, 2, tzinfo=UTC))
    '2018-04-01T02:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)  # a walk meets each time many times
def parse_utc(text: str) -> datetime:
    """Inverse of `utc_text`; raises ValueError on anything else.

    >>> parse_utc("2018-04-01T02:00:00Z").hour
    2
    """
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if utc_text(moment) != text:  # strptime also takes 2018-4-1T0:0:0Z
        raise ValueError(f"{text[:40]!r} is not a UTC time")
    return moment
