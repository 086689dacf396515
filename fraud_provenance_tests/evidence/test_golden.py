"""Bundles of earlier days, kept as they were written: they must verify for ever.

Each folder of `golden/` is one version of what is written: bundles of every predicate, and the
public trust files of the home that made them. A new format adds a folder; none is ever changed.
"""

from pathlib import Path

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.sigstore.verification import BundleVerifier, load_issuers
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.predicates import PREDICATES, is_said
from fraud_provenance.attested.store.store import open_bundle
from fraud_provenance.attested.tlog.checkpoints import WitnessedLogs

GOLDEN = Path(__file__).parent / "golden"
BUNDLES = sorted(GOLDEN.glob("*/bundles/*.sigstore.json"))


def verifier(bundle: Path) -> BundleVerifier:
    trust = bundle.parent.parent / "trust"
    issuers = load_issuers(trust / "issuers.json")
    return BundleVerifier(trust / "trusted_root.json", issuers, WitnessedLogs(trust))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name[:12])
def test_golden_bundle_verifies_and_can_be_read(bundle: Path) -> None:
    content = bundle.read_bytes()
    assert encoding.digest_bytes(content) == bundle.name.split(".")[0], "never change these files"
    statement = verifier(bundle).verify(content).statement
    model = PREDICATES[statement.predicate_type].model
    assert model is None or model.of(statement.predicate)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name[:12])
def test_model_of_ours_writes_what_it_read(bundle: Path) -> None:
    payload, _, _ = open_bundle(bundle.read_bytes())
    statement = statements.parse_statement(payload)
    model = PREDICATES[statement.predicate_type].model
    if is_said(model):
        said = statements.read(statement, model)
        written = statements.said(statement.subject_name, statement.subject_digest, said)
        later = {"nonce": ""} if "nonce" in model.model_fields else {}  # the first had none
        assert written.predicate == later | statement.predicate


@pytest.mark.parametrize("bundle", BUNDLES[:1], ids=lambda path: path.name[:12])
def test_golden_bundle_with_a_changed_payload_does_not(bundle: Path) -> None:
    content = bundle.read_bytes().replace(b'"payload":"ey', b'"payload":"ez', 1)
    assert content != bundle.read_bytes()
    with pytest.raises(ProvenanceError):
        verifier(bundle).verify(content)


def test_golden_bundles_cover_what_is_written() -> None:
    kinds = {verifier(path).verify(path.read_bytes()).statement.predicate_type for path in BUNDLES}
    assert {row.uri for row in PREDICATES.values() if row.is_written} == kinds
