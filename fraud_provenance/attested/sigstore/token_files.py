"""OpenID tokens that somebody else mints and lays into files, as Kubernetes projects them.

In: a folder with one file an identity: `workloads/steps/train`, `people/ann@example.com` or,
without its scheme, `kubernetes/kubernetes.io/namespaces/fraud/serviceaccounts/train`. Out: the
token in it, read afresh each time, for whoever lays it there replaces it before it runs out.
Who may read which file is who may sign as whom: give each step its own folder with its own file.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity

_MAX_TOKEN_BYTES = 1 << 16


class TokenFiles:
    """Tokens below one folder."""

    def __init__(self, folder: Path, clock: Clock = machine_clock) -> None:
        self._folder, self._clock = folder, clock

    def __call__(self, identity: Identity) -> str:
        """The token of an identity.

        Raises:
            BackendError: AUTHORITY_UNAVAILABLE, there is none that can be used now.
            VerificationError: IDENTITY_NOT_AUTHORIZED_FOR_STEP, it says that it is another's.
        """
        name = f"{identity.issuer}/{identity.subject.rpartition('://')[2].lstrip('/')}"
        root = self._folder.resolve()
        path = (self._folder / name).resolve()  # a projected file is a link within its folder
        if not path.is_relative_to(root):
            raise self._none(name, "it leads out of the folder")
        try:
            token = files.read_once(path, limit_bytes=_MAX_TOKEN_BYTES).decode("ascii").strip()
            claims = jwt.decode(token, options={"verify_signature": False})  # Fulcio verifies it
            ends = datetime.fromtimestamp(int(claims["exp"]), UTC)
        except EvidenceError as error:
            raise self._none(name, error.reasons[0].message) from error
        except (ValueError, LookupError, TypeError, OverflowError, jwt.PyJWTError) as error:
            raise self._none(name, f"it holds no token: {type(error).__name__}") from error
        if ends <= self._clock():
            raise self._none(name, f"its token ran out at {encoding.utc_text(ends)}")
        said = _said(identity.issuer, claims)
        if said not in ("", identity.subject):
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"to be signed as {identity}, the token in {name} is that of {said[:200]}",
                    remedy=f"Lay the token of {identity} there, then run again.",
                )
            )
        return token

    def _none(self, name: str, why: str) -> BackendError:
        return BackendError(
            reason(
                RootCause.AUTHORITY_UNAVAILABLE,
                f"no token in {name}: {why}",
                artifact=name,
                remedy=f"Lay a token of that identity into {self._folder / name}, and a new one "
                "before it runs out.",
            )
        )


def _said(issuer: str, claims: Mapping[str, Any]) -> str:
    """Whose token it says it is, where that can be told; the certificate decides in any case."""
    pod = claims.get("kubernetes.io")
    if issuer == "kubernetes" and isinstance(pod, Mapping):
        account = pod.get("serviceaccount")
        name = account.get("name") if isinstance(account, Mapping) else None
        return f"https://kubernetes.io/namespaces/{pod.get('namespace')}/serviceaccounts/{name}"
    if issuer == identities.WORKLOADS and "iss" in claims:
        return str(claims.get("sub")).removeprefix(str(claims["iss"]))
    return ""
