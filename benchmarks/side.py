"""One side of the comparison, in its own process: `python -m benchmarks.side with|without OUT`.

Works on the home that FRAUD_PROVENANCE_HOME names, which holds landed days (and, for the side with
evidence, running servers). Writes what it did and how long each part took as JSON to OUT.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
APPROVER = "risk.officer@example.com"
SIDES = ("with", "without")
# What either side loads sooner or later. Loaded first, so that the cost of loading is known apart.
LIBRARIES = (
    "dagster", "dagster_dbt", "dagster_mlflow", "dvc.repo", "great_expectations", "mlflow",
    "mlflow.xgboost", "pandas", "pandera.polars", "polars", "pyarrow", "sklearn.metrics", "xgboost",
)  # fmt: skip
# What only the side with evidence needs, though our own modules import it on both.
EVIDENCE_LIBRARIES = (
    "fraud_provenance.attested.sigstore.signing",
    "fraud_provenance.attested.sigstore.verification",
    "fraud_provenance.attested.local",
)


@contextmanager
def timed(parts: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall seconds and CPU seconds of a block to `parts`."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    parts[f"{name}_s"] = time.perf_counter() - began
    parts[f"{name}_cpu_s"] = time.process_time() - cpu


def load(names: tuple[str, ...]) -> None:
    """Import modules, quietly."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            importlib.import_module(name)


def load_libraries() -> None:
    """What both sides work with; Feast as the product loads it."""
    from fraud_provenance.fraud.feature_definitions import load_feast

    load(LIBRARIES)
    load_feast()


def warm_up() -> None:
    """What is paid once for each installation: libraries on the disk, packages hashed."""
    from fraud_provenance.home.settings import settings_from
    from fraud_provenance.home.workspace import Workspace

    load(EVIDENCE_LIBRARIES)
    load_libraries()
    Workspace(settings_from(os.environ)).attestor.packages().result()


def say(text: str) -> None:
    """One line of progress."""
    print(f"    {time.perf_counter() - STARTED:6.1f} s  {text}", flush=True)


def run_with() -> tuple[list[tuple[str, float]], str]:
    """`run`, `approve`, `run`, each on a workspace opened anew; returns (stages, champion)."""
    from fraud_provenance.home.settings import settings_from
    from fraud_provenance.home.workspace import Workspace
    from fraud_provenance.people.approving import approve_subject
    from fraud_provenance.run.pipeline import Pipeline
    from fraud_provenance.run.report import RunOptions

    stages: list[tuple[str, float]] = []

    def run() -> str:
        workspace = Workspace(settings_from(os.environ))
        report = Pipeline(workspace, RunOptions(), say).run()
        stages.extend((name, seconds) for name, seconds, _ in report.stages)
        for item in report.refused:
            say(f"refused: {item}")
        if not (report.candidate or report.champion):
            raise SystemExit("no model was registered: the two sides would not do the same work")
        return report.champion or ""

    run()
    began = time.perf_counter()
    say("approve")
    workspace = Workspace(settings_from(os.environ))
    approve_subject(workspace, "model@candidate", workspace.environment, APPROVER, "benchmark")
    stages.append(("approve", time.perf_counter() - began))
    return stages, run()


def run_without() -> tuple[list[tuple[str, float]], str]:
    """The same jobs in the same order over plain files; returns (stages, champion)."""
    load(("fraud_provenance.run.pipeline",))
    from fraud_provenance.run.pipeline import Pipeline
    from fraud_provenance.run.report import RunOptions

    class Plain(Pipeline):
        """Runs every job once; there is no evidence to plan from."""

        def run(self) -> Any:  # noqa: ANN401 - the report
            store: Any = self.workspace.store
            options = self.options.run_config()
            self.workspace.create_folders()
            landed = sorted(path.stem for path in self.workspace.landing.glob("*.parquet"))
            self._job("ingest", lambda: self._run_days("ingest", landed, landed))
            raw = sorted(set(landed) - store.failed("raw_transactions"))
            self._job("features", lambda: self._run_days("features", raw, landed))
            self._job("feature store", lambda: self._run_job("online_features"))
            self._job("training", lambda: self._run_job("training", options))
            self._job("promotion", lambda: self._run_job("promotion"))
            day = max(set(raw) - store.failed("transaction_features"))
            self._job("scoring", lambda: self._run_days("scoring", [day], landed))
            return self.report

        def _job(self, name: str, work: Callable[[], None]) -> None:
            with self._stage(name):
                work()

    from benchmarks import plain
    from fraud_provenance import definitions
    from fraud_provenance.due import planning
    from fraud_provenance.home.settings import settings_from
    from fraud_provenance.models.registry import CHAMPION

    definitions.defs()  # loads every stage, so that `install` finds every name
    plain.install()
    workspace = plain.PlainWorkspace(settings_from(os.environ))
    report = Plain(workspace, RunOptions(), say).run()
    champion = planning.registry_of(workspace).alias(CHAMPION)
    stages = [(name, seconds) for name, seconds, _ in report.stages]
    return stages, f"fraud_model:{champion.version}" if champion else ""


def main() -> None:
    """Run one side; ends without ceremony, as the product's own command line does."""
    if sys.argv[1:] == ["load"]:
        warm_up()
        return
    side, out = sys.argv[1], Path(sys.argv[2])
    parts: dict[str, Any] = {}
    with timed(parts, "evidence_imports"):
        load(EVIDENCE_LIBRARIES)
    with timed(parts, "imports"):
        load_libraries()
    with timed(parts, "work"):
        stages, champion = {"with": run_with, "without": run_without}[side]()
    out.write_text(json.dumps(parts | {"stages": stages, "champion": champion}), "utf-8")
    sys.stdout.flush()
    os._exit(0 if champion else 1)  # threads of libraries must not hold up the clock


if __name__ == "__main__":
    main()
