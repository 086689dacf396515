"""Many days are judged some at a time, in their order, and told as one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fraud_provenance.defs import contracts
from fraud_provenance.fraud.contract import BROKEN, ContractReport, Failure
from fraud_provenance.home.workspace import Workspace

RAW = "raw_transactions"


def home(tmp_path: Path, sizes: dict[str, int]) -> Workspace:
    """A home that knows of days with files of so many bytes; -1: the file is gone."""
    heads = {}
    for day, size in sizes.items():
        path = f"{RAW}/{day}.parquet"
        if size >= 0:
            (tmp_path / RAW).mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(b"x" * size)
        heads[day] = [SimpleNamespace(path=path)]
    store = SimpleNamespace(heads=lambda asset: heads if asset == RAW else {})
    return cast("Workspace", SimpleNamespace(store=store, data=tmp_path))


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ({}, []),
        ({"a": 3, "b": 7, "c": 1}, [["a", "b"], ["c"]]),
        ({"a": 11, "b": 1}, [["a"], ["b"]]),  # one day is one block, whatever its size
        ({"a": 4, "b": -1, "c": 6, "d": 1}, [["a", "b", "c"], ["d"]]),
    ],
)
def test_blocks_hold_days_in_order_up_to_so_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int], blocks: list[list[str]]
) -> None:
    monkeypatch.setattr(contracts, "_BLOCK_BYTES", 10)
    assert list(contracts._blocks(home(tmp_path, sizes), RAW, list(sizes))) == blocks


def report(days: tuple[str, ...], bad: str, **more: Any) -> ContractReport:
    failure = Failure(bad, "x_is_true", "VALUE_RANGE", "x", 1, "", "", grade=BROKEN)
    rows = dict.fromkeys(days, 2)
    return ContractReport("raw_schema", {"n": 1}, ("x_is_true",), days, rows, (failure,), **more)


def test_blocks_are_told_as_one() -> None:
    first = report(("a", "b"), "a", accepted=frozenset({"b"}), page="one")
    second = report(("c",), "c", accepted=frozenset({"c"}), page="two")
    whole = contracts._as_one([first, second])
    assert (whole.days, whole.rows) == (("a", "b", "c"), {"a": 2, "b": 2, "c": 2})
    assert whole.stopped == ("a", "c")
    assert (whole.accepted, whole.page) == ({"b", "c"}, "two")
    assert contracts._as_one([first]) == first
    shown = contracts.check_result(RAW, whole)
    assert shown.metadata["rows_judged"].value == 6
    assert shown.metadata["failed_days"].value == ["a", "c"]
