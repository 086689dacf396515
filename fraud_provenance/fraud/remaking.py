"""One step of a model's making, done again from files: features, the training set, or the model.

This file runs under the code of another commit, in a process of its own, by that commit's own
functions. It leans on little, so that old commits can be asked: dbt's project, and the functions of
`fraud` that these steps call. What a step only does with evidence is not done again.
"""

import hashlib
import importlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

MART = "fct_transaction_features"
TRAIN, HELD_OUT, KNOWN = "train", "evaluation", "known_frauds"
TREES = "model.ubj"


def features(asked: Mapping[str, Any], project: Path, out: Path) -> None:
    """The features of some days, by dbt: `raw` names the files, `days` what is made."""
    import os
    from datetime import date

    import duckdb
    import polars as pl

    window, database = out / "window", out / "database"
    window.mkdir()
    database.mkdir()
    days = pl.DataFrame({"day": [date.fromisoformat(day) for day in asked["days"]]})
    days.write_parquet(window / "days.parquet")
    os.environ.update(  # dbt reads its settings from the environment of its process
        {
            "FRAUD_PROVENANCE_DBT_INPUT": asked["raw"],
            "FRAUD_PROVENANCE_DBT_WINDOW": str(window),
            "FRAUD_PROVENANCE_DBT_OUTPUT": str(database),
            "DO_NOT_TRACK": "1",
        }
    )
    _dbt(project / "dbt_project", out)
    with duckdb.connect(str(database / "scratch.duckdb"), read_only=True) as connection:
        mart = connection.table(f"main.{MART}").pl()
    mart = mart.with_columns(day=pl.col("tx_datetime").dt.date().cast(pl.String))
    for day in asked["days"]:
        own = mart.filter(pl.col("day") == day).drop("day").sort("transaction_id")
        (out / f"{day}.parquet").write_bytes(_parquet_bytes(own))


def _dbt(folder: Path, out: Path) -> None:
    from dbt.cli.main import dbtRunner

    done = dbtRunner().invoke(
        ["--quiet", "run", "--no-version-check", "--no-partial-parse", "--select", f"+{MART}",
         "--project-dir", str(folder), "--profiles-dir", str(folder),
         "--target-path", str(out / "target"), "--log-path", str(out / "log")]
    )  # fmt: skip
    if not done.success:
        raise RuntimeError(f"dbt: {done.exception or 'a model could not be built'}")


def training_set(asked: Mapping[str, Any], _project: Path, out: Path) -> None:
    """The parts of a training set: `features` names files by day, `parts` the days of each."""
    import polars as pl

    from fraud_provenance.fraud import feature_definitions
    from fraud_provenance.fraud import feature_store as feast
    from fraud_provenance.fraud.columns import FEATURE_SCHEMA
    from fraud_provenance.fraud.model import SPLIT_COLUMNS

    frame = pl.concat(pl.read_parquet(path) for _, path in sorted(asked["features"].items()))
    feast.write_offline(out / "offline", frame)
    store = feast.open_store(out / "registry", out / "offline")
    feature_definitions.apply_definitions(store)
    joined = feast.point_in_time_frame(store, frame)
    day = pl.col("tx_datetime").dt.date().cast(pl.String)
    parts: Mapping[str, Sequence[str]] = asked["parts"]
    part = (
        pl.when(day.is_in(parts["train"]))
        .then(pl.lit("train"))
        .when(day.is_in(parts["delay"]))
        .then(pl.lit("delay"))
        .otherwise(pl.lit("test"))
    )
    rows = joined.with_columns(split=part).select([*FEATURE_SCHEMA, *SPLIT_COLUMNS])
    learnt = pl.col("split") == "train"
    files = {TRAIN: learnt, HELD_OUT: ~learnt, KNOWN: learnt & (pl.col("tx_fraud") == 1)}
    for name, wanted in files.items():
        (out / f"{name}.parquet").write_bytes(_parquet_bytes(rows.filter(wanted)))


def model(asked: Mapping[str, Any], _project: Path, out: Path) -> None:
    """The model and its documents: `train` names the file, `parameters` are those signed."""
    import polars as pl

    from fraud_provenance.fraud.model import TrainingConfig, XGBoostParameters, train

    content = Path(asked["train"]).read_bytes()
    own = dict(asked["parameters"])
    config = TrainingConfig(cards_per_day=own.pop("cards_per_day"), params=XGBoostParameters(**own))
    made = train(pl.read_parquet(io.BytesIO(content)), config)
    (out / TREES).write_bytes(made.ubj)
    documents = {
        "feature_contract.json": made.feature_contract,
        "resolved_parameters.json": made.resolved_parameters,
    }
    with suppress(ImportError):  # the first commits made no bill of materials
        documents["ml_bom.json"] = _bill(made, content)
    for name, document in documents.items():
        text = json.dumps(document, indent=1, sort_keys=True)
        (out / name).write_text(text, "utf-8")


def _bill(made: Any, train: bytes) -> dict[str, Any]:  # noqa: ANN401 - a model of that commit's
    from fraud_provenance.fraud.bom import ml_bom

    return ml_bom(
        name="fraud_model",
        model_sha256=hashlib.sha256(made.ubj).hexdigest(),
        training_sha256=hashlib.sha256(train).hexdigest(),
        feature_contract=made.feature_contract,
        parameters=made.resolved_parameters["requested"],
        library=made.resolved_parameters["library"],
    )


def _parquet_bytes(frame: Any) -> bytes:  # noqa: ANN401 - a frame of that commit's polars
    """As that commit writes a frame; the function lay elsewhere once."""
    for module in ("fraud.parquet", "data.landing", "landing"):
        with suppress(ImportError, AttributeError):
            found = importlib.import_module(f"fraud_provenance.{module}")
            return bytes(found.parquet_bytes(frame))
    raise RuntimeError("this commit writes frames in a way that is not known here")


STEPS = {"features": features, "training_set": training_set, "train": model}


def main() -> None:
    """Do what the request file says: argv is project, this file, "main", request and folder."""
    project, _, _, request, out = map(Path, sys.argv[1:])
    asked = json.loads(request.read_bytes())
    STEPS[asked["step"]](asked, project, out)
