"""The honest chain is trusted; each lie, validly signed and logged, is refused with its code."""

import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError
from fraud_provenance.attested.lineage import artifacts, walk
from fraud_provenance.attested.lineage.nodes import Claims, Decision, Declaration, Refused
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Material, Summary
from fraud_provenance.attested.step.step import Step
from fraud_provenance_tests.conftest import (
    AUTHOR,
    DAYS,
    FEATURES,
    RAW,
    RAW_SUITES,
    REVIEWER,
    Chain,
    Forger,
    codes,
    copy_home,
    ingest,
    open_workspace,
    raw_path,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared(honest: Chain, tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Chain:
    """One copy for all lies: each is a statement of its own that the others do not touch."""
    home = copy_home(honest.workspace.home, tmp_path_factory.mktemp("lies") / "home")
    return replace(honest, workspace=open_workspace(home, policy_project))


@pytest.fixture(scope="module")
def forger(shared: Chain) -> Forger:
    return Forger(shared.trust)


DECIDERS = ("raw", "raw_schema", "raw_expectations")


def view_of(chain: Chain, day: str = DAYS[0]) -> Manifest:
    """What an honest features step reads of one day."""
    return chain.raw.manifest.select([day])


def decision_of(chain: Chain, forger: Forger, **lies: Any) -> VerifiedBundle:
    """A decision on one day with honest inputs, but for `lies`."""
    view = lies.pop("view", view_of(chain))
    inputs = lies.pop("inputs", [chain.raw.bundle, *chain.contracts.values()])
    return forger.decision(view, inputs, **lies)


def with_layout(chain: Chain, change: Callable[[Layout], Layout]) -> LineageVerifier:
    """A verifier under another layout."""
    trust = chain.trust
    layout = change(trust.policies.current().layout)
    return LineageVerifier(
        trust.store, trust.bundles, layout, "local", trust.home, trust.memory,
        trust.policies.releases.signed_for,
    )  # fmt: skip


def rewrite_index(chain: Chain, sql: str, *values: object) -> None:
    """What a thief of the index can do."""
    with sqlite3.connect(chain.workspace.home / "evidence" / "index.sqlite") as db:
        assert db.execute(sql, values).rowcount > 0


# --- what must pass ----------------------------------------------------------------------------


def test_honest_chain_is_trusted_link_by_link(honest: Chain) -> None:
    verdict = honest.verdict()
    assert verdict.trusted
    assert [link.distance for link in verdict.links] == [4, 3, 2, 2, 1, 0, 0, 0]
    assert sorted((link.kind, link.signer) for link in verdict.links) == [
        ("contract", "/steps/contracts (workloads)"),
        ("contract", "/steps/contracts (workloads)"),
        ("decision", "/gates/data-access (workloads)"),
        ("decision", "/gates/data-access (workloads)"),
        ("materialisation", "/steps/features (workloads)"),
        ("materialisation", "/steps/ingest (workloads)"),
        ("policy", f"{AUTHOR} (people)"),
        ("policy", f"{REVIEWER} (people)"),
    ]
    features = verdict.links[0]
    assert features.name == FEATURES
    assert features.partitions == DAYS
    assert features.log_index == honest.features.bundle.log_index
    assert features.digest == honest.features.manifest.digest
    assert {link.detail for link in verdict.links if link.kind == "contract"} == {
        f"{suite}: 1 checks, 6 rows" for suite in RAW_SUITES
    }
    assert verdict.links[1].detail.startswith("data_access: allowed, policy ")


def test_honest_policy_release_is_trusted(honest: Chain) -> None:
    record = honest.trust.store.records(predicate_type=statements.POLICY_RELEASE)[0]
    node = honest.trust.lineage().node(record.statement)
    assert (node.kind, node.reasons, node.distance) == ("policy", (), 0)


def test_forger_who_tells_no_lie_is_trusted(shared: Chain, forger: Forger) -> None:
    """The benign twin of every lie below: the forger's own work is otherwise honest."""
    made = forger.features(view_of(shared), decision_of(shared, forger))
    assert codes(shared.verdict(made)) == []
    assert codes(shared.verdict(forger.raw())) == []


def test_node_is_verified_once_and_shared(honest: Chain) -> None:
    lineage = honest.trust.lineage()
    node = lineage.node(honest.features.bundle.statement.digest)
    assert lineage.node(honest.features.bundle.statement.digest) is node
    assert len(list(node.walk())) == 8
    above = Refused(kind="a", name="b", statement="c", children=[node, node])
    assert len(list(above.walk())) == 9


# --- lies in a materialisation -----------------------------------------------------------------


def elsewhere(forger: Forger) -> dict[str, Any]:
    material, _ = forger.source(b"other bytes")
    return {"materials": [material]}


def unexplained(forger: Forger) -> dict[str, Any]:
    return {"entries": [forger.forged_entry([])]}


def attested_source(forger: Forger) -> dict[str, Any]:
    material, digest = forger.source(name=FEATURES)
    return {
        "materials": [material],
        "entries": [forger.forged_entry([digest])],
    }


RAW_LIES: dict[str, tuple[str, Callable[[Forger], dict[str, Any]]]] = {
    "signed by another step": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"who": "/steps/features"},
    ),
    "signed by a similar name": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"who": "/steps/ingest2"},
    ),
    "signed below the name": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"who": "/steps/ingest/x"},
    ),
    "signed by a person": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"who": AUTHOR},
    ),
    "asset of another step": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"asset": FEATURES, "subject": FEATURES},
    ),
    "subject of another name": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"subject": FEATURES},
    ),
    "step that nobody knows": (
        "IDENTITY_NOT_AUTHORIZED_FOR_STEP", lambda _: {"step": "nonsense", "who": "/steps/ingest"},
    ),
    "step for people": ("PREDICATE_TYPE", lambda _: {"step": "approve", "who": "/steps/ingest"}),
    "other environment": ("ENVIRONMENT_MISMATCH", lambda _: {"environment": "staging"}),
    "unexpected parameter": (
        "PARAM_UNEXPECTED", lambda _: {"parameters": {"partitions": [], "sample_frac": 0.01}},
    ),
    "missing parameter": ("PARAM_MISSING", lambda _: {"parameters": {}}),
    "manifest of another asset": (
        "SUBJECT_MISMATCH",
        lambda forger: {
            "manifest": Manifest.of(
                "other", [forger.forged_entry([forger.source()[1]])]
            )
        },
    ),
    "made from other bytes": ("MATERIAL_UNEXPLAINED", elsewhere),
    "made from nothing": ("MATERIAL_UNEXPLAINED", unexplained),
    "no material at all": ("PARTITION_MISSING", lambda _: {"materials": []}),
    "material not allowed": ("MATERIAL_NOT_ALLOWED", attested_source),
    "output outside the home": ("SOURCE_MISMATCH", lambda _: {"outputs": {"location": "/tmp"}}),  # noqa: S108 - never written
    "output above the home": ("SOURCE_MISMATCH", lambda _: {"outputs": {"location": "../.."}}),
    "file that is not there": ("ARTIFACT_MISSING", lambda _: {"outputs": {"location": "mlflow"}}),
}  # fmt: skip


