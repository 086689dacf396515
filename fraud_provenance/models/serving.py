"""What stands between a registered champion and a score: private folders and a lease.

A lease lets a loaded champion count for a bounded time. Whoever holds one asks it before each use;
when the time is up, alias, decision, evidence and files are verified anew. There is no other way to
a champion, and no copy of an earlier one to fall back on.
"""

import os
import stat
import tempfile
import time
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models import promotion
from fraud_provenance.models.promotion import Champion
from fraud_provenance.models.registry import CHAMPION, Registry

_LEASE = "champion_lease_seconds"


def serving_folder(home: Path) -> Path:
    """The folder in which models are handled: ours alone, made if need be.

    Raises:
        VerificationError: TMP_PERMS.
    """
    folder = home / "serving"
    folder.mkdir(mode=0o700, exist_ok=True)
    require_ours(folder)
    require_private(home, "serving")
    return folder


def require_ours(folder: Path) -> None:
    """A real folder that belongs to this user and that nobody else may even enter.

    Raises:
        VerificationError: TMP_PERMS.
    """
    _require_own(folder)
    facts = folder.lstat()
    if stat.S_IMODE(facts.st_mode) & 0o077 or facts.st_uid != os.geteuid():
        raise _open_to_others(folder, "belongs to others or is open to them")


def require_private(home: Path, location: str) -> None:
    """Every folder from the home down to `location` is a real folder that others cannot write to.

    So is the system's folder for temporary files, or it is sticky, so that nobody can exchange
    another's files there.

    Raises:
        VerificationError: TMP_PERMS.
    """
    folder = home
    _require_own(folder)
    for part in Path(location).parts:
        folder /= part
        _require_own(folder)
    shared = Path(tempfile.gettempdir())
    mode = shared.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise _open_to_others(shared, "lets everyone exchange files")


def _require_own(folder: Path) -> None:
    try:
        mode = folder.lstat().st_mode
    except OSError as error:
        raise _open_to_others(folder, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise _open_to_others(folder, "is no folder")
    if mode & stat.S_IWOTH:
        raise _open_to_others(folder, "may be written by everyone")


def _open_to_others(folder: Path, what: str) -> VerificationError:
    return VerificationError(
        reason(RootCause.TMP_PERMS, f"{folder.name} {what}", artifact=folder.name)
    )


class ChampionLease:
    """The champion, for as long as the policy lets one verification count."""

    def __init__(self, trust: Trust, registry: Registry) -> None:
        self._trust = trust
        self._registry = registry
        self._champion: Champion | None = None
        self._until_s = 0.0

    def champion(self) -> Champion:
        """The champion, verified no longer ago than the lease allows.

        Raises:
            EvidenceError, VerificationError: as `promotion.find_champion`; TMP_PERMS;
                DECISION_SUPERSEDED where another became champion since the first call.
            BackendError: FAIL_CLOSED.
        """
        if self._champion is None or time.monotonic() >= self._until_s:
            self._trust.forget()
            self._renew()
        assert self._champion is not None  # noqa: S101 - set by _renew
        return self._champion

    def confirm(self) -> None:
        """A last look before anything is signed: alias and decision are still the same.

        Raises:
            As `champion`.
        """
        self._renew()

    def _renew(self) -> None:
        found = promotion.find_champion(self._trust, self._registry)
        if self._champion is not None and (
            found.decision.statement != self._champion.decision.statement
        ):
            raise VerificationError(
                reason(
                    ProductCause.DECISION_SUPERSEDED,
                    "another model became champion while this one was scoring",
                    artifact=CHAMPION,
                )
            )
        require_private(self._trust.home, str(found.evidence.made.outputs["location"]))
        thresholds = self._trust.policies.current().data("thresholds")
        self._until_s = time.monotonic() + float(thresholds[_LEASE]["value"])
        self._champion = found
