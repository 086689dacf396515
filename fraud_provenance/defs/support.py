"""What several stages share: day partitions, evidence as metadata, resources imported late."""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, timedelta
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DbtCliResource
from packaging.version import Version

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.day_partitions import DAYS, days_of
from fraud_provenance.due.planning import mlflow_uri
from fraud_provenance.home.settings import PROJECT, settings_from
from fraud_provenance.home.step_code import StepCode
from fraud_provenance.home.surroundings import EXPERIMENT, HARDENED
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.registry import writing_to_mlflow
from fraud_provenance.models.registry_server import SCHEME
from fraud_provenance.models.serving import require_ours, require_private

if TYPE_CHECKING:
    import polars as pl  # heavy: assets import it in their bodies

OWNERS = ["team:fraud-platform"]
# The UI sorts groups by name: the number keeps them in the order of the flow.
INGEST, TRANSFORM, FEATURES = "1_ingest", "2_transform", "3_features"
TRAINING, RELEASE, SCORING = "4_training", "5_release", "6_scoring"
FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=36),  # a day came not at all
    warn_window=timedelta(hours=26),  # a day comes each day, at about the same time
)
SINGLE_RUN = dg.BackfillPolicy.single_run()
DBT_PROJECT = PROJECT / "dbt_project"
HEADLESS = "fraud_provenance/headless"  # a run's tag: all stages share one process


_CODE = StepCode(PROJECT)


def code_version(step: str) -> str:
    """What Dagster shows as the version of a step's code: the beginning of its digest."""
    return _CODE.digest(step)[:12]


def days_of_run(context: dg.AssetCheckExecutionContext, known: Sequence[str]) -> list[str]:
    """The known days that a run's tags name, for checks, which have no partitions of their own."""
    ordered = list(context.instance.get_dynamic_partitions(DAYS.name))
    return sorted(set(known).intersection(days_of(context.run.tags, ordered)))


def frames_of(read: VerifiedInput) -> "dict[str, pl.DataFrame]":
    """Partition → frame, from the verified bytes."""
    import polars as pl

    return {item.partition: pl.read_parquet(io.BytesIO(item.content)) for item in read.files}


def event_range(frame: "pl.DataFrame") -> list[str]:
    """First and last event time, UTC; empty where there is none to tell."""
    import polars as pl

    if not isinstance(frame.schema.get("tx_datetime"), pl.Datetime) or frame.is_empty():
        return []
    ends = frame.select(
        pl.col("tx_datetime").min().alias("first"), pl.col("tx_datetime").max().alias("last")
    ).row(0)
    return [encoding.utc_text(at if at.tzinfo else at.replace(tzinfo=UTC)) for at in ends if at]


def previous_days(days: Iterable[str], known: Iterable[str], count: int) -> list[str]:
    """The `count` known days before the first of `days`, and the known days between them."""
    wanted = sorted(days)
    before = [day for day in sorted(known) if day < wanted[0]][-count:] if wanted else []
    between = [day for day in known if wanted and wanted[0] <= day <= wanted[-1]]
    return sorted({*before, *between} - set(wanted))


@dg.resource(description="dagster-mlflow, imported only when a run needs it (4 s).")
def mlflow_resource(context: dg.InitResourceContext) -> Iterator[Any]:
    """The dagster-mlflow resource on the home's store: one MLflow run for each Dagster run."""
    from dagster_mlflow.resources import MlFlow

    config = {
        "experiment_name": EXPERIMENT,
        "mlflow_tracking_uri": open_mlflow(Workspace(settings_from(os.environ))),
        "parent_run_id": None,
        "mlflow_run_id": None,
        "env": dict(HARDENED),
        "env_to_tag": None,
        "extra_tags": {},
    }
    with writing_to_mlflow("cannot begin a run"):
        tracked = MlFlow(context.replace_config(config))
    try:
        yield tracked
    finally:
        _end_run(context, tracked)


def _end_run(context: dg.InitResourceContext, tracked: Any) -> None:  # noqa: ANN401
    """MLflow shows how the run ended; by itself it would show it as running for ever."""
    failed = context.instance and context.run_id and context.instance.all_logs(
        context.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    )  # fmt: skip
    try:
        with writing_to_mlflow("cannot end a run"):
            tracked.end_run("FAILED" if failed else "FINISHED")
    except ProvenanceError as away:  # what was made is signed and there
        if context.log:
            context.log.warning(str(away.reasons[0]))


