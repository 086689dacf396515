"""Dagster's UI on a home, as people use it: a real browser clicks, the daemon does the work."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from fraud_provenance_tests.attacks.network import free_port
from fraud_provenance_tests.product import Product

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_INSTALL = (["apt-get", "-qq", "update"], ["apt-get", "-qq", "install", "-y", "chromium"])


def chromium() -> str:
    """The system's Chromium; installed where this user may; else the test is skipped."""
    found = shutil.which("chromium")
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in _INSTALL:
            subprocess.run(
                command, check=False, capture_output=True, timeout=600,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )  # fmt: skip
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium here, and it cannot be installed")
    return found


@contextmanager
def page(asked: list[str]) -> "Iterator[Page]":
    """A page of a headless browser; every address that it asks for is added to `asked`."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1500, "height": 950})
        opened.on("request", lambda request: asked.append(request.url))
        try:
            yield opened
        finally:
            browser.close()


@contextmanager
def dagster_dev(product: Product, log: Path) -> Iterator[str]:
    """The webserver and the daemon of `make ui`, at a free port; yields their address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    home = product.ok("home", "--dagster").out.strip()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml",
             "--host", "127.0.0.1", "--port", str(port)],
            cwd=product.project, env=product.environment(DAGSTER_HOME=home),
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        wait(lambda: _answers(address), 180, f"no answer; see {log}")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started goes with it


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/server_info", timeout=10).ok
    except requests.RequestException:
        return False


def wait(is_so: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Ask until it is so; fail with the words `otherwise` after `seconds`."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(1.5)


@dataclass
class Ui:
    """What a person does in the UI and reads there."""

    address: str
    page: "Page"
    asked: list[str] = field(default_factory=list)

    def graphql(self, query: str) -> dict[str, Any]:
        answer = requests.post(f"{self.address}/graphql", json={"query": query}, timeout=60)
        return dict(answer.json()["data"])

    def runs(self) -> dict[str, dict[str, Any]]:
        """The newest runs by their ids."""
        found = self.graphql(
            "{runsOrError(limit:50){... on Runs{results{"
            "runId jobName status assetSelection{path} tags{key value}}}}}"
        )["runsOrError"]["results"]
        return {run["runId"]: run for run in found}

    def is_idle(self) -> bool:
        return all(run["status"] in ENDED for run in self.runs().values())

    def open(self, path: str) -> "Page":
        self.page.goto(f"{self.address}{path}", wait_until="domcontentloaded")
        return self.page

    def switch_all(self, is_on: bool) -> None:
        """Start or stop every sensor, as the switches of the page "Automation" do."""
        for sensor in self._sensors():
            state = sensor["sensorState"]
            if (state["status"] == "RUNNING") is is_on:
                continue
            selector = (
                f'repositoryName:"{sensor["repo"]}",'
                f'repositoryLocationName:"{sensor["location"]}",sensorName:"{sensor["name"]}"'
            )
            self.graphql(
                f"mutation{{startSensor(sensorSelector:{{{selector}}}){{__typename}}}}"
                if is_on
                else f'mutation{{stopSensor(id:"{state["id"]}"){{__typename}}}}'
            )

    def _sensors(self) -> list[dict[str, Any]]:
        nodes = self.graphql(
            "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name} "
            "sensors{name sensorState{id status}}}}}}"
        )["repositoriesOrError"]["nodes"]
        return [
            {"repo": node["name"], "location": node["location"]["name"], **sensor}
            for node in nodes
            for sensor in node["sensors"]
        ]

    def materialise(self, path: str, days: str | None = None) -> list[dict[str, Any]]:
        """Open a page, click Materialize, choose the days that begin so; the runs, ended."""
        before = set(self.runs())
        page = self.open(path)
        button = page.get_by_role("button", name="Materialize").first
        button.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)  # the button learns what it would start
        button.click()
        dialog = page.get_by_role("dialog").filter(has_text="Launch runs")
        if days is not None:
            dialog.wait_for(timeout=60_000)
            self._choose(dialog, days)
            launch = dialog.get_by_role("button", name="Launch")
            launch.click()
        wait(lambda: set(self.runs()) - before, 180, f"{path}: nothing was started")
        wait(lambda: self._ended(before), 600, f"{path}: did not end")
        return [run for key, run in self.runs().items() if key not in before]

    def _ended(self, before: set[str]) -> bool:
        fresh = [run for key, run in self.runs().items() if key not in before]
        return bool(fresh) and all(run["status"] in ENDED for run in fresh)

    def _choose(self, dialog: "Locator", days: str) -> None:
        """Type into the list of days; again where it was asked before it had any."""
        from playwright.sync_api import TimeoutError as TooLate

        dialog.get_by_text("Select a partition or create one").click()
        every = self.page.get_by_text("Select all (")
        for _ in range(5):
            self.page.keyboard.type(days)
            with suppress(TooLate):
                every.wait_for(timeout=10_000)
                break
            for _ in days:
                self.page.keyboard.press("Backspace")
        every.click()
        self.page.keyboard.press("Escape")
