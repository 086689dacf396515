"""Which rows of what was reached really are touched: those whose windows hold a recalled raw row.

A feature day is made from 38 raw days, but a transaction only from the rows of its own customer and
terminal. A model is touched if it learnt from a touched row, an evaluation if it was measured on
one, and then every score that rests on either. Rows are read from verified bytes; the windows are
those of `fraud.recompute`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.investigate.reach import Reach, Touched
from fraud_provenance.investigate.why import RAW, bytes_of, raw_days
from fraud_provenance.predictions.batch import FEATURES, SCORES

if TYPE_CHECKING:
    import polars as pl

_OF_ROWS = (FEATURES, SCORES, "training_set")  # their files have one row a transaction
_COLUMNS = ("transaction_id", "tx_datetime", "customer_id", "terminal_id")


@dataclass
class Rows:
    """What is touched, row by row.

    Attributes:
        ids: Asset → partition → transaction ids, of the files with rows, newest versions only.
        in_windows: Day → those scored transactions whose own windows hold a recalled row; the
            others are touched because the model, or the evidence it was deployed on, is.
        statements: What is touched as a whole or in some rows.
        problems: What could not be looked into, hence is in no list.
    """

    ids: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    in_windows: dict[str, list[int]] = field(default_factory=dict)
    statements: set[str] = field(default_factory=set)
    problems: list[Reason] = field(default_factory=list)

    @property
    def scores(self) -> dict[str, int]:
        """Day → scores that are really touched."""
        return {day: len(ids) for day, ids in self.ids.get(SCORES, {}).items()}


def rows_of(trust: Trust, reach: Reach) -> Rows:
    """Look into the windows of everything current that was reached."""
    look = _Look(trust, reach)
    used = {source for item in reach.touched for source in item.entry.made_from}
    for item in reach.touched:
        wanted = item.is_current or item.entry.sha256 in used
        if wanted and item.asset != RAW and not item.entry.path.endswith(".leaves"):
            look.at(item)
    return look.rows


class _Look:
    def __init__(self, trust: Trust, reach: Reach) -> None:
        self._trust = trust
        self._bad_raw = {item.entry.sha256 for item in reach.of(RAW)}
        # Statements that were recalled as such, or features: there each row is concerned.
        self._has_windows = bool(self._bad_raw) and not reach.seeds
        self._ids: dict[str, list[int]] = {}  # SHA-256 of a file → its touched rows
        self._frames: dict[str, pl.DataFrame] = {}
        self.rows = Rows()

    def at(self, item: Touched) -> None:
        """One file, after all that it was made from; what cannot be read is told."""
        import polars as pl

        try:
            found = self._touched(item)
        except ProvenanceError as error:
            self.rows.problems += error.reasons
            return
        except pl.exceptions.PolarsError as error:
            place = {"artifact": item.asset, "partition": item.entry.partition}
            why = f"cannot be read: {str(error)[:200]}"
            self.rows.problems.append(reason(RootCause.EVIDENCE_MALFORMED, why, **place))
            return
        self._ids[item.entry.sha256] = found
        if found:
            self.rows.statements.add(item.node.statement)
        if item.is_current and item.asset in _OF_ROWS:
            self.rows.ids.setdefault(item.asset, {})[item.entry.partition] = found

    def _touched(self, item: Touched) -> list[int]:
        """The touched rows of one file; of what has no rows, one in place of all."""
        node, entry = item.node, item.entry
        known = {row for source in entry.made_from for row in self._ids.get(source, ())}
        if not self._has_windows:
            return self._own(node, entry) if item.asset in _OF_ROWS else [0]
        if item.asset == SCORES:
            own = self._own(node, entry)
            mine = self.rows.in_windows[entry.partition] = [row for row in own if row in known]
            return own if self._rests(node) else mine
        if item.asset == FEATURES:
            return self._in_windows(node, entry)
        if item.asset not in _OF_ROWS:
            return [0] if known else []
        try:
            return [row for row in self._own(node, entry) if row in known]
        except (EvidenceError, VerificationError):
            if item.is_current:
                raise
            return sorted(known)  # its file has made room for a newer one; its days are known

    def _rests(self, scores: Node) -> bool:
        """Whether scores were made by a touched model, or by a decision on touched evidence."""
        read = [child for decision in scores.children for child in decision.children]
        decided = str(scores.expect(Materialisation).provenance.outputs.get("decision", ""))
        read += self._trust.lineage().node(decided).children if decided else ()
        touched = self.rows.statements
        return any(
            node.statement in touched
            for node in read
            if (made := node.claims.made) and made.asset not in (RAW, FEATURES)
        )

    def _own(self, node: Node, entry: FileEntry) -> list[int]:
        return sorted(self._frame(node, entry, ["transaction_id"])["transaction_id"].to_list())

    def _frame(self, node: Node, entry: FileEntry, columns: Sequence[str]) -> "pl.DataFrame":
        import polars as pl

        content = bytes_of(self._trust, node, entry)
        return pl.read_parquet(io.BytesIO(content), columns=list(columns))

    def _in_windows(self, node: Node, entry: FileEntry) -> list[int]:
        """The rows of a feature day that have a recalled raw row in a window."""
        import polars as pl

        from fraud_provenance.fraud.recompute import rows_touched

        frames = []
        for source_node, source in raw_days(node, entry):
            if source.sha256 not in self._frames:
                self._frames[source.sha256] = self._frame(source_node, source, _COLUMNS)
            bad = source.sha256 in self._bad_raw
            frames.append(self._frames[source.sha256].with_columns(bad=pl.lit(bad)))
        if not frames:
            why = "no verified raw day below"
            raise EvidenceError(
                reason(RootCause.EVIDENCE_MISSING, why, artifact=FEATURES,
                       partition=entry.partition)
            )  # fmt: skip
        raw = pl.concat(frames)
        wanted = (raw["tx_datetime"].dt.date() == date.fromisoformat(entry.partition)).to_numpy()
        touched = rows_touched(raw, raw["bad"].to_numpy(), wanted)
        return sorted(raw["transaction_id"].to_numpy()[wanted][touched].tolist())
