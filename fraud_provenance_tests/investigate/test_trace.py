"""`trace`: from a score, or anything else, to raw rows; what does not hold is named first."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.alerts import Alert, Outbox
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.columns import FEATURES
from fraud_provenance.investigate.chain import folded, ranges
from fraud_provenance.investigate.trace import Trace, trace_score, trace_subject
from fraud_provenance_tests.investigate.story import Story, featurise, land
from fraud_provenance_tests.scored import batch_of


def riskiest(story: Story) -> int:
    return int(story.scored().sort("score")["transaction_id"][-1])


def follow(story: Story, subject: str) -> Trace:
    return trace_subject(story.trust, registry_of(story.workspace), subject)


def test_score_is_taken_apart_down_to_raw_rows(told: Story) -> None:
    transaction = riskiest(told)
    found = trace_score(told.trust, transaction, why=True)
    assert found.why is not None
    assert found.verdict.trusted
    assert found.score is not None
    assert found.why.score == found.score.row["score"]
    assert {share.name for share in found.why.shares} == set(FEATURES)
    total = sum(share.contribution for share in found.why.shares)
    assert total + found.why.base == pytest.approx(found.why.margin, abs=1e-5)
    raw = pl.concat(told.raw.values())
    for share in found.why.shares:
        for row in share.rows:
            own = raw.row(by_predicate=pl.col("transaction_id") == row.transaction_id, named=True)
            assert (row.amount, row.day) == (own["tx_amount"], str(own["tx_datetime"].date()))
            assert row.fraud in (None, bool(own["tx_fraud"]))
            assert told.trust.store.files_named(row.sha256)[0].partition == row.day
    own_row = next(share for share in found.why.shares if share.name == "tx_amount").rows
    assert [(row.transaction_id, row.fraud) for row in own_row] == [(transaction, None)]


def test_count_of_rows_behind_a_count_is_the_count(told: Story) -> None:
    for transaction in told.scored()["transaction_id"].head(5):
        found = trace_score(told.trust, transaction, why=True).why
        assert found is not None
        counts = [share for share in found.shares if "_nb_tx_" in share.name]
        assert [len(share.rows) for share in counts] == [share.value for share in counts]


def edit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def damage_raw(story: Story) -> None:
    edit(story.trust.home / "data" / "raw_transactions" / f"{story.days[-2]}.parquet")


def damage_features(story: Story) -> None:
    edit(story.trust.home / "data" / "transaction_features" / f"{story.scored_day}.parquet")


def damage_model(story: Story) -> None:
    edit(story.trust.home / "mlflow" / "artifacts" / "models" / "m-1" / "artifacts" / "model.ubj")


@pytest.mark.parametrize(
    ("damage", "place"),
    [(damage_raw, "raw_transactions"), (damage_model, "fraud_model")],
)
def test_no_answer_rests_on_bytes_that_do_not_hold(
    story: Story, damage: Callable[[Story], None], place: str
) -> None:
    transaction = riskiest(story)
    damage(story)
    found = trace_score(story.trust, transaction, why=True)
    assert found.why is None
    assert not found.verdict.trusted
    assert f"First broken link: DIGEST_MISMATCH({place}" in found.headline


def test_score_answers_for_what_it_was_made_from_and_verify_for_the_rest(story: Story) -> None:
    """A day outside of all windows: it lies in the same statement as the days that count."""
    transaction, apart = riskiest(story), story.days[5]
    before = trace_score(story.trust, transaction)
    edit(story.trust.home / "data" / "raw_transactions" / f"{apart}.parquet")
    found = trace_score(story.trust, transaction, why=True)
    assert found.verdict.trusted
    assert found.verdict.links == before.verdict.links
    assert not follow(story, f"transaction_scores/{story.scored_day}").verdict.trusted


def test_damaged_features_are_named_and_made_again_with_the_attested_digest(
    told: Story, story: Story
) -> None:
    transaction = riskiest(story)
    honest = trace_score(told.trust, transaction, why=True)
    damage_features(story)
    found = trace_score(story.trust, transaction, why=True)
    assert "DIGEST_MISMATCH(transaction_features" in found.headline
    assert found.why == honest.why


def test_features_that_cannot_be_made_again_explain_nothing(story: Story) -> None:
    transaction = riskiest(story)
    damage_features(story)
    damage_raw(story)
    found = trace_score(story.trust, transaction, why=True)
    assert found.why is None
    assert not found.verdict.trusted


def test_score_of_an_earlier_version_of_its_features_is_explained(story: Story) -> None:
    """The features came again otherwise, the day was not scored again; its raw days are kept."""
    transaction = riskiest(story)
    before = trace_score(story.trust, transaction, why=True).why
    other = story.raw[story.days[-1]].with_columns(tx_amount=pl.col("tx_amount") + 1)
    path = story.trust.home / "data" / "raw_transactions" / f"{story.days[-1]}.parquet"
    kept = path.read_bytes()
    land(story.trust, {story.days[-1]: other})
    featurise(story.trust, story.days, [story.days[-1]])
    assert trace_score(story.trust, transaction, why=True).why is None  # the raw day is gone
    path.write_bytes(kept)
    assert trace_score(story.trust, transaction, why=True).why == before


def test_day_that_was_replaced_names_its_versions(story: Story) -> None:
    day = story.days[4]
    assert follow(story, f"raw_transactions/{day}").about == ()
    before = story.trust.store.heads("raw_transactions")[day][0].sha256
    land(story.trust, {day: story.raw[day].head(4)})
    found = follow(story, f"raw_transactions/{day}")
    assert "2 versions" in found.about[0]
    assert before[:16] in found.about[1]
    assert f"raw_transactions@{day}: delivered again with other rows" in found.headline
    old = follow(story, before)
    assert not any("delivered again" in note for item in old.joints for note in item.odd)


def test_feature_that_its_raw_rows_do_not_give_is_refused(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fraud_provenance.fraud import recompute

    honest = recompute.rows_behind
    monkeypatch.setattr(
        recompute,
        "rows_behind",
        lambda *given: [replace(item, value=item.value + 1) for item in honest(*given)],
    )
    found = trace_score(story.trust, riskiest(story), why=True)
    assert found.why is None
    assert found.verdict.root_cause is not None
    assert found.verdict.root_cause.code == "FEATURE_RECOMPUTE_MISMATCH"


def test_unknown_transaction_is_refused(told: Story) -> None:
    with pytest.raises(EvidenceError, match="EVIDENCE_MISSING"):
        trace_score(told.trust, 999_999_999, why=True)


def test_chain_of_any_subject_names_the_days_that_it_was_made_from(told: Story) -> None:
    day = told.scored_day
    found = follow(told, f"transaction_features/{day}")
    assert found.verdict.trusted
    days = {item.role: item.link.partitions for item in found.joints}
    assert days["features"] == (day,)
    assert days["raw days"] == tuple(told.days[-38:])
    landed = [item for item in found.joints if item.role == "landing file"]
    assert len(landed) == 38
    lines = folded(found.joints)
    assert sum(line.role == "landing file" for line in lines) == 1
    assert sum(line.count for line in lines) == len(found.joints)


def test_every_kind_of_subject_is_followed(told: Story) -> None:
    approval = told.trust.store.records(predicate_type="urn:fraud-provenance:approval:v1")[0]
    file = told.trust.home / "data" / "transaction_scores" / f"{told.scored_day}.parquet"
    batch = batch_of(told.trust, told.scores)
    subjects = {
        "batch:1": "prediction batch",
        told.deployed.decision[:12]: "release decision",
        approval.statement[:12]: "approval",
        approval.bundle: "approval",
        told.deployed.digest[:16]: "model",
        batch.statement.digest[:10]: "prediction batch",
        str(file): "scores",
        f"raw_transactions/{told.days[0]}": "raw days",
    }
    for subject, role in subjects.items():
        found = follow(told, subject)
        assert role in {item.role for item in found.joints}, subject
        assert found.verdict.trusted, (subject, found.headline)
        assert all(item.state != "broken" for item in found.joints), subject


@pytest.mark.parametrize("subject", ["batch:99", "zzz", "0" * 12, "alert:ff", "alert:"])
def test_unknown_subject_is_refused(told: Story, subject: str) -> None:
    if subject == "batch:99":
        assert not follow(told, subject).verdict.trusted
        assert "NOT trusted" in follow(told, subject).headline
        return
    with pytest.raises(ConfigError, match="USAGE"):
        follow(told, subject)


def test_alert_leads_to_what_it_names_and_is_no_evidence(story: Story) -> None:
    day = story.days[5]
    alert = Alert.of("contract_failed", "x", f"raw_schema on raw_transactions, 1 day ({day})",
                     [f"evidence: fraud-provenance verify raw_transactions/{day}"],
                     datetime.now(UTC))  # fmt: skip
    Outbox(story.trust.home).put(alert)
    found = follow(story, f"alert:{alert.id[:8]}")
    assert found.verdict.subject == f"raw_transactions/{day}"
    assert "no evidence" in found.about[0]


def test_days_in_a_row_are_one_span() -> None:
    assert ranges(["2018-02-28", "2018-03-01", "2018-03-03", "train", ""]) == (
        "2018-02-28 … 2018-03-01 (2 days), 2018-03-03, train"
    )


def test_broken_link_is_named_on_the_first_line_and_is_no_part_of_a_fold(story: Story) -> None:
    damage_raw(story)
    found = follow(story, f"transaction_features/{story.scored_day}")
    assert found.headline.startswith("NOT trusted")
    assert f"DIGEST_MISMATCH(raw_transactions@{story.days[-2]})" in found.headline
    states = {line.role: line.state for line in folded(found.joints)}
    assert states["raw days"] == "broken"
    assert io.StringIO(found.headline).readline() == found.headline  # one line
