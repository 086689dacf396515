"""`diff`: all that differs by what is signed, and nothing that does not."""

import subprocess
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.attested.core.errors import ConfigError, EvidenceError
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.investigate.difference import Difference, compare
from fraud_provenance.investigate.past import Past, packages_of, policy_changes
from fraud_provenance_tests.investigate.story import Story, featurise, land, score_again
from fraud_provenance_tests.product import ENGINEER_ENV


def differ(story: Story, a: str, b: str) -> Difference:
    workspace = story.workspace
    return compare(story.trust, registry_of(workspace), workspace.project, a, b)


def named(found: Difference) -> dict[tuple[str, str], tuple[object, object]]:
    return {(item.section, item.name): (item.a, item.b) for item in found.changes}


def test_subject_does_not_differ_from_itself(told: Story) -> None:
    for subject in (f"raw_transactions/{told.days[3]}", told.deployed.digest, "release:1",
                    str(told.scored()["transaction_id"][0])):  # fmt: skip
        found = differ(told, subject, subject)
        assert (found.changes, found.moved, found.files, found.notes) == ([], [], [], []), subject
        assert "do not differ" in found.headline
        assert found.exit_code == 0


def test_days_differ_in_rows_and_columns(told: Story) -> None:
    a, b = told.days[3:5]
    found = differ(told, f"raw_transactions/{a}", f"raw_transactions/{b}")
    (moved,) = found.moved
    assert moved.changed == ("the file",)
    assert moved.rows == (told.raw[a].height, told.raw[b].height)
    shifted = {shift.column for shift in moved.shifts}
    assert "tx_amount" in shifted
    assert "transaction_id" not in shifted
    assert found.changes == []


def test_two_days_of_features_differ_in_the_raw_days_below(told: Story) -> None:
    a, b = told.days[-3], told.days[-2]
    found = differ(told, f"transaction_features/{a}", f"transaction_features/{b}")
    moved = {item.asset: item for item in found.moved}
    assert moved["raw_transactions"].only_b == (b,)
    assert len(moved["raw_transactions"].only_a) == 1
    assert moved["transaction_features"].changed == ("the file",)


def test_two_scores_differ_by_what_each_feature_added(told: Story) -> None:
    rows = told.scored().sort("score")["transaction_id"]
    found = differ(told, str(rows[0]), str(rows[-1]))
    assert found.changes[0].name == "score"
    shares = [item for item in found.changes[1:] if item.name.endswith("(value, share)")]
    gaps = [abs((item.a or (0, 0))[1] - (item.b or (0, 0))[1]) for item in shares]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0


def test_two_models_differ_in_their_files_and_not_in_what_they_share(story: Story) -> None:
    other = score_again(story, story.days[-2])
    found = differ(story, story.deployed.digest, other.digest)
    moved = {item.asset: item for item in found.moved}
    assert moved["fraud_model"].changed == ("requirements.txt",)
    assert set(moved) == {"fraud_model"}
    assert found.trusted


def test_value_that_became_nothing_is_seen_in_the_columns(story: Story) -> None:
    day = story.days[-1]
    broken = story.raw[day].with_columns(tx_amount=pl.lit(0.0))
    land(story.trust, {day: broken})
    found = differ(story, f"raw_transactions/{story.days[-2]}", f"raw_transactions/{day}")
    (moved,) = found.moved
    assert moved.shifts[0].column == "tx_amount"
    assert moved.shifts[0].distance == 1


def test_two_versions_of_a_day_differ_in_their_columns(story: Story) -> None:
    day = story.days[6]
    before = story.trust.store.heads("raw_transactions")[day][0].sha256
    wrong = story.raw[day].with_columns(tx_fraud=pl.lit(1, dtype=pl.Int8))
    path = story.trust.home / "data" / "raw_transactions" / f"{day}.parquet"
    kept = path.read_bytes()
    land(story.trust, {day: wrong})
    found = differ(story, before[:16], f"raw_transactions/{day}")
    assert any("are not compared" in note for note in found.notes)  # those bytes are gone
    path.write_bytes(kept)
    back = differ(story, f"raw_transactions/{day}", before[:16])
    assert [item.changed for item in back.moved] == [("the file",)]


