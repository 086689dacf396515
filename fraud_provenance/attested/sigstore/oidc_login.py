"""A person signs in by their company's identity provider: its page in a browser, a token for us.

OpenID Connect with an authorization code, PKCE, state and nonce; the page sends its visitor back
to 127.0.0.1 (RFC 8252). In: who is to sign. Out: the provider's token that says it is them. It is
checked before anything is signed, and kept, printed and logged nowhere; the certificate authority
and whoever verifies check again what the certificate says.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fraud_provenance.attested.core.addresses import is_safe_address
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity

if TYPE_CHECKING:
    from joserfc.jwt import Claims

    from fraud_provenance.attested.sigstore.redirect import Answer, Redirect

PATIENCE_S: Final = 240.0  # with a slow signature less than `signers.MAX_CLOCK_SKEW`
_DEADLINE_S: Final = 15.0
_LIMIT_BYTES: Final = 1 << 18
_LEEWAY_S: Final = 5  # as sigstore-python's
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ALGORITHMS: Final = tuple(
    f"{kind}{size}" for kind in ("ES", "PS", "RS") for size in (256, 384, 512)
)
_REGISTER: Final = (
    "Let the provider know this client as docs/production.md says (`openid email` in the token "
    "itself, e-mail addresses verified), then run again."
)


_TERMINAL: Final = (
    "Run the command `fraud-provenance` itself: it shows the address of the login page."
)


class SignInError(BackendError):
    """Nobody signed in: whoever asks another server now would ask the person again."""


@dataclass(frozen=True)
class Provider:
    """An identity provider, and what we are called there.

    Attributes:
        issuer: Its address, as it stands in its tokens.
        client_id: The name under which it knows this program, a public client without a secret.
    """

    issuer: str
    client_id: str


Show = Callable[[str, str], None]
"""Shows a person the address of a page, and what there is to know of it."""


class OidcLogin:
    """Tokens of people who sign in when they are asked to."""

    def __init__(
        self,
        provider: Provider,
        show: Show | None,
        clock: Clock = machine_clock,
        *,
        patience_s: float = PATIENCE_S,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        """`show`: None where nobody can be asked; `deadline_s`: for each of the provider's answers.

        `patience_s`: how long a person may take.
        """
        self._provider, self._show, self._clock = provider, show, clock
        self._patience_s, self._deadline_s = patience_s, deadline_s

    def __call__(self, identity: Identity) -> str:
        """The token of an identity, who signs in now.

        Raises:
            SignInError: AUTHORITY_UNAVAILABLE, nobody did, or the provider's answers are none.
            VerificationError: ISSUER_MISMATCH; IDENTITY_NOT_AUTHORIZED_FOR_STEP, it is another's.
        """
        import requests
        from authlib.common.errors import AuthlibBaseError
        from joserfc.errors import JoseError

        from fraud_provenance.attested.sigstore.bounded import UnusableAnswer
        from fraud_provenance.attested.sigstore.redirect import Redirect

        if self._show is None:
            raise self._none(identity, "nobody can be asked here", _TERMINAL)
        try:
            with Redirect() as back, self._session(back.uri) as session:
                return self._signed_in(identity, session, back, self._show)
        except UnusableAnswer as error:
            raise self._none(identity, str(error)) from error
        except AuthlibBaseError as error:  # the provider's own words, without what else it says
            raise self._none(identity, f"it answers {str(error.error)[:80]!r}") from error
        except (JoseError, LookupError, TypeError, ValueError) as error:
            why = f"its answer cannot be used ({type(error).__name__})"
            raise self._none(identity, why, _REGISTER) from error
        except (requests.RequestException, OSError) as error:
            raise self._none(identity, f"no answer ({type(error).__name__})") from error

    def _session(self, redirect: str) -> Any:  # noqa: ANN401 - authlib has no types
        from authlib.integrations.requests_client import OAuth2Session

        from fraud_provenance.attested.sigstore.bounded import BoundedAdapter

        session = OAuth2Session(
            self._provider.client_id,
            token_endpoint_auth_method="none",  # noqa: S106 - there is no secret
            scope="openid email",
            redirect_uri=redirect,
            code_challenge_method="S256",
        )
        session.trust_env = urlsplit(self._provider.issuer).scheme == "https"  # else no proxy
        for scheme in ("https://", "http://"):
            session.mount(scheme, BoundedAdapter(_LIMIT_BYTES, self._deadline_s))
        return session

    def _signed_in(self, identity: Identity, session: Any, back: "Redirect", show: Show) -> str:  # noqa: ANN401
        ends = self._discovered(identity, session)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
        address, state = session.create_authorization_url(
            ends["authorization_endpoint"],
            state=secrets.token_urlsafe(32),
            code_verifier=verifier,
            nonce=nonce,
            login_hint=identity.subject,
        )
        show(address, self._told(identity, back.port))
        answer = back.wait(self._patience_s)
        code = self._code(identity, answer, state)
        given = session.fetch_token(ends["token_endpoint"], code=code, code_verifier=verifier)
        token = given.get("id_token")
        if not isinstance(token, str):
            raise self._none(identity, "it hands out no id_token", _REGISTER)
        self._check(identity, token, _document(session, ends["jwks_uri"]), nonce)
        return token

    def _told(self, identity: Identity, port: int) -> str:
        return (
            f"Sign in as {identity.subject} within {self._patience_s / 60:.0f} minutes, in a "
            f"browser on this machine: its page leads back to 127.0.0.1:{port}. A browser on "
            f"another machine gets there by a forwarded port: ssh -L {port}:127.0.0.1:{port} HOST"
        )

    def _discovered(self, identity: Identity, session: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """What the provider says of itself, OpenID Connect Discovery 1.0."""
        base = self._provider.issuer.rstrip("/")
        found = _document(session, f"{base}/.well-known/openid-configuration")
        if found.get("issuer") != self._provider.issuer:
            raise VerificationError(
                reason(
                    RootCause.ISSUER_MISMATCH,
                    f"the identity provider calls itself {str(found.get('issuer'))[:120]!r}",
                    artifact=self._provider.issuer,
                    remedy="Set `issuer` of [oidc_login] in settings.toml to the provider's name "
                    "for itself, letter by letter, if you know it.",
                )
            )
        for name in _ENDPOINTS:
            if not isinstance(found.get(name), str) or not is_safe_address(found[name]):
                raise self._none(identity, f"its {name} is no https address")
        return found

    def _code(self, identity: Identity, answer: "Answer | None", state: str) -> str:
        if answer is None:
            raise self._none(
                identity,
                f"nobody signed in within {self._patience_s:.0f} s",
                "Run it again, and sign in by the address that it prints.",
            )
        again = "Run it again, and sign in by the address that it prints then."
        if not secrets.compare_digest(answer.get("state", "").encode(), state.encode()):
            raise self._none(identity, "the browser brought the answer to another question", again)
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:  # RFC 9207
            raise self._none(identity, "the browser brought another provider's answer", again)
        if "code" not in answer:
            said = answer.get("error", "nothing")[:80]
            raise self._none(identity, f"the login page answers {said!r}", again)
        return answer["code"]

    def _check(self, identity: Identity, token: str, keys: Any, nonce: str) -> None:  # noqa: ANN401
        """OpenID Connect Core 1.0, 3.1.3.7, and that it is who is to sign."""
        from joserfc import jwk, jwt
        from joserfc.errors import ClaimError

        claims = jwt.decode(token, jwk.KeySet.import_key_set(keys), [*_ALGORITHMS]).claims
        try:
            self._check_claims(claims, nonce)
        except ClaimError as error:
            raise self._wrong(identity, error.claim) from error
        if claims["aud"] not in (self._provider.client_id, [self._provider.client_id]):
            raise self._wrong(identity, "aud")
        found = identities.of_person(str(claims["email"]))
        if found != identities.canonical(identity):
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"to be signed as {identity}, {found} signed in; nothing was signed",
                    artifact=self._provider.issuer,
                    remedy=f"Sign out there and in as {identity.subject}, or name by --as who you "
                    "are there.",
                )
            )

    def _check_claims(self, claims: "Claims", nonce: str) -> None:
        from joserfc.jwt import JWTClaimsRegistry

        client = self._provider.client_id
        JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": client},
            azp={"value": client},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
            email={"essential": True},
            email_verified={"essential": True, "value": True},
        ).validate(claims)

    def _wrong(self, identity: Identity, claim: str) -> VerificationError | SignInError:
        why = f"in its token this is missing, or not as it must be: {claim[:80]}"
        if claim == "iss":
            return VerificationError(
                reason(RootCause.ISSUER_MISMATCH, why, artifact=self._provider.issuer)
            )
        return self._none(identity, why, _REGISTER)

    def _none(self, identity: Identity, why: str, remedy: str = "") -> SignInError:
        issuer = self._provider.issuer
        return SignInError(
            reason(
                RootCause.AUTHORITY_UNAVAILABLE,
                f"no token for {identity}: {why}",
                artifact=issuer,
                remedy=remedy
                or f"Make {issuer} answer as an identity provider, or correct [oidc_login] in "
                "settings.toml, then run again.",
            )
        )


def _document(session: Any, address: str) -> Mapping[str, Any]:  # noqa: ANN401 - authlib has no types
    """A JSON object of the provider's."""
    from fraud_provenance.attested.sigstore.bounded import UnusableAnswer

    answer = session.get(address, withhold_token=True)
    if answer.status_code != 200:
        raise UnusableAnswer(f"it answers {answer.status_code} for {urlsplit(address).path}")
    found = answer.json()
    if not isinstance(found, dict):
        raise UnusableAnswer(f"what it answers for {urlsplit(address).path} is no JSON object")
    return found
