"""A small home with real rows from the landing zone to logged scores, made through the gate."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.step import Materialisation, Step
from fraud_provenance.data import versions as dvc
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.fraud.recompute import LOOK_BACK_DAYS, recompute_features
from fraud_provenance.fraud.transactions import to_raw
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import FEATURES, PARAMETERS, RAW, RAW_SUITES, judge
from fraud_provenance_tests.scored import FEATURE_SUITES, Deployed, deploy, model_folder, score

COUNT, ROWS = 44, 24
TRAINED = 3
"""The first days, on which the model learnt."""


@dataclass
class Story:
    """Days of transactions, features of all of them, a model of the first, scores of the last."""

    workspace: Workspace
    raw: Mapping[str, pl.DataFrame]
    deployed: Deployed
    scores: Materialisation

    @property
    def trust(self) -> Trust:
        return self.workspace.trust

    @property
    def days(self) -> list[str]:
        return sorted(self.raw)

    @property
    def scored_day(self) -> str:
        return self.days[-1]

    def scored(self, day: str = "") -> pl.DataFrame:
        path = f"transaction_scores/{day or self.scored_day}.parquet"
        return pl.read_parquet(self.trust.home / "data" / path)


def window(days: list[str], day: str) -> list[str]:
    """The raw days that a day of features is made from."""
    first = str(date.fromisoformat(day) - timedelta(days=LOOK_BACK_DAYS))
    return [item for item in days if first <= item <= day]


def land(
    trust: Trust, raw: Mapping[str, pl.DataFrame], *, versioned: bool = False
) -> Materialisation:
    """Days of transactions into the landing zone, and from there to raw days that passed.

    `versioned`: DVC keeps them, so that they can be had when another version has come.
    """
    landing, days = trust.home / "landing", sorted(raw)
    landing.mkdir(exist_ok=True)
    for day in days:
        (landing / f"{day}.parquet").write_bytes(parquet_bytes(raw[day]))
    with Step(trust, "ingest", f"run-{days[0]}", {"partitions": [days[0], days[-1]]}) as step:
        read = step.read_source("landing", {day: landing / f"{day}.parquet" for day in days})
        for item in read.files:
            path = f"{RAW}/{item.partition}.parquet"
            step.write(item.partition, path, item.content, [item.sha256])
        outputs: dict[str, Any] = {"rows": {day: frame.height for day, frame in raw.items()}}
        if versioned:
            outputs["dvc_md5"] = {item.partition: dvc.dvc_md5(item.content) for item in read.files}
        made = step.commit(outputs)
    if versioned:
        dvc.track(trust.home, [trust.home / "data" / RAW / f"{day}.parquet" for day in days])
    judge(trust, RAW, days, RAW_SUITES)
    return made


def featurise(trust: Trust, days: list[str], made: list[str]) -> Materialisation:
    """Features of some days, by the second definition."""
    with Step(trust, "features", f"run-{made[0]}", {"partitions": [made[0], made[-1]]}) as step:
        read = {item.partition: item for item in step.read(RAW, days).files}
        rows = {}
        for day in made:
            sources = [read[item] for item in window(days, day)]
            frames = [pl.read_parquet(io.BytesIO(item.content)) for item in sources]
            frame = recompute_features(pl.concat(frames))
            frame = frame.filter(pl.col("tx_datetime").dt.date() == date.fromisoformat(day))
            path = f"{FEATURES}/{day}.parquet"
            step.write(day, path, parquet_bytes(frame), [item.sha256 for item in sources])
            rows[day] = frame.height
        done = step.commit({"rows": rows})
    judge(trust, FEATURES, made, FEATURE_SUITES)
    return done


def train_on(trust: Trust, days: list[str]) -> None:
    """A training set of some days of features."""
    with Step(trust, "training_set", f"run-{days[0]}", PARAMETERS["training_set"]) as step:
        read = step.read(FEATURES, days)
        rows = pl.concat(pl.read_parquet(io.BytesIO(item.content)) for item in read.files)
        content = parquet_bytes(rows)
        step.write("train", "training_set/train.parquet", content, read.digests.values())
        step.commit({"days": days})
    judge(trust, "training_set", ["train"], ["training_set_point_in_time"])


def signed_folder(trust: Trust, note: bytes = b"") -> str:
    """The OpenSSF signature of the model that `deploy` trains; its statement."""
    files = {name: encoding.digest_bytes(file) for name, file in model_folder(3, note).items()}
    listed = [{"name": name, "digest": digest} for name, digest in sorted(files.items())]
    predicate = {"resources": listed, "serialization": {}}
    statement = statements.build_statement(
        statements.MODEL_SIGNATURE, "model", encoding.digest_json(listed), predicate
    )
    trainer = Identity(issuer="workloads", subject="/steps/train")
    return trust.signing.sign(statement, trainer).statement.digest


def score_again(story: Story, day: str, note: bytes = b"another") -> Deployed:
    """Another model is trained and becomes champion, and a day is scored by it."""
    trust = story.trust
    deployed = deploy(trust, "m-2", note, model_signature=signed_folder(trust, note))
    score(trust, deployed, [day])
    return deployed


def tell(workspace: Workspace) -> Story:
    """Make all of it in an empty home whose policy is released."""
    trust = workspace.trust
    raw = {day: to_raw(frame) for day, frame in generate_days(COUNT, ROWS, seed=7)}
    days = sorted(raw)
    land(trust, raw)
    featurise(trust, days, days)
    train_on(trust, days[:TRAINED])
    deployed = deploy(trust, model_signature=signed_folder(trust))
    scores = score(trust, deployed, [days[-1]])
    return Story(workspace, raw, deployed, scores)
