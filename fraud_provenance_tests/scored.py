"""An honest chain from raw days to logged scores, made through the gate with small real files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fraud_provenance import prediction_log
from fraud_provenance.evidence.statements import Identity
from fraud_provenance.evidence.verification import VerifiedBundle
from fraud_provenance.gates.decisions import sign_decision
from fraud_provenance.gates.policy import Answer
from fraud_provenance.gates.step import Finish, Materialisation, Step
from fraud_provenance.gates.trust import Trust
from fraud_provenance.prediction_batch import leaf_hashes, leaves
from fraud_provenance_tests.conftest import DAYS, FEATURES, judge

FEATURE_SUITES = ("feature_schema", "feature_expectations")
SCORER = Identity(issuer="workloads", subject="/steps/score")
ROWS = 5


@dataclass(frozen=True)
class Deployed:
    """A model that a decision made champion."""

    model: Materialisation
    decision: str

    @property
    def digest(self) -> str:
        return self.model.manifest.digest


def deploy(
    trust: Trust,
    model_id: str = "m-1",
    content: bytes = b"{model",
    parameters: Mapping[str, Any] | None = None,
    **outputs: str,
) -> Deployed:
    """Train on the features and decide for the model, without asking the policy's gates."""
    if not trust.store.heads("training_set"):
        judge(trust, FEATURES, DAYS, FEATURE_SUITES)
        with Step(trust, "training_set", "run-set") as step:
            read = step.read(FEATURES, DAYS)
            step.write("train", "training_set/train.parquet", b"rows", read.digests.values())
            step.commit({})
        judge(trust, "training_set", ["train"], ["training_set_point_in_time"])
    with Step(trust, "train", "run-train", parameters or {}) as step:
        read = step.read("training_set", ["train"])
        step.write(model_id, f"models/{model_id}/model.ubj", content, read.digests.values())
        made = step.commit({"model_id": model_id, **outputs})
    decision = sign_decision(
        trust,
        trust.policies.current(),
        gate="deploy",
        name="fraud_model",
        digest=made.manifest.digest,
        inputs=[made.bundle.statement.digest],
        facts={"model_id": model_id},
        answer=Answer(allowed=True, reasons=()),
    ).result()
    return Deployed(made, decision.statement.digest)


def scored_frame(rows: int = ROWS) -> pl.DataFrame:
    """Rows x what a day's score file holds."""
    return pl.DataFrame(
        {
            "transaction_id": pl.Series(range(100, 100 + rows), dtype=pl.Int64),
            "customer_id": pl.Series([7] * rows, dtype=pl.Int32),
            "terminal_id": pl.Series([9] * rows, dtype=pl.Int32),
            "score": pl.Series([0.25 + row / 100 for row in range(rows)], dtype=pl.Float32),
            "is_alert": [False] * rows,
        }
    )


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def score(
    trust: Trust,
    deployed: Deployed,
    days: Sequence[str] = DAYS[:1],
    *,
    finish: Finish | None = prediction_log.log_scores,
    rows: int = ROWS,
) -> Materialisation:
    """Score days as the asset does, with made-up numbers."""
    with Step(trust, "score", "run-score", {"partitions": [*days]}) as step:
        features = step.read(FEATURES, days)
        model = step.read("fraud_model", [next(iter(deployed.model.manifest.partitions))])
        frame = scored_frame(rows)
        for item in features.files:
            sources = [item.sha256, *(part.sha256 for part in model.files)]
            name = f"transaction_scores/{item.partition}"
            hashes = leaf_hashes(leaves(frame))
            step.write(item.partition, f"{name}.parquet", parquet(frame), sources)
            step.write(item.partition, f"{name}.leaves", hashes, sources)
        outputs = {"rows": dict.fromkeys(days, rows), "decision": deployed.decision}
        return step.commit(outputs, finish=finish)


def batch_of(trust: Trust, made: Materialisation) -> VerifiedBundle:
    """The batch about these scores."""
    found = prediction_log.batch_about(trust, trust.lineage().node(made.bundle.statement.digest))
    assert found is not None
    assert found.bundle is not None
    return found.bundle
