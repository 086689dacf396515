"""RG, PT, SV, OP-04: registry, loading and the prediction log, judged where days are scored."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from fraud_provenance.attested.core import files
from fraud_provenance.attested.gates.decisions import sign_decision
from fraud_provenance.attested.gates.policy import Answer
from fraud_provenance.attested.lineage.artifacts import Artifacts
from fraud_provenance.attested.lineage.nodes import Decision, Node
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import champion as champions
from fraud_provenance.models import promotion, registration, registry, serving
from fraud_provenance.models.facts import MODEL
from fraud_provenance.models.registry import RegisteredVersion, Registry
from fraud_provenance.models.serving import ChampionLease
from fraud_provenance.predictions import audit as predictions
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import champion, command, outcome, question
from fraud_provenance_tests.attacks.model import Attack, Case, Outcome, nothing
from fraud_provenance_tests.attacks.mutants import both, without
from fraud_provenance_tests.attacks.serving import (
    TREES,
    files_unchecked,
    load,
    model_folder,
    other_trees,
    registry_rows,
    rewritten,
    second_version,
    set_alias,
)

SCORES = "transaction_scores"
NOTE = "update model_versions set description = 'looked at on Monday'"
ELSEWHERE = "update model_versions set storage_location = 'file:///elsewhere/m/artifacts'"
SOURCE = "update model_versions set source = ?"
OTHER_MODEL = "models:/m-00000000000000000000000000000002"


# --- the registry ----------------------------------------------------------------------------


def move_alias(home: Home) -> None:
    set_alias(home, second_version(home))


def set_alias_again(home: Home) -> None:
    set_alias(home, "1")


def decide_again(model_id: str, version: str) -> Attack:
    """The deployment gate allows a model after the one that the alias names."""

    def attack(home: Home) -> None:
        trust = home.workspace().trust
        policy = trust.policies.current()
        before = promotion.decisions_on(trust, policy, "deploy")[-1].expect(Decision)
        sign_decision(
            trust,
            policy,
            gate="deploy",
            name=MODEL,
            digest=before.bundle.statement.subject_digest,
            inputs=before.summary.inputs,
            facts={
                **before.summary.facts,
                "sequence": int(before.summary.facts["sequence"]) + 1,
                "previous": before.statement,
            }
            | ({"model_id": model_id, "version": version} if model_id else {}),
            answer=Answer(allowed=True, reasons=()),
        ).result()

    return attack


def _any_decision(alias: RegisteredVersion | None, allowed: list[Node]) -> Node:
    """A mutant's: whatever the alias names, some decision allowed something."""
    return allowed[0]


any_decision = both(
    lambda: patched(champions, "_current_decision", _any_decision),
    without(Registry, "check_location"),
)


def _register(workspace: Workspace) -> None:
    trust, store = workspace.trust, registry_of(workspace)
    heads = trust.store.heads(MODEL)
    registration.register_candidate(
        trust, store, promotion.digest_of_model(trust, next(iter(heads)))
    )


register = question("P2", _register)


def registry_gone(home: Home) -> None:
    (home.path / "mlflow" / "mlflow.db").unlink()


def registry_broken(home: Home) -> None:
    path = home.path / "mlflow" / "mlflow.db"
    path.write_bytes(b"down for maintenance" * 1000)


def vacuum_registry(home: Home) -> None:
    connection = sqlite3.connect(home.path / "mlflow" / "mlflow.db")
    connection.execute("vacuum")
    connection.close()


@contextmanager
def cached_champion() -> Iterator[None]:
    """The last champion's name stands in for a registry that cannot be asked."""

    def remembered(_registry: Registry, _alias: str) -> RegisteredVersion:
        return RegisteredVersion("1", "", "")

    with (
        patched(Registry, "alias", remembered),
        patched(Registry, "is_there", lambda _registry: True),
        any_decision(),
    ):
        yield


# --- loading ---------------------------------------------------------------------------------


