"""A small real identity provider: discovery, a login page that asks nothing, tokens, keys.

It checks what a provider checks (client, redirect, PKCE, one use of a code) and signs by a key made
at run time. `lies` make it another; each is asked where the honest answer is made.
"""

import base64
import hashlib
import json
import os
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fraud_provenance.attested.local import trust_root

CLIENT = "fraud-provenance"
Lie = Callable[[Any], Any]
Page = tuple[int, dict[str, str], bytes]
T = TypeVar("T")


@dataclass
class IdentityProvider:
    """A provider that runs. Whoever opens its login page is `person`."""

    url: str = ""
    person: str = "ann@example.com"
    lies: dict[str, Lie] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def said(self, what: str, honest: T) -> T:
        """What it says: the truth, or what a test made of it."""
        lie: Callable[[T], T] = self.lies.get(what, lambda truth: truth)
        return lie(honest)

    def answer(self, method: str, target: str, body: bytes) -> Page:
        """The answer to one request."""
        asked = urlsplit(target)
        self.asked.append(asked.path)
        pages = {
            "/.well-known/openid-configuration": self._discovery,
            "/authorize": lambda: self._authorize(dict(parse_qsl(asked.query))),
            "/token": lambda: self._token(dict(parse_qsl(body.decode()))),
            "/keys": self._keys,
        }
        known = asked.path in pages and method == ("POST" if asked.path == "/token" else "GET")
        page: Page = pages[asked.path]() if known else (404, {}, b"")
        return self.said(asked.path, page)

    def _discovery(self) -> Page:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        return _json(self.said("discovery", found))

    def _keys(self) -> Page:
        return _json(self.said("keys", {"keys": [trust_root._jwk(self.key.public_key())]}))

    def _authorize(self, asked: dict[str, str]) -> Page:
        back = urlsplit(asked["redirect_uri"])
        right = (
            (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
            and (back.scheme, back.hostname, back.path) == ("http", "127.0.0.1", "/auth/callback")
            and asked["code_challenge_method"] == "S256"
            and {"openid", "email"} <= {*asked["scope"].split()}
        )
        if not right:
            return 400, {}, b"invalid request"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = self.said("answer", {"code": code, "state": asked["state"], "iss": self.url})
        return 302, {"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"}, b""

    def _token(self, sent: dict[str, str]) -> Page:
        asked = self._codes.pop(sent.get("code", ""), {})
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        right = (
            sent["grant_type"] == "authorization_code"
            and sent["client_id"] == CLIENT
            and sent["redirect_uri"] == asked.get("redirect_uri")
            and challenge == asked.get("code_challenge")
        )
        if not right:
            return _json({"error": "invalid_grant", "error_description": "s3cret words"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "4711", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], "email": self.person, "email_verified": True,
        }  # fmt: skip
        claims = self.said("claims", claims)
        header = {"kid": trust_root.key_id(self.key.public_key())}
        token = jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.said("key", self.key), algorithm=self.said("algorithm", "ES256"), headers=header,
        )  # fmt: skip
        self.tokens.append(token)
        given = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer"}
        return _json(self.said("given", given | {"id_token": token}))


def _json(document: object, status: int = 200) -> Page:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def self_signed(folder: Path) -> Path:
    """A certificate of 127.0.0.1 that is its own authority, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "provider.pem"
    path.write_bytes(key.private_bytes(*plain) + made.public_bytes(Encoding.PEM))
    return path


@contextmanager
def identity_provider(certificate: Path | None = None) -> Iterator[IdentityProvider]:
    """A provider that listens on this machine, by https where a certificate is given."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: bytes = b"") -> None:
            status, headers, content = provider.answer(self.command, self.path, body)
            self.send_response(status)
            headers = {"Content-Length": str(len(content))} | headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        provider.url = provider.url.replace("http:", "https:")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Browser:
    """Follows an address that is shown, as a person's browser does.

    Where a provider is given, whoever it is shown to is who is asked for.
    """

    provider: IdentityProvider | None = None
    shown: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    pages: list[requests.Response] = field(default_factory=list)

    def __call__(self, address: str, told: str) -> None:
        self.shown.append(address)
        self.told.append(told)
        if self.provider is not None:
            self.provider.person = dict(parse_qsl(urlsplit(address).query))["login_hint"]
        with requests.Session() as session:
            session.trust_env = False
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            self.pages.append(session.get(address, timeout=10))