@pytest.mark.parametrize(("code", "lie"), RAW_LIES.values(), ids=RAW_LIES.keys())
def test_materialisation_with_one_lie_is_refused_with_its_code(
    shared: Chain, forger: Forger, code: str, lie: Callable[[Forger], dict[str, Any]]
) -> None:
    verdict = shared.verdict(forger.raw(**lie(forger)))
    assert codes(verdict) == [code]
    assert verdict.exit_code == 1
    assert verdict.reasons[0].identity
    assert verdict.reasons[0].at


def test_a_statement_that_no_step_signs_is_named_by_its_bundle(
    shared: Chain, forger: Forger
) -> None:
    made = forger.raw(parameters={})
    told = shared.verdict(made).reasons[0].message
    place = f"bundle {made.bundle_digest[:12]} (log entry {made.log_index})"
    assert told == f"{place}: the statement lacks partitions"


def test_materialisation_in_an_environment_the_layout_does_not_list_is_refused(
    chain: Chain,
) -> None:
    def elsewhere_only(layout: Layout) -> Layout:
        rule = layout.steps["ingest"].model_copy(update={"environments": ("production",)})
        return layout.model_copy(update={"steps": layout.steps | {"ingest": rule}})

    node = with_layout(chain, elsewhere_only).node(chain.raw.bundle.statement.digest)
    assert codes(node) == ["ENVIRONMENT_MISMATCH"]


def test_material_named_by_md5_only_is_refused(shared: Chain, forger: Forger) -> None:
    made = forger.raw()
    document = json.loads(made.statement.content)
    document["predicate"]["buildDefinition"]["resolvedDependencies"][0]["digest"] = {"md5": "d"}
    signed = forger.sign(
        statements.PROVENANCE, RAW, made.statement.subject_digest, document["predicate"],
        "/steps/ingest",
    )  # fmt: skip
    assert codes(shared.verdict(signed)) == ["DIGEST_ALG_UNACCEPTABLE"]


# --- lies in how data were read ----------------------------------------------------------------


def test_features_read_without_any_decision_are_refused(shared: Chain, forger: Forger) -> None:
    verdict = shared.verdict(forger.features(view_of(shared), None))
    assert codes(verdict) == ["EVIDENCE_MISSING"]


def test_features_that_skip_the_gate_by_calling_their_input_a_source_are_refused(
    shared: Chain, forger: Forger
) -> None:
    view = view_of(shared)
    material = Material(name=RAW, digest=view.digest, role="source")
    verdict = shared.verdict(forger.features(view, None, materials=[material]))
    assert codes(verdict) == ["EVIDENCE_MISSING"]
    assert "unattested" in verdict.reasons[0].message


def test_features_that_give_their_input_a_role_of_their_own_are_refused(
    shared: Chain, forger: Forger
) -> None:
    view = view_of(shared)
    material = Material(name=RAW, digest=view.digest, role="hint")
    verdict = shared.verdict(forger.features(view, None, materials=[material]))
    assert codes(verdict) == ["PARTITION_MISSING"]


DECISION_LIES: dict[str, tuple[str, Any]] = {
    "denied": ("DECISION_MISSING", {"allowed": False}),
    "for another step": (
        "DECISION_MISSING", {"facts": {"step": "score", "asset": RAW, "partitions": []}},
    ),
    "for another asset": (
        "DECISION_MISSING", {"facts": {"step": "features", "asset": FEATURES, "partitions": []}},
    ),
    "without facts": ("DECISION_MISSING", {"facts": {}}),
    "by another gate": ("DECISION_MISSING", {"gate": "release", "who": "/gates/registration"}),
    "signed by the reader": ("IDENTITY_NOT_AUTHORIZED_FOR_STEP", {"who": "/steps/features"}),
    "other environment": ("ENVIRONMENT_MISMATCH", {"environment": "production"}),
}  # fmt: skip


