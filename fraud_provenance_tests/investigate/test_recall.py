"""`recall`: all that was built on something, no edge too many and none missed."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from fraud_provenance.attested.core.errors import ConfigError, GateDenied
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.columns import FEATURES as NAMES
from fraud_provenance.fraud.recompute import rows_behind
from fraud_provenance.investigate.reach import DECISION
from fraud_provenance.investigate.recalling import Recall, recall
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.people.revoking import revoke_recalled
from fraud_provenance_tests.conftest import FEATURES, RAW
from fraud_provenance_tests.investigate.story import (
    TRAINED,
    Story,
    featurise,
    land,
    score_again,
    train_on,
    window,
)
from fraud_provenance_tests.scored import score

SCORES = "transaction_scores"


def asked(story: Story, subject: str, **options: Any) -> Recall:
    workspace = story.workspace
    return recall(story.trust, registry_of(workspace), workspace.project, subject, **options)


def days_of(found: Recall, asset: str) -> list[str]:
    return found.reach.partitions().get(asset, [])


@pytest.mark.parametrize("place", [0, TRAINED, 6, 20, -1])
def test_day_reaches_what_was_made_from_it_and_nothing_else(told: Story, place: int) -> None:
    day = told.days[place]
    found = asked(told, f"{RAW}/{day}")
    made = [item for item in told.days if day in window(told.days, item)]
    learnt = any(day in window(told.days, item) for item in told.days[:TRAINED])
    assert days_of(found, RAW) == [day]
    assert days_of(found, FEATURES) == made
    assert days_of(found, "training_set") == (["train"] if learnt else [])
    assert days_of(found, "fraud_model") == (["m-1"] if learnt else [])
    assert days_of(found, SCORES) == (
        [told.scored_day] if learnt or told.scored_day in made else []
    )
    assert found.exit_code == 0
    assert found.batches == ([1] if days_of(found, SCORES) else [])
    kinds = {node.kind for node in found.reach.statements}
    assert ("approval" in kinds) == learnt


def naive(story: Story, day: str) -> list[int]:
    """Scored transactions with a row of a day behind any feature, one by one."""
    raw = pl.concat(story.raw[item] for item in window(story.days, story.scored_day))
    bad = set(story.raw[day]["transaction_id"])
    return sorted(
        row
        for row in story.scored()["transaction_id"]
        if any(bad & set(item.rows["transaction_id"]) for item in rows_behind(raw, row, NAMES))
    )


@pytest.mark.parametrize("place", [10, 30, -8, -2, -1])
def test_rows_are_those_whose_windows_really_hold_the_day(told: Story, place: int) -> None:
    day = told.days[place]
    found = asked(told, f"{RAW}/{day}", rows=True)
    assert found.rows is not None
    assert found.rows.problems == []
    assert found.rows.ids[SCORES][told.scored_day] == naive(told, day)
    assert 0 < len(naive(told, day)) <= told.scored().height
    assert found.rows.ids[FEATURES].keys() == set(days_of(found, FEATURES))


def test_some_rows_are_left_out(told: Story) -> None:
    found = asked(told, f"{RAW}/{told.days[-8]}", rows=True)
    assert found.rows is not None
    assert len(found.rows.ids[SCORES][told.scored_day]) < told.scored().height


def test_day_that_the_model_learnt_from_touches_each_score_by_the_model(told: Story) -> None:
    found = asked(told, f"{RAW}/{told.days[0]}", rows=True)
    assert found.rows is not None
    assert len(found.rows.ids[SCORES][told.scored_day]) == told.scored().height
    assert found.rows.in_windows[told.scored_day] == []  # out of every window by then


def test_older_version_of_a_day_reaches_only_what_read_it(story: Story) -> None:
    day = story.days[-2]
    before = story.trust.store.heads(RAW)[day][0].sha256
    land(story.trust, {day: story.raw[day].head(5)})
    after = story.trust.store.heads(RAW)[day][0].sha256
    assert days_of(asked(story, f"{RAW}/{day}"), FEATURES) == []
    assert days_of(asked(story, before), FEATURES) == [day, story.scored_day]
    featurise(story.trust, story.days, [story.scored_day])
    assert days_of(asked(story, after), FEATURES) == [story.scored_day]
    old = [item for item in asked(story, before).reach.of(FEATURES) if item.is_current]
    assert [item.entry.partition for item in old] == [day]


def test_same_bytes_made_again_do_not_fall_with_those_made_first(story: Story) -> None:
    day = story.days[4]
    first = story.trust.store.heads(FEATURES)[day][0]
    featurise(story.trust, story.days, [day])
    again = story.trust.store.heads(FEATURES)[day][0]
    assert (again.sha256, again.statement == first.statement) == (first.sha256, False)
    found = asked(story, again.statement[:16])
    assert [item.node.statement for item in found.reach.touched] == [again.statement]


def test_model_reaches_its_scores_and_no_other_models(story: Story) -> None:
    day = story.days[-2]
    other = score_again(story, day)
    assert asked(story, other.digest).reach.scores.keys() == {day}
    assert asked(story, story.deployed.digest).reach.scores.keys() == {story.scored_day}
    score(story.trust, other, [story.scored_day])
    assert asked(story, other.digest).reach.scores.keys() == {day, story.scored_day}
    assert asked(story, story.deployed.digest).reach.scores == {}  # superseded


def test_person_reaches_the_scores_that_an_approval_let_be_made(told: Story) -> None:
    found = asked(told, "person:risk.officer@example.com")
    assert found.reach.scores.keys() == {told.scored_day}
    assert {item.asset for item in found.reach.touched} == {SCORES}
    assert {DECISION} == {name for item in found.reach.touched for name in item.through}
    with pytest.raises(ConfigError):
        asked(told, "person:nobody@example.com")


@pytest.mark.parametrize("subject", ["release:1", "policy", "person:policy.author@example.com"])
def test_policy_reaches_everything_made_under_it(told: Story, subject: str) -> None:
    if subject == "policy":
        subject = f"policy:{told.trust.policies.current().digest[:12]}"
    found = asked(told, subject)
    assert set(found.reach.partitions()) >= {RAW, FEATURES, "training_set", "fraud_model", SCORES}
    assert len(found.reach.of(RAW)) == len(told.days)
    with pytest.raises(ConfigError, match="release another one first"):
        revoke_recalled(told.workspace, found, "bad policy")


def test_step_identity_reaches_what_it_signed(told: Story) -> None:
    found = asked(told, "identity:/steps/training_set")
    assert {item.asset for item in found.reach.touched if "itself" in item.through} == {
        "training_set"
    }
    assert found.reach.scores.keys() == {told.scored_day}


def test_landing_file_reaches_the_day_made_of_it(told: Story) -> None:
    day = told.days[5]
    found = asked(told, str(told.trust.home / "landing" / f"{day}.parquet"))
    assert days_of(found, RAW) == [day]
    last = date.fromisoformat(days_of(found, FEATURES)[-1])
    assert last == date.fromisoformat(day) + timedelta(days=37)


def test_package_whose_lock_cannot_be_read_is_could_not_decide(told: Story) -> None:
    found = asked(told, "package:numpy")  # the policy project lies in no repository
    assert found.exit_code == 2
    assert "cannot be told for certain" in found.headline


@pytest.mark.parametrize("subject", ["zzz", "raw_transactions/2031-01-01", "release:9", "policy:0",
                                     "model:77", "0" * 12, "0" * 64, "commit:0000000"])  # fmt: skip
def test_unknown_subject_is_refused(told: Story, subject: str) -> None:
    with pytest.raises(ConfigError, match="USAGE"):
        asked(told, subject)


def test_evidence_that_does_not_verify_is_told_and_nothing_is_withdrawn(story: Story) -> None:
    record = story.trust.store.records(asset=FEATURES)[-1]
    path = story.trust.store.bundle_path(record.bundle)
    path.write_bytes(path.read_bytes()[:-2] + b" }")
    story.trust.forget()
    found = asked(story, f"{RAW}/{story.days[3]}")
    assert found.exit_code == 1
    assert "EVIDENCE_TAMPERED" in found.headline
    assert days_of(found, FEATURES) == []
    with pytest.raises(ConfigError, match="cannot be told"):
        revoke_recalled(story.workspace, found, "wrong data")


@pytest.mark.parametrize("subject", ["day", "file", "model", "statement"])
def test_what_is_withdrawn_is_what_was_told(story: Story, subject: str) -> None:
    """The verifier's own account of revocations is the oracle: both name the same files."""
    named = {
        "day": f"{RAW}/{story.days[1]}",
        "file": story.trust.store.heads(FEATURES)[story.days[2]][0].sha256,
        "model": story.deployed.digest,
        "statement": story.trust.store.heads(FEATURES)[story.days[0]][0].statement,
    }
    found = asked(story, named[subject])
    signed = revoke_recalled(story.workspace, found, "wrong data")
    assert signed["kind"] in ("partition", "model", "statement")
    lineage = story.trust.lineage()
    told = {(item.node.statement, item.entry.sha256) for item in found.reach.touched
            if item.through != {DECISION}}  # fmt: skip
    nodes = [lineage.node(record.statement) for record in story.trust.store.records()]
    withdrawn = {
        (node.statement, entry.sha256)
        for node in nodes
        if node.claims.made
        for entry in node.entries
        if entry.sha256 in node.revoked or not node.is_sound
    }
    assert told == withdrawn
    assert found.rebuild
    assert all(":" in line for line in found.rebuild)


