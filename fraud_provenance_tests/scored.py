"""An honest chain from raw days to logged scores, made through the gate with small real files."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import sign_decision
from fraud_provenance.attested.gates.policy import Answer
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.staging import Finish
from fraud_provenance.attested.step.step import Materialisation, Step
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, SCORE_SCHEMA
from fraud_provenance.fraud.model import (
    TrainedModel,
    TrainingConfig,
    XGBoostParameters,
    predict,
    train,
)
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions.batch import leaf_hashes, leaves
from fraud_provenance_tests.conftest import DAYS, FEATURES, PARAMETERS, RAW, judge

FEATURE_SUITES = ("feature_schema", "feature_expectations")
EVIDENCE = "e" * 64  # what was approved is what was decided on, whatever its name
SCORER = Identity(issuer="workloads", subject="/steps/score")
OFFICER = Identity(issuer="people", subject="risk.officer@example.com")
ROWS = {DAYS[0]: 5, DAYS[1]: 7}
_MLMODEL = b"""flavors:
  python_function: {loader_module: mlflow.xgboost}
  xgboost: {data: model.ubj, model_format: ubj}
"""
Change = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Deployed:
    """A model that a decision made champion."""

    model: Materialisation
    decision: str

    @property
    def digest(self) -> str:
        return self.model.manifest.digest


def feature_frame(day: str, rows: int, first_id: int = 100, seed: int = 1) -> pl.DataFrame:
    """A day of `rows` x the columns of `FEATURE_SCHEMA`, made up."""
    chance = np.random.default_rng(seed)
    noon = datetime.fromisoformat(day) + timedelta(hours=12)
    own = {
        "transaction_id": range(first_id, first_id + rows),
        "tx_datetime": [noon + timedelta(seconds=row) for row in range(rows)],
        "tx_fraud": [row % 3 == 0 for row in range(rows)],
    }
    return pl.DataFrame(
        {
            name: pl.Series(own.get(name, chance.integers(1, 90, rows)), strict=False).cast(dtype)
            for name, dtype in FEATURE_SCHEMA.items()
        }
    )


def featurise(
    trust: Trust, days: Sequence[str] = DAYS, seed: int = 1, **outputs: str
) -> Materialisation:
    """Real features of the raw days, judged; another seed gives a newer version of them."""
    with Step(trust, "features", f"run-features-{seed}", {"partitions": [*days]}) as step:
        for item in step.read(RAW, days).files:
            frame = feature_frame(item.partition, ROWS[item.partition], seed=seed)
            path = f"{FEATURES}/{item.partition}.parquet"
            step.write(item.partition, path, parquet_bytes(frame), [item.sha256])
        made = step.commit({"rows": {day: ROWS[day] for day in days}, **outputs})
    judge(trust, FEATURES, days, FEATURE_SUITES)
    return made


@cache
def trained(trees: int) -> TrainedModel:
    """A small real model."""
    rows = feature_frame(DAYS[0], 60, seed=trees)
    return train(rows, TrainingConfig(params=XGBoostParameters(n_estimators=trees, max_depth=2)))


def model_folder(trees: int, note: bytes = b"") -> dict[str, bytes]:
    """The files of that model, as MLflow writes them; `note` makes it another one."""
    model = trained(trees)
    return {
        "MLmodel": _MLMODEL,
        "feature_contract.json": encoding.canonical_json(model.feature_contract),
        "model.ubj": model.ubj,
        "requirements.txt": note,
    }


def _is_of_newest_features(trust: Trust) -> bool:
    """Whether there is a training set, and what it was made from is the newest."""
    heads = trust.store.heads("training_set").get("train")
    if not heads:
        return False
    manifest = trust.lineage().node(heads[0].statement).manifest
    newest = {files[0].sha256 for files in trust.store.heads(FEATURES).values()}
    return manifest is not None and newest.issuperset(manifest.entries[0].made_from)


def make_training_set(trust: Trust) -> None:
    """A training set of the newest features, judged."""
    with Step(trust, "training_set", "run-set", PARAMETERS["training_set"]) as step:
        read = step.read(FEATURES, DAYS)
        step.write("train", "training_set/train.parquet", b"rows", read.digests.values())
        step.commit({})
    judge(trust, "training_set", ["train"], ["training_set_point_in_time"])


def deploy(
    trust: Trust,
    model_id: str = "m-1",
    content: bytes = b"",
    parameters: Mapping[str, Any] | None = None,
    trees: int = 3,
    **outputs: str,
) -> Deployed:
    """Train on the features and decide for the model, without asking the policy's gates."""
    if not trust.store.heads("training_set"):
        featurise(trust)
    if not _is_of_newest_features(trust):
        make_training_set(trust)
    if parameters is None:
        parameters = trained(trees).resolved_parameters["requested"]
    location = f"mlflow/artifacts/models/{model_id}/artifacts"
    files = model_folder(trees, content)
    given = PARAMETERS["train"] | dict(parameters)
    with Step(trust, "train", "run-train", given, location) as step:
        read = step.read("training_set", ["train"])
        for name, file in files.items():
            step.write(model_id, name, file, read.digests.values())
        made = step.commit({"model_id": model_id, **outputs})
    return Deployed(made, _decide(trust, made, model_id))


