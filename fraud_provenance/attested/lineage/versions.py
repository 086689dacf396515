"""Versions: each asset's statements form one chain, and none of them may be forgotten.

A materialisation names its sequence number and the statement before it. The chain must have no gap
and no fork. The newest link of each chain is remembered outside the evidence store
(`trust/heads.json`), so that newer evidence cannot be taken away together with the index: what was
seen once must still be there. Deployment decisions and revocations are chains like the assets'.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, Reason, VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.ports.memory import MAX_MEMORY_BYTES, Memory
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.store.store import (
    DEPLOYMENTS,
    REVOCATIONS,
    ChainLink,
    EvidenceStore,
    Head,
)

__all__ = ["DEPLOYMENTS", "REVOCATIONS", "SeenHeads", "Versions", "went_back"]

_HEADS = "trust/heads.json"


class SeenHead(BaseModel):
    """The newest link of a chain that was ever seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sequence: int
    statement: str


class _Heads(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int
    heads: dict[str, SeenHead]


class SeenHeads:
    """The newest links ever seen, by chain. Numbers in it only grow."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def all(self) -> Mapping[str, SeenHead]:
        """Chain → its newest link.

        Raises:
            EvidenceError: EVIDENCE_MALFORMED.
        """
        return _heads_in(self._memory.read(_HEADS, _heads_grew))

    def remember(self, chain: str, sequence: int, statement: str) -> None:
        """Never again believe a store in which this link is missing."""

        def grown(before: bytes | None) -> bytes | None:
            heads = dict(_heads_in(before))
            if chain in heads and heads[chain].sequence >= sequence:
                return before
            heads[chain] = SeenHead(sequence=sequence, statement=statement)
            return encoding.canonical_json(_Heads(version=1, heads=heads).model_dump(mode="json"))

        self._memory.change(_HEADS, grown, _heads_grew)


def _heads_grew(before: bytes | None, after: bytes | None) -> bool:
    """Whether no chain ends earlier, or with another statement."""
    now = _heads_in(after)
    return all(
        chain in now and (now[chain].sequence > head.sequence or now[chain] == head)
        for chain, head in _heads_in(before).items()
    )


def _heads_in(document: bytes | None) -> Mapping[str, SeenHead]:
    if document is None:
        return {}
    try:
        return _Heads.model_validate(encoding.strict_json(document, MAX_MEMORY_BYTES)).heads
    except ValidationError as error:
        raise EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, f"{_HEADS}: {error}")) from error


class _Flaw(NamedTuple):
    """What is wrong with a chain; `claim`: the statements that claim a place in it wrongly."""

    code: RootCause
    why: str
    claim: tuple[str, ...] = ()


@dataclass
class Versions:
    """The chains of one store, judged."""

    store: EvidenceStore
    seen: SeenHeads
    node: Callable[[str], Node]

    def links(self, chain: str) -> list[ChainLink]:
        """The links of a chain in order, unjudged.

        Two promotions at once may each sign a next decision: the one that was logged first is the
        next one, the other is void.
        """
        links = self.store.chain(chain)
        if chain != DEPLOYMENTS or len({link.sequence for link in links}) == len(links):
            return links
        first: dict[int, tuple[tuple[int, int], ChainLink]] = {}
        for link in links:
            bundle = self.node(link.statement).claims.bundle
            if bundle is not None:
                logged = (bundle.logged, link)
                first[link.sequence] = min(logged, first.get(link.sequence, logged), key=_logged)
        return [first[sequence][1] for sequence in sorted(first)]

    def problems(self, chain: str) -> list[Reason]:
        """What is wrong with a chain: a gap, a fork, or a newest link that is gone."""
        links = self.links(chain)
        if _flaw(links):  # whoever may write files can add nonsense: only valid links count then
            links = [link for link in links if not self.node(link.statement).reasons]
        found = [self._told(flaw, chain)] if (flaw := _flaw(links)) else []
        try:
            head = self.seen.all().get(chain)
        except EvidenceError as error:
            return found + list(error.reasons)
        known = {link.statement for link in links}
        if head and not (head.statement in known and self.store.has(head.statement)):
            found.append(
                reason(
                    RootCause.EVIDENCE_MISSING,
                    f"version {head.sequence} was seen here and is gone from the store",
                    artifact=chain,
                )
            )
        return found

    def _told(self, flaw: _Flaw, chain: str) -> Reason:
        """A flaw as a reason: of those that claim one place, the one that was logged last."""
        bundles = [bundle for name in flaw.claim if (bundle := self.node(name).claims.bundle)]
        last = max(bundles, key=lambda bundle: bundle.logged, default=None)
        named = f": bundle {last.bundle_digest[:12]} (log entry {last.log_index})" if last else ""
        return reason(flaw.code, f"{flaw.why}{named}", artifact=chain)

    def vanished(self) -> list[Reason]:
        """Chains that were seen here and of which no link is left: no walk would come upon them."""
        try:
            seen = self.seen.all()
        except EvidenceError as error:
            return list(error.reasons)
        gone = [chain for chain in sorted(seen) if not self.store.chain(chain)]
        return [item for chain in gone for item in self.problems(chain)]

    def next(self, chain: str) -> tuple[int, str]:
        """(sequence, statement before it) for the next link: after the newest valid one."""
        for link in reversed(self.links(chain)):
            if not self.node(link.statement).reasons:
                return link.sequence + 1, link.statement
        return 1, ""

    def gone_back(
        self, asset: str, sequence: int, entries: tuple[FileEntry, ...]
    ) -> dict[str, Head]:
        """Partition → version it replaces, where earlier bytes came back after others.

        They may be the newest version's own: then they came back before, and what counts is
        whether that version is in order.
        """
        if sequence <= 1:
            return {}
        earlier: dict[str, list[Head]] = {}
        for version in self.store.versions(asset):
            if version.sequence < sequence:
                earlier.setdefault(version.partition, []).append(version)
        return {
            entry.partition: versions[-1]
            for entry in entries
            if (versions := [v for v in earlier.get(entry.partition, ()) if v.path == entry.path])
            and _came_back(entry.sha256, [version.sha256 for version in versions])
        }


def _logged(link: tuple[tuple[int, int], ChainLink]) -> tuple[int, int]:
    return link[0]


def _came_back(sha256: str, before: list[str]) -> bool:
    """Whether the bytes were there, were replaced by others, and are back."""
    others = [index for index, earlier in enumerate(before) if earlier != sha256]
    return bool(others) and sha256 in before[: others[-1]]


def _flaw(links: list[ChainLink]) -> _Flaw | None:
    """The first gap or fork of a chain in order of its sequence."""
    before = ""
    for expected, link in enumerate(links, start=1):
        if link.sequence < expected:
            why = f"two statements claim version {link.sequence}"
            claim = (before, link.statement) if before else (link.statement,)
            return _Flaw(RootCause.PARTITION_DUPLICATE, why, claim)
        if link.sequence > expected:
            return _Flaw(RootCause.EVIDENCE_MISSING, f"version {expected} is gone from the store")
        if link.previous != before:
            why = f"version {expected} follows another chain"
            return _Flaw(RootCause.PARTITION_DUPLICATE, why, (link.statement,))
        before = link.statement
    return None


def went_back(asset: str, partition: str) -> VerificationError:
    """Earlier bytes came back, and nobody decided that."""
    return VerificationError(
        reason(
            RootCause.ROLLBACK,
            "bytes that a later version had replaced came back without a signed decision",
            artifact=asset,
            partition=partition,
        )
    )