def opened_folder(mode: int) -> Attack:
    """The folder in which models are handled has these permissions."""

    def attack(home: Home) -> None:
        folder = home.path / "serving"
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)

    return attack


def opened_model_folder(home: Home) -> None:
    model_folder(home).chmod(0o777)


def linked_model_folder(home: Home) -> None:
    folder = model_folder(home)
    target = folder.with_name("elsewhere")
    folder.rename(target)
    folder.symlink_to(target)


@contextmanager
def any_folder_will_do() -> Iterator[None]:
    from fraud_provenance.defs import training

    with (
        patched(serving, "require_private", lambda _home, _location: None),
        patched(training, "serving_folder", lambda home: home),
    ):
        yield


def exchanged_after_verifying(change: Callable[[bytes], bytes]) -> Attack:
    """Between the champion's verification and its load another file is renamed over the trees."""

    def attack(home: Home) -> None:
        verify = ChampionLease.champion

        def verify_then_lose(lease: ChampionLease) -> Any:  # noqa: ANN401 - a champion
            found = verify(lease)
            path = model_folder(home) / TREES
            other = path.with_name(".new")
            other.write_bytes(change(path.read_bytes()))
            other.rename(path)
            return found

        home.hold(patched(ChampionLease, "champion", verify_then_lose))

    return attack


def served_from_replica(change: Callable[[bytes], bytes]) -> Attack:
    """The server pulls the model from another copy than the one that was promoted."""

    def attack(home: Home) -> None:
        replica = home.path / "dvc-remote" / "model"
        shutil.copytree(model_folder(home), replica)
        (replica / TREES).write_bytes(change((replica / TREES).read_bytes()))
        where = Artifacts.location

        def location(artifacts: Artifacts, node: Node) -> Path:
            asset = node.provenance.asset if node.provenance else ""
            return replica if asset == MODEL else where(artifacts, node)

        home.hold(patched(Artifacts, "location", location))

    return attack


def moved_while_serving(move: Attack) -> Attack:
    """The alias moves after the champion was loaded."""

    def attack(home: Home) -> None:
        from fraud_provenance.defs import scoring

        loaded = scoring.model_files

        def load_then_move(*arguments: Any) -> Any:  # noqa: ANN401 - the model's files
            found = loaded(*arguments)
            move(home)
            return found

        home.hold(patched(scoring, "model_files", load_then_move))

    return attack


# --- the prediction log ----------------------------------------------------------------------


def score_file(home: Home) -> Path:
    return max((home.path / "data" / SCORES).glob("*.parquet"))


def feature_file(home: Home) -> Path:
    return home.path / "data" / "transaction_features" / score_file(home).name


def edit_score(home: Home) -> None:
    path = score_file(home)
    frame = pl.read_parquet(path)
    row = pl.int_range(pl.len()) == 17
    lower = pl.when(row).then(pl.col("score") / 2).otherwise(pl.col("score"))
    frame.with_columns(lower.cast(pl.Float32).alias("score")).write_parquet(path)


def drop_score(home: Home) -> None:
    path = score_file(home)
    pl.read_parquet(path).slice(1).write_parquet(path)


def swap_scores(home: Home) -> None:
    path = score_file(home)
    frame = pl.read_parquet(path)
    pl.concat([frame[1:2], frame[0:1], frame[2:]]).write_parquet(path)


def edit_features(home: Home) -> None:
    path = feature_file(home)
    frame = pl.read_parquet(path)
    frame.with_columns(pl.col("terminal_id_risk_7day_window") + 0.5).write_parquet(path)


def full_disk(folder: str) -> Attack:
    """Nothing more can be written below one folder."""

    def attack(home: Home) -> None:
        begin = files._open_temporary

        def full(path: Path, mode: int) -> tuple[int, Path]:
            if path.is_relative_to(home.path / folder):
                raise OSError(28, "No space left on device")
            return begin(path, mode)

        home.hold(patched(files, "_open_temporary", full))

    return attack


