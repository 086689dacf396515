"""Every logged version of a day's scores, and whether a later one may differ from the one before.

Scores that were logged once are what was decided by. A day is scored again, and may come out
otherwise, because its features have a newer version, because another model became champion, or
because people withdrew the scores or what they were made from. Anything else is a fork of the
prediction log. A retry after a crash logs the same rows again, and that is no fork.

Signed statements only: rows are counted here, not read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fraud_provenance.attested.core.errors import Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node, Verified, Withdrawal
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.predictions.batch import (
    FEATURES,
    SCORES,
    Batch,
    DayOfBatch,
    read_batch,
    scores_entry,
)
from fraud_provenance.predictions.log import batch_about


@dataclass(frozen=True)
class Logged:
    """One batch of the chain, verified."""

    node: Verified
    batch: Batch

    @property
    def bundle(self) -> VerifiedBundle:
        """Its signature, certificate, time and place in the log."""
        return self.node.bundle

    @property
    def name(self) -> str:
        """As reasons call it."""
        return f"batch {self.batch.sequence}"


@dataclass(frozen=True)
class Version:
    """One logged version of one day's scores."""

    item: Logged
    scores: Node
    made: Provenance
    """What the statement of the scores says, also where it is refused."""
    day: str
    claimed: DayOfBatch

    @property
    def withdrawn(self) -> Reason | None:
        """Why these scores may not be used any more, if people withdrew them or their sources."""
        return found.why if (found := self._withdrawal) else None

    def is_withdrawn_before(self, other: "Version") -> bool:
        """Whether that was logged before the other version's scores."""
        found, bundle = self._withdrawal, other.scores.claims.bundle
        return found is not None and bundle is not None and found.logged < bundle.logged

    @property
    def _withdrawal(self) -> Withdrawal | None:
        return self.scores.revoked.get(scores_entry(self.scores.entries, self.day).sha256)

    @property
    def features(self) -> Provenance | None:
        """What the statement of the features says that these scores were made from."""
        wanted = (self.day, self.claimed.features_sha256)
        found = [
            made
            for decision in self.scores.children
            for read in decision.children
            if (made := read.claims.made)
            and made.asset == FEATURES
            and wanted in {(entry.partition, entry.sha256) for entry in read.entries}
        ]
        return max(found, key=lambda made: made.sequence, default=None)


def versions_by_day(trust: Trust, chain: Iterable[Logged]) -> dict[str, list[Version]]:
    """Day → its logged versions, oldest first: by the scores' own sequence, then by the batch's.

    A batch that does not fit its scores has none here; `batch_problems` tells.
    """
    found: dict[str, list[Version]] = {}
    lineage = trust.lineage()
    for item in chain:
        if not item.batch.scores_statement:
            continue
        scores = lineage.node(item.batch.scores_statement)
        if (made := scores.claims.made) is None:
            continue
        covered = {entry.partition for entry in scores.entries}
        for day in covered.intersection(item.batch.batches):
            version = Version(item, scores, made, day, item.batch.batches[day])
            found.setdefault(day, []).append(version)
    for versions in found.values():
        versions.sort(key=lambda v: (v.made.sequence, v.item.batch.sequence))
    return found


def versions_of_day(trust: Trust, day: str) -> list[Version]:
    """The logged versions of one day, without a walk over the whole log."""
    named = dict.fromkeys(head.statement for head in trust.store.versions(SCORES, day))
    chain = []
    for statement in named:
        node = batch_about(trust, trust.lineage().node(statement))
        if not isinstance(node, Verified):
            continue  # whoever needs this batch says what is wrong with it
        chain.append(Logged(node, read_batch(node.bundle.statement)))
    return versions_by_day(trust, chain).get(day, [])


def version_problems(versions: Mapping[str, list[Version]]) -> list[Reason]:
    """Forks, and rows that the signed count of the day's features does not explain."""
    problems: list[Reason] = []
    for _, known in sorted(versions.items()):
        for index, version in enumerate(known):
            if version.withdrawn is not None:
                continue  # people have looked at it
            problems += _fork(known[:index], version)
            problems += _gap(version)
    return problems


def _fork(earlier: list[Version], version: Version) -> list[Reason]:
    standing = [v for v in earlier if not v.is_withdrawn_before(version)]
    if not standing or _is_explained(standing[-1], version):
        return []
    before = standing[-1]
    return [
        reason(
            ProductCause.PREDLOG_FORK,
            f"{before.item.name} logged {before.claimed.rows} rows of this day, {version.item.name}"
            f" logs {version.claimed.rows} others from the same features and model",
            artifact=version.item.name,
            partition=version.day,
        )
    ]


def _is_explained(before: Version, after: Version) -> bool:
    """Whether the day may differ: the same rows, another champion's, or of newer features."""
    old, new = before.claimed, after.claimed
    if (old.rows, old.merkle_root) == (new.rows, new.merkle_root):
        return True
    if before.item.batch.model_digest != after.item.batch.model_digest:
        return True
    if old.features_sha256 == new.features_sha256:
        return False
    made = [version.features for version in (before, after)]
    sequences = [item.sequence if item else 0 for item in made]
    return sequences[0] < sequences[1]


def _gap(version: Version) -> list[Reason]:
    """One row for each row of the features, as the step that made these has counted them."""
    features = version.features
    counted = features.outputs.get("rows") if features else None
    expected = counted.get(version.day) if isinstance(counted, dict) else None
    if expected is None or expected == version.claimed.rows:
        return []
    return [
        reason(
            ProductCause.PREDLOG_GAP,
            f"{version.claimed.rows} rows were logged, the day's features have {expected}",
            artifact=version.item.name,
            partition=version.day,
        )
    ]
