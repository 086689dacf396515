"""Features of a day that were made again: which of the raw days below them changed their values."""

import io
from typing import TYPE_CHECKING

from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.investigate.changes import DATA, Change
from fraud_provenance.investigate.why import RAW, bytes_of, raw_days

if TYPE_CHECKING:
    import polars as pl

Raw = dict[str, tuple[Node, FileEntry]]


def raw_changes(
    trust: Trust, day: str, before: tuple[Node, str], now: tuple[Node, str]
) -> list[Change]:
    """The raw days that were delivered again and whose rows moved a day's features.

    Args:
        trust: The opened home.
        day: Of the features.
        before: Statement and SHA-256 of the version that was good.
        now: The same of the newest one.

    Raises:
        ProvenanceError: bytes of one side are gone.
    """
    sides = [_raw_below(*side, day) for side in (before, now)]
    if None in sides:
        return []
    old, new = (dict(side or {}) for side in sides)
    changed = [name for name in new if name in old and old[name][1].sha256 != new[name][1].sha256]
    made = _features(trust, new, day) if changed else None
    found = []
    for name in changed:
        back = new | {name: old[name]}
        if made is not None and not _features(trust, back, day).equals(made):
            node, entry = new[name]
            found.append(Change(DATA, f"{RAW}/{name}", old[name][1].sha256, entry.sha256, node,
                                said="delivered again"))  # fmt: skip
    return found


def _raw_below(features: Node, sha256: str, day: str) -> Raw | None:
    found = (e for e in features.entries if (e.partition, e.sha256) == (day, sha256))
    entry = next(found, None)
    if entry is None:
        return None
    return {source.partition: (node, source) for node, source in raw_days(features, entry)}


def _features(trust: Trust, raw: Raw, day: str) -> "pl.DataFrame":
    """The features of a day, by the second definition, from attested raw rows."""
    import polars as pl

    from fraud_provenance.fraud.recompute import recompute_features

    frames = [pl.read_parquet(io.BytesIO(bytes_of(trust, *source))) for source in raw.values()]
    made = recompute_features(pl.concat(frames))
    return made.filter(pl.col("tx_datetime").dt.date().cast(pl.String) == day)
