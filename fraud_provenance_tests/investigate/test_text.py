"""The commands as a person types them: the verdict first, a screen at most, a page beside it."""

from pathlib import Path

import pytest

from fraud_provenance.cli import application as cli
from fraud_provenance_tests.investigate.story import Story

SCREEN = 50


@pytest.fixture
def home(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """A copy, named by the environment as a person names a home."""
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(story.trust.home))
    return story


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = cli.execute(arguments)
    return code, capsys.readouterr().out.splitlines()


def test_trace_fits_a_screen_and_all_unfolds_it(
    home: Story, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    transaction = str(home.scored()["transaction_id"][0])
    page = tmp_path / "trace.html"
    code, lines = said(capsys, "trace", transaction, "--why", "--html", str(page))
    assert code == 0
    assert lines[0].startswith(f"trusted: score of {transaction}")
    assert f"transaction {transaction}" in lines[1]
    assert "bit for bit" in lines[2]
    assert len(lines) <= 2 * SCREEN  # the narrow columns of a test's terminal break lines
    assert page.exists()
    _, unfolded = said(capsys, "trace", transaction, "--all")
    assert sum("landing file" in line for line in unfolded) > 30


def test_why_of_something_else_than_a_score_is_bad_usage(
    home: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "trace", f"raw_transactions/{home.days[0]}", "--why")[0] == 2


def test_diff_says_in_what_on_the_first_line(
    home: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [f"raw_transactions/{day}" for day in home.days[:2]]
    code, lines = said(capsys, "diff", *days)
    assert code == 0
    assert lines[0] == f"{days[0]} and {days[1]} differ in outputs"
    assert any("tx_amount" in line for line in lines)


def test_recall_tells_withdraws_and_lists_what_to_make_again(
    home: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = f"raw_transactions/{home.days[-2]}"
    code, lines = said(capsys, "recall", subject, "--rows")
    assert code == 0
    assert lines[0].startswith(f"{subject}: {home.scored().height} scores")
    assert not any("revoked" in line for line in lines)
    assert said(capsys, "recall", subject, "--revoke")[0] == 2  # without a reason
    code, lines = said(capsys, "recall", subject, "--revoke", "--reason", "wrong data")
    assert code == 0
    assert any(line.startswith(f"revoked {subject}") for line in lines)
    assert any(line.startswith("to make again: transaction_scores") for line in lines)
    transaction = str(home.scored()["transaction_id"][0])
    code, lines = said(capsys, "trace", transaction)
    assert code == 1
    assert "PARTITION_REVOKED" in lines[0]