def open_mlflow(workspace: Workspace) -> str:
    """Make our experiment where it is missing, and the home's database; the store's URI.

    Raises:
        VerificationError: REGISTRY_UNAVAILABLE, somebody deleted the experiment. The store
            answers: what needs no training goes on. SOURCE_SCHEME, a server would have files
            written elsewhere than to itself.
        BackendError: REGISTRY_UNAVAILABLE.
    """
    import mlflow

    server = workspace.settings.mlflow.server
    uri = mlflow_uri(workspace)
    workspace.settings.mlflow_login.give(os.environ)
    mlflow.set_tracking_uri(uri)
    with writing_to_mlflow("cannot open MLflow's store"):
        found = mlflow.get_experiment_by_name(EXPERIMENT)
        if found is None:
            artifacts = None if server else (workspace.mlflow / "artifacts").as_uri()
            mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
            found = mlflow.get_experiment_by_name(EXPERIMENT)
    if found.lifecycle_stage != "active":
        raise VerificationError(
            reason(
                ProductCause.REGISTRY_UNAVAILABLE,
                f"MLflow's experiment {EXPERIMENT} was deleted",
                artifact=EXPERIMENT,
                remedy=f"mlflow experiments restore --experiment-id {found.experiment_id}, with "
                f"MLFLOW_TRACKING_URI={uri} for this command alone.",
            )
        )
    if server and not str(found.artifact_location).startswith(f"{SCHEME}:/"):
        raise VerificationError(
            reason(
                ProductCause.SOURCE_SCHEME,
                f"the server keeps the files of {EXPERIMENT} at {found.artifact_location[:80]!r}",
                artifact=EXPERIMENT,
                remedy="Start `mlflow server` with --serve-artifacts and --artifacts-destination, "
                "without --default-artifact-root, and let it make the experiment anew.",
            )
        )
    return uri


def dbt_manifest() -> Path:
    """What `dbt parse` found in our project.

    Raises:
        ConfigError: the project is not parsed.
    """
    path = DBT_PROJECT / "target" / "manifest.json"
    if not path.exists():
        raise ConfigError(
            reason(
                RootCause.USAGE,
                "the dbt project is not parsed",
                artifact="dbt_project",
                remedy="Run `make setup`.",
            )
        )
    return path


class _OurDbt(DbtCliResource):
    """dbt of this environment."""

    @cached_property
    def _cli_version(self) -> Version:
        """Of the installed package; asking the command takes a process and seconds."""
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        """None: the database is opened by dbt's own process, not by a second dbt in this one."""


def dbt_resource() -> DbtCliResource:
    """The dbt command line on our project."""
    return _OurDbt(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        dbt_executable=str(Path(sys.executable).parent / "dbt"),  # ours, whatever PATH says
    )


def settings_of_run(dbt: DbtCliResource) -> dict[str, str]:
    """What a run's own configuration tells dbt: parameters that no layout knows."""
    ours = dbt_resource()
    return {
        f"dbt.{name}": str(value)
        for name in type(ours).model_fields
        if (value := getattr(dbt, name)) != getattr(ours, name)
    }


def scratch_folder(workspace: Workspace, name: str) -> Path:
    """An empty folder of this process, under a name that nobody can know beforehand.

    What processes left that are gone, and this one's former folder, go.
    """
    import shutil
    import tempfile

    parent = workspace.scratch / name
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in parent.iterdir():
        if _is_in_use(left.name):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))


def _is_in_use(name: str) -> bool:
    """Whether a scratch folder's name is that of another process, and this lives."""
    import psutil

    owner = name.partition("-")[0]
    return owner.isdecimal() and int(owner) != os.getpid() and psutil.pid_exists(int(owner))


def private_folder(workspace: Workspace, name: str) -> Path:
    """As `scratch_folder`, and ours alone.

    For what a tool hands over through files: what it wrote is what is read.

    Raises:
        VerificationError: TMP_PERMS.
    """
    folder = scratch_folder(workspace, name)
    require_private(workspace.home, folder.parent.relative_to(workspace.home).as_posix())
    for ours in (folder.parent, folder):
        require_ours(ours)
    return folder
