"""`blame`: the causes of what really happened to a small home, and nothing else."""

import json
from collections.abc import Callable

import polars as pl
import pytest

from fraud_provenance.alerts import Alert, Outbox
from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance.cli.inquiries import blame_json
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.investigate.blame import Question, blame
from fraud_provenance.investigate.causes import Blame
from fraud_provenance.investigate.page import of_blame
from fraud_provenance_tests.investigate.story import Story, featurise, land, score_again
from fraud_provenance_tests.scored import score

RAW, SCORES = "raw_transactions", "transaction_scores"
Change = Callable[[pl.DataFrame], pl.DataFrame]


def ask(story: Story, subject: str, against: str = "", *, quick: bool = False) -> Blame:
    workspace = story.workspace
    asked = Question(story.trust, registry_of(workspace), workspace.project, against, quick)
    return blame(asked, subject)


def named(found: Blame) -> set[str]:
    return {item.key for item in found.causes}


def dearer(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("tx_amount") * 7)


def other_scenario(frame: pl.DataFrame) -> pl.DataFrame:
    """A column that no feature is made of."""
    return frame.with_columns(tx_fraud_scenario=pl.lit(3, dtype=pl.Int8))


def deliver(story: Story, changes: dict[str, Change]) -> None:
    """Days come again, and the newest day's features and scores are made from them."""
    now = {day: how(story.raw[day]) for day, how in changes.items()}
    land(story.trust, now, versioned=True)
    featurise(story.trust, story.days, [story.scored_day])
    score(story.trust, story.deployed, [story.scored_day])


@pytest.fixture
def kept(story: Story) -> Story:
    """The story, its last days versioned by DVC and scored again, as they were."""
    same = {day: lambda frame: frame for day in story.days[-2:]}
    deliver(story, dict(same))
    return story


def test_day_whose_rows_moved_the_scores_is_named_and_the_decoy_is_not(kept: Story) -> None:
    day, decoy = kept.scored_day, kept.days[-2]
    deliver(kept, {day: dearer, decoy: other_scenario})
    found = ask(kept, f"{SCORES}/{day}")
    assert named(found) == {f"data {RAW}/{day}"}
    (cause,) = found.causes
    assert cause.share == pytest.approx(1.0)
    assert cause.is_grounded
    assert cause.path[0].name == SCORES
    assert cause.path[-1].name == RAW
    assert all(link.is_good and link.statement for link in cause.path)
    assert "tx_amount" in " ".join(cause.details)
    assert f"data {RAW}/{decoy}" in {item.key for item in found.immaterial}
    assert found.notes == []
    assert (found.exit_code, found.unexplained) == (0, 0.0)
    assert "version before" in found.good


def test_features_made_again_lead_to_the_raw_day_that_moved_them(kept: Story) -> None:
    day, decoy = kept.scored_day, kept.days[-2]
    deliver(kept, {day: dearer, decoy: other_scenario})
    found = ask(kept, f"transaction_features/{day}")
    assert named(found) == {f"data {RAW}/{day}"}
    assert found.causes[0].path[-1].name == RAW
    assert found.exit_code == 0


def test_quick_ranks_by_the_shift_and_makes_nothing_again(kept: Story) -> None:
    deliver(kept, {kept.scored_day: dearer, kept.days[-2]: other_scenario})
    found = ask(kept, f"{SCORES}/{kept.scored_day}", quick=True)
    assert found.causes[0].key == f"data {RAW}/{kept.scored_day}"
    assert found.causes[0].share is None
    assert found.runs == 0
    assert "nothing was made again" in " ".join(found.notes)


def test_scores_that_did_not_move_have_no_cause(kept: Story) -> None:
    deliver(kept, {kept.days[-2]: other_scenario})
    # The scores are the same bytes, so that the day before is what they are compared with, or none.
    found = ask(kept, f"{SCORES}/{kept.scored_day}")
    assert found.causes == []
    assert found.exit_code in (0, 2)


def test_model_that_cannot_be_trained_again_is_put_back_as_a_whole(kept: Story) -> None:
    """Its trees are the same, so that not a score moves by it."""
    score_again(kept, kept.scored_day)
    day_before = kept.scored_day
    found = ask(kept, f"{SCORES}/{day_before}")
    assert "model fraud_model" not in named(found)
    assert found.exit_code in (0, 2)


def test_day_delivered_again_is_compared_with_its_version_before(kept: Story) -> None:
    day = kept.days[-2]
    deliver(kept, {day: dearer})
    found = ask(kept, f"{RAW}/{day}")
    assert named(found) == {f"data {RAW}/{day}"}
    assert found.causes[0].before != found.causes[0].after
    assert any("tx_amount" in text for text in found.causes[0].details)


def test_edited_file_is_tampering_and_nothing_below_is_explained(story: Story) -> None:
    day = story.days[-4]
    path = story.trust.home / "data" / RAW / f"{day}.parquet"
    path.write_bytes(parquet_bytes(dearer(story.raw[day])))
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {f"tampering {RAW}/{day}"}
    (cause,) = found.causes
    assert cause.is_broken
    assert cause.is_grounded
    assert found.exit_code == 1
    assert "does not hold" in found.headline
    assert found.immaterial == []


def test_deleted_file_is_missing(story: Story) -> None:
    day = story.days[-4]
    (story.trust.home / "data" / RAW / f"{day}.parquet").unlink()
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {f"missing {RAW}/{day}"}
    assert found.exit_code == 1


def test_day_that_never_came_is_named(told: Story) -> None:
    found = ask(told, f"{SCORES}/2018-06-30")
    assert named(found) == {"missing landing/2018-05-15"}
    assert found.exit_code == 1


def test_fault_that_alerts_tell_is_infrastructure(story: Story) -> None:
    now = story.trust.clock()
    said = "raw_transactions: LOG_UNAVAILABLE: signing: no answer"
    alert = Alert.of("could_not_decide", "today", said, [], now)
    Outbox(story.trust.home).put(alert)
    landed = parquet_bytes(story.raw[story.scored_day])
    (story.trust.home / "landing" / "2018-05-15.parquet").write_bytes(landed)
    found = ask(story, f"{SCORES}/2018-05-15")
    assert named(found) == {"infrastructure log"}
    assert found.exit_code == 2
    assert found.causes[0].path[0].name == alert.id[:12]


def test_model_without_an_earlier_good_one_cannot_be_decided(told: Story) -> None:
    found = ask(told, told.deployed.digest)
    assert found.causes == []
    assert found.exit_code == 2
    assert "could not decide" in found.headline


def test_what_is_named_as_good_must_be_of_the_same_kind(told: Story) -> None:
    with pytest.raises(ConfigError, match="cannot be compared"):
        ask(told, f"{SCORES}/{told.scored_day}", f"{RAW}/{told.days[0]}")
    with pytest.raises(ConfigError, match="alerts begin"):
        ask(told, "alert:0123")


def test_answer_for_machines_and_its_page_say_the_same(kept: Story) -> None:
    deliver(kept, {kept.scored_day: dearer})
    found = ask(kept, f"{SCORES}/{kept.scored_day}")
    document = json.loads(json.dumps(blame_json(found)))
    (cause,) = document["causes"]
    assert cause["cause"] == f"data {RAW}/{kept.scored_day}"
    assert all(link["verified"] for link in cause["path"])
    page = of_blame(kept.trust, found).html()
    assert cause["cause"] in page
    assert "<script" not in page
