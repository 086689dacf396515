"""The prediction log: what a row of scores is as a Merkle leaf, and what a batch statement says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraud_provenance.evidence import merkle

if TYPE_CHECKING:
    import polars as pl

LEAF_FORMAT = "transaction_id,customer_id,terminal_id,score_bits_hex,is_alert"


def leaves(scored: "pl.DataFrame") -> list[bytes]:
    """One leaf a row, in row order: identifiers, the score's IEEE 754 bits in hex, the alert flag.

    Args:
        scored: rows x (transaction_id, customer_id, terminal_id, score f32, is_alert bool).
    """
    import numpy as np
    import polars as pl

    bits = np.ascontiguousarray(scored["score"].to_numpy()).view(np.uint32)
    text = scored.select(
        pl.concat_str(
            pl.col("transaction_id"),
            pl.col("customer_id"),
            pl.col("terminal_id"),
            pl.Series("bits", np.char.mod("%08x", bits)),
            pl.col("is_alert").cast(pl.Int8),
            separator=",",
        )
    ).to_series()
    return [row.encode("ascii") for row in text.to_list()]


def batch_predicate(rows: Sequence[bytes], features_sha256: str) -> dict[str, Any]:
    """What the batch statement says of one day."""
    return {
        "rows": len(rows),
        "merkle_root": merkle.root_of(rows),
        "leaf_format": LEAF_FORMAT,
        "features_sha256": features_sha256,
    }
