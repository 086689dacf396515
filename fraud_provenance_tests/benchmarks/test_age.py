"""The age benchmark: what it compares, and the ticks it measures."""

from pathlib import Path

import pytest

from benchmarks import age
from benchmarks.age import Cost
from fraud_provenance.home.workspace import Workspace


def test_growth_is_the_last_five_over_the_sixth_to_the_tenth() -> None:
    costs = (
        [Cost(100.0, 9.0)] * 5 + [Cost(10.0, 1.0)] * 5 + [Cost(99.0, 7.0)] + [Cost(12.0, 3.0)] * 5
    )
    assert age.growth(costs, "wall_s") == pytest.approx(1.2)
    assert age.growth(costs, "cpu_s") == pytest.approx(3.0)


def test_later_days_are_held_back_in_order(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    for day in range(1, 6):
        (landing / f"2026-01-0{day}.parquet").write_bytes(b"")
    later = age.hold_back(landing, tmp_path / "later", 3)
    assert [path.stem for path in later] == ["2026-01-04", "2026-01-05"]
    assert all(path.exists() for path in later)
    assert len(list(landing.iterdir())) == 3


def test_every_sensor_that_ticks_by_itself_is_measured(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(fresh.home))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: fresh.settings)
    monkeypatch.setattr(
        "fraud_provenance.resources.opened_from", lambda _, whole: Workspace(fresh.settings)
    )
    fresh.create_folders()
    found = age.ticks()
    assert set(found) == {
        "landed_day", "due_features", "due_online_features", "due_training", "due_scores",
        "approved_candidate", "alert_delivery",
    }  # fmt: skip
    assert max(found.values()) < age.TICK_BOUND_S
