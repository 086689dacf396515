"""From a score, or anything else, back to the landing files: each link with its own verdict."""

import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraud_provenance.alerts import Alert, Outbox
from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node, Refused, below
from fraud_provenance.attested.store.store import Head
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.investigate.chain import Joint, first_words, joints_of, used_files
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.investigate.why import Why, explain_score
from fraud_provenance.models.facts import nodes_of as model_nodes
from fraud_provenance.models.registry import Registry
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions.batch import SCORES, leaves, read_batch, scores_entry
from fraud_provenance.predictions.log import batch_about, batch_problems
from fraud_provenance.predictions.rows import judgement_problems
from fraud_provenance.predictions.versions import version_problems, versions_of_day

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_PLACE = re.compile(r"\b(?P<asset>[a-z]+_[a-z_]+)(?:[@/](?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}))?")


@dataclass(frozen=True)
class Score:
    """One prediction and its place in its signed batch."""

    transaction_id: int
    day: str
    row: dict[str, Any]
    index: int
    rows: int
    inclusion_path: tuple[str, ...]
    merkle_root: str
    leaf: str = ""


@dataclass(frozen=True)
class Trace:
    """The chain of one subject, in order from it to the landing files."""

    verdict: Verdict
    joints: tuple[Joint, ...]
    score: Score | None = None
    why: Why | None = None
    about: tuple[str, ...] = ()
    """What a person should know of the subject that no evidence says, such as an alert's text."""

    @property
    def headline(self) -> str:
        """One sentence that names the first broken or suspicious link."""
        return first_words(self.verdict, self.joints)


def is_transaction(subject: str) -> bool:
    """Whether what was typed is a transaction's number, and no digest."""
    return subject.isdecimal() and len(subject) < 11


def trace_score(trust: Trust, transaction_id: int, *, why: bool = False) -> Trace:
    """Walk back from one transaction's score.

    With `why` the score is taken apart as well; where that fails, the verdict says so. Of the files
    those are looked at that the score was made from, however many days a batch holds.

    Raises:
        EvidenceError: no score of this transaction is stored.
    """
    lineage = trust.lineage()
    day = scored_day(trust, transaction_id)
    scores = lineage.node(trust.store.heads(SCORES)[day][0].statement)
    batch = _batch(trust, scores)
    score, explained, extra = _looked_at(trust, scores, batch, (day, transaction_id), why)
    more, roots = _of_the_day(trust, day, scores)
    roots, extra = [scores, batch, *roots], [*extra, *more]
    if (bundle := batch.claims.bundle) is not None:
        claims = read_batch(bundle.statement)
        extra += batch_problems(trust, claims, scores, bundle.statement.subject_digest)
        roots += model_nodes(trust, lineage, claims.model_digest)
        roots.append(lineage.node(claims.decision))
    asked = {head.sha256 for head in trust.store.heads(SCORES)[day]}
    files = _files_of(roots, day)
    verdict = lineage.verify(f"score of {transaction_id}", "trace", roots, extra, files=files)
    return Trace(verdict, tuple(joints_of(trust, verdict, asked)), score, explained)


def _files_of(roots: Sequence[Node], day: str) -> set[str]:
    """What a day's scores were made from, by SHA-256: of the scores the day's, of the rest all."""
    manifests = [root.claims.manifest for root in roots if root.claims.manifest]
    asked = [
        entry.sha256
        for manifest in manifests
        for entry in manifest.entries
        if manifest.asset != SCORES or entry.partition == day
    ]
    return used_files(below(roots), asked)


def trace_subject(trust: Trust, registry: Registry, subject: str) -> Trace:
    """Walk back from anything that evidence knows, see `subjects.verify_subject`.

    An alert is news and no evidence: `alert:ID` walks back from what its text names.

    Raises:
        ConfigError: USAGE, nothing is known under this name.
    """
    about: tuple[str, ...] = ()
    if subject.startswith("alert:"):
        subject, about = alert_subject(trust, subject.removeprefix("alert:"))
    verdict = verify_subject(trust, registry, subject)
    asked = heads_of(trust, subject)
    if "/" in subject and asked:
        about += _versions(trust, asked[0].asset, asked[0].partition)
    files = {head.sha256 for head in asked}
    return Trace(verdict, tuple(joints_of(trust, verdict, files)), about=about)


