"""One coherent world: what is read rests on one version of each partition, and on the newest.

Versions are followed along `made_from`: what a file was really made from counts, never what stands
beside it in a manifest over many days. What one statement fixes for good (a model, see
`is_written_once`) is a world of its own: a champion goes on scoring days that came after it.

Bytes that several partitions share, as those of empty days, do not tell which of these was read:
one that is the newest speaks for them all.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import Reason, reason
from fraud_provenance.attested.lineage.artifacts import is_written_once
from fraud_provenance.attested.lineage.nodes import Node, Verified, Version
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.attested.store.store import EvidenceStore, Head, VersionAt

SINCE = datetime(2026, 11, 28, tzinfo=UTC)
"""Nothing looked for coherence before: what was signed earlier stays as valid as it was."""

_History = Mapping[str, list[VersionAt]]  # partition → its versions, the newest first
Judgement = Generator[str, Node, Reason | None]
"""Asks for nodes by statement, is sent them verified; returns what is wrong."""


@dataclass(frozen=True)
class Reading:
    """What one decision lets be read, with the materialisations that attest it.

    `logged` is the decision's place in the log; None while it is not made yet.
    """

    view: Manifest
    nodes: tuple[Node, ...]
    logged: tuple[int, int] | None = None

    @cached_property
    def attesting(self) -> tuple[tuple[Node, Provenance], ...]:
        """The materialisations of the view's asset that later versions may replace."""
        return tuple(
            (node, made)
            for node in self.nodes
            if (made := node.claims.made)
            and made.asset == self.view.asset
            and not is_written_once(made)
        )

    @cached_property
    def own(self) -> Mapping[str, Version]:
        """Partition → the version of it that is read."""
        files: dict[str, set[str]] = {}
        for entry in self.view.entries:
            files.setdefault(entry.partition, set()).add(entry.sha256)
        return {
            partition: (self.view.asset, partition, "+".join(sorted(digests)))
            for partition, digests in files.items()
        }

    @cached_property
    def below(self) -> Mapping[FileEntry, frozenset[Version]]:
        """The attested files with every version that they were made from."""
        found: dict[FileEntry, frozenset[Version]] = {}
        for node, _ in self.attesting:
            found |= node.rests
        return found

    def rests(self) -> frozenset[Version]:
        """Every version that the view is, or was made from."""
        below = (self.below.get(entry, frozenset()) for entry in self.view.entries)
        return frozenset(self.own.values()).union(*below)


def rests_of(
    entries: Iterable[FileEntry], readings: Iterable[Reading]
) -> dict[FileEntry, frozenset[Version]]:
    """Written files with every version that they were made from."""
    places: dict[str, Version] = {}
    sources: dict[str, frozenset[Version]] = {}
    for reading in readings:
        for entry in reading.view.entries:
            own = reading.own[entry.partition]
            rests = reading.below.get(entry, frozenset()) | {own}
            is_told = places.setdefault(entry.sha256, own) == own
            sources[entry.sha256] = rests if is_told else frozenset()
    return {
        entry: frozenset[Version]().union(*(sources.get(d, ()) for d in entry.made_from))
        for entry in entries
    }


def two_versions(readings: Iterable[Reading]) -> Reason | None:
    """The first partition of which what was read together rests on two versions."""
    seen: dict[tuple[str, str], str] = {}
    for asset, partition, version in sorted(frozenset().union(*(r.rests() for r in readings))):
        other = seen.setdefault((asset, partition), version)
        if other != version:
            why = f"what was read together rests on two versions: {other[:12]} and {version[:12]}"
            code = RootCause.SNAPSHOT_INCOHERENT
            return reason(code, why, artifact=asset, partition=partition)
    return None


