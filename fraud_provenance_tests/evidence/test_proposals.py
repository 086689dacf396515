"""A trust root that a TUF repository signs: laid down where it can be used, believed by nobody."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.local import trust_root
from fraud_provenance.attested.ports.clock import machine_clock
from fraud_provenance.attested.rules import proposals
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.listening import serving
from fraud_provenance_tests.tuf_repository import TufRepository

ROOT, SERVICES, CLIENT = "trusted_root.json", "signing_config.json", "client_trust_config.json"
THERE = {ROOT: ROOT, SERVICES: "signing_config.v0.2.json"}
Lie = Callable[["Company"], object]


@dataclass
class Company:
    """Its repository, the address, its real files, and a home that was given nothing yet."""

    repository: TufRepository
    url: str
    files: dict[str, bytes]
    trust: Path

    def publish(self, **more: timedelta) -> None:
        """A newer state with the same files."""
        self.repository.publish({THERE[name]: text for name, text in self.files.items()}, **more)

    def propose(self, *, first: bool = False, write: bool = True) -> list[str]:
        """As a person of the home does it."""
        root = self.repository.root.read_bytes() if first else None
        return proposals.propose(self.trust, self.url, machine_clock(), root=root, write=write)

    def path(self, name: str) -> Path:
        """The newest state's file of this name or, for a target, of this ending."""
        (found,) = self.repository.folder.rglob(f"*{name}")
        return found


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    trust_root.ensure(tmp_path / "company")
    own = tmp_path / "company" / "trust"
    files = {name: (own / name).read_bytes() for name in THERE}
    folder = tmp_path / "tuf"
    folder.mkdir()
    with serving(folder) as url:
        made = Company(TufRepository(folder), url, files, tmp_path / "home" / "trust")
        made.publish()
        yield made


def refusal(company: Company, *, first: bool = False) -> list[str]:
    with pytest.raises(ProvenanceError) as caught:
        company.propose(first=first)
    return codes(caught.value)


def laid(company: Company) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in company.trust.glob("*.json")}


def test_first_proposal_needs_a_root_and_lays_down_what_is_signed(company: Company) -> None:
    assert refusal(company) == ["USAGE"]
    assert not company.trust.exists()
    assert company.propose(first=True, write=False) == [ROOT, SERVICES, CLIENT]
    assert laid(company) == {}
    assert company.propose(first=True) == [ROOT, SERVICES, CLIENT]
    found = laid(company)
    assert {name: found[name] for name in THERE} == company.files
    both = json.loads(found[CLIENT])
    assert both["trustedRoot"] == json.loads(company.files[ROOT])
    assert both["signingConfig"] == json.loads(company.files[SERVICES])
    assert company.propose() == []


def test_newer_state_follows_from_the_one_that_was_seen(company: Company) -> None:
    company.propose(first=True)
    document = json.loads(company.files[SERVICES])
    document["rekorTlogUrls"][0]["operator"] = "another"
    company.files[SERVICES] = json.dumps(document).encode()
    company.publish()
    assert company.propose() == [SERVICES, CLIENT]
    assert laid(company)[SERVICES] == company.files[SERVICES]


def _rolled_back(company: Company) -> None:
    before = company.repository.folder.with_name("before")
    shutil.copytree(company.repository.folder, before)
    company.publish()
    company.propose()
    shutil.copytree(before, company.repository.folder, dirs_exist_ok=True)


def _changed(company: Company) -> None:
    path = company.path(f".{ROOT}")
    path.write_bytes(path.read_bytes()[:-2] + b" }")
    (company.trust / ROOT).unlink()


def _of_other_keys(company: Company) -> None:
    company.repository.keys["targets"] = CryptoSigner.generate_ecdsa()
    company.publish()


def _too_large(company: Company) -> None:
    company.repository.publish(
        {THERE[ROOT]: b" " * (proposals._MAX_BYTES + 1), THERE[SERVICES]: company.files[SERVICES]}
    )


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (_rolled_back, "ROOT_ROLLBACK"),
        (_changed, "ROOT_MALFORMED"),
        (_of_other_keys, "ROOT_MALFORMED"),
        (lambda one: one.publish(expires=timedelta(days=-1)), "ROOT_MALFORMED"),
        (lambda one: one.repository.publish({THERE[ROOT]: one.files[ROOT]}), "ROOT_MALFORMED"),
        (_too_large, "ROOT_MALFORMED"),
        (lambda one: one.repository.publish(dict.fromkeys(THERE.values(), b"{}")),
         "ROOT_MALFORMED"),
        (lambda one: one.path("timestamp.json").unlink(), "AUTHORITY_UNAVAILABLE"),
    ],
)  # fmt: skip
def test_repository_that_lies_changes_nothing(company: Company, lie: Lie, code: str) -> None:
    company.propose(first=True)
    lie(company)
    before = laid(company)
    assert refusal(company) == [code]
    assert laid(company) == before


def test_another_root_is_no_way_in(company: Company, tmp_path: Path) -> None:
    company.propose(first=True)
    stranger = TufRepository(tmp_path / "stranger")
    stranger.folder.mkdir()
    stranger.publish({THERE[name]: text for name, text in company.files.items()})
    for path in stranger.folder.glob("*.json"):
        shutil.copy(path, company.repository.folder / path.name)
    assert refusal(company) == ["ROOT_MALFORMED"]


@pytest.mark.parametrize(
    "url",
    [
        "http://tuf.example.com",
        "ftp://127.0.0.1",
        "https://",
        "https://me@example.com",
        "file:///x",
    ],
)
def test_address_that_anybody_could_answer_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ProvenanceError) as caught:
        proposals.propose(tmp_path, url, machine_clock(), root=b"{}")
    assert codes(caught.value) == ["USAGE"]
