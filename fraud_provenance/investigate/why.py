"""Why a transaction has its score: from the score to single raw rows, each joint signed.

The score is computed again, bit for bit, from the verified model and the verified feature row. Each
feature gets its exact share (TreeSHAP) and the raw rows that it was made of. These are found by the
second definition of the features (`fraud.recompute`), whose value must be the stored one. Nothing
is read from a link that does not hold: such a link is the answer then.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.causes.data import DataCause
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.data import versions as dvc
from fraud_provenance.models.facts import MODEL
from fraud_provenance.predictions.batch import FEATURES, SCORES
from fraud_provenance.predictions.log import features_of
from fraud_provenance.predictions.rows import Comparison

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.explain import Explanation
    from fraud_provenance.fraud.recompute import Behind

RAW = "raw_transactions"
_KEPT = ("transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount", "tx_fraud")


@dataclass(frozen=True)
class SourceRow:
    """One raw transaction as it was when the feature was made.

    Attributes:
        transaction_id: Its number.
        at: When it came, UTC.
        amount: In the feed's currency.
        fraud: Its label, None where it was not known yet when the scored transaction came.
        day: The raw day that it stands in.
        file: The attested file.
        sha256: That file's digest.
    """

    transaction_id: int
    at: str
    amount: float
    fraud: bool | None
    day: str
    file: str
    sha256: str

    @property
    def label(self) -> str:
        """The label in words."""
        if self.fraud is None:
            return "label unknown then"
        return "fraud" if self.fraud else "no fraud"


@dataclass(frozen=True)
class FeatureShare:
    """One input of the model: its stored value, what it added, and the rows behind it."""

    name: str
    value: float
    contribution: float
    rows: tuple[SourceRow, ...]


@dataclass(frozen=True)
class Why:
    """One score taken apart; `bits` are the score's, equal to those that were signed.

    `tolerance` is not 0 where other libraries than those that scored computed it again.
    """

    score: float
    bits: str
    tolerance: float
    margin: float
    base: float
    shares: tuple[FeatureShare, ...]
    files: tuple[tuple[str, str, str], ...]  # role, path, SHA-256: all bytes that were read


def explain_score(trust: Trust, scores: Node, day: str, row: dict[str, Any]) -> Why:
    """Take one proven score apart.

    Args:
        trust: The opened home.
        scores: The verified statement of the day's scores.
        day: Their day.
        row: The score's row, proven to be in the signed batch.

    Raises:
        EvidenceError, VerificationError: a link below does not hold, or its bytes are gone.
            FEATURE_RECOMPUTE_MISMATCH where a score or feature is not what comes out again.
    """
    import polars as pl

    from fraud_provenance.fraud.errors import DataError

    made = scores.trusted(Materialisation)
    features, entry = _features(trust, made, day)
    stored = _row_of(trust, features, entry, int(row["transaction_id"]))
    try:
        comparison = Comparison(trust)
        tolerance = comparison.tolerance(made.provenance)
        explained = _explained(comparison, made.provenance, stored, row, tolerance)
        behind, files = _rows_behind(trust, features, entry, stored, list(explained.contributions))
    except (DataError, pl.exceptions.PolarsError) as error:
        code = error.code if isinstance(error, DataError) else RootCause.EVIDENCE_MALFORMED
        why = f"the score cannot be explained: {error}"
        raise VerificationError(reason(code, why, artifact=SCORES, partition=day)) from error
    places = {item.partition: item for item in files}
    shares = [
        FeatureShare(item.name, stored[item.name].item(),
                     explained.contributions[item.name], tuple(_sources(item.rows, places)))
        for item in behind
    ]  # fmt: skip
    shares.sort(key=lambda share: -abs(share.contribution))
    return Why(
        score=float(explained.score),
        bits=explained.bits,
        tolerance=tolerance,
        margin=explained.margin,
        base=explained.base,
        shares=tuple(shares),
        files=(("features", entry.path, entry.sha256),
               *(("raw day", item.path, item.sha256) for item in files)),
    )  # fmt: skip


def _features(trust: Trust, scores: Materialisation, day: str) -> tuple[Node, FileEntry]:
    """The statement of the features that a day's scores were made from, and the day's file."""
    wanted = features_of(trust, scores, day)
    return _made_below(scores, FEATURES, day, wanted)


def _made_below(node: Node, asset: str, partition: str, sha256: str) -> tuple[Node, FileEntry]:
    """The newest statement that `node` read under a decision and that attests these very bytes."""
    found = [
        (made.sequence, read, entry)
        for decision in node.children
        for read in decision.children
        if (made := read.claims.made) is not None and made.asset == asset
        for entry in read.entries
        if (entry.partition, entry.sha256) == (partition, sha256)
    ]
    if not found:
        why = f"no verified statement below attests {sha256[:12]}"
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MISSING, why, artifact=asset, partition=partition)
        )
    _, newest, file = max(found, key=lambda item: item[0])
    return newest, file


def _row_of(trust: Trust, node: Node, entry: FileEntry, transaction_id: int) -> "pl.DataFrame":
    import polars as pl

    frame = pl.read_parquet(io.BytesIO(bytes_of(trust, node, entry)))
    found = frame.filter(pl.col("transaction_id") == transaction_id)
    if found.height != 1:
        why = f"{found.height} rows of one scored transaction"
        raise VerificationError(
            reason(ProductCause.PREDLOG_GAP, why, artifact=node.name, partition=entry.partition)
        )
    return found


def bytes_of(trust: Trust, node: Node, entry: FileEntry) -> bytes:
    """The attested bytes of a file, whether it is still the newest version or not.

    An earlier raw day comes from DVC. Earlier features are computed again from their raw days. What
    has not the attested digest then is not used.

    Raises:
        EvidenceError, VerificationError: as `Artifacts.read`.
    """
    try:
        return trust.lineage().artifacts.read(node, entry)
    except ProvenanceError as error:
        remade = {RAW: _kept, FEATURES: _remade}.get(node.name)
        content = remade(trust, node, entry) if remade else b""
        if encoding.digest_bytes(content) != entry.sha256:
            raise error from None
        return content


def _kept(trust: Trust, node: Node, entry: FileEntry) -> bytes:
    """What DVC keeps under the address that was signed with a raw day."""
    known = node.claims.made.outputs.get("dvc_md5") if node.claims.made else None
    md5 = known.get(entry.partition) if isinstance(known, dict) else None
    return dvc.stored_bytes(trust.home, md5) if isinstance(md5, str) else b""


def _remade(trust: Trust, node: Node, entry: FileEntry) -> bytes:
    """A day of features, made again by the second definition as its step writes it."""
    import polars as pl

    from fraud_provenance.fraud.parquet import parquet_bytes
    from fraud_provenance.fraud.recompute import recompute_features

    days = raw_days(node, entry)
    if not days:
        return b""
    try:
        raw = pl.concat(pl.read_parquet(io.BytesIO(bytes_of(trust, *day))) for day in days)
        made = recompute_features(raw)
    except pl.exceptions.PolarsError:
        return b""
    own = pl.col("tx_datetime").dt.date().cast(pl.String) == entry.partition
    return parquet_bytes(made.filter(own))


def _explained(
    comparison: Comparison,
    scores: Provenance,
    stored: "pl.DataFrame",
    row: dict[str, Any],
    tolerance: float,
) -> "Explanation":
    import numpy as np

    from fraud_provenance.fraud.explain import explain

    models = {item.digest for item in scores.materials if item.name == MODEL}
    if len(models) != 1:
        why = f"the scores were made from {len(models)} models"
        raise VerificationError(reason(RootCause.SUBJECT_MISMATCH, why, artifact=SCORES))
    ubj, contract = comparison.model(models.pop())
    explained = explain(ubj, contract, stored)
    signed = np.float32(row["score"])
    same = signed.view(np.uint32) == explained.score.view(np.uint32)
    if not same and not (tolerance and np.isclose(signed, explained.score, tolerance, 0.0)):
        why = f"the model gives {explained.score!s}, {signed!s} was signed"
        raise VerificationError(reason(DataCause.FEATURE_RECOMPUTE_MISMATCH, why, artifact=SCORES))
    return explained


def _rows_behind(
    trust: Trust, features: Node, entry: FileEntry, stored: "pl.DataFrame", names: list[str]
) -> tuple[list["Behind"], list[FileEntry]]:
    """Each feature with its raw rows; the second definition must give the stored values."""
    import polars as pl

    from fraud_provenance.fraud.recompute import rows_behind

    customer, terminal = stored["customer_id"].item(), stored["terminal_id"].item()
    of_both = (pl.col("customer_id") == customer) | (pl.col("terminal_id") == terminal)
    frames, files = [], []
    for node, source in raw_days(features, entry):
        content = bytes_of(trust, node, source)
        frame = pl.read_parquet(io.BytesIO(content), columns=list(_KEPT)).filter(of_both)
        frames.append(frame.with_columns(day=pl.lit(source.partition)))
        files.append(source)
    raw = pl.concat(frames)
    transaction = stored["transaction_id"].item()
    if raw.filter(pl.col("transaction_id") == transaction).height != 1:
        why = "no raw day below has the scored transaction"
        raise VerificationError(
            reason(DataCause.FEATURE_RECOMPUTE_MISMATCH, why, artifact=FEATURES)
        )
    found = rows_behind(raw, transaction, names)
    for item in found:
        if stored[item.name].item() != item.value:
            why = f"{item.name} is {stored[item.name].item()}, its raw rows give {item.value}"
            raise VerificationError(
                reason(DataCause.FEATURE_RECOMPUTE_MISMATCH, why, artifact=FEATURES,
                       partition=entry.partition)
            )  # fmt: skip
    return found, files


def raw_days(features: Node, entry: FileEntry) -> list[tuple[Node, FileEntry]]:
    """The raw days that one feature file was made from, each with its verified statement."""
    read = {
        source.sha256: (source.partition, source.sha256)
        for decision in features.children
        for made in decision.children
        if (said := made.claims.made) is not None and said.asset == RAW
        for source in made.entries
        if source.sha256 in entry.made_from
    }
    return [_made_below(features, RAW, *place) for place in sorted(read.values())]


def _sources(rows: "pl.DataFrame", files: dict[str, FileEntry]) -> Iterator[SourceRow]:
    for row in rows.iter_rows(named=True):
        file = files[row["day"]]
        yield SourceRow(
            transaction_id=row["transaction_id"],
            at=row["tx_datetime"].isoformat() + "Z",
            amount=row["tx_amount"],
            fraud=bool(row["tx_fraud"]) if row["label_known"] else None,
            day=row["day"],
            file=file.path,
            sha256=file.sha256,
        )
