"""A score's leaf: its very bits, of a score that is 32 bits wide."""

import polars as pl
import pytest

from fraud_provenance.predictions.batch import leaves


def scored(scores: list[float | None], kind: type[pl.DataType] = pl.Float32) -> pl.DataFrame:
    rows = range(len(scores))
    return pl.DataFrame(
        {
            "transaction_id": list(rows),
            "customer_id": [7 for _ in rows],
            "terminal_id": [8 for _ in rows],
            "score": pl.Series(scores, dtype=kind),
            "is_alert": [True for _ in rows],
        }
    )


def test_leaf_tells_the_bits_of_the_score() -> None:
    found = leaves(scored([0.5, 1.0, -0.0, 0.1, None]))
    bits = [leaf.decode().split(",")[3] for leaf in found]
    assert found[0] == b"0,7,8,3f000000,1"
    assert bits == ["3f000000", "3f800000", "80000000", "3dcccccd", "7fc00000"]
    assert leaves(scored([])) == []


def test_score_of_another_width_has_no_leaf() -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        leaves(scored([0.5], pl.Float64))
