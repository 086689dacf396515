"""The log against the store: did the log only grow, and does each side explain the other?

In: every log's files, the remembered heads, the witnesses, the store. Out: a report with reasons,
and a new remembered head for each log that grew as it should.

Order for each log: the head's signature → it is no smaller than what was remembered → its tiles
add up to its root → earlier heads lead to it → its leaves are what the tree says → every leaf of
ours has its bundle or intent, every bundle its leaf → witnesses countersign → remembered.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core.codes import RootCause, is_undecided
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.sigstore.verification import (
    PAYLOAD_TYPE,
    BundleVerifier,
    VerifiedBundle,
)
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.attested.tlog.checkpoints import (
    Ledger,
    LogKeeper,
    LogMemory,
    OpenLeaf,
    check_grew,
)
from fraud_provenance.attested.tlog.tiles import LogEntry, Tree, read_entries, signed_digest

_LOG_ITSELF = frozenset({RootCause.LOG_FORK, RootCause.LOG_STALE})
_LISTED = 20


class Depth(IntEnum):
    """How much is looked at again: only what is new, also everything remembered, or all."""

    TAIL = 0
    REMEMBERED = 1
    FULL = 2


class LogReport(BaseModel):
    """What the audit of one log found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    size: int = 0
    remembered: int = 0
    checkpoints: int = 0
    entries: int = 0
    ours: int = 0
    bundles: int = 0
    journalled: int = 0
    reasons: tuple[Reason, ...] = ()


class AuditReport(BaseModel):
    """What an audit found; trusted only if nothing at all speaks against anything.

    Attributes:
        logs: The logs, each against the store.
        findings: What else was looked at and is not in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    logs: tuple[LogReport, ...]
    findings: tuple[Reason, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Every log's reasons, then the other findings."""
        return (*(item for log in self.logs for item in log.reasons), *self.findings)

    @property
    def trusted(self) -> bool:
        """Whether log and store explain each other, and nothing else was found."""
        return bool(self.logs) and not self.reasons

    def check(self) -> None:
        """Refuse unless nothing was found.

        Raises:
            VerificationError: something is wrong. BackendError: could not look.
        """
        if self.exit_code:
            kind = BackendError if self.exit_code == 2 else VerificationError
            raise kind(*(self.reasons or [reason(RootCause.LOG_UNAVAILABLE, "there is no log")]))

    @property
    def exit_code(self) -> int:
        """0 nothing found, 1 something is wrong, 2 could not look."""
        if self.trusted:
            return 0
        return 2 if not self.logs or all(is_undecided(item.code) for item in self.reasons) else 1


@dataclass
class _Findings:
    """What is gathered about one log on the way."""

    reasons: list[Reason] = field(default_factory=list)
    bundles: dict[str, VerifiedBundle] = field(default_factory=dict)
    matched: dict[int, str] = field(default_factory=dict)
    journalled: dict[int, str] = field(default_factory=dict)
    open: list[OpenLeaf] = field(default_factory=list)
    entries: int = 0
    ours: int = 0


@dataclass(frozen=True)
class _Wanted:
    """Whose leaves are ours, and which signed digests people have settled."""

    identities: frozenset[Identity]
    settled: Container[str]


