"""The independent verifier: the `cosign` binary, asked about stored bundles one by one.

Its silence is no answer. Accepted is only exit code 0 together with its own words; a timeout, a
signal or an empty success is VERIFY_ERROR, for then nobody verified anything.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.sigstore.verification import VerifiedBundle

_DEADLINE_S = 60
_WORDS = b"Verified OK"


def count_accepted(trust: Trust, cosign: Path, bundles: Iterable[VerifiedBundle]) -> int:
    """How many of the bundles cosign accepts, exact identity included.

    Raises:
        BackendError: TOOL_UNAVAILABLE or VERIFY_ERROR, cosign gave no answer.
    """
    return sum(1 for bundle in bundles if run(trust, bundle_arguments(trust, cosign, bundle)))


def bundle_arguments(trust: Trust, cosign: Path, bundle: VerifiedBundle) -> list[str]:
    """The command line with which anyone can check one bundle of the store."""
    return arguments(trust, cosign, bundle, trust.store.bundle_path(bundle.bundle_digest))


def arguments(trust: Trust, cosign: Path, expected: VerifiedBundle, path: Path) -> list[str]:
    """The command line that demands of the bundle at `path` exactly what `expected` says."""
    spelled = expected.spelled or expected.identity  # cosign compares letter by letter
    identity, issuer = trust.bundles.certificate_identity(spelled)
    return [
        str(cosign), "verify-blob-attestation",
        "--trusted-root", str(trust.bundles.root_path),
        "--bundle", str(path),
        "--certificate-identity", identity, "--certificate-oidc-issuer", issuer,
        "--type", expected.statement.predicate_type,
        "--digest", expected.statement.subject_digest, "--digestAlg", "sha256",
    ]  # fmt: skip


def run(trust: Trust, command: list[str]) -> bool:
    """Whether cosign accepts.

    Raises:
        BackendError: TOOL_UNAVAILABLE, it could not be run; VERIFY_ERROR, it gave no answer.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a pinned binary, argument list, no shell
            command,
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
            env={"HOME": str(trust.home / "run"), "PATH": ""},
        )
    except subprocess.TimeoutExpired as error:
        raise _no_answer(f"no answer within {_DEADLINE_S} s") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(
            reason(RootCause.TOOL_UNAVAILABLE, f"cannot run cosign: {error}", artifact="cosign")
        ) from error
    if done.returncode < 0 or done.returncode in (126, 127):
        raise _no_answer(f"exit code {done.returncode}")
    words = _WORDS in done.stderr + done.stdout
    if words != (done.returncode == 0):
        raise _no_answer(f"exit code {done.returncode} does not go with what it printed")
    return words


def _no_answer(message: str) -> BackendError:
    return BackendError(reason(RootCause.VERIFY_ERROR, f"cosign: {message}", artifact="cosign"))
