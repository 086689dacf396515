"""Thousands of changed bundles and manifests: none is believed to say anything new.

A bundle holds a few fields that no verifier reads (a key hint, a media type's version). A change
there may pass, but then every fact that the bundle establishes is exactly the honest one.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.statements.manifest import parse_manifest
from fraud_provenance_tests.conftest import Chain, open_workspace
from fraud_provenance_tests.mutations import mutations

pytestmark = pytest.mark.integration

BUNDLES, MANIFESTS = 3_500, 1_200


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same examples on every machine and in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_no_changed_bundle_says_anything_new(honest: Chain, policy_project: Path) -> None:
    verifier = open_workspace(honest.workspace.home, policy_project).bundles
    signed = [honest.features.bundle, honest.raw.bundle, *honest.contracts.values()]
    documents = [json.loads(honest.trust.store.bundle(item.statement.digest)[1]) for item in signed]
    facts = [verifier.verify(json.dumps(document).encode()) for document in documents]
    changes = [
        st.tuples(st.just(index), mutations(document)) for index, document in enumerate(documents)
    ]
    seen: Counter[str] = Counter()

    @examples(BUNDLES)
    @given(st.one_of(changes))
    def attack(drawn: tuple[int, object]) -> None:
        index, changed = drawn
        content = json.dumps(changed).encode()
        try:
            found = verifier.verify(content)
        except ProvenanceError as error:
            seen[error.reasons[0].code] += 1
        else:
            honest_facts = facts[index].model_dump(exclude={"bundle_digest"})
            assert found.model_dump(exclude={"bundle_digest"}) == honest_facts
            seen["unread field"] += 1

    attack()
    refused = seen.total() - seen["unread field"]
    assert refused > 0.9 * BUNDLES, seen
    assert seen["VERIFY_ERROR"] == 0


def test_no_changed_manifest_is_taken_for_the_signed_one(honest: Chain) -> None:
    manifest = honest.features.manifest
    document = json.loads(manifest.content)
    assert parse_manifest(manifest.content, manifest.digest) == manifest
    seen: Counter[str] = Counter()

    @examples(MANIFESTS)
    @given(mutations(document))
    def attack(changed: object) -> None:
        content = encoding.canonical_json(changed)
        with pytest.raises(ProvenanceError):
            parse_manifest(content, manifest.digest)
        try:  # under a name of its own it is either malformed or another manifest, to the byte
            other = parse_manifest(content, encoding.digest_bytes(content))
        except ProvenanceError as error:
            seen[error.reasons[0].code] += 1
        else:
            assert other.content == content
            assert other.digest != manifest.digest
            seen["another manifest"] += 1

    attack()
    assert seen["MANIFEST_MALFORMED"] > 0.2 * MANIFESTS, seen
