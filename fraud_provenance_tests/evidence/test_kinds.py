"""What is asked for as a kind is that kind, verified, or a refusal."""

from functools import partial
from pathlib import Path

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.lineage.nodes import (
    Claims,
    Decision,
    Draft,
    Materialisation,
    Refused,
    Verified,
)
from fraud_provenance.attested.rules import trial
from fraud_provenance.attested.rules.releases import Releases
from fraud_provenance.attested.sigstore.verification import load_issuers
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance_tests import scored
from fraud_provenance_tests.conftest import DAYS, FEATURES, RAW, Chain, Forger, codes


def test_node_that_is_not_of_the_kind_asked_for_refuses(chain: Chain) -> None:
    lineage, made = chain.trust.lineage(), chain.raw.bundle.statement.digest
    assert lineage.trusted(made, Materialisation).manifest == chain.raw.manifest
    assert lineage.trusted(made, Verified).bundle == chain.raw.bundle
    assert lineage.node(made).expect(Materialisation) is lineage.node(made)
    for ask in (lineage.node(made).expect, partial(lineage.trusted, made)):
        with pytest.raises(VerificationError, match=r"PREDICATE_TYPE.*a materialisation"):
            ask(Decision)


def test_what_is_verified_says_its_bundle_whatever_else(chain: Chain) -> None:
    bundle = chain.raw.bundle
    node = Verified(kind="", name=RAW, statement=bundle.statement.digest, bundle=bundle)
    assert node.claims == Claims(bundle)


@pytest.mark.parametrize("lost", ["bundle", "manifest"])
def test_what_lacks_a_part_is_refused_and_no_smaller_thing(chain: Chain, lost: str) -> None:
    claims = chain.trust.lineage().node(chain.raw.bundle.statement.digest).claims
    node = Draft(RAW, "0" * 64, claims=claims._replace(**{lost: None})).node()
    assert isinstance(node, Refused)
    assert not node.is_sound
    assert [item.code for item in node.reasons] == ["EVIDENCE_MISSING"]
    if lost == "manifest":
        assert node.signed() == claims.bundle
    else:
        with pytest.raises(VerificationError, match="EVIDENCE_MISSING"):
            node.signed()


def test_what_is_refused_or_rests_on_it_is_trusted_as_nothing(chain: Chain, forger: Forger) -> None:
    lineage = chain.trust.lineage()
    unsound = forger.features(chain.raw.manifest, None).statement.digest
    with pytest.raises(VerificationError, match="EVIDENCE_MISSING"):
        lineage.trusted(unsound, Materialisation)
    assert not lineage.node(unsound).reasons, "the decision below is refused"
    assert lineage.node(unsound).expect(Materialisation).provenance.asset == FEATURES
    with pytest.raises(VerificationError, match="EVIDENCE_MISSING"):
        lineage.node("0" * 64).expect(Verified)


def test_what_is_refused_later_is_refused_in_every_verdict(chain: Chain) -> None:
    lineage = chain.trust.lineage()
    features = lineage.node(chain.features.bundle.statement.digest)
    raw = lineage.node(chain.raw.bundle.statement.digest)
    assert raw in features.walk()
    why = reason(RootCause.SUBJECT_MISMATCH, "its user sees something else")
    refused = lineage.refuse(raw, VerificationError(why))
    assert lineage.node(raw.statement) is refused
    assert refused.claims == raw.claims
    assert not refused.is_sound
    verdict = lineage.verify("features", "test", [features], with_files=False)
    assert [str(item.code) for item in verdict.reasons] == ["SUBJECT_MISMATCH"]
    assert [link.name for link in verdict.links if link.reasons] == [RAW]


def test_permission_to_read_that_rests_on_something_else_too_is_refused(
    chain: Chain, forger: Forger
) -> None:
    view = Manifest.of(RAW, chain.raw.manifest.entries[:1])
    inputs = [chain.raw.bundle, *chain.contracts.values(), chain.features.bundle]
    assert codes(chain.node(forger.decision(view, inputs))) == ["DECISION_MISSING"]


def test_contract_on_bytes_that_its_decision_does_not_name_is_refused(
    chain: Chain, forger: Forger
) -> None:
    first, second = (Manifest.of(RAW, [entry]) for entry in chain.raw.manifest.entries[:2])
    facts = {"step": "contracts", "asset": RAW, "partitions": [DAYS[1]]}
    decision = forger.decision(second, [chain.raw.bundle], facts=facts).statement.digest
    contract = forger.contract(first, "raw_schema", [chain.raw.bundle], decision=decision)
    assert codes(chain.node(contract)) == ["DECISION_MISSING"]


