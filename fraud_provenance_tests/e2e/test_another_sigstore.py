"""A home in `staging`, which signs by a Sigstore elsewhere: from nothing to a champion.

The company's Sigstore is a real one of another folder, with a witness behind an address; whom to
believe and where to sign comes by the company's TUF repository; tokens lie in files, as a platform
lays them. No key of anybody is in the home.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fraud_provenance_tests.company import (
    AUTHORS,
    STAGING,
    Company,
    reviewed_project,
    running_company,
    said,
)
from fraud_provenance_tests.listening import serving
from fraud_provenance_tests.product import APPROVER, Product

pytestmark = pytest.mark.e2e


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with running_company(tmp_path) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return reviewed_project(tmp_path / "project")


def test_home_in_staging_signs_by_the_companys_sigstore_alone(
    company: Company, project: Path, tmp_path: Path
) -> None:
    product = Product(tmp_path / "home", project)
    product.home.mkdir()
    settings = f'environment = "{STAGING}"\ntokens = "{tmp_path / "tokens"}"\n'
    (product.home / "settings.toml").write_text(settings)

    refused = product.run("up")
    assert refused.code == 2, refused.text
    assert "no trusted_root.json, no signing_config.json" in refused.text
    assert not (product.home / "trust").exists()

    repository = company.repository()
    with serving(repository.folder) as url:
        refused = product.run("propose-trust", url)
        assert (refused.code, "--root FILE" in refused.text) == (2, True), refused.text
        laid = said(product, company, "propose-trust", url, "--root", str(repository.root))
        assert "laid down: trusted_root.json, signing_config.json, client_trust" in laid.text
        assert f"approve policies --environment {STAGING} --as EMAIL" in laid.text
        again = said(product, company, "propose-trust", url)
        assert "what the repository signs is what is there" in again.text
    company.give(product.home)
    waiting = said(product, company, "up")
    assert "nothing is started here" in waiting.text
    assert "two policy authors sign the first one" in waiting.text
    assert f"approve policies --environment {STAGING} --as EMAIL --reason TEXT" in waiting.text
    for email in AUTHORS:
        said(product, company, "approve", "policies", "--environment", STAGING, "--as", email,
             "--reason", "first release")  # fmt: skip
    product.generate(45)
    said(product, company, "run")
    said(product, company, "approve", "model@candidate", "--environment", STAGING, "--as",
         APPROVER, "--reason", "reviewed")  # fmt: skip
    said(product, company, "run")

    verdict = said(product, company, "verify", "model@champion", "--json").json()
    assert verdict["trusted"], verdict["reasons"]
    said(product, company, "verify")
    said(product, company, "audit", "--full")
    said(product, company, "up")  # again: nothing more is asked for
    assert not list(product.home.rglob("*.key"))
    assert not (product.home / "witness").exists()
