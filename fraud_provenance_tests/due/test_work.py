"""What is due by itself: one answer for `run` and the daemon, one run at a time, tried once."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from fraud_provenance import definitions
from fraud_provenance.defs import automation, due
from fraud_provenance.defs.support import HEADLESS
from fraud_provenance.due import planning, trainings, work
from fraud_provenance.due.work import Work
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.model import Split, TrainingConfig
from fraud_provenance.home import surroundings
from fraud_provenance.home.settings import Runs, Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance_tests.conftest import DAYS, Chain

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
CONFIG = TrainingConfig()


# --- work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "found"),
    [("", []), ("a", ["a"]), ("ab", ["ab"]), ("ba", ["ab"]), ("acd", ["a", "cd"])],
)
def test_days_that_are_neighbours_are_one_run(days: str, found: list[str]) -> None:
    assert ["".join(item) for item in work.blocks(days, "abcd")] == found


@pytest.mark.integration
def test_work_has_one_name_until_something_it_rests_on_changes(chain: Chain) -> None:
    mine = Work("features", tuple(DAYS))
    name = work.key(chain.workspace, mine, NOW)
    assert work.key(chain.workspace, mine, NOW + timedelta(minutes=20)) == name
    others = (
        work.key(chain.workspace, mine, NOW + timedelta(hours=1)),
        work.key(chain.workspace, Work("features", (DAYS[0],)), NOW),
        work.key(chain.workspace, Work("scoring", tuple(DAYS)), NOW),
    )
    assert len({name, *others}) == 4


@pytest.mark.integration
@pytest.mark.parametrize(
    ("promoted", "scored", "days", "scores"),
    [
        (False, [], [DAYS[0]], False),
        (True, [], [DAYS[0]], False),  # the newest day alone is scored first, by its own job
        (True, [DAYS[1]], [DAYS[0]], False),  # `run` would not score it
        (True, [DAYS[1]], [DAYS[1]], True),  # it was delivered again
        (True, [DAYS[0]], [DAYS[0], DAYS[1]], True),
    ],
)
def test_landed_days_go_to_their_scores_where_scores_would_be_due(
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
    promoted: bool,
    scored: list[str],
    days: list[str],
    scores: bool,
) -> None:
    monkeypatch.setattr(promotion, "was_promoted", lambda *_: promoted)
    monkeypatch.setattr(planning, "current_entries", lambda *_: dict.fromkeys(scored))
    found = work.on_the_way(chain.workspace, Work("ingest", tuple(days)))
    assert found.assets[:2] == ("raw_transactions", "transaction_features")
    assert ("transaction_scores" in found.assets) is scores
    other = Work("features", tuple(days))
    assert work.on_the_way(chain.workspace, other) is other


@pytest.mark.parametrize("lost", ["registry.db", "online.db", ""])
def test_online_store_that_is_gone_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    entry = SimpleNamespace(sha256="a", made_from=("a",))
    views = {"customer_features": "digest"}
    known = {"transaction_features": {DAYS[0]: entry}, "feature_store": {"definitions": entry}}
    monkeypatch.setattr(planning, "usable_days", lambda *_: [DAYS[0]])
    monkeypatch.setattr(planning, "current_entries", lambda _, asset: known[asset])
    monkeypatch.setattr(planning, "revoked_partitions", lambda *_: {})
    monkeypatch.setattr(planning, "made_by_other_code", lambda *_: set())
    monkeypatch.setattr(planning, "outputs_of", lambda *_: {"definitions": views})
    monkeypatch.setattr(planning, "declared_views", lambda: views)
    (tmp_path / "feast").mkdir()
    for name in {"registry.db", "online.db"} - {lost}:
        (tmp_path / "feast" / name).touch()
    home: Any = SimpleNamespace(feast=tmp_path / "feast", settings=Settings(home=tmp_path))
    assert planning.feature_store_due(home) is bool(lost)


# --- when a training is due ----------------------------------------------------------------------


def _split(first: int) -> Split:
    days = [f"2018-04-{day:02}" for day in range(first, first + 3)]
    return Split(tuple(days[:1]), tuple(days[1:2]), tuple(days[2:]))


@pytest.mark.parametrize(
    ("wait", "start", "known", "first"),
    [
        (1, None, "2018-04-01", 4),
        (3, None, "2018-04-01", 4),  # so many have come
        (4, None, "2018-04-01", 1),  # not yet: it is held against its own days
        (9, None, "", 4),  # nothing was trained yet
        (9, date(2018, 4, 4), "2018-04-01", 4),  # a person said which days
        (9, None, "2018-04-09", 4),  # the newest days are older: some were withdrawn
    ],
)
def test_training_is_due_again_after_so_many_days(
    monkeypatch: pytest.MonkeyPatch, wait: int, start: date | None, known: str, first: int
) -> None:
    def split(config: TrainingConfig, *_: object) -> Split:
        return _split(config.train_start.day if config.train_start else 4)

    config = TrainingConfig(retrain_after_days=wait, train_start=start)
    before = trainings.split_parameters(config, split(config)) | {"train_start": known}
    node = SimpleNamespace(provenance=SimpleNamespace(parameters=before)) if known else None
    monkeypatch.setattr(trainings, "training_split", split)
    monkeypatch.setattr(trainings, "declared_empty", lambda _: {})
    monkeypatch.setattr(trainings, "newest_node", lambda *_: node)
    nothing: Any = None
    assert trainings._due_split(nothing, config, nothing) == _split(first)


@pytest.mark.parametrize(("told", "now", "due"), [
    (["ENV_LOCK_MISMATCH: left-pad 1.0"], (), True),
    (["ENV_LOCK_MISMATCH: left-pad 1.0"], ("ENV_LOCK_MISMATCH: left-pad 1.0",), False),
    ([], (), False),
])  # fmt: skip
def test_model_of_packages_that_were_not_as_locked_is_made_anew_once_they_are(
    monkeypatch: pytest.MonkeyPatch, told: list[str], now: tuple[str, ...], *, due: bool
) -> None:
    measured: Future[tuple[str, ...]] = Future()
    measured.set_result(now)
    workspace: Any = SimpleNamespace(attestor=SimpleNamespace(packages=lambda: measured))
    monkeypatch.setattr(trainings, "newest_model", lambda _: "m-1")
    monkeypatch.setattr(trainings, "outputs_of", lambda *_: {"m-1": told})
    assert trainings._can_have_better_packages(workspace) is due


def test_other_lengths_are_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = TrainingConfig(retrain_after_days=30, test_days=9)
    before = trainings.split_parameters(CONFIG, _split(1))
    node = SimpleNamespace(provenance=SimpleNamespace(parameters=before))
    monkeypatch.setattr(trainings, "training_split", lambda *_: _split(4))
    monkeypatch.setattr(trainings, "declared_empty", lambda _: {})
    monkeypatch.setattr(trainings, "newest_node", lambda *_: node)
    nothing: Any = None
    assert trainings._due_split(nothing, asked, nothing) == _split(4)


# --- sensors -------------------------------------------------------------------------------------


@pytest.fixture
def context(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> dg.SensorEvaluationContext:
    """A tick on a home whose features were made by another dbt project than there is now."""
    settings = chain.workspace.settings
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: settings)
    monkeypatch.setattr(
        "fraud_provenance.resources.opened_from", lambda _, whole: Workspace(settings)
    )
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("day", list(DAYS))
    return dg.build_sensor_context(instance=instance)


def skipped(found: object) -> str:
    assert isinstance(found, dg.SkipReason), found
    return str(found.skip_message)


@pytest.mark.integration
def test_days_that_are_due_are_one_run_and_asked_for_once(
    context: dg.SensorEvaluationContext,
) -> None:
    found = due.due_features(context)
    assert isinstance(found, dg.SensorResult)
    assert found.run_requests
    (request,) = found.run_requests
    assert request.tags["dagster/asset_partition_range_start"] == DAYS[0]
    assert request.tags["dagster/asset_partition_range_end"] == DAYS[-1]
    assert request.run_key
    assert "nothing changed" in skipped(due.due_features(context))


@pytest.mark.integration
@pytest.mark.parametrize("later", [due.due_online_features, due.due_training, due.due_scores])
def test_what_rests_on_features_waits_for_them(
    context: dg.SensorEvaluationContext, later: Callable[..., object]
) -> None:
    assert "is due first" in skipped(later(context))


@pytest.mark.integration
def test_one_run_at_a_time(context: dg.SensorEvaluationContext, chain: Chain) -> None:
    with surroundings.alone(chain.workspace.home, lambda _: None):
        assert "`fraud-provenance run` is at work" in skipped(due.due_features(context))
    run = context.instance.create_run_for_job(
        dg.job(name="any")(lambda: None), tags={HEADLESS: "true"}
    )
    context.instance.report_run_failed(run)
    other = context.instance.create_run_for_job(dg.job(name="other")(lambda: None))
    assert f"{other.run_id[:8]} (other)" in skipped(due.due_features(context))
    context.instance.report_run_failed(other)
    assert isinstance(due.due_features(context), dg.SensorResult)


@pytest.mark.parametrize("name", ["landed", "training"])
def test_part_of_a_job_is_judged_as_the_whole_job_is(name: str) -> None:
    job = definitions.defs().resolve_job_def(name)
    assets = [key.to_user_string() for key in job.asset_layer.selected_asset_keys]
    assert set(automation.checks_of(assets)) == set(job.asset_layer.asset_graph.asset_check_keys)
    assert automation.checks_of(["nothing"]) == []


@pytest.mark.integration
def test_training_that_waits_for_a_day_says_so(
    context: dg.SensorEvaluationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hole(*_: object) -> list[str]:
        raise DataError("PARTITION_MISSING", "2018-04-09 is missing", remedy="deliver it")

    monkeypatch.setattr(planning, "features_due", lambda _: [])
    monkeypatch.setattr(planning, "feature_store_due", lambda _: False)
    monkeypatch.setattr(trainings, "training_due", hole)
    assert "2018-04-09 is missing" in skipped(due.due_training(context))
    monkeypatch.setattr(trainings, "training_due", lambda *_: ["fraud_model"])
    (context.instance, context.update_cursor(""))
    found = due.due_training(context)
    assert isinstance(found, dg.SensorResult)
    assert found.run_requests
    assert found.run_requests[0].asset_selection == [dg.AssetKey("fraud_model")]


# --- one identity a run --------------------------------------------------------------------------


@pytest.fixture
def alone(
    context: dg.SensorEvaluationContext,
    chain: Chain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dg.SensorEvaluationContext:
    """The same tick where each run signs by one identity."""
    settings = replace(chain.workspace.settings, tokens=tmp_path, runs=Runs(one_identity=True))
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: settings)
    monkeypatch.setattr(
        "fraud_provenance.resources.opened_from", lambda _, whole: Workspace(settings)
    )
    return context


def asked(found: object) -> dg.RunRequest:
    assert isinstance(found, dg.SensorResult), found
    assert found.run_requests
    (request,) = found.run_requests
    return request


@pytest.mark.integration
def test_contracts_are_runs_of_their_own_where_each_run_has_one_identity(
    alone: dg.SensorEvaluationContext, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(due.due_features(alone))
    assert request.job_name == "features"
    assert request.asset_selection == [dg.AssetKey("transaction_features")]
    names = {key.name for key in request.asset_check_keys or ()}
    assert "provenance_verified" in names
    assert names.isdisjoint({*planning.FEATURE_SUITES})
    alone.update_cursor("")  # each sensor has its own
    request = asked(due.due_feature_contracts(alone))
    assert (request.job_name, request.asset_check_keys) == ("feature_contracts", None)
    assert request.tags == {}
    monkeypatch.setattr(planning, "features_due", lambda _: [])
    monkeypatch.setattr(planning, "feature_store_due", lambda _: True)
    alone.update_cursor("")
    assert "is due first" in skipped(due.due_online_features(alone))  # the features are not judged


@pytest.mark.integration
def test_only_there_are_contracts_runs_of_their_own(context: dg.SensorEvaluationContext) -> None:
    for sensor in (due.due_raw_contracts, due.due_feature_contracts, due.due_score_contracts):
        assert "each run judges what it makes" in skipped(sensor(context))


@pytest.mark.integration
def test_moved_ground_is_left_to_the_contracts_own_sensor(
    alone: dg.SensorEvaluationContext,
) -> None:
    assert "asks for these days, too" in skipped(automation.moved_raw_ground(alone))


@pytest.mark.parametrize(("assets", "made", "job"), [
    ([], False, ""),
    (["training_set", "fraud_model"], False, "training_data"),
    (["training_set", "fraud_model"], True, "training_contracts"),
    (["fraud_model", "model_evaluation"], True, "model_training"),
    (["model_evaluation"], True, "evaluation"),
    (["release_candidate"], True, "registration"),
])  # fmt: skip
def test_training_is_one_run_an_identity(
    monkeypatch: pytest.MonkeyPatch, assets: list[str], job: str, *, made: bool
) -> None:
    nothing: Any = None
    monkeypatch.setattr(trainings, "training_due", lambda *_: assets)
    monkeypatch.setattr(trainings, "usable_features", lambda _: nothing)
    monkeypatch.setattr(trainings, "_due_split", lambda *_: nothing)
    monkeypatch.setattr(trainings, "_training_set_is_made", lambda *_: made)
    assert trainings.training_part_due(nothing, CONFIG) == job
