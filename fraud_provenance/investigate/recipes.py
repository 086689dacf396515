"""What a model, or a day's scores, was made from: raw days, days of each part, parameters, code.

Read from statements that verified, so that it can be made again, and made again otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.investigate.why import raw_days
from fraud_provenance.models.facts import MODEL, ModelEvidence, collect_model
from fraud_provenance.predictions.batch import FEATURES, SCORES, scores_entry
from fraud_provenance.predictions.log import features_of

TRAINING_SET, EVALUATION = "training_set", "model_evaluation"
LENGTHS = ("train_days", "delay_days", "test_days")
PARTS = ("train", "delay", "test")


@dataclass(frozen=True)
class Source:
    """One attested file and the statement that attests it."""

    node: Materialisation
    entry: FileEntry

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self.entry.sha256


@dataclass
class Recipe:
    """All that one thing was made from.

    Attributes:
        subject: What people call it.
        roots: The statements of the thing itself; a path to a change begins there.
        raw: Day → the raw day's file.
        days: The days of all parts of the training, ascending.
        lengths: How many days each part has, by the parameter's name.
        parameters: Of the model, as its step signed them; `cards_per_day` among them.
        metrics: As the evaluation signed them.
        model: The digest of the model.
        scored: The day that was scored, where it is scores.
        commits: Step → the commit that made it; `dirty`: those made by a changed work tree.
        locks: Step → the SHA-256 of the lock.
    """

    subject: str
    roots: list[Node]
    raw: dict[str, Source] = field(default_factory=dict)
    days: tuple[str, ...] = ()
    lengths: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    model: str = ""
    scored: str = ""
    commits: dict[str, str] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    locks: dict[str, str] = field(default_factory=dict)
    library: str = ""
    made: dict[str, Materialisation] = field(default_factory=dict)
    """Asset → the statement that made it, of those that there is one of."""

    @property
    def commit(self) -> str:
        """The commit that the values were computed by: the model's, else the scores'."""
        return self.commits.get(MODEL) or self.commits.get(SCORES, "")

    @property
    def lock(self) -> str:
        """The lock of the step that `commit` is of."""
        return self.locks.get(MODEL) or self.locks.get(SCORES, "")

    def parts(self) -> dict[str, tuple[str, ...]]:
        """The days of train, delay and test."""
        found, start = {}, 0
        for part, name in zip(PARTS, LENGTHS, strict=True):
            found[part] = self.days[start : start + self.lengths[name]]
            start += self.lengths[name]
        return found


def of_model(trust: Trust, digest: str, subject: str = "") -> Recipe:
    """The recipe of a model, with its evaluation.

    Raises:
        VerificationError, EvidenceError: it, or something below it, does not hold.
    """
    evidence = collect_model(trust, trust.policies.current(), digest)
    return of_evidence(evidence, subject)


def of_evidence(evidence: ModelEvidence, subject: str = "") -> Recipe:
    """As `of_model`, of evidence that was collected."""
    trained = evidence.model.trusted(Materialisation)
    evaluated = evidence.evaluation.trusted(Materialisation)
    roots: list[Node] = [evaluated, trained]
    made = Recipe(subject or f"model {evidence.digest[:12]}", roots, model=evidence.digest)
    model, measured = trained.provenance, evaluated.provenance
    made.parameters = dict(model.parameters)
    made.library = str((model.outputs.get("library") or {}).get("version", ""))
    told = measured.outputs.get("metrics", {})
    made.metrics = {n: float(value) for n, value in told.items() if isinstance(value, float | int)}
    if "alert_rate" in measured.outputs:
        made.metrics["alert_rate"] = float(measured.outputs["alert_rate"])
    _note(made, trained, evaluated)
    sets = [child for child in _read(trained) if child.name == TRAINING_SET]
    if len(sets) != 1:
        why = f"{len(sets)} training sets below the model"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=TRAINING_SET))
    said = sets[0].provenance
    made.days = tuple(map(str, said.outputs.get("days", ())))
    made.lengths = {name: int(said.parameters.get(name, 0)) for name in LENGTHS}
    _note(made, sets[0])
    for features in _read(sets[0]):
        for entry in _used(features, sets[0]):
            _add_raw(made, features, entry)
    return made


def measured_before(trust: Trust, digest: str) -> tuple[Recipe, Recipe] | None:
    """One model as it was measured before, and as it is measured now; None if it was once only.

    Raises:
        As `of_model`.
    """
    now = collect_model(trust, trust.policies.current(), digest)
    model_id = str(now.made.outputs.get("model_id", ""))
    for head in reversed(trust.store.versions(EVALUATION, model_id)):
        node = trust.lineage().node(head.statement)
        if node.statement != now.evaluation.statement and node.is_sound:
            sides = of_evidence(replace(now, evaluation=node)), of_evidence(now)
            for side in sides:  # the trees are the same: what measured them is what differs
                side.commits[MODEL] = side.commits[EVALUATION]
                side.locks[MODEL] = side.locks.get(EVALUATION, "")
            return sides
    return None


def features_used(training_set: Node) -> list[tuple[Materialisation, FileEntry]]:
    """The feature files that a training set was made from, each by its newest statement."""
    found: dict[tuple[str, str], tuple[Materialisation, FileEntry]] = {}
    for features in sorted(_read(training_set), key=lambda node: node.provenance.sequence):
        for entry in _used(features, training_set):
            found[entry.partition, entry.sha256] = (features, entry)
    return [*found.values()]


def of_scores(trust: Trust, scores: Node, day: str, subject: str = "") -> Recipe:
    """The recipe of one day's scores: the day's own raw days, and the model's recipe.

    Raises:
        VerificationError, EvidenceError: they, or something below, do not hold.
    """
    said = scores.trusted(Materialisation)
    digests = {item.digest for item in said.provenance.materials if item.name == MODEL}
    if len(digests) != 1:
        why = f"the scores were made from {len(digests)} models"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=SCORES, partition=day))
    made = Recipe(subject or f"{SCORES}/{day}", [scores], model=digests.pop(), scored=day)
    _note(made, said)
    wanted = features_of(trust, said, day)
    for features in _read(scores):
        for entry in features.entries:
            if (features.name, entry.partition, entry.sha256) == (FEATURES, day, wanted):
                _add_raw(made, features, entry)
    return made


def with_training(trust: Trust, made: Recipe) -> Recipe:
    """A recipe of scores, and how their model was trained; the scores' raw days come first.

    Raises:
        As `of_model`.
    """
    trained = of_model(trust, made.model)
    made.raw = trained.raw | made.raw
    made.roots = [*made.roots, *trained.roots]
    made.days, made.lengths, made.parameters = trained.days, trained.lengths, trained.parameters
    made.metrics, made.library = trained.metrics, trained.library
    made.commits = trained.commits | made.commits
    made.locks = trained.locks | made.locks
    made.dirty |= trained.dirty
    made.made = trained.made | made.made
    return made


def entry_of(scores: Node, day: str) -> FileEntry:
    """The file of one day's scores."""
    return scores_entry(scores.entries, day)


