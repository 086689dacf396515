"""The page: whole without a network, readable with ten thousand links, and nothing in it runs."""

import re
import time
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate.chain import Joint
from fraud_provenance.investigate.difference import compare
from fraud_provenance.investigate.page import Page, of_difference, of_recall, of_trace
from fraud_provenance.investigate.picture import of_joints
from fraud_provenance.investigate.recalling import recall
from fraud_provenance.investigate.trace import Trace, trace_score, trace_subject
from fraud_provenance_tests.investigate.story import Story


class Reader(HTMLParser):
    """What a browser would load or follow, and whether each tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        self.names |= set(named)
        self.links += [str(named[name]) for name in ("href", "src", "action") if name in named]
        self.ids |= {str(named["id"])} if "id" in named else set()
        if tag not in ("meta", "rect", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in ("rect", "path") or self.open.pop() == tag


def checked(page: Page) -> Reader:
    html = page.html()
    found = Reader(html)
    assert found.open == []
    assert not found.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert all(link.startswith("#") for link in found.links)
    assert {link[1:] for link in found.links} <= found.ids
    assert not re.search(r"url\(|@import", html.split("</style>")[0])
    assert not any(name.startswith("on") for name in found.names)
    assert "default-src 'none'" in html
    return found


def every_page(story: Story) -> dict[str, Page]:
    trust, workspace = story.trust, story.workspace
    registry = registry_of(workspace)
    transaction = int(story.scored()["transaction_id"][0])
    days = [f"raw_transactions/{day}" for day in story.days[:2]]
    project = workspace.project
    return {
        "trace": of_trace(trust, trace_score(trust, transaction, why=True)),
        "subject": of_trace(trust, trace_subject(trust, registry, days[0])),
        "diff": of_difference(trust, compare(trust, registry, project, *days)),
        "recall": of_recall(recall(trust, registry, project, days[0], rows=True), trust),
    }


def test_pages_are_whole_by_themselves(told: Story) -> None:
    for name, page in every_page(told).items():
        assert checked(page).ids, name
        assert escape(page.headline) in page.html().replace("&#39;", "'")


def test_picture_leads_from_the_raw_data_to_the_score(told: Story) -> None:
    found = trace_score(told.trust, int(told.scored()["transaction_id"][0]))
    drawn = of_joints(found.joints)
    place = {box.title.partition(" (")[0]: box.x for box in drawn.boxes}
    order = ["landing file", "raw days", "features", "training set", "model", "release decision",
             "scores", "prediction batch"]  # fmt: skip
    assert [place[role] for role in order] == sorted({place[role] for role in order})
    assert len(drawn.boxes) <= len(found.joints)
    spots = {(box.x, box.y) for box in drawn.boxes}
    assert len(spots) == len(drawn.boxes)
    assert all(0 < box.x < drawn.width and 0 < box.y < drawn.height for box in drawn.boxes)


def test_what_rests_on_a_broken_link_is_not_green(story: Story) -> None:
    path = story.trust.home / "data" / "raw_transactions" / f"{story.days[-3]}.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    found = trace_score(story.trust, int(story.scored()["transaction_id"][0]))
    drawn = of_joints(found.joints)
    states = {box.title.partition(" (")[0]: box.state for box in drawn.boxes}
    assert states["raw days"] == "broken"
    assert states["features"] == states["model"] == states["scores"] == "odd"
    assert states["landing file"] == "good"
    page = of_trace(story.trust, found)
    titles = [section.title for section in page.sections]
    assert titles == ["What does not hold", "What to do", "What else is affected"]
    assert page.state == "broken"
    checked(page)


def many(count: int, state: str = "") -> Trace:
    reasons = (Reason(code="DIGEST_MISMATCH", message=state),) if state else ()
    links = [
        Link(kind="materialisation", name="raw_transactions", digest=f"{number:064x}",
             partitions=("2018-04-01",), distance=0, reasons=reasons)
        for number in range(count)
    ]  # fmt: skip
    verdict = Verdict.of("many", "local", "trace", links)
    return Trace(verdict, tuple(Joint("raw days", link) for link in links))


def test_ten_thousand_links_are_one_box_and_a_page_of_bearable_size(told: Story) -> None:
    began = time.process_time()
    page = of_trace(told.trust, many(10_000))
    html = page.html()
    assert time.process_time() - began < 5
    assert [box.title for box in page.pictures[0].drawn.boxes] == ["raw days (10000)"]
    assert len(html) < 1_000_000
    assert "9800 more of the same kind" in html


def test_what_evidence_says_is_shown_and_never_run(told: Story) -> None:
    page = of_trace(told.trust, many(1, "</p><script>alert(1)</script><b onload='x'>"))
    found = checked(page)
    assert "script" not in found.tags
    assert "&lt;script&gt;" in page.html()


@pytest.mark.parametrize("state", ["", "x"])
def test_page_is_written_for_its_owner_alone(told: Story, tmp_path: Path, state: str) -> None:
    from fraud_provenance.cli.inquiries import write_page

    target = tmp_path / "page.html"
    write_page(target, of_trace(told.trust, many(1, state)))
    assert target.stat().st_mode & 0o077 == 0
    assert target.read_text("utf-8").startswith("<!doctype html>")
