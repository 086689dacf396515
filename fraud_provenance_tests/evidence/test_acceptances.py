"""A held day is used because a person with the role accepted it, as long as that stands."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fraud_provenance.alerts import Alert, contract_alerts
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    ConfigError,
    GateDenied,
    ProvenanceError,
    VerificationError,
)
from fraud_provenance.attested.lineage.acceptances import (
    accepted_findings,
    predicate_of,
)
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Acceptance
from fraud_provenance.attested.statements.statements import read_contract
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs.ingest import _went_back
from fraud_provenance.due import ground, planning
from fraud_provenance.investigate.settled import settled
from fraud_provenance.investigate.subjects import contract_reasons, verify_subject
from fraud_provenance.models.facts import _contract_facts
from fraud_provenance.people.accepting import accept_day
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import (
    AUTHOR,
    DAYS,
    FEATURES,
    RAW,
    Chain,
    Forger,
    codes,
    featurise,
    ingest,
    raw_path,
)

pytestmark = pytest.mark.integration
DAY, OWNER, OFFICER = DAYS[0], "data.owner@example.com", "risk.officer@example.com"
SUITE = "raw_expectations"
VOLUME = {"day": DAY, "check": "rows_ratios_are_usual", "code": "VOLUME", "column": "", "rows": 0,
          "observed": 2.2, "maximum": 2.0}  # fmt: skip
MEAN = VOLUME | {"check": "amount_mean_ratios_are_usual", "code": "DISTRIBUTION_SHIFT",
                 "column": "tx_amount"}  # fmt: skip
Findings = Sequence[dict[str, Any]]


def hold(
    chain: Chain, held: Findings = (VOLUME,), days: Sequence[str] = (DAY,), **more: Any
) -> VerifiedBundle:
    """The newest result of the days finds something unusual."""
    with Step(chain.trust, "contracts", "run") as step:
        pending = step.attest_contract(
            step.read(RAW, days).view, suite=SUITE,
            suite_digest=step.policy.layout.contract(SUITE).suite_digests[-1],
            checks=("rows_ratios_are_usual",), failures=more.pop("failures", []),
            held=[dict(item) for item in held], rows=dict.fromkeys(days, 3), **more,
        )  # fmt: skip
        step.join_reads()
        return pending.result()


def accept(chain: Chain, email: str = OWNER) -> str:
    return str(accept_day(chain.workspace, RAW, DAY, "Black Friday", email)["statement"])


def refusal(chain: Chain, days: Sequence[str] = (DAY,)) -> list[str]:
    """Why features may not be made of the days; an empty list where they may."""
    chain.trust.forget()
    try:
        with Step(chain.trust, "features", "try") as step:
            step.read(RAW, days)
            step.join_reads()
    except ProvenanceError as error:
        return codes(error)
    return []


def usable(chain: Chain) -> list[str]:
    return planning.usable_days(chain.workspace, "features", RAW)


def test_alert_names_the_days_that_are_meant_and_says_where_nothing_is_held(chain: Chain) -> None:
    def told() -> list[str]:
        alerts = contract_alerts(chain.workspace.store, chain.workspace.clock())
        assert {item.subject for item in alerts} <= {f"{RAW}/{DAY}"}
        return [item.headline for item in alerts]

    about = f"{SUITE} on {RAW}, 1 day ({DAY})"
    hold(chain, days=DAYS)
    assert told() == [f"Contract failed: {about}"]
    hold(chain, (), days=DAYS, warnings=[VOLUME])
    assert told() == [f"Noted by a contract, nothing is held: {about}"]
    hold(chain, days=DAYS, warnings=[MEAN])
    assert told() == [f"Contract failed: {about}"]


@pytest.mark.parametrize("how", ["accepted", "judged again"])
def test_alert_is_over_once_its_day_may_be_used(chain: Chain, how: str) -> None:
    def over() -> set[str]:
        chain.trust.forget()
        return settled(chain.trust, [alert, other])

    hold(chain, days=DAYS)
    (alert,) = contract_alerts(chain.workspace.store, chain.workspace.clock())
    other = Alert.of("contract_failed", "run", "a check on raw", [], chain.workspace.clock(),
                     subject="a check on raw")  # fmt: skip
    assert over() == set()
    if how == "accepted":
        statement = accept(chain)
        assert over() == {alert.id}
        revoke_subject(chain.workspace, statement, "it was a mistake")
        assert over() == set()
    else:
        hold(chain, (), days=DAYS)
        assert over() == {alert.id}


def test_held_day_waits_for_its_acceptance_and_is_used_then(chain: Chain) -> None:
    made = hold(chain)
    assert made.statement.predicate["result"] == "WARNED"
    assert made.statement.predicate["warnedTests"] == [f"rows_ratios_are_usual@{DAY}"]
    assert usable(chain) == [DAYS[1]]
    with Step(chain.trust, "features", "plan") as step:
        why = step.usable(RAW).refused[DAY]
    assert why.code == "DATA_HELD"
    assert f"`fraud-provenance accept {RAW} {DAY} --as EMAIL" in why.remedy
    assert refusal(chain) == ["DATA_HELD"]
    assert [item.code for item in contract_reasons(chain.trust, RAW, DAY)] == [
        "VOLUME", "DATA_HELD",
    ]  # fmt: skip
    assert planning.stopped_days(chain.workspace, RAW) == {DAY: SUITE}
    registry = planning.registry_of(chain.workspace)
    verdicts = {day: verify_subject(chain.trust, registry, RAW, [day]).trusted for day in DAYS}
    assert verdicts == {DAY: False, DAYS[1]: True}
    assert not verify_subject(chain.trust, registry, RAW, DAYS).trusted

    statement = accept(chain)

    assert (usable(chain), refusal(chain)) == (list(DAYS), [])
    assert contract_reasons(chain.trust, RAW, DAY) == []
    assert planning.stopped_days(chain.workspace, RAW) == {}
    features = featurise(chain.trust, DAYS)
    assert codes(chain.verdict(features.bundle)) == []
    below = {node.statement: node for node in chain.node(features.bundle).walk()}
    link = below[statement].link()
    assert (link.kind, link.signer, link.partitions) == ("acceptance", f"{OWNER} (people)", (DAY,))
    assert link.detail.endswith("accepted: Black Friday")


def test_acceptance_is_shown_by_verify(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(chain)
    statement = accept(chain)
    verdict = verify_subject(chain.trust, None, f"{RAW}/{DAY}")  # type: ignore[arg-type]
    assert verdict.trusted
    assert statement in {link.statement for link in verdict.links}


def test_revoked_acceptance_takes_along_what_it_freed_and_nothing_else(chain: Chain) -> None:
    hold(chain)
    statement = accept(chain)
    features = featurise(chain.trust, DAYS)
    revoke_subject(chain.workspace, statement, "it was a double delivery")

    assert (usable(chain), refusal(chain)) == ([DAYS[1]], ["DATA_HELD"])
    node = chain.node(features.bundle)
    assert node.is_sound  # it was made as it should be; its first day may not be used any more
    revoked = planning.revoked_partitions(chain.workspace, FEATURES)
    assert {day: why.code for day, why in revoked.items()} == {DAY: "STATEMENT_REVOKED"}
    assert contract_reasons(chain.trust, RAW, DAY)[-1].code == "DATA_HELD"

    accept(chain)
    assert (usable(chain), refusal(chain)) == (list(DAYS), [])


def test_revoked_signer_accepted_nothing_from_then_on(chain: Chain) -> None:
    hold(chain)
    accept(chain)
    revoke_subject(chain.workspace, f"identity:{OWNER}", "left", since="2020-01-01T00:00:00Z")
    assert (usable(chain), refusal(chain)) == ([DAYS[1]], ["DATA_HELD"])


def test_more_findings_are_not_covered_and_fewer_or_other_numbers_are(chain: Chain) -> None:
    hold(chain, (VOLUME, MEAN))
    accept(chain)
    for held, expected in (
        ((MEAN,), []),
        ((VOLUME | {"observed": 2.4},), []),
        ((VOLUME, MEAN, MEAN | {"check": "amount_p99_ratios_are_usual"}), ["DATA_HELD"]),
        ((VOLUME, MEAN), []),
    ):
        hold(chain, held)
        assert refusal(chain) == expected
        assert (DAY in usable(chain)) == (not expected)


def test_other_bytes_are_not_accepted_with_the_day(chain: Chain) -> None:
    hold(chain)
    accept(chain)
    ingest(chain.trust, {DAY: b"delivered again"})
    with Step(chain.trust, "contracts", "run") as step:
        view = step.read(RAW, [DAY]).view
        pending = [
            step.attest_contract(
                view, suite=suite, checks=("c",), failures=[], rows={DAY: 3}, held=held,
                suite_digest=step.policy.layout.contract(suite).suite_digests[-1],
            )
            for suite, held in (("raw_schema", []), (SUITE, [VOLUME]))
        ]  # fmt: skip
        step.join_reads()
        assert [item.result() for item in pending]
    assert refusal(chain) == ["DATA_HELD"]


def test_broken_day_is_never_accepted(chain: Chain) -> None:
    broken = VOLUME | {"check": "transaction_ids_are_new", "code": "DUPLICATE_KEY"}
    hold(chain)
    accept(chain)
    hold(chain, failures=[broken])
    assert refusal(chain) == ["CHECK_FAILED"]
    with pytest.raises(ConfigError, match="nobody can accept that"):
        accept(chain)


# --- what counts as an acceptance ----------------------------------------------------------------


def forged(
    chain: Chain, forger: Forger, contract: VerifiedBundle, who: str = OWNER, **changed: Any
) -> VerifiedBundle:
    """An acceptance that says what it is told to; `subject` is the digest that it is about."""
    sha256 = chain.raw.manifest.select([DAY]).entries[0].sha256
    contracts = {contract.statement.digest: read_contract(contract.statement)}
    said: dict[str, Any] = predicate_of("local", RAW, (DAY, sha256), contracts)
    said |= issued(chain.trust.clock()) | {"reason": who}
    said |= {name: value for name, value in changed.items() if name != "subject"}
    if "findings" in changed and "findings_digest" not in changed:
        said["findings_digest"] = encoding.digest_json(said["findings"])
    return forger.sign(statements.ACCEPTANCE, RAW, changed.get("subject", sha256), said, who)


OTHER = "d" * 64


@pytest.mark.parametrize(
    ("who", "changed", "expected"),
    [
        (OWNER, {}, []),
        (OFFICER, {}, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        (AUTHOR, {}, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        ("stranger@example.com", {}, ["APPROVAL_UNKNOWN_PERSON"]),
        ("/steps/contracts", {}, ["APPROVAL_UNKNOWN_PERSON"]),
        (OWNER, {"environment": "production"}, ["ENVIRONMENT_MISMATCH"]),
        (OWNER, {"issued_at": "2018-04-03T00:00:00Z"}, ["TIME_SKEW"]),
        (OWNER, {"more": 1}, ["PREDICATE_TYPE"]),
        (OWNER, {"findings_digest": OTHER}, ["PREDICATE_TYPE"]),
        (OWNER, {"findings": []}, ["PREDICATE_TYPE"]),
        (OWNER, {"contracts": []}, ["PREDICATE_TYPE"]),
        (OWNER, {"subject": OTHER}, ["SUBJECT_MISMATCH"]),
        (OWNER, {"subject": OTHER, "sha256": OTHER}, ["SUBJECT_MISMATCH"]),
        (OWNER, {"partition": DAYS[1]}, ["SUBJECT_MISMATCH"]),
        (OWNER, {"findings": [{"suite": SUITE} | MEAN]}, ["SUBJECT_MISMATCH"]),
    ],
)
def test_acceptance_counts_only_from_whom_and_for_what_it_says(
    chain: Chain, forger: Forger, who: str, changed: dict[str, Any], expected: list[str]
) -> None:
    made = forged(chain, forger, hold(chain), who, **changed)
    assert codes(chain.node(made)) == expected
    assert refusal(chain) == (["DATA_HELD"] if expected else [])


def test_acceptance_of_a_result_that_is_none_is_refused(chain: Chain, forger: Forger) -> None:
    contract = hold(chain)
    made = forged(chain, forger, contract, contracts=[chain.raw.bundle.statement.digest])
    assert codes(chain.node(made)) == ["SUBJECT_MISMATCH"]
    gone = forged(chain, forger, contract, contracts=[OTHER])
    assert not chain.node(gone).is_sound
    assert refusal(chain) == ["DATA_HELD"]


def test_acceptance_that_was_logged_before_its_result_is_refused(
    chain: Chain, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = hold(chain)
    made = forged(chain, forger, contract)
    honest = chain.trust.bundles.verify

    def early(content: bytes) -> VerifiedBundle:
        found = honest(content)
        is_ours = found.statement.digest == made.statement.digest
        return found.model_copy(update={"log_index": 0}) if is_ours else found

    monkeypatch.setattr(chain.trust.bundles, "verify", early)
    assert codes(chain.node(made)) == ["APPROVAL_BEFORE_EVIDENCE"]


def test_another_statement_is_no_acceptance(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="is not an acceptance"):
        statements.read(chain.raw.bundle.statement, Acceptance)


# --- what a decision may rest on -----------------------------------------------------------------


def decided(chain: Chain, forger: Forger, *more: VerifiedBundle) -> list[str]:
    """The verdict on a forged permission to read the day that rests on these statements."""
    contract = hold(chain)
    inputs = [chain.raw.bundle, chain.contracts["raw_schema"], contract, *more]
    view = Manifest.of(RAW, chain.raw.manifest.select([DAY]).entries)
    return codes(chain.node(forger.decision(view, inputs)))


def test_permission_to_read_a_held_day_rests_on_its_acceptance(
    chain: Chain, forger: Forger
) -> None:
    assert decided(chain, forger) == ["DATA_HELD"]
    accepted = forged(chain, forger, hold(chain))
    assert decided(chain, forger, accepted) == []
    assert decided(chain, forger, forged(chain, forger, hold(chain), OFFICER)) == ["DATA_HELD"]


def test_permission_that_rests_on_another_days_acceptance_is_refused(
    chain: Chain, forger: Forger
) -> None:
    accepted = forged(chain, forger, hold(chain))
    view = Manifest.of(RAW, chain.raw.manifest.select([DAYS[1]]).entries)
    inputs = [chain.raw.bundle, *chain.contracts.values(), accepted]
    assert codes(chain.node(forger.decision(view, inputs))) == ["DECISION_MISSING"]


def without_acceptances(node: Node) -> Node:
    kept = [child for child in node.children if child.kind != "acceptance"]
    return replace(node, children=[without_acceptances(child) for child in kept])


def test_models_facts_count_a_held_day_once_it_is_accepted(chain: Chain) -> None:
    hold(chain)
    accept(chain)
    features = chain.node(featurise(chain.trust, [DAY]).bundle)
    facts = {item["suite"]: item for item in _contract_facts([features])}
    assert (facts[SUITE]["partitions"], facts[SUITE]["passed"]) == (1, 1)
    facts = {item["suite"]: item for item in _contract_facts([without_acceptances(features)])}
    assert (facts[SUITE]["partitions"], facts[SUITE]["passed"]) == (1, 0)


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asset", "day", "why", "message"),
    [
        ("transaction_scores", DAY, "x", "are held"),
        (RAW, DAY, " ", "needs a reason"),
        (RAW, "2018-04-03", "x", "nothing is attested"),
        (RAW, DAY, "x", "nothing to accept"),
        (FEATURES, DAY, "x", "has not judged it yet"),
    ],
)
def test_what_makes_no_sense_is_not_signed(
    chain: Chain, asset: str, day: str, why: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        accept_day(chain.workspace, asset, day, why)


def test_only_a_data_owner_may_accept(chain: Chain) -> None:
    hold(chain)
    with pytest.raises(GateDenied, match="APPROVAL_ROLE"):
        accept(chain, OFFICER)


# --- judged again --------------------------------------------------------------------------------


def test_held_day_is_due_again_only_when_its_ground_moved(chain: Chain) -> None:
    workspace = chain.workspace
    around = ground.surroundings(workspace, RAW, chain.trust.policies.current())
    assert ground.days_to_judge(workspace, RAW) == []
    hold(chain)  # without a ground, as an earlier release signed it
    assert ground.days_to_judge(workspace, RAW) == [DAY]
    hold(chain, ground={DAY: around.ground(DAY)})
    assert ground.days_to_judge(workspace, RAW) == []

    ingest(chain.trust, {"2018-03-31": b"the day before"})

    assert ground.days_to_judge(workspace, RAW) == ["2018-03-31", DAY]
    accept(chain)
    assert ground.days_to_judge(workspace, RAW) == ["2018-03-31"]


def test_findings_of_several_results_are_in_one_order(chain: Chain) -> None:
    contract = read_contract(hold(chain, (VOLUME, MEAN)).statement)
    found = accepted_findings(DAY, [contract])
    assert [item.check for item in found] == [MEAN["check"], VOLUME["check"]]
    assert accepted_findings(DAYS[1], [contract]) == []


# --- the right file once more ----------------------------------------------------------------


def test_earlier_bytes_come_back_by_a_person_alone(chain: Chain) -> None:
    path, right = raw_path(DAY), f"transactions of {DAY}".encode()

    def back(content: bytes) -> bool:
        with Step(chain.trust, "ingest", "try", {"partitions": [DAY, DAY]}) as step:
            return step.would_go_back(DAY, path, content)

    assert not back(right)  # they are the newest
    ingest(chain.trust, {DAY: b"a wrong correction"})
    assert back(right)
    assert not back(b"a wrong correction")
    assert not back(b"another correction")
    chain.trust.forget()
    assert "rollback raw_transactions 2018-04-01 --to" in _went_back(DAY, right).remedy
