"""The page of a validation says in words what becomes of the days."""

import os
from pathlib import Path

import pytest

from fraud_provenance.fraud import data_docs
from fraud_provenance.fraud.contract import BROKEN, UNUSUAL, ContractReport, Failure
from fraud_provenance.fraud.data_docs import write_page

_DAYS = ("2018-04-01", "2018-04-02", "2018-04-03")


def _page(folder: Path, *findings: Failure) -> str:
    report = ContractReport(
        suite="raw_schema",
        suite_config={"suite": "raw_schema"},
        checks=("a_check",),
        days=_DAYS,
        rows=dict.fromkeys(_DAYS, 9),
        findings=findings,
    )
    write_page(report, folder, "page.html")
    return (folder / "page.html").read_text("utf-8")


def _finding(day: str, weight: str) -> Failure:
    return Failure(
        day=day, check="a_check", code="VALUE_RANGE", column="", rows=0, example="an aggregate",
        remedy="look", grade=weight,
    )  # fmt: skip


def test_page_says_which_days_are_held_or_broken_and_what_is_next(tmp_path: Path) -> None:
    page = _page(tmp_path, _finding(_DAYS[0], UNUSUAL), _finding(_DAYS[1], BROKEN))
    assert f"{_DAYS[0]}: held. A data owner" in page
    assert "fraud-provenance accept" in page
    assert f"{_DAYS[1]}: broken. The source sends" in page
    assert _DAYS[2] not in page.partition("<h2>")[0].partition("<h1>")[2].partition("</p>")[2]


def test_page_of_good_days_says_so(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert "Every day may be used." in page
    assert "held" not in page


def test_oldest_pages_go_with_what_the_site_holds_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page a run would grow for ever, and so would the index that lists them."""
    monkeypatch.setattr(data_docs, "KEPT", 3)
    (tmp_path / "index.html").touch()
    for number in range(4):
        page = tmp_path / f"2026010{number}T000000Z.html"
        page.touch()
        os.utime(page, (number, number))
        detail = tmp_path / "data_docs" / "validations" / "raw" / "run" / page.stem / "1.html"
        detail.parent.mkdir(parents=True)
        detail.touch()
    os.utime(tmp_path / "index.html", (0, 0))
    _page(tmp_path)
    left = {path.name for path in tmp_path.glob("*.html")}
    assert left == {"index.html", "20260102T000000Z.html", "20260103T000000Z.html", "page.html"}
    details = {path.name for path in (tmp_path / "data_docs").glob("validations/raw/run/*")}
    assert details == {"20260102T000000Z", "20260103T000000Z"}
