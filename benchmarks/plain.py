"""The graph as it would be without provenance.

Plain files, no digest, policy, signature or check of evidence. DVC, dbt, Feast, MLflow, the
contracts and Dagster's events stay as they are.

`install` puts these stand-ins where the product's modules name the real things, in the process
that calls it and nowhere else. What an ordinary pipeline does anyway is done here too: failed days
are kept out, the model is registered and named by its aliases, MLflow learns the git commit.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from fraud_provenance.attested.attestors.ran import Attestor, CodeFacts, Known
from fraud_provenance.attested.lineage.nodes import Declaration
from fraud_provenance.due.ground import Surroundings
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, Registry

NO_DIGEST = "0" * 64
MODEL = "fraud_model"


@dataclass(frozen=True)
class PlainFile:
    """One file of an asset; its bytes are read when somebody wants them."""

    partition: str
    name: str
    path: Path
    sha256: str = NO_DIGEST
    made_from: tuple[str, ...] = (NO_DIGEST,)

    @cached_property
    def content(self) -> bytes:
        """The file's bytes, of whatever is there."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class PlainManifest:
    """The names of some files of one asset."""

    asset: str
    entries: tuple[Any, ...]
    digest: str = NO_DIGEST

    def select(self, partitions: Iterable[str]) -> "PlainManifest":
        """The part that concerns `partitions`."""
        wanted = set(partitions)
        chosen = tuple(entry for entry in self.entries if entry.partition in wanted)
        return PlainManifest(self.asset, chosen)


@dataclass(frozen=True)
class PlainInput:
    """What one `read` handed over."""

    asset: str
    files: tuple[PlainFile, ...]

    @property
    def nodes(self) -> tuple[None, ...]:
        """One statement, which nobody made."""
        return (None,)

    @property
    def view(self) -> PlainManifest:
        """The files as a manifest."""
        return PlainManifest(self.asset, self.files)

    @property
    def digests(self) -> dict[str, str]:
        """Partition → no digest."""
        return {item.partition: item.sha256 for item in self.files}

    def export(self, folder: Path) -> Path:
        """Links to the files: nothing needs a private copy where nothing was verified."""
        folder.mkdir(parents=True, exist_ok=True)
        for item in self.files:
            (folder / item.path.name).symlink_to(item.path)
        return folder


class Done:
    """Stands for a signature: there already, worth nothing."""

    def __init__(self) -> None:
        self.statement = SimpleNamespace(digest=NO_DIGEST)
        self.identity = "nobody"
        self.log_index = -1
        self.signed_at = datetime.now(UTC)
        self.bundle_digest = NO_DIGEST

    def result(self) -> "Done":
        """Itself: there is nothing to wait for."""
        return self