@pytest.mark.parametrize(("code", "lie"), DECISION_LIES.values(), ids=DECISION_LIES.keys())
def test_decision_with_one_lie_does_not_let_features_be_read(
    shared: Chain, forger: Forger, code: str, lie: dict[str, Any]
) -> None:
    verdict = shared.verdict(forger.features(view_of(shared), decision_of(shared, forger, **lie)))
    assert codes(verdict) == [code]


def test_decision_on_another_day_does_not_let_this_one_be_read(
    shared: Chain, forger: Forger
) -> None:
    decision = decision_of(shared, forger, view=view_of(shared, DAYS[1]))
    assert codes(shared.verdict(forger.features(view_of(shared), decision))) == ["DECISION_MISSING"]


def test_decision_without_the_data_among_its_inputs_is_refused(
    shared: Chain, forger: Forger
) -> None:
    decision = decision_of(shared, forger, inputs=[*shared.contracts.values()])
    verdict = shared.verdict(forger.features(view_of(shared), decision))
    assert codes(verdict) == ["EVIDENCE_MISSING"]
    assert (verdict.reasons[0].artifact, verdict.reasons[0].partition) == (RAW, DAYS[0])


@pytest.mark.parametrize("suite", RAW_SUITES)
def test_decision_without_a_contract_among_its_inputs_is_refused(
    shared: Chain, forger: Forger, suite: str
) -> None:
    kept = [made for name, made in shared.contracts.items() if name != suite]
    decision = decision_of(shared, forger, inputs=[shared.raw.bundle, *kept])
    verdict = shared.verdict(forger.features(view_of(shared), decision))
    assert codes(verdict) == ["CHECK_MISSING"]
    assert suite in verdict.reasons[0].message
    assert verdict.reasons[0].partition == DAYS[0]


def test_view_of_bytes_that_nobody_attested_is_refused(shared: Chain, forger: Forger) -> None:
    honest = view_of(shared).entries[0]
    view = Manifest.of(RAW, [honest.model_copy(update={"sha256": "d" * 64})])
    verdict = shared.verdict(forger.features(view, decision_of(shared, forger, view=view)))
    assert codes(verdict) == ["EVIDENCE_MISSING"]


def test_view_of_attested_bytes_under_another_day_is_refused(shared: Chain, forger: Forger) -> None:
    honest = view_of(shared).entries[0]
    view = Manifest.of(RAW, [honest.model_copy(update={"partition": DAYS[1]})])
    verdict = shared.verdict(forger.features(view, decision_of(shared, forger, view=view)))
    assert codes(verdict) == ["EVIDENCE_MISSING"]


def test_view_that_passes_another_asset_off_as_the_one_allowed_is_refused(
    shared: Chain, forger: Forger
) -> None:
    view = Manifest.of(RAW, shared.features.manifest.entries[:1])
    decision = decision_of(shared, forger, view=view, inputs=[shared.features.bundle])
    entry = forger.forged_entry([view.entries[0].sha256])
    verdict = shared.verdict(forger.features(view, decision, entries=[entry]))
    assert codes(verdict) == ["EVIDENCE_MISSING"]


def test_material_whose_manifest_is_of_another_asset_is_refused(
    shared: Chain, forger: Forger
) -> None:
    view = shared.features.manifest
    material = Material(name=RAW, digest=view.digest, role="input")
    verdict = shared.verdict(forger.features(view, None, materials=[material]))
    assert codes(verdict) == ["SUBJECT_MISMATCH"]


@pytest.mark.parametrize(
    ("window", "authorised"),
    [
        ({}, True),
        ({"valid_until": "2024-01-02T00:00:00Z"}, False),
        ({"valid_from": "2035-12-31T00:00:00Z"}, False),
        ({"identities": ()}, False),
    ],
)
def test_workload_signs_only_while_a_principal_answers_for_it(
    shared: Chain, window: dict[str, Any], authorised: bool
) -> None:
    layout = shared.trust.policies.current().layout
    principals = tuple(item.model_copy(update=window) for item in layout.principals)
    signers = Signers(layout.model_copy(update={"principals": principals}), "local")
    if authorised:
        signers.check_workload(shared.raw.bundle, "ingest")
        return
    with pytest.raises(VerificationError, match="IDENTITY_NOT_AUTHORIZED_FOR_STEP"):
        signers.check_workload(shared.raw.bundle, "ingest")


# --- lies in a contract ------------------------------------------------------------------------

