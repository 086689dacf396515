"""Any sequence of deliveries: what was accepted lies there; what was refused changed nothing.

The expectation is a dict of transactions that knows no files, days or frames.
"""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fraud_provenance.data import spool
from fraud_provenance.data.importing import import_files
from fraud_provenance.data.landing import landed_days
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError

Rows = dict[int, tuple[datetime, float]]
BEGIN: Final = datetime(2018, 4, 1, 14)
MAX_STEPS: Final = 8


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Sent:
    """One call: ids, and what is wrong or new with them."""

    ids: list[int]
    corrected: bool = False
    moved_days: int = 0
    cut: bool = False
    files: int = 1
    replace: bool = False
    killed_at: int | None = None

    def rows(self) -> Rows:
        """Sixty ids, half an hour each: they cover two UTC days, moved ones a third."""
        found = {}
        for number in self.ids:
            moment = BEGIN + timedelta(minutes=30 * number, days=self.moved_days)
            found[number] = (moment, 1.25 + number + 0.5 * self.corrected)
        return found


IDS = st.one_of(
    st.lists(st.integers(0, 59), min_size=1, max_size=12, unique=True),
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(
        lambda span: list(range(span[0], min(60, sum(span))))
    ),
)
SENT = st.builds(
    Sent, IDS, st.booleans(), st.sampled_from([0, 0, 0, 0, 1]),
    st.sampled_from([False, False, False, True]), st.integers(1, 3),
    st.sampled_from([False, False, False, True]),
    st.one_of(st.none(), st.none(), st.integers(0, MAX_STEPS)),
)  # fmt: skip


def written(folder: Path, sent: Sent) -> list[Path]:
    """The call's files; a cut one ends within its last row."""
    folder.mkdir()
    rows = table(sent.rows())
    paths: list[Path] = []
    files = min(sent.files, rows.height)
    for number in range(files):
        paths.append(folder / f"{number}.csv")
        rows[number::files].write_csv(paths[-1])
    if sent.cut:
        paths[-1].write_text(paths[-1].read_text()[:-6])
    return paths


