"""Stage 2, transform: dbt, on DuckDB or Spark, turns raw days into `transaction_features`.

dbt works on private copies of verified bytes and its database is scratch; what counts is the
Parquet file a day, written and signed through the step. So the mart alone is an asset: the models
before it are part of each of its runs, and nobody can select the one without the others.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtCliResource, dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Materialisation
from fraud_provenance.day_partitions import DAYS
from fraud_provenance.defs import shown, support
from fraud_provenance.defs.columns import features_metadata, lineage_metadata
from fraud_provenance.defs.making import Making
from fraud_provenance.due.planning import sources_digest, window_of
from fraud_provenance.fraud.column_lineage import raw_columns
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.fraud.mart import DBT_BUILD, MART, not_built, read_mart
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.serving import require_ours
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

ASSET = "transaction_features"
_KEY, _RAW = dg.AssetKey(ASSET), dg.AssetKey("raw_transactions")


class _Translator(DagsterDbtTranslator):
    """Our group, owners and partitions on dbt's mart."""

    def get_asset_spec(
        self,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: Any,  # noqa: ANN401 - dagster-dbt's own
    ) -> dg.AssetSpec:
        """The mart rests on raw days; dbt's models between the two are scratch of each run."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(  # type: ignore[no-any-return]  # dagster-dbt is not read
            deps=[_RAW],
            metadata={**spec.metadata, **features_metadata()},
            freshness_policy=support.FRESH,
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The transform stage."""
        return support.TRANSFORM

    def get_partitions_def(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.PartitionsDefinition[str] | None:
        """The mart is kept by day."""
        return DAYS

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The platform team."""
        return support.OWNERS


@dbt_assets(
    manifest=support.dbt_manifest(),
    select=MART,
    name="dbt_transaction_features",
    backfill_policy=support.SINGLE_RUN,
    dagster_dbt_translator=_Translator(),
)
@as_failure
def transaction_features(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, provenance: ProvenanceResource
) -> Iterator[Any]:
    """Build the features of this run's days from the raw days in their windows."""
    workspace = provenance.open()
    asked = list(context.partition_keys)
    engine = workspace.settings.features.chosen()
    bounds = {"partitions": [asked[0], asked[-1]], **engine.parameters()}
    parameters = bounds | support.settings_of_run(dbt)
    with Making(context, workspace, "features", parameters) as making:
        usable = making.step.usable("raw_transactions")
        days = [day for day in asked if day in set(usable.partitions)]
        for day in set(asked) - set(days):
            context.log.warning(f"left out: {usable.refused.get(day, f'{day} is not attested')}")
        if not days:
            raise EvidenceError(
                *[usable.refused[day] for day in asked if day in usable.refused][:5]
                or [reason(RootCause.PARTITION_MISSING, "no day of this run is usable")]
            )
        read = making.step.read("raw_transactions", window_of(days, list(usable.partitions)))
        output = _prepare(workspace, engine, read, days)
        target = output.parent / "target"  # what dbt leaves of a run goes with the rest of it
        invocation = dbt.cli(
            [*DBT_BUILD, "--target", engine.name, "--select", f"+{MART}"],
            context=context,
            target_path=target,
        )
        if support.HEADLESS in context.run.tags:
            _prepare_next_stages(workspace)
        events = _built(invocation)
        require_ours(output)
        made = _publish(making, engine, read, days, read_mart(output, engine))
    making.keep_versions(made)
    making.show_days()
    lineage = _column_lineage(invocation, engine)
    for event in events:
        if isinstance(event, dg.Output) and event.output_name == ASSET:
            yield _with_evidence(event, making.result(made, lineage_metadata(lineage)))
        elif isinstance(event, dg.AssetCheckResult) and event.asset_key == _KEY:
            yield event


def _built(invocation: DbtCliInvocation) -> list[Any]:
    """What dbt tells of a build that came to a good end.

    Raises:
        DataError: TRANSFORM_FAILED.
    """
    try:
        return list(invocation.stream())
    except DagsterDbtCliRuntimeError as error:
        try:
            results = invocation.get_artifact("run_results.json")["results"]
        except FileNotFoundError:
            results = []
        raise not_built(results) from error


def _prepare_next_stages(workspace: Workspace) -> None:
    """Load their libraries and make MLflow's database, while dbt works in its own process."""
    import dagster_mlflow  # noqa: F401
    import mlflow.xgboost  # noqa: F401

    from fraud_provenance.fraud.feature_definitions import load_feast

    load_feast()
    support.open_mlflow(workspace)


def _prepare(workspace: Workspace, engine: Engine, read: VerifiedInput, days: list[str]) -> Path:
    """Give dbt its inputs and the days to make; returns the folder it writes to."""
    from datetime import date

    import polars as pl

    folder = support.private_folder(workspace, "dbt")
    read.export(folder / "input")
    (folder / "window").mkdir()
    (folder / "output").mkdir(mode=0o700)
    pl.DataFrame({"day": [date.fromisoformat(day) for day in days]}).write_parquet(
        folder / "window" / "days.parquet"
    )
    os.environ.update(  # dbt reads its settings from the environment of its process
        {
            "FRAUD_PROVENANCE_DBT_INPUT": str(folder / "input"),
            "FRAUD_PROVENANCE_DBT_WINDOW": str(folder / "window"),
            "FRAUD_PROVENANCE_DBT_OUTPUT": str(folder / "output"),
            **engine.environment(),
        }
    )
    return folder / "output"


def _publish(
    making: Making,
    engine: Engine,
    read: VerifiedInput,
    days: list[str],
    mart: "Iterator[pl.DataFrame]",
) -> Materialisation:
    """Write the mart by day; each day names the raw files of its own window as its source."""
    known = sorted(read.digests)
    for day, frame in _by_day(mart, days):
        made_from = [read.digests[other] for other in window_of([day], known)]
        ordered = frame.sort("transaction_id")
        path = f"{ASSET}/{day}.parquet"
        making.table(day, path, ordered, made_from, shown.means_of_features(ordered))
    return making.commit({"engine": engine.said(), "dbt_sources": sources_digest()})


def _by_day(
    mart: "Iterator[pl.DataFrame]", days: list[str]
) -> "Iterator[tuple[str, pl.DataFrame]]":
    """Each of the days with its rows; one without any has a frame without rows."""
    import polars as pl

    from fraud_provenance.fraud.columns import FEATURE_SCHEMA

    left = dict.fromkeys(days)
    for block in mart:
        by_day = block.with_columns(day=pl.col("tx_datetime").dt.date().cast(pl.String))
        parts = by_day.partition_by("day", as_dict=True, include_key=False, maintain_order=True)
        for (day,), frame in parts.items():
            if day in left:
                del left[day]
                yield day, frame
    for day in left:
        yield day, pl.DataFrame(schema=FEATURE_SCHEMA)


def _column_lineage(invocation: DbtCliInvocation, engine: Engine) -> dg.TableColumnLineage:
    """Each column of the mart with the raw columns that it comes from, through dbt's own models."""
    nodes = invocation.get_artifact("manifest.json")["nodes"].values()
    models = {node["name"]: node for node in nodes if node["resource_type"] == "model"}
    found = raw_columns(
        {node["relation_name"]: node["compiled_code"] for node in models.values()},
        models[MART]["relation_name"],
        _RAW.path[-1],
        engine.name,
    )
    return dg.TableColumnLineage(
        {column: [dg.TableColumnDep(_RAW, name) for name in of] for column, of in found.items()}
    )


def _with_evidence(event: dg.Output[Any], result: dg.MaterializeResult[Any]) -> dg.Output[Any]:
    """The mart's own event with its evidence."""
    return dg.Output(
        value=event.value,
        output_name=event.output_name,
        metadata=dict(result.metadata or {}) | {
            name: told for name, told in event.metadata.items()
            if name not in (result.metadata or {})
        },
        data_version=result.data_version,
    )  # fmt: skip