def heads_of(trust: Trust, subject: str) -> list[Head]:
    """The attested files that a subject names: the newest of `asset/day`, or those of a digest."""
    asset, _, partition = subject.partition("/")
    heads = trust.store.heads(asset).get(partition, []) if partition else []
    return heads or files_named(trust, subject)


def _versions(trust: Trust, asset: str, partition: str) -> tuple[str, ...]:
    """The versions of one partition, where it was replaced: each with its digest, oldest first."""
    found: dict[str, str] = {}
    for head in trust.store.versions(asset, partition):
        bundle = trust.lineage().node(head.statement).claims.bundle
        if bundle is not None and not head.path.endswith(".leaves"):
            at = encoding.utc_text(bundle.signed_at)
            found.setdefault(head.sha256, f"  {head.sha256[:16]} of {at} ({head.sequence})")
    if len(found) < 2:
        return ()
    return (f"{asset}/{partition} has {len(found)} versions, the newest last:", *found.values())


def files_named(trust: Trust, subject: str) -> list[Head]:
    """The attested versions of a file that is named by its path or by its digest."""
    path = Path(subject)
    digest = encoding.digest_bytes(files.read_once(path)) if path.is_file() else subject
    return trust.store.files_named(digest) if _DIGEST.fullmatch(digest) else []


def alert_named(trust: Trust, name: str) -> Alert:
    """The one alert whose id begins so.

    Raises:
        ConfigError: USAGE, there is none, or more than one.
    """
    known = [item for item in Outbox(trust.home).everything() if item.id.startswith(name)]
    if len(known) != 1 or not name:
        why = f"{len(known)} alerts begin with {name[:64]!r}"
        raise ConfigError(reason(RootCause.USAGE, why))
    return known[0]


def alert_subject(trust: Trust, name: str) -> tuple[str, tuple[str, ...]]:
    """(what an alert is about, its own words).

    Raises:
        ConfigError: USAGE, there is no such alert, or it names nothing to follow.
    """
    said = alert_named(trust, name).text
    told = ("an alert is news, no evidence; this one says:", *(f"  {x}" for x in said.splitlines()))
    assets = {step.produces for step in trust.policies.current().layout.steps.values()}
    places = [found for found in _PLACE.finditer(said) if found["asset"] in assets]
    for found in sorted(places, key=lambda found: not found["day"]):
        return "/".join(filter(None, (found["asset"], found["day"]))), told
    if "champion" in said or "fraud_model" in said:
        return "model@champion", told
    raise ConfigError(reason(RootCause.USAGE, f"the alert names nothing to follow: {said[:200]}"))


def _looked_at(
    trust: Trust, scores: Node, batch: Node, place: tuple[str, int], why: bool
) -> tuple[Score, Why | None, list[Reason]]:
    """The proven row, what it is made of if that was asked for, and what speaks against either."""
    day, transaction_id = place
    score, explained = Score(transaction_id, day, {}, -1, 0, (), ""), None
    extra: list[Reason] = []
    try:
        score = _prove(trust, scores, batch, day, transaction_id)
        explained = explain_score(trust, scores, day, score.row) if why else None
    except ProvenanceError as error:
        extra += error.reasons
    return score, explained, extra


