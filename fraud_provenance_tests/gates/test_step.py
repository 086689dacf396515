"""What a step refuses before it reads or signs anything, and what a killed one leaves."""

import pytest

from fraud_provenance.attested.core.encoding import digest_bytes
from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.step.staging import recover
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due.planning import FEATURE_SUITES, unjudged_days
from fraud_provenance_tests.conftest import DAYS, FEATURES, Chain, Forger, codes, judge


@pytest.mark.parametrize("step", ["ingest", "features", "training_set", "train", "score"])
def test_step_beside_whose_parameters_a_variable_is_set_is_refused(chain: Chain, step: str) -> None:
    Step(chain.trust, step, "run")
    chain.trust.variables = {"DBT_SAMPLE": digest_bytes(b"1 day")}
    with pytest.raises(ConfigError, match="DBT_SAMPLE") as caught:
        Step(chain.trust, step, "run")
    assert codes(caught.value) == ["PARAM_UNEXPECTED"]


def test_step_with_a_parameter_that_the_layout_does_not_know_is_refused(chain: Chain) -> None:
    with pytest.raises(ConfigError, match="sample_frac"):
        Step(chain.trust, "train", "run", {"max_depth": 6, "sample_frac": 0.01})


@pytest.mark.parametrize("folder", ["evidence/bundles", "trust/checkpoints", "landing", "run"])
def test_recover_removes_what_a_killed_writer_left(chain: Chain, folder: str) -> None:
    left = chain.trust.home / folder / ".a.json.0123456789ab.tmp"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half of a ")
    assert recover(chain.trust) == ["removed 1 unfinished files"]
    assert not left.exists()
    assert recover(chain.trust) == []


def test_step_neither_writes_nor_takes_over_a_secret(chain: Chain) -> None:
    key = (chain.trust.home / "trust" / "private" / "workloads.key").read_bytes()
    folder = chain.trust.home / "data" / "feature_store"
    folder.mkdir(parents=True)
    (folder / "online.parquet").write_bytes(b"PAR1" + key)
    with Step(chain.trust, "feature_store", "run") as step:
        with pytest.raises(VerificationError, match=r"SECRET_IN_TREE\(a/b.txt\)"):
            step.write("", "a/b.txt", b"x" * 100_000 + key, [])
        with pytest.raises(VerificationError, match=r"SECRET_IN_TREE\(online.parquet\)"):
            step.adopt("data", "", [])


# --- suites in a former form ---------------------------------------------------------------------


@pytest.fixture
def formerly(chain: Chain) -> VerifiedBundle:
    """The features are judged by `feature_schema` only in a form that does not count any more."""
    rule = chain.trust.policies.current().layout.contract("feature_schema")
    judge(chain.trust, FEATURES, DAYS, ("feature_expectations",))
    return Forger(chain.trust).contract(
        chain.features.manifest, "feature_schema", [chain.features.bundle], name=FEATURES,
        suite_digest=rule.former_suite_digests[0],
    )  # fmt: skip


def test_result_of_a_former_form_stands_for_what_was_read_on_it(
    chain: Chain, formerly: VerifiedBundle
) -> None:
    assert chain.node(formerly).all_reasons() == []


def test_nothing_is_read_on_the_word_of_a_former_form(
    chain: Chain, formerly: VerifiedBundle
) -> None:
    with Step(chain.trust, "score", "run") as step:
        usable = step.usable(FEATURES)
        with pytest.raises(VerificationError, match="EXPECTATION_CHANGE_UNAPPROVED"):
            step.read(FEATURES, DAYS)
    assert usable.partitions == ()
    assert {item.code for item in usable.refused.values()} == {"CHECK_MISSING"}
    assert "former form" in usable.refused[DAYS[0]].message


def test_days_judged_in_a_former_form_are_judged_again_and_read(
    chain: Chain, formerly: VerifiedBundle
) -> None:
    assert unjudged_days(chain.workspace, FEATURES, FEATURE_SUITES) == list(DAYS)
    judge(chain.trust, FEATURES, DAYS, ("feature_schema",))
    assert unjudged_days(chain.workspace, FEATURES, FEATURE_SUITES) == []
    with Step(chain.trust, "score", "run") as step:
        assert step.usable(FEATURES).partitions == tuple(DAYS)
        step.read(FEATURES, DAYS)


def test_nobody_judges_in_a_former_form(chain: Chain) -> None:
    rule = chain.trust.policies.current().layout.contract("feature_schema")
    with Step(chain.trust, "contracts", "run") as step:
        view = step.read(FEATURES, DAYS).view
        with pytest.raises(VerificationError, match="EXPECTATION_CHANGE_UNAPPROVED"):
            step.attest_contract(
                view, suite="feature_schema", suite_digest=rule.former_suite_digests[0],
                checks=("x",), failures=[], rows=dict.fromkeys(DAYS, 3),
            )  # fmt: skip


def test_usable_by_what_another_step_needs(chain: Chain) -> None:
    with Step(chain.trust, "contracts", "run") as step:
        assert step.usable(FEATURES).partitions == tuple(DAYS)
        assert step.usable(FEATURES, step="score").partitions == ()
