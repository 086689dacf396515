"""`blame` where links do not hold: every one that is broken by itself, and nothing that follows."""

import pytest

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.investigate.blame import Question, blame, not_to_be_asked
from fraud_provenance.investigate.causes import Blame
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.investigate.story import Story

RAW, SCORES = "raw_transactions", "transaction_scores"


def ask(story: Story, subject: str) -> Blame:
    workspace = story.workspace
    return blame(Question(story.trust, registry_of(workspace), workspace.project), subject)


def named(found: Blame) -> set[str]:
    return {item.key for item in found.causes}


def edit(story: Story, asset: str, day: str) -> None:
    path = story.trust.home / "data" / asset / f"{day}.parquet"
    path.write_bytes(path.read_bytes() + b"more")


def test_one_day_edited_and_another_gone_are_both_named(story: Story) -> None:
    edit(story, RAW, story.days[-4])
    (story.trust.home / "data" / RAW / f"{story.days[-3]}.parquet").unlink()
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {f"tampering {RAW}/{story.days[-4]}", f"missing {RAW}/{story.days[-3]}"}
    assert all(item.is_grounded for item in found.causes)
    assert found.exit_code == 1


def test_edited_raw_day_hides_no_edited_scores(story: Story) -> None:
    edit(story, RAW, story.days[-4])
    edit(story, SCORES, story.scored_day)
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {
        f"tampering {RAW}/{story.days[-4]}", f"tampering {SCORES}/{story.scored_day}",
    }  # fmt: skip


def test_each_withdrawn_day_is_named_with_the_way_to_who_signed(story: Story) -> None:
    days = story.days[-4:-2]
    for day in days:
        revoke_subject(story.workspace, f"{RAW}/{day}", "wrong")
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {f"revocation {RAW}/{day}" for day in days}
    for cause in found.causes:
        assert [link.kind for link in cause.path][-2:] == ["raw days", "revocation"]
        assert cause.path[0].name == SCORES
        assert "people" in cause.who


def test_withdrawn_day_and_edited_day_are_both_named(story: Story) -> None:
    revoke_subject(story.workspace, f"{RAW}/{story.days[-4]}", "wrong")
    edit(story, RAW, story.days[-3])
    found = ask(story, f"{SCORES}/{story.scored_day}")
    assert named(found) == {
        f"revocation {RAW}/{story.days[-4]}", f"tampering {RAW}/{story.days[-3]}",
    }  # fmt: skip


def test_file_that_nothing_attests_is_tampering(story: Story) -> None:
    frame = story.raw[story.scored_day]
    path = story.trust.home / "data" / RAW / "2018-05-20.parquet"
    path.write_bytes(parquet_bytes(frame))
    assert named(ask(story, f"{RAW}/2018-05-20")) == {f"tampering {RAW}/2018-05-20"}


@pytest.mark.parametrize("subject", [RAW, SCORES])
def test_delivered_file_that_is_no_table_is_named(story: Story, subject: str) -> None:
    (story.trust.home / "landing" / "2018-05-15.parquet").write_bytes(b"PAR1 and no more")
    found = ask(story, f"{subject}/2018-05-15")
    assert named(found) == {"data landing/2018-05-15"}
    assert "cannot be read" in found.causes[0].said


def test_home_that_cannot_be_opened_names_what_was_changed() -> None:
    name = "bundle 560e6fcc00b3 (policies)"
    told = reason(RootCause.EVIDENCE_TAMPERED, "bundle 560e of policies was changed", artifact=name)
    found = not_to_be_asked("model@champion", EvidenceError(told))
    assert named(found) == {"tampering policies"}
    assert found.exit_code == 1
