"""A home in which each run has one token: from landed days to scores, by the daemon's requests."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.local import LocalSigstore
from fraud_provenance.defs.pods import SIGNERS
from fraud_provenance.due.planning import current_entries
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.attacks.arena import DAYS, Arena
from fraud_provenance_tests.product import APPROVER, Product

pytestmark = pytest.mark.e2e
BEFORE = [
    "ingest", "raw_contracts", "features", "feature_contracts", "online_features",
    "training_data", "training_contracts", "model_training", "evaluation", "registration",
]  # fmt: skip
AFTER = ["promotion", "scoring", "score_contracts"]


@pytest.fixture(scope="module")
def product(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A new home of the arena's own project, so that the code is the same."""
    made = Product(tmp_path_factory.mktemp("one") / "home", arena.product.project)
    try:
        made.ok("up")
        made.generate(DAYS)
        (made.home / "settings.toml").write_text(
            f'tokens = "{made.home.parent / "none"}"\n[runs]\none_identity = true\n'
        )
        yield made
    finally:
        made.run("down")


@contextmanager
def gate(product: Product) -> Iterator[None]:
    """The data-access gate's process, with its own token."""
    folder = product.home.parent / "gate"
    path = folder / "workloads" / "gates" / "data-access"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LocalSigstore(product.home).workload_token("/gates/data-access"))
    process = product.start("keep-gate", FRAUD_PROVENANCE_TOKENS=str(folder))
    try:
        yield
        assert process.poll() is None, process.communicate()
    finally:
        process.kill()
        process.communicate()


def work(product: Product) -> list[dict[str, Any]]:
    """Each run that was due, in its order."""
    done = subprocess.run(
        [sys.executable, "-m", "fraud_provenance_tests.e2e.pods", str(product.home.parent)],
        cwd=product.project, env=product.environment(), capture_output=True, text=True,
        timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def made(home: Path, project: Path) -> dict[str, Any]:
    """Each asset's files by their digests, without the names that MLflow gives."""
    workspace = Workspace(Settings(home=home, project=project))
    named = ("raw_transactions", "transaction_features", "training_set", "transaction_scores")
    found: dict[str, Any] = {
        asset: {day: entry.sha256 for day, entry in current_entries(workspace, asset).items()}
        for asset in named
    }
    (model,) = {heads[0].statement for heads in workspace.store.heads("fraud_model").values()}
    entries = workspace.store.manifest(
        workspace.store.records(statement=model)[0].subject_digest
    ).entries
    found["model"] = {e.sha256 for e in entries if e.path.endswith((".ubj", "contract.json"))}
    return found


def signers(home: Path, project: Path) -> Counter[tuple[str, str]]:
    """How many statements of each kind each workload signed."""
    workspace = Workspace(Settings(home=home, project=project))
    nodes = [workspace.trust.lineage().node(r.statement) for r in workspace.store.records()]
    assert not [node.reasons for node in nodes if node.reasons]
    return Counter(
        (node.kind, node.bundle.identity.subject)
        for node in nodes
        if node.bundle and node.bundle.identity.issuer == "workloads"
    )


def test_each_run_signs_with_the_one_token_of_its_job_and_makes_the_same(
    product: Product, arena: Arena
) -> None:
    refused = product.run("run")
    assert refused.code == 2
    assert "each run of this home signs by one identity" in refused.text
    with gate(product):
        runs = work(product)
        people = product.home.parent / "people" / "people"
        people.mkdir(parents=True)
        (people / APPROVER).write_text(LocalSigstore(product.home).person_token(APPROVER))
        approved = product.run(
            "approve", "model@candidate", "--environment", "local", "--as", APPROVER,
            "--reason", "reviewed", FRAUD_PROVENANCE_TOKENS=str(people.parent),
        )  # fmt: skip
        assert approved.code == 0, approved.text
        runs += work(product)
    assert [run["job"] for run in runs] == [*BEFORE, *AFTER]
    assert not [run for run in runs if run["refused"]]
    for run in runs:
        assert run["untouched"], run
        assert "no token in workloads" in run["with_another"], run
        assert run["signer"].lstrip("/") in run["with_another"], run
    assert {run["job"] for run in runs} == set(SIGNERS)
    product.ok("verify")
    product.ok("audit", "--full")
    default = arena.copy("scored")
    assert made(product.home, product.project) == made(default, product.project)
    ours, theirs = (signers(home, product.project) for home in (product.home, default))
    assert set(ours) == set(theirs)
    assert {kind: n for kind, n in ours.items() if kind[0] != "decision"} == {
        kind: n for kind, n in theirs.items() if kind[0] != "decision"
    }
