"""The benchmark of scores: what it picks, and what it counts as index."""

from pathlib import Path

import polars as pl

from benchmarks import landed, scores


def days_of(home: Path) -> list[Path]:
    folder = home / "data" / "transaction_scores"
    folder.mkdir(parents=True)
    for number in range(9):
        rows = pl.DataFrame({"transaction_id": range(100 * number, 100 * number + 50)})
        rows.write_parquet(folder / f"2026-01-0{number + 1}.parquet")
        (folder / f"2026-01-0{number + 1}.leaves").write_bytes(b"x" * 32 * 50)
    return scores.scored(home)


def test_transactions_of_different_days_are_picked_and_always_the_same(tmp_path: Path) -> None:
    files = days_of(tmp_path)
    chosen = scores.picked(files)
    assert chosen == scores.picked(files)
    assert len({number // 100 for number in chosen}) == len(chosen) == 7
    assert all(number % 100 < 50 for number in chosen)


def test_index_is_the_database_and_the_leaves(tmp_path: Path) -> None:
    days_of(tmp_path)
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "index.sqlite").write_bytes(b"x" * 7)
    assert scores.bytes_of_index(tmp_path) == 9 * 50 * 32 + 7


def test_copies_share_no_id() -> None:
    _, rows = next(iter(landed.landed(3)))
    assert rows["TRANSACTION_ID"].is_unique().all()
    once = rows.filter(pl.col("TRANSACTION_ID") < landed.TRANSACTIONS)
    assert rows.height == 3 * once.height
    for name in ("CUSTOMER_ID", "TERMINAL_ID"):
        assert rows[name].n_unique() == 3 * once[name].n_unique()