class PlainStore:
    """What lies in the home, by name; and which days broke a contract."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._results = home / "run" / "contracts.json"

    def files(self, asset: str) -> dict[str, list[PlainFile]]:
        """Partition → its files, from the names on disk."""
        if asset == MODEL:
            models = self.home / "mlflow" / "artifacts" / "models"
            return {
                folder.name: [
                    PlainFile(folder.name, path.relative_to(folder / "artifacts").as_posix(), path)
                    for path in sorted((folder / "artifacts").rglob("*"))
                    if path.is_file()
                ]
                for folder in sorted(models.glob("m-*"))
            }
        data = self.home / "data"
        return {
            path.stem: [PlainFile(path.stem, path.relative_to(data).as_posix(), path)]
            for path in sorted((data / asset).glob("*"))
            if path.suffix in (".parquet", ".json")
        }

    def heads(self, asset: str) -> dict[str, list[Any]]:
        """Partition → its files, with a sequence by age."""
        found = self.files(asset)
        return {
            partition: [
                SimpleNamespace(
                    asset=asset,
                    partition=partition,
                    path=item.name,
                    sha256=item.sha256,
                    statement="",
                    sequence=item.path.stat().st_mtime_ns,
                )
                for item in items
            ]
            for partition, items in found.items()
        }

    def contract_results(self, asset: str) -> dict[tuple[str, str], dict[str, Any]]:
        """(partition, no digest) → suite → result."""
        return {
            (partition, NO_DIGEST): {
                suite: SimpleNamespace(suite=suite, result=result)
                for suite, result in suites.items()
            }
            for partition, suites in self._read().get(asset, {}).items()
        }

    def put_results(self, asset: str, suite: str, results: Mapping[str, str]) -> None:
        """Remember what a contract found."""
        known = self._read()
        for partition, result in results.items():
            known.setdefault(asset, {}).setdefault(partition, {})[suite] = result
        self._results.write_text(json.dumps(known), "utf-8")

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        found: dict[str, dict[str, dict[str, str]]] = (
            json.loads(self._results.read_text("utf-8")) if self._results.exists() else {}
        )
        return found

    def failed(self, asset: str) -> set[str]:
        """The partitions that broke a contract."""
        found = self._read().get(asset, {})
        return {day for day, suites in found.items() if "FAILED" in suites.values()}


class PlainPolicies:
    """The thresholds of the contracts, as they lie in the project; no policy."""

    layout = None
    digest = NO_DIGEST

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def current(self) -> Self:
        """Itself."""
        return self

    def data(self, name: str) -> Any:  # noqa: ANN401 - a JSON document
        """A document of `policies/data/`."""
        return json.loads((self._folder / "data" / f"{name}.json").read_bytes())

    optional = data


class PlainSigning:
    """Signs nothing."""

    def sign(self, *_: object) -> Done:
        """Nothing, at once."""
        return Done()

    def sign_model(self, *_: object) -> Done:
        """Nothing, at once."""
        return Done()


@dataclass
class PlainTrust:
    """What the bodies of assets ask a workspace's trust for."""

    home: Path
    store: PlainStore
    policies: PlainPolicies
    signing: PlainSigning = field(default_factory=PlainSigning)

    def lineage(self) -> Any:  # noqa: ANN401 - stands in for another class
        """No lineage: every statement is nothing."""
        return SimpleNamespace(node=lambda statement: None, waivers=lambda asset: {})


class PlainWorkspace(Workspace):
    """The home's folders, with nothing behind them that signs or verifies."""

    @cached_property
    def store(self) -> Any:  # noqa: ANN401 - stands in for another class
        """Files by name."""
        return PlainStore(self.home)

    @cached_property
    def trust(self) -> Any:  # noqa: ANN401 - stands in for another class
        """No trust."""
        return PlainTrust(self.home, self.store, PlainPolicies(self.policies_folder))

    @cached_property
    def attestor(self) -> Attestor:
        """The git commit, which MLflow records of every run; nothing else is looked at."""
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=self.project, check=False, capture_output=True, text=True,
        )  # fmt: skip
        return Known(CodeFacts(done.stdout.strip(), git_dirty=False, materials=()))


@dataclass
class PlainCatalogue:
    """What is there, as nobody signed it: no result, no acceptance."""

    store: PlainStore

    def frees(self, head: object, result: object) -> bool:
        """Nobody accepts anything."""
        return False

    def is_accepted(
        self, item: object, asset: str, suite: str, findings: Iterable[Mapping[str, Any]]
    ) -> bool:
        """Nobody accepts anything."""
        return False

    def newest_result(self, asset: str, suite: str) -> Any:  # noqa: ANN401
        """No result is signed."""

    def usable(
        self,
        asset: str,
        partitions: Iterable[str] | None = None,
        *,
        step: str,
        with_outdated: bool = False,
    ) -> Any:  # noqa: ANN401
        """The partitions on disk that broke no contract."""
        known = self.store.files(asset).keys()
        failed = self.store.failed(asset)
        asked = sorted(known) if partitions is None else sorted(set(partitions))
        good = tuple(day for day in asked if day in known and day not in failed)
        refused = {day: f"{day} broke a contract or is not there" for day in {*asked} - {*good}}
        return SimpleNamespace(partitions=good, refused=refused)


