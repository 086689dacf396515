"""How a trained model gets into MLflow, and its files into the home, where they are attested.

In the home's own store both are one folder. On a server the files are written here first: what is
signed is what was made here, never what a server sends back.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.defs import support
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.registry import is_model_id
from fraud_provenance.models.registry_server import artifact_folder

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.model import TrainedModel

_NAME = "model"


def log_model(
    mlflow: Any,  # noqa: ANN401 - dagster-mlflow's resource has no types
    workspace: Workspace,
    model: "TrainedModel",
    frame: "pl.DataFrame",
    documents: Mapping[str, Any],
) -> tuple[str, str, str]:
    """Log to MLflow; returns (logged model's id, MLflow run id, folder relative to the home).

    Raises:
        VerificationError: SOURCE_SCHEME or SOURCE_MISMATCH, a server names a place for the model
            that cannot be.
    """
    import xgboost as xgb
    from mlflow.models import infer_signature

    booster = xgb.Booster()
    booster.load_model(bytearray(model.ubj))
    inputs = frame.select(model.feature_contract["names"]).head(5).to_pandas()
    scores = booster.predict(xgb.DMatrix(inputs))
    form = {
        "model_format": "ubj",
        "signature": infer_signature(inputs, scores),
        "pip_requirements": [f"xgboost-cpu=={xgb.__version__}"],
    }
    log = _on_server if workspace.settings.mlflow.server else _in_home
    model_id = log(mlflow, workspace, booster, form, documents)
    return model_id, mlflow.active_run().info.run_id, location_of(model_id)


def location_of(model_id: str) -> str:
    """The folder of a logged model's files, relative to the home."""
    return f"mlflow/artifacts/models/{model_id}/artifacts"


def _in_home(
    mlflow: Any,  # noqa: ANN401
    workspace: Workspace,
    booster: Any,  # noqa: ANN401
    form: dict[str, Any],
    documents: Mapping[str, Any],
) -> str:
    logged = mlflow.xgboost.log_model(booster, name=_NAME, **form)
    client = mlflow.MlflowClient()
    scratch = support.scratch_folder(workspace, "model")
    for path in _write(documents, scratch):
        client.log_model_artifact(logged.model_id, str(path))
    return str(logged.model_id)


def _on_server(
    mlflow: Any,  # noqa: ANN401
    workspace: Workspace,
    booster: Any,  # noqa: ANN401
    form: dict[str, Any],
    documents: Mapping[str, Any],
) -> str:
    """Ask for an id, write the files here, send them, and say that they are there."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client, run = mlflow.MlflowClient(), mlflow.active_run().info
    made = client.create_logged_model(run.experiment_id, _NAME, source_run_id=run.run_id)
    model_id, server = str(made.model_id), workspace.settings.mlflow.server
    folder = _own_folder(workspace, model_id)
    place = artifact_folder("to be", str(made.artifact_location), model_id)
    described = Model(
        artifact_path=made.artifact_location, model_uuid=model_id, run_id=run.run_id,
        model_id=model_id,
    )  # fmt: skip
    mlflow.xgboost.save_model(booster, path=str(folder), mlflow_model=described, **form)
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)
    _write(documents, folder)
    files = get_artifact_repository(f"mlflow-artifacts:/{place}", tracking_uri=server)
    files.log_artifacts(str(folder))
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, [LoggedModelOutput(model_id, step=0)])
    return model_id


def _own_folder(workspace: Workspace, model_id: str) -> Path:
    """The folder for a new model's files. An id that is none, or known, is not written to."""
    folder = workspace.home / location_of(model_id)
    if not is_model_id(model_id) or folder.exists():
        raise VerificationError(
            reason(
                ProductCause.SOURCE_SCHEME,
                f"the MLflow server calls a new model {model_id[:80]!r}",
                artifact="fraud_model",
            )
        )
    folder.parent.mkdir(parents=True)
    return folder


def _write(documents: Mapping[str, Any], folder: Path) -> list[Path]:
    paths = []
    for name, document in documents.items():
        paths.append(folder / name)
        paths[-1].write_text(json.dumps(document, indent=1, sort_keys=True), "utf-8")
    return paths
