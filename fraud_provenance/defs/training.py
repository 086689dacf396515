"""Stage 4, training: the point-in-time training set, the model and its evaluation."""

import io
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import Reason, VerificationError
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import columns, support, tracking
from fraud_provenance.defs.making import Making, attested_asset
from fraud_provenance.defs.model_logging import log_model
from fraud_provenance.due.planning import POINT_IN_TIME, declared_empty
from fraud_provenance.due.trainings import (
    PACKAGES_DEADLINE_S,
    model_parameters,
    newest_model,
    split_parameters,
    training_split,
    usable_features,
)
from fraud_provenance.fraud.model_file import TREES, check_inputs, check_model_folder
from fraud_provenance.home import pages
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.champion import digest_of_model
from fraud_provenance.models.facts import model_statement
from fraud_provenance.models.registry import writing_to_mlflow
from fraud_provenance.models.serving import serving_folder
from fraud_provenance.models.view_skew import view_digests
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.model import Split, TrainedModel, TrainingConfig

TRAINING_SET, MODEL, EVALUATION = "training_set", "fraud_model", "model_evaluation"
TRAIN, HELD_OUT, KNOWN = "train", "evaluation", "known_frauds"
TESTED = "test"  # what the metrics are about: the held-out days after the delay


class TrainingResource(dg.ConfigurableResource["TrainingResource"]):
    """Days and parameters of training. The defaults are the handbook's baseline."""

    train_start: str = ""
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7
    retrain_after_days: int = 1
    cards_per_day: int = 100
    parameters: dict[str, Any] = {}  # noqa: RUF012 - a pydantic field, copied for each instance

    def config(self) -> "TrainingConfig":
        """As the closed schema of the fraud package."""
        from fraud_provenance.fraud.model import TrainingConfig, XGBoostParameters

        return TrainingConfig(
            train_start=date.fromisoformat(self.train_start) if self.train_start else None,
            train_days=self.train_days,
            delay_days=self.delay_days,
            test_days=self.test_days,
            retrain_after_days=self.retrain_after_days,
            cards_per_day=self.cards_per_day,
            params=XGBoostParameters(**self.parameters),
        )


CONFIGURED: Final = TrainingResource()
"""What the graph and its sensors go by."""


@attested_asset(
    "training_set",
    group_name=support.TRAINING,
    kinds={"feast", "parquet"},
    owners=support.OWNERS,
    deps=["transaction_features", "feature_store"],
    metadata=columns.training_set_metadata(),
    description=(
        "Train, delay and test days joined point in time through Feast: no feature is newer than "
        "its transaction. Train and evaluation rows are separate, separately attested files."
    ),
)
def training_set(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource, training: TrainingResource
) -> dg.MaterializeResult[Any]:
    """Join and split."""
    import polars as pl

    workspace = provenance.open()
    config = training.config()
    usable = usable_features(workspace)
    empty = declared_empty(workspace)
    split = training_split(config, usable, empty)
    parameters = split_parameters(config, split)
    with Making(context, workspace, "training_set", parameters) as making:
        read = making.step.read("transaction_features", split.days)
        making.step.require_current_code(read)
        joined, views = _point_in_time(workspace, read, split)
        in_train = pl.col("split") == "train"
        parts = {
            TRAIN: joined.filter(in_train),
            HELD_OUT: joined.filter(~in_train),
            KNOWN: joined.filter(in_train & (pl.col("tx_fraud") == 1)),
        }
        for name, part in parts.items():
            made_from = [read.digests[day] for day in days_of_part(split)[name]]
            making.table(name, f"{TRAINING_SET}/{name}.parquet", part, made_from)
        made = making.commit(
            {
                "days": list(split.days),
                "views": views,
                "waivers": {d: w for d, w in empty.items() if split.days[0] < d < split.days[-1]},
            }
        )
    making.keep_versions(made)
    return making.result(
        made,
        columns.training_set_lineage(),
        {
            "train_days": f"{split.train[0]} … {split.train[-1]}",
            "test_days": f"{split.test[0]} … {split.test[-1]}",
            **{f"rows_{name}": count for name, count in making.rows.items()},
        },
        rows={name: making.rows[name] for name in (TRAIN, HELD_OUT)},  # known frauds are train rows
    )