@dataclass
class Snapshots:
    """What of the newest versions a store knows, and who does not rest on them."""

    store: EvidenceStore
    node: Callable[[str], Node]
    _state: tuple[int, int] = (-1, -1)
    _histories: dict[str, _History] = field(default_factory=dict)

    def judge(self, readings: Iterable[Reading]) -> Judgement:
        """What one step read: one version of each partition, the newest when it was decided."""
        readings = list(readings)
        if found := two_versions(readings):
            return found
        for reading in readings:
            if found := (yield from self._outdated(reading)):
                return found
        return None

    def problem(self, readings: Iterable[Reading]) -> Reason | None:
        """As `judge`, for who is not in the middle of a walk."""
        work, found = self.judge(readings), None
        while True:
            try:
                wanted = next(work) if found is None else work.send(found)
            except StopIteration as done:
                answer: Reason | None = done.value
                return answer
            found = self.node(wanted)

    def outdated_heads(
        self, heads: Mapping[str, list[Head]], inputs: Iterable[str]
    ) -> dict[str, Reason]:
        """Partition → why its newest version may not be used: it was made from an older one.

        `inputs`: the assets that it is made from. As long as nothing replaced any of these, this
        costs nothing.
        """
        replaced = {
            digest
            for asset in inputs
            for versions in self._history(asset).values()
            for version in versions[1:]
            for digest in version.files
        }
        found: dict[str, Reason] = {}
        for partition, files in heads.items() if replaced else ():
            node = self.node(files[0].statement)
            if node.claims.manifest is None:
                continue  # whoever reads it is told why
            view = node.claims.manifest.select([partition])
            if any(not replaced.isdisjoint(entry.made_from) for entry in view.entries):
                why = self.problem([Reading(view, (node,))])
                found |= {partition: why} if why else {}
        return found

    # --- what is the newest ------------------------------------------------------------------

    def _outdated(self, reading: Reading) -> Judgement:
        """Why what is read, or what that was made from, was not the newest any more."""
        if not reading.attesting:
            return None
        history = self._history(reading.view.asset)
        for entry in reading.view.entries:
            newest = yield from self._newest(history.get(entry.partition, ()), reading.logged)
            if newest and entry.sha256 not in newest.files:
                return _replaced(reading.view.asset, entry.partition, newest)
        inputs = {
            material.name
            for _, made in reading.attesting
            for material in made.materials
            if material.role == "input"
        }
        sources = {digest for entry in reading.view.entries for digest in entry.made_from}
        for asset in sorted(inputs):
            if found := (yield from self._outdated_source(asset, sources, reading.logged)):
                return found
        return None

    def _outdated_source(
        self, asset: str, sources: set[str], logged: tuple[int, int] | None
    ) -> Judgement:
        """The first of `sources` that is an older version of one of the asset's partitions."""
        newest_files: set[str] = set()
        found: dict[str, Reason] = {}
        for partition, versions in self._history(asset).items():
            older = {digest for version in versions for digest in version.files} & sources
            newest = (yield from self._newest(versions, logged)) if older else None
            if newest is not None:
                newest_files |= newest.files
                why = _replaced(asset, partition, newest)
                found |= dict.fromkeys(older - newest.files, why)
        for digest, why in found.items():
            elsewhere = [h for h in self.store.files_named(digest) if h.asset == asset]
            is_shared = any(head.partition not in self._history(asset) for head in elsewhere)
            if digest not in newest_files and not is_shared:
                return why
        return None

    def _newest(
        self, versions: Iterable[VersionAt], logged: tuple[int, int] | None
    ) -> Generator[str, Node, VersionAt | None]:
        """The newest version that was logged before, of those that verify."""
        for version in versions:
            if logged is not None and version.logged >= logged:
                continue
            node = yield version.statement
            if node.is_sound and _is_before(node, logged):
                return version
        return None

    def _history(self, asset: str) -> _History:
        """The versions of every partition that has had several."""
        state = self.store.state()
        if state != self._state:
            self._state, self._histories = state, {}
        if asset not in self._histories:
            histories: dict[str, list[VersionAt]] = {}
            for version in self.store.replaced(asset):
                histories.setdefault(version.partition, []).append(version)
            self._histories[asset] = {
                partition: versions
                for partition, versions in histories.items()
                if len({version.files for version in versions}) > 1
            }
        return self._histories[asset]


def _is_before(node: Node, logged: tuple[int, int] | None) -> bool:
    return logged is None or (isinstance(node, Verified) and node.bundle.logged < logged)


def _replaced(asset: str, partition: str, newest: VersionAt) -> Reason:
    why = f"an older version was used: {newest.statement[:12]} had replaced it before"
    return reason(RootCause.SNAPSHOT_INCOHERENT, why, artifact=asset, partition=partition)
