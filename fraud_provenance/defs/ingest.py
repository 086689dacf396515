"""Stage 1, ingest: landing files become `raw_transactions`, attested and versioned by day."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    reason,
)
from fraud_provenance.attested.step.inputs import VerifiedFile
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.data import versions as data_versions
from fraud_provenance.data.landing import landed_days
from fraud_provenance.defs import columns, shown, support
from fraud_provenance.defs.making import BY_DAY, Making, attested_asset
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

ASSET = "raw_transactions"
_UNREADABLE = RootCause.EVIDENCE_MALFORMED


landing_zone = dg.AssetSpec(
    "landing",
    group_name=support.INGEST,
    kinds={"parquet"},
    owners=support.OWNERS,
    description=(
        "Where transactions arrive: one Parquet file a UTC day, put there by `fraud-provenance "
        "import FILE` or `fraud-provenance generate`. Nothing is believed of it; what is read is "
        "bound by its SHA-256."
    ),
)


@attested_asset(
    "ingest",
    group_name=support.INGEST,
    kinds={"parquet", "dvc"},
    owners=support.OWNERS,
    deps=[landing_zone],
    **BY_DAY,
    metadata=columns.raw_metadata(),
    description=(
        "Card transactions, one Parquet file a UTC day, as they were landed, under lower-case "
        "names and sorted by time. Each day is versioned with DVC and attested by its SHA-256."
    ),
)
def raw_transactions(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource
) -> dg.MaterializeResult[Any]:
    """Write the landed days of this run."""
    workspace = provenance.open()
    days = list(context.partition_keys)
    landed = _landed(workspace, days)
    bounds = {"partitions": [days[0], days[-1]]}
    with Making(context, workspace, "ingest", bounds) as making:
        read = making.step.read_source("landing", landed)
        md5: dict[str, str] = {}
        refused: list[Reason] = []
        for item in read.files:
            try:
                content, frame = _raw(item)
            except ProvenanceError as error:
                refused += error.reasons
                continue
            path = f"{ASSET}/{item.partition}.parquet"
            if making.step.would_go_back(item.partition, path, content):
                refused.append(_went_back(item.partition, content))
                continue
            making.count(item.partition, frame, shown.numbers_of_day(frame))
            md5[item.partition] = data_versions.dvc_md5(content)
            making.step.write(item.partition, path, content, [item.sha256])
        if not making.rows:
            raise EvidenceError(*refused)
        made = making.commit({"dvc_md5": md5})
    making.keep_versions(made)
    digests = {entry.partition: entry.sha256 for entry in made.manifest.entries}
    making.show_days(
        {day: {"provenance/sha256": digests[day], "provenance/dvc_md5": md5[day]} for day in md5}
    )
    if refused:
        raise EvidenceError(*refused)
    return making.result(made)


def _landed(workspace: Workspace, days: Sequence[str]) -> dict[str, Path]:
    """The landed file of each of the days.

    Raises:
        EvidenceError: PARTITION_MISSING.
    """
    landed = landed_days(workspace.landing)
    missing = [day for day in days if day not in landed]
    if missing:
        raise EvidenceError(
            reason(
                RootCause.PARTITION_MISSING,
                f"{len(missing)} days of this run are not in the landing zone",
                artifact="landing",
                partition=missing[0],
            )
        )
    return {day: landed[day] for day in days}


def _went_back(day: str, content: bytes) -> Reason:
    """Why an earlier version is not ingested by itself, and the command that brings it back."""
    to = encoding.digest_bytes(content)[:12]
    return reason(
        RootCause.ROLLBACK,
        "bytes that a later version had replaced were delivered again; the later version stays",
        artifact=ASSET,
        partition=day,
        remedy="If the earlier version is right: "
        f"`fraud-provenance rollback {ASSET} {day} --to {to} --as EMAIL --reason TEXT`.",
    )


def _raw(item: VerifiedFile) -> "tuple[bytes, pl.DataFrame]":
    """Landing bytes as raw bytes and as a frame, whatever the contracts will say."""
    import polars as pl

    from fraud_provenance.fraud.errors import DataError
    from fraud_provenance.fraud.transactions import read_landed

    try:
        frame = read_landed(item.name, item.content).rename(str.lower)
    except (DataError, pl.exceptions.PolarsError) as error:  # two names may differ in case only
        is_large = isinstance(error, DataError) and error.code == "RESOURCE_LIMIT"
        code = ProductCause.RESOURCE_LIMIT if is_large else _UNREADABLE
        raise EvidenceError(
            reason(code, str(error), artifact="landing", partition=item.partition)
        ) from error
    keys = [name for name in ("tx_datetime", "transaction_id") if name in frame.columns]
    content = parquet_bytes(frame.sort(keys, maintain_order=True) if keys else frame)
    return content, frame
