"""Data Docs need no network: their pages name no other machine, and the server allows none."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.fraud.contract import ContractReport
from fraud_provenance.fraud.data_docs import offline, write_page
from fraud_provenance.home import pages

FOREIGN = """<html><head><LINK rel="stylesheet" href="https://example.com/a.css">
<link href=//example.com/b.css rel=stylesheet><script src='https://example.com/x.js'></script>
<style>@import url(https://example.com/c.css);p{}</style></head>
<body><img src="//example.com/i.png"><a href="https://example.com/">x</a><p>kept</p>
<script>fetch("https://example.com")</script></body></html>"""


def test_page_of_great_expectations_asks_nobody() -> None:
    alone = offline(FOREIGN)
    assert "example.com" not in alone
    assert "<script" not in alone
    assert "<p>kept</p>" in alone
    assert "<style>" in alone.partition("</head>")[0]


def test_pages_are_served_here_alone(tmp_path: Path) -> None:
    report = ContractReport("suite", {}, ("x_is_y",), ("train",), {"train": 3}, ())
    write_page(report, pages.folder_of(tmp_path) / "suite", "a.html")
    (tmp_path / "secret").write_text("x")
    with pages.served(tmp_path) as address:
        assert address == f"http://127.0.0.1:{pages.port_of(tmp_path)}/"
        own = pages.address_of(tmp_path, "suite", "a.html")
        with urllib.request.urlopen(own, timeout=10) as answer:  # noqa: S310 - loopback
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "x_is_y" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}../secret", timeout=10)  # noqa: S310 - loopback
        with pytest.raises(BackendError, match="is taken"), pages.served(tmp_path):
            pass


def test_ports_are_two_beyond_those_of_the_servers(tmp_path: Path) -> None:
    ports = {pages.port_of(tmp_path / str(number)) for number in range(200)}
    assert min(ports) > 32_000
    assert max(ports) + 1 < 32_768
    assert all(port % 2 == 0 for port in ports)
    assert pages.port_of(tmp_path) == pages.port_of(tmp_path)


def test_page_has_no_address_elsewhere(tmp_path: Path) -> None:
    report = ContractReport("suite", {}, ("x",), ("train",), {"train": 3}, ())
    write_page(report, tmp_path, "a.html")
    assert re.findall(r"https?://", (tmp_path / "a.html").read_text()) == []