def full_in_the_middle(home: Home) -> None:
    """The next bundle is cut in half by a full disk, once."""
    flush, done = os.fsync, []

    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if "/bundles/." in path and not done:
            done.append(path)
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError(28, "No space left on device")
        flush(descriptor)

    home.hold(patched(os, "fsync", fsync))


def heartbeat_twice(home: Home) -> Outcome:
    """Log a heartbeat, see it fail, and log it again: whole or not at all."""

    def beat(workspace: Workspace) -> None:
        trust = workspace.trust
        trust.clock = lambda: datetime.now(UTC) + timedelta(days=1)
        found = promotion.find_champion(trust, registry_of(workspace))
        digest, decision = found.evidence.digest, found.decision.statement
        assert prediction_log.log_heartbeat(trust, digest, decision) is not None

    first = home.ask(beat)
    assert first.code != 0
    bundles = home.path / "evidence" / "bundles"
    assert not [path for path in bundles.iterdir() if path.name.startswith(".")]
    assert home.workspace().store.problems() == []
    second = home.ask(beat)
    made = outcome(home, "", second)
    return Outcome("", made.refused, (*first.codes, *second.codes), made.alerts, made.text)


audit_predictions = command("P6", "verify", "predictions")

CASES = [
    Case("RG-01", move_alias, champion("P5"), set_alias_again, any_decision),
    Case("RG-02", registry_rows(ELSEWHERE), champion("P5"), registry_rows(NOTE),
         without(Registry, "check_location"), variant="location"),
    Case("RG-02", registry_rows(SOURCE, OTHER_MODEL), champion("P5"), registry_rows(NOTE),
         any_decision, variant="source"),
    *(
        Case("RG-06", registry_rows(SOURCE, source), register, registry_rows(NOTE),
             lambda: patched(registry, "_SOURCE", re.compile("(.*)")), variant=source)
        for source in ("file:///etc", "models:/../m-1", "http://example.com/m-1", "models:/m-1#x")
    ),
    Case("RG-07", decide_again("m-newer", "2"), champion("P5"), decide_again("", ""),
         any_decision),
    Case("RG-09", opened_folder(0o777), load, opened_folder(0o700), any_folder_will_do,
         variant="own folder"),
    Case("RG-09", opened_model_folder, load, nothing, any_folder_will_do, variant="model folder"),
    Case("RG-09", linked_model_folder, load, nothing, any_folder_will_do, variant="link"),
    Case("PT-02", exchanged_after_verifying(other_trees), load,
         exchanged_after_verifying(lambda content: content), files_unchecked),
    Case("PT-08", served_from_replica(other_trees), load,
         served_from_replica(lambda content: content), files_unchecked),
    Case("SV-03", moved_while_serving(move_alias), load, moved_while_serving(set_alias_again),
         without(ChampionLease, "confirm")),
    Case("SV-04", registry_gone, champion("P5"), vacuum_registry, cached_champion, variant="gone"),
    Case("SV-04", registry_broken, champion("P5"), vacuum_registry, cached_champion,
         variant="broken"),
    *(
        Case("SV-05", change, audit_predictions, rewritten(score_file),
             without(predictions, "row_problems", []), variant=variant)
        for variant, change in (
            ("edited", edit_score), ("dropped", drop_score), ("swapped", swap_scores)
        )
    ),
    Case("SV-05", edit_score, command("P6", "audit"), rewritten(score_file),
         without(predictions, "row_problems", []), variant="edited, by the audit"),
    Case("SV-09", edit_features, audit_predictions, rewritten(feature_file),
         without(predictions, "_feature_problems", ([], b""))),
    Case("SV-10", full_disk("evidence/bundles"), load, full_disk("reports"),
         without(prediction_log, "require_writable")),
    Case("OP-04", full_in_the_middle, heartbeat_twice, variant="heartbeat"),
]  # fmt: skip
