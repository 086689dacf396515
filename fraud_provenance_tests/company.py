"""A company's own Sigstore, as a home elsewhere meets it: public files, addresses and tokens."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraud_provenance.attested.local import LocalSigstore
from fraud_provenance.attested.local.trust_root import PUBLIC
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.tlog.notes import log_keys
from fraud_provenance.attested.tlog.witness import LocalWitness, create_local_witness
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attestors.test_work_tree import git
from fraud_provenance_tests.evidence.simulated_witness import served, speaking
from fraud_provenance_tests.listening import serving
from fraud_provenance_tests.product import Done, Product, copy_project
from fraud_provenance_tests.tuf_repository import TufRepository

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
    log_url: str
    folder: Path

    def give(self, home: Path) -> None:
        """Lay the public files that no repository signs into the home's `trust/`."""
        trust = home / "trust"
        trust.mkdir(parents=True, exist_ok=True)
        for name in set(PUBLIC) - {*TARGETS, "client_trust_config.json"}:
            shutil.copy(self.sigstore.trusted_root.parent / name, trust / name)
        log = {self.sigstore.origin: self.log_url}
        (trust / "logs.json").write_text(json.dumps(log))
        witnesses = [{"key": self.witness, "url": self.witness_url}]
        policy = {"threshold": 1, "witnesses": witnesses}
        (trust / "witnesses.json").write_text(json.dumps(policy))

    def give_all(self, home: Path) -> None:
        """`give`, and what a repository would sign."""
        self.give(home)
        for name in (*TARGETS, "client_trust_config.json"):
            shutil.copy(self.sigstore.trusted_root.parent / name, home / "trust" / name)

    def repository(self) -> TufRepository:
        """What the company signs of its trust root."""
        folder = self.folder / "tuf"
        folder.mkdir()
        made = TufRepository(folder)
        own = self.sigstore.trusted_root.parent
        made.publish({theirs: (own / ours).read_bytes() for ours, theirs in TARGETS.items()})
        return made

    def lay_own(self, folder: Path, workloads: Sequence[str], people: Sequence[str]) -> None:
        """Fresh tokens of these alone, into a folder of one host's own."""
        for subject in workloads:
            self._lay(folder, "workloads", subject, self.sigstore.workload_token(f"/{subject}"))
        for subject in people:
            self._lay(folder, "people", subject, self.sigstore.person_token(subject))

    def lay_tokens(self, project: Path) -> None:
        """A fresh token of each workload of the layout, and of each principal."""
        data = project / "policies" / "data"
        layout = Layout.model_validate_json((data / "layout.json").read_bytes())
        people = json.loads((data / "principals.json").read_bytes())["principals"]
        known = [one for person in people for one in person["identities"]]
        signers = filter(None, (rule.signer() for rule in layout.steps.values()))
        self.lay_own(
            self.folder / "tokens",
            [signer.subject.lstrip("/") for signer in signers],
            [one["subject"] for one in known if one["issuer"] == "people"],
        )

    @staticmethod
    def _lay(folder: Path, issuer: str, name: str, token: str) -> None:
        path = folder / issuer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token)


@contextmanager
def running_company(folder: Path) -> Iterator[Company]:
    """A Sigstore and a witness that run."""
    sigstore = LocalSigstore(folder / "sigstore")
    try:
        sigstore.up()
        root = sigstore.trusted_root.read_bytes()
        logs = {key.origin: key for key in log_keys(root).values()}
        key = create_local_witness(folder / "witness")
        witness = LocalWitness(folder / "witness", logs)
        with served(speaking(witness)) as url, serving(folder / "sigstore" / "log") as log:
            yield Company(sigstore, key.text, url, log, folder)
    finally:
        sigstore.down()


def reviewed_project(folder: Path) -> Path:
    """A clone whose `main` is the reviewed branch. Its packages are those of the tests' own."""
    copy_project(folder)
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