@dataclass
class PlainStep:
    """`Step` without gates: the same calls, plain files."""

    trust: Any
    name: str
    run_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    location: str = "data"

    def __post_init__(self) -> None:
        """Nothing to prepare."""
        self.policy = self.trust.policies.current()
        self.identity, self.catalogue = None, PlainCatalogue(self.trust.store)
        self._written: list[PlainFile] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was staged."""

    def usable(self, asset: str, partitions: Iterable[str] | None = None, step: str = "") -> Any:  # noqa: ANN401
        """The partitions on disk that broke no contract."""
        return self.catalogue.usable(asset, partitions, step=step)

    def would_go_back(self, partition: str, path: str, content: bytes) -> bool:
        """Nobody knows what was there before."""
        return False

    def read(self, asset: str, partitions: Iterable[str], purpose: str = "") -> PlainInput:
        """The files of `partitions`, as they lie there."""
        known = self.trust.store.files(asset)
        chosen = [item for partition in sorted(set(partitions)) for item in known[partition]]
        return PlainInput(asset, tuple(chosen))

    def read_statement(self, statement: str, purpose: str = "") -> PlainInput:
        """The model of that id: without evidence its id is all that names it."""
        return self.read(MODEL, [statement], purpose)

    def require_current_code(self, read: PlainInput) -> None:
        """Nobody says what made it."""

    def read_source(self, asset: str, paths: Mapping[str, Path]) -> PlainInput:
        """The files named."""
        named = [
            PlainFile(day, f"{asset}/{path.name}", path) for day, path in sorted(paths.items())
        ]
        return PlainInput(asset, tuple(named))

    def carry_source(self, view: object) -> None:
        """Nothing."""

    def write(self, partition: str, path: str, content: bytes, made_from: Iterable[str]) -> str:
        """Write the file where it belongs."""
        target = self.trust.home / self.location / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self._written.append(PlainFile(partition, path, target))
        return NO_DIGEST

    def adopt(self, location: str, partition: str, made_from: Iterable[str]) -> None:
        """The folder stays as the library wrote it."""

    def commit(
        self,
        outputs: Mapping[str, Any] | None = None,
        *,
        finish: Callable[..., Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """What was written, under the step's own name; nothing is left to finish."""
        manifest = PlainManifest(self.name, tuple(self._written))
        return SimpleNamespace(manifest=manifest, bundle=Done(), sequence=0)

    def attest_contract(
        self,
        view: PlainManifest,
        *,
        suite: str,
        suite_digest: str,
        checks: tuple[str, ...],
        failures: list[dict[str, Any]],
        rows: Mapping[str, int],
        warnings: Sequence[Mapping[str, Any]] = (),
        held: Sequence[Mapping[str, Any]] = (),
        waivers: Mapping[str, str] | None = None,
        history: str = "",
        ground: Mapping[str, str] | None = None,
    ) -> Done:
        """Remember which days failed."""
        bad = {item["day"] for item in (*failures, *held)}
        results = {
            entry.partition: "FAILED" if entry.partition in bad else "PASSED"
            for entry in view.entries
        }
        self.trust.store.put_results(view.asset, suite, results)
        return Done()

    def attest_bom(self, name: str, digest: str, bom: Mapping[str, Any]) -> Done:
        """Nothing."""
        return Done()

    def join_reads(self) -> None:
        """Nothing to wait for."""


# --- registration, promotion and scoring without a gate ------------------------------------------


def newest(trust: PlainTrust) -> str:
    """The model id of the newest model on disk."""
    heads = trust.store.heads(MODEL)
    return max(heads, key=lambda model: heads[model][0].sequence)


def register_candidate(trust: PlainTrust, registry: Registry, digest: str) -> str:
    """Register the newest model under its MLflow run and name it candidate."""
    from mlflow import MlflowClient

    model_id = newest(trust)
    logged = MlflowClient(tracking_uri=registry.uri).get_logged_model(model_id)
    version = registry.register(model_id, logged.source_run_id, {})
    current = registry.alias(CANDIDATE)
    registry.move(CANDIDATE, current.version if current else "", version)
    return version


def promote(trust: PlainTrust, registry: Registry, cosign: Callable[[], Path]) -> Any:  # noqa: ANN401
    """Name the candidate champion."""
    candidate, champion = registry.alias(CANDIDATE), registry.alias(CHAMPION)
    assert candidate is not None  # noqa: S101 - the job before this one registered it
    registry.move(CHAMPION, champion.version if champion else "", candidate.version)
    return find_champion(trust, registry)