FAILURE = {"day": DAYS[0], "check": "amounts_are_not_negative", "code": "NULL_RATE"}
CONTRACT_LIES: dict[str, tuple[list[str], Any]] = {
    "none": ([], {}),
    "failed": (["CHECK_FAILED"], {"failures": [FAILURE]}),
    "no checks": (["CHECK_VACUOUS"], {"checks": ()}),
    "no rows": (["CHECK_VACUOUS"], {"rows": {DAYS[0]: 0}}),
    "rows of another day": (["CHECK_VACUOUS"], {"rows": {DAYS[1]: 3}}),
    "signed by the step it judges": (
        ["IDENTITY_NOT_AUTHORIZED_FOR_STEP", "CHECK_MISSING"], {"who": "/steps/ingest"},
    ),
    "other environment": (
        ["ENVIRONMENT_MISMATCH", "CHECK_MISSING"], {"environment": "staging"},
    ),
    "unknown suite": (["CHECK_MISSING", "CHECK_MISSING"], {"suite": "nonsense"}),
    "suite of another asset": (["SUBJECT_MISMATCH", "CHECK_MISSING"], {"suite": "feature_schema"}),
    "passed with failed days": (
        ["PREDICATE_TYPE", "CHECK_MISSING"], {"annotations": {"failedPartitions": [DAYS[0]]}},
    ),
    "judged by a weaker suite": (
        ["EXPECTATION_CHANGE_UNAPPROVED", "CHECK_MISSING"], {"suite_digest": "0" * 64},
    ),
    "malformed": (["PREDICATE_TYPE", "CHECK_MISSING"], {"annotations": {"suite": 5}}),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "lie"), CONTRACT_LIES.values(), ids=CONTRACT_LIES.keys())
def test_contract_with_one_lie_is_refused_with_its_code(
    shared: Chain, forger: Forger, expected: list[str], lie: dict[str, Any]
) -> None:
    view = view_of(shared)
    contract = forger.contract(view, inputs=[shared.raw.bundle], **({"suite": "raw_schema"} | lie))
    decision = decision_of(
        shared, forger, inputs=[shared.raw.bundle, shared.contracts["raw_expectations"], contract]
    )
    verdict = shared.verdict(forger.features(view, decision))
    # A lie that keeps the result from being read at all also leaves the suite without a result.
    assert codes(verdict) == expected
    assert verdict.exit_code == (1 if expected else 0)


def test_contract_on_other_bytes_of_the_day_is_no_contract_on_these(
    shared: Chain, forger: Forger
) -> None:
    entry = view_of(shared).entries[0]
    other = Manifest.of(RAW, [entry.model_copy(update={"sha256": "d" * 64})])
    contract = forger.contract(other, "raw_schema", [shared.raw.bundle])
    decision = decision_of(
        shared, forger, inputs=[shared.raw.bundle, shared.contracts["raw_expectations"], contract]
    )
    verdict = shared.verdict(forger.features(view_of(shared), decision))
    assert codes(verdict) == ["EVIDENCE_MISSING", "CHECK_MISSING"]


def judged_under(shared: Chain, forger: Forger, decision: str, **lies: Any) -> list[str]:
    """Features read on the word of a contract that names this decision."""
    contract = forger.contract(
        view_of(shared), "raw_schema", [shared.raw.bundle], decision=decision, **lies
    )
    inputs = [shared.raw.bundle, shared.contracts["raw_expectations"], contract]
    made = forger.features(view_of(shared), decision_of(shared, forger, inputs=inputs))
    return codes(shared.verdict(made))


CONTRACT_READS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "none": ([], {}),
    "for the features step": (
        ["DECISION_MISSING"], {"facts": {"step": "features", "asset": RAW, "partitions": []}},
    ),
    "about another asset": (
        ["DECISION_MISSING"], {"facts": {"step": "contracts", "asset": FEATURES}},
    ),
    "denied": (["DECISION_MISSING"], {"allowed": False}),
    "about another day": (["DECISION_MISSING"], {"day": DAYS[1]}),
    "without the data among its inputs": (["EVIDENCE_MISSING"], {"inputs": []}),
    "under a policy that nobody released": (["POLICY_UNSIGNED"], {"policy_digest": "d" * 64}),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "lie"), CONTRACT_READS.values(), ids=CONTRACT_READS.keys())
def test_contract_counts_only_if_a_decision_let_its_step_read(
    shared: Chain, forger: Forger, expected: list[str], lie: dict[str, Any]
) -> None:
    given = {
        "facts": {"step": "contracts", "asset": RAW, "partitions": [DAYS[0]]},
        "inputs": [shared.raw.bundle],
    } | lie
    view = view_of(shared, given.pop("day", DAYS[0]))
    decision = forger.decision(view, given.pop("inputs"), **given)
    assert judged_under(shared, forger, decision.statement.digest) == expected


def test_contract_that_names_no_decision_is_refused(shared: Chain, forger: Forger) -> None:
    assert judged_under(shared, forger, "") == ["EVIDENCE_MISSING"]


def test_step_attests_no_contract_on_what_it_has_not_read(chain: Chain) -> None:
    with Step(chain.trust, "contracts", "run") as step:
        step.read(RAW, DAYS[:1])
        with pytest.raises(VerificationError, match="DECISION_MISSING"):
            step.attest_contract(
                chain.raw.manifest, suite="raw_schema",
                suite_digest=step.policy.layout.contract("raw_schema").suite_digests[-1],
                checks=("x",), failures=[], rows={},
            )  # fmt: skip


def test_step_attests_no_suite_that_nobody_approved(chain: Chain) -> None:
    with Step(chain.trust, "contracts", "run") as step:
        view = step.read(RAW, DAYS[:1]).view
        with pytest.raises(VerificationError, match="EXPECTATION_CHANGE_UNAPPROVED"):
            step.attest_contract(
                view, suite="raw_schema", suite_digest="0" * 64, checks=("x",), failures=[],
                rows={DAYS[0]: 3},
            )  # fmt: skip


# --- the policy behind a decision --------------------------------------------------------------


