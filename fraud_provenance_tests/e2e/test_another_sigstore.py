"""A home in `staging`, which signs by a Sigstore elsewhere: from nothing to a champion.

The company's Sigstore is a real one of another folder, with a witness behind an address; whom to
believe and where to sign comes by the company's TUF repository; tokens lie in files, as a platform
lays them. No key of anybody is in the home.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fraud_provenance.attested.local import LocalSigstore
from fraud_provenance.attested.local.trust_root import PUBLIC
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.tlog.notes import log_keys
from fraud_provenance.attested.tlog.witness import LocalWitness, create_local_witness
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attestors.test_work_tree import git
from fraud_provenance_tests.evidence.simulated_witness import served, speaking
from fraud_provenance_tests.listening import serving
from fraud_provenance_tests.product import APPROVER, Done, Product, copy_project
from fraud_provenance_tests.tuf_repository import TufRepository

pytestmark = pytest.mark.e2e
STAGING = "staging"
TARGETS = {
    "trusted_root.json": "trusted_root.json",
    "signing_config.json": "signing_config.v0.2.json",
}
AUTHORS = ("policy.author@example.com", "policy.reviewer@example.com")


@dataclass(frozen=True)
class Company:
    """What a company gives to a home: public files, and tokens that live for minutes."""

    sigstore: LocalSigstore
    witness: str
    witness_url: str
    folder: Path

    def give(self, home: Path) -> None:
        """Lay the public files that no repository signs into the home's `trust/`."""
        trust = home / "trust"
        trust.mkdir(parents=True, exist_ok=True)
        for name in set(PUBLIC) - {*TARGETS, "client_trust_config.json"}:
            shutil.copy(self.sigstore.trusted_root.parent / name, trust / name)
        log = {self.sigstore.origin: f"file://{self.folder / 'sigstore' / 'log'}"}
        (trust / "logs.json").write_text(json.dumps(log))
        witnesses = [{"key": self.witness, "url": self.witness_url}]
        policy = {"threshold": 1, "witnesses": witnesses}
        (trust / "witnesses.json").write_text(json.dumps(policy))

    def repository(self) -> TufRepository:
        """What the company signs of its trust root."""
        folder = self.folder / "tuf"
        folder.mkdir()
        made = TufRepository(folder)
        own = self.sigstore.trusted_root.parent
        made.publish({theirs: (own / ours).read_bytes() for ours, theirs in TARGETS.items()})
        return made

    def lay_tokens(self, project: Path) -> None:
        """A fresh token of each workload of the layout, and of each principal."""
        data = project / "policies" / "data"
        layout = Layout.model_validate_json((data / "layout.json").read_bytes())
        people = json.loads((data / "principals.json").read_bytes())["principals"]
        for signer in filter(None, (rule.signer() for rule in layout.steps.values())):
            token = self.sigstore.workload_token(signer.subject)
            self._lay(signer.issuer, signer.subject.lstrip("/"), token)
        for one in (identity for person in people for identity in person["identities"]):
            if one["issuer"] == "people":
                token = self.sigstore.person_token(one["subject"])
                self._lay("people", one["subject"], token)

    def _lay(self, issuer: str, name: str, token: str) -> None:
        path = self.folder / "tokens" / issuer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """A Sigstore and a witness that run."""
    sigstore = LocalSigstore(tmp_path / "sigstore")
    try:
        sigstore.up()
        root = sigstore.trusted_root.read_bytes()
        logs = {key.origin: key for key in log_keys(root).values()}
        key = create_local_witness(tmp_path / "witness")
        with served(speaking(LocalWitness(tmp_path / "witness", logs))) as url:
            yield Company(sigstore, key.text, url, tmp_path)
    finally:
        sigstore.down()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone whose `main` is the reviewed branch. Its packages are those of the tests' own."""
    folder = copy_project(tmp_path / "project")
    thresholds = folder / "policies" / "data" / "thresholds.json"
    document = json.loads(thresholds.read_bytes())
    document["locked_environments"]["value"] = ["production"]
    document["protected_branches"]["value"][STAGING] = "refs/heads/reviewed"
    thresholds.write_text(json.dumps(document))
    commit_all(folder, "What staging asks")
    git(folder, "branch", "reviewed")
    return folder


def said(product: Product, company: Company, *arguments: str) -> Done:
    """One command, with tokens that were laid just before."""
    company.lay_tokens(product.project)
    done = product.run(*arguments)
    assert done.code == 0, done.text
    return done


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