def test_what_is_made_again_from_a_mended_day_is_usable_though_bytes_came_out_the_same(
    story: Story,
) -> None:
    """A wrong label is younger than any window of the next day: its features are the same bytes."""
    days, day = story.days, story.days[-4]
    wrong = story.raw[day].with_columns(tx_fraud=pl.lit(1, dtype=pl.Int8))
    land(story.trust, {day: wrong})
    featurise(story.trust, days, days)
    before = story.trust.store.heads(FEATURES)[days[-3]][0]
    revoke_recalled(story.workspace, asked(story, f"{RAW}/{day}"), "wrong labels")
    mended = story.raw[day].with_columns(tx_amount=pl.col("tx_amount").round(1))
    land(story.trust, {day: mended.with_columns(tx_amount=story.raw[day]["tx_amount"])[::-1]})
    featurise(story.trust, days, days[-4:])
    after = story.trust.store.heads(FEATURES)[days[-3]][0]
    assert (after.sha256, after.statement == before.statement) == (before.sha256, False)
    train_on(story.trust, days[-6:-1])  # its days are of both statements
    heads = story.trust.store.heads("training_set")["train"]
    assert story.trust.revoked_head(heads) is None
    assert days_of(asked(story, before.statement), "training_set") == ["train"]
    for asset in (RAW, FEATURES, "training_set"):
        verdict = verify_subject(story.trust, registry_of(story.workspace), asset)
        assert verdict.trusted, (asset, verdict.root_cause)
    whole = verify_subject(story.trust, registry_of(story.workspace), "all")
    assert "PARTITION_REVOKED" not in {item.code for item in whole.reasons}


def test_withdrawal_needs_a_reason_and_somebody_who_may(story: Story) -> None:
    found = asked(story, f"{RAW}/{story.days[1]}")
    with pytest.raises(ConfigError, match="needs a reason"):
        revoke_recalled(story.workspace, found, " ")
    with pytest.raises(GateDenied):
        revoke_recalled(story.workspace, found, "wrong", "ml.engineer@example.com")