def find_champion(trust: PlainTrust, registry: Registry, policy: object = None) -> Any:  # noqa: ANN401
    """Whatever the alias names."""
    champion = registry.alias(CHAMPION)
    assert champion is not None  # noqa: S101 - the job before this one named it
    return SimpleNamespace(
        version=champion.version,
        evidence=SimpleNamespace(
            model_id=champion.model_id,
            digest=NO_DIGEST,
            model=SimpleNamespace(statement=champion.model_id),
        ),
        decision=SimpleNamespace(statement="", bundle=None, children=[]),
    )


def _unjudged_days(workspace: Workspace, asset: str, suites: Sequence[str]) -> list[str]:
    """Days that not every suite has judged."""
    results = workspace.store.contract_results(asset)
    known = workspace.store.heads(asset)
    return sorted(day for day in known if set(suites) - results.get((day, NO_DIGEST), {}).keys())


def _split_asked_for(workspace: Workspace, step: Any, read: object) -> Any:  # noqa: ANN401
    """The split that training chose: the same days are usable."""
    from fraud_provenance.fraud.model import TrainingConfig, resolve_split

    return resolve_split(TrainingConfig(), step.usable("transaction_features").partitions, {})


def _judge_scores(workspace: Any, run_id: str, days: Sequence[str]) -> Any:  # noqa: ANN401
    """Compare scores with features and the champion's own output, and remember what failed."""
    from fraud_provenance.defs import score_contracts, support
    from fraud_provenance.fraud.score_checks import check_scores

    with PlainStep(workspace.trust, "contracts", run_id) as step:
        read = step.read("transaction_scores", days)
        features = support.frames_of(step.read("transaction_features", days))  # type: ignore[arg-type]  # plain
        champion = find_champion(workspace.trust, registry_of(workspace))
        model = step.read_statement(champion.evidence.model_id)
        ubj, contract = _model_files(workspace, step, model)
        report = check_scores(score_contracts._tables(read), features, ubj, contract)  # type: ignore[arg-type]  # plain
        failures = [failure.public() for failure in report.failures]
        step.attest_contract(
            read.view, suite=report.suite, suite_digest=NO_DIGEST, checks=report.checks,
            failures=failures, rows=report.rows,
        )  # fmt: skip
    return report


def _surroundings(workspace: Workspace, asset: str, policy: object) -> Surroundings:
    """The days on disk that broke no contract."""
    known = dict.fromkeys(workspace.store.heads(asset), NO_DIGEST)
    failed = workspace.trust.store.failed(asset)  # type: ignore[attr-defined]  # plain
    usable = {day: what for day, what in known.items() if day not in failed}
    return Surroundings(usable, known, {}, "")


def _evidence_metadata(workspace: Workspace, made: object, rows: object = None) -> dict[str, Any]:
    return {"git_commit": workspace.code_facts.git_commit}


def _open_serving(workspace: Workspace) -> Any:  # noqa: ANN401
    """Whatever the alias names, for as long as anyone likes."""
    registry = registry_of(workspace)
    return SimpleNamespace(
        champion=lambda: find_champion(workspace.trust, registry),  # type: ignore[arg-type]  # plain
        confirm=lambda: None,
    )


def _model_files(workspace: Workspace, step: object, read: Any) -> tuple[bytes, Any]:  # noqa: ANN401
    """(UBJ bytes, feature contract), unseen."""
    files = {item.name: item.content for item in read.files}
    return files["model.ubj"], json.loads(files["feature_contract.json"])


def _batch_about(trust: object, scores: object) -> Any:  # noqa: ANN401
    unsigned: Any = SimpleNamespace(statement=None)
    return Declaration(kind="", name="", statement="", bundle=unsigned, said=None)


def _read_batch(statement: object) -> Any:  # noqa: ANN401
    return SimpleNamespace(batches=defaultdict(lambda: SimpleNamespace(merkle_root="")))


_NO_VERDICT = SimpleNamespace(trusted=True, decided=True, links=(), root_cause=None, reasons=())


