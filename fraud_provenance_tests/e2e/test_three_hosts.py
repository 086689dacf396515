"""Three hosts work on one home: one lands days, one makes models, one promotes and scores.

The servers are on a fourth one.
Each host has a disk of its own, the tokens of its own steps, and a network of its own in which
nothing but the servers is reached; where this machine lets nobody make namespaces, it has all of
that but the network. They share what `make production` starts, and a Sigstore elsewhere.
"""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fraud_provenance.home.surroundings import HOME_VARIABLE
from fraud_provenance.run import site_servers
from fraud_provenance.run.site import Site
from fraud_provenance_tests.apart import Bridge, apart, bridge, is_possible
from fraud_provenance_tests.company import (
    AUTHORS,
    STAGING,
    Company,
    reviewed_project,
    running_company,
)
from fraud_provenance_tests.product import APPROVER, Done, Product
from fraud_provenance_tests.site_server import require_postgres, servers_of_a_site

pytestmark = pytest.mark.e2e
READS = ("gates/data-access", "steps/contracts")
HOSTS = {
    "first": (*READS, "steps/ingest", "steps/features", "steps/feature_store"),
    "second": (*READS, "steps/training_set", "steps/train", "steps/evaluate", "gates/registration"),
    "third": (*READS, "gates/deployment", "steps/score"),
}
"""Host → whose tokens lie there."""
STAGES = {
    "first": ("ingest", "features", "online"),
    "second": ("training",),
    "third": ("promotion", "scoring"),
}
CUTS = int(os.environ.get("NETWORK_CUTS", "0"))
"""How often the network is cut: `make faults` says it."""
DAYS = 45


@dataclass(frozen=True)
class Host(Product):
    """The product's commands on one host."""

    name: str = ""
    company: Company | None = None
    site: Site | None = None
    hidden: tuple[Path, ...] = ()
    way: Bridge | None = None
    people: tuple[str, ...] = field(default=())

    def command(self, *arguments: str) -> list[str]:
        own = super().command(*arguments)
        return own if self.way is None else apart(self.way.folder, self.hidden, own)

    def run(self, *arguments: str, **environment: str) -> Done:
        assert self.company is not None
        assert self.site is not None
        self.company.lay_own(
            self.home.with_name(f"{self.name}-tokens"), HOSTS[self.name], self.people
        )
        around = {k: v for k, v in self.site.variables().items() if k != HOME_VARIABLE}
        return super().run(*arguments, **around, **environment)

    def work(self) -> Done:
        return self.ok("run", *(word for name in STAGES[self.name] for word in ("--stage", name)))

    def trusts(self, *subject: str) -> bool:
        return bool(self.ok("verify", *subject, "--json").json()["trusted"])


@pytest.fixture
def site() -> Iterator[Site]:
    require_postgres()
    with servers_of_a_site() as made:
        site_servers.start(made, lambda _text: None)
        yield made


@pytest.fixture
def hosts(site: Site, tmp_path: Path) -> Iterator[list[Host]]:
    project = reviewed_project(tmp_path / "project")
    network = bridge(tmp_path / "bridge") if is_possible() else nullcontext()
    with running_company(tmp_path) as company, network as way:
        made = []
        homes = {name: tmp_path / name for name in HOSTS}
        for name, home in homes.items():
            company.give_all(home)
            tokens = home.with_name(f"{name}-tokens")
            settings = f'environment = "{STAGING}"\ntokens = "{tokens}"\n{site.settings()}'
            (home / "settings.toml").write_text(settings)
            if way is not None:
                for port in ports_in(home):
                    way.add(port)
            others = [place for other, place in homes.items() if other != name]
            hidden = (
                *others,
                tmp_path / "sigstore",
                tmp_path / "witness",
                site.folder / "postgres",
            )
            people = (*AUTHORS, APPROVER) if name == "third" else ()
            made.append(Host(home, project, name, company, site, hidden, way, people))
        yield made


def ports_in(home: Path) -> set[int]:
    """The ports of all servers that a home names."""
    texts = [
        path.read_text() for path in (home / "settings.toml", *(home / "trust").glob("*.json"))
    ]
    found = re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(texts))
    assert found
    return {int(port) for port in found}


def test_what_one_host_makes_the_next_one_goes_on_from(hosts: list[Host]) -> None:
    first, second, third = hosts
    for host in hosts:
        host.ok("up")
    for email in AUTHORS:
        third.ok("approve", "policies", "--environment", STAGING, "--as", email,
                 "--reason", "first release")  # fmt: skip
    first.generate(DAYS)
    first.work()
    second.work()
    approve(third)
    third.work()
    for host in hosts:
        assert host.trusts("model@champion")

    first.generate(DAYS + 1)
    first.work()
    third.work()
    day = sorted((third.home / "data" / "transaction_scores").glob("*.parquet"))[-1].stem
    assert first.trusts(f"transaction_scores/{day}")

    first.generate(DAYS + 2)
    with ThreadPoolExecutor(3) as pool:  # all at once
        list(pool.map(Host.work, hosts))
    for host in hosts:
        host.work()
    approve(third)
    third.work()
    shutil.rmtree(second.home / "data")
    for host in hosts:
        assert host.trusts()
        host.ok("audit", "--full")
        assert not list(host.home.rglob("*.key"))
    assert not (third.home / "landing").exists() or not any((third.home / "landing").iterdir())
    said = second.ok("verify", "all", "--json").out
    signed = set(re.findall(r"(?:steps|gates)/[\w-]+", said))
    assert {name for of_host in HOSTS.values() for name in of_host} <= signed


@pytest.mark.skipif(not CUTS, reason="`make faults` cuts the network")
@pytest.mark.skipif(not is_possible(), reason="no namespaces can be made here")
def test_a_network_that_is_cut_leaves_what_the_next_run_finishes(hosts: list[Host]) -> None:
    first, _, third = hosts
    assert first.way is not None
    for host in hosts:
        host.ok("up")
    for email in AUTHORS:
        third.ok("approve", "policies", "--environment", STAGING, "--as", email,
                 "--reason", "first release")  # fmt: skip
    chance = random.Random(1)  # noqa: S311 - it decides moments
    for number in range(CUTS):
        first.generate(DAYS + number)
        host = hosts[number % len(hosts)]
        with ThreadPoolExecutor(1) as pool:
            process = pool.submit(host.run, "run", *stage_words(host))
            time.sleep(chance.uniform(1, 12))
            first.way.cut()
            time.sleep(chance.uniform(0, 3))
            first.way.mend()
            done = process.result()
        assert done.code in (0, 1, 2), done.text
        assert "Traceback" not in done.text, done.text
        for each in hosts:
            each.work()
        approve(third)
        third.work()
        for each in hosts:
            assert each.trusts()
            each.ok("audit", "--full")


def stage_words(host: Host) -> list[str]:
    return [word for name in STAGES[host.name] for word in ("--stage", name)]


def approve(host: Host) -> None:
    host.ok("approve", "model@candidate", "--environment", STAGING, "--as", APPROVER,
            "--reason", "reviewed")  # fmt: skip
