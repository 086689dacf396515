"""An unusual day waits for a person, is used then, and is held again once that is withdrawn."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.product import Done, Product

pytestmark = pytest.mark.e2e
QUIET, OWNER = "2018-04-03", "data.owner@example.com"


@pytest.fixture(scope="module")
def quiet(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A home of its own, in which the third of four days has far fewer rows."""
    product = Product(tmp_path_factory.mktemp("held") / "home", arena.product.project)
    product.ok("up")
    try:
        product.ok("generate", "--days", "4", "--rows-per-day", "400", "--seed", "3")
        path = product.home / "landing" / f"{QUIET}.parquet"
        pl.read_parquet(path).sample(fraction=0.25, seed=1).write_parquet(path)
        yield product
    finally:
        product.run("down")


def commands(done: Done, verb: str) -> list[list[str]]:
    """The commands that a refusal says to type, each once, with a person and words put in."""
    told = re.findall(rf"fraud-provenance ({verb} [^`]*)`", done.text.replace("\n", " "))
    found = dict.fromkeys(told)
    return [shlex.split(text.replace("EMAIL", OWNER).replace("TEXT", "looked")) for text in found]


def features(product: Product) -> set[str]:
    folder: Path = product.home / "data" / "transaction_features"
    return {path.stem for path in folder.glob("*.parquet")}


def test_held_day_is_accepted_used_withdrawn_and_held_again(quiet: Product) -> None:
    first = quiet.run("run")
    assert first.code == 1
    assert "DATA_HELD" in first.text
    assert "STALE_FEED" not in first.text  # the day is there, for the day after it
    assert features(quiet) == {"2018-04-01", "2018-04-02", "2018-04-04"}
    assert quiet.run("verify", f"raw_transactions/{QUIET}").code == 1

    (typed,) = commands(first, "accept")
    assert typed[:3] == ["accept", "raw_transactions", QUIET]
    accepted = quiet.ok(*typed, "--json").json()
    assert accepted["signer"] == f"{OWNER} (people)"
    used = quiet.run("run")
    assert "DATA_HELD" not in used.text
    assert QUIET in features(quiet)
    shown = quiet.ok("verify", f"transaction_features/{QUIET}")
    assert "acceptance" in shown.text
    assert "looked" in shown.text

    quiet.ok("revoke", accepted["statement"], "--reason", "it was a cut feed")
    again = quiet.run("run")
    assert (again.code, "DATA_HELD" in again.text) == (1, True)
    assert quiet.run("verify", f"transaction_features/{QUIET}").code == 1
    assert quiet.ok("verify", "transaction_features/2018-04-04")
