"""Making a model again: where bytes part, what can be made in one run, and by what code."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, ProvenanceError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.model import XGBoostParameters
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.fraud.recompute import recompute_features
from fraud_provenance.fraud.transactions import to_raw
from fraud_provenance.investigate import checkouts as checkouts_module
from fraud_provenance.investigate.checkouts import Checkouts, Installed
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.recipes import Source
from fraud_provenance.investigate.reproducing import (
    FeatureDay,
    Reproduced,
    ground_of,
    grouped,
    reproduce,
)
from fraud_provenance.investigate.unlike import Unlike, first_difference
from fraud_provenance.models.facts import MODEL
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.investigate.story import Story
from fraud_provenance_tests.product import copy_project
from fraud_provenance_tests.scored import trained

HERE = Installed(Path(sys.executable), "this one")
FRAME = pl.DataFrame({"key": [1, 2, 3], "share": [0.0, 0.5, 1.0], "name": ["a", "b", "c"]})


def quiet(_text: str) -> None:
    """Nothing is told."""


# --- where two files part ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "place", "what"),
    [
        (FRAME.with_columns(share=pl.Series([0.0, 0.5, 2.0])), "share", "1 of 3 rows"),
        (FRAME.with_columns(share=pl.Series([-0.0, 0.5, 1.0])), "share", "1 of 3 rows"),
        (FRAME.with_columns(share=pl.Series([None, 0.5, 1.0])), "share", "1 of 3 rows"),
        (FRAME.with_columns(key=pl.col("key").cast(pl.Int32)), "key", "Int64 was signed"),
        (FRAME.drop("name"), "name", "only one has"),
        (FRAME.with_columns(more=pl.lit(1)), "more", "only one has"),
        (FRAME.select("share", "key", "name"), "key", "another order"),
        (FRAME.head(2), "", "3 rows were signed, 2 came out"),
    ],
)
def test_first_column_that_differs_is_named(made: pl.DataFrame, place: str, what: str) -> None:
    found = first_difference("a.parquet", parquet_bytes(FRAME), parquet_bytes(made))
    assert found is not None
    assert found.place == place
    assert what in found.what


def test_same_bytes_do_not_differ_and_other_bytes_always_do() -> None:
    content = parquet_bytes(FRAME)
    assert first_difference("a.parquet", content, content) is None
    noted = parquet_bytes(FRAME, {"note": "another"})
    told = Unlike("", "the same content in other bytes")
    assert first_difference("a.parquet", content, noted) == told
    assert first_difference("a.txt", b"a", b"b") == told
    assert first_difference("a.json", b'{"a": 1}', b'{"a":1}') == told


def test_floats_that_are_no_numbers_are_held_by_their_bits() -> None:
    single = pl.DataFrame({"x": pl.Series([float("nan"), 1.0], dtype=pl.Float32)})
    other = single.with_columns(x=pl.Series([float("nan"), -1.0], dtype=pl.Float32))
    found = first_difference("a.parquet", parquet_bytes(single), parquet_bytes(other))
    assert found == Unlike("x", "1 of 2 rows have another value")


@pytest.mark.parametrize(
    ("made", "place", "what"),
    [
        ({"a": {"b": 2}, "c": [1, 2]}, "a.b", "1 was signed, 2 came out"),
        ({"a": {"b": 1}, "c": [1, 3]}, "c", "a list of 2 was signed, a list of 2 came out"),
        ({"a": {"b": 1}}, "c", "only one has"),
        ({"a": {"b": 1.0}, "c": [1, 2]}, "a.b", "1 was signed, 1.0 came out"),
        ({"a": {"b": "x" * 100}, "c": [1, 2]}, "a.b", "…"),
    ],
)
def test_first_path_that_differs_is_named(made: object, place: str, what: str) -> None:
    signed = json.dumps({"a": {"b": 1}, "c": [1, 2]}).encode()
    found = first_difference("a.json", signed, json.dumps(made).encode())
    assert found is not None
    assert found.place == place
    assert what in found.what


def test_trees_are_compared_by_what_they_say() -> None:
    found = first_difference("model.ubj", trained(3).ubj, trained(4).ubj)
    assert found is not None
    assert found.place.startswith("learner.")


# --- what can be made in one run -----------------------------------------------------------------


def _day(day: str, raw: Mapping[str, str], commit: str = "c") -> FeatureDay:
    """A day of features as its statement would tell it, with the digests of its raw days."""
    lock = SimpleNamespace(digest="lock")
    said = SimpleNamespace(
        asset="transaction_features", outputs={"git_commit": commit, "git_dirty": False},
        material=lambda _role: lock,
    )  # fmt: skip
    node = cast("Materialisation", SimpleNamespace(provenance=said))
    sources = {
        name: Source(node, FileEntry(path=name, partition=name, size=1, sha256=digest * 64))
        for name, digest in raw.items()
    }
    entry = FileEntry(path=day, partition=day, size=1, sha256="f" * 64)
    return FeatureDay(node, entry, sources)


A, B, C = "2018-04-01", "2018-04-02", "2018-04-03"


def _groups(*days: FeatureDay) -> list[list[str]]:
    return [[item.entry.partition for item in group] for group in grouped(days)]


def test_days_with_the_same_past_are_made_in_one_run() -> None:
    assert _groups(_day(B, {A: "1", B: "2"}), _day(C, {A: "1", B: "2", C: "3"})) == [[B, C]]


@pytest.mark.parametrize(
    "other",
    [
        _day(C, {A: "1", B: "9", C: "3"}),  # another version of a raw day
        _day(C, {B: "2", C: "3"}),  # made when a day in its window could not be read
        _day(C, {A: "1", B: "2", C: "3"}, commit="d"),
    ],
    ids=["version", "gap", "commit"],
)
def test_days_that_saw_another_past_are_made_apart(other: FeatureDay) -> None:
    assert _groups(_day(B, {A: "1", B: "2"}), other) == [[B], [C]]


def test_a_day_far_away_needs_nothing_of_the_others() -> None:
    assert _groups(_day(B, {B: "1"}), _day("2018-09-01", {"2018-09-01": "2"})) == [
        [B, "2018-09-01"]
    ]


@pytest.mark.parametrize("told", [{"git_commit": "c", "git_dirty": True}, {"git_commit": ""}])
def test_code_that_is_no_commit_cannot_be_decided(told: Mapping[str, Any]) -> None:
    said = SimpleNamespace(asset=MODEL, outputs=told, material=lambda _role: None)
    with pytest.raises(ConfigError) as caught:
        ground_of(cast("Provenance", said))
    assert (caught.value.reasons[0].code, caught.value.exit_code) == ("GIT_DIRTY", 2)


def test_a_step_without_a_lock_cannot_be_decided() -> None:
    said = SimpleNamespace(asset=MODEL, outputs={"git_commit": "c"}, material=lambda _role: None)
    with pytest.raises(ConfigError) as caught:
        ground_of(cast("Provenance", said))
    assert caught.value.exit_code == 2


# --- the commits and environments ----------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A repository of this code, and a folder for what is made."""

    project: Path
    commit: str
    scratch: Path

    def checkouts(self, **more: Any) -> Checkouts:
        past = Past(cast("Trust", None), self.project)
        return Checkouts(past, self.project, self.scratch, self.scratch / "cache", quiet, **more)

    @property
    def lock(self) -> str:
        return encoding.digest_bytes((self.project / "requirements.lock").read_bytes())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def place(repository: Path, tmp_path: Path) -> Iterator[Place]:
    asked = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(asked, cwd=repository, check=True, capture_output=True, text=True)
    yield Place(repository, head.stdout.strip(), tmp_path / "scratch")
    subprocess.run(
        ["git", "reset", "-q", "--hard", head.stdout.strip()], cwd=repository, check=True
    )


