"""Days as Dagster's partitions. A run may be of days that are no neighbours.

Dagster's runs are of one partition or of a range. Here a range may be of some of the days between
its ends: the tag `DAYS_TAG` of the run names them. Whatever asks which days a run is of gets these,
and Dagster records nothing of the others.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

DAYS_TAG = "fraud_provenance/days"
_ONE = "dagster/partition"
_FIRST, _LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_chosen: frozenset[str] | None = None


class Days(dg.DynamicPartitionsDefinition):
    """Dagster's dynamic partitions, of which this process's run may have chosen some."""

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange
    ) -> Sequence[str]:
        """The days of a range, without those that the run leaves out."""
        found = super().get_partition_keys_in_range(partition_key_range)
        return [day for day in found if _chosen is None or day in _chosen]


DAYS = Days(name="day")


def tags_of(days: Sequence[str], ordered: Sequence[str]) -> dict[str, str]:
    """Tags that make one run of days, which stand in `ordered` as they became partitions.

    >>> tags_of(["a", "b"], "abc")[_FIRST], DAYS_TAG in tags_of(["a", "b"], "abc")
    ('a', False)
    >>> tags_of(["c", "a"], "abc")[DAYS_TAG]
    'a,c'
    """
    position = {day: index for index, day in enumerate(ordered)}
    sorted_days = sorted(days, key=position.__getitem__)
    first, last = sorted_days[0], sorted_days[-1]
    tags = {_FIRST: first, _LAST: last}
    if position[last] - position[first] + 1 > len(sorted_days):
        tags[DAYS_TAG] = ",".join(sorted_days)
    return tags


def days_of(tags: Mapping[str, str], ordered: Sequence[str]) -> list[str]:
    """The days that a run's tags name; none where it has no partitions.

    A range goes by the order in which days became partitions, as in Dagster itself.
    """
    if _ONE in tags:
        return [tags[_ONE]]
    if _FIRST not in tags:
        return []
    first, last = ordered.index(tags[_FIRST]), ordered.index(tags[_LAST])
    chosen = _named(tags)
    return [day for day in ordered[first : last + 1] if chosen is None or day in chosen]


def choose(tags: Mapping[str, str]) -> None:
    """This process works on a run with these tags from now on; it does one run at a time."""
    global _chosen  # noqa: PLW0603 - Dagster asks the definition, which knows no run
    _chosen = _named(tags)


def _named(tags: Mapping[str, str]) -> frozenset[str] | None:
    return frozenset(tags[DAYS_TAG].split(",")) if DAYS_TAG in tags else None
