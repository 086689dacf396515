"""People sign in by an identity provider: an honest one is believed, and no lie signs anything."""

import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.lineage.signers import MAX_CLOCK_SKEW
from fraud_provenance.attested.sigstore import redirect
from fraud_provenance.attested.sigstore.bounded import BoundedAdapter, UnusableAnswer
from fraud_provenance.attested.sigstore.oidc_login import (
    PATIENCE_S,
    OidcLogin,
    Provider,
    Show,
    SignInError,
)
from fraud_provenance.attested.sigstore.redirect import PATH, Redirect
from fraud_provenance.attested.statements import identities
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.identity_provider import (
    CLIENT,
    Browser,
    IdentityProvider,
    Page,
    identity_provider,
    self_signed,
)

ANN = identities.of_person("ann@example.com")


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


def login(provider: IdentityProvider, show: Show | None = None, **limits: float) -> OidcLogin:
    asked = Provider(provider.url, CLIENT)
    return OidcLogin(asked, show or Browser(), **({"patience_s": 5, "deadline_s": 5} | limits))


def refused(work: Callable[[], object]) -> tuple[str, str, int]:
    """(code, message, exit code); whatever refuses has a remedy, and repeats no secret."""
    with pytest.raises(ProvenanceError) as caught:
        work()
    (reason,) = caught.value.reasons
    assert reason.remedy
    assert "s3cret" not in str(reason)
    return reason.code, reason.message, caught.value.exit_code


def test_person_signs_in_by_the_address_that_is_shown(
    provider: IdentityProvider, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = Browser()
    token = login(provider, browser)(ANN)
    assert jwt.decode(token, options={"verify_signature": False})["email"] == "ann@example.com"
    (address,) = browser.shown
    asked = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
    assert (asked["code_challenge_method"], asked["login_hint"]) == ("S256", "ann@example.com")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    port = urlsplit(asked["redirect_uri"]).port
    assert f"ssh -L {port}:127.0.0.1:{port} HOST" in browser.told[0]
    page = browser.pages[0]
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert asked["state"] not in page.text
    with pytest.raises(requests.ConnectionError):  # nothing listens there any more
        requests.get(asked["redirect_uri"], timeout=5)
    told = "".join([*capfd.readouterr(), caplog.text])
    assert token not in told
    assert token.rpartition(".")[2] not in told


def test_each_login_asks_another_question(provider: IdentityProvider) -> None:
    browser = Browser()
    for _ in range(2):
        login(provider, browser)(ANN)
    first, second = (parse_qs(urlsplit(address).query) for address in browser.shown)
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


def test_address_is_the_same_however_it_is_spelled(provider: IdentityProvider) -> None:
    provider.person = "Ann@Example.com"
    assert login(provider)(ANN) == provider.tokens[0]


@pytest.mark.parametrize(
    ("claims", "code", "told"),
    [
        ({"nonce": "x" * 43}, "AUTHORITY_UNAVAILABLE", "nonce"),
        ({"nonce": None}, "AUTHORITY_UNAVAILABLE", "nonce"),
        ({"iss": "https://login.example.com"}, "ISSUER_MISMATCH", "iss"),
        ({"aud": "another"}, "AUTHORITY_UNAVAILABLE", "aud"),
        ({"aud": [CLIENT, "another"]}, "AUTHORITY_UNAVAILABLE", "aud"),
        ({"azp": "another"}, "AUTHORITY_UNAVAILABLE", "azp"),
        ({"email": "bob@example.com"}, "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "bob@example.com"),
        ({"email": "ann+x@example.com"}, "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "ann+x"),
        ({"email": None}, "AUTHORITY_UNAVAILABLE", "email"),
        ({"email": ["ann@example.com"]}, "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "ann"),
        ({"email_verified": False}, "AUTHORITY_UNAVAILABLE", "email_verified"),
        ({"email_verified": None}, "AUTHORITY_UNAVAILABLE", "email_verified"),
        ({"email_verified": "true"}, "AUTHORITY_UNAVAILABLE", "email_verified"),
        ({"exp": 1}, "AUTHORITY_UNAVAILABLE", "exp"),
        ({"iat": 4_000_000_000}, "AUTHORITY_UNAVAILABLE", "iat"),
    ],
    ids=str,
)
def test_token_that_says_something_else_is_refused(
    provider: IdentityProvider, claims: dict[str, Any], code: str, told: str
) -> None:
    provider.lies["claims"] = lambda honest: honest | claims
    found, message, exit_code = refused(lambda: login(provider)(ANN))
    assert (found, told in message) == (code, True), message
    assert exit_code == (2 if code == "AUTHORITY_UNAVAILABLE" else 1)


def test_token_for_this_client_in_a_list_is_taken(provider: IdentityProvider) -> None:
    provider.lies["claims"] = lambda honest: honest | {"aud": [CLIENT], "azp": CLIENT}
    assert login(provider)(ANN) == provider.tokens[0]


FORGERIES: dict[str, dict[str, Any]] = {
    "another key": {"key": ec.generate_private_key(ec.SECP256R1())},
    "a secret that is public": {"key": CLIENT * 4, "algorithm": "HS256"},
    "no signature": {"key": None, "algorithm": "none"},
}


@pytest.mark.parametrize("lies", FORGERIES.values(), ids=FORGERIES)
def test_token_that_the_provider_did_not_sign_is_refused(
    provider: IdentityProvider, lies: dict[str, Any]
) -> None:
    for what, lie in lies.items():
        provider.lies[what] = lambda _honest, lie=lie: lie
    found, message, _ = refused(lambda: login(provider)(ANN))
    assert (found, "cannot be used" in message) == ("AUTHORITY_UNAVAILABLE", True), message


@pytest.mark.parametrize(
    "keys", [{}, {"keys": []}, {"keys": 1}, {"keys": [{"kty": "oct", "k": "x"}]}, {"keys": ["x"]}],
    ids=str,
)  # fmt: skip
def test_keys_that_are_none_verify_nothing(
    provider: IdentityProvider, keys: dict[str, Any]
) -> None:
    provider.lies["keys"] = lambda _honest: keys
    assert refused(lambda: login(provider)(ANN))[0] == "AUTHORITY_UNAVAILABLE"


@pytest.mark.parametrize("token", [None, 7, "x", "x.y.z", "ä.ö.ü"], ids=str)
def test_provider_that_hands_out_no_id_token_is_refused(
    provider: IdentityProvider, token: object
) -> None:
    provider.lies["given"] = lambda honest: honest | {"id_token": token}
    assert refused(lambda: login(provider)(ANN))[0] == "AUTHORITY_UNAVAILABLE"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"state": "another"}, "another question"),
        ({"state": ""}, "another question"),
        ({"iss": "https://login.example.com"}, "another provider"),
        ({"code": "stolen"}, "'invalid_grant'"),
    ],
    ids=str,
)
def test_answer_that_was_changed_on_its_way_is_refused(
    provider: IdentityProvider, answer: dict[str, str], told: str
) -> None:
    provider.lies["answer"] = lambda honest: honest | answer
    code, message, _ = refused(lambda: login(provider)(ANN))
    assert (code, told in message) == ("AUTHORITY_UNAVAILABLE", True), message
    assert provider.tokens == []


