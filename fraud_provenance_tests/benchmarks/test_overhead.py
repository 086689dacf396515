"""The comparison: its arithmetic, and its plain side."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.homes import Project, Usage
from benchmarks.overhead import Run, arguments, land, summary

PARTS: dict[str, Any] = {
    "evidence_imports_s": 2.0,
    "evidence_imports_cpu_s": 1.0,
    "imports_s": 10.0,
    "imports_cpu_s": 9.0,
    "work_s": 30.0,
    "stages": [],
}


def with_evidence(wall_s: float = 42.0) -> Run:
    used = Usage(wall_s, cpu_s=40.0, peak_mib=800.0, servers_cpu_s=5.0, servers_mib=165.0)
    return Run("with", used, PARTS)


def without_evidence(wall_s: float = 32.0) -> Run:
    return Run("without", Usage(wall_s, cpu_s=31.0, peak_mib=400.0), PARTS)


def test_side_with_evidence_pays_for_its_libraries_and_its_servers() -> None:
    run = with_evidence()
    assert (run.wall_s, run.work_s, run.cpu_s) == (42.0, 32.0, 45.0)


def test_side_without_evidence_does_not_pay_for_evidences_libraries() -> None:
    run = without_evidence()
    assert (run.wall_s, run.work_s, run.cpu_s) == (30.0, 20.0, 30.0)


def test_summary_of_three_pairs_gives_ratios_median_and_spread() -> None:
    pairs = [(with_evidence(wall), without_evidence()) for wall in (60.0, 42.0, 45.0)]
    wall = summary(pairs)["wall"]
    assert wall == {"ratios": [2.0, 1.4, 1.5], "median": 1.5, "least": 1.4, "greatest": 2.0}


def test_summary_of_one_pair_compares_each_measure_with_its_own_side() -> None:
    found = summary([(with_evidence(), without_evidence())])
    ratios = {name: numbers["median"] for name, numbers in found.items()}
    assert ratios == {"wall": 1.4, "wall without imports": 1.6, "CPU": 1.5, "peak memory": 2.0}


def test_arguments_of_no_round_at_all_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--rounds", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_arguments_with_data_and_days_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--data", "x.parquet", "--days", "40"])
    assert "either" in capsys.readouterr().err


@pytest.mark.e2e
def test_side_without_evidence_still_goes_through_the_whole_graph(tmp_path: Path) -> None:
    project, home = Project(tmp_path / "project"), tmp_path / "home"
    land(project, home, arguments(["--days", "40", "--rows-per-day", "600"]))
    _, parts = project.run_side("without", home, [])
    stages = [name for name, _ in parts["stages"]]
    assert (stages[0], stages[-1], parts["champion"]) == ("ingest", "scoring", "fraud_model:1")
    assert len(list((home / "data" / "transaction_scores").glob("*.parquet"))) == 1
