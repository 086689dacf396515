"""Whatever valid statement is put where another is due, it is refused (a sample of the matrix)."""

from collections.abc import Iterator

from fraud_provenance.attested.lineage.demands import Demands
from fraud_provenance.attested.lineage.nodes import Draft
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance_tests.attacks import slots
from fraud_provenance_tests.attacks.home import patched
from fraud_provenance_tests.conftest import Chain


def test_no_slot_of_the_honest_chain_takes_another_valid_statement(chain: Chain) -> None:
    played = slots.play(chain.workspace)
    assert played.changes > 60
    assert played.holes == []


def test_slots_that_nobody_looks_at_are_seen_by_the_matrix(chain: Chain) -> None:
    def believe(_self: Demands, draft: Draft, _bundle: VerifiedBundle) -> Iterator[str]:
        draft.kind = "decision"
        yield from ()

    with patched(Demands, "_fill_decision", believe):
        assert slots.play(chain.workspace).changes > 0
        assert slots.play(chain.workspace).holes
