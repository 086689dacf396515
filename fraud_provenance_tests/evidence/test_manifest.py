"""Manifests: canonical, sorted, relative; the digest names every detail."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.attested.statements.manifest import (
    FileEntry,
    Manifest,
    is_sha256,
    parse_manifest,
)

A, B = "a" * 64, "b" * 64
DIGESTS = st.sampled_from([A, B, "0" * 64, "f" * 64])
ENTRIES = st.builds(
    FileEntry,
    path=st.text("abc/x.", min_size=1, max_size=8).filter(
        lambda path: not path.startswith("/") and ".." not in path and path.strip("./") != ""
    ),
    partition=st.sampled_from(["", "2018-04-01", "2018-04-02"]),
    size=st.integers(0, 2**40),
    sha256=DIGESTS,
    made_from=st.lists(DIGESTS, max_size=2).map(tuple),
)
MANIFESTS = st.lists(ENTRIES, min_size=1, max_size=5, unique_by=lambda entry: entry.path).map(
    lambda entries: Manifest.of("raw_transactions", entries)
)


def entry(path: str = "raw/a.parquet", **changed: Any) -> FileEntry:
    honest = {"partition": "2018-04-01", "size": 3, "sha256": A, "made_from": (B,)}
    return FileEntry(path=path, **(honest | changed))


def refusal(content: bytes, digest: str = "") -> str:
    with pytest.raises(EvidenceError) as caught:
        parse_manifest(content, digest or encoding.digest_bytes(content))
    return caught.value.reasons[0].code


@given(MANIFESTS)
def test_parse_manifest_of_its_own_bytes_gives_it_back(manifest: Manifest) -> None:
    assert parse_manifest(manifest.content, manifest.digest) == manifest


@given(MANIFESTS, st.data())
def test_digest_of_a_manifest_changes_with_any_field_of_any_entry(
    manifest: Manifest, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(manifest.entries) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                {"path": manifest.entries[index].path + "~"},
                {"partition": manifest.entries[index].partition + "x"},
                {"size": manifest.entries[index].size + 1},
                {"sha256": "5" * 64},
                {"made_from": (*manifest.entries[index].made_from, "5" * 64)},
            ]
        )
    )
    entries = list(manifest.entries)
    entries[index] = entries[index].model_copy(update=changed)
    assert Manifest.of(manifest.asset, entries).digest != manifest.digest
    assert Manifest.of(manifest.asset, entries[:index] + entries[index + 1 :]) != manifest
    assert Manifest.of("other", manifest.entries).digest != manifest.digest


@given(st.permutations([entry("a"), entry("b/c"), entry("b"), entry("a.b")]))
def test_digest_of_a_manifest_does_not_depend_on_the_order_given(entries: list[FileEntry]) -> None:
    made = Manifest.of("raw", entries)
    assert [item.path for item in made.entries] == ["a", "a.b", "b", "b/c"]
    assert made.digest == Manifest.of("raw", reversed(entries)).digest


def test_manifest_bytes_are_the_canonical_json_of_its_fields() -> None:
    assert Manifest.of("raw", [entry("a")]).content == (
        b'{"asset":"raw","entries":[{"made_from":["' + B.encode() + b'"],'
        b'"partition":"2018-04-01","path":"a","sha256":"' + A.encode() + b'","size":3}],'
        b'"version":1}'
    )


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\x00b", "/"])
def test_entry_with_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="relative"):
        entry(path)


@pytest.mark.parametrize("digest", ["", "A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])
def test_entry_with_anything_but_a_sha256_is_refused(digest: str) -> None:
    assert not is_sha256(digest)
    with pytest.raises(ValidationError, match=r"sha256\n.*string_pattern_mismatch"):
        entry(sha256=digest)
    with pytest.raises(ValidationError, match=r"made_from.1\n.*string_pattern_mismatch"):
        entry(made_from=(A, digest))


@pytest.mark.parametrize(
    "changed",
    [{"size": "3"}, {"size": 3.0}, {"size": -1}, {"size": 2**53}, {"partition": None}, {"more": 1}],
    ids=repr,
)
def test_entry_with_a_field_of_another_type_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"size|partition|more"):
        entry(**changed)


def test_manifest_with_a_path_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="each path once"):
        Manifest.of("raw", [entry("a"), entry("a", sha256=B)])


def test_select_and_partitions_name_the_days_of_the_files() -> None:
    made = Manifest.of("raw", [entry("b", partition="2"), entry("a", partition="1"), entry("c")])
    assert made.partitions == ("1", "2", "2018-04-01")
    assert [item.path for item in made.select(["2", "1"]).entries] == ["a", "b"]
    assert made.select(["9"]).entries == ()


def test_parse_manifest_of_changed_bytes_is_tampered() -> None:
    made = Manifest.of("raw", [entry()])
    changed = made.content.replace(b'"size":3', b'"size":4')
    assert refusal(changed, made.digest) == "EVIDENCE_TAMPERED"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b" "),
        (b'"version":1', b'"version":2'),
        (b'"version":1', b'"version":1,"ignore_paths":["code/"]'),
        (b'"path":"a"', b'"path":"../a"'),
        (b'"path":"a"', b'"path":"z"'),
        (b'"size":3', b'"size":"3"'),
        (b'"size":3', b'"size":3.0'),
        (b'"made_from"', b'"made_fro"'),
        (b'"size":3', b'"size":9007199254740993'),
    ],
    ids=[
        "space",
        "version",
        "ignore list",
        "leaves folder",
        "unsorted",
        "text",
        "float",
        "name",
        "huge",
    ],
)
def test_parse_manifest_not_in_the_canonical_form_is_malformed(old: bytes, new: bytes) -> None:
    content = Manifest.of("raw", [entry("a"), entry("b")]).content
    assert refusal(content.replace(old, new, 1)) == "MANIFEST_MALFORMED"


def test_parse_manifest_with_a_key_twice_is_refused() -> None:
    content = Manifest.of("raw", [entry("a")]).content
    doubled = content.replace(b'"version":1', b'"version":1,"version":1')
    assert refusal(doubled) == "JSON_DUPLICATE_KEY"
