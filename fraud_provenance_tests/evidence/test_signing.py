"""Signing: what does not come back whole, dated and in time was not signed."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from sigstore.errors import Error as SigstoreError
from sigstore.models import InvalidBundle

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.sigstore import signing as signing_module
from fraud_provenance.attested.sigstore.signing import SigningService
from fraud_provenance.attested.sigstore.verification import BundleVerifier, load_issuers
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
    monkeypatch.setattr(signing, "_signer", lambda *_: Failing())
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
    monkeypatch.setattr(signing, "_signer", lambda *_: Undated())
    expected = ["LOG_UNAVAILABLE", "TIMESTAMP_UNAVAILABLE"]
    assert refused(lambda: signing.sign(statement, TRAIN)) == expected


def test_signature_that_comes_too_late_is_not_stored(
    chain: Chain, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = service(chain, deadline_s=0.05)
    go_on, signer = threading.Event(), signing._signer

    def slow(identity: Identity, asked: str) -> object:
        go_on.wait(timeout=30)
        return signer(identity, asked)

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
    def broken(*_: object) -> object:
        raise RuntimeError("broken")

    signing = service(chain)
    monkeypatch.setattr(signing, "_signer", broken)
    assert refused(lambda: signing.sign(statement, TRAIN)) == ["VERIFY_ERROR"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder to sign."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.ubj").write_bytes(b"model")
    return folder


def behind(seconds: float) -> Callable[[], datetime]:
    """A clock that was set back."""
    return lambda: datetime.now(UTC) - timedelta(seconds=seconds)


def test_clock_that_was_set_back_far_signs_nothing(chain: Chain, model: Path) -> None:
    service(chain).sign_model(model, TRAIN)
    before = len(chain.trust.store.bundles())
    assert refused(lambda: service(chain, clock=behind(60)).sign_model(model, TRAIN)) == [
        "CLOCK_BEHIND"
    ]
    assert len(chain.trust.store.bundles()) == before


def test_clock_that_was_set_back_by_seconds_is_waited_for(
    chain: Chain, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    service(chain).sign_model(model, TRAIN)
    monkeypatch.setattr(signing_module.time, "sleep", waited.append)
    service(chain, clock=behind(4)).sign_model(model, TRAIN)
    assert 3 <= max(waited) <= 5


def test_authoritys_clock_that_is_ahead_is_not_waited_for_twice(
    chain: Chain, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(signing_module.time, "sleep", waited.append)
    signing = service(chain, clock=behind(6))
    for _ in range(3):
        signing.sign_model(model, TRAIN)
    assert sum(seconds > 1 for seconds in waited) <= 1


def test_nothing_known_is_no_reason_to_wait(chain: Chain, model: Path) -> None:
    workspace = chain.workspace
    fresh = BundleVerifier(
        workspace.sigstore.trusted_root,
        load_issuers(workspace.home / "trust" / "issuers.json"),
        workspace.bundles.logs,
    )
    signing = service(chain, verifier=fresh, clock=behind(60))
    assert signing.sign_model(model, TRAIN).identity == TRAIN
