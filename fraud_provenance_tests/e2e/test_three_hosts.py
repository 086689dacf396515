"""Three hosts work on one home: one lands days, one makes models, one promotes and scores.

The servers are on a fourth one: what `make production` starts, and a Sigstore. Each host has a disk
of its own, the tokens of its own steps, and a network of its own in which nothing but the servers
is reached; where this machine lets nobody make namespaces, it has the tokens and the folder alone.
"""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

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
from fraud_provenance_tests.site_server import around, running_site

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


@dataclass(frozen=True, kw_only=True)
class Host(Product):
    """The product's commands on one host."""

    name: str
    company: Company
    site: Site
    hidden: tuple[Path, ...]
    way: Bridge | None
    people: tuple[str, ...]

    @property
    def tokens(self) -> Path:
        return self.home.with_name(f"{self.name}-tokens")

    def command(self, *arguments: str) -> list[str]:
        own = super().command(*arguments)
        return own if self.way is None else apart(self.way.folder, self.hidden, own)

    def run(self, *arguments: str, **environment: str) -> Done:
        self.company.lay_own(self.tokens, HOSTS[self.name], self.people)
        return super().run(*arguments, **around(self.site), **environment)

    @property
    def part(self) -> list[str]:
        """The command for its part of the work."""
        return ["run", *(word for name in STAGES[self.name] for word in ("--stage", name))]

    def work(self) -> Done:
        return self.ok(*self.part)

    def approve(self, subject: str = "model@candidate") -> Done:
        return self.ok("approve", subject, "--environment", STAGING, "--as", APPROVER,
                       "--reason", "reviewed")  # fmt: skip

    def trusts(self, *subject: str) -> bool:
        return bool(self.ok("verify", *subject, "--json").json()["trusted"])


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as made:
        yield made


@pytest.fixture
def hosts(site: Site, tmp_path: Path) -> Iterator[list[Host]]:
    project = reviewed_project(tmp_path / "project")
    network = bridge(tmp_path / "bridge") if is_possible() else nullcontext()
    with running_company(tmp_path) as company, network as way:
        made = []
        folders = {name: (tmp_path / name, tmp_path / f"{name}-tokens") for name in HOSTS}
        servers = [tmp_path / "sigstore", tmp_path / "witness"]
        servers += [site.folder / "postgres", site.folder / "store"]
        for folder in (folder for own in folders.values() for folder in own):
            folder.mkdir()
        for name, (home, _) in folders.items():
            others = [folder for other, own in folders.items() if other != name for folder in own]
            hidden = (*others, *servers)
            people = (*AUTHORS, APPROVER) if name == "third" else ()
            host = Host(
                home=home, project=project, name=name, company=company, site=site,
                hidden=hidden, way=way, people=people,
            )  # fmt: skip
            company.give_all(home)
            settings = f'environment = "{STAGING}"\ntokens = "{host.tokens}"\n{site.settings()}'
            (home / "settings.toml").write_text(settings)
            for port in ports_in(home) if way is not None else ():
                way.add(port)
            made.append(host)
        yield made


def ports_in(home: Path) -> set[int]:
    """The ports of all servers that a home names."""
    texts = [
        path.read_text() for path in (home / "settings.toml", *(home / "trust").glob("*.json"))
    ]
    found = re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(texts))
    assert found
    return {int(port) for port in found}


def begin(hosts: list[Host]) -> None:
    """Each host looks at the log, and two authors sign the first release on the third one."""
    for host in hosts:
        host.ok("up")
    for email in AUTHORS:
        hosts[-1].ok("approve", "policies", "--environment", STAGING, "--as", email,
                     "--reason", "first release")  # fmt: skip


def test_what_one_host_makes_the_next_one_goes_on_from(hosts: list[Host]) -> None:
    first, second, third = hosts
    begin(hosts)
    first.generate(DAYS)
    first.work()
    second.work()
    third.approve()
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
    third.approve()
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
    begin(hosts)
    chance = random.Random(1)  # noqa: S311 - it decides moments
    for number in range(CUTS):
        first.generate(DAYS + number)
        host = hosts[number % len(hosts)]
        with ThreadPoolExecutor(1) as pool:
            process = pool.submit(host.run, *host.part)
            time.sleep(chance.uniform(1, 12))
            first.way.cut()
            time.sleep(chance.uniform(0, 3))
            first.way.mend()
            done = process.result()
        assert done.code in (0, 1, 2), done.text
        assert "Traceback" not in done.text, done.text
        for each in hosts:
            each.work()
        third.approve()
        third.work()
        for each in hosts:
            assert each.trusts()
            each.ok("audit", "--full")
