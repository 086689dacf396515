"""Dagster's jobs as `run` sees them: a part of one, and what its error says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraud_provenance.attested.core.errors import (
    ProvenanceError,
    Reason,
    VerificationError,
    causes_of,
    storage_error,
)

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