def test_checkout_is_the_commit_and_not_the_work_tree(place: Place) -> None:
    name = "fraud_provenance/fraud/model.py"
    committed = (place.project / name).read_bytes()
    (place.project / name).write_bytes(b"changed")
    (place.project / "fraud_provenance" / "more.py").write_bytes(b"not committed")
    folder = place.checkouts().folder(place.commit)
    (place.project / "fraud_provenance" / "more.py").unlink()
    assert (folder / name).read_bytes() == committed
    assert not (folder / "fraud_provenance" / "more.py").exists()
    assert (folder / "dbt_project" / "dbt_project.yml").is_file()


def test_todays_environment_is_used_where_it_is_the_signed_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkouts_module.packages, "packages_digest", lambda: "installed")
    found = place.checkouts().environment(place.commit, place.lock, "installed")
    assert found.python == Path(sys.executable)


@pytest.mark.parametrize("installed", ["other packages", ""])
def test_other_packages_than_signed_are_built_from_the_lock_and_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    commands: list[list[str]] = []

    def note(command: list[str], _deadline_s: float) -> None:
        commands.append(command)
        Path(command[-1] if "venv" in command else place.scratch).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(checkouts_module.installing, "run", note)
    half = place.scratch / "cache" / place.lock / "left by a kill"
    half.mkdir(parents=True)
    for _ in range(2):
        found = place.checkouts().environment(place.commit, place.lock, installed)
        assert found.python == half.parent / "bin" / "python"
    assert not half.exists()
    assert len(commands) == 2, "the second time it is there"
    assert "--require-hashes" in commands[1]
    kept = (half.parent / "requirements.lock").read_bytes()
    assert encoding.digest_bytes(kept) == place.lock


