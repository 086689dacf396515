"""The prediction log: logged before published, chained, repaired after a kill, checked by trace."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.step.staging import recover
from fraud_provenance.attested.step.step import Materialisation
from fraud_provenance.home.settings import Runs
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions.batch import Batch, read_batch
from fraud_provenance_tests.conftest import DAYS, Chain, codes, copy_home, open_workspace
from fraud_provenance_tests.scored import SCORER, Deployed, batch_of, deploy, score


@pytest.fixture(scope="module")
def made(
    honest: Chain, tmp_path_factory: pytest.TempPathFactory, policy_project: Path
) -> tuple[Chain, Deployed]:
    """A home with a champion, made once; tests work on copies."""
    home = copy_home(honest.workspace.home, tmp_path_factory.mktemp("deployed") / "home")
    chain = replace(honest, workspace=open_workspace(home, policy_project))
    return chain, deploy(chain.trust)


@pytest.fixture
def chain(made: tuple[Chain, Deployed], tmp_path: Path, policy_project: Path) -> Chain:
    home = copy_home(made[0].workspace.home, tmp_path / "home")
    return replace(made[0], workspace=open_workspace(home, policy_project))


@pytest.fixture
def deployed(made: tuple[Chain, Deployed]) -> Deployed:
    return made[1]


def claims(trust: Trust, made: Materialisation) -> Batch:
    return read_batch(batch_of(trust, made).statement)


def resign(trust: Trust, made: Materialisation, **lies: Any) -> None:
    """Another batch about the same scores, signed by the scoring step, with lies in it."""
    honest = batch_of(trust, made).statement
    predicate: Mapping[str, Any] = {**honest.predicate, **lies}
    trust.signing.sign(
        statements.build_statement(
            statements.PREDICTION_BATCH, honest.subject_name, honest.subject_digest, predicate
        ),
        SCORER,
    )


def test_batches_are_numbered_and_chained(chain: Chain, deployed: Deployed) -> None:
    first = score(chain.trust, deployed)
    second = score(chain.trust, deployed, DAYS[1:2])
    one, two = claims(chain.trust, first), claims(chain.trust, second)
    assert (one.sequence, one.previous, one.total_rows) == (1, "", 5)
    assert (two.sequence, two.total_rows) == (2, 12)
    assert two.previous == batch_of(chain.trust, first).statement.digest


def test_heartbeat_is_left_at_most_once_a_day(chain: Chain, deployed: Deployed) -> None:
    made = prediction_log.log_heartbeat(chain.trust, deployed.digest, deployed.decision)
    assert made is not None
    assert read_batch(made.statement).batches == {}
    assert prediction_log.log_heartbeat(chain.trust, deployed.digest, deployed.decision) is None
    assert claims(chain.trust, score(chain.trust, deployed)).sequence == 2


def kill(trust: Trust, statement: str, staged: object) -> None:
    raise KeyboardInterrupt


def test_killed_between_scores_and_batch_is_logged_and_published_by_the_next_run(
    chain: Chain, deployed: Deployed
) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(chain.trust, deployed, finish=kill)
    path = chain.trust.home / "data" / "transaction_scores" / f"{DAYS[0]}.parquet"
    assert not path.exists()
    assert recover(chain.trust, prediction_log.UNFINISHED)
    assert path.exists()
    assert prediction_log.last_batch(chain.trust) is not None
    assert not recover(chain.trust, prediction_log.UNFINISHED)


def test_where_each_run_has_one_identity_only_scoring_finishes_what_scoring_left(
    chain: Chain, deployed: Deployed, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(chain.trust, deployed, finish=kill)
    path = chain.trust.home / "data" / "transaction_scores" / f"{DAYS[0]}.parquet"
    token = tmp_path / "tokens" / "workloads" / "steps" / "score"
    token.parent.mkdir(parents=True)
    one = replace(
        chain.workspace.settings, tokens=tmp_path / "tokens", runs=Runs(one_identity=True)
    )
    assert recover(Workspace(one).trust, prediction_log.UNFINISHED) == []
    assert not path.exists()
    token.write_text(chain.workspace.sigstore.workload_token("/steps/score"))
    assert recover(Workspace(one).trust, prediction_log.UNFINISHED)
    assert path.exists()
    assert prediction_log.last_batch(chain.trust) is not None


def test_scores_that_cannot_be_logged_are_not_published(
    chain: Chain, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise BackendError(reason("LOG_UNAVAILABLE", "no answer"))

    with monkeypatch.context() as patch:
        patch.setattr(prediction_log, "identity_of", down)
        with pytest.raises(BackendError, match="PREDLOG_UNAVAILABLE"):
            score(chain.trust, deployed)
        with pytest.raises(BackendError, match="PREDLOG_UNAVAILABLE"):
            recover(chain.trust, prediction_log.UNFINISHED)
    assert not (chain.trust.home / "data" / "transaction_scores").exists()
    recover(chain.trust, prediction_log.UNFINISHED)
    assert (chain.trust.home / "data" / "transaction_scores").exists()


def test_full_disk_stops_before_scoring(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendError, match="PREDLOG_UNAVAILABLE"):
        prediction_log.require_writable(chain.trust)


def test_log_shorter_than_remembered_is_not_continued(chain: Chain, deployed: Deployed) -> None:
    score(chain.trust, deployed)
    made = score(chain.trust, deployed, DAYS[1:2])
    batch = batch_of(chain.trust, made)
    chain.trust.store.bundle_path(batch.bundle_digest).unlink()
    (chain.workspace.home / "evidence" / "index.sqlite").unlink()
    again = type(chain.workspace)(chain.workspace.settings).trust
    with pytest.raises(VerificationError, match="SEQUENCE_GAP"):
        prediction_log.require_writable(again)


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ({"decision": "0" * 64}, "EVIDENCE_MISSING"),
        ({"model_digest": "0" * 64}, "DECISION_MISSING"),
        ({"batches": {}}, "SUBJECT_MISMATCH"),
    ],
)
def test_trace_refuses_a_batch_whose_claims_do_not_hold(
    chain: Chain, deployed: Deployed, lie: dict[str, Any], code: str
) -> None:
    made = score(chain.trust, deployed)
    scores = chain.trust.lineage().node(made.bundle.statement.digest)
    batch = Batch.model_validate(batch_of(chain.trust, made).statement.predicate | lie)
    found = prediction_log.batch_problems(chain.trust, batch, scores, made.manifest.digest)
    assert code in [item.code for item in found]


def test_batch_that_names_something_else_than_scores_is_refused(
    chain: Chain, deployed: Deployed
) -> None:
    made = score(chain.trust, deployed)
    for other in (chain.features.bundle, chain.contracts["raw_schema"]):
        named = claims(chain.trust, made).model_copy(
            update={"scores_statement": other.statement.digest}
        )
        node = chain.trust.lineage().node(other.statement.digest)
        found = prediction_log.batch_problems(chain.trust, named, node)
        assert [item.code for item in found] == ["SUBJECT_MISMATCH"]


def test_batch_of_another_models_decision_is_refused(chain: Chain, deployed: Deployed) -> None:
    made = score(chain.trust, deployed)
    other = deploy(chain.trust, "m-2", b"{other")
    resign(chain.trust, made, model_digest=other.digest, decision=other.decision)
    found = prediction_log.batch_problems(
        chain.trust,
        claims(chain.trust, made),
        chain.trust.lineage().node(made.bundle.statement.digest),
    )
    assert [item.code for item in found] == ["SUBJECT_MISMATCH"]


def test_batch_with_other_features_is_refused(chain: Chain, deployed: Deployed) -> None:
    made = score(chain.trust, deployed)
    honest = claims(chain.trust, made).model_dump(mode="json")
    honest["batches"][DAYS[0]]["features_sha256"] = "f" * 64
    found = prediction_log.batch_problems(
        chain.trust,
        Batch.model_validate(honest),
        chain.trust.lineage().node(made.bundle.statement.digest),
    )
    assert [item.code for item in found] == ["FEATURE_TRACE_MISMATCH"]


def test_malformed_batch_is_refused(chain: Chain) -> None:
    made = statements.build_statement(statements.PREDICTION_BATCH, "x", "0" * 64, {"rows": 1})
    with pytest.raises(VerificationError, match="PREDICATE_TYPE") as refused:
        read_batch(made)
    assert codes(refused.value) == ["PREDICATE_TYPE"]
