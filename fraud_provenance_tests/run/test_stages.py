"""A stage of `run` that is refused stops no other, and hides nothing that another one found."""

import errno
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from fraud_provenance.alerts import Alert
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.day_partitions import days_of
from fraud_provenance.due import trainings
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.run import pipeline
from fraud_provenance.run.pipeline import Pipeline
from fraud_provenance.run.report import RunOptions, Stage

STAGES = (
    "_ingest", "_features", "_scoring_at_once", "_feature_store", "_training", "_promotion",
    "_scoring", "_audit",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A run whose stages do nothing; what they tell is kept."""
    workspace: Any = SimpleNamespace(
        home=tmp_path, trust=None, create_folders=lambda: None, start_check=lambda: None
    )
    found = Pipeline(workspace, RunOptions(), lambda _text: None)
    monkeypatch.setattr(pipeline, "recover", lambda *_: [])
    monkeypatch.setattr(found, "_verify_heads", lambda: None)
    monkeypatch.setattr(found, "_tell", lambda _find: True)
    for name in STAGES:
        monkeypatch.setattr(found, name, lambda: None)
    return found


def refusing(run: Pipeline, monkeypatch: pytest.MonkeyPatch, **errors: ProvenanceError) -> None:
    def stage(name: str) -> None:
        done.append(name)
        if name in errors:
            raise errors[name]

    done: list[str] = []
    for name in STAGES:
        monkeypatch.setattr(run, name, lambda name=name: stage(name))
    run._run_stages()
    run.report.notes.extend(done)


def test_refused_stages_stop_no_other_and_all_are_told(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(
        run, monkeypatch,
        _ingest=EvidenceError(reason("ROLLBACK", "x")),
        _training=VerificationError(reason("PARTITION_MISSING", "a hole")),
        _audit=VerificationError(reason("LOG_FORK", "y")),
    )  # fmt: skip
    assert run.report.notes == list(STAGES)
    assert [item.code for item in run.report.refused] == [
        "ROLLBACK", "PARTITION_MISSING", "LOG_FORK",
    ]  # fmt: skip
    assert run.report.exit_code == 1


def test_chosen_stages_run_in_the_order_of_the_flow_and_the_log_is_looked_at(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.options = RunOptions(stages=(Stage.SCORING, Stage.PROMOTION))
    refusing(run, monkeypatch)
    assert run.report.notes == ["_scoring_at_once", "_promotion", "_scoring", "_audit"]


def test_what_cannot_be_decided_ends_the_run_with_2_and_hides_nothing(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(
        run, monkeypatch,
        _ingest=EvidenceError(reason("ROLLBACK", "x")),
        _features=BackendError(reason("LOG_UNAVAILABLE", "z")),
    )  # fmt: skip
    assert run.report.notes == ["_ingest", "_features"]
    assert [item.code for item in run.report.refused] == ["ROLLBACK", "LOG_UNAVAILABLE"]
    assert run.report.exit_code == 2


def test_wrong_configuration_is_for_whoever_typed_it(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError):
        refusing(run, monkeypatch, _training=ConfigError(reason("USAGE", "no such day")))


def test_run_without_refusal_ends_with_0(run: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(run, monkeypatch)
    assert (run.report.exit_code, run.report.refused) == (0, [])


def test_training_waits_with_its_reason_for_a_day_that_is_missing(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hole(*_: object) -> list[str]:
        raise DataError("PARTITION_MISSING", "training needs 2018-04-03", remedy="deliver it")

    monkeypatch.setattr(trainings, "training_due", hole)
    with pytest.raises(VerificationError) as caught:
        Pipeline._training(run)
    (why,) = caught.value.reasons
    assert (why.code, why.artifact, why.remedy) == (
        "PARTITION_MISSING", "training_set", "deliver it",
    )  # fmt: skip
    assert why.message == "training waits: training needs 2018-04-03"


@pytest.mark.parametrize(("found", "scored"), [
    ({}, ["at once"]),
    ({"live": "new"}, ["at once", "after"]),
    ({"ready": "new"}, ["after"]),
    ({"days": []}, ["after"]),
    ({"refused": EvidenceError(reason("SOURCE_MISMATCH", "x"))}, ["after"]),
    ({"refused": BackendError(reason("LOG_UNAVAILABLE", "x"))}, ["after"]),
], ids=" ".join)  # fmt: skip
def test_scores_wait_for_no_training_but_for_a_promotion_and_a_champion_to_be_mended(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], scored: list[str]
) -> None:
    def champion(*_: object) -> SimpleNamespace:
        if error := found.pop("refused", None):
            raise error
        return SimpleNamespace(evidence=SimpleNamespace(digest="old"))

    seen: list[str] = []
    monkeypatch.setattr(pipeline.planning, "registry_of", lambda _workspace: None)
    monkeypatch.setattr(
        pipeline.planning, "days_to_score", lambda *_: found.get("days", ["2018-05-01"])
    )
    monkeypatch.setattr(pipeline.promotion, "was_promoted", lambda *_: True)
    monkeypatch.setattr(pipeline.promotion, "is_ready", lambda *_: found.get("ready", ""))
    monkeypatch.setattr(pipeline.promotion, "find_champion", champion)
    monkeypatch.setattr(pipeline.promotion, "live_model", lambda _trust: found.get("live", "old"))
    monkeypatch.setattr(run, "_score", lambda _champion: seen.append(at))
    at = "at once"
    Pipeline._scoring_at_once(run)
    at = "after"
    Pipeline._scoring(run)
    assert seen == scored


@pytest.mark.parametrize("made", [[], [5]], ids=["nothing", "one day"])
def test_refused_days_stop_no_other_block(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch, made: list[int]
) -> None:
    """One run of all; refused, one of each block of what it had not made."""
    seen: list[list[str]] = []
    heads: dict[str, str] = {}
    days = [f"2018-04-0{day}" for day in range(1, 8)]

    def job(_name: str, tags: dict[str, str], **_more: object) -> None:
        seen.append(days_of(tags, days))
        if len(seen) == 1:
            heads.update({days[number]: "made" for number in made})
        if seen[-1][0] < "2018-04-05":
            raise EvidenceError(reason("ROLLBACK", seen[-1][0]))

    instance = SimpleNamespace(
        get_dynamic_partitions=lambda _name: days, add_dynamic_partitions=lambda *_: None
    )
    run.workspace = SimpleNamespace(store=SimpleNamespace(heads=lambda _: dict(heads)))  # type: ignore[assignment]  # as much as is asked
    monkeypatch.setattr(run, "_load", lambda: (None, instance))
    monkeypatch.setattr(run, "_run_job", job)
    with pytest.raises(EvidenceError) as caught:
        run._run_days("ingest", [days[0], days[2], days[5]], days)
    left = [day for day in (0, 2, 5) if day not in made]
    assert seen == [[days[0], days[2], days[5]], *([days[number]] for number in left)]
    assert [item.message for item in caught.value.reasons] == [days[0], days[2]]


def test_days_that_are_no_neighbours_are_one_run(
    run: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    days = [f"2018-04-0{day}" for day in range(1, 8)]
    instance = SimpleNamespace(
        get_dynamic_partitions=lambda _name: days, add_dynamic_partitions=lambda *_: None
    )
    run.workspace = SimpleNamespace(store=SimpleNamespace(heads=lambda _: {}))  # type: ignore[assignment]  # as much as is asked
    monkeypatch.setattr(run, "_load", lambda: (None, instance))
    monkeypatch.setattr(run, "_run_job", lambda _, tags: seen.append(days_of(tags, days)))
    run._run_days("features", [days[6], days[0], days[3]], days)
    assert seen == [[days[0], days[3], days[6]]]


@pytest.mark.parametrize(
    ("error", "code", "raised"),
    [
        (DatabaseError("select 1", {}, Exception("not a database")), "STORAGE_UNAVAILABLE", None),
        (OSError(errno.ENOSPC, "No space left on device"), "STORAGE_UNAVAILABLE", None),
        (KeyError("4012 8888 8888 1881"), "VERIFY_ERROR", KeyError),
        (BackendError(reason("LOG_UNAVAILABLE", "z")), "LOG_UNAVAILABLE", None),
    ],
)
def test_whatever_ends_a_run_is_told(
    run: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
    raised: type[Exception] | None,
) -> None:
    def fails() -> None:
        raise error

    told: list[Alert] = []
    at = datetime(2018, 4, 1, tzinfo=UTC)
    monkeypatch.setattr(run.workspace, "clock", lambda: at, raising=False)
    monkeypatch.setattr(run, "_tell", lambda find: told.extend(find()))
    monkeypatch.setattr(run, "_run_stages", fails)
    monkeypatch.setattr(pipeline, "session", lambda _workspace: nullcontext())
    monkeypatch.setattr(pipeline, "contract_alerts", lambda *_: [])
    settings = SimpleNamespace(postgres=SimpleNamespace(address=""))
    for name, value in {"settings": settings, "store": None, "dagster": "d"}.items():
        monkeypatch.setattr(run.workspace, name, value, raising=False)
    with pytest.raises(raised or BackendError):
        run.run()
    assert len(told) == 1
    assert told[0].headline.count(code) == 1
    assert "4012" not in told[0].text
    assert "remedy: " in told[0].text


@pytest.mark.parametrize(("codes", "begins"), [
    (["MODEL_REVOKED"], True),
    (["PARTITION_REVOKED", "STATEMENT_REVOKED"], True),
    (["KEY_REVOKED"], False),
    (["MODEL_REVOKED", "DIGEST_MISMATCH"], False),
])  # fmt: skip
def test_run_begins_with_what_was_taken_back_and_with_nothing_else_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[str], *, begins: bool
) -> None:
    lineage = SimpleNamespace(versions=SimpleNamespace(vanished=lambda: []))
    workspace: Any = SimpleNamespace(
        home=tmp_path,
        store=SimpleNamespace(problems=lambda: []),
        trust=SimpleNamespace(lineage=lambda: lineage),
    )
    wrong = [reason(code, "x") for code in codes]
    monkeypatch.setattr(pipeline, "verify_assets", lambda *_: SimpleNamespace(reasons=wrong))
    monkeypatch.setattr(pipeline.planning, "revoked_partitions", lambda *_: {"a": wrong[0]})
    run = Pipeline(workspace, RunOptions(), lambda _text: None)
    if begins:
        run._verify_heads()
        assert run.report.refused == wrong
    else:
        with pytest.raises(VerificationError):
            run._verify_heads()