def test_model_is_attested_once_and_its_bytes_stay(chain: Chain) -> None:
    trust = chain.trust
    first = scored.deploy(trust).model
    with pytest.raises(VerificationError, match="SUBJECT_MISMATCH"):
        scored.deploy(trust, content=b"other")
    trust.forget()
    lineage = trust.lineage()
    assert codes(lineage.node(trust.store.chain("fraud_model")[-1].statement)) == [
        "SUBJECT_MISMATCH"
    ]
    found = lineage.artifacts.check(lineage.node(first.bundle.statement.digest), set())
    assert [item.code for item in found] == ["SUBJECT_MISMATCH"]


def test_permission_about_a_model_rests_on_what_its_gate_demands_and_on_nothing_else(
    chain: Chain,
) -> None:
    trust = chain.trust
    made = scored.deploy(trust)
    lineage = trust.lineage()
    inputs = list(lineage.trusted(made.decision, Decision).summary.inputs)
    release = next(item for item in inputs if isinstance(lineage.node(item), Decision))
    rests_on = list(lineage.trusted(release, Decision).summary.inputs)
    gate = Identity(issuer="workloads", subject="/gates/deployment")
    stranger = {"environment": "elsewhere", "at": "2026-01-01T00:00:00Z"}
    refused = scored._sign(trust, statements.PROMOTION_REQUEST, made.digest, stranger, gate)
    asked = next(item for item in inputs if lineage.node(item).kind == "promotion request")
    with_request = scored._allow(trust, "release", made.digest, "m-1", [*rests_on, asked])
    with_refused = scored._allow(trust, "release", made.digest, "m-1", [*rests_on, refused])
    trust.forget()
    lineage = trust.lineage()
    assert lineage.node(release).is_sound
    assert codes(lineage.node(with_request)) == ["DECISION_MISSING"]
    assert not lineage.node(with_refused).is_sound


def test_contract_that_judged_more_partitions_than_its_subjects_is_refused(
    chain: Chain, forger: Forger
) -> None:
    honest = chain.contracts["raw_schema"].statement
    fewer = Manifest.of(RAW, chain.raw.manifest.entries[:1])
    chain.trust.store.put_manifest(fewer)
    made = forger.sign(
        honest.predicate_type, RAW, fewer.digest, honest.predicate, "/steps/contracts"
    )
    assert codes(chain.node(made)) == ["SUBJECT_MISMATCH"]


@pytest.mark.parametrize(
    ("digest", "policy", "code"),
    [("", "", ""), ("d" * 64, "", "EVIDENCE_MISSING"), ("", "d" * 64, "POLICY_UNSIGNED")],
    ids=["honest", "of nothing attested", "under a policy never in force"],
)
def test_approval_is_about_something_attested_under_a_policy_that_was_in_force(
    chain: Chain, forger: Forger, digest: str, policy: str, code: str
) -> None:
    model = scored.deploy(chain.trust).model
    said = {
        "issued_at": encoding.utc_text(chain.trust.clock()),
        "policy_digest": policy or chain.trust.policies.current().digest,
    }
    subject = digest or model.manifest.digest
    made = forger.sign(statements.APPROVAL, "fraud_model", subject, said, scored.OFFICER.subject)
    assert codes(chain.node(made)) == ([code] if code else [])


def test_issuers_that_are_no_list_of_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "issuers.json").write_text("[]")
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        load_issuers(tmp_path / "issuers.json")


def test_release_whose_trust_cannot_be_used_is_malformed(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = chain.trust.policies.releases
    head = releases.head()

    def unusable(*_: object) -> None:
        raise ConfigError(reason("ROOT_DIGEST_MISMATCH", "cannot use it"))

    monkeypatch.setattr(Releases, "verifier", unusable)
    with pytest.raises(VerificationError, match="ROOT_MALFORMED"):
        releases.check(head.expectations, chain.trust.clock(), (), None)


def test_newest_evidence_is_what_verifies_and_was_logged_before(chain: Chain) -> None:
    releases = chain.trust.policies.releases
    head, store = releases.head(), chain.trust.store
    found = releases._newest_evidence(head, None)
    newest = next(r for r in reversed(store.records()) if r.statement == found[0])
    store.bundle_path(newest.bundle).write_bytes(b"{}")
    assert releases._newest_evidence(head, None) not in ((), found)
    assert releases._newest_evidence(head, (0, 0)) == ()


def test_release_in_force_whose_files_are_lost_stays_and_whoever_needs_them_says_so(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = chain.trust.policies.releases.head()

    def lost(*_: object) -> None:
        raise EvidenceError(reason(sorted(trial._UNREAD)[0], "gone"))

    monkeypatch.setattr(Releases, "_check_usable", lost)
    again = type(chain.workspace)(chain.workspace.settings).trust.policies.releases
    assert again.chain().head == head