def _decide(trust: Trust, made: Materialisation, model_id: str) -> str:
    """Everything that a deployment decision rests on, and the decision itself."""
    digest, model = made.manifest.digest, made.bundle.statement.digest
    with Step(trust, "evaluate", "run-evaluate") as step:
        step.read("training_set", ["train"])
        read = step.read_statement(model)
        sources = [item.sha256 for item in read.files]
        step.write(model_id, f"model_evaluation/{model_id}.json", b"{}", sources)
        evaluated = step.commit({"model_id": model_id}).bundle.statement.digest
    now = encoding.utc_text(trust.clock())
    trainer = Identity(issuer="workloads", subject="/steps/train")
    gate = Identity(issuer="workloads", subject="/gates/deployment")
    said = {"environment": trust.environment, "at": now}
    signature = _sign(trust, statements.MODEL_SIGNATURE, digest, {"run": model_id}, trainer)
    asked = _sign(trust, statements.PROMOTION_REQUEST, digest, said, gate)
    registered = _allow(trust, "release", digest, model_id, [model, evaluated, signature])
    policy = trust.policies.current().digest
    bound = {"environment": trust.environment, "evidence_set": EVIDENCE, "policy_digest": policy}
    approved = _sign(trust, statements.APPROVAL, digest, bound | {"issued_at": now}, OFFICER)
    rests_on = [model, evaluated, signature, registered, asked, approved]
    return _allow(trust, "deploy", digest, model_id, rests_on)


def _sign(trust: Trust, kind: str, digest: str, predicate: Mapping[str, Any], who: Identity) -> str:
    statement = statements.build_statement(kind, "fraud_model", digest, predicate)
    return trust.signing.sign(statement, who).statement.digest


def _allow(trust: Trust, gate: str, digest: str, model_id: str, inputs: Sequence[str]) -> str:
    facts: dict[str, Any] = {"model_id": model_id, "evidence_set": EVIDENCE}
    if gate == "deploy":
        sequence, previous = trust.lineage().versions.next(DEPLOYMENTS)
        facts |= {"sequence": sequence, "previous": previous, "version": str(sequence)}
    return (
        sign_decision(
            trust,
            trust.policies.current(),
            gate=gate,
            name="fraud_model",
            digest=digest,
            inputs=list(inputs),
            facts=facts,
            answer=Answer(allowed=True, reasons=()),
        )
        .result()
        .statement.digest
    )


def score(
    trust: Trust,
    deployed: Deployed,
    days: Sequence[str] = DAYS[:1],
    *,
    finish: Finish | None = prediction_log.log_scores,
    change: Change = lambda scored: scored,
) -> Materialisation:
    """Score days as the asset does; `change` has its way with the rows."""
    with Step(trust, "score", "run-score", {"partitions": [*days]}) as step:
        features = step.read(FEATURES, days)
        model = step.read_statement(deployed.model.bundle.statement.digest)
        files = {item.name: item.content for item in model.files}
        contract = encoding.strict_json(files["feature_contract.json"])
        rows = {}
        for item in features.files:
            frame = pl.read_parquet(io.BytesIO(item.content))
            own = pl.Series("score", predict(files["model.ubj"], contract, frame))
            scored = frame.with_columns(own, is_alert=own >= float(contract["threshold"]))
            scored = change(scored.select(list(SCORE_SCHEMA)))
            rows[item.partition] = scored.height
            sources = [item.sha256, *(part.sha256 for part in model.files)]
            name = f"transaction_scores/{item.partition}"
            hashes = leaf_hashes(leaves(scored))
            step.write(item.partition, f"{name}.parquet", parquet_bytes(scored), sources)
            step.write(item.partition, f"{name}.leaves", hashes, sources)
        return step.commit({"rows": rows, "decision": deployed.decision}, finish=finish)


def batch_of(trust: Trust, made: Materialisation) -> VerifiedBundle:
    """The batch about these scores."""
    found = prediction_log.batch_about(trust, trust.lineage().node(made.bundle.statement.digest))
    assert found is not None
    assert found.bundle is not None
    return found.bundle