def _note(made: Recipe, *nodes: Materialisation) -> None:
    for node in nodes:
        said = node.provenance
        made.made[said.asset] = node
        made.commits[said.asset] = str(said.outputs.get("git_commit", ""))
        if said.outputs.get("git_dirty"):
            made.dirty.add(said.asset)
        lock = next((item for item in said.materials if item.role == "lock"), None)
        if lock is not None:
            made.locks[said.asset] = lock.digest


def _read(node: Node) -> list[Materialisation]:
    """The materialisations that one read, under its decisions."""
    return [child for decision in node.children for child in decision.children
            if isinstance(child, Materialisation)]  # fmt: skip


def _used(features: Node, by: Node) -> Iterable[FileEntry]:
    sources = {digest for entry in by.entries for digest in entry.made_from}
    return [entry for entry in features.entries if entry.sha256 in sources]


def _add_raw(made: Recipe, features: Materialisation, entry: FileEntry) -> None:
    made.made.setdefault(FEATURES, features)
    made.commits.setdefault(FEATURES, str(features.provenance.outputs.get("git_commit", "")))
    for found, source in raw_days(features, entry):
        known, node = made.raw.get(source.partition), found.expect(Materialisation)
        if known is None or known.node.provenance.sequence < node.provenance.sequence:
            made.raw[source.partition] = Source(node, source)


def path_to(roots: Iterable[Node], target: str, *, to_broken: bool = False) -> tuple[Node, ...]:
    """The shortest way from a thing down to a statement; empty where there is none.

    Only sound statements are gone through: what does not hold proves nothing below it. On the way
    `to_broken` nothing is sound; it goes through what nothing is wrong with by itself.
    """
    waiting: list[tuple[Node, ...]] = [(node,) for node in roots]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop(0)
        node = way[-1]
        if node.statement == target:
            return way
        passable = not node.reasons if to_broken else node.is_sound
        if node.statement in seen or not passable:
            continue
        seen.add(node.statement)
        waiting += [(*way, child) for child in node.children]
    return ()
