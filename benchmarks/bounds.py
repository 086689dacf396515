"""Seconds and ratios that somebody plans with, each beside its bound; quiet machine, please.

    python -m benchmarks.bounds                       all of it, about a quarter of an hour
    python -m benchmarks.bounds statements receipts   these parts alone

features    raw days to a trained model: the graph's stages against a bare polars and numpy script
day         one more day of 9,600 rows, from its file to signed scores
receipts    scoring a million rows with a Merkle leaf for each against scoring them
statements  a thousand statements, signed, in the log, and verified

Printed for each: median, least and greatest. What is above its bound is followed by where the time
went. Exits 1 then.
"""

import argparse
import cProfile
import io
import json
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.age import hold_back, run_command
from benchmarks.homes import Project
from benchmarks.landed import landed
from benchmarks.side import APPROVER

if TYPE_CHECKING:
    import polars as pl

ROWS, LEARNT_A_DAY, STATEMENTS, ROWS_OF_DAY = 1_000_000, 10_000, 1_000, 9_600
_STAGES = ("features", "feature store", "training")
_MODULE, _ROUNDS = "benchmarks.bounds", 3
_SHOWN = 12


@dataclass(frozen=True)
class Found:
    """Measured values of one part, against the most that they may be."""

    name: str
    unit: str
    bound: float
    values: Sequence[float]
    detail: str = ""
    where: str = field(default="", repr=False)

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the bound."""
        return statistics.median(self.values) <= self.bound

    def __str__(self) -> str:
        """One line."""
        middle, least, most = statistics.median(self.values), min(self.values), max(self.values)
        kept = "" if self.is_met else "  ABOVE"
        return (
            f"{self.name:<11} {middle:8.2f} {self.unit:<6} ({least:.2f} to {most:.2f}; "
            f"bound {self.bound:g}){kept}  {self.detail}"
        )


def profiled(work: Callable[[], object]) -> str:
    """Where the time of a call goes, the dearest functions first."""
    profile = cProfile.Profile()
    profile.runcall(work)
    out = io.StringIO()
    pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(_SHOWN)
    return "\n".join(line for line in out.getvalue().splitlines()[6:] if line.strip())


# --- a thousand statements -----------------------------------------------------------------------


def statements_part(project: Project, folder: Path) -> Found:
    """In a process of its own, on a home whose servers run."""
    home = folder / "statements"
    project.command(home, "generate", "--days", "1", "--rows-per-day", "10", "--seed", "7")
    with project.servers(home):
        values = project.answer(home, _MODULE, "--side", "sign")
    return Found("statements", "s", 5.0, values, f"{STATEMENTS} statements")


def sign_many() -> list[float]:
    """Seconds until all are signed, logged, verified and stored, a few times over."""
    from fraud_provenance.attested.core import encoding
    from fraud_provenance.attested.statements import statements
    from fraud_provenance.attested.statements.statements import Identity
    from fraud_provenance.home.workspace import opened_from

    workspace = opened_from(os.environ)
    trainer = Identity(issuer="workloads", subject="/steps/train")
    seconds = []
    for turn in range(_ROUNDS):
        made = [
            statements.build_statement(
                statements.ML_BOM,
                "model.ubj",
                encoding.digest_json([turn, number]),
                {"bom": number},
            )
            for number in range(STATEMENTS)
        ]
        began = time.perf_counter()
        pending = [workspace.trust.signing.submit(statement, trainer) for statement in made]
        for signature in pending:
            signature.result()
        seconds.append(time.perf_counter() - began)
    return seconds


# --- scores with receipts ------------------------------------------------------------------------


def receipts_part(_project: Project, _folder: Path) -> Found:
    """In this process: the same rows scored, and scored with a leaf and a root."""
    from fraud_provenance.attested.tlog import merkle
    from fraud_provenance.fraud.model import predict
    from fraud_provenance.fraud.parquet import parquet_bytes
    from fraud_provenance.predictions.batch import leaf_hashes, leaves

    ubj, contract, frame = _model_and_rows()

    def scored() -> "pl.DataFrame":
        import polars as pl

        score = pl.Series("score", predict(ubj, contract, frame), dtype=pl.Float32)
        table = frame.select("transaction_id", "customer_id", "terminal_id").with_columns(
            score, is_alert=score >= float(contract["threshold"])
        )
        parquet_bytes(table)
        return table

    def with_receipts() -> None:
        table = scored()
        leaf_hashes(leaves(table))
        merkle.root_of(leaves(table))

    scored()
    ratios, plain = [], []
    for _ in range(_ROUNDS):
        plain.append(_seconds(scored))
        ratios.append(_seconds(with_receipts) / plain[-1])
    detail = f"{ROWS:,} rows, {statistics.median(plain):.2f} s without"
    return Found("receipts", "times", 1.01, ratios, detail, profiled(with_receipts))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _model_and_rows() -> "tuple[bytes, dict[str, Any], pl.DataFrame]":
    """A model of made-up days, and as many of their rows as are scored."""
    import polars as pl

    from fraud_provenance.fraud.columns import RAW_SCHEMA
    from fraud_provenance.fraud.generator import generate_days
    from fraud_provenance.fraud.model import TrainingConfig, train
    from fraud_provenance.fraud.recompute import recompute_features

    days = pl.concat(frame for _, frame in generate_days(14, LEARNT_A_DAY, seed=7))
    raw = days.rename(str.lower).select(list(RAW_SCHEMA))
    features = recompute_features(raw)
    model = train(features, TrainingConfig())
    times = -(-ROWS // features.height)
    rows = pl.concat([features] * times).head(ROWS)
    return model.ubj, model.feature_contract, rows


# --- features to a model ------------------------------------------------------------------------


def features_part(project: Project, folder: Path) -> Found:
    """The graph's stages of one run, and a bare script over the same landed days."""
    zone = folder / "landed" / "landing"
    zone.mkdir(parents=True)
    for day, frame in landed():
        frame.write_parquet(zone / f"{day}.parquet")
    ratios, told = [], []
    for number in range(_ROUNDS):
        home = folder / f"features-{number}"
        home.mkdir()
        _link(zone, home / "landing")
        with project.servers(home) as servers:
            _, parts = project.run_side("with", home, servers)
        ours: dict[str, float] = {}
        for name, seconds in parts["stages"]:
            if name in _STAGES:
                ours[name] = ours.get(name, 0.0) + seconds
        bare = float(project.answer(home, _MODULE, "--side", "bare", str(zone)))
        ratios.append(sum(ours.values()) / bare)
        told.append(f"{sum(ours.values()):.1f} s against {bare:.1f} s")
        where = "  ".join(f"{name} {seconds:.1f} s" for name, seconds in ours.items())
    return Found("features", "times", 3.0, ratios, "; ".join(told), where)


