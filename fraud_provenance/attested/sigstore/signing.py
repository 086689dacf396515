"""Signing statements with Sigstore, keyless, in the background, and never without checking.

Each identity holds a short-lived certificate that serves many statements. A bundle counts only
after it verified against the trusted root and lies in the store.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fraud_provenance.attested.core.codes import Case, RootCause, remedy
from fraud_provenance.attested.core.errors import (
    BackendError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.leaks import refuse_secret_words
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.sigstore import library
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity, Statement, parse_statement
from fraud_provenance.attested.store.store import EvidenceStore

if TYPE_CHECKING:  # slow to load: only where something is signed
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer, SigningContext

logging.getLogger("sigstore").setLevel(logging.ERROR)  # its warnings are turned into errors here

T = TypeVar("T")
_CLOCK_PATIENCE_S = 10.0
_CERTIFICATE_USE_S = 480.0  # Fulcio's certificates live 10 minutes
_LOOK_EVERY_S = 0.1


Check = Callable[[VerifiedBundle], None]
"""Looks at what was signed before anybody can rest on it; raises what is wrong with it."""


class SigningService:
    """Signs statements under given identities; results are verified and stored."""

    def __init__(
        self,
        trust_config: Path,
        token: Callable[[Identity], str],
        store: EvidenceStore,
        verifier: BundleVerifier,
        deadline_s: float = 30.0,
        clock: Clock = machine_clock,
        people_client: str = "",
        answer_s: float = 120.0,
        token_first: bool = False,
    ) -> None:
        """`token` mints an OIDC token for an identity; `deadline_s` bounds one signature.

        `answer_s`: how long somebody else's signature is waited for (`ask`). `token_first`:
        nothing is announced for whom there is no token here.
        `people_client`: the client for which people's tokens are made, where they are asked to
        sign in: before anything is announced, and for as long as people take.
        """
        self._people_client = people_client
        self._answer_s = answer_s
        self._token_first = token_first
        self._given: dict[Identity, str] = {}
        self._clock = clock
        self._ahead = timedelta()  # the timestamp authority's clock, of this machine's
        self._trust_config = trust_config
        self._token = token
        self._store = store
        self._verifier = verifier
        self._deadline_s = deadline_s
        self._context: SigningContext | None = None
        self._signers: dict[Identity, tuple[float, Signer]] = {}
        self._locks: dict[Identity, threading.Lock] = {}
        self._guard = threading.Lock()

    def prepare(self, identity: Identity) -> None:
        """Fetch the certificate of `identity` in the background: it will soon be needed."""
        background(lambda: self._signer(identity))

    def require(self, identity: Identity) -> None:
        """See that a token is there to sign as `identity`, before anything is done in its name.

        Raises:
            BackendError, VerificationError: as the token's source: there is none, or another's.
        """
        if self._known(identity) is None:
            self._token(identity)

    def ask(self, statement: Statement, identity: Identity) -> "PendingSignature":
        """Announce a statement, and wait until who signs as `identity` elsewhere has signed it."""
        self._store.put_intent(statement)
        given_up = threading.Event()
        future = background(lambda: self._answered(statement, identity, given_up))
        return PendingSignature(future, statement, self._answer_s + self._deadline_s, given_up)

    def _answered(
        self, statement: Statement, identity: Identity, given_up: threading.Event
    ) -> VerifiedBundle:
        """The bundle that somebody else put into the store for a statement.

        Raises:
            BackendError: AUTHORITY_UNAVAILABLE, nobody did in time.
            VerificationError: as the verifier's; somebody signed it who is not `identity`.
        """
        ends = time.monotonic() + self._answer_s
        while not self._store.has(statement.digest):
            if given_up.wait(_LOOK_EVERY_S) or time.monotonic() > ends:
                raise BackendError(
                    reason(
                        RootCause.AUTHORITY_UNAVAILABLE,
                        f"{identity} did not sign within {self._answer_s:.0f} s",
                        artifact=identity.issuer,
                        remedy=remedy(Case.GATE_SILENT),
                    )
                )
        verified = self._verifier.verify(self._store.bundle(statement.digest)[1])
        _check_signer(verified, identity, "was signed by")
        return verified

    def sign_in(self, identity: Identity) -> None:
        """Let a person sign in who is asked to, before their statement is made: it says when.

        Raises:
            BackendError, VerificationError: as the login's.
        """
        if asked := self._asked(identity):
            self._given[identity] = asked

    def submit(
        self, statement: Statement, identity: Identity, check: Check | None = None
    ) -> "PendingSignature":
        """Start signing; the intent is journalled before anything leaves this machine.

        `check`: looks at what was signed; what it refuses is in the log, explained by its intent,
        and never in the store: nothing can come to rest on it.
        """
        asked = self._given.pop(identity, "") or self._asked(identity)
        if self._token_first and not asked:
            self.require(identity)
        self._store.put_intent(statement)
        given_up = threading.Event()
        future = background(lambda: self._sign(statement, identity, given_up, asked, check))
        return PendingSignature(future, statement, self._deadline_s, given_up)

    def sign(
        self, statement: Statement, identity: Identity, check: Check | None = None
    ) -> VerifiedBundle:
        """Sign and wait; `check` as for `submit`.

        Raises:
            BackendError: an authority, the timestamp authority or the log did not answer.
            Whatever `check` raises.
        """
        return self.submit(statement, identity, check).result()

    def sign_model(self, folder: Path, identity: Identity) -> VerifiedBundle:
        """Sign a model folder after the OpenSSF model signing specification; stored and verified.

        The statement is that library's; it is announced and signed as every other one is.

        Raises:
            BackendError: an authority, the timestamp authority or the log did not answer.
        """
        from google.protobuf import json_format
        from model_signing import hashing
        from model_signing._signing.signing import Payload

        payload = Payload(hashing.Config().hash(folder))
        content = json_format.MessageToJson(payload.statement.pb).encode("utf-8")
        refuse_secret_words(content)  # it names every file
        return self.sign(parse_statement(content), identity)

    def _asked(self, identity: Identity) -> str:
        """The token of a person who was asked to sign in, and has no certificate yet; else ""."""
        asks = self._people_client and identity.issuer == identities.PEOPLE
        return self._token(identity) if asks and self._known(identity) is None else ""

    def _sign(
        self,
        statement: Statement,
        identity: Identity,
        given_up: threading.Event,
        asked: str,
        check: Check | None,
    ) -> VerifiedBundle:
        library.load()
        import requests
        from sigstore.dsse import Statement as DsseStatement
        from sigstore.errors import Error as SigstoreError
        from sigstore.models import InvalidBundle

        signer = self._signer(identity, asked)
        self._await_clock()
        try:
            bundle = signer.sign_dsse(DsseStatement(statement.content))
        except InvalidBundle as error:  # all a fresh bundle can lack is its timestamp
            raise _undated(identity, str(error)) from error
        except (SigstoreError, requests.RequestException, OSError) as error:
            raise BackendError(
                reason(RootCause.LOG_UNAVAILABLE, f"signing as {identity}: {error}")
            ) from error
        timestamps = bundle.verification_material.timestamp_verification_data
        if timestamps is None or not timestamps.rfc3161_timestamps:
            raise _undated(identity, "no timestamp")
        content = bundle.to_json().encode("utf-8")
        verified = self._verifier.verify(content)
        _check_signer(verified, identity, "the token made it")
        self._ahead = max(verified.signed_at - self._clock(), timedelta())
        if check is not None:
            check(verified)
        if given_up.is_set():  # nobody published what this is about; the intent stays journalled
            raise BackendError(reason(RootCause.LOG_UNAVAILABLE, "the answer came too late"))
        self._store.put_bundle(content)
        self._store.drop_intent(statement.digest)
        return verified

    def _await_clock(self) -> None:
        """Sign nothing that would lie before what is known: it could never be verified.

        A clock that was set back by seconds is waited for.

        Raises:
            BackendError: CLOCK_BEHIND.
        """
        newest = self._verifier.newest
        if newest is None:
            return
        now = (self._clock() + self._ahead).replace(microsecond=0)
        behind_s = (newest.replace(microsecond=0) - now).total_seconds()
        if behind_s > _CLOCK_PATIENCE_S:
            raise BackendError(
                reason(
                    RootCause.CLOCK_BEHIND,
                    f"this machine's clock is {behind_s:.0f} s behind what was signed before",
                )
            )
        time.sleep(max(behind_s, 0.0))

    def _known(self, identity: Identity) -> "Signer | None":
        """The signer with a certificate that still serves, if there is one."""
        made_at, signer = self._signers.get(identity, (0.0, None))
        return signer if time.monotonic() - made_at < _CERTIFICATE_USE_S else None

    def _signer(self, identity: Identity, asked: str = "") -> "Signer":
        library.load()
        import requests
        from sigstore._internal.fulcio.client import FulcioClientError  # the public signer's own
        from sigstore.errors import Error as SigstoreError
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext

        with self._guard:
            lock = self._locks.setdefault(identity, threading.Lock())
        with lock:
            if (known := self._known(identity)) is not None:
                return known
            try:
                with self._guard:
                    if self._context is None:
                        config = ClientTrustConfig.from_json(self._trust_config.read_text("utf-8"))
                        self._context = SigningContext.from_trust_config(config)
                token = (
                    IdentityToken(asked, self._people_client)
                    if asked
                    else IdentityToken(self._token(identity))
                )
                signer = Signer(token, self._context)
            except FulcioClientError as error:
                raise _refused(identity, token, error) from error
            except (SigstoreError, requests.RequestException, OSError) as error:
                raise BackendError(
                    reason(
                        RootCause.AUTHORITY_UNAVAILABLE, f"no certificate for {identity}: {error}"
                    )
                ) from error
            self._signers[identity] = (time.monotonic(), signer)
            return signer


def _check_signer(verified: VerifiedBundle, identity: Identity, what: str) -> None:
    """Refuse what another one signed, such as by a token that was not this identity's.

    Raises:
        VerificationError: IDENTITY_NOT_AUTHORIZED_FOR_STEP.
    """
    if verified.identity != identities.canonical(identity):
        raise VerificationError(
            reason(
                RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                f"to be signed as {identity}, {what} {verified.identity}",
                remedy=f"Hand out the token of {identity}, then run again.",
            )
        )


def _refused(identity: Identity, token: "IdentityToken", why: Exception) -> BackendError:
    """The authority answers, and certifies nobody by this token; it does not say why."""
    import jwt

    claims = jwt.decode(str(token), options={"verify_signature": False})
    return BackendError(
        reason(
            RootCause.AUTHORITY_UNAVAILABLE,
            f"no certificate for {identity}: {why.__cause__ or why}",
            remedy=f"Have the certificate authority believe {claims['iss']} with the client "
            f"{claims['aud']}, then run again.",
        )
    )


def _undated(identity: Identity, what: str) -> BackendError:
    """What the log holds counts only with its date: without one there is no entry to keep."""
    return BackendError(
        reason(RootCause.LOG_UNAVAILABLE, f"signing as {identity}: no dated log entry"),
        reason(RootCause.TIMESTAMP_UNAVAILABLE, what),
    )


def background(work: Callable[[], T]) -> "Future[T]":
    """Run `work` on a daemon thread: a server that never answers must not hold up our exit."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="sign").start()
    return future


class PendingSignature:
    """A signature under way. Whoever needs it joins with `result`."""

    def __init__(
        self,
        future: "Future[VerifiedBundle]",
        statement: Statement,
        deadline_s: float,
        given_up: threading.Event,
    ) -> None:
        self._future = future
        self._deadline_s = deadline_s
        self._given_up = given_up
        self.statement = statement

    def result(self) -> VerifiedBundle:
        """The verified bundle.

        Raises:
            BackendError: could not sign in time.
        """
        try:
            return self._future.result(timeout=self._deadline_s)
        except FutureTimeout as error:
            self._given_up.set()
            raise BackendError(
                reason(RootCause.LOG_UNAVAILABLE, f"no answer within {self._deadline_s:.0f} s")
            ) from error
        except ProvenanceError:
            raise
        except Exception as error:
            raise BackendError(reason(RootCause.VERIFY_ERROR, f"signing: {error!r}")) from error
