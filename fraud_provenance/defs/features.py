"""Stage 3, features: Feast's definitions applied, and its online store brought up to date."""

import shutil
from typing import Any

import dagster as dg

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.defs import support
from fraud_provenance.defs.making import Making, attested_asset
from fraud_provenance.due.planning import FEATURE_SERVICE, ONLINE_DAYS, usable_days
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.investigate.online_store import DEFINITIONS, ONLINE, online_rows
from fraud_provenance.models.online_files import offline_folder, online_digest, registry_digest
from fraud_provenance.models.view_skew import view_digests
from fraud_provenance.resources import ProvenanceResource

ASSET = "feature_store"


@attested_asset(
    "feature_store",
    group_name=support.FEATURES,
    kinds={"feast", "sqlite"},
    owners=support.OWNERS,
    deps=["transaction_features"],
    description=(
        "Feast: entities, feature views and the feature service that serve training and scoring, "
        "applied from code, with the newest feature rows in the online store."
    ),
)
def feature_store(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource
) -> dg.MaterializeResult[Any]:
    """Apply the definitions and load the newest days into the online store."""
    import polars as pl

    from fraud_provenance.fraud import feature_definitions
    from fraud_provenance.fraud import feature_store as feast

    workspace = provenance.open()
    days = usable_days(workspace, "feature_store", "transaction_features")[-ONLINE_DAYS:]
    if not days:
        raise EvidenceError(
            reason(RootCause.PARTITION_MISSING, "no day is usable", artifact="transaction_features")
        )
    parameters = {"partitions": [days[0], days[-1]], "feature_service": FEATURE_SERVICE}
    # Feast has one registry and one online store in a home: one load at a time.
    with (
        files.exclusive_lock(workspace.home / "run" / "online_store.lock"),
        Making(context, workspace, "feature_store", parameters) as making,
    ):
        read = making.step.read("transaction_features", days)
        frame = pl.concat(support.frames_of(read).values())
        offline = offline_folder(workspace.home)
        shutil.rmtree(offline, ignore_errors=True)
        feast.write_offline(offline, frame)
        feast.empty_online(workspace.feast)
        store = feast.open_store(workspace.feast, offline)
        definitions = feature_definitions.apply_definitions(store)
        first, last = frame.select(
            pl.col("tx_datetime").min().alias("first"), pl.col("tx_datetime").max().alias("last")
        ).row(0)
        feast.materialize_online(store, first, last)
        sources = read.digests.values()
        written = encoding.canonical_json(definitions)
        making.step.write("definitions", DEFINITIONS, written, sources)
        rows = online_rows(workspace.home)
        held = rows.group_by("view").agg(pl.col("entity_key").n_unique())
        feast.check_online(store, frame, dict(held.iter_rows()))
        making.step.write("online", ONLINE, parquet_bytes(rows), sources)
        times = support.event_range(frame)
        made = making.commit(
            {
                "online_days": days,
                "rows": {"definitions": frame.height, "online": rows.height},
                "event_time": {"definitions": times, "online": times},
                "views": view_digests(definitions),
                "registry_sha256": registry_digest(workspace.home),
                "online_sha256": online_digest(workspace.home),
            }
        )
    return making.result(
        made,
        {
            "online_days": f"{days[0]} … {days[-1]}",
            "definitions": dg.MetadataValue.json(definitions),
        },
        rows={"definitions": frame.height},
    )
