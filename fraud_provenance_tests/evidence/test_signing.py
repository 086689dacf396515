"""Signing: what does not come back whole, dated and in time was not signed."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from sigstore.errors import Error as SigstoreError
from sigstore.models import InvalidBundle

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.sigstore.signing import SigningService
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement
from fraud_provenance_tests.conftest import Chain, codes

pytestmark = pytest.mark.integration
TRAIN = Identity(issuer="workloads", subject="/steps/train")


@pytest.fixture
def statement() -> Statement:
    return statements.build_statement(statements.PROVENANCE, "asset", "a" * 64, {"made": "once"})


def service(chain: Chain, **changed: Any) -> SigningService:
    """A service of its own, as the workspace makes it, but for what is changed."""
    trust = chain.workspace.home / "trust"
    given: dict[str, Any] = {
        "trust_config": trust / "client_trust_config.json",
        "token": chain.workspace.token,
        "store": chain.trust.store,
        "verifier": chain.workspace.bundles,
    }
    return SigningService(**(given | changed))


def refused(work: Callable[[], object]) -> list[str]:
    with pytest.raises(BackendError) as caught:
        work()
    return codes(caught.value)


def test_signed_model_folder_is_a_statement_of_the_model_signing_library(
    chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.ubj").write_bytes(b"model")
    signed = service(chain).sign_model(folder, TRAIN)
    assert signed.statement.predicate_type == statements.MODEL_SIGNATURE
    assert signed.identity == TRAIN
    assert [item["name"] for item in signed.statement.predicate["resources"]] == ["model.ubj"]


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("down"), OSError("down"), SigstoreError("refused")]
)
def test_authority_that_gives_no_certificate_is_unavailable(
    chain: Chain, statement: Statement, error: Exception
) -> None:
    def no_token(_identity: Identity) -> str:
        raise error

    signing = service(chain, token=no_token)
    assert refused(lambda: signing.sign(statement, TRAIN)) == ["AUTHORITY_UNAVAILABLE"]
    assert statement.content in chain.trust.store.intents()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidBundle("no timestamp"), ["LOG_UNAVAILABLE", "TIMESTAMP_UNAVAILABLE"]),
        (SigstoreError("no entry"), ["LOG_UNAVAILABLE"]),
        (requests.ReadTimeout("slow"), ["LOG_UNAVAILABLE"]),
    ],
)
def test_log_that_does_not_answer_is_unavailable(
    chain: Chain,
    statement: Statement,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: list[str],
) -> None:
    class Failing:
        def sign_dsse(self, _statement: object) -> object:
            raise error

    signing = service(chain)
    monkeypatch.setattr(signing, "_signer", lambda _identity: Failing())
    assert refused(lambda: signing.sign(statement, TRAIN)) == expected


@pytest.mark.parametrize("data", [None, SimpleNamespace(rfc3161_timestamps=[])])
def test_answer_without_a_timestamp_does_not_count(
    chain: Chain, statement: Statement, monkeypatch: pytest.MonkeyPatch, data: object
) -> None:
    class Undated:
        def sign_dsse(self, _statement: object) -> object:
            material = SimpleNamespace(timestamp_verification_data=data)
            return SimpleNamespace(verification_material=material)

    signing = service(chain)
    monkeypatch.setattr(signing, "_signer", lambda _identity: Undated())
    expected = ["LOG_UNAVAILABLE", "TIMESTAMP_UNAVAILABLE"]
    assert refused(lambda: signing.sign(statement, TRAIN)) == expected


def test_signature_that_comes_too_late_is_not_stored(
    chain: Chain, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = service(chain, deadline_s=0.05)
    go_on, signer = threading.Event(), signing._signer

    def slow(identity: Identity) -> object:
        go_on.wait(timeout=30)
        return signer(identity)

    monkeypatch.setattr(signing, "_signer", slow)
    pending = signing.submit(statement, TRAIN)
    assert refused(pending.result) == ["LOG_UNAVAILABLE"]
    go_on.set()
    with pytest.raises(BackendError, match="too late"):
        pending._future.result(timeout=30)
    assert chain.trust.store.records(statement=statement.digest) == []
    assert statement.content in chain.trust.store.intents()


def test_signing_that_breaks_is_undecided(
    chain: Chain, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_identity: Identity) -> object:
        raise RuntimeError("broken")

    signing = service(chain)
    monkeypatch.setattr(signing, "_signer", broken)
    assert refused(lambda: signing.sign(statement, TRAIN)) == ["VERIFY_ERROR"]
