"""Which day a transaction was scored on: one look at all files, whatever lies among them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.investigate.trace import scored_day
from fraud_provenance.predictions.batch import SCORES
from fraud_provenance_tests.conftest import codes

ROWS = {"2026-01-01": [1, 2], "2026-01-02": [3, 4], "2026-01-03": [4, 5]}


@pytest.fixture
def trust(tmp_path: Path) -> Any:  # noqa: ANN401 - as much of it as is asked
    folder = tmp_path / "data" / SCORES
    folder.mkdir(parents=True)
    for day, rows in ROWS.items():
        pl.DataFrame({"transaction_id": rows}).write_parquet(folder / f"{day}.parquet")
    days = dict.fromkeys([*ROWS, "2026-01-04"])  # of the last one nothing lies there
    return SimpleNamespace(home=tmp_path, store=SimpleNamespace(heads=lambda _asset: days))


def test_newest_day_with_the_transaction_is_named(trust: Any) -> None:  # noqa: ANN401
    assert [scored_day(trust, number) for number in (1, 3, 4, 5)] == [
        "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-03",
    ]  # fmt: skip


@pytest.mark.parametrize("lies", [b"", b"PAR1 and no more", "other columns"])
def test_file_that_cannot_be_read_hides_no_other(trust: Any, lies: bytes | str) -> None:  # noqa: ANN401
    path = trust.home / "data" / SCORES / "2026-01-03.parquet"
    if isinstance(lies, str):
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(lies)
    assert [scored_day(trust, number) for number in (2, 4)] == ["2026-01-01", "2026-01-02"]


def test_ids_that_do_not_grow_are_found_all_the_same(trust: Any) -> None:  # noqa: ANN401
    folder = trust.home / "data" / SCORES
    for day, rows in zip(ROWS, [[70, 9], [1, 80], [5, 6]], strict=True):
        pl.DataFrame({"transaction_id": rows}).write_parquet(folder / f"{day}.parquet")
    assert [scored_day(trust, number) for number in (9, 70, 80, 1, 5)] == [
        "2026-01-01", "2026-01-01", "2026-01-02", "2026-01-02", "2026-01-03",
    ]  # fmt: skip


def test_transaction_that_nobody_scored_is_told(trust: Any) -> None:  # noqa: ANN401
    with pytest.raises(EvidenceError) as caught:
        scored_day(trust, 6)
    assert codes(caught.value) == ["EVIDENCE_MISSING"]
