"""A day scored again: what explains other scores, and what the audit calls a fork or a gap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fraud_provenance.attested.attestors.ran import Known
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions.audit import verify_predictions
from fraud_provenance_tests.conftest import DAYS, Chain, copy_home, judge, open_workspace
from fraud_provenance_tests.scored import Change, Deployed, deploy, featurise, score

SCORES = "transaction_scores"


@pytest.fixture(scope="module")
def once(
    honest: Chain, tmp_path_factory: pytest.TempPathFactory, policy_project: Path
) -> tuple[Chain, Deployed]:
    """A home with a champion, made once; tests work on copies."""
    home = copy_home(honest.workspace.home, tmp_path_factory.mktemp("deployed") / "home")
    chain = replace(honest, workspace=open_workspace(home, policy_project))
    chain.workspace.create_folders()
    return chain, deploy(chain.trust)


@pytest.fixture
def chain(once: tuple[Chain, Deployed], tmp_path: Path, policy_project: Path) -> Chain:
    home = copy_home(once[0].workspace.home, tmp_path / "home")
    (home / "run").mkdir()
    return replace(once[0], workspace=open_workspace(home, policy_project))


@pytest.fixture
def champion(once: tuple[Chain, Deployed]) -> Deployed:
    return once[1]


def found(chain: Chain) -> list[str]:
    """What the prediction audit finds, verified anew."""
    chain.trust.forget()
    return [item.code for item in verify_predictions(chain.trust).reasons]


def without_a_row(scored: pl.DataFrame) -> pl.DataFrame:
    return scored[1:]


def halved(scored: pl.DataFrame) -> pl.DataFrame:
    return scored.with_columns(pl.col("score") / 2)


def last_bit(scored: pl.DataFrame) -> pl.DataFrame:
    higher = np.nextafter(scored["score"].to_numpy(), np.float32(1))
    return scored.with_columns(pl.Series("score", higher))


def withdraw_newest(chain: Chain) -> None:
    statement = chain.trust.store.heads(SCORES)[DAYS[0]][0].statement
    revoke_subject(chain.workspace, statement, "scored in error")


def test_same_rows_again_are_no_fork(chain: Chain, champion: Deployed) -> None:
    score(chain.trust, champion)
    score(chain.trust, champion)
    assert found(chain) == []


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (without_a_row, ["PREDLOG_FORK", "PREDLOG_GAP"]),
        (halved, ["PREDLOG_FORK", "FEATURE_RECOMPUTE_MISMATCH"]),
        (last_bit, ["PREDLOG_FORK", "FEATURE_RECOMPUTE_MISMATCH"]),
    ],
)
def test_other_rows_again_are_a_fork(
    chain: Chain, champion: Deployed, change: Change, codes: list[str]
) -> None:
    score(chain.trust, champion)
    score(chain.trust, champion, change=change)
    seen = found(chain)
    assert (seen[0], set(seen)) == (codes[0], set(codes))


def test_row_left_out_at_the_first_scoring_is_a_gap(chain: Chain, champion: Deployed) -> None:
    score(chain.trust, champion, change=without_a_row)
    assert set(found(chain)) == {"PREDLOG_GAP"}


def test_newer_features_and_another_champion_explain_other_scores(
    chain: Chain, champion: Deployed
) -> None:
    score(chain.trust, champion, DAYS)
    featurise(chain.trust, DAYS[:1], seed=2)
    score(chain.trust, champion)
    assert found(chain) == []
    score(chain.trust, deploy(chain.trust, "m-2", trees=4))
    assert found(chain) == []


def test_gap_of_a_superseded_version_stays_visible(chain: Chain, champion: Deployed) -> None:
    score(chain.trust, champion, change=without_a_row)
    featurise(chain.trust, DAYS[:1], seed=2)
    score(chain.trust, champion)
    assert found(chain) == ["PREDLOG_GAP"]


def test_scores_withdrawn_before_explain_others(chain: Chain, champion: Deployed) -> None:
    score(chain.trust, champion, change=halved)
    withdraw_newest(chain)
    score(chain.trust, champion)
    assert found(chain) == []


def test_scores_withdrawn_twice_are_withdrawn_since_the_first_time(
    chain: Chain, champion: Deployed
) -> None:
    first = score(chain.trust, champion, change=halved).bundle.statement
    withdraw_newest(chain)
    score(chain.trust, champion)
    revoke_subject(chain.workspace, first.digest, "scored in error, said again")
    assert found(chain) == []


def test_scores_withdrawn_afterwards_explain_nothing(chain: Chain, champion: Deployed) -> None:
    first = score(chain.trust, champion)
    score(chain.trust, champion, change=without_a_row)
    revoke_subject(chain.workspace, first.bundle.statement.digest, "scored in error")
    assert "PREDLOG_FORK" in found(chain)


def test_withdrawn_fork_is_dealt_with(chain: Chain, champion: Deployed) -> None:
    score(chain.trust, champion)
    score(chain.trust, champion, change=halved)
    withdraw_newest(chain)
    score(chain.trust, champion)
    assert found(chain) == []


def test_contracts_verdict_counts_and_its_absence_after_a_while(
    chain: Chain, champion: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(chain.trust, champion)
    with monkeypatch.context() as later:
        later.setattr(chain.trust, "clock", lambda: datetime.now(UTC) + timedelta(hours=49))
        assert found(chain) == ["CHECK_MISSING", "HEARTBEAT_MISSING"]
        later.setattr(score_contract, "_knows_suite", lambda *_: False)  # an older policy's home
        assert found(chain) == ["HEARTBEAT_MISSING"]
    gap = {"day": DAYS[0], "check": "each_transaction_is_scored_once", "code": "PREDLOG_GAP",
           "column": "transaction_id", "rows": 1}  # fmt: skip
    judge(chain.trust, SCORES, DAYS[:1], [score_contract.SUITE], failures=[gap])
    assert found(chain) == ["PREDLOG_GAP"]
    judge(chain.trust, SCORES, DAYS[:1], [score_contract.SUITE])
    assert found(chain) == []


def test_other_libraries_may_differ_in_the_last_bits_only(
    chain: Chain, champion: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(chain.trust, champion, change=last_bit)
    score(chain.trust, champion, DAYS[1:], change=halved)
    facts = chain.trust.attestor.code()
    others = tuple(
        item.model_copy(update={"digest": "0" * 64}) if item.role == "lock" else item
        for item in facts.materials
    )
    monkeypatch.setattr(chain.trust, "attestor", Known(replace(facts, materials=others)))
    reasons = verify_predictions(chain.trust).reasons
    assert {(item.code, item.partition) for item in reasons} == {
        ("FEATURE_RECOMPUTE_MISMATCH", DAYS[1])
    }
