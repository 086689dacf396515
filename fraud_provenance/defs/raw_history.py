"""What is kept of every accepted raw day, so that judging a day does not read all days again.

One file of summaries (`fraud.summaries`), named by its SHA-256, which the contracts' newest
result holds. It only saves work: a day that it does not tell of, or all of them where the file is
not what was signed, is summarised from its attested bytes again.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import support
from fraud_provenance.due.planning import RAW_SUITES, failed_days, judged_days, revoked_partitions
from fraud_provenance.home.workspace import Workspace

if TYPE_CHECKING:
    import polars as pl

_ASSET = "raw_transactions"
_DAYS_AT_ONCE = 64
# The newest is the one that counts; some more, for runs that are under way.
_FILES_KEPT = 8


def summaries_of(
    workspace: Workspace,
    step: Step,
    frames: "Mapping[str, pl.DataFrame]",
    sha256: Mapping[str, str],
) -> "pl.DataFrame":
    """Summaries of `frames`, and of every other day that no contract calls broken.

    Days that are held are among them: who repeats one repeats it, whether it is accepted or not.

    Args:
        workspace: The home.
        step: The step that judges; it reads what no summary was kept of.
        frames: Day to its rows.
        sha256: Day to the SHA-256 of its file.

    Raises:
        EvidenceError, VerificationError: A day that must be read is not valid.
        BackendError: Could not decide.
    """
    import polars as pl

    from fraud_provenance.fraud.summaries import summarise

    passed = judged_days(workspace, _ASSET, RAW_SUITES)
    kept = _still_true(workspace, _kept(workspace, step), frames.keys())
    missing = sorted(passed - frames.keys() - set(kept["day"]))
    if missing:
        revoked = revoked_partitions(workspace, _ASSET)
        missing = [day for day in missing if day not in revoked]
    parts = [kept, summarise(frames, sha256)]
    for start in range(0, len(missing), _DAYS_AT_ONCE):
        read = step.read(_ASSET, missing[start : start + _DAYS_AT_ONCE])
        parts.append(summarise(support.frames_of(read), read.digests))
    return pl.concat(parts)


def keep(workspace: Workspace, summaries: "pl.DataFrame", accepted: Collection[str]) -> str:
    """Write the summaries of the days that were accepted; returns the file's SHA-256."""
    import polars as pl

    from fraud_provenance.fraud.summaries import to_bytes

    content = to_bytes(summaries.filter(pl.col("day").is_in(sorted(accepted))))
    digest = encoding.digest_bytes(content)
    files.write_atomic(workspace.history / f"{digest}.parquet", content, mode=0o600)
    written = sorted(workspace.history.glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    for path in written[:-_FILES_KEPT]:
        path.unlink(missing_ok=True)
    return digest


def _kept(workspace: Workspace, step: Step) -> "pl.DataFrame":
    """What the newest result names; nothing where that is not to be had."""
    from fraud_provenance.fraud.summaries import from_bytes, nothing

    result = step.catalogue.newest_result(_ASSET, RAW_SUITES[1])
    if result is None or not result.history:
        return nothing()
    try:
        content = files.read_once(workspace.history / f"{result.history}.parquet")
    except EvidenceError:
        return nothing()
    return from_bytes(content) if encoding.digest_bytes(content) == result.history else nothing()


def _still_true(
    workspace: Workspace, kept: "pl.DataFrame", others: Collection[str]
) -> "pl.DataFrame":
    """Without the days that were delivered anew, that failed since, or that are read anyway."""
    import polars as pl

    heads = workspace.store.heads(_ASSET)
    current: dict[str, Any] = {day: found[0].sha256 for day, found in heads.items()}
    gone = {
        day
        for day, sha256 in kept.select("day", "sha256").iter_rows()
        if current.get(day, sha256) != sha256
    }
    gone |= {*others, *failed_days(workspace, _ASSET)}
    return kept.filter(~pl.col("day").is_in(sorted(gone)))
