"""Dagster's jobs as `run` sees them: a part of one, and what its error says."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    causes_of,
    reason,
    storage_error,
)
from fraud_provenance.home.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg


def part_of(job: "dg.JobDefinition", assets: Sequence[str]) -> "dg.JobDefinition":
    """`assets` of a job, and of their checks those that the job itself would run."""
    import dagster as dg

    keys = {dg.AssetKey(name) for name in assets}
    checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in keys}
    return job.get_subset(asset_selection=keys, asset_check_selection=checks)


def is_contract_failure(error: BaseException) -> bool:
    """Whether a job ended at a check that blocks: its days are marked, the others go on."""
    from dagster import DagsterError

    return isinstance(error, DagsterError) and "AssetCheckFailed" in type(error).__name__


def own_error(error: BaseException | None) -> ProvenanceError | None:
    """Our own error inside Dagster's wrappers, or what a full disk comes to."""
    from fraud_provenance.fraud.errors import DataError

    for item in causes_of(error):
        if isinstance(item, ProvenanceError):
            return item
        if isinstance(item, DataError):
            return VerificationError(Reason(code=item.code, message=str(item), remedy=item.remedy))
    return storage_error(error)


def unforeseen(error: Exception) -> BackendError:
    """An error that nobody foresaw, by its kind and place: its words may hold data."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
    return BackendError(reason(RootCause.VERIFY_ERROR, f"the run broke off: {what}"))


def refuse_one_identity(workspace: Workspace) -> None:
    """This process would have to sign as every step.

    Raises:
        ConfigError: USAGE.
    """
    if workspace.settings.runs.one_identity:
        raise ConfigError(
            reason(
                RootCause.USAGE,
                "each run of this home signs by one identity, and `run` is the whole graph",
                artifact="settings.toml",
                remedy="Let Dagster's daemon start what is due, each stage as a run of its own "
                "(docs/production.md).",
            )
        )