def days_of_part(split: "Split") -> dict[str, tuple[str, ...]]:
    """The days that each part's rows are of."""
    return {TRAIN: split.train, HELD_OUT: (*split.delay, *split.test), KNOWN: split.train}


def _point_in_time(
    workspace: Workspace, read: VerifiedInput, split: "Split"
) -> "tuple[pl.DataFrame, dict[str, str]]":
    """Features as Feast serves them, with each transaction's part; digests of the views used."""
    import polars as pl

    from fraud_provenance.fraud import feature_definitions
    from fraud_provenance.fraud import feature_store as feast
    from fraud_provenance.fraud.columns import FEATURE_SCHEMA
    from fraud_provenance.fraud.model import SPLIT_COLUMNS

    frame = pl.concat(support.frames_of(read).values())
    offline = support.private_folder(workspace, "feast-training")
    feast.write_offline(offline, frame)
    store = feast.open_store(offline / "registry", offline)
    views = view_digests(feature_definitions.apply_definitions(store))
    joined = feast.point_in_time_frame(store, frame)
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    part = (
        pl.when(day.is_in(split.train))
        .then(pl.lit("train"))
        .when(day.is_in(split.delay))
        .then(pl.lit("delay"))
        .otherwise(pl.lit("test"))
    )
    return joined.with_columns(split=part).select([*FEATURE_SCHEMA, *SPLIT_COLUMNS]), views


