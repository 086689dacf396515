"""What an audit finds beside the log: edited scores, and MLflow's tags that say something else."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient

from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.sigstore.log_audit import Depth
from fraud_provenance.due.planning import mlflow_uri, registry_of
from fraud_provenance.investigate.audit import audit
from fraud_provenance.models.copies import copy_problems
from fraud_provenance.models.registry import CANDIDATE, MODEL_NAME, Registry
from fraud_provenance_tests.conftest import DAYS, Chain, codes
from fraud_provenance_tests.scored import deploy, score


@dataclass
class Told:
    """A model in a real MLflow store, registered as the candidate."""

    trust: Trust
    registry: Registry
    client: MlflowClient
    run: str
    version: str

    def found(self) -> list[str]:
        return [item.code for item in copy_problems(self.trust, self.registry)]


@pytest.fixture
def told(chain: Chain) -> Told:
    chain.workspace.create_folders()
    uri = mlflow_uri(chain.workspace)
    client, registry = MlflowClient(uri, uri), registry_of(chain.workspace)
    experiment = client.create_experiment("x", (chain.workspace.mlflow / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, source_run_id=run)
    parameters = {"booster": "gbtree", "gamma": 0.0, "learning_rate": 0.3, "max_depth": 6}
    deployed = deploy(chain.trust, model.model_id, parameters=parameters, mlflow_run_id=run)
    for name, value in parameters.items():
        client.log_param(run, name, value)
    provenance = chain.node(deployed.model.bundle).provenance
    assert provenance is not None
    read = provenance.material("input")
    assert read is not None
    signed = {"data_version": read.digest, "git_commit": str(provenance.outputs["git_commit"])}
    for name, text in signed.items():
        client.set_tag(run, name, text)
    version = registry.register(model.model_id, run, {"manifest_sha256": deployed.digest})
    registry.move(CANDIDATE, "", version)
    return Told(chain.trust, registry, client, run, version)


def edit_parameter(told: Told, name: str, value: str) -> None:
    """MLflow's client changes no parameter; its database does."""
    with sqlite3.connect(told.registry.uri.removeprefix("sqlite:///")) as database:
        database.execute("update params set value = ? where key = ?", (value, name))


def test_copies_as_signed_and_notes_of_people_are_no_finding(told: Told) -> None:
    told.client.set_tag(told.run, "looked_at", "on Monday")
    told.client.log_param(told.run, "note", "3")
    told.client.set_model_version_tag(MODEL_NAME, told.version, "verified", "true")
    assert told.found() == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda told: told.client.set_tag(told.run, "git_commit", "0" * 40),
        lambda told: told.client.set_tag(told.run, "data_version", ""),
        lambda told: edit_parameter(told, "max_depth", "5"),
        lambda told: told.client.set_tag(told.run, "training_sha256", "0" * 64),
        lambda told: told.client.set_model_version_tag(
            MODEL_NAME, told.version, "manifest_sha256", "0" * 64
        ),
        lambda told: told.client.set_model_version_tag(
            MODEL_NAME, told.version, "registration_decision", "0" * 64
        ),
    ],
    ids=["commit", "data", "parameter", "training", "manifest", "decision"],
)
def test_copy_that_differs_is_found(told: Told, edit: Callable[[Told], Any]) -> None:
    edit(told)
    assert told.found() == ["EVIDENCE_SIDECAR_MISMATCH"]


def test_registry_that_cannot_be_asked_is_a_finding(chain: Chain) -> None:
    chain.workspace.create_folders()
    (chain.workspace.mlflow / "mlflow.db").write_bytes(b"down for maintenance" * 100)
    found = copy_problems(chain.trust, registry_of(chain.workspace))
    assert [item.code for item in found] == ["REGISTRY_UNAVAILABLE"]


def findings(chain: Chain, depth: Depth = Depth.REMEMBERED) -> list[str]:
    """What the audit finds beside the log (a copied home has none), each also in its alert."""
    chain.workspace.create_folders()
    outbox = Outbox(chain.workspace.home)
    report = audit(chain.trust, registry_of(chain.workspace), outbox, datetime.now(UTC), depth)
    text = "".join(alert.text for alert in outbox.pending())
    assert all(item.code in text for item in report.findings)
    with pytest.raises(ProvenanceError) as caught:
        report.check()
    assert set(codes(caught.value)) >= {item.code for item in report.findings}
    return [item.code for item in report.findings]


def test_edited_score_is_found_but_not_by_the_look_at_the_logs_end(chain: Chain) -> None:
    score(chain.trust, deploy(chain.trust))
    assert findings(chain) == []
    path = chain.workspace.data / "transaction_scores" / f"{DAYS[0]}.parquet"
    pl.read_parquet(path).with_columns(pl.col("score") / 2).write_parquet(path)
    assert findings(chain, Depth.TAIL) == []
    assert findings(chain) == ["MERKLE_MISMATCH"]


def test_home_without_scores_and_registry_has_no_findings(chain: Chain) -> None:
    assert findings(chain) == []