def table(rows: Rows) -> pl.DataFrame:
    seconds = [int((moment - datetime(2018, 4, 1)).total_seconds()) for moment, _ in rows.values()]
    moments, amounts = zip(*rows.values(), strict=True)
    return pl.DataFrame(
        {
            "TRANSACTION_ID": list(rows), "TX_DATETIME": moments,
            "CUSTOMER_ID": 1, "TERMINAL_ID": 2, "TX_AMOUNT": amounts,
            "TX_TIME_SECONDS": seconds, "TX_TIME_DAYS": [second // 86_400 for second in seconds],
            "TX_FRAUD": 0, "TX_FRAUD_SCENARIO": 0,
        },
        schema=dict(LANDING_SCHEMA), strict=False,
    )  # fmt: skip


def landed(landing: Path) -> Rows:
    """What lies there; fails where an id lies there twice, or on a day that is not its own."""
    found: Rows = {}
    for day, path in landed_days(landing).items():
        frame = pl.read_parquet(path)
        for number, moment, amount in frame.select(
            "TRANSACTION_ID", "TX_DATETIME", "TX_AMOUNT"
        ).iter_rows():
            assert number not in found
            assert str(moment.date()) == day
            found[number] = (moment, amount)
    return found


def accepted(before: Rows, sent: Sent) -> Rows:
    """What should lie there if the call is accepted: the union, or the days that it replaces."""
    rows = sent.rows()
    days = {moment.date() for moment, _ in rows.values()} if sent.replace else set()
    return {number: row for number, row in before.items() if row[0].date() not in days} | rows


def would_lose(before: Rows, sent: Sent) -> bool:
    """Whether hours are delivered again, with some of their landed rows left out."""
    rows = sent.rows()
    for day in {moment.date() for moment, _ in rows.values()}:
        there = {number: row[0] for number, row in before.items() if row[0].date() == day}
        now = {number: row[0] for number, row in rows.items() if row[0].date() == day}
        first, last = min(now.values()), max(now.values())
        left = [moment for number, moment in there.items() if number not in now]
        again = any(before[number] == rows[number] for number in there.keys() & now.keys())
        if again and any(first <= moment <= last for moment in left):
            return not sent.replace
    return False


def on_two_days(before: Rows, sent: Sent) -> bool:
    rows = sent.rows()
    days = {moment.date() for moment, _ in rows.values()}
    return any(
        number in before
        and before[number][0].date() != row[0].date()
        and not (sent.replace and before[number][0].date() in days)
        for number, row in rows.items()
    )


def call(landing: Path, paths: list[Path], sent: Sent) -> str:
    """One import; returns the code of its refusal, or nothing. Kills it where that is asked for."""
    steps = 0

    def step(original, *arguments, **named):  # type: ignore[no-untyped-def]  # noqa: ANN001,ANN002,ANN003,ANN202 - stands in for any
        nonlocal steps
        steps += 1
        if steps - 1 == sent.killed_at:
            raise Killed
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        if sent.killed_at is not None:
            for name in ("replace", "rename", "write_bytes"):
                original = getattr(Path, name)
                patch.setattr(Path, name, lambda *a, _o=original, **k: step(_o, *a, **k))
            # nobody cleans up after a killed process
            patch.setattr(tempfile.TemporaryDirectory, "__exit__", lambda *_: None)
            patch.setattr(tempfile.TemporaryDirectory, "_cleanup", lambda *_a, **_k: None)
        try:
            import_files(landing, paths, replace=sent.replace)
        except DataError as error:
            return error.code
    return ""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(deliveries=st.lists(SENT, min_size=1, max_size=6), memory_bytes=st.sampled_from([0, 10**9]))
def test_landed_rows_are_exactly_what_was_accepted(
    deliveries: list[Sent], memory_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    expected: Rows = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool.Spool, "__init__", _with_memory(memory_bytes))
        for number, sent in enumerate(deliveries):
            paths = written(folder / str(number), sent)
            after = accepted(expected, sent)
            try:
                code = call(folder / "landing", paths, sent)
            except Killed:
                event("killed")
                found = landed(folder / "landing")
                assert found in (expected, after)  # wholly before or wholly after
                expected = found
                continue
            event(code or "accepted")
            if sent.cut:
                assert code == "FILE_FORMAT"
            elif would_lose(expected, sent):
                assert code == "ROWS_WOULD_BE_LOST"
            elif on_two_days(expected, sent):
                assert code == "DUPLICATE_KEY"
            else:
                assert code == ""
                expected = after
            assert landed(folder / "landing") == expected


def _with_memory(memory_bytes: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - stands in for __init__
    original = spool.Spool.__init__
    return lambda self, scratch: original(self, scratch, memory_bytes)


KILLED = """
import os, signal, sys
from pathlib import Path
from fraud_provenance.data.importing import import_files

name, count = sys.argv[1], int(sys.argv[2])
original = getattr(Path, name)
calls = []

def deadly(*arguments):
    calls.append(1)
    if len(calls) > count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

setattr(Path, name, deadly)
import_files(Path(sys.argv[3]), [Path(sys.argv[4])])
"""


@pytest.mark.parametrize(
    ("name", "count", "rows"),
    [("write_bytes", 1, 0), ("rename", 0, 0), ("replace", 0, 60), ("replace", 1, 60)],
)
def test_killed_process_leaves_all_days_or_none(
    name: str, count: int, rows: int, tmp_path: Path
) -> None:
    (path,) = written(tmp_path / "feed", Sent(list(range(60))))
    command = [sys.executable, "-c", KILLED, name, str(count), tmp_path / "landing", path]
    died = subprocess.run(
        command,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert died.returncode == -signal.SIGKILL
    assert len(landed(tmp_path / "landing")) == rows
    import_files(tmp_path / "landing", [path])
    assert len(landed(tmp_path / "landing")) == 60
    left = {item.name for item in (tmp_path / "landing").iterdir()}
    assert left == set(f"2018-04-0{day}.parquet" for day in (1, 2))
