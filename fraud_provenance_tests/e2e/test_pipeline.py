"""A pipeline on the real home: yes for the commit that made the champion, no for other code."""

from pathlib import Path

import pytest

from fraud_provenance_tests.attacks.arena import Arena, commit_all
from fraud_provenance_tests.attestors.test_work_tree import git
from fraud_provenance_tests.product import Product

pytestmark = pytest.mark.e2e
TRAINING = "fraud_provenance/defs/training.py"


def test_champion_may_be_deployed_with_the_commit_that_made_it(
    product: Product, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    done = product.run("gate", "--commit", "--json", GITHUB_STEP_SUMMARY=str(summary))
    told = done.json()
    assert (done.code, told["trusted"]) == (0, True), done.text
    assert told["commit"] == git(product.project, "rev-parse", "HEAD")
    champion = product.ok("verify", "model@champion", "--json").json()
    decided = {link["digest"] for link in champion["links"] if link["name"] == "fraud_model"}
    assert told["deployment"]["model"] in decided
    assert summary.read_text("utf-8").startswith("## Deployment allowed\n")


def test_commit_with_other_code_is_refused_and_the_one_before_it_is_not(
    arena: Arena, product: Product, tmp_path: Path
) -> None:
    project = arena.copy_project(tmp_path / "project")
    made_by = git(project, "rev-parse", "HEAD")
    path = project / TRAINING
    path.write_text(path.read_text("utf-8") + "# otherwise\n", "utf-8")
    changed = commit_all(project, "Train otherwise")
    pipeline = Product(product.home, project)
    done = pipeline.run("gate", "--commit", changed)
    assert done.code == 1, done.text
    assert "CODE_VERSION_MISMATCH" in done.text
    assert pipeline.ok("gate", "--commit", made_by)
