"""Two machines with disks of their own work on one home: what one makes, the other goes on from.

They share what `make production` starts (PostgreSQL, an object store, MLflow's server) and a
Sigstore elsewhere. Days are landed on the first one; people approve, and models are promoted, on
the second.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from fraud_provenance.home.surroundings import HOME_VARIABLE
from fraud_provenance.run import site_servers
from fraud_provenance.run.site import Site
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


@dataclass
class Machine:
    """One machine: a disk, a checkout, and the variables of its servers."""

    product: Product
    company: Company
    site: Site

    def said(self, *arguments: str) -> Done:
        self.company.lay_tokens(self.product.project)
        around = {k: v for k, v in self.site.variables().items() if k != HOME_VARIABLE}
        done = self.product.run(*arguments, **around)
        assert done.code == 0, done.text
        return done

    def trusts(self, *subject: str) -> bool:
        return bool(self.said("verify", *subject, "--json").json()["trusted"])


@pytest.fixture
def site() -> Iterator[Site]:
    require_postgres()
    with servers_of_a_site() as made:
        site_servers.start(made, lambda _text: None)
        yield made


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with running_company(tmp_path) as made:
        yield made


@pytest.fixture
def machines(company: Company, site: Site, tmp_path: Path) -> list[Machine]:
    project = reviewed_project(tmp_path / "project")
    settings = f'environment = "{STAGING}"\ntokens = "{tmp_path / "tokens"}"\n{site.settings()}'
    made = []
    for name in ("first", "second"):
        product = Product(tmp_path / name, project)
        company.give_all(product.home)
        (product.home / "settings.toml").write_text(settings)
        made.append(Machine(product, company, site))
    return made


def test_what_one_machine_makes_the_other_goes_on_from(machines: list[Machine]) -> None:
    first, second = machines
    first.said("up")
    for email in AUTHORS:
        first.said("approve", "policies", "--environment", STAGING, "--as", email,
                   "--reason", "first release")  # fmt: skip
    land(first, 45)
    first.said("run")

    second.said("up")
    assert second.trusts("model@candidate")
    second.said("approve", "model@candidate", "--environment", STAGING, "--as", APPROVER,
                "--reason", "reviewed")  # fmt: skip
    second.said("run")
    for machine in machines:
        assert machine.trusts("model@champion")

    land(first, 46)
    first.said("run")
    day = sorted((first.product.home / "data" / "transaction_scores").rglob("*.parquet"))[-1]
    assert second.trusts(f"transaction_scores/{day.stem}")
    land(first, 47)
    with ThreadPoolExecutor(2) as pool:  # both train, register and score whatever is due
        list(pool.map(lambda machine: machine.said("run"), machines))
    shutil.rmtree(second.product.home / "data")
    for machine in machines:
        assert machine.trusts()
        machine.said("audit", "--full")
    assert not list(second.product.home.rglob("*.key"))


def land(machine: Machine, days: int) -> None:
    around = {k: v for k, v in machine.site.variables().items() if k != HOME_VARIABLE}
    done = machine.product.run(
        "generate", "--days", str(days), "--rows-per-day", "1200", "--seed", "7", **around
    )
    assert done.code == 0, done.text