class LogAuditor:
    """Audits every log of the trusted root."""

    def __init__(self, keeper: LogKeeper, store: EvidenceStore, bundles: BundleVerifier) -> None:
        self._keeper = keeper
        self._store = store
        self._bundles = bundles

    def audit(
        self,
        identities: Iterable[Identity],
        depth: Depth = Depth.REMEMBERED,
        say: Callable[[str], None] = lambda _text: None,
        settled: Container[str] = frozenset(),
    ) -> AuditReport:
        """Audit every log for the leaves of `identities`; what is in order is remembered.

        `settled`: signed digests that people revoked as log entries. Nothing under them counts,
        so nothing about them is open any more.
        """
        wanted = _Wanted(frozenset(identities), settled)
        reports = []
        with self._keeper.lock():
            for memory in self._keeper.logs.memories.values():
                say(f"auditing the log {memory.key.origin}")
                try:
                    reports.append(self._audit(memory, wanted, depth))
                except ProvenanceError as error:
                    found = tuple(error.reasons)
                    reports.append(LogReport(origin=memory.key.origin, reasons=found))
                except Exception as error:
                    found = (reason(RootCause.VERIFY_ERROR, f"auditing the log: {error!r}"),)
                    reports.append(LogReport(origin=memory.key.origin, reasons=found))
        return AuditReport(logs=tuple(reports))

    # --- one log -------------------------------------------------------------------------------

    def entry(self, index: int, origin: str = "") -> LogEntry:
        """What one leaf of a log says (of the newest log, if none is named).

        Raises:
            ConfigError: USAGE, there is no such log or leaf.
            VerificationError, BackendError: as for an audit.
        """
        known = [
            memory
            for memory in self._keeper.logs.memories.values()
            if origin in ("", memory.key.origin)
        ]
        if known:
            _, tree = self._keeper.head(known[-1], known[-1].newest())
            if 0 <= index < tree.size:
                return next(read_entries(self._keeper.files(known[-1]), tree, index))
        raise ConfigError(reason(RootCause.USAGE, f"no log has an entry {index} {origin}".strip()))

    def _audit(self, memory: LogMemory, wanted: _Wanted, depth: Depth) -> LogReport:
        self._keeper.begin(memory)
        sizes = memory.sizes()
        last = memory.newest()
        before = memory.ledger(sizes[-1])
        stored = frozenset(self._store.bundles())  # whatever they prove, the head must have reached
        head, tree = self._keeper.head(memory, last)
        # Intents before bundles: a signature that ends meanwhile is in one of the two.
        intents = {signed_digest(item, PAYLOAD_TYPE) for item in self._store.intents()}
        heads = sizes if depth >= Depth.REMEMBERED else sizes[-1:]
        for size in heads:
            check_grew(tree, memory.checkpoint(size))
        found = _Findings()
        start = 0 if depth == Depth.FULL else before.audited
        since = None if depth == Depth.FULL else min([start, *(leaf.index for leaf in before.open)])
        self._collect_bundles(memory, tree, found, since, stored)
        known = [memory.ledger(size) for size in heads] if depth >= Depth.REMEMBERED else []
        self._explain(memory, tree, start, wanted, intents, before, known, found)
        if depth >= Depth.REMEMBERED:
            found.reasons += self._lost(memory, tree, known, wanted.settled)
        if not any(item.code in _LOG_ITSELF for item in found.reasons):
            self._keeper.remember(
                memory,
                head,
                tree,
                Ledger(
                    audited=head.size,
                    matched={i: d for i, d in found.matched.items() if i >= before.audited},
                    journalled={i: d for i, d in found.journalled.items() if i >= before.audited},
                    open=tuple(found.open),
                ),
            )
        return LogReport(
            origin=memory.key.origin,
            size=head.size,
            remembered=last.size,
            checkpoints=len(heads),
            entries=found.entries,
            ours=found.ours,
            bundles=len(found.bundles),
            journalled=len(found.journalled),
            reasons=tuple(found.reasons),
        )

    # --- both directions -----------------------------------------------------------------------

    def _collect_bundles(
        self,
        memory: LogMemory,
        tree: Tree,
        found: _Findings,
        start: int | None,
        stored: frozenset[str],
    ) -> None:
        """Verify stored bundles of this log (all, or from `start` on) against its tree.

        Those that were not `stored` when the head was read may be newer than it.
        """
        log_id = memory.key.log_id
        digests = (
            self._store.bundles() if start is None else self._store.logged_since(log_id, start)
        )
        for digest in digests:
            try:
                bundle = self._bundles.verify(self._store.bundle_bytes(digest))
                if bundle.log.log_id == log_id.hex():
                    found.bundles[digest] = bundle
                    if bundle.log.tree_size <= tree.size or digest in stored:
                        _check_bundle(tree, bundle)
            except ProvenanceError as error:
                place = {"artifact": f"bundle {digest[:12]}"}
                found.reasons += (
                    item if item.artifact else item.model_copy(update=place)
                    for item in error.reasons
                )

    def _explain(
        self,
        memory: LogMemory,
        tree: Tree,
        start: int,
        wanted: _Wanted,
        intents: set[str],
        before: Ledger,
        known: Sequence[Ledger],
        found: _Findings,
    ) -> None:
        """Find the bundle or intent behind each leaf of ours; what has none stays open."""
        stored = {
            (signed_digest(one.content, PAYLOAD_TYPE), str(item.identity)): one.digest
            for item in found.bundles.values()
            for one in [item.statement]
        }
        known_leaves = {
            index for ledger in known for index in (*ledger.matched, *ledger.journalled)
        }
        log = self._keeper.files(memory)
        found.open = [
            leaf
            for leaf in before.open
            if leaf.index < start
            and (leaf.digest, leaf.identity) not in stored
            and leaf.digest not in wanted.settled
        ]
        for entry in read_entries(log, tree, start):
            found.entries += 1
            identity = self._bundles.signer_of(entry.certificate) if entry.certificate else None
            if identity is None or identity not in wanted.identities:
                continue
            found.ours += 1
            name = stored.get((entry.digest, str(identity)))
            if name:
                found.matched[entry.index] = name
            elif entry.digest in intents:
                found.journalled[entry.index] = entry.digest
            elif entry.index not in known_leaves and entry.digest not in wanted.settled:
                found.open.append(
                    OpenLeaf(index=entry.index, identity=str(identity), digest=entry.digest)
                )
        found.reasons += (
            reason(
                RootCause.UNEXPECTED_LOG_ENTRY,
                f"log entry {leaf.index} was signed as {leaf.identity}; no bundle or intent "
                f"explains it (signed digest {leaf.digest[:12]})",
                artifact=f"log entry {leaf.index}",
                identity=leaf.identity,
            )
            for leaf in found.open
        )

    def _lost(
        self, memory: LogMemory, tree: Tree, ledgers: Sequence[Ledger], settled: Container[str]
    ) -> list[Reason]:
        """Bundles that an earlier audit saw and that are gone from the store."""
        seen = {index: name for ledger in ledgers for index, name in ledger.matched.items()}
        stored = self._store.stored_statements()
        log = self._keeper.files(memory)
        lost = sorted(
            index
            for index, name in seen.items()
            if name not in stored and next(read_entries(log, tree, index)).digest not in settled
        )
        if not lost:
            return []
        reasons = [
            reason(
                RootCause.EVIDENCE_MISSING,
                f"the bundle of statement {seen[index][:12]} (log entry {index}) is gone",
                artifact=f"log entry {index}",
            )
            for index in lost[:_LISTED]
        ]
        if all(index in set(lost) for index in seen if index >= lost[0]):
            reasons.insert(
                0,
                reason(
                    RootCause.EVIDENCE_ROLLBACK,
                    f"all {len(lost)} bundles from log entry {lost[0]} on are gone: the store was "
                    "put back to an older state",
                    artifact="evidence",
                ),
            )
        return reasons


def _check_bundle(tree: Tree, bundle: VerifiedBundle) -> None:
    """A bundle's own head must be one that the log passed through."""
    head, name = bundle.log, f"bundle {bundle.bundle_digest[:12]}"
    if head.tree_size > tree.size:
        raise VerificationError(
            reason(
                RootCause.LOG_STALE,
                f"the log shows {tree.size} leaves, a stored bundle proves {head.tree_size}",
                artifact=name,
            )
        )
    if (
        tree.root_at(head.tree_size).hex() != head.tree_root
        or tree.leaf(bundle.log_index).hex() != head.leaf
    ):
        raise VerificationError(
            reason(
                RootCause.LOG_FORK,
                f"the log never had the head of size {head.tree_size} that the bundle proves",
                artifact=name,
            )
        )
