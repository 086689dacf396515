"""Make a model again from its raw days, by its own commits and locks, and compare all bytes.

Each step is done by the commit and in the environment that its own verified statement names. What
comes out is held against the signed digests: the same bytes at every step, or the first file that
differs. Nothing is signed, and nothing of it is kept but environments.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.investigate.checkouts import Checkouts
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.recipes import (
    TRAINING_SET,
    Recipe,
    Source,
    features_used,
    of_evidence,
)
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.investigate.symptoms import model_of
from fraud_provenance.investigate.unlike import Unlike, first_difference
from fraud_provenance.investigate.why import bytes_of, raw_days
from fraud_provenance.models.facts import MODEL, collect_model
from fraud_provenance.models.registry import Registry
from fraud_provenance.predictions.batch import FEATURES
from fraud_provenance.predictions.rows import Comparison

_FEATURES, _TRAIN = "features", "train"


@dataclass(frozen=True)
class File:
    """One file that was made again. `unlike`: where it differs, None where it does not."""

    step: str
    name: str
    signed: str
    made: str
    unlike: Unlike | None

    @property
    def place(self) -> str:
        """Step, file and column or path, as far as there is one."""
        inner = f", {self.unlike.place}" if self.unlike and self.unlike.place else ""
        return f"{self.step}: {self.name}{inner}"


@dataclass
class Reproduced:
    """What came out.

    Attributes:
        subject: As asked.
        verdict: On the model's evidence; where it is not trusted nothing was made.
        raw: How many raw days were read, each with its signed digest.
        files: What was made again, in order; only the last one can differ.
        ran: Step → the commits and environments that it was done by.
        not_compared: Files of the model that name the run that wrote them.
    """

    subject: str
    verdict: Verdict
    raw: int = 0
    files: list[File] = field(default_factory=list)
    ran: dict[str, list[str]] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)

    @property
    def different(self) -> File | None:
        """The first file that differs."""
        return next((item for item in self.files if item.unlike), None)

    @property
    def exit_code(self) -> int:
        """0 the same bytes, 1 they differ or a link is broken, 2 could not decide."""
        return self.verdict.exit_code or int(self.different is not None)

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        if self.verdict.exit_code:
            return f"{self.subject} is not made again: {self.verdict.reasons[0]}"
        if (odd := self.different) and odd.unlike:
            return f"{self.subject} differs first at {odd.place}: {odd.unlike.what}"
        return (
            f"{self.subject} comes out again: the same bytes in all {len(self.files)} files, "
            f"from {self.raw} raw days"
        )


@dataclass(frozen=True)
class FeatureDay:
    """One day of features, the statement that made it, and the raw days in its windows."""

    node: Materialisation
    entry: FileEntry
    raw: Mapping[str, Source]

    @property
    def ground(self) -> tuple[str, ...]:
        """What one run of the features shares: commit, lock, installed packages."""
        return ground_of(self.node.provenance)


def ground_of(said: Provenance) -> tuple[str, str, str]:
    """(commit, lock, installed packages) of a step, as it signed them.

    Raises:
        ConfigError: GIT_DIRTY, no commit is its code; EVIDENCE_MISSING, it names no lock.
    """
    commit = str(said.outputs.get("git_commit", ""))
    if said.outputs.get("git_dirty") or not commit:
        why = "it was made from a work tree that is no commit, so nobody has its code"
        raise ConfigError(reason(ProductCause.GIT_DIRTY, why, artifact=said.asset))
    lock, packages = said.material("lock"), said.material("environment")
    if lock is None:
        raise ConfigError(
            reason(RootCause.EVIDENCE_MISSING, "it names no lock", artifact=said.asset)
        )
    return commit, lock.digest, packages.digest if packages else ""


def reproduce(
    trust: Trust, registry: Registry, project: Path, subject: str, say: Callable[[str], None]
) -> Reproduced:
    """Make a model again and compare.

    Args:
        trust: The opened home.
        registry: Its model registry.
        project: Today's work tree; its repository should know the commits.
        subject: A model, as `trace` spells it.
        say: Told what is done now.

    Raises:
        ConfigError: USAGE, it is no model; GIT_DIRTY. EvidenceError: raw bytes are gone.
        BackendError: a commit, an environment or a step cannot be had here.
    """
    digest = model_of(trust, registry, subject)
    if not digest:
        verdict = verify_subject(trust, registry, subject)
        if verdict.exit_code:
            return Reproduced(subject, verdict)
        why = f"{subject!r} names no model that evidence knows"
        raise ConfigError(reason(RootCause.USAGE, why))
    say("verifying the model's evidence")
    evidence = collect_model(trust, trust.policies.current(), digest)
    found = Reproduced(subject, evidence.verdict)
    if evidence.verdict.exit_code:
        return found
    recipe = of_evidence(evidence, subject)
    with _scratch(trust.home) as scratch:
        cache = trust.home / "cache" / "environments"
        checkouts = Checkouts(Past(trust, project), project, scratch, cache, say)
        _Making(trust, recipe, checkouts, found).all()
    return found


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """An empty folder, one at a time in a home: what a kill left there goes first."""
    with files.exclusive_lock(home / "run" / "reproduce.lock"):
        folder = home / "scratch" / "reproduce"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Making:
    trust: Trust
    recipe: Recipe
    checkouts: Checkouts
    found: Reproduced
    _count: int = 0

    def all(self) -> None:
        """Every step, up to the first that differs."""
        model, joined = self.recipe.made[MODEL], self.recipe.made[TRAINING_SET]
        days = feature_days(joined)
        for node in (model, joined, *(day.node for day in days)):
            ground_of(node.provenance)  # said before anything is made
        self.found.raw = len(self.recipe.raw)
        made = self._features(days)
        if made is None:
            return
        parts = {name: list(own) for name, own in self.recipe.parts().items()}
        asked = {"step": TRAINING_SET, "features": made, "parts": parts}
        out = self._run(joined, asked)
        if not all(self._same(TRAINING_SET, joined, entry, out / f"{entry.partition}.parquet")
                   for entry in joined.entries):  # fmt: skip
            return
        asked = {"step": _TRAIN, "train": str(out / f"{_TRAIN}.parquet"),
                 "parameters": dict(self.recipe.parameters)}  # fmt: skip
        self._model(model, self._run(model, asked))

    def _model(self, model: Materialisation, out: Path) -> None:
        again = [entry for entry in model.entries if (out / entry.path).is_file()]
        self.found.not_compared = [entry.path for entry in model.entries if entry not in again]
        for entry in sorted(again, key=lambda entry: not entry.path.endswith(".ubj")):
            if not self._same(MODEL, model, entry, out / entry.path):
                return

    def _features(self, days: Sequence[FeatureDay]) -> dict[str, str] | None:
        """Day → the file of its features; None if one differs."""
        made: dict[str, str] = {}
        for group in grouped(days):
            raw = {day: source for item in group for day, source in item.raw.items()}
            folder = self._folder("raw")
            folder.mkdir()
            for day, source in sorted(raw.items()):
                content = bytes_of(self.trust, source.node, source.entry)
                (folder / f"{day}.parquet").write_bytes(content)
            wanted = [item.entry.partition for item in group]
            out = self._run(group[0].node, {"step": _FEATURES, "raw": str(folder), "days": wanted})
            for item in group:
                path = out / f"{item.entry.partition}.parquet"
                if not self._same(FEATURES, item.node, item.entry, path):
                    return None
                made[item.entry.partition] = str(path)
        return made

    def _run(self, node: Materialisation, asked: Mapping[str, Any]) -> Path:
        commit, lock, installed = ground_of(node.provenance)
        environment = self.checkouts.environment(commit, lock, installed)
        span = f" of {len(asked['days'])} days" if "days" in asked else ""
        self.checkouts.say(f"{node.name}{span} by commit {commit[:12]}")
        out = self._folder("out")
        self.checkouts.run(commit, environment, asked, out)
        by = f"commit {commit[:12]}, {environment.origin}"
        if by not in (known := self.found.ran.setdefault(node.name, [])):
            known.append(by)
        return out

    def _folder(self, kind: str) -> Path:
        self._count += 1
        return self.checkouts.scratch / f"{kind}-{self._count}"

    def _same(self, step: str, node: Node, entry: FileEntry, path: Path) -> bool:
        """Compare one file and note it."""
        made = path.read_bytes() if path.is_file() else b""
        digest = encoding.digest_bytes(made)
        unlike = None if digest == entry.sha256 else self._unlike(node, entry, made)
        self.found.files.append(File(step, entry.path, entry.sha256, digest, unlike))
        return unlike is None

    def _unlike(self, node: Node, entry: FileEntry, made: bytes) -> Unlike:
        if not made:
            return Unlike("", "nothing came out")
        try:
            if node.name == MODEL:
                Comparison(self.trust).model(self.recipe.model)  # judged before it is loaded
            signed = bytes_of(self.trust, node, entry)
        except ProvenanceError:
            return Unlike("", "the signed bytes are not kept, so that no column can be named")
        return first_difference(entry.path, signed, made) or Unlike("", "other bytes")


def feature_days(training_set: Node) -> list[FeatureDay]:
    """The days of features that a training set was made from, in order."""
    found = [
        FeatureDay(node, entry, {source.partition: Source(made.expect(Materialisation), source)
                                 for made, source in raw_days(node, entry)})
        for node, entry in features_used(training_set)
    ]  # fmt: skip
    return sorted(found, key=lambda item: item.entry.partition)


def grouped(days: Sequence[FeatureDay]) -> list[list[FeatureDay]]:
    """Days that can be made in one run: of one ground, and each sees the raw days it saw then."""
    groups: list[list[FeatureDay]] = []
    for item in days:
        for group in groups:
            if group[0].ground == item.ground and _agree([*group, item]):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def _agree(days: Sequence[FeatureDay]) -> bool:
    """Whether among all raw days together, those in each day's windows are its own."""
    from fraud_provenance.fraud.recompute import LOOK_BACK_DAYS

    everything: dict[str, str] = {}
    for item in days:
        for day, source in item.raw.items():
            if everything.setdefault(day, source.sha256) != source.sha256:
                return False
    for item in days:
        day = item.entry.partition
        first = min([str(date.fromisoformat(day) - timedelta(days=LOOK_BACK_DAYS)), *item.raw])
        if {other for other in everything if first <= other <= day} != item.raw.keys():
            return False
    return True
