"""Who signed in signs: a real authority certifies them by a provider's token, and it verifies."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
import yaml

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import BackendError, VerificationError
from fraud_provenance.attested.core.files import write_atomic
from fraud_provenance.attested.local import trust_root
from fraud_provenance.attested.sigstore.oidc_login import SignInError
from fraud_provenance.attested.statements import identities
from fraud_provenance.home.server_settings import OidcLogin
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.approvals import approve
from fraud_provenance.models.facts import ModelEvidence
from fraud_provenance.people import governing
from fraud_provenance.people.accepting import accept_day
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance.people.rollback import _decide
from fraud_provenance.people.waiving import waive_day
from fraud_provenance_tests.conftest import (
    AUTHOR,
    DAYS,
    PROJECT,
    RAW,
    Chain,
    build_chain,
    codes,
    copy_home,
    featurise,
    release,
)
from fraud_provenance_tests.evidence.test_acceptances import DAY, OWNER, hold
from fraud_provenance_tests.identity_provider import (
    CLIENT,
    Browser,
    IdentityProvider,
    identity_provider,
)

pytestmark = pytest.mark.integration
OFFICER, HOLIDAY = "risk.officer@example.com", "2018-04-03"


@dataclass
class Company:
    """A home whose people sign in by a provider, and the browser that they use."""

    chain: Chain
    provider: IdentityProvider
    browser: Browser

    @property
    def workspace(self) -> Workspace:
        return self.chain.workspace


def believe(workspace: Workspace, provider: IdentityProvider) -> None:
    """People's addresses are vouched for by the provider, to the home and to its authority."""
    (workspace.home / "run").mkdir(parents=True, exist_ok=True)
    trust_root.ensure(workspace.home)
    trust = workspace.home / "trust"
    fulcio = yaml.safe_load((trust / "fulcio_identities.yaml").read_text("utf-8"))
    known = json.loads((trust / "issuers.json").read_text("utf-8"))
    del fulcio["oidc-issuers"][known["people"]]
    fulcio["oidc-issuers"][provider.url] = {
        "issuer-url": provider.url, "client-id": CLIENT, "type": "email",
    }  # fmt: skip
    known["people"] = provider.url
    write_atomic(trust / "fulcio_identities.yaml", yaml.safe_dump(fulcio).encode())
    write_atomic(trust / "issuers.json", json.dumps(known).encode())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Iterator[Company]:
    with identity_provider() as provider:
        home = tmp_path_factory.mktemp("company") / "home"
        table = OidcLogin(issuer=provider.url, client_id=CLIENT)
        workspace = Workspace(Settings(home=home, project=policy_project, oidc_login=table))
        workspace.show_login = browser = Browser(provider)
        workspace.create_folders()
        believe(workspace, provider)
        workspace.sigstore.up()
        try:
            governing.found(workspace)
            yield Company(build_chain(workspace), provider, browser)
        finally:
            workspace.sigstore.down()


@pytest.fixture
def company(built: Company, tmp_path: Path) -> Company:
    home = copy_home(built.workspace.home, tmp_path / "home")
    workspace = Workspace(replace(built.workspace.settings, home=home))
    workspace.show_login = browser = Browser(built.provider)
    workspace.attestor = built.workspace.attestor
    return Company(replace(built.chain, workspace=workspace), built.provider, browser)


def announced(company: Company) -> list[bytes]:
    return [*company.chain.trust.store.intents()]


def test_the_first_release_was_signed_by_two_who_signed_in(built: Company) -> None:
    assert {*built.workspace.releases.head().authors} == {"policy-office", "policy-review"}
    assert len(built.browser.shown) == 2
    assert all(page.status_code == 200 for page in built.browser.pages)


def test_acceptance_of_a_person_who_signed_in_lets_a_held_day_be_used(company: Company) -> None:
    chain = company.chain
    hold(chain)
    said = accept_day(chain.workspace, RAW, DAY, "Black Friday", OWNER)
    assert said["signer"] == f"{OWNER} (people)"
    assert len(company.browser.shown) == 1
    features = featurise(chain.trust, DAYS)
    assert codes(chain.verdict(features.bundle)) == []
    below = {node.statement: node for node in chain.node(features.bundle).walk()}
    assert below[said["statement"]].link().signer == f"{OWNER} (people)"


def test_person_signs_in_once_for_what_one_command_signs(company: Company) -> None:
    for day in (HOLIDAY, "2018-04-04"):
        waive_day(company.workspace, RAW, day, "holiday", OFFICER)
    assert len(company.browser.shown) == 1


