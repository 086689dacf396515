"""A model's own evidence is found without looking at that of all other models."""

import pytest

from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.models import facts
from fraud_provenance.models.registration import registration_of
from fraud_provenance_tests import scored
from fraud_provenance_tests.conftest import Chain


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that somebody asks a verifier for."""
    asked: list[str] = []
    node = LineageVerifier.node

    def noted(self: LineageVerifier, statement: str) -> object:
        asked.append(statement)
        return node(self, statement)

    monkeypatch.setattr(LineageVerifier, "node", noted)
    return asked


def test_evaluation_and_registration_are_those_of_the_model(
    chain: Chain, looked_at: list[str]
) -> None:
    trust = chain.trust
    first, second = scored.deploy(trust, "m-1"), scored.deploy(trust, "m-2", b"another")
    policy = trust.policies.current()
    for model in (first.model, second.model):
        trust.forget()
        looked_at.clear()
        lineage = trust.lineage()
        evaluation = facts.evaluation_of(trust, lineage, model.manifest.digest)
        made = evaluation.claims.made
        assert made is not None
        assert model.manifest.digest in {item.digest for item in made.materials}
        registered = registration_of(trust, policy, model.manifest.digest)
        assert registered.claims.subject == model.manifest.digest
        assert {evaluation.statement, registered.statement} == set(looked_at)


def test_evaluation_under_another_name_is_found_too(chain: Chain) -> None:
    trust = chain.trust
    deployed = scored.deploy(trust, "m-1")
    digest = deployed.model.manifest.digest
    before = facts.evaluation_of(trust, trust.lineage(), digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "_filed_under", lambda *_: set())
        assert facts.evaluation_of(trust, trust.lineage(), digest) is before
