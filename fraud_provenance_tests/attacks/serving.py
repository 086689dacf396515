"""Tools for cases about models and scores: the model's files, the registry's rows, loading."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from fraud_provenance.attested.lineage.artifacts import Artifacts
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due.planning import registry_of
from fraud_provenance.due.trainings import newest_model
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import MODEL, collect_model, model_statement, registration_input
from fraud_provenance.models.registry import CANDIDATE
from fraud_provenance_tests.attacks.bundles import as_of_now
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import question
from fraud_provenance_tests.attacks.mutants import both, without

TREES = "model.ubj"
FilesChange = Callable[[dict[str, bytes]], None]
"""What is done to a model's files, by name."""


# --- judges ----------------------------------------------------------------------------------


def _load(workspace: Workspace) -> None:
    """What scoring does before it scores, and its last look before it signs."""
    from fraud_provenance.defs import scoring

    lease = scoring.open_serving(workspace)
    with Step(workspace.trust, "score", "judge") as step:
        read = step.read_statement(lease.champion().evidence.model.statement)
        scoring.model_files(workspace, step, read)
        lease.confirm()


def _evaluate(workspace: Workspace) -> None:
    """What evaluation does before it measures the newest model."""
    from fraud_provenance.defs import training

    with Step(workspace.trust, "evaluate", "judge") as step:
        digest = promotion.digest_of_model(workspace.trust, newest_model(workspace))
        read = step.read_statement(model_statement(workspace.trust, digest))
        training.model_files(workspace, step, read)


def _candidate(workspace: Workspace) -> None:
    """What a promotion does first: the candidate's evidence, walked and made into facts."""
    trust = workspace.trust
    named = registry_of(workspace).alias(CANDIDATE)
    assert named is not None
    digest = promotion.digest_of_model(trust, named.model_id)
    policy = trust.policies.current()
    registration_input(trust, policy, collect_model(trust, policy, digest))


load = question("P5", _load)
evaluate = question("P2", _evaluate)
candidate = question("P3", _candidate)


# --- the model's files -----------------------------------------------------------------------


def model_folder(home: Home) -> Path:
    """The newest model's folder."""
    return next((home.path / "mlflow" / "artifacts" / "models").iterdir()) / "artifacts"


def other_trees(content: bytes) -> bytes:
    """The same model but for one weight: as well formed as the original."""
    start = content.index(b"base_weights[$d#L") + len(b"base_weights[$d#L") + 8
    return content[:start] + b"\x3f\x12\x34\x56" + content[start + 4 :]


def unchanged(files: dict[str, bytes]) -> None:
    """The honest model under another name."""


def forged_model(change: FilesChange) -> Callable[[Home], None]:
    """An attack: the training step signs another model folder, `change` having had its files."""

    def attack(home: Home) -> None:
        source = model_folder(home)
        files = {path.name: path.read_bytes() for path in source.iterdir()}
        change(files)
        location = "mlflow/artifacts/models/m-0123456789abcdef/artifacts"
        folder = home.path / location
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        resign(home, MODEL, {"location": location, "model_id": "m-forged"}, folder)

    return attack


def resign(
    home: Home,
    asset: str,
    outputs: Mapping[str, Any],
    folder: Path | None = None,
    lie: Callable[[dict[str, Any]], None] = lambda _predicate: None,
    made_from: Sequence[str] = (),
) -> str:
    """The asset's step signs its newest statement again with other outputs; returns its digest.

    With `folder`, the statement is about that folder's files, as another partition, `made_from`
    these bytes. `lie` has its way with the predicate.
    """
    from fraud_provenance.attested.core import encoding

    trust = home.workspace().trust
    record = trust.store.records(predicate_type=statements.PROVENANCE, asset=asset)[-1]
    node = trust.lineage().node(record.statement)
    assert node.bundle is not None
    assert node.manifest is not None
    manifest = node.manifest
    if folder is not None:
        entries = [
            FileEntry(
                path=path.name,
                partition=str(outputs["model_id"]),
                size=path.stat().st_size,
                sha256=encoding.digest_bytes(path.read_bytes()),
                made_from=tuple(made_from) or manifest.entries[0].made_from,
            )
            for path in sorted(folder.iterdir())
        ]
        manifest = Manifest.of(asset, entries)
        trust.store.put_manifest(manifest)
    predicate = as_of_now(deepcopy(node.bundle.statement.predicate))
    sequence, previous = trust.lineage().versions.next(asset)
    internal = predicate["buildDefinition"]["internalParameters"]
    internal |= {"sequence": sequence, "previous": previous}
    predicate["runDetails"]["byproducts"][0]["annotations"] |= dict(outputs)
    lie(predicate)
    made = statements.build_statement(statements.PROVENANCE, asset, manifest.digest, predicate)
    return trust.signing.sign(made, node.bundle.identity).statement.digest


