"""A home whose runs, models and registry lie behind a real MLflow server: up to its scores."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.server_settings import Mlflow
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.champion import find_champion
from fraud_provenance.models.promotion import metric_problems
from fraud_provenance.models.registry import (
    CANDIDATE,
    CHAMPION,
    MODEL_NAME,
    RegisteredVersion,
)
from fraud_provenance_tests.attacks.arena import DAYS
from fraud_provenance_tests.attacks.network import Request, lying_server, relay
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.mlflow_server import MlflowServer, mlflow_server
from fraud_provenance_tests.product import Product, copy_project

pytestmark = pytest.mark.e2e

Lie = Callable[[Request, bytes], tuple[int, bytes]]
"""What somebody between makes of an answer: (status, body)."""
_PROMOTERS = 8
_PROMOTE = """
import os, sys
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.due.planning import registry_of
from fraud_provenance.models import promotion
from fraud_provenance.home.workspace import opened_from
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


def workspace_of(product: Product, address: str) -> Workspace:
    settings = Settings(home=product.home, project=product.project)
    return Workspace(replace(settings, mlflow=Mlflow(server=address)))


@contextmanager
def lying_between(server: MlflowServer, lie: Lie) -> Iterator[str]:
    """The address of somebody between us and the server, who changes what it answers."""
    ask = relay(server.port, lambda _request, content: content)

    def answer(request: Request) -> tuple[int, bytes]:
        status, content = ask(request)
        return lie(request, content) if status == 200 else (status, content)

    with lying_server(answer) as port:
        yield f"http://127.0.0.1:{port}"


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


@dataclass(frozen=True)
class Promoted:
    """What the promoters said, and what the registry named before they began."""

    product: Product
    candidate: RegisteredVersion
    before: RegisteredVersion | None
    said: list[str]


@pytest.fixture(scope="module")
def promoted(served: Product, server: MlflowServer) -> Promoted:
    """The home after many promoters at once, and with scores."""
    registry = registry_of(workspace_of(served, server.address))
    candidate, before = registry.alias(CANDIDATE), registry.alias(CHAMPION)
    assert candidate is not None
    said = promote_at_once(served, _PROMOTERS)
    served.ok("run")
    return Promoted(served, candidate, before, said)


def test_model_lies_with_the_server_and_not_in_the_homes_database(promoted: Promoted) -> None:
    assert promoted.candidate.location.startswith("mlflow-artifacts:/")
    assert not (promoted.product.home / "mlflow" / "mlflow.db").exists()


def test_of_many_promoters_at_once_exactly_one_decides(
    promoted: Promoted, server: MlflowServer
) -> None:
    workspace = workspace_of(promoted.product, server.address)
    links = workspace.store.chain("deployments")
    assert len(links) == 1
    assert promoted.before is None
    assert set(promoted.said) == {f"{promoted.candidate.version} {links[0].statement}"}
    assert registry_of(workspace).alias(CHAMPION) == promoted.candidate
    assert not (promoted.product.home / "run" / "alias-move.json").exists()


def test_everything_is_trusted_and_traced(promoted: Promoted) -> None:
    product = promoted.product
    assert list((product.home / "data" / "transaction_scores").glob("*.parquet"))
    assert product.ok("verify", "model@champion", "--json").json()["trusted"] is True
    assert product.ok("verify", "--json").json()["trusted"] is True
    roles = {
        item["role"] for item in product.ok("trace", "model@champion", "--json").json()["chain"]
    }
    assert {"model", "training set", "raw days"} <= roles


def _source(document: dict[str, Any]) -> None:
    document["model_version"]["source"] = "models:/m-" + "0" * 32


def _metrics(document: dict[str, Any]) -> None:
    for item in document["run"]["data"]["metrics"]:
        item["value"] = 0.999


def _answering(status: int, content: bytes) -> Lie:
    return lambda _request, _content: (status, content)


def _no_alias(request: Request, content: bytes) -> tuple[int, bytes]:
    if "/registered-models/alias" not in request.path:
        return 200, content
    told = "Registered model alias champion not found."
    return 400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": told}).encode()


def _other_trees(request: Request, content: bytes) -> tuple[int, bytes]:
    return 200, b"other" if request.path.endswith("/model.ubj") else content


def _changing(path: str, change: Callable[[dict[str, Any]], None]) -> Lie:
    def lie(request: Request, content: bytes) -> tuple[int, bytes]:
        if path in request.path:
            document = json.loads(content)
            change(document)
            content = json.dumps(document).encode()
        return 200, content

    return lie


LIES: dict[str, tuple[Lie, str]] = {
    "alias is gone": (_no_alias, "ALIAS_WITHOUT_DECISION"),
    "another model behind the version": (
        _changing("/model-versions/get?", _source), "SOURCE_MISMATCH",
    ),
    "other bytes": (_other_trees, "SOURCE_MISMATCH"),
    "error": (_answering(503, b"{}"), "FAIL_CLOSED"),
    "redirect": (_answering(302, b""), "FAIL_CLOSED"),
    "nothing": (_answering(200, b""), "FAIL_CLOSED"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_server_that_lies_has_no_champion(
    promoted: Promoted, server: MlflowServer, name: str
) -> None:
    lie, code = LIES[name]
    with lying_between(server, lie) as address:
        workspace = workspace_of(promoted.product, address)
        with pytest.raises(ProvenanceError) as caught:
            find_champion(workspace.trust, registry_of(workspace))
    assert codes(caught.value)[0] == code
    workspace = workspace_of(promoted.product, server.address)
    assert find_champion(workspace.trust, registry_of(workspace)).version


def test_metric_that_the_server_changed_is_no_signed_one(
    promoted: Promoted, server: MlflowServer
) -> None:
    with lying_between(server, _changing("/runs/get", _metrics)) as address:
        workspace = workspace_of(promoted.product, address)
        registry = registry_of(workspace)
        evidence = find_champion(workspace.trust, registry).evidence
        found = metric_problems(registry, evidence)
    assert {item.code for item in found} == {"METRIC_UNSIGNED"}


def test_alias_that_somebody_moved_is_refused(promoted: Promoted, server: MlflowServer) -> None:
    product, client = promoted.product, server.client
    logged = server.log({}, product.home.parent / "none")
    source = f"models:/{logged.model_id}"
    other = client.create_model_version(MODEL_NAME, source, logged.run_id, model_id=logged.model_id)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, other.version)
    try:
        refused = product.run("verify", "model@champion")
    finally:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, promoted.candidate.version)
        client.delete_model_version(MODEL_NAME, other.version)
    assert (refused.code, "ALIAS_WITHOUT_DECISION" in refused.text) == (1, True)


def test_server_that_is_down_decides_nothing(promoted: Promoted, server: MlflowServer) -> None:
    server.stop()
    undecided = promoted.product.run("verify", "model@champion")
    assert (undecided.code, "FAIL_CLOSED" in undecided.text) == (2, True)
