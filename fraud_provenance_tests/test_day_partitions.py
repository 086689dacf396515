"""A run of days that are no neighbours: Dagster records these and no others."""

from collections.abc import Iterator

import dagster as dg
import pytest

from fraud_provenance import day_partitions
from fraud_provenance.day_partitions import DAYS, DAYS_TAG, choose, days_of, tags_of

ORDERED = ["c", "a", "b", "d"]
"""As they became partitions."""


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    yield
    choose({})


@pytest.mark.parametrize(
    ("days", "between", "named"),
    [
        (["b"], ("b", "b"), None),
        (["a", "c"], ("c", "a"), None),  # `c` came first, so it begins the range
        (["d", "c", "b"], ("c", "d"), "c,b,d"),
    ],
)
def test_tags_name_the_ends_and_what_is_between_only_where_not_all_is(
    days: list[str], between: tuple[str, str], named: str | None
) -> None:
    tags = tags_of(days, ORDERED)
    first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    assert (first, last) == between
    assert tags.get(DAYS_TAG) == named
    assert days_of(tags, ORDERED) == sorted(days, key=ORDERED.index)


def test_run_of_one_partition_and_of_none() -> None:
    assert days_of({"dagster/partition": "b"}, ORDERED) == ["b"]
    assert days_of({}, ORDERED) == []


class Chooses(dg.ConfigurableResource["Chooses"]):
    """As the product's resource does when a run begins."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        assert context.run is not None
        choose(context.run.tags)


def test_dagster_records_the_days_of_the_run_alone() -> None:
    asked: list[list[str]] = []

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def kept(context: dg.AssetExecutionContext, chooses: Chooses) -> dg.MaterializeResult[None]:
        asked.append(list(context.partition_keys))
        for day in context.partition_keys:
            context.add_asset_metadata({"day": day}, partition_key=day)
        return dg.MaterializeResult()

    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("day", ORDERED)
        job = dg.Definitions(
            assets=[kept], resources={"chooses": Chooses()},
            jobs=[dg.define_asset_job("all", partitions_def=DAYS)],
        ).resolve_job_def("all")  # fmt: skip
        for days in (["c", "b", "d"], ORDERED):
            tags = tags_of(days, ORDERED)
            done = job.execute_in_process(instance=instance, tags=tags)
            recorded = [event.partition for event in done.asset_materializations_for_node("kept")]
            assert asked[-1] == sorted(days, key=ORDERED.index)
            assert sorted(recorded) == sorted(days)
    assert day_partitions._chosen is None, "the second run was of all"
