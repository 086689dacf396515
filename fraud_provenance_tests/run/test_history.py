"""Dagster's history as a home keeps it: Dagster's own files, asked at less cost."""

from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.scheduler.instigation import InstigatorType
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.run import history
from fraud_provenance.run.instance import open_instance, write_configuration


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DAGSTER_HOME", "")  # given back afterwards
    made = Workspace(Settings(home=tmp_path))
    made.create_folders()
    return made


@dg.job
def _nothing() -> None:
    pass


def test_history_of_dagsters_own_storage_goes_on(workspace: Workspace) -> None:
    path = workspace.dagster / "dagster.yaml"
    path.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")  # of an older version
    with dg.DagsterInstance.from_config(str(workspace.dagster)) as before:
        assert type(before.schedule_storage) is SqliteScheduleStorage
        before.add_dynamic_partitions("day", ["2018-04-01"])
        run_id = _nothing.execute_in_process(instance=before).run_id
    with open_instance(workspace) as instance:
        assert isinstance(instance.schedule_storage, history._Ticks)
        assert isinstance(instance.run_storage, history._Runs)
        assert instance.get_dynamic_partitions("day") == ["2018-04-01"]
        assert instance.get_run_by_id(run_id)
        events = instance.get_records_for_run(run_id).records
        assert events
        second = _nothing.execute_in_process(instance=instance).run_id
    after = DagsterSqliteStorage.from_local(str(workspace.dagster))
    assert [run.run_id for run in after.run_storage.get_runs()] == [second, run_id]


def test_home_that_moved_has_its_history_with_it(workspace: Workspace, tmp_path: Path) -> None:
    with open_instance(workspace) as instance:
        instance.add_dynamic_partitions("day", ["2018-04-01"])
    moved = Workspace(Settings(home=tmp_path / "moved"))
    moved.home.mkdir()
    workspace.dagster.rename(moved.dagster)
    with open_instance(moved) as instance:
        assert instance.get_dynamic_partitions("day") == ["2018-04-01"]
    assert str(moved.dagster) in (moved.dagster / "dagster.yaml").read_text()
    assert not workspace.dagster.exists()


def test_one_engine_serves_all_questions(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(workspace) as instance:
        made: list[object] = []
        create = sqlalchemy.create_engine

        def counted(*arguments: object, **options: object) -> object:
            made.append(arguments)
            return create(*arguments, **options)  # type: ignore[call-overload]

        for module in (
            "schedules.sqlite.sqlite_schedule_storage",
            "runs.sqlite.sqlite_run_storage",
        ):
            monkeypatch.setattr(f"dagster._core.storage.{module}.create_engine", counted)
        for _ in range(3):
            assert instance.all_instigator_state(instigator_type=InstigatorType.SENSOR) == []
            assert instance.get_runs() == []
            assert instance.get_daemon_heartbeats() == {}
        assert made == []


def test_what_is_not_there_yet_is_looked_for_again(tmp_path: Path) -> None:
    SqliteScheduleStorage.from_local(str(tmp_path))
    ticks = history._Ticks(f"sqlite:///{tmp_path}/schedules.db")
    assert ticks.has_instigators_table()
    assert ticks.has_built_index("schedule_jobs_selector_id")
    assert not ticks.has_built_index("one to come")
    ticks.mark_index_built("one to come")
    assert ticks.has_built_index("one to come")


def test_second_opening_does_not_load_the_migrations(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_instance(workspace).dispose()
    for module in ("schedules.sqlite.sqlite_schedule_storage", "runs.sqlite.sqlite_run_storage",
                   "event_log.sqlite.sqlite_event_log"):  # fmt: skip
        monkeypatch.setattr(f"dagster._core.storage.{module}.check_alembic_revision", _not_again)
    with open_instance(workspace) as instance:
        assert instance.get_runs() == []
        assert list(instance.get_asset_keys()) == []


def _not_again(*_: object) -> None:
    raise AssertionError("the migrations were loaded again")


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db",
                                  "schedules/schedules.db"])  # fmt: skip
def test_database_that_went_or_changed_is_looked_at_as_at_first(
    workspace: Workspace, name: str
) -> None:
    open_instance(workspace).dispose()
    folder = str(workspace.dagster)
    assert history._NEWEST[folder] == history._revisions(folder)
    path = workspace.dagster / name
    path.rename(f"{path}.away")
    assert history._revisions(folder) is None
    with open_instance(workspace) as instance:  # Dagster makes it anew
        assert instance.get_runs() == []
    path.write_bytes(b"\0" * 4096)
    assert history._revisions(folder) is None


def test_configuration_is_written_once(workspace: Workspace) -> None:
    write_configuration(workspace)
    path = workspace.dagster / "dagster.yaml"
    before = path.stat()
    write_configuration(workspace)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