def test_run_is_all_that_it_made(told: Story) -> None:
    found = differ(told, f"run:run-{told.days[0]}", f"run:run-{told.days[0]}")
    assert {"raw_transactions", "transaction_features", "training_set"} <= set(found.a.files)
    assert found.changes == []
    with pytest.raises(ConfigError, match="no run"):
        differ(told, "run:none-such", "release:1")


def test_side_that_does_not_hold_is_named_and_nothing_is_read_from_it(story: Story) -> None:
    day = story.days[3]
    path = story.trust.home / "data" / "raw_transactions" / f"{day}.parquet"
    path.write_bytes(parquet_bytes(story.raw[story.days[4]]))
    found = differ(story, f"raw_transactions/{story.days[5]}", f"raw_transactions/{day}")
    assert found.exit_code == 1
    assert found.headline.startswith("NOT trusted")
    assert f"raw_transactions@{day}" in found.headline
    assert all(not item.shifts for item in found.moved)
    assert any("are not compared" in note for note in found.notes)


def test_features_made_anew_differ_only_where_they_do(story: Story) -> None:
    day = story.days[10]
    before = story.trust.store.heads("transaction_features")[day][0].sha256
    shorter = story.raw[story.days[9]].head(3)
    land(story.trust, {story.days[9]: shorter})
    featurise(story.trust, story.days, [day])
    found = differ(story, before[:16], f"transaction_features/{day}")
    assert any(item.asset == "raw_transactions" and story.days[9] in item.changed
               for item in found.moved)  # fmt: skip


def test_unknown_release_is_refused(told: Story) -> None:
    with pytest.raises(ConfigError, match="there is no release 7"):
        differ(told, "release:1", "release:7")


# --- the past --------------------------------------------------------------------------------


def test_policy_changes_are_told_value_by_value() -> None:
    a = {"data/thresholds.json": b'{"auc": {"value": 0.7, "reason": "x"}}', "lib/lib.rego": b"a\nb"}
    b = {"data/thresholds.json": b'{"auc": {"value": 0.6, "reason": "x"}}', "lib/lib.rego": b"a\nc"}
    values, rules = policy_changes(a, b)
    assert (values["name"], values["a"], values["b"]) == ("thresholds.json: auc.value", 0.7, 0.6)
    assert (rules["name"], rules["a"], rules["b"]) == ("lib/lib.rego", "1 lines removed", "1 added")


def test_lock_names_packages_and_versions() -> None:
    lock = "# made\nnumpy==2.0.1 \\\n    --hash=sha256:ab\n    # via x==1\nfeast[duckdb]==0.67.0\n"
    assert packages_of(lock) == {"numpy": "2.0.1", "feast[duckdb]": "0.67.0"}


def test_commits_are_compared_and_a_lock_must_be_the_signed_one(
    told: Story, tmp_path: Path
) -> None:
    def commit(lock: str) -> str:
        (tmp_path / "requirements.lock").write_text(lock)
        for command in (["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True, env=ENGINEER_ENV)
        head = ["git", "rev-parse", "HEAD"]
        return subprocess.run(head, cwd=tmp_path, check=True, capture_output=True, text=True,
                              env=ENGINEER_ENV).stdout.strip()  # fmt: skip

    from fraud_provenance.attested.core import encoding

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True, env=ENGINEER_ENV)
    first, second = commit("numpy==1.0\n"), commit("numpy==2.0\n")
    past = Past(told.trust, tmp_path)
    assert past.changed_files(first, second) == [
        {"path": "requirements.lock", "added": 1, "removed": 1}
    ]
    assert past.lock(second, encoding.digest_bytes(b"numpy==2.0\n")) == {"numpy": "2.0"}
    with pytest.raises(EvidenceError, match="has not the lock"):
        past.lock(first, encoding.digest_bytes(b"numpy==2.0\n"))