def test_patience_and_a_slow_signature_are_within_what_clocks_may_differ() -> None:
    assert MAX_CLOCK_SKEW.total_seconds() > PATIENCE_S + 30


def test_error_on_the_login_page_is_told(provider: IdentityProvider) -> None:
    said = {"error": "access_denied", "error_description": "s3cret words"}
    provider.lies["answer"] = lambda honest: {"state": honest["state"]} | said
    code, message, exit_code = refused(lambda: login(provider)(ANN))
    assert (code, exit_code) == ("AUTHORITY_UNAVAILABLE", 2)
    assert "'access_denied'" in message
    assert "/token" not in provider.asked


def test_answer_without_code_and_error_is_none(provider: IdentityProvider) -> None:
    provider.lies["answer"] = lambda honest: {"state": honest["state"]}
    assert "'nothing'" in refused(lambda: login(provider)(ANN))[1]


def test_person_who_does_not_sign_in_in_time_is_told_so(provider: IdentityProvider) -> None:
    asked = login(provider, lambda *_: None, patience_s=0.2)
    code, message, exit_code = refused(lambda: asked(ANN))
    assert (code, exit_code, "nobody signed in within" in message) == (
        "AUTHORITY_UNAVAILABLE", 2, True,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (lambda _: (302, {"Location": "https://login.example.com/"}, b""), "redirect"),
        (lambda _: (304, {}, b""), "redirect"),
        (lambda _: (200, {}, b"{" * (1 << 19)), "more than 262144 bytes"),
        (lambda _: (200, {"Content-Length": "9"}, b"{"), "breaks off"),
        (lambda _: (200, {}, b"<html>"), "cannot be used"),
        (lambda _: (200, {}, b"[]"), ""),
        (lambda _: (503, {}, b"s3cret"), ""),
        (lambda _: (404, {}, b"{}"), ""),
    ],
    ids=["redirect", "not changed", "huge", "short", "no JSON", "a list", "down", "not there"],
)
def test_answer_of_the_provider_that_is_none_is_refused(
    provider: IdentityProvider, path: str, lie: Callable[[Page], Page], told: str
) -> None:
    provider.lies[path] = lie
    code, message, exit_code = refused(lambda: login(provider, deadline_s=0.5)(ANN))
    assert (code, exit_code) == ("AUTHORITY_UNAVAILABLE", 2)
    assert told in message or path == "/token", message


