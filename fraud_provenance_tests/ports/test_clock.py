"""Clocks: the machine's and one in memory; and nobody asks the machine past them."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.ports.clock import Clock, SetClock, machine_clock
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import Chain

PROJECT = Path(__file__).resolve().parents[2]
THEN = datetime(2018, 4, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("clock", [machine_clock, SetClock(THEN)], ids=["machine", "memory"])
def test_clock_says_utc_and_never_goes_back_by_itself(clock: Clock) -> None:
    first, second = clock(), clock()
    assert first.utcoffset() == timedelta()
    assert first <= second


def test_machines_clock_is_the_machines() -> None:
    before = datetime.now(UTC)
    assert before <= machine_clock() <= datetime.now(UTC)


def test_set_clock_stands_where_it_was_set_until_it_is_moved() -> None:
    clock = SetClock(THEN.astimezone(timezone(timedelta(hours=2))))
    assert (clock(), clock().tzinfo) == (THEN, UTC)
    clock.move(timedelta(seconds=-90))
    assert clock() == THEN - timedelta(seconds=90)


def test_home_and_all_that_it_opens_have_the_clock_of_its_settings(
    chain: Chain, tmp_path: Path
) -> None:
    clock = SetClock(THEN)
    workspace = Workspace(replace(chain.workspace.settings, clock=clock, tokens=tmp_path))
    assert workspace.clock() == workspace.trust.clock() == THEN
    (tmp_path / "people").mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode({"exp": int(THEN.timestamp()) + 60}, key, algorithm="ES256")
    (tmp_path / "people" / "ann").write_text(token)
    ann = Identity(issuer="people", subject="ann")
    assert workspace.token(ann) == token
    clock.move(timedelta(minutes=1))
    with pytest.raises(BackendError, match="ran out"):
        workspace.token(ann)


def test_settings_without_a_clock_have_the_machines(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).clock is machine_clock


@pytest.mark.parametrize(
    "asked",
    [
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
        "import datetime as dt\n\nNOW = dt.datetime.now(dt.UTC)\n",
        "import datetime as dt\n\nTODAY = dt.date.today()\n",
        "import time\n\nNOW = time.time()\n",
        "from time import time_ns\n\nASK = time_ns\n",
    ],
    ids=["datetime.now", "dt.datetime.now", "date.today", "time.time", "time_ns"],
)
@pytest.mark.parametrize(("place", "found"), [("fraud_provenance/x.py", 1), ("benchmarks/x.py", 0)])
def test_asking_the_machine_past_the_port_is_found_by_lint(
    asked: str, place: str, found: int
) -> None:
    options = ("--select=TID251", f"--stdin-filename={place}")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, "-"],
        cwd=PROJECT, input=asked, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("TID251")) == (found, found)


def test_exceptions_from_that_rule_are_these() -> None:
    sources = sorted((PROJECT / "fraud_provenance").rglob("*.py"))
    asking = [path.name for path in sources if "noqa: TID251" in path.read_text("utf-8")]
    assert asking == ["files.py", "clock.py"]  # a file's change time, by its own clock; the port
