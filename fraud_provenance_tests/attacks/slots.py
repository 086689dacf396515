"""The slot matrix: every valid statement of a home put into every slot of every other one.

A slot is a place in a statement that names a statement or a manifest by its digest. What is put
there is valid, only not meant for it. The changed statement counts as signed by its honest signer
at its honest time: what refuses it is what the verifier demands of the slot, and nothing else.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Decision, Judgement, Verified
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.sigstore.verification import BundleVerifier, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.attested.store.store import ChainLink, EvidenceStore
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.predictions.batch import read_batch
from fraud_provenance.predictions.log import batch_problems
from fraud_provenance_tests.mutations import Path, replaced

_CHANGED = b"the changed statement"


@dataclass
class Overlay:
    """A home's store and bundle verifier, in which one statement stands for another."""

    store: EvidenceStore
    bundles: BundleVerifier
    honest: VerifiedBundle | None = None
    changed: Statement | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self.store, name)

    def put(self, honest: VerifiedBundle, changed: Statement) -> None:
        """From here on `changed` is in the place of the honest statement."""
        self.honest, self.changed = honest, changed

    def bundle(self, statement: str) -> tuple[str, bytes]:
        if self.changed is not None and statement == self.changed.digest:
            return "", _CHANGED
        return self.store.bundle(statement)

    def chain(self, name: str) -> list[ChainLink]:
        """The chain with the changed statement in it, as it says of itself."""
        links = self.store.chain(name)
        if self.honest is None or self.changed is None:
            return links
        here = self.honest.statement.digest
        said = {"statement": self.changed.digest, "previous": _previous(self.changed.predicate)}
        return [link.model_copy(update=said) if link.statement == here else link for link in links]

    def verify(self, content: bytes) -> VerifiedBundle:
        if content != _CHANGED:
            return self.bundles.verify(content)
        assert self.honest is not None
        return self.honest.model_copy(update={"statement": self.changed})


def _previous(predicate: dict[str, Any]) -> str:
    build = predicate.get("buildDefinition", {})
    facts = predicate.get("annotations", {})
    places = (build.get("internalParameters", {}), predicate, facts.get("facts", {}))
    return next((str(place["previous"]) for place in places if "previous" in place), "")


@dataclass
class Played:
    """How many changed statements there were, and those that nothing refused."""

    changes: int = 0
    holes: list[str] = field(default_factory=list)


def play(workspace: Workspace, every: int = 1) -> Played:
    """Put every valid statement (or manifest) into each slot of each; or each `every`th pair."""
    trust = workspace.trust
    overlay = Overlay(trust.store, trust.bundles)
    walker = LineageVerifier(
        overlay, overlay, trust.policies.current().layout, trust.environment,  # type: ignore[arg-type]  # as these
        trust.home, trust.memory,
        trust.policies.releases.signed_for,
    )  # fmt: skip
    records = {record.statement: record for record in trust.store.records()}
    nodes = {name: walker.node(name) for name in records}
    valid = {name: node.trusted(Verified) for name, node in nodes.items() if node.is_sound}
    manifests = sorted(
        {r.subject_digest for r in records.values() if _has_manifest(trust.store, r.subject_digest)}
    )
    played, number = Played(), 0
    for _, node in sorted(valid.items()):
        for path, digest in _slots(node, valid.keys(), manifests):
            for instead in valid if digest in valid else manifests:
                number += 1
                if number % every or instead == digest:
                    continue
                if digest in valid and _facts(valid[instead]) == _facts(valid[digest]):
                    continue  # it says the same: an honest one, too
                played.changes += 1
                if _passes(trust, overlay, walker, node, _with(node, path, instead)):
                    where = ".".join(map(str, path))
                    kind = (
                        f"{valid[instead].kind} {valid[instead].name}"
                        if instead in valid
                        else instead[:12]
                    )
                    played.holes.append(f"{node.kind} {node.name}: {where} takes {kind}")
        overlay.honest = overlay.changed = None
    return played


def _has_manifest(store: EvidenceStore, digest: str) -> bool:
    return store.manifest_path(digest).exists()


def _slots(
    node: Verified, known: Iterable[str], manifests: Iterable[str]
) -> Iterator[tuple[Path, str]]:
    """Each place in a statement that names a known statement or manifest."""
    wanted = {*known, *manifests}
    document = json.loads(node.bundle.statement.content)
    waiting: list[tuple[Path, Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, str) and value in wanted:
            yield path, value


def _with(node: Verified, path: Path, instead: str) -> Statement:
    document = replaced(json.loads(node.bundle.statement.content), path, instead)
    return statements.parse_statement(encoding.canonical_json(document))


def _passes(
    trust: Trust, overlay: Overlay, walker: LineageVerifier, node: Verified, changed: Statement
) -> bool:
    overlay.put(node.bundle, changed)
    try:
        made = walker.node(changed.digest)
        if not walker.verify("slot", "test", [made], with_files=False).trusted:
            return False
        return node.kind != "prediction batch" or not _problems(trust, changed)
    finally:
        walker._walk._nodes.pop(changed.digest, None)


def _problems(trust: Trust, changed: Statement) -> list[Reason]:
    """What whoever uses a prediction batch asks of it."""
    batch = read_batch(changed)
    scores = trust.lineage().node(batch.scores_statement) if batch.scores_statement else None
    return batch_problems(trust, batch, scores, changed.subject_digest)


def _facts(node: Verified) -> object:
    """All that a statement says which counts where it is used: who says what about what."""
    said = node.bundle.statement
    if isinstance(node, Decision):
        facts = node.summary
        return (
            said.subject_digest,
            facts.gate,
            facts.allowed,
            encoding.canonical_json(facts.facts),
        )
    if isinstance(node, Judgement):
        found = node.contract
        return (said.subject_digest, found.suite, found.failed, found.rows)
    return said.digest