def test_decision_leads_to_the_release_of_its_policy(honest: Chain) -> None:
    links = honest.verdict().links
    assert [(link.kind, link.name) for link in links if link.kind == "policy"] == [
        ("policy", "policies"),
        ("policy", "policies"),
    ]


def test_decision_under_a_policy_that_nobody_released_is_refused(
    shared: Chain, forger: Forger
) -> None:
    decision = decision_of(shared, forger, policy_digest="d" * 64)
    verdict = shared.verdict(forger.features(view_of(shared), decision))
    assert codes(verdict) == ["POLICY_UNSIGNED"]


@pytest.mark.parametrize("who", ["risk.officer@example.com", AUTHOR])
def test_decision_under_a_policy_that_one_person_alone_released_is_refused(
    shared: Chain, forger: Forger, who: str
) -> None:
    digest = encoding.digest_bytes(who.encode())
    head = shared.trust.policies.releases.head().expectations
    proposed = head.model_copy(
        update={"version": head.version + 1, "previous": head.digest, "policies": digest}
    )
    made = proposed.statement(who, "mine")
    forger.sign(statements.POLICY_RELEASE, "policies", digest, made.predicate, who)
    decision = decision_of(shared, forger, policy_digest=digest)
    verdict = shared.verdict(forger.features(view_of(shared), decision))
    assert codes(verdict) == ["POLICY_UNSIGNED"]


# --- order, people, other statements -----------------------------------------------------------


def test_input_signed_after_its_output_is_refused(chain: Chain) -> None:
    """Time comes from the timestamp authority, so a wrong order needs a wrong authority."""
    honest = chain.trust.bundles
    late = chain.raw.bundle.statement.digest

    class LyingTime(BundleVerifier):
        def __init__(self) -> None:
            """Trust what the honest verifier trusts."""

        def verify(self, content: bytes) -> VerifiedBundle:
            found = honest.verify(content)
            if found.statement.digest != late:
                return found
            moved = found.signed_at + dt.timedelta(minutes=4)
            return found.model_copy(update={"signed_at": moved})

    lineage = with_layout(chain, lambda layout: layout)
    lineage.bundles = LyingTime()
    node = lineage.node(chain.features.bundle.statement.digest)
    found = [item for below in node.walk() for item in below.reasons]
    # The contracts and the features each read it with a decision of their own.
    assert [item.code for item in found] == ["ORDER_INVALID", "ORDER_INVALID"]
    assert all(RAW in item.message for item in found)


@pytest.mark.parametrize(
    ("kind", "who", "expected"),
    [
        (statements.APPROVAL, "risk.officer@example.com", []),
        (statements.APPROVAL, "ml.engineer@example.com", ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.APPROVAL, AUTHOR, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.APPROVAL, "stranger@example.com", ["APPROVAL_UNKNOWN_PERSON"]),
        (statements.APPROVAL, "/steps/train", ["APPROVAL_UNKNOWN_PERSON"]),
        (statements.POLICY_RELEASE, AUTHOR, ["EXPECTATION_CHANGE_UNAPPROVED"]),
        (statements.POLICY_RELEASE, "/steps/train", ["EXPECTATION_CHANGE_UNAPPROVED"]),
        (statements.PREDICTION_BATCH, "/steps/score", []),
        (statements.PREDICTION_BATCH, "/steps/train", ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.MODEL_SIGNATURE, "/steps/train", []),
        (statements.MODEL_SIGNATURE, "/steps/score", ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.ML_BOM, "/steps/train", []),
        (statements.ML_BOM, "/steps/score", ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.SUPERSEDE, "risk.officer@example.com", []),
        (statements.SUPERSEDE, AUTHOR, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (statements.PROMOTION_REQUEST, "/gates/deployment", []),
        (statements.PROMOTION_REQUEST, "/steps/train", ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
    ],
)  # fmt: skip
def test_other_statements_count_only_from_whom_the_layout_names(
    shared: Chain, forger: Forger, kind: str, who: str, expected: list[str]
) -> None:
    now = encoding.utc_text(shared.trust.clock())
    policy = shared.trust.policies.current().digest
    predicate = {
        "environment": "local", "reason": who, "issued_at": now, "at": now,
        "policy_digest": policy,
    }  # fmt: skip
    made = forger.sign(kind, RAW, shared.raw.manifest.digest, predicate, who)
    assert codes(shared.node(made)) == expected


def test_approval_of_attested_bytes_under_another_name_is_refused(
    shared: Chain, forger: Forger
) -> None:
    predicate = {"environment": "local", "reason": "x",
                 "issued_at": encoding.utc_text(shared.trust.clock()),
                 "policy_digest": shared.trust.policies.current().digest}  # fmt: skip
    digest = shared.raw.manifest.digest
    made = forger.sign(statements.APPROVAL, FEATURES, digest, predicate, "risk.officer@example.com")
    assert codes(shared.node(made)) == ["EVIDENCE_MISSING"]


def test_prediction_batch_of_another_environment_is_refused(shared: Chain, forger: Forger) -> None:
    made = forger.sign(
        statements.PREDICTION_BATCH, "scores", "d" * 64, {"environment": "production"},
        "/steps/score",
    )  # fmt: skip
    assert codes(shared.node(made)) == ["ENVIRONMENT_MISMATCH"]


def people_sign(layout: Layout, issuer: str) -> Layout:
    rule = layout.steps["predictions"]
    named = rule.model_copy(update={"identity": {"issuer": issuer, "subject": AUTHOR}})
    return layout.model_copy(update={"steps": layout.steps | {"predictions": named}})


@pytest.mark.parametrize(("issuer", "expected"), [("people", []), ("other", ["ISSUER_MISMATCH"])])
def test_right_name_vouched_for_by_another_issuer_is_refused(
    shared: Chain, forger: Forger, issuer: str, expected: list[str]
) -> None:
    made = forger.sign(
        statements.PREDICTION_BATCH, "scores", "d" * 64, {"environment": "local"}, AUTHOR
    )
    node = with_layout(shared, lambda layout: people_sign(layout, issuer)).node(
        made.statement.digest
    )
    assert codes(node) == expected


def test_workload_statement_of_a_step_that_people_sign_is_refused(
    shared: Chain, forger: Forger
) -> None:
    def by_anybody(layout: Layout) -> Layout:
        rule = layout.steps["predictions"]
        open_rule = rule.model_copy(update={"identity": {"issuer": "people", "subject": None}})
        return layout.model_copy(update={"steps": layout.steps | {"predictions": open_rule}})

    made = forger.sign(
        statements.PREDICTION_BATCH, "scores", "d" * 64, {"environment": "local"}, AUTHOR
    )
    node = with_layout(shared, by_anybody).node(made.statement.digest)
    assert codes(node) == ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]


# --- the evidence store under attack -----------------------------------------------------------


@pytest.mark.parametrize("name", DECIDERS)
@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (Path.unlink, "EVIDENCE_MISSING"),
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "EVIDENCE_TAMPERED"),
        (lambda path: (path.unlink(), path.mkdir()), "ARTIFACT_MISSING"),
    ],
    ids=["removed", "changed", "folder"],
)
def test_bundle_below_the_features_that_is_gone_or_changed_is_named(
    chain: Chain, name: str, tamper: Callable[[Path], object], code: str
) -> None:
    bundle = chain.raw.bundle if name == "raw" else chain.contracts[name]
    tamper(chain.trust.store.bundle_path(bundle.bundle_digest))
    verdict = chain.verdict()
    assert codes(verdict)[0] == code
    assert verdict.root_cause is not None
    assert verdict.root_cause.distance == 0
    assert RAW in verdict.root_cause.artifact


