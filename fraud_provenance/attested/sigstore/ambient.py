"""The OpenID token of the job that this runs in: GitHub Actions, GitLab and others hand one out.

In: what the platform put around the job. Out: its token, asked for anew each time. It speaks for
one identity, whatever was asked for; who signs by it compares that with the certificate.
"""

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.sigstore import library
from fraud_provenance.attested.statements.statements import Identity


def ambient_token(identity: Identity) -> str:
    """The token of this job, to sign as `identity`.

    Raises:
        BackendError: AUTHORITY_UNAVAILABLE, the platform gives none, or this is no job.
    """
    library.load()
    from sigstore.oidc import detect_credential

    try:
        token = detect_credential()
    except Exception as error:  # the library's own, and whatever the network below it raises
        raise _none(identity, f"{type(error).__name__}: {str(error)[:200]}") from error
    if token is None:
        raise _none(identity, "this is no job of a platform that is known")
    return token


def _none(identity: Identity, why: str) -> BackendError:
    return BackendError(
        reason(
            RootCause.AUTHORITY_UNAVAILABLE,
            f"no token for {identity}: {why}",
            artifact=identity.issuer,
            remedy="Let the job have a token (GitHub: `id-token: write`; GitLab: `id_tokens` with "
            "SIGSTORE_ID_TOKEN, audience sigstore), or lay tokens into files.",
        )
    )
