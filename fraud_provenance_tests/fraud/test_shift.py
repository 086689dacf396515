"""How columns differ: what is the same is not told, and a distance is what it says."""

import polars as pl
import pytest
from scipy.stats import ks_2samp

from fraud_provenance.fraud.shift import column_shifts


def test_same_rows_in_any_order_do_not_differ() -> None:
    frame = pl.DataFrame({"a": [3, 1, 2], "b": [0.5, None, 2.0], "c": ["x", "y", "z"]})
    assert column_shifts(frame, frame.reverse()) == []


def test_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    a = pl.DataFrame({"x": [float(value * value % 97) for value in range(200)]})
    b = pl.DataFrame({"x": [float(value % 89) + 3 for value in range(150)]})
    (shift,) = column_shifts(a, b)
    expected = ks_2samp(a["x"].to_numpy(), b["x"].to_numpy()).statistic
    assert shift.distance == pytest.approx(expected)
    assert shift.a is not None
    assert shift.a.mean == pytest.approx(a["x"].mean())


def test_column_that_became_nothing_is_the_farthest() -> None:
    a = pl.DataFrame({"amount": [1.0, 2.0], "other": [1, 2]})
    b = pl.DataFrame({"amount": [float("nan"), None], "other": [1, 3]})
    first, second = column_shifts(a, b)
    assert (first.column, first.distance) == ("amount", 1.0)
    assert first.b is not None
    assert (first.b.rows, first.b.missing) == (2, 2)
    assert (second.column, second.distance) == ("other", 0.5)


def test_more_missing_values_are_told_though_the_rest_is_the_same() -> None:
    a, b = pl.DataFrame({"x": [1.0, 1.0]}), pl.DataFrame({"x": [1.0, None]})
    (shift,) = column_shifts(a, b)
    assert (shift.distance, shift.kind) == (0.0, "values")


def test_other_type_and_lost_column_are_told() -> None:
    a = pl.DataFrame({"x": [1], "y": [1], "transaction_id": [1]})
    b = pl.DataFrame({"x": ["1"], "transaction_id": [2]})
    found = {shift.column: (shift.kind, shift.b is None) for shift in column_shifts(a, b)}
    assert found == {"x": ("type", False), "y": ("type", True)}
