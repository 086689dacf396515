"""The stock pipeline, as a process of its own: `… HOME [--train-start DAY] [--train-days N] …`.

Landing files that are new or came again are checked and taken over, features made, a model trained
and logged, and the newest day scored by the version that the registry calls champion. A check that
fails keeps its day out and fails the run, as blocking checks do.
"""

import argparse
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import polars as pl

from fraud_provenance.fraud import model as fraud_model
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.evaluation import evaluate
from fraud_provenance.fraud.recompute import recompute_features

RAW, FEATURES, SCORES = "raw_transactions", "transaction_features", "transaction_scores"
MODEL = "fraud_model"
_LEAST_PRECISION = 0.2


class Config(dg.Config):
    """What a run may be told."""

    home: str
    train_start: str = ""
    train_days: int = 7
    score: str = ""


def tracking(home: Path) -> mlflow.MlflowClient:
    """MLflow on the home's own database."""
    (home / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow/mlflow.db")
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(MODEL) is None:
        client.create_experiment(MODEL, artifact_location=f"{home}/mlflow/artifacts")
    mlflow.set_experiment(MODEL)
    return client


def file_of(home: Path, asset: str, partition: str) -> Path:
    path = home / "data" / asset / f"{partition}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _days(home: Path, asset: str) -> list[str]:
    return sorted(path.stem for path in (home / "data" / asset).glob("*.parquet"))


def _waived(home: Path) -> set[str]:
    path = home / "waived"
    return set(path.read_text("utf-8").split()) if path.exists() else set()


@dg.op(out=dg.Out(dg.Nothing))
def ingest(context: dg.OpExecutionContext, config: Config) -> None:
    """Take over landed days that are new or came again, if their checks pass."""
    from fraud_provenance_tests.incidents.stock.checks import failures_of  # takes seconds to import

    home, failed = Path(config.home), []
    for landed in sorted((home / "landing").glob("*.parquet")):
        day, target = landed.stem, file_of(home, RAW, landed.stem)
        if target.exists() and target.read_bytes() == landed.read_bytes():
            continue
        found = [] if day in _waived(home) else failures_of(landed, day)
        if found:
            failed.append(day)
            said = ", ".join(found)[:200]
            context.log_event(dg.AssetObservation(RAW, partition=day, metadata={"failed": said}))
            continue
        target.write_bytes(landed.read_bytes())
        rows = pl.scan_parquet(landed).select(pl.len()).collect().item()
        context.log_event(dg.AssetMaterialization(RAW, partition=day, metadata={"rows": rows}))
    if failed:
        raise dg.Failure(f"checks failed: {', '.join(failed)}")


@dg.op(ins={"after": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def features(context: dg.OpExecutionContext, config: Config) -> None:
    """The features of every day, from all raw days."""
    home = Path(config.home)
    frames = [pl.read_parquet(file_of(home, RAW, day)) for day in _days(home, RAW)]
    made = recompute_features(pl.concat(
        [frame.rename(str.lower).select(*map(str.lower, LANDING_SCHEMA)) for frame in frames]
    ))  # fmt: skip
    for (day,), rows in made.group_by(pl.col("tx_datetime").dt.date(), maintain_order=True):
        path = file_of(home, FEATURES, str(day))
        if not path.exists() or not pl.read_parquet(path).equals(rows):
            rows.write_parquet(path)
            context.log_event(dg.AssetMaterialization(FEATURES, partition=str(day)))


@dg.op(ins={"after": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def training(context: dg.OpExecutionContext, config: Config) -> None:
    """Train and measure on the newest days; parameters, metrics, data set and commit are logged."""
    home = Path(config.home)
    client = tracking(home)
    parts = _parts(config, _days(home, FEATURES))
    frames = {
        part: pl.concat([pl.read_parquet(file_of(home, FEATURES, day)) for day in days])
        for part, days in parts.items()
    }
    own = fraud_model.TrainingConfig(train_days=config.train_days)
    with mlflow.start_run() as run:
        mlflow.log_params(own.params.model_dump() | {
            "train_days": config.train_days, "train_start": parts["train"][0],
            "test_end": parts["test"][-1],
        })  # fmt: skip
        mlflow.set_tag("mlflow.source.git.commit", _commit())
        learnt = frames["train"]
        mlflow.log_input(mlflow.data.from_pandas(learnt.to_pandas(), name="train"), "training")
        learnt.write_parquet(file_of(home, "training_set", "train"))
        trained = fraud_model.train(learnt, own)
        metrics = _measured(trained, frames)
        mlflow.log_metrics(metrics)
        target = home / "mlflow" / "artifacts" / run.info.run_id / "artifacts" / "model.ubj"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(trained.ubj)
        mlflow.log_dict(trained.feature_contract, "feature_contract.json")
        mlflow.log_dict(metrics, "metrics.json")
    context.log_event(dg.AssetMaterialization(MODEL, metadata={"run": run.info.run_id}))
    if metrics["average_precision"] < _LEAST_PRECISION:
        raise dg.Failure(f"average precision {metrics['average_precision']:.3f}")
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, str(target.parent), run.info.run_id).version
    client.set_registered_model_alias(MODEL, "candidate", version)
    if str(version) == "1":
        client.set_registered_model_alias(MODEL, "champion", version)


def _parts(config: Config, known: list[str]) -> dict[str, list[str]]:
    """The days of train, delay and test, as the project's own training has them."""
    count = config.train_days + 14
    start = config.train_start or str(date.fromisoformat(known[-1]) - timedelta(days=count - 1))
    days = [day for day in known if day >= start][:count]
    one, two = config.train_days, config.train_days + 7
    return {"train": days[:one], "delay": days[one:two], "test": days[two:]}


def _measured(
    trained: fraud_model.TrainedModel, frames: dict[str, pl.DataFrame]
) -> dict[str, float]:
    scored = []
    for part, frame in frames.items():
        scores = fraud_model.predict(trained.ubj, trained.feature_contract, frame)
        own = pl.Series("score", scores, dtype=pl.Float32)
        scored.append(frame.with_columns(own, split=pl.lit(part)))
    found = evaluate(pl.concat(scored))
    return {n: float(v) for n, v in found.items() if isinstance(v, float | int)}


@dg.op(ins={"after": dg.In(dg.Nothing)})
def scoring(context: dg.OpExecutionContext, config: Config) -> None:
    """Score the newest day, or the one that is named, by the champion."""
    home = Path(config.home)
    client = tracking(home)
    version = client.get_model_version_by_alias(MODEL, "champion")
    folder = home / "mlflow" / "artifacts" / version.run_id / "artifacts"
    contract = mlflow.artifacts.load_dict(f"{folder}/feature_contract.json")
    day = config.score or _days(home, FEATURES)[-1]
    frame = pl.read_parquet(file_of(home, FEATURES, day))
    scores = fraud_model.predict((folder / "model.ubj").read_bytes(), contract, frame)
    made = frame.select("transaction_id").with_columns(
        score=pl.Series(scores), is_alert=pl.Series(scores >= contract["threshold"])
    )
    made.write_parquet(file_of(home, SCORES, day))
    context.log_event(dg.AssetMaterialization(
        SCORES, partition=day, metadata={"model_version": version.version}))  # fmt: skip


@dg.job
def nightly() -> None:
    """All of it."""
    scoring(training(features(ingest())))


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> int:
    """Exit 0 if the run succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--train-start", default="")
    parser.add_argument("--train-days", type=int, default=7)
    parser.add_argument("--score", default="")
    told = parser.parse_args()
    given: dict[str, Any] = {
        "home": str(told.home), "train_start": told.train_start, "train_days": told.train_days,
        "score": told.score,
    }  # fmt: skip
    os.environ["DAGSTER_HOME"] = str(told.home / "dagster")
    (told.home / "dagster").mkdir(parents=True, exist_ok=True)
    (told.home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", "utf-8")
    ops = {name: {"config": given} for name in ("ingest", "features", "training", "scoring")}
    with dg.DagsterInstance.get() as instance:
        done = nightly.execute_in_process({"ops": ops}, instance=instance, raise_on_error=False)
    return 0 if done.success else 1


if __name__ == "__main__":
    sys.exit(main())