def test_decision_that_was_removed_is_missing(chain: Chain) -> None:
    record = next(
        item
        for item in chain.trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY)
        if item.statement in chain.features.bundle.statement.content.decode()
    )
    chain.trust.store.bundle_path(record.bundle).unlink()
    assert codes(chain.verdict()) == ["EVIDENCE_MISSING"]


def test_manifest_that_was_removed_is_missing(chain: Chain) -> None:
    chain.trust.store.manifest_path(chain.raw.manifest.digest).unlink()
    assert codes(chain.verdict())[0] == "EVIDENCE_MISSING"


def test_statement_that_nobody_stored_is_missing(honest: Chain) -> None:
    node = honest.trust.lineage().node("d" * 64)
    assert codes(node) == ["EVIDENCE_MISSING"]
    assert node.link().detail == ""
    assert node.link().log_index is None


def test_index_that_points_to_the_bundle_of_another_statement_is_refused(chain: Chain) -> None:
    trust = chain.trust
    rewrite_index(
        chain, "delete from bundles where bundle = ?", chain.features.bundle.bundle_digest
    )
    rewrite_index(
        chain, "update bundles set bundle = ? where statement = ?",
        chain.features.bundle.bundle_digest, chain.raw.bundle.statement.digest,
    )  # fmt: skip
    assert codes(trust.lineage().node(chain.raw.bundle.statement.digest)) == ["SUBJECT_MISMATCH"]


def test_index_that_claims_a_newer_version_does_not_excuse_a_changed_file(chain: Chain) -> None:
    path = chain.workspace.home / "data" / raw_path(DAYS[0])
    path.write_bytes(b"changed")
    rewrite_index(
        chain, "insert into entries values (?,?,?,?,?,?)",
        RAW, DAYS[0], raw_path(DAYS[0]), "d" * 64, "e" * 64, 99,
    )  # fmt: skip
    verdict = chain.verdict()
    assert codes(verdict) == ["DIGEST_MISMATCH"]
    assert (verdict.reasons[0].artifact, verdict.reasons[0].partition) == (RAW, DAYS[0])


def test_lineage_without_end_is_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = with_layout(chain, lambda layout: layout)
    lineage.node(chain.raw.bundle.statement.digest)
    monkeypatch.setattr(walk, "_MAX_LINEAGE_NODES", 0)
    node = lineage.node(chain.features.bundle.statement.digest)
    assert codes(node) == ["LINEAGE_CYCLE"]


