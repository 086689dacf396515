"""A home whose runs, models and registry lie behind a real MLflow server: up to its scores."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fraud_provenance.due.planning import registry_of
from fraud_provenance.models.registry import CANDIDATE, CHAMPION
from fraud_provenance.settings import Mlflow, Settings
from fraud_provenance.workspace import Workspace
from fraud_provenance_tests.attacks.arena import DAYS
from fraud_provenance_tests.mlflow_server import MlflowServer, mlflow_server
from fraud_provenance_tests.product import Product, copy_project

pytestmark = pytest.mark.e2e

_PROMOTERS = 8
_PROMOTE = """
import os, sys
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.due.planning import registry_of
from fraud_provenance.models import promotion
from fraud_provenance.workspace import opened_from
workspace = opened_from(os.environ)
registry = registry_of(workspace)
print("ready", flush=True)
sys.stdin.readline()
try:
    made = promotion.promote(
        workspace.trust, registry, lambda: workspace.pinned_tool("cosign")
    )
    print(made.version, made.decision.statement)
except ProvenanceError as error:
    print("refused", *[item.code for item in error.reasons])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture(scope="module")
def served(server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A home on the server, with an approved candidate."""
    folder = tmp_path_factory.mktemp("served")
    product = Product(folder / "home", copy_project(folder / "project"))
    product.home.mkdir()
    (product.home / "settings.toml").write_text(f'[mlflow]\nserver = "{server.address}"\n')
    product.ok("up")
    try:
        product.generate(DAYS)
        product.ok("run")
        product.approve()
        yield product
    finally:
        product.ok("down")


def workspace_of(product: Product, server: MlflowServer) -> Workspace:
    settings = Settings(home=product.home, project=product.project)
    return Workspace(replace(settings, mlflow=Mlflow(server=server.address)))


def promote_at_once(product: Product, count: int) -> list[str]:
    """What so many promoters say, each a process, that begin when all are ready."""
    command = [sys.executable, "-c", _PROMOTE]
    started = [
        subprocess.Popen(
            command, cwd=product.project, env=product.environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=900) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert all(process.returncode == 0 for process in started), said
    return [out.strip() for out, _ in said]


def test_from_candidate_to_scores_through_the_server(served: Product, server: MlflowServer) -> None:
    workspace = workspace_of(served, server)
    assert not (served.home / "mlflow" / "mlflow.db").exists()
    registry = registry_of(workspace)
    candidate = registry.alias(CANDIDATE)
    assert candidate is not None
    assert candidate.location.startswith("mlflow-artifacts:/")
    assert registry.alias(CHAMPION) is None

    said = promote_at_once(served, _PROMOTERS)

    links = workspace_of(served, server).store.chain("deployments")
    assert len(links) == 1
    assert set(said) == {f"{candidate.version} {links[0].statement}"}
    assert registry.alias(CHAMPION) == candidate
    assert not (served.home / "run" / "alias-move.json").exists()

    served.ok("run")
    assert list((served.home / "data" / "transaction_scores").glob("*.parquet"))
    assert served.ok("verify", "model@champion", "--json").json()["trusted"] is True
    assert served.ok("verify", "--json").json()["trusted"] is True
    server.files(candidate.location).log_artifact(str(Path(__file__)))
    refused = served.run("verify", "model@champion")
    assert (refused.code, "SOURCE_MISMATCH" in refused.text) == (1, True)
    server.stop()
    undecided = served.run("verify", "model@champion")
    assert (undecided.code, "FAIL_CLOSED" in undecided.text) == (2, True)
