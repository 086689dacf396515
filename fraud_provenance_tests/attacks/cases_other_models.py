"""MA: what belongs to one model presented for another, judged where a model is promoted."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.permissions import Permissions
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.defs import shown
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud import evaluation
from fraud_provenance.models import facts, promotion, registration
from fraud_provenance.models.facts import EVALUATION, METRICS, MODEL
from fraud_provenance_tests.attacks.cases_evidence import any_signature, approve
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case, Mutant
from fraud_provenance_tests.attacks.mutants import both, policy_without, unbound, without
from fraud_provenance_tests.attacks.serving import (
    TREES,
    FilesChange,
    files_unchecked,
    load,
    model_folder,
    other_trees,
    resign,
    second_version,
    unchanged,
)

_SECOND = "m-00000000000000000000000000000002"  # as `second_version` names it
_TRAINER = Identity(issuer="workloads", subject="/steps/train")


def sign_model(home: Home, folder: Path) -> str:
    """The trainer's OpenSSF signature of a model folder; returns the statement's digest."""
    with home.surroundings():
        trust = home.workspace().trust
        return trust.signing.sign_model(folder, _TRAINER).statement.digest


def signature_of(change: Callable[[bytes], bytes]) -> Attack:
    """An attack: the candidate's statement names the signature of a model with other trees."""

    def attack(home: Home) -> None:
        folder = Path(shutil.copytree(model_folder(home), home.path / "scratch" / "other"))
        (folder / TREES).write_bytes(change((folder / TREES).read_bytes()))
        with home.surroundings():
            resign(home, MODEL, {"model_signature": sign_model(home, folder)})

    return attack


def signed_again(home: Home) -> None:
    """The twin: another signature of the same files, looked at and approved anew."""
    signature_of(bytes)(home)
    approve(home)


# --- evaluations ---------------------------------------------------------------------------------


def folder_of_second(home: Home) -> Path:
    return home.path / "mlflow" / "artifacts" / "models" / _SECOND / "artifacts"


def second_model(home: Home, change: FilesChange = unchanged, **lies: Any) -> None:
    """The trainer makes a second model: files, statement and signature are all in order."""
    number = second_version(home)
    folder = folder_of_second(home)
    assert number == "2"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    change(files)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with home.surroundings():
        outputs = {
            "location": folder.relative_to(home.path).as_posix(),
            "model_id": folder.parent.name,
            "mlflow_run_id": "0" * 32,
            "model_signature": sign_model(home, folder),
        }
        resign(home, MODEL, outputs, folder, **lies)


def presented_evaluation(home: Home) -> None:
    """The second model is registered and approved by gates that take the first's evaluation."""
    second_model(home)
    with home.surroundings(), any_evaluation():
        workspace = home.workspace()
        digest = promotion.digest_of_model(workspace.trust, _SECOND)
        registration.register_candidate(workspace.trust, registry_of(workspace), digest)
        approve(home)


def exchange_files(home: Home) -> None:
    """The second model's trees in the place of the first's."""
    first = model_folder(home)
    second_model(home)
    (first / TREES).write_bytes((folder_of_second(home) / TREES).read_bytes())


def evaluated_itself(home: Home, change: FilesChange = unchanged, **lies: Any) -> None:
    """The twin: the second model is evaluated, registered and approved."""
    second_model(home, change, **lies)
    said = home.job("training", assets=["model_evaluation", "release_candidate"])
    assert said.code == 0, said
    approve(home)


def _newest_evaluation(where: ModuleType) -> Mutant:
    def found(trust: Trust, walker: object, _digest: str) -> object:
        record = trust.store.records(asset=EVALUATION)[-1]
        return walker.node(record.statement)  # type: ignore[attr-defined]  # a LineageVerifier

    return lambda: patched(where, "evaluation_of", found)


any_evaluation = both(
    _newest_evaluation(facts),
    _newest_evaluation(shown),  # what the champion's page tells
    policy_without("SUBJECT_MISMATCH"),
    without(Permissions, "check_inputs"),  # what a permission rests on, judged by the kernel
)
"""A mutant: the newest evaluation speaks for every model."""


def evaluate_again(home: Home) -> None:
    """The twin: the evaluation step runs once more, and all is approved anew."""
    said = home.job("training", assets=["model_evaluation"])
    assert said.code == 0, said
    approve(home)


def evaluate_on_train(home: Home) -> None:
    """The evaluation step reads the train part for the held-out one, and says so."""
    from fraud_provenance.defs import training

    with (
        patched(training, "HELD_OUT", "train"),
        patched(evaluation, "evaluate", _cut_from_train),
        patched(evaluation, "alert_rate", _alert_rate_of_all),
    ):
        said = home.job("training", assets=["model_evaluation"])
    assert said.code == 0, said
    _copy_metrics(home)
    approve(home)


def _cut_from_train(frame: pl.DataFrame) -> dict[str, Any]:
    """Measure on the later train days, as if they came after the earlier ones."""
    scored = frame.filter(pl.col("score").is_not_null())
    day = pl.col("tx_datetime").dt.date()
    first, second = scored.select(day.unique().sort())["tx_datetime"][:2]
    part = pl.when(day == first).then(pl.lit("train")).when(day == second).then(pl.lit("delay"))
    return _evaluate(scored.with_columns(split=part.otherwise(pl.lit("test"))))


def _alert_rate_of_all(scored: pl.DataFrame, threshold: float) -> float:
    return _alert_rate(scored.with_columns(split=pl.lit("test")), threshold)


_evaluate, _alert_rate = evaluation.evaluate, evaluation.alert_rate


def _copy_metrics(home: Home) -> None:
    """MLflow shows the newest evaluation's numbers, as it does after an honest one."""
    lineage = home.workspace().trust.lineage()
    record = home.workspace().store.records(asset=EVALUATION)[-1]
    provenance = lineage.node(record.statement).provenance
    assert provenance is not None
    with sqlite3.connect(home.path / "mlflow" / "mlflow.db") as database:
        for name in METRICS:
            given = (provenance.outputs["metrics"][name], name)
            database.execute("update metrics set value = ? where key = ?", given)
            database.execute("update latest_metrics set value = ? where key = ?", given)
            database.execute(
                "update logged_model_metrics set metric_value = ? where metric_name = ?", given
            )


CASES = [
    Case("MA-02", signature_of(other_trees), promote(), signed_again,
         both(any_signature, unbound), state="approved", variant="promotion"),
    *(
        Case("MA-02", exchange_files, judge, second_model, files_unchecked, state,
             variant=f"files, {where}")
        for where, judge, state in (
            ("promotion", promote(), "approved"), ("load", load, "scored")
        )
    ),
    Case("MA-02", signature_of(other_trees), load, signature_of(bytes), any_signature,
         variant="load"),
    Case("MA-18", evaluate_on_train, promote(), evaluate_again,
         policy_without("EVAL_ON_TRAIN"), state="approved"),
    Case("MA-19", presented_evaluation, promote(), evaluated_itself, any_evaluation,
         state="approved"),
]  # fmt: skip