def resigned_signature(ignore: list[str]) -> Callable[[Home], None]:
    """An attack: the model signature ignores more paths, and the model's statement names it."""

    def attack(home: Home) -> None:
        trust = home.workspace().trust
        record = trust.store.records(predicate_type=statements.MODEL_SIGNATURE)[-1]
        node = trust.lineage().node(record.statement)
        assert node.bundle is not None
        predicate = deepcopy(node.bundle.statement.predicate)
        predicate["serialization"]["ignore_paths"] += ignore
        predicate["again"] = True  # another statement than the honest one
        made = statements.build_statement(
            statements.MODEL_SIGNATURE, record.subject_name, record.subject_digest, predicate
        )
        trainer = Identity(issuer="workloads", subject="/steps/train")
        signed = trust.signing.sign(made, trainer)
        resign(home, MODEL, {"model_signature": signed.statement.digest})

    return attack


def _unhashed(
    artifacts: Artifacts, node: Node, entry: FileEntry, folder: Path | None = None
) -> bytes:
    return ((folder or artifacts.location(node)) / entry.path).read_bytes()


files_unchecked = both(without(Artifacts, "check", []),
                       lambda: patched(Artifacts, "read", _unhashed))  # fmt: skip
"""A mutant: what lies on the disk is handed over, whatever its digest."""


def rewritten(path: Callable[[Home], Path]) -> Callable[[Home], None]:
    """A twin: the same bytes in a new file."""

    def twin(home: Home) -> None:
        target = path(home)
        content = target.read_bytes()
        target.unlink()
        target.write_bytes(content)

    return twin


# --- the registry's rows ---------------------------------------------------------------------


def registry_rows(sql: str, *values: str) -> Callable[[Home], None]:
    """An attack: SQL on MLflow's database."""

    def attack(home: Home) -> None:
        connection = sqlite3.connect(home.path / "mlflow" / "mlflow.db")
        with connection:
            changed = connection.execute(sql, values).rowcount
        connection.close()
        assert changed > 0, "nothing was changed"

    return attack


def second_version(home: Home) -> str:
    """Register a copy of the champion's folder as a version of its own; returns its number."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home.path / 'mlflow' / 'mlflow.db'}")
    folder = model_folder(home)
    target = folder.parent.with_name("m-00000000000000000000000000000002") / "artifacts"
    shutil.copytree(folder, target)
    (target / TREES).write_bytes(other_trees((target / TREES).read_bytes()))
    version = client.get_model_version_by_alias("fraud_model", "candidate")
    connection = sqlite3.connect(home.path / "mlflow" / "mlflow.db")
    with connection:
        connection.execute(
            "insert into model_versions select name, 2, creation_time, last_updated_time, "
            "description, user_id, current_stage, replace(source, :old, :new), run_id, status, "
            "status_message, run_link, replace(storage_location, :old, :new), workspace "
            "from model_versions where version = :version",
            {
                "old": folder.parent.name,
                "new": target.parent.name,
                "version": version.version,
            },
        )
    connection.close()
    return "2"


def set_alias(home: Home, version: str) -> None:
    """Move the champion's alias by hand, over MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home.path / 'mlflow' / 'mlflow.db'}")
    client.set_registered_model_alias("fraud_model", "champion", version)


def json_of(content: bytes) -> dict[str, Any]:
    """A JSON object from bytes."""
    return dict(json.loads(content))