def bare_script(zone: Path) -> float:
    """What somebody would write who wants the model alone; seconds from files to model."""
    began = time.perf_counter()
    import polars as pl

    from fraud_provenance.fraud.columns import RAW_SCHEMA
    from fraud_provenance.fraud.model import TrainingConfig, train
    from fraud_provenance.fraud.recompute import recompute_features

    raw = pl.concat(
        pl.read_parquet(path).rename(str.lower).select(list(RAW_SCHEMA))
        for path in sorted(zone.glob("*.parquet"))
    )
    features = recompute_features(raw)
    features.write_parquet(zone.parent / "features.parquet")
    config = TrainingConfig()
    last = features["tx_datetime"].max()
    first = last - timedelta(days=config.train_days + config.delay_days + config.test_days)  # type: ignore[operator]  # a time
    until = first + timedelta(days=config.train_days)
    train(features.filter(pl.col("tx_datetime").is_between(first, until)), config)
    return time.perf_counter() - began


# --- one more day --------------------------------------------------------------------------------


def day_part(project: Project, folder: Path) -> Found:
    """From a fresh process with one more file to its signed scores; a training comes after them."""
    home = folder / "day"
    size = ("--days", str(45 + _ROUNDS), "--rows-per-day", str(ROWS_OF_DAY))
    project.command(home, "generate", *size, "--seed", "7")
    later = hold_back(home / "landing", folder / "later", 45)
    until, whole = [], []
    with project.servers(home):
        run_command(project, home, "run")
        why = ("--environment", "local", "--as", APPROVER, "--reason", "benchmark")
        project.command(home, "approve", "model@candidate", *why)
        run_command(project, home, "run")
        for path in later:
            path.rename(home / "landing" / path.name)
            began = time.perf_counter()
            said = json.loads(project.command(home, "run", "--json"))
            whole.append(time.perf_counter() - began)
            until.append(whole[-1] - after_scores(said["stages"]))
            if not (home / "data" / "transaction_scores" / path.name).exists():
                raise SystemExit(f"{path.name} was not scored")
    detail = f"{ROWS_OF_DAY} rows; {statistics.median(whole):.1f} s with the training after it"
    return Found("day", "s", 20.0, until, detail)


def after_scores(stages: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of the stages of a run that came after its scores were signed."""
    names = [stage["name"] for stage in stages]
    return sum(float(stage["seconds"]) for stage in stages[names.index("scoring") + 1 :])


# --- together ------------------------------------------------------------------------------------

PARTS: Mapping[str, Callable[[Project, Path], Found]] = {
    "features": features_part,
    "day": day_part,
    "receipts": receipts_part,
    "statements": statements_part,
}


def _link(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        os.link(path, target / path.name)


def main() -> int:
    """Measure and print; the exit code."""
    if sys.argv[1:2] == ["--side"]:
        seconds = sign_many() if sys.argv[2] == "sign" else bare_script(Path(sys.argv[3]))
        print(json.dumps(seconds))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bounds", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part: {', '.join(sorted(unknown))}")
    found = []
    with tempfile.TemporaryDirectory(prefix="bounds-") as scratch:
        project = Project(Path(scratch) / "project")
        project.warm_up()
        for name in options.parts or PARTS:
            found.append(PARTS[name](project, Path(scratch)))
            print(f"{found[-1]}  load {os.getloadavg()[0]:.1f}", flush=True)
            if not found[-1].is_met and found[-1].where:
                print(found[-1].where, flush=True)
    return int(not all(one.is_met for one in found))


if __name__ == "__main__":
    sys.exit(main())
