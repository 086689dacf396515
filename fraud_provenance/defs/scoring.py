"""Stage 6, scoring: the champion's verified bytes score a day; the batch is signed as a whole."""

import io
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Verified
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.defs import columns, shown, support
from fraud_provenance.defs.making import BY_DAY, Making, attested_asset
from fraud_provenance.defs.training import model_files
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.online_store import definition_problems
from fraud_provenance.models.serving import ChampionLease
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions.batch import leaf_hashes, leaves, read_batch
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

ASSET = "transaction_scores"


def open_serving(workspace: Workspace) -> ChampionLease:
    """What must hold before anything is scored: a log to write to, a champion, its features.

    Raises:
        VerificationError: the champion or the feature definitions are not what was signed.
        BackendError: PREDLOG_UNAVAILABLE or FAIL_CLOSED.
    """
    workspace.trust.self_check()
    prediction_log.require_writable(workspace.trust)
    lease = ChampionLease(workspace.trust, registry_of(workspace))
    lease.champion()
    changed = definition_problems(workspace.trust)
    if changed:
        raise VerificationError(*changed)
    return lease


@attested_asset(
    "score",
    group_name=support.SCORING,
    kinds={"xgboost", "parquet"},
    owners=["team:fraud-operations"],
    deps=[
        "champion",
        dg.AssetDep("transaction_features", partition_mapping=dg.IdentityPartitionMapping()),
    ],
    **BY_DAY,
    metadata=columns.scores_metadata(),
    description=(
        "One row a transaction: the champion's probability of fraud and whether it reaches the "
        "threshold. Each day is a signed batch with a Merkle root, so that one score is provable."
    ),
)
def transaction_scores(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource
) -> dg.MaterializeResult[Any]:
    """Score this run's days."""
    workspace = provenance.open()
    trust = workspace.trust
    lease = open_serving(workspace)
    champion = lease.champion()
    days = list(context.partition_keys)
    with Making(context, workspace, "score", {"partitions": [days[0], days[-1]]}) as making:
        step = making.step
        usable = step.usable("transaction_features", days)
        for day, why in usable.refused.items():
            context.log.warning(f"left out {day}: {why}")
        features = step.read("transaction_features", usable.partitions or days)
        model = step.read_statement(champion.evidence.model.statement)
        ubj, contract = model_files(workspace, step, model)
        evaluated = shown.evaluated_alert_rate(champion)
        for item in features.files:
            lease.champion()
            scored = _scored(item.content, ubj, contract)
            sources = [item.sha256, *(part.sha256 for part in model.files)]
            path = f"{ASSET}/{item.partition}"
            numbers = shown.numbers_of_scores(scored, evaluated)
            making.table(item.partition, f"{path}.parquet", scored, sources, numbers)
            hashes = leaf_hashes(leaves(scored))
            step.write(item.partition, f"{path}.leaves", hashes, sources)
        outputs = {
            "model_id": champion.evidence.model_id,
            "decision": champion.decision.statement,
        }
        lease.confirm()
        made = making.commit(outputs, finish=prediction_log.log_scores)
    making.keep_versions(made)
    logged = prediction_log.batch_about(trust, trust.lineage().node(made.bundle.statement.digest))
    if not isinstance(logged, Verified):
        raise BackendError(
            reason(ProductCause.PREDLOG_UNAVAILABLE, "the batch cannot be found", artifact=ASSET)
        )
    batch = read_batch(logged.bundle.statement)
    making.show_days(
        {day: {"provenance/merkle_root": batch.batches[day].merkle_root} for day in making.rows}
    )
    return making.result(
        made,
        {"champion_version": champion.version},
        columns.scores_lineage(),
        prediction_log.batch_metadata(logged.bundle),
    )


def _scored(content: bytes, ubj: bytes, contract: dict[str, Any]) -> "pl.DataFrame":
    """A day of features → its transactions with score and alert."""
    import polars as pl

    from fraud_provenance.fraud.model import predict

    frame = pl.read_parquet(io.BytesIO(content))
    score = pl.Series("score", predict(ubj, contract, frame), dtype=pl.Float32)
    return frame.select(
        "transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount"
    ).with_columns(score, is_alert=score >= float(contract["threshold"]))