def test_verifier_that_breaks_is_a_refusal_that_could_not_decide(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("out of order")

    lineage = with_layout(chain, lambda layout: layout)
    monkeypatch.setattr(statements, "read_provenance", broken)
    node = lineage.node(chain.raw.bundle.statement.digest)
    verdict = lineage.verify("raw", "test", [node])
    assert codes(verdict) == ["VERIFY_ERROR"]
    assert verdict.exit_code == 2


# --- the files on disk -------------------------------------------------------------------------


def removed(path: Path) -> None:
    path.unlink()


def one_bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (one_bit_flipped, "DIGEST_MISMATCH"),
        (lambda path: path.write_bytes(b""), "DIGEST_MISMATCH"),
        (removed, "ARTIFACT_MISSING"),
        (link, "ARTIFACT_MISSING"),  # and what it leads to is a stranger
        (folder, "ARTIFACT_MISSING"),
    ],
    ids=["bit", "emptied", "removed", "link", "folder"],
)
@pytest.mark.parametrize("asset", [RAW, FEATURES])
def test_file_that_was_changed_is_named_with_its_day(
    chain: Chain, asset: str, tamper: Callable[[Path], object], code: str
) -> None:
    tamper(chain.workspace.home / "data" / asset / f"{DAYS[1]}.parquet")
    verdict = chain.verdict()
    assert codes(verdict) == [code, *(["UNATTESTED_FILE"] if tamper is link else [])]
    assert (verdict.reasons[0].artifact, verdict.reasons[0].partition) == (asset, DAYS[1])


STRANGERS = ("2018-04-03.parquet", "part/2018-04-01.parquet", ".hidden", "2018-04-03.parquet.dvc")


@pytest.mark.parametrize("name", STRANGERS)
def test_file_that_no_evidence_names_is_named_by_verdict_and_read(chain: Chain, name: str) -> None:
    path = chain.workspace.home / "data" / RAW / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"more rows")
    verdict = chain.verdict()
    assert codes(verdict) == ["UNATTESTED_FILE"]
    assert f"{RAW}/{name}" in verdict.reasons[0].message
    assert verdict.reasons[0].artifact == RAW
    with (
        Step(chain.trust, "features", "run") as step,
        pytest.raises(VerificationError, match="UNATTESTED_FILE"),
    ):
        step.read(RAW, DAYS)
    path.unlink()
    assert chain.verdict().trusted


def test_link_among_attested_files_is_named(chain: Chain) -> None:
    (chain.workspace.home / "data" / RAW / "more").symlink_to(chain.workspace.home / "landing")
    assert codes(chain.verdict()) == ["UNATTESTED_FILE"]


def test_index_row_does_not_make_a_file_attested(chain: Chain) -> None:
    (chain.workspace.home / "data" / RAW / "x.parquet").write_bytes(b"more rows")
    rewrite_index(
        chain, "insert into entries values (?,?,?,?,?,?)",
        RAW, "2018-04-03", f"{RAW}/x.parquet", "d" * 64, chain.raw.bundle.statement.digest, 1,
    )  # fmt: skip
    assert codes(chain.verdict()) == ["UNATTESTED_FILE"]


def test_pointers_of_the_data_version_store_may_lie_beside_their_files(chain: Chain) -> None:
    folder = chain.workspace.home / "data" / RAW
    (folder / f"{DAYS[0]}.parquet.dvc").write_text("outs: []")
    (folder / ".gitignore").write_text("*.parquet")
    assert chain.verdict().trusted


def test_files_of_two_days_that_were_swapped_are_named(chain: Chain) -> None:
    first, second = (chain.workspace.home / "data" / raw_path(day) for day in DAYS)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    verdict = chain.verdict()
    assert codes(verdict) == ["SUBJECT_PARTITION_MISMATCH"] * 2
    assert [item.partition for item in verdict.reasons] == [*DAYS]


def test_file_of_an_older_version_is_answered_for_by_the_newer_one(chain: Chain) -> None:
    newer = ingest(chain.trust, {DAYS[0]: b"late rows"})
    assert chain.verdict().trusted
    assert chain.verdict(newer.bundle).trusted
    (chain.workspace.home / "data" / raw_path(DAYS[1])).write_bytes(b"changed")
    assert codes(chain.verdict()) == ["DIGEST_MISMATCH"]
    assert chain.verdict(newer.bundle).trusted


def test_verdict_without_files_looks_at_evidence_only(chain: Chain) -> None:
    (chain.workspace.home / "data" / raw_path(DAYS[0])).unlink()
    lineage = chain.trust.lineage()
    node = lineage.node(chain.raw.bundle.statement.digest)
    assert lineage.verify("raw", "test", [node], with_files=False).trusted


def test_read_file_of_a_node_without_manifest_still_compares(chain: Chain) -> None:
    lineage = chain.trust.lineage()
    bare = Refused(kind="evidence", name="bare", statement="d" * 64)
    entry = FileEntry(path=raw_path(DAYS[0]), partition=DAYS[0], size=1, sha256="d" * 64)
    located = replace(bare, claims=Claims(said=chain.node(chain.raw.bundle).claims.made))
    with pytest.raises(ProvenanceError, match="DIGEST_MISMATCH"):
        lineage.artifacts.read(located, entry)
    with pytest.raises(ProvenanceError, match="ARTIFACT_MISSING"):
        lineage.artifacts.read(bare, entry)


# --- clocks and files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "is_right"), [(0, True), (-299, True), (299, True), (86_400, False)]
)
def test_clock_of_a_signer_is_right_to_some_minutes(
    shared: Chain, seconds: int, is_right: bool
) -> None:
    said = encoding.utc_text(shared.raw.bundle.signed_at + dt.timedelta(seconds=seconds))
    if is_right:
        Signers.check_clock(shared.raw.bundle, said)
        return
    with pytest.raises(VerificationError, match="TIME_SKEW"):
        Signers.check_clock(shared.raw.bundle, said)


@pytest.mark.parametrize("said", ["yesterday", None, 5])
def test_time_that_is_none_is_no_time(shared: Chain, said: object) -> None:
    with pytest.raises(VerificationError, match="TIME_SKEW"):
        Signers.check_clock(shared.raw.bundle, said)


HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
SPANS: dict[str, tuple[dt.timedelta, dt.timedelta, bool]] = {
    "a moment": (dt.timedelta(0), dt.timedelta(0), True),
    "hours": (-9 * HOUR, dt.timedelta(0), True),
    "a clock that is slow": (-2 * MINUTE, -MINUTE, True),
    "a clock that is fast": (dt.timedelta(0), MINUTE, True),
    "ended before it began": (MINUTE, dt.timedelta(0), False),
    "ended long before it was signed": (-9 * HOUR, -8 * HOUR, False),
    "in the future": (8 * HOUR, 9 * HOUR, False),
}


@pytest.mark.parametrize(("start", "end", "is_right"), SPANS.values(), ids=SPANS)
def test_step_says_that_it_ran_when_its_statement_was_signed(
    shared: Chain, start: dt.timedelta, end: dt.timedelta, is_right: bool
) -> None:
    bundle = shared.raw.bundle
    said = [encoding.utc_text(bundle.signed_at + after) for after in (start, end)]
    if is_right:
        Signers.check_span(bundle, *said)
        return
    with pytest.raises(VerificationError, match="TIME_SKEW"):
        Signers.check_span(bundle, *said)


@pytest.mark.parametrize(
    "lie", [{"started_at": "2018-04-03"}, {"finished_at": "2018-04-03T00:00:00Z"}]
)
def test_materialisation_that_tells_another_time_is_refused(
    shared: Chain, forger: Forger, lie: dict[str, str]
) -> None:
    assert codes(shared.verdict(forger.raw(**lie))) == ["TIME_SKEW"]


def approved(chain: Chain, forger: Forger, **lies: str) -> tuple[Declaration, Summary]:
    """An approval of `e…e`, and a permission that rests on it."""
    said = {
        "environment": "local", "evidence_set": "e" * 64, "policy_digest": "f" * 64,
        "issued_at": encoding.utc_text(chain.trust.clock()), "expires_at": "", "reason": "good",
    } | lies  # fmt: skip
    who = "risk.officer@example.com"
    bundle = forger.sign(statements.APPROVAL, "fraud_model", "d" * 64, said, who)
    node = Declaration(
        kind="approval", name="fraud_model", statement=bundle.statement.digest, bundle=bundle,
        said=None,
    )  # fmt: skip
    decided = Summary(
        gate="deploy", environment="local", resource="", policy_digest="f" * 64, inputs=(),
        allowed=True, at="", facts={"evidence_set": "e" * 64},
    )  # fmt: skip
    return node, decided


@pytest.mark.parametrize("lie", ["", "evidence_set", "policy_digest"])
def test_permission_rests_on_an_approval_of_what_was_decided(
    shared: Chain, forger: Forger, lie: str
) -> None:
    approval, decided = approved(shared, forger, **({lie: "0" * 64} if lie else {}))
    lineage = shared.trust.lineage()
    evidence = [lineage.node(shared.features.bundle.statement.digest)]
    if not lie:
        lineage.demands.permissions.check_approval(approval, decided, evidence)
        return
    with pytest.raises(VerificationError, match="DECISION_MISSING"):
        lineage.demands.permissions.check_approval(approval, decided, evidence)


def test_permission_does_not_rest_on_an_approval_from_before_its_evidence(
    shared: Chain, forger: Forger
) -> None:
    approval, decided = approved(shared, forger)
    lineage = shared.trust.lineage()
    evidence = lineage.node(shared.features.bundle.statement.digest)
    below = evidence.children[0]
    assert isinstance(below, Decision)
    later = approval.bundle.signed_at + dt.timedelta(seconds=1)
    moved = replace(below, bundle=below.bundle.model_copy(update={"signed_at": later}))
    evidence = replace(evidence, children=[moved])
    with pytest.raises(VerificationError, match="APPROVAL_BEFORE_EVIDENCE"):
        lineage.demands.permissions.check_approval(approval, decided, [evidence])
    unread = Refused(kind="evidence", name="unread", statement="0" * 64)
    Signers.check_assent(approval, [unread])  # what was not read has no time
    Signers.check_assent(unread, [evidence])


def test_larger_file_of_the_same_kind_was_added_to(chain: Chain) -> None:
    path = chain.workspace.home / "data" / f"{RAW}/{DAYS[0]}.parquet"
    path.write_bytes(b"PAR1" + b" " * path.stat().st_size + b"PAR1")
    assert codes(chain.verdict()) == ["PARTITION_MUTATED_AFTER_ATTESTATION"]


def test_folder_with_too_many_files_is_not_searched(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_FOLDER_FILES", 1)
    assert set(codes(chain.verdict())) == {"SIZE_LIMIT"}


def test_file_that_is_touched_while_it_is_read_is_read_again(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = chain.trust.lineage()
    node = verifier.node(chain.raw.bundle.statement.digest)
    states = iter(range(100))
    monkeypatch.setattr(artifacts, "_state", lambda _path: next(states))
    assert verifier.artifacts.check(node, set()) == []
    monkeypatch.undo()
    path = chain.workspace.home / "data" / f"{RAW}/{DAYS[0]}.parquet"
    path.write_bytes(b"other bytes")
    assert [item.code for item in verifier.artifacts.check(node, set())] == ["DIGEST_MISMATCH"]