@pytest.mark.parametrize("what", ["accept", "approve", "revoke", "rollback", "waive"])
def test_person_who_takes_their_time_signs_what_says_when_it_was_signed(
    company: Company, what: str
) -> None:
    """Else whoever takes longer than clocks may differ would sign what nobody accepts."""
    workspace, done = company.workspace, list[datetime]()
    trust = workspace.trust
    if what == "accept":
        hold(company.chain)

    def slow(address: str, told: str) -> None:
        time.sleep(1.1)
        company.browser(address, told)
        done.append(workspace.clock())

    workspace.show_login = slow
    raw, officer = company.chain.raw.manifest.select([DAY]), identities.of_person(OFFICER)
    model = SimpleNamespace(digest="a" * 64, evidence_set="b" * 64)
    make: dict[str, Callable[[], Any]] = {
        "accept": lambda: accept_day(workspace, RAW, DAY, "Black Friday", OWNER),
        "approve": lambda: approve(
            trust, trust.policies.current(), cast(ModelEvidence, model), OFFICER, "local", "good"
        ),
        "revoke": lambda: revoke_subject(workspace, f"{RAW}/{DAYS[1]}", "wrong", OFFICER),
        "rollback": lambda: _decide(
            workspace, raw, workspace.store.versions(RAW, DAY)[-1], officer, "back"
        ),
        "waive": lambda: waive_day(workspace, RAW, HOLIDAY, "holiday", OFFICER),
    }
    before = {item.statement for item in workspace.store.records()}
    make[what]()
    (made,) = [item for item in workspace.store.records() if item.statement not in before]
    node = trust.lineage().node(made.statement)
    assert node.claims.bundle is not None
    said = encoding.parse_utc(node.claims.bundle.statement.predicate["issued_at"])
    assert said >= done[0].replace(microsecond=0)
    assert len(done) == 1


def test_nothing_of_a_token_is_kept(company: Company) -> None:
    waive_day(company.workspace, RAW, HOLIDAY, "holiday", OFFICER)
    signature = company.provider.tokens[-1].rpartition(".")[2].encode()
    kept = [path for path in company.workspace.home.rglob("*") if path.is_file()]
    assert not [path for path in kept if signature in path.read_bytes()]


def test_somebody_else_who_signs_in_signs_nothing(company: Company) -> None:
    company.provider.lies["claims"] = lambda honest: honest | {"email": AUTHOR}
    before = announced(company)
    try:
        with pytest.raises(VerificationError, match="IDENTITY_NOT_AUTHORIZED_FOR_STEP"):
            waive_day(company.workspace, RAW, HOLIDAY, "holiday", OFFICER)
    finally:
        company.provider.lies.clear()
    assert announced(company) == before


def test_provider_that_the_authority_does_not_believe_gets_no_certificate(
    company: Company,
) -> None:
    with identity_provider() as unknown:
        table = OidcLogin(issuer=unknown.url, client_id=CLIENT)
        workspace = Workspace(replace(company.workspace.settings, oidc_login=table))
        workspace.show_login = Browser(unknown)
        with pytest.raises(BackendError, match=f"no certificate for {OFFICER}") as caught:
            waive_day(workspace, RAW, HOLIDAY, "holiday", OFFICER)
    assert codes(caught.value) == ["AUTHORITY_UNAVAILABLE"]
    assert unknown.url in caught.value.reasons[0].remedy
    assert CLIENT in caught.value.reasons[0].remedy


def test_who_does_not_sign_in_for_a_release_is_asked_once(company: Company, tmp_path: Path) -> None:
    """Other servers of earlier releases would not have another answer."""
    workspace = company.workspace
    path = workspace.home / "trust" / "client_trust_config.json"
    document = json.loads(path.read_text("utf-8"))
    document["signingConfig"]["tsaUrls"][0]["operator"] = "another"
    path.write_text(json.dumps(document))
    release(workspace)
    path.write_text(json.dumps(document, indent=1))
    company.browser.shown.clear()
    company.provider.lies["answer"] = lambda honest: (
        {"error": "access_denied"} | {"state": honest["state"]}
    )
    try:
        with pytest.raises(SignInError, match="access_denied"):
            governing.sign_release(workspace, AUTHOR, "reviewed")
    finally:
        company.provider.lies.clear()
    assert len(company.browser.shown) == 1


def test_command_prints_the_address_opens_it_and_waits(company: Company, tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o700)
    lines = f'[oidc_login]\nissuer = "{company.provider.url}"\nclient_id = "{CLIENT}"\n'
    (company.workspace.home / "settings.toml").write_text(lines)
    environment = {name: value for name, value in os.environ.items() if "MLFLOW" not in name} | {
        "FRAUD_PROVENANCE_HOME": str(company.workspace.home), "BROWSER": f"{browser} %s",
    }  # fmt: skip
    company.provider.person = OFFICER
    with subprocess.Popen(
        [sys.executable, "-m", "fraud_provenance.cli", "waive", RAW, HOLIDAY, "--as", OFFICER,
         "--reason", "holiday", "--json"],
        cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = process.stderr.readline()
        address = process.stderr.readline().strip()
        assert re.match(rf"Sign in as {OFFICER} within 4 minutes", told)
        assert requests.get(address, timeout=10).status_code == 200
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["signer"] == f"{OFFICER} (people)"
    assert opened.read_text() == address
    assert company.provider.tokens[-1] not in out + err
    verdict = company.chain.node(company.chain.features.bundle)
    assert not verdict.all_reasons()
    node = company.chain.trust.lineage().node(json.loads(out)["statement"])
    assert not node.all_reasons()
