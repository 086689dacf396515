"""What is planned with: figures beside their bounds, and where the time went above one."""

from pathlib import Path
from typing import cast

import pytest

from benchmarks import bounds
from benchmarks.bounds import Found
from benchmarks.homes import Project

NOBODY = cast("Project", None)


def test_figure_is_held_by_its_median_against_its_bound() -> None:
    kept = Found("day", "s", 20.0, [19.0, 25.0, 18.0], "9600 rows")
    above = Found("day", "s", 18.5, [19.0, 25.0, 18.0])
    assert (kept.is_met, above.is_met) == (True, False)
    assert str(kept) == "day            19.00 s      (18.00 to 25.00; bound 20)  9600 rows"
    assert "bound 18.5)  ABOVE" in str(above)


def test_receipts_are_measured_on_rows_that_a_model_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bounds, "ROWS", 1_000)
    monkeypatch.setattr(bounds, "LEARNT_A_DAY", 1_000)
    found = bounds.receipts_part(NOBODY, tmp_path)
    assert len(found.values) == 3
    assert min(found.values) > 0
    assert "1,000 rows" in found.detail
    assert "leaf_hash" in found.where


def test_part_that_nobody_knows_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds.sys, "argv", ["bounds", "day", "nothing"])
    with pytest.raises(SystemExit) as caught:
        bounds.main()
    assert caught.value.code == 2
    assert "no part: nothing" in capsys.readouterr().err


def test_bare_script_trains_on_landed_days(tmp_path: Path) -> None:
    from fraud_provenance.fraud.generator import generate_days

    zone = tmp_path / "landing"
    zone.mkdir()
    for day, frame in generate_days(22, 600, seed=3):
        frame.write_parquet(zone / f"{day}.parquet")
    assert bounds.bare_script(zone) > 0
    assert (tmp_path / "features.parquet").is_file()


def test_what_comes_after_the_scores_is_not_waited_for() -> None:
    names = ("verify", "ingest", "scoring", "training", "log")
    stages = [{"name": name, "seconds": number} for number, name in enumerate(names)]
    assert bounds.after_scores(stages) == 3 + 4
