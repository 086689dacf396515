"""Takes the pictures of `docs/a-day.md` anew: `python docs/screenshots.py FOLDER`.

In: an empty folder, whose home is then made, lived in and photographed: a day, a bad day, an
unusual day, a promotion and a trace, as a person sees them. Each command is printed with what it
answered. Out: `docs/images/*.png`. Takes about ten minutes. Needs what `make acceptance` needs.
"""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.home.pages import served
from fraud_provenance_tests.browser import Ui, dagster_dev, page, wait
from fraud_provenance_tests.product import APPROVER, PROJECT, Done, Product, copy_project

if TYPE_CHECKING:
    import polars as pl
    from playwright.sync_api import Page

IMAGES = PROJECT / "docs" / "images"
HISTORY, ROWS, SEED = 46, 600, 7
GOOD, BAD, UNUSUAL = "2018-05-17", "2018-05-18", "2018-05-19"
OWNER = "data.owner@example.com"
WIDTH, WIDE, COLOURS, MOST_BYTES = 1280, 1860, 256, 150_000
SIDE = 239  # the width of Dagster's own menu, which is the same on each page
_PATIENCE_S = 900
_SLOWEST_S = 65  # each sensor on the way from a day to a model has looked again


@dataclass
class Walk:
    """One home, its UI and the browser before it."""

    product: Product
    ui: Ui
    page: "Page"

    def made(self, asset: str, day: str) -> bool:
        """Whether a day of an asset is there."""
        return (self.product.home / "data" / asset / f"{day}.parquet").exists()

    def settle(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until the daemon has done it and nothing is at work any more."""
        wait(is_so, _PATIENCE_S, f"{what}: did not come")
        wait(self._is_quiet, _PATIENCE_S, f"{what}: never quiet")

    def _is_quiet(self) -> bool:
        """Idle, and still so when each sensor has looked again."""
        if not self.ui.is_idle():
            return False
        before = set(self.ui.runs())
        time.sleep(_SLOWEST_S)
        return set(self.ui.runs()) == before and self.ui.is_idle()

    def see(self, path: str, words: str, height: int = 900, width: int = WIDTH) -> None:
        """Open a page of Dagster in a window of this size, and wait for words on it."""
        self.page.set_viewport_size({"width": width + SIDE, "height": height})
        self.ui.open(path)
        self.page.get_by_text(words).first.wait_for(timeout=60_000)
        self.page.wait_for_timeout(3_000)  # lines of plots grow

    def shoot(self, name: str, box: tuple[int, int, int, int]) -> None:
        """Keep a part of the page: left, top, width, height."""
        x, y, width, height = box
        clip = {"x": x, "y": y, "width": width, "height": height}
        keep(name, self.page.screenshot(clip=clip))  # type: ignore[arg-type]


def keep(name: str, png: bytes) -> None:
    """Write a picture with few colours; a picture that is too big is an error."""
    from PIL import Image

    path = IMAGES / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    with Image.open(BytesIO(png)) as taken:
        taken.thumbnail((WIDTH, taken.height), Image.Resampling.LANCZOS)
        taken.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, more than {MOST_BYTES}")
    print(f"[{path.name}: {size:,} bytes]", flush=True)


def typed(product: Product, *arguments: str) -> Done:
    """Type one command; show it and its answer."""
    done = product.run(*arguments)
    print(f"\n$ fraud-provenance {shlex.join(arguments)}   → {done.code}\n{done.out}", flush=True)
    print(done.err, flush=True)
    return done


def built(folder: Path) -> Product:
    """A home with a champion and a scored day, made from a clean copy of this project."""
    product = Product(folder / "home", copy_project(folder / "project"))
    typed(product, "up")
    landed(product, HISTORY)
    typed(product, "run")
    approve(product, "the first model; metrics and contracts reviewed")
    typed(product, "run")
    return product


def landed(product: Product, days: int) -> None:
    """Land the first days of the sample feed."""
    amounts = ("--rows-per-day", str(ROWS), "--seed", str(SEED))
    typed(product, "generate", "--days", str(days), *amounts)


def approve(product: Product, why: str) -> None:
    """Approve the candidate, as somebody who neither trains nor writes policies."""
    signed = ("--environment", "local", "--as", APPROVER, "--reason", why)
    typed(product, "approve", "model@candidate", *signed)


def feed(folder: Path, project: Path) -> tuple[Path, Path, Path, Path]:
    """Files of a feed: the good day, the bad one in cents and right, the unusual one."""
    import polars as pl

    other = Product(folder / "feed-home", project)
    landed(other, HISTORY + 3)
    good, bad, unusual = (
        pl.read_parquet(other.home / "landing" / f"{day}.parquet") for day in (GOOD, BAD, UNUSUAL)
    )
    cents = bad.with_columns((pl.col("TX_AMOUNT") * 100).round(2))
    few = unusual.sample(fraction=0.25, seed=1).sort("TRANSACTION_ID")
    return (
        _delivered(folder / "good", GOOD, good),
        _delivered(folder / "bad", BAD, cents),
        _delivered(folder / "right", BAD, bad),
        _delivered(folder / "unusual", UNUSUAL, few),
    )


def _delivered(folder: Path, day: str, rows: "pl.DataFrame") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"cards-{day}.csv"
    rows.write_csv(path)
    return path


def a_day(walk: Walk, file: Path) -> None:
    """A file lands; nobody does anything; scores, and a new candidate, are there."""
    began = time.monotonic()
    typed(walk.product, "import", str(file))
    wait(lambda: walk.made("transaction_scores", GOOD), _PATIENCE_S, "no scores")
    print(f"[scores {time.monotonic() - began:.0f} s after the file was typed]", flush=True)
    walk.settle(lambda: _waits(walk), "a candidate")
    walk.see("/runs", "due_training", 500)
    walk.shoot("day-runs", (SIDE, 107, WIDTH, 358))
    walk.see("/assets/transaction_scores?view=events", "signed by", 900)
    walk.shoot("day-scores", (SIDE, 0, WIDTH, 655))
    walk.see("/assets/transaction_scores?view=checks&checkDetail=scores_match_features", "Passed")
    walk.shoot("day-checks", (SIDE, 0, WIDTH, 496))


def _waits(walk: Walk) -> bool:
    """Whether a training that a sensor started has succeeded."""
    return any(
        run["jobName"] == "training"
        and run["status"] == "SUCCESS"
        and "due_training" in str(run["tags"])
        for run in walk.ui.runs().values()
    )


def a_bad_day(walk: Walk, cents: Path, right: Path) -> None:
    """Amounts in cents are held and told. What is typed next is the file that is right."""
    product = walk.product
    typed(product, "import", str(cents))
    told = f"raw_transactions/{BAD}"
    wait(lambda: told in product.ok("alerts", "--json").out, _PATIENCE_S, "no alert")
    wait(walk.ui.is_idle, _PATIENCE_S, "never idle")
    walk.see("/assets/raw_transactions?view=checks&checkDetail=raw_expectations", "is held")
    link = walk.page.get_by_role("link", name="/raw_expectations/").first.get_attribute("href")
    walk.page.set_viewport_size({"width": WIDTH, "height": 700})
    walk.page.goto(link or "")
    walk.page.get_by_text("Evaluated Expectations").first.wait_for(timeout=60_000)
    walk.shoot("bad-day-report", (0, 0, WIDTH, 660))
    typed(product, "alerts")
    typed(product, "verify", told)
    typed(product, "blame", told)
    typed(product, "import", str(right))
    walk.settle(lambda: walk.made("transaction_scores", BAD), "scores of the right file")
    walk.see("/runs", "Failure", 700)
    walk.shoot("bad-day-runs", (SIDE, 107, WIDTH, 423))
    typed(product, "verify", f"transaction_scores/{BAD}")


def a_promotion(walk: Walk) -> None:
    """A candidate waits; a person approves; a sensor promotes."""
    walk.see("/assets/champion?view=checks&checkDetail=no_model_waits", "waits for an approval")
    walk.shoot("promotion-waits", (SIDE, 0, WIDTH, 505))
    approve(walk.product, "two more days; metrics and contracts reviewed")
    wait(lambda: _promotions(walk), _PATIENCE_S, "no promotion")
    wait(walk.ui.is_idle, _PATIENCE_S, "never idle")
    walk.see("/assets/champion?view=events", "approved by")
    walk.shoot("promotion-champion", (SIDE, 0, WIDTH, 800))
    typed(walk.product, "verify", "model@champion")


def _promotions(walk: Walk) -> bool:
    """Whether a promotion that a sensor started has succeeded."""
    return any(
        run["jobName"] == "promotion"
        and run["status"] == "SUCCESS"
        and "approved_candidate" in str(run["tags"])
        for run in walk.ui.runs().values()
    )


def an_unusual_day(walk: Walk, few: Path) -> None:
    """A day with a quarter of its payments is held; a data owner accepts it, and it is used."""
    product = walk.product
    typed(product, "import", str(few))
    told = f"raw_transactions/{UNUSUAL}"
    wait(lambda: told in product.ok("alerts", "--json").out, _PATIENCE_S, "no alert")
    wait(walk.ui.is_idle, _PATIENCE_S, "never idle")
    checks = "/assets/raw_transactions?view=checks&checkDetail=raw_expectations"
    walk.see(checks, "is held", 1_000, WIDE)
    walk.shoot("unusual-day-check", (SIDE + 376, 105, WIDE - 376, 575))
    why = ("--reason", "shops were closed; the feed confirms the count")
    typed(product, "accept", "raw_transactions", UNUSUAL, "--as", OWNER, *why)
    wait(lambda: walk.made("transaction_scores", UNUSUAL), _PATIENCE_S, "no scores")
    wait(walk.ui.is_idle, _PATIENCE_S, "never idle")
    typed(product, "verify", f"transaction_scores/{UNUSUAL}")


def a_question(walk: Walk, folder: Path) -> None:
    """The whole chain below the riskiest score of the newest day, as one page."""
    import polars as pl

    scores = pl.read_parquet(walk.product.home / "data" / "transaction_scores" / f"{BAD}.parquet")
    first = scores.sort("score", "transaction_id", descending=[True, False])["transaction_id"][0]
    written = folder / "trace.html"
    typed(walk.product, "trace", str(first), "--html", str(written))
    walk.page.set_viewport_size({"width": WIDTH, "height": 1_000})
    walk.page.goto(written.as_uri())
    walk.page.wait_for_timeout(1_000)
    walk.shoot("trace", (0, 0, WIDTH, 510))


@contextmanager
def opened(product: Product, folder: Path) -> Iterator[Walk]:
    """Dagster, its daemon, the Data Docs and a browser on one home."""
    asked: list[str] = []
    log = folder / "dagster.log"
    with page(asked) as tab, served(product.home), dagster_dev(product, log) as address:
        yield Walk(product, Ui(address, tab, asked), tab)


def main(folder: Path) -> None:
    """Build the home if the folder has none, live the days, take the pictures, stop the servers."""
    product = Product(folder / "home", folder / "project")
    if not product.home.exists():
        built(folder)
    good, cents, right, few = feed(folder, product.project)
    try:
        with opened(product, folder) as walk:
            a_day(walk, good)
            a_bad_day(walk, cents, right)
            a_promotion(walk)
            an_unusual_day(walk, few)
            a_question(walk, folder)
    finally:
        typed(product, "down")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/screenshots.py FOLDER")
    main(Path(sys.argv[1]).resolve())
