"""A day in Dagster, with a browser: it becomes scores by itself; every page makes what it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fraud_provenance.home.pages import served
from fraud_provenance_tests.attacks.arena import DAYS, Arena, open_arena
from fraud_provenance_tests.browser import Ui, dagster_dev, page, wait
from fraud_provenance_tests.product import Product

pytestmark = pytest.mark.e2e
DAY = "2018-05-16"
BY_DAY = ("raw_transactions", "transaction_features", "transaction_scores")
WHOLE = ("feature_store", "training_set", "fraud_model", "model_evaluation", "release_candidate")
GROUP = "/locations/fraud_provenance/asset-groups/2_transform"


@dataclass
class Room:
    """One home, its UI, and the browser before it."""

    product: Product
    ui: Ui
    log: Path

    def made(self, asset: str) -> Path:
        return self.product.home / "data" / asset / f"{DAY}.parquet"

    def say(self) -> str:
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-60:])


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """One of its own: homes that share a log find each other's entries in it, and say so."""
    with open_arena(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture(scope="module")
def room(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    asked: list[str] = []
    log = tmp_path_factory.mktemp("ui") / "dagster.log"
    with page(asked) as opened:
        product = Product(arena.copy("scored"), arena.product.project)
        with dagster_dev(product, log) as address:
            yield Room(product, Ui(address, opened, asked), log)


def test_landed_day_becomes_scores_without_a_hand(room: Room) -> None:
    room.product.generate(DAYS + 1)
    wait(lambda: room.made("transaction_scores").exists(), 900, room.say())
    room.ui.switch_all(is_on=False)  # what follows is done by hand
    wait(room.ui.is_idle, 600, room.say())
    assert {run["jobName"] for run in room.ui.runs().values()} >= {
        "landed", "online_features",
    }  # fmt: skip
    assert room.product.ok("verify", f"transaction_scores/{DAY}", "--json").json()["trusted"]


def test_daemon_and_run_make_the_same_bytes_of_the_same_files(room: Room, arena: Arena) -> None:
    by_run = Product(arena.copy("scored"), arena.product.project)
    by_run.generate(DAYS + 1)
    said = by_run.run("run")  # whatever becomes of the new candidate, the day has its scores
    for asset in ("raw_transactions", "transaction_features", "transaction_scores"):
        other = by_run.home / "data" / asset / f"{DAY}.parquet"
        assert room.made(asset).read_bytes() == other.read_bytes(), (asset, said.text)


@pytest.mark.parametrize("asset", [*BY_DAY, *WHOLE])
def test_asset_is_made_from_its_own_page(room: Room, asset: str) -> None:
    done = room.ui.materialise(f"/assets/{asset}", DAY if asset in BY_DAY else None)
    assert [run["status"] for run in done] == ["SUCCESS"], room.say()


def test_checks_of_an_asset_are_green_after_its_run(room: Room) -> None:
    opened = room.ui.open("/assets/raw_transactions?view=checks")
    for check in ("raw_schema", "raw_expectations", "provenance_verified"):
        opened.get_by_text(check).first.wait_for(timeout=60_000)
    opened.get_by_text("Succeeded", exact=True).nth(2).wait_for(timeout=60_000)


def test_page_of_the_champion_says_what_is_live(room: Room) -> None:
    opened = room.ui.open("/assets/champion")
    for words in ("live", "approved by", "policy", "waits to replace it"):
        opened.get_by_text(words, exact=True).first.wait_for(timeout=60_000)


def test_validation_is_a_page_of_this_machine(room: Room) -> None:
    opened = room.ui.open("/assets/raw_transactions?view=checks&checkDetail=raw_expectations")
    link = opened.get_by_role("link", name="/raw_expectations/").first
    with served(room.product.home):
        opened.goto(link.get_attribute("href", timeout=60_000) or "")
        opened.get_by_role("heading", name="raw_expectations").wait_for(timeout=60_000)
        opened.get_by_role("link", name="This validation").click()
        opened.get_by_text("Evaluated Expectations").first.wait_for(timeout=60_000)


@pytest.mark.parametrize("place", [GROUP, "/asset-groups"])
def test_group_and_whole_graph_are_made_for_one_day(room: Room, place: str) -> None:
    done = room.ui.materialise(place, DAY)
    assert [run["status"] for run in done] == ["SUCCESS"], room.say()


def test_days_are_made_as_one_range(room: Room) -> None:
    done = room.ui.materialise("/assets/transaction_features", "2018-05-1")
    assert [run["status"] for run in done] == ["SUCCESS"], room.say()


def test_browser_asked_this_machine_alone(room: Room) -> None:
    assert room.ui.asked
    strangers = {
        url.hostname
        for url in map(urlsplit, room.ui.asked)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1"
    }
    assert strangers == set()
