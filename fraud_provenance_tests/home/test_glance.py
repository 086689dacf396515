"""An idle tick opens nothing; whatever came, went or was written anew is looked at."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInvariantViolationError

from fraud_provenance.alerts import Outbox
from fraud_provenance.defs import alerts, automation, due
from fraud_provenance.home.glance import glance
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.resources import ProvenanceResource

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
IDLE_CPU_S = 0.1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with one file in each place."""
    home, project = tmp_path / "home", tmp_path / "project"
    for name in (
        "evidence/bundles/a", "evidence/manifests/a", "trust/objects/a", "trust/heads.json",
        "trust/checkpoints/log/a", "staging/data/open.1/x", "mlflow/mlflow.db", "run/other",
    ):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("1")
    (project / "policies" / "data").mkdir(parents=True)
    (project / "policies" / "data" / "layout.json").write_text("{}")
    return Settings(home=home, project=project)


def test_nothing_changed_is_told_as_the_same_within_the_hour_only(settings: Settings) -> None:
    first = glance(settings, NOW)
    assert glance(settings, NOW + timedelta(minutes=29)) == first
    assert glance(settings, NOW + timedelta(minutes=30)) != first


@pytest.mark.parametrize(
    "change",
    [
        lambda home, _: (home / "evidence" / "bundles" / "b").write_text("2"),
        lambda home, _: (home / "evidence" / "bundles" / "a").unlink(),
        lambda home, _: (home / "evidence" / "manifests" / "b").write_text("2"),
        lambda home, _: (home / "trust" / "heads.json").write_text("2"),
        lambda home, _: (home / "trust" / "objects" / "b").write_text("2"),
        lambda home, _: (home / "staging" / "data" / "open.2").write_text("2"),
        lambda home, _: (home / "mlflow" / "mlflow.db").write_text("2"),
        lambda home, _: (home / "run" / "alias-move.json").write_text("2"),
        lambda _, project: (project / "policies" / "data" / "layout.json").write_text("2"),
        lambda _, project: (project / "policies" / "more").write_text("2"),
    ],
)
def test_what_came_went_or_was_written_anew_is_told(
    settings: Settings, change: Callable[[Path, Path], object]
) -> None:
    before = glance(settings, NOW)
    time.sleep(0.01)
    change(settings.home, settings.project)
    assert glance(settings, NOW) != before


def test_another_environment_and_a_home_that_is_not_there_are_others(
    settings: Settings, tmp_path: Path
) -> None:
    elsewhere = Settings(home=tmp_path / "none", project=tmp_path / "nothing")
    staging = Settings(home=settings.home, environment="staging", project=settings.project)
    assert len({glance(one, NOW) for one in (settings, elsewhere, staging)}) == 3


# --- sensors -----------------------------------------------------------------------------------


@pytest.fixture
def context(fresh: Workspace, monkeypatch: pytest.MonkeyPatch) -> dg.SensorEvaluationContext:
    """A tick of a sensor on a home without data."""
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: fresh.settings)
    monkeypatch.setattr(
        "fraud_provenance.resources.opened_from", lambda _, whole: Workspace(fresh.settings)
    )
    return dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral())


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Workspace:
        raise AssertionError("the home was opened")

    monkeypatch.setattr(ProvenanceResource, "open", refuse)


@pytest.mark.parametrize(
    "sensor",
    [
        automation.approved_candidate, alerts.alert_delivery, due.landed_day, due.due_features,
        due.due_online_features, due.due_training, due.due_scores,
    ],
)  # fmt: skip
def test_second_tick_opens_nothing_until_something_comes(
    fresh: Workspace,
    context: dg.SensorEvaluationContext,
    monkeypatch: pytest.MonkeyPatch,
    sensor: dg.SensorDefinition,
) -> None:
    for _ in range(2):  # the first look may write down what it has seen
        assert isinstance(sensor(context), dg.SkipReason)
    closed(monkeypatch)
    assert not sensor.required_resource_keys  # for one Dagster would open its instance
    idle = dg.build_sensor_context(cursor=context.cursor)
    began = time.process_time()
    assert isinstance(sensor(idle), dg.SkipReason)
    with pytest.raises(DagsterInvariantViolationError):
        _ = idle.instance
    assert time.process_time() - began < IDLE_CPU_S
    (fresh.home / "evidence" / "bundles" / "new.sigstore.json").write_text("{}")
    with pytest.raises(AssertionError, match="was opened"):
        sensor(context)


def test_landed_day_is_asked_for_once_and_again_with_other_bytes(
    fresh: Workspace, context: dg.SensorEvaluationContext
) -> None:
    assert isinstance(due.landed_day(context), dg.SkipReason)
    landed, keys = fresh.landing / "2026-03-01.parquet", set()
    for content in (b"first", b"other"):
        landed.write_bytes(content)
        found = due.landed_day(context)
        assert isinstance(found, dg.SensorResult)
        (request,) = found.run_requests or ()
        assert request.tags["dagster/asset_partition_range_end"] == "2026-03-01"
        (added,) = found.dynamic_partitions_requests or ()
        assert list(added.partition_keys) == ["2026-03-01"]
        keys.add(request.run_key)
        assert isinstance(due.landed_day(context), dg.SkipReason)
    assert len(keys) == 2


@pytest.mark.parametrize("sensor", [automation.approved_candidate, due.due_scores])
def test_refused_tick_looks_again_and_is_told(
    fresh: Workspace, context: dg.SensorEvaluationContext, sensor: dg.SensorDefinition
) -> None:
    root = fresh.home / "trust" / "trusted_root.json"
    root.write_bytes(root.read_bytes() + b"\n")
    for _ in range(2):
        with pytest.raises(Exception, match="ROOT_DIGEST_MISMATCH"):
            sensor(context)
    assert {sensor.name in alert.text for alert in Outbox(fresh.home).pending()} == {True}
