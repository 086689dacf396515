"""What people read of a day, a check and a hole, in the UI."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from fraud_provenance.alerts import Outbox
from fraud_provenance.defs import columns, shown
from fraud_provenance.defs import late as defs_late
from fraud_provenance.defs.alerts import LATE
from fraud_provenance.defs.contracts import failure_metadata, mark_day
from fraud_provenance.defs.late import alert_of_late, described, evaluation, late_day, table
from fraud_provenance.due import late
from fraud_provenance.due.late import FEATURES, RAW, LateDay, late_days
from fraud_provenance.fraud.columns import CUSTOMER_FEATURES, TERMINAL_FEATURES
from fraud_provenance.fraud.columns import FEATURES as INPUTS
from fraud_provenance.fraud.contract import BROKEN, UNUSUAL, ContractReport, Failure
from fraud_provenance.resources import ProvenanceResource
from fraud_provenance_tests.conftest import RAW_SUITES, Chain


def test_numbers_of_a_day_are_those_that_move() -> None:
    assert shown.numbers_of_day(pl.DataFrame({"tx_fraud": [0, 1, 0, 0]})) == {"fraud rate": 0.25}


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"amount": [1]}),
        pl.DataFrame({"tx_fraud": ["0"]}),
        pl.DataFrame({"tx_fraud": pl.Series([None], dtype=pl.Int8)}),
        pl.DataFrame({"tx_fraud": pl.Series([], dtype=pl.Int8)}),
    ],
)
def test_day_without_labels_has_no_fraud_rate(frame: pl.DataFrame) -> None:
    assert shown.numbers_of_day(frame) == {}


def test_scored_day_tells_how_far_it_is_from_the_evaluation() -> None:
    scored = pl.DataFrame({"score": [0.2, 0.6], "is_alert": [False, True]})
    numbers = shown.numbers_of_scores(scored, 0.4)
    assert numbers["mean score"] == pytest.approx(0.4)
    assert numbers["alert rate"] == 0.5
    assert numbers["alert rate, drift from evaluation"] == pytest.approx(0.1)
    assert set(shown.numbers_of_scores(scored)) == {"mean score", "alert rate"}
    assert shown.numbers_of_scores(scored.clear()) == {}


def test_feature_day_tells_the_mean_of_each_window() -> None:
    windows = [*CUSTOMER_FEATURES, *TERMINAL_FEATURES]
    frame = pl.DataFrame({name: [float(at), at + 1.0] for at, name in enumerate(windows)})
    means = shown.means_of_features(frame.with_columns(tx_amount=pl.lit(9.0)))
    assert means == {f"mean of {name}": at + 0.5 for at, name in enumerate(windows)}
    assert shown.means_of_features(frame.clear()) == {}


def test_failure_shows_numbers_and_no_value_of_a_row() -> None:
    facts: dict[str, Any] = {"day": "2018-04-01", "check": "x", "code": "VALUE_RANGE",
                             "remedy": "mend it"}  # fmt: skip
    row = Failure(**facts, column="customer_id", rows=3, example="4711")
    whole = Failure(**facts, column="", rows=0, example="y", observed=0.5, maximum=0.25)
    told = failure_metadata([row, whole])
    shown_rows = told["failures"].records
    assert [item.data["found"] for item in shown_rows] == ["3 rows", "0.5, allowed at most 0.25"]
    assert told["what to do"].value == "- VALUE_RANGE: mend it"  # once for both
    assert "4711" not in str(told)


def test_score_leads_through_model_inputs_to_the_training_set() -> None:
    scores = columns.scores_lineage()["dagster/column_lineage"].deps_by_column
    model = columns.model_lineage()["dagster/column_lineage"].deps_by_column
    told = {item.data["column"]: str(item.data["comes from"])
            for item in columns.scores_lineage()["where columns come from"].records}  # fmt: skip
    assert told["tx_amount"] == "transaction_features: tx_amount"
    of_model = told["score"].partition("fraud_model: ")[2].partition(";")[0]
    assert set(of_model.split(", ")) == set(INPUTS)
    keys = {dep.asset_key.to_user_string() for dep in scores["score"]}
    assert keys == {"transaction_features", "fraud_model"}
    assert {dep.column_name for dep in scores["score"]} == set(INPUTS) == set(model)
    assert {dep.asset_key.to_user_string() for deps in model.values() for dep in deps} == {
        "training_set"
    }


class _Home:
    """As much of a workspace as lateness asks."""

    def __init__(self, landing: Path, heads: dict[str, list[str]], waived: list[str]) -> None:
        self.landing = landing
        self._heads, self._waived = heads, waived
        self.store, self.trust = self, self

    def heads(self, asset: str) -> dict[str, list[Any]]:
        days = self._heads.get(asset, [])
        return {day: [SimpleNamespace(statement=day)] for day in days}

    def lineage(self) -> "_Home":
        return self

    def waivers(self, _asset: str) -> dict[str, str]:
        return dict.fromkeys(self._waived, "w")

    def node(self, day: str) -> Any:  # noqa: ANN401 - as much of a node as is asked
        at = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        return SimpleNamespace(claims=SimpleNamespace(bundle=SimpleNamespace(signed_at=at)))


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def days(*numbers: int) -> list[str]:
    return [f"2018-04-{number:02}" for number in numbers]


def test_hole_is_late_since_the_day_after_it_came(tmp_path: Path) -> None:
    home: Any = _Home(tmp_path, {RAW: days(1, 2, 5)}, waived=days(3))
    (found,) = late_days(home, RAW, NOW)
    assert found == LateDay(RAW, *days(4), "2018-04-05T00:00:00Z", "it was not delivered")


def test_features_are_late_where_their_raw_day_is_held_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = dict.fromkeys(days(3), "raw_expectations")
    monkeypatch.setattr(late, "stopped_days", lambda _home, _asset: held)
    home: Any = _Home(tmp_path, {RAW: days(1, 3, 4), FEATURES: days(1)}, waived=[])
    found = late_days(home, FEATURES, NOW)
    assert [item.day for item in found] == days(2, 3, 4)
    assert [item.why for item in found] == [
        "raw_transactions has no such day",
        "raw_transactions is held or broken: raw_expectations",
        "it was not made yet",
    ]


def test_nothing_is_late_before_the_first_day(tmp_path: Path) -> None:
    home: Any = _Home(tmp_path, {RAW: days(1)}, waived=[])
    assert late_days(home, RAW, NOW) == late_days(home, FEATURES, NOW) == []


def test_late_day_is_shown_by_day_and_told_once() -> None:
    item = LateDay(RAW, "2018-04-04", "2018-04-05T00:00:00Z", "it was not delivered")
    said = "1 day late; 2018-04-04 since 2018-04-05T00:00:00Z: it was not delivered"
    assert described([item]) == said
    found = evaluation(RAW, [item])
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert evaluation(RAW, []).passed
    assert set(table([item])) == {"days late", "late"}
    one, other = (alert_of_late(item, datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    assert one.id == other.id
    assert one.subject == "raw_transactions/2018-04-04"


def test_late_day_is_reported_when_it_changes_and_not_at_each_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = {RAW: days(1, 3)}
    home: Any = _Home(tmp_path, heads, waived=[])
    looks = iter(["a", "b", "c"])
    outbox = Outbox(tmp_path)
    waits = dg.MetadataValue.text("nothing")
    monkeypatch.setattr(shown, "what_waits", lambda _home, _registry: waits)
    monkeypatch.setattr(defs_late, "registry_of", lambda _home: None)
    monkeypatch.setattr(ProvenanceResource, "glance", lambda _self: next(looks))
    monkeypatch.setattr(ProvenanceResource, "open", lambda _self: home)
    monkeypatch.setattr(ProvenanceResource, "outbox", lambda _self: outbox)
    with dg.DagsterInstance.ephemeral() as instance:
        key, seen, cursor = dg.AssetCheckKey(dg.AssetKey(RAW), LATE), [], None
        for _ in range(3):
            context = dg.build_sensor_context(instance, cursor)
            late_day(context)
            cursor = context.cursor
            latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
            seen.append((latest.id, str(latest.status)))
            if len(seen) == 2:
                heads[RAW] = days(1, 2, 3)
    assert [status.split(".")[-1] for _, status in seen] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert seen[0][0] == seen[1][0] != seen[2][0]
    assert [alert.subject for alert in outbox.pending()] == ["raw_transactions/2018-04-02"]


@pytest.mark.parametrize(
    ("weight", "word", "what_next"),
    [
        (UNUSUAL, "held", "fraud-provenance accept raw_transactions 2018-05-18 --as EMAIL"),
        (BROKEN, "broken", "cannot be accepted"),
    ],
)
def test_stopped_day_says_what_to_do_and_links_to_its_validation(
    tmp_path: Path, weight: str, word: str, what_next: str
) -> None:
    day = "2018-05-18"
    finding = Failure(
        day, "amounts_are_usual", "UNIT_SHIFT", "tx_amount", 3, "", "deliver units", grade=weight
    )
    report = ContractReport(
        "raw_expectations", {}, ("amounts_are_usual",), (day,), {day: 9}, (finding,), page="x.html"
    )
    marked = mark_day("raw_transactions", report, day, tmp_path)
    assert marked.partition == day
    assert (marked.description or "").startswith(f"{day} is {word}: UNIT_SHIFT. ")
    assert what_next in (marked.description or "")
    assert what_next in str(marked.metadata["next"].value)
    assert str(marked.metadata["report"].value).endswith("/raw_expectations/x.html")
    assert "report" not in mark_day("raw_transactions", report, day).metadata


@pytest.mark.integration
def test_what_was_made_says_who_judges_it(honest: Chain) -> None:
    said = shown.use_of(honest.trust, RAW)["may be used"]
    assert all(suite in said for suite in RAW_SUITES)
    assert shown.use_of(honest.trust, "feature_store") == {}