def test_provider_that_is_slow_is_not_waited_for(provider: IdentityProvider) -> None:
    def slow(honest: Page) -> Page:
        time.sleep(2)
        return honest

    provider.lies["/keys"] = slow
    begun = time.monotonic()
    assert "Timeout" in refused(lambda: login(provider, deadline_s=0.3)(ANN))[1]
    assert time.monotonic() - begun < 1.5


def test_provider_that_drips_is_not_waited_for() -> None:
    adapter = BoundedAdapter(1 << 20, deadline_s=0.2)

    class Dripping:
        def read1(self, *_arguments: object, **_options: object) -> bytes:
            time.sleep(0.05)
            return b"x"

    with pytest.raises(UnusableAnswer, match="took more than"):
        adapter._read(Dripping())


def test_provider_that_is_not_there_is_named_in_the_remedy() -> None:
    with identity_provider() as gone:
        pass
    code, message, _ = refused(lambda: login(gone)(ANN))
    assert (code, "no answer" in message) == ("AUTHORITY_UNAVAILABLE", True), message


def test_provider_that_calls_itself_otherwise_is_refused(provider: IdentityProvider) -> None:
    provider.lies["discovery"] = lambda honest: honest | {"issuer": f"{provider.url}/"}
    assert refused(lambda: login(provider)(ANN))[0] == "ISSUER_MISMATCH"


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [None, 7, "http://login.example.com/x", "file:///etc/passwd"])
def test_endpoint_that_others_can_read_is_refused(
    provider: IdentityProvider, name: str, value: object
) -> None:
    provider.lies["discovery"] = lambda honest: honest | {name: value}
    browser = Browser()
    code, message, _ = refused(lambda: login(provider, browser)(ANN))
    assert (code, name in message, browser.shown) == ("AUTHORITY_UNAVAILABLE", True, [])


def test_nothing_is_sent_to_an_address_that_others_can_read() -> None:
    with requests.Session() as session:
        session.mount("http://", BoundedAdapter(10, 1))
        with pytest.raises(UnusableAnswer, match="not https"):
            session.get("http://login.example.com/")


def test_where_nobody_can_be_asked_nobody_is(provider: IdentityProvider) -> None:
    asked = OidcLogin(Provider(provider.url, CLIENT), None)
    code, message, _ = refused(lambda: asked(ANN))
    assert (code, "nobody can be asked" in message) == ("AUTHORITY_UNAVAILABLE", True)
    assert provider.asked == []


def test_provider_behind_https_must_prove_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    with identity_provider(certificate) as provider:
        assert "SSLError" in refused(lambda: login(provider)(ANN))[1]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert login(provider)(ANN) == provider.tokens[0]


def test_proxy_is_asked_for_other_machines_only(
    tmp_path: Path, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    assert login(provider)(ANN) == provider.tokens[0]
    with identity_provider(self_signed(tmp_path)) as elsewhere:
        assert "ProxyError" in refused(lambda: login(elsewhere)(ANN))[1]
    assert elsewhere.asked == []


# --- where the browser comes back to ---------------------------------------------------------


def test_one_answer_is_taken_and_other_requests_are_none() -> None:
    with Redirect() as back:
        base = back.uri.removesuffix(PATH)
        assert requests.get(f"{base}/favicon.ico", timeout=5).status_code == 404
        assert requests.post(back.uri, timeout=5).status_code == 501
        assert requests.get(f"{back.uri}?state=1", timeout=5).status_code == 200
        assert requests.get(f"{back.uri}?state=2", timeout=5).status_code == 404
        assert back.wait(1) == {"state": "1"}
        assert back.wait(0.05) is None


def test_connections_that_say_nothing_hold_nobody_up(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirect, "_SILENT_S", 0.2)
    with Redirect() as back:
        silent = socket.create_connection(("127.0.0.1", back.port))
        gone = socket.create_connection(("127.0.0.1", back.port))
        gone.sendall(b"GET / HT")
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        requests.get(f"{back.uri}?state=1", timeout=5)
        assert back.wait(1) == {"state": "1"}
        silent.settimeout(5)
        assert silent.recv(10) == b""
        silent.close()
    assert capfd.readouterr() == ("", "")


def test_home_without_a_terminal_asks_nobody(tmp_path: Path, provider: IdentityProvider) -> None:
    from fraud_provenance.home.server_settings import OidcLogin as Table

    table = Table(issuer=provider.url, client_id=CLIENT)
    workspace = Workspace(Settings(home=tmp_path, oidc_login=table))
    with pytest.raises(SignInError, match="nobody can be asked"):
        workspace.token(ANN)
    workspace.show_login = Browser()
    assert workspace.token(ANN) == provider.tokens[0]