def _replacements() -> Iterator[tuple[object, object]]:
    """(the product's own, what stands in for it)."""
    from fraud_provenance.attested.step import catalogue, staging
    from fraud_provenance.attested.step import step as gate
    from fraud_provenance.defs import (
        raw_history,
        score_contracts,
        shown,
        tracking,
        training,
        training_contract,
        verification,
    )
    from fraud_provenance.due import ground, planning
    from fraud_provenance.fraud.summaries import summarise
    from fraud_provenance.home import session
    from fraud_provenance.models import facts

    yield gate.Step, PlainStep
    yield catalogue.catalogue_of, lambda trust: PlainCatalogue(trust.store)
    yield staging.recover, lambda trust, finish=None: []
    yield Workspace, PlainWorkspace
    yield shown.evidence_metadata, _evidence_metadata
    yield verification.verdict_on, lambda workspace, asset, days=(): _NO_VERDICT
    yield shown.decision_metadata, lambda workspace, decision, subject: {}
    yield shown.champion_metadata, lambda workspace, live: {}
    yield shown.what_waits, lambda workspace, registry: "nothing"
    yield shown.metrics_of, lambda trust, digest: {}
    yield tracking.page_of, lambda training_set: "index.html"
    yield tracking.data_versions_of, lambda workspace, training_set: []
    yield shown.evaluated_alert_rate, lambda champion: None
    yield raw_history.summaries_of, lambda workspace, step, frames, sha256: summarise(frames)
    yield raw_history.keep, lambda *_: ""
    yield planning.unjudged_days, _unjudged_days
    yield ground.surroundings, _surroundings
    yield ground.accepted, lambda workspace, asset, day, sha256: ""
    yield ground.moved_days, lambda workspace, asset: []
    yield (
        planning.judgeable_scores,
        lambda workspace: sorted(workspace.store.heads("transaction_scores")),
    )
    yield planning.scores_to_judge, lambda workspace: []
    yield training_contract._split_asked_for, _split_asked_for
    yield (
        training_contract._features_of,
        lambda step, read, asked: step.read("transaction_features", asked.days),
    )
    yield score_contracts.judge_scores, _judge_scores
    yield training.model_files, _model_files
    yield facts.model_statement, lambda trust, digest: newest(trust)
    yield session.keep, lambda workspace, run_id: workspace
    yield from _replacements_of_release()


def _replacements_of_release() -> Iterator[tuple[object, object]]:
    """The same for what registers, promotes and scores."""
    from fraud_provenance.defs import release, scoring
    from fraud_provenance.models import copies, promotion, registration
    from fraud_provenance.predictions import batch as prediction_batch
    from fraud_provenance.predictions import log as prediction_log

    yield promotion.digest_of_model, lambda trust, model_id: NO_DIGEST
    yield release._note, lambda *_: None
    yield release._refuse_unsafe_model, lambda *_: None
    yield registration.register_candidate, register_candidate
    yield registration.registration_of, lambda *_: SimpleNamespace(expect=lambda kind: None)
    yield promotion.promote, promote
    yield copies.copy_problems, lambda trust, registry: []
    yield promotion.find_champion, find_champion
    yield scoring.open_serving, _open_serving
    yield prediction_batch.leaves, lambda scored: ()
    yield prediction_batch.leaf_hashes, lambda rows: b""
    yield prediction_batch.read_batch, _read_batch
    yield prediction_log.batch_about, _batch_about
    yield prediction_log.batch_metadata, lambda signed: {}


def install() -> None:
    """Replace, in every loaded module of the product, the names of the real things.

    Load all that will run before calling this. There is no way back: the process ends as it is.
    """
    modules = [
        module for name, module in sorted(sys.modules.items()) if name.startswith("fraud_prov")
    ]
    for real, plain in list(_replacements()):
        places = [
            (module, name)
            for module in modules
            for name, value in vars(module).items()
            if value is real
        ]
        if not places:
            raise RuntimeError(f"nothing names {real!r} any more: bring benchmarks/plain.py up")
        for module, name in places:
            setattr(module, name, plain)