def scored_day(trust: Trust, transaction_id: int) -> str:
    """The day whose score file seems to have a transaction: a hint, for the bytes are unverified.

    What is told of the score comes from the bytes that its batch names, see `_prove`.

    Raises:
        EvidenceError: no score of this transaction is stored.
    """
    folder = trust.home / "data" / SCORES
    paths = [folder / f"{day}.parquet" for day in sorted(trust.store.heads(SCORES))]
    there = [path for path in paths if path.is_file()]
    found = _holding(_likely(there, transaction_id), transaction_id)
    found = found or _holding(there, transaction_id)
    if found is None:  # whatever lies there now is judged by its digest, not read here
        each = (_holding([path], transaction_id) for path in reversed(there))
        found = next((paths for paths in each if paths), [])
    if found:
        return max(path.stem for path in found)
    raise _absent(transaction_id)


def _likely(paths: list[Path], transaction_id: int) -> list[Path]:
    """The one file that has the transaction where ids grow from day to day, as most do."""
    import polars as pl

    def least(path: Path) -> int:
        found = pl.scan_parquet(path).select(pl.col("transaction_id").min()).collect().item()
        return int(found or 0)

    try:
        place = bisect_right(paths, transaction_id, key=least)
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return []  # what cannot be read is judged later, by its digest
    return paths[max(place - 1, 0) : place]


def _holding(paths: list[Path], transaction_id: int) -> list[Path] | None:
    """Those of the files with a row of this transaction; None where one of them cannot be read.

    A file whose statistics exclude it is not read.
    """
    import polars as pl

    if not paths:
        return []
    try:
        rows = pl.scan_parquet(paths, include_file_paths="path", glob=False)
        wanted = pl.col("transaction_id") == transaction_id
        return [Path(path) for path in rows.filter(wanted).select("path").collect()["path"]]
    except (OSError, pl.exceptions.PolarsError):
        return None


def _absent(transaction_id: int) -> EvidenceError:
    return EvidenceError(
        reason(
            RootCause.EVIDENCE_MISSING,
            f"no score of transaction {transaction_id} is stored",
            artifact=SCORES,
        )
    )


def _of_the_day(trust: Trust, day: str, scores: Node) -> tuple[list[Reason], list[Node]]:
    """What speaks against the day's logged versions, and what the scores' contract said of them."""
    versions = versions_of_day(trust, day)
    problems = version_problems({day: versions})
    newest = [version for version in versions if version.scores.statement == scores.statement][-1:]
    for version in newest:
        problems += judgement_problems(trust, version)
    judged = [score_contract.result_of(trust, scores, day)] if newest else []
    return problems, [node for node in judged if node is not None]


def _batch(trust: Trust, scores: Node) -> Node:
    """The newest batch about exactly these scores."""
    why = "no prediction batch covers these scores"
    return batch_about(trust, scores) or Refused(
        kind="prediction batch", name=SCORES, statement="",
        reasons=[reason(RootCause.EVIDENCE_MISSING, why, artifact=SCORES)],
    )  # fmt: skip


def _prove(trust: Trust, scores: Node, batch: Node, day: str, transaction_id: int) -> Score:
    """Find the row, recompute its leaf and its path to the signed root, all in verified bytes."""
    import polars as pl

    entry = scores_entry(scores.entries, day)
    frame = pl.read_parquet(io.BytesIO(trust.lineage().artifacts.read(scores, entry)))
    index = frame["transaction_id"].index_of(transaction_id)
    if index is None:
        raise _absent(transaction_id)
    rows = leaves(frame)
    path = merkle.inclusion_path(rows, index)
    root = merkle.root_from_path(rows[index], index, len(rows), path)
    bundle = batch.claims.bundle
    signed = read_batch(bundle.statement).batches.get(day) if bundle else None
    row = frame.row(index, named=True)
    if signed is None or (signed.merkle_root, signed.rows) != (root, len(rows)):
        raise VerificationError(
            reason(
                ProductCause.MERKLE_MISMATCH,
                f"row {index} of {len(rows)} does not lead to the signed root",
                artifact=SCORES,
                partition=day,
            )
        )
    leaf = rows[index].decode("ascii")
    return Score(transaction_id, day, row, index, len(rows), tuple(path), root, leaf)