@attested_asset(
    "train",
    group_name=support.TRAINING,
    kinds={"xgboost", "mlflow"},
    owners=["team:ml-engineering"],
    deps=[TRAINING_SET],
    metadata=columns.model_metadata(),
    description=(
        "XGBoost as UBJ with its feature contract and threshold, logged in MLflow, attested file "
        "by file and signed as a model (OpenSSF model signing)."
    ),
)
def fraud_model(
    context: dg.AssetExecutionContext,
    provenance: ProvenanceResource,
    training: TrainingResource,
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult[Any]:
    """Train, log, sign."""
    import polars as pl

    from fraud_provenance.fraud.model import train

    workspace = provenance.open()
    packages = workspace.attestor.packages()
    config = training.config()
    parameters = model_parameters(config)
    with Making(context, workspace, "train", parameters) as making:
        step = making.step
        read = step.read(TRAINING_SET, [TRAIN])
        frame = pl.read_parquet(io.BytesIO(read.files[0].content))
        model = train(frame, config)
        bom = _bill_of_materials(model, read.files[0].sha256)
        signed_bom = step.attest_bom(TREES, encoding.digest_bytes(model.ubj), bom)
        documents = {
            "feature_contract.json": model.feature_contract,
            "resolved_parameters.json": model.resolved_parameters,
            "ml_bom.json": bom,
        }
        with writing_to_mlflow("cannot log the model"):
            mlflow.log_params(parameters)
            mlflow.set_tags(_tags(workspace, read))
            model_id, run_id, location = log_model(mlflow, workspace, model, frame, documents)
            tracking.log_inputs(
                mlflow.MlflowClient(), run_id, tracking.data_versions_of(workspace, read.nodes[0])
            )
        step.adopt(location, model_id, [read.files[0].sha256])
        signature = workspace.trust.signing.sign_model(workspace.home / location, step.identity)
        making.count(TRAIN, frame)
        made = making.commit(
            {
                "format": "ubj",
                "features": model.feature_contract["names"],
                "model_id": model_id,
                "mlflow_run_id": run_id,
                "model_signature": signature.statement.digest,
                "ml_bom": signed_bom.result().statement.digest,
                "library": model.resolved_parameters["library"],
                "environment_problems": list(packages.result(PACKAGES_DEADLINE_S)),
            }
        )
    return making.result(
        made,
        columns.model_lineage(),
        {
            "model_id": model_id,
            "threshold": model.feature_contract["threshold"],
            "parameters": dg.MetadataValue.json(model.resolved_parameters["requested"]),
        },
    )


def _tags(workspace: Workspace, read: VerifiedInput) -> dict[str, str]:
    """What people see of a training in MLflow; none of it is ever a fact to a gate."""
    return {
        "git_commit": workspace.code_facts.git_commit,
        "git_dirty": str(workspace.code_facts.git_dirty).lower(),
        "data_version": read.view.digest,
        "training_sha256": read.files[0].sha256,
        "lock_sha256": workspace.code_facts.lock,
        "validation_report": pages.address_of(
            workspace.home, POINT_IN_TIME, tracking.page_of(read.nodes[0])
        ),
    }


def _bill_of_materials(model: "TrainedModel", training_sha256: str) -> dict[str, Any]:
    from fraud_provenance.fraud.bom import ml_bom

    return ml_bom(
        name=MODEL,
        model_sha256=encoding.digest_bytes(model.ubj),
        training_sha256=training_sha256,
        feature_contract=model.feature_contract,
        parameters=model.resolved_parameters["requested"],
        library=model.resolved_parameters["library"],
    )


@attested_asset(
    "evaluate",
    group_name=support.TRAINING,
    kinds={"scikitlearn", "mlflow"},
    owners=["team:ml-engineering"],
    deps=[MODEL, TRAINING_SET],
    description=(
        "AUC ROC, average precision and card precision@100 of exactly this model on days it did "
        "not learn from, known compromised cards taken out (Fraud Detection Handbook, chapter 3)."
    ),
)
def model_evaluation(
    context: dg.AssetExecutionContext,
    provenance: ProvenanceResource,
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult[Any]:
    """Score the held-out days with the verified bytes and measure."""
    import polars as pl

    from fraud_provenance.fraud.evaluation import alert_rate, evaluate
    from fraud_provenance.fraud.model import predict

    workspace = provenance.open()
    model_id = newest_model(workspace)
    attested = model_statement(workspace.trust, digest_of_model(workspace.trust, model_id))
    with Making(context, workspace, "evaluate") as making:
        step = making.step
        data = step.read(TRAINING_SET, [HELD_OUT, KNOWN])
        model = step.read_statement(attested)
        frames = support.frames_of(data)
        held_out = frames[HELD_OUT]
        ubj, contract = model_files(workspace, step, model)
        scored = held_out.with_columns(score=pl.Series(predict(ubj, contract, held_out)))
        known = frames[KNOWN].with_columns(score=pl.lit(None, dtype=pl.Float32))
        metrics = evaluate(pl.concat([known, scored], how="vertical"))
        sources = [*data.digests.values(), *(item.sha256 for item in model.files)]
        path = f"{EVALUATION}/{model_id}.json"
        step.write(model_id, path, encoding.canonical_json(metrics), sources)
        making.count(HELD_OUT, held_out)
        made = making.commit(
            {
                "metrics": metrics,
                "dataset_sha256": data.digests[HELD_OUT],
                "model_id": model_id,
                "event_time": {
                    HELD_OUT: support.event_range(held_out),
                    TESTED: support.event_range(held_out.filter(pl.col("split") == TESTED)),
                },
                "threshold": contract["threshold"],
                "alert_rate": alert_rate(scored, float(contract["threshold"])),
            }
        )
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    with writing_to_mlflow("cannot log the metrics"):
        mlflow.log_metrics(numbers)
    return making.result(made, numbers)


def model_files(
    workspace: Workspace, step: Step, read: VerifiedInput
) -> tuple[bytes, dict[str, Any]]:
    """(UBJ bytes, feature contract) of a model that was read through the gate and may be loaded.

    Raises:
        VerificationError: the files are no model that could be loaded safely.
    """
    files = {item.name: item.content for item in read.files}
    contract = check_model(workspace, step.policy, read.nodes[0], files)
    return files[TREES], contract


def check_model(
    workspace: Workspace, policy: Policy, model: Node, files: Mapping[str, bytes]
) -> dict[str, Any]:
    """Judge a verified model's bytes before anything loads them; returns its feature contract.

    Raises:
        VerificationError: the files are no model that could be loaded safely.
    """
    from fraud_provenance.fraud.errors import DataError

    made = model.expect(Materialisation).provenance
    parameters, outputs = made.parameters, made.outputs
    allowed = policy.data("thresholds")["allowed_model_files"]["value"]
    try:
        contract = check_model_folder(files, parameters, allowed, serving_folder(workspace.home))
        check_inputs(contract["names"], outputs.get("features"))
    except DataError as error:
        raise VerificationError(
            Reason(code=error.code, message=str(error), remedy=error.remedy, artifact=MODEL)
        ) from error
    return contract