def test_an_environment_that_cannot_be_built_is_no_answer(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "bin" / "python"  # beside which there is no uv
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(checkouts_module.sys, "executable", str(python))
    for _ in range(2):  # what is half built does not count the second time
        with pytest.raises(ProvenanceError) as caught:
            place.checkouts().environment(place.commit, place.lock, "others")
        assert (caught.value.reasons[0].code, caught.value.exit_code) == ("TOOL_UNAVAILABLE", 2)
        assert "package index" in caught.value.reasons[0].remedy


def test_a_commit_with_another_lock_than_signed_is_refused(place: Place) -> None:
    with pytest.raises(EvidenceError, match="has not the lock"):
        place.checkouts().environment(place.commit, "0" * 64, "")


def test_an_unknown_commit_and_a_failing_step_are_no_answer(place: Place) -> None:
    with pytest.raises(ProvenanceError) as caught:
        place.checkouts().folder("0" * 40)
    assert caught.value.exit_code == 2
    asked = {"step": "train", "train": "nowhere", "parameters": {"cards_per_day": 1}}
    with pytest.raises(ProvenanceError) as caught:
        place.checkouts().run(place.commit, HERE, asked, place.scratch / "out")
    assert caught.value.exit_code == 2
    assert "FileNotFoundError" in str(caught.value)


# --- the steps, done by a commit's own code ------------------------------------------------------


def test_features_come_out_as_the_second_definition_has_them(place: Place) -> None:
    frames = {day: to_raw(frame) for day, frame in generate_days(40, 20, seed=3)}
    raw = place.scratch / "raw"
    raw.mkdir(parents=True)
    for day, frame in frames.items():
        (raw / f"{day}.parquet").write_bytes(parquet_bytes(frame))
    days = sorted(frames)[-2:]
    asked = {"step": "features", "raw": str(raw), "days": days}
    place.checkouts().run(place.commit, HERE, asked, place.scratch / "out")
    made = recompute_features(pl.concat(frames.values()))
    for day in days:
        own = made.filter(pl.col("tx_datetime").dt.date().cast(pl.String) == day)
        assert (place.scratch / "out" / f"{day}.parquet").read_bytes() == parquet_bytes(own)


def _train(place: Place, checkouts: Checkouts, commit: str) -> Path:
    frames = [to_raw(frame) for _, frame in generate_days(12, 60, seed=5)]
    features = recompute_features(pl.concat(frames))
    place.scratch.mkdir(exist_ok=True)
    (place.scratch / "train.parquet").write_bytes(parquet_bytes(features))
    parameters = XGBoostParameters(n_estimators=3, max_depth=2).model_dump() | {"cards_per_day": 5}
    asked = {"step": "train", "train": str(place.scratch / "train.parquet"),
             "parameters": parameters}  # fmt: skip
    out = place.scratch / f"out-{len(list(place.scratch.iterdir()))}"
    checkouts.run(commit, HERE, asked, out)
    return out


def test_chance_in_a_commit_is_found_by_file_and_path(place: Place) -> None:
    checkouts = place.checkouts()
    first, again = (_train(place, checkouts, place.commit) for _ in range(2))
    for name in ("model.ubj", "feature_contract.json", "resolved_parameters.json", "ml_bom.json"):
        signed, made = ((folder / name).read_bytes() for folder in (first, again))
        assert first_difference(name, signed, made) is None
    source = place.project / "fraud_provenance" / "fraud" / "model.py"
    honest = 'params = config.params.model_dump(exclude={"n_estimators"})'
    text = source.read_text("utf-8")
    assert honest in text
    by_chance = '; import time; params |= {"subsample": 0.5, "seed": time.time_ns() % 2**31}'
    source.write_text(text.replace(honest, honest + by_chance), "utf-8")
    commit = commit_all(place.project, "a little luck")
    lucky, luckier = (_train(place, checkouts, commit) for _ in range(2))
    found = first_difference("model.ubj", (lucky / "model.ubj").read_bytes(),
                             (luckier / "model.ubj").read_bytes())  # fmt: skip
    assert found is not None
    assert found.place


# --- on a home -----------------------------------------------------------------------------------


def _asked(story: Story, subject: str) -> Reproduced:
    trust, registry = story.trust, registry_of(story.workspace)
    return reproduce(trust, registry, story.workspace.project, subject, quiet)


def test_what_is_no_model_is_bad_usage(story: Story) -> None:
    with pytest.raises(ConfigError):
        _asked(story, f"raw_transactions/{story.scored_day}")


def test_a_model_of_no_commit_cannot_be_made_again(story: Story) -> None:
    with pytest.raises(ConfigError) as caught:
        _asked(story, story.deployed.digest)
    assert "GIT_DIRTY" in str(caught.value)


def test_a_broken_link_is_the_answer_and_nothing_is_made(story: Story) -> None:
    path = story.trust.home / "data" / "training_set" / "train.parquet"
    path.write_bytes(path.read_bytes() + b"more")
    found = _asked(story, story.deployed.digest)
    assert found.exit_code == 1
    assert found.files == []
    assert "is not made again" in found.headline
    assert replace(found, subject="x").headline.startswith("x is not made again")
