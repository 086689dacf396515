"""The campaign of past models: what it plans can be done, and what it counts is what was said."""

import argparse
import re
from pathlib import Path

import pytest

from benchmarks import locks, past_models
from benchmarks.past_models import EDITS, LOCKS, Edit, Made, shared_out, summary, windows

PROJECT = Path(__file__).resolve().parents[2]
NEWEST = "n" * 40
ASKED = argparse.Namespace(models=3, commits=1, locks=1)


def made(commit: str, origin: str = "today's environment: the signed packages") -> Made:
    """A model that came out again by a commit, in an environment."""
    found = Made("fraud_model/m", ("2018-04-01", 7), "", 1.0, [], exit_code=0)
    found.ran = {"transaction_features": [f"commit {'f' * 12}, built from lock abc"],
                 "fraud_model": [f"commit {commit[:12]}, {origin}"]}  # fmt: skip
    return found


OF_ALL_KINDS = [
    made(NEWEST),
    made("c" * 40),
    made("d" * 40, "built from lock 1234 with its hashes"),
]


def test_all_edits_apply_one_after_the_other_and_each_is_another_commit(tmp_path: Path) -> None:
    names = {name for edit in EDITS for name, _, _ in edit.changes}
    for name in names:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((PROJECT / name).read_bytes())
    seen = set()
    for edit in EDITS:
        edit.apply(tmp_path)
        seen.add(tuple((tmp_path / name).read_bytes() for name in sorted(names)))
        for name in names:
            if name.endswith(".py"):
                compile((tmp_path / name).read_text("utf-8"), name, "exec")
    assert len(seen) == len(EDITS) >= 10


def test_a_text_that_is_not_there_is_no_edit(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("b b", "utf-8")
    Edit("x", (("a", "b", "c"),)).apply(tmp_path)
    assert (tmp_path / "a").read_text("utf-8") == "c c"
    with pytest.raises(SystemExit, match="no 'b'"):
        Edit("x", (("a", "b", "c"),)).apply(tmp_path)


def test_locks_have_other_versions_of_locked_packages() -> None:
    lock = (PROJECT / locks.LOCK).read_text("utf-8")
    today = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    for versions in LOCKS:
        assert all(today[name] != version for name, version in versions.items())
    assert len({tuple(sorted(versions.items())) for versions in LOCKS}) == len(LOCKS)


def test_windows_are_of_the_feed_and_no_two_are_alike() -> None:
    found = list(windows(30))
    assert len(set(found)) == len(found) >= 30
    assert found[0] == ("2018-04-10", 7)
    assert sum(shared_out(5, 3)) == 5


def test_models_are_counted_by_what_their_evidence_names() -> None:
    told = summary(OF_ALL_KINDS, NEWEST, ASKED)
    assert told["holds"]
    assert (told["under another commit"], told["under another lock"]) == (1, 1)
    assert told["grounds"] == 3


@pytest.mark.parametrize(
    "models",
    [
        OF_ALL_KINDS[:2],
        [*OF_ALL_KINDS[:2], made(NEWEST)],
        [OF_ALL_KINDS[0], OF_ALL_KINDS[2], made(NEWEST)],
        [*OF_ALL_KINDS, Made("fraud_model/m", ("2018-04-01", 7), "", 1.0, [], exit_code=1)],
    ],
    ids=["too few", "no other lock", "no other commit", "one differs"],
)
def test_what_is_missing_does_not_hold(models: list[Made]) -> None:
    assert not summary(models, NEWEST, ASKED)["holds"]


def test_more_commits_than_there_are_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["past_models", "--commits", "99"])
    with pytest.raises(SystemExit):
        past_models.main()
