"""What a prediction batch says, and what a row of scores is as a Merkle leaf."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.attested.tlog import merkle

if TYPE_CHECKING:
    import polars as pl

SCORES, FEATURES = "transaction_scores", "transaction_features"
LEAF_FORMAT = "transaction_id,customer_id,terminal_id,score_bits_hex,is_alert"
LEAF_HASH_BYTES = 32


class DayOfBatch(BaseModel):
    """What a batch says of one day."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: int = Field(ge=0)
    merkle_root: str
    leaf_format: str
    features_sha256: str


class Batch(BaseModel):
    """A prediction batch's predicate; without days it is a heartbeat."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    sequence: int = Field(ge=1)
    previous: str
    total_rows: int = Field(ge=0)
    model_digest: str
    decision: str
    scores_statement: str
    batches: dict[str, DayOfBatch]

    @property
    def rows(self) -> int:
        """Rows of this batch alone."""
        return sum(day.rows for day in self.batches.values())


def read_batch(statement: Statement) -> Batch:
    """Parse a prediction batch.

    Raises:
        VerificationError: PREDICATE_TYPE.
    """
    if statement.predicate_type != statements.PREDICTION_BATCH:
        raise VerificationError(
            reason(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is no prediction batch")
        )
    try:
        return Batch.model_validate(statement.predicate)
    except ValidationError as error:
        raise VerificationError(
            reason(RootCause.PREDICATE_TYPE, f"malformed prediction batch: {error}")
        ) from error


def leaves(scored: "pl.DataFrame") -> list[bytes]:
    """One leaf a row, in row order: identifiers, the score's IEEE 754 bits in hex, the alert flag.

    Args:
        scored: rows x (transaction_id, customer_id, terminal_id, score f32, is_alert bool).
    """
    import numpy as np
    import polars as pl

    scores = scored["score"].fill_null(float("nan")).reinterpret(dtype=pl.UInt32)  # of f32 alone
    bits = np.frombuffer(scores.to_numpy().astype(">u4").tobytes().hex().encode(), dtype="S8")
    text = scored.select(
        pl.concat_str(
            pl.col("transaction_id"),
            pl.col("customer_id"),
            pl.col("terminal_id"),
            pl.Series("bits", bits.astype(str)),
            pl.col("is_alert").cast(pl.Int8),
            separator=",",
        )
    ).to_series()
    return text.cast(pl.Binary).to_list()


def leaf_hashes(rows: Sequence[bytes]) -> bytes:
    """The rows' leaf hashes, one after the other: kept beside the scores to name an edited row."""
    return b"".join(merkle.leaf_hash(row) for row in rows)


def scores_entry(entries: Iterable[FileEntry], day: str) -> FileEntry:
    """The entry of a day's score file.

    Raises:
        EvidenceError: EVIDENCE_MISSING.
    """
    for entry in entries:
        if entry.partition == day and entry.path.endswith(".parquet"):
            return entry
    raise EvidenceError(
        reason(
            RootCause.EVIDENCE_MISSING,
            "no manifest of scores names this day",
            artifact=SCORES,
            partition=day,
        )
    )
