"""Canonical JSON out; strict, bounded JSON in."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import EvidenceError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def refusal(content: bytes, **limits: int) -> str:
    with pytest.raises(EvidenceError) as caught:
        encoding.strict_json(content, **limits)
    return caught.value.reasons[0].code


def test_digest_bytes_of_abc_is_the_published_sha256() -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert encoding.digest_bytes(b"abc") == expected  # FIPS 180-4, appendix


def test_canonical_json_sorts_keys_and_writes_numbers_as_rfc_8785() -> None:
    document = {"b": [1e21, 0.002, 4.50], "a": "\u20ac\n", "": True}
    assert encoding.canonical_json(document) == (
        b'{"":true,"a":"\xe2\x82\xac\\n","b":[1e+21,0.002,4.5]}'
    )


def test_digest_json_of_reordered_objects_is_the_same() -> None:
    assert encoding.digest_json({"a": 1, "b": 2}) == encoding.digest_json({"b": 2, "a": 1})
    assert encoding.digest_json({"a": 1}) != encoding.digest_json({"a": 2})


@given(JSON)
def test_strict_json_of_canonical_bytes_gives_the_same_canonical_bytes(document: object) -> None:
    content = encoding.canonical_json(document)
    assert encoding.canonical_json(encoding.strict_json(content)) == content


@given(JSON)
def test_strict_json_of_honest_documents_agrees_with_the_standard_library(document: object) -> None:
    content = json.dumps(document).encode()
    assert encoding.strict_json(content) == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [b'{"a":1,"a":1}', b'[{"x":{"subject":1,"b":2,"subject":3}}]', b'{"a":1,"\\u0061":2}'],
    ids=["flat", "nested", "escaped spelling"],
)
def test_strict_json_with_a_key_twice_is_refused(content: bytes) -> None:
    assert refusal(content) == "JSON_DUPLICATE_KEY"


def test_strict_json_with_many_keys_and_one_twice_is_refused_in_linear_time() -> None:
    names = ",".join(f'"k{number}":0' for number in range(200_000))
    assert refusal(f'{{{names},"k7":1}}'.encode()) == "JSON_DUPLICATE_KEY"


@pytest.mark.parametrize(
    "content",
    [
        b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"[1e999]", b"[-1e999]", b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}", b"{", b"", b"{} {}", b"{'a':1}", b"[01]", b'"a\nb"',
        b"[" + b"9" * 5000 + b"]", '{"a":1}'.encode("utf-16"), b'["unclosed', b'["unclosed\\',
    ],
    ids=[
        "NaN", "Infinity", "-Infinity", "overflow", "-overflow", "latin-1", "byte order mark",
        "open", "empty", "two documents", "single quotes", "leading zero", "raw newline",
        "number without end", "utf-16", "open string", "open escape",
    ],
)  # fmt: skip
def test_strict_json_that_is_not_json_is_malformed(content: bytes) -> None:
    assert refusal(content) == "EVIDENCE_MALFORMED"


def test_strict_json_at_the_size_limit_passes_and_one_byte_more_is_refused() -> None:
    content = b'"' + b"x" * 98 + b'"'
    assert encoding.strict_json(content, limit_bytes=100) == "x" * 98
    assert refusal(content + b" ", limit_bytes=100) == "SIZE_LIMIT"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_strict_json_at_the_depth_limit_passes_and_one_deeper_is_refused(
    opening: bytes, closing: bytes
) -> None:
    def nested(depth: int) -> bytes:
        return opening * depth + b"1" + closing * depth

    assert encoding.strict_json(nested(encoding.MAX_DEPTH))
    assert refusal(nested(encoding.MAX_DEPTH + 1)) == "SIZE_LIMIT"


@pytest.mark.parametrize(
    "prefix", [r"\n", r"\"", r"\\", r"\\\"", "[[[", "}}}", r"\u005b"], ids=repr
)
def test_strict_json_depth_counts_no_bracket_of_a_string_and_every_other(prefix: str) -> None:
    harmless = f'{{"a":"{prefix}","b":"{"[" * 100}","c":"{prefix}"}}'.encode()
    assert encoding.strict_json(harmless)["b"] == "[" * 100
    deep = f'{{"a":"{prefix}","b":{"[" * 100}{"]" * 100},"c":"{prefix}"}}'.encode()
    assert refusal(deep) == "SIZE_LIMIT"


def test_strict_json_of_a_megabyte_of_escapes_without_end_is_refused_at_once() -> None:
    assert refusal(b'"' + b'\\"' * 1_000_000) == "EVIDENCE_MALFORMED"


def test_utc_text_of_any_zone_is_utc_with_seconds() -> None:
    local = datetime(2018, 4, 1, 2, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert encoding.utc_text(local) == "2018-04-01T00:00:00Z"


def test_parse_utc_is_the_inverse_of_utc_text() -> None:
    assert encoding.parse_utc("2018-04-01T12:34:56Z") == datetime(2018, 4, 1, 12, 34, 56, 0, UTC)


@pytest.mark.parametrize(
    "text",
    ["2018-04-01", "2018-04-01T00:00:00", "2018-04-01T00:00:00+00:00", "2018-4-1T0:0:0Z",
     "2018-02-30T00:00:00Z", "2018-04-01T00:00:00.5Z", ""],
)  # fmt: skip
def test_parse_utc_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|match|day"):
        encoding.parse_utc(text)
