"""What a TUF repository proposes as the trust root: it is laid down, and binds by a release alone.

A company, or the public Sigstore, tells by TUF whom to believe and where to sign. TUF says that
the files are the newest that its key holders signed; whether this home believes them is for two
policy authors. What was seen of the repository is kept, so that an older state of it is refused.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.addresses import is_safe_address
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    EvidenceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.trust_files import client_trust_config
from fraud_provenance.attested.rules import trial

_TARGETS: Final = {
    "trusted_root.json": "trusted_root.json",
    "signing_config.json": "signing_config.v0.2.json",
}
_MAX_BYTES = 1 << 22


def propose(
    trust: Path, url: str, now: datetime, *, root: bytes | None = None, write: bool = True
) -> list[str]:
    """Fetch what a TUF repository says, try it, and lay it into a home's `trust/`.

    Args:
        trust: The home's folder of its trust root; what was seen is kept in `tuf/` in it.
        url: The repository, https or on this machine.
        now: When the keys must be in use.
        root: The first root of the repository, from a source that is trusted; later ones follow
            from it.
        write: False to lay nothing down.

    Returns:
        The names of the files that differ from those that were there.

    Raises:
        ConfigError: USAGE, the address cannot be used, or no first root is known.
        VerificationError: ROOT_ROLLBACK, an older state than was seen; ROOT_MALFORMED, it does not
            verify, is out of date, or cannot be used.
        BackendError: AUTHORITY_UNAVAILABLE, it did not answer.
    """
    found = _files_of(_fetched(trust / "tuf", _address(url), root))
    trial.check_trust(found, now)
    changed = [name for name, content in found.items() if _known(trust / name) != content]
    for name in changed if write else ():
        files.write_atomic(trust / name, found[name])
    return changed


def _address(url: str) -> str:
    if not is_safe_address(url):
        raise ConfigError(
            reason(
                RootCause.USAGE,
                "a TUF repository has an https address, without a user in it",
                remedy="Give the address of the repository, such as https://tuf.example.com.",
            )
        )
    return url.rstrip("/")


def _fetched(seen: Path, url: str, root: bytes | None) -> Mapping[str, bytes]:
    """Our name → bytes of each target, as the repository's key holders signed them now."""
    from tuf.ngclient.updater import Updater

    place = seen / encoding.digest_bytes(url.encode())[:16]
    if root is None and not (place / "root.json").exists():
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"nothing is known of {url} yet",
                remedy="Give its first root.json, from a source that you trust: --root FILE.",
            )
        )
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory() as folder, _told(url):
        updater = Updater(str(place), url, folder, f"{url}/targets/", bootstrap=root)
        updater.refresh()
        return {ours: _target(updater, theirs, url) for ours, theirs in _TARGETS.items()}


def _target(updater: Any, name: str, url: str) -> bytes:  # noqa: ANN401 - loaded where it is used
    info = updater.get_targetinfo(name)
    if info is None or info.length > _MAX_BYTES:
        why = f"{url} has no {name}" if info is None else f"{name} of {url} is too large"
        raise VerificationError(reason(RootCause.ROOT_MALFORMED, why, artifact=name))
    return files.read_once(Path(updater.download_target(info)), limit_bytes=_MAX_BYTES)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """TUF's own errors as ours."""
    from tuf.api import exceptions

    try:
        yield
    except exceptions.DownloadError as error:
        raise BackendError(
            reason(
                RootCause.AUTHORITY_UNAVAILABLE,
                f"{url}: {type(error).__name__}: {str(error)[:200]}",
                remedy="See that the repository answers, then run this again.",
            )
        ) from error
    except exceptions.RepositoryError as error:
        is_older = isinstance(error, exceptions.BadVersionNumberError)
        code = RootCause.ROOT_ROLLBACK if is_older else RootCause.ROOT_MALFORMED
        raise VerificationError(
            reason(
                code,
                f"{url}: {type(error).__name__}: {str(error)[:200]}",
                artifact="trust",
                remedy="Ask whoever runs the repository; what is in force here stays so.",
            )
        ) from error


def _files_of(targets: Mapping[str, bytes]) -> dict[str, bytes]:
    """The targets, and both in one as Sigstore's clients want it."""
    both = client_trust_config(*(encoding.strict_json(targets[name]) for name in _TARGETS))
    return {**targets, "client_trust_config.json": both}


def _known(path: Path) -> bytes | None:
    try:
        return files.read_once(path, limit_bytes=_MAX_BYTES)
    except EvidenceError:
        return None
