"""A home whose features Spark makes: from landed files to evidence, and back to DuckDB."""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.materialisation import Provenance
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.product import Product, copy_project
from fraud_provenance_tests.spark_here import NEEDS_SPARK

pytestmark = NEEDS_SPARK

COUNT = 10
FEATURES = "transaction_features"
SUBJECT = f"{FEATURES}/2018-04-07"


def choose(product: Product, engine: str) -> None:
    lines = f'[features]\nengine = "{engine}"\nmemory_gib = 1\n'
    (product.home / "settings.toml").write_text(lines)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A home that is told to use Spark, with days that are too few for a training."""
    folder = tmp_path_factory.mktemp("spark")
    product = Product(folder / "home", copy_project(folder / "project"))
    product.home.mkdir()
    choose(product, "spark")
    product.ok("up")
    try:
        product.generate(COUNT)
        yield product
    finally:
        product.ok("down")


def ran(product: Product) -> list[str]:
    """The stages of a run, in which nothing but the training is refused."""
    said: dict[str, Any] = product.run("run", "--json").json()
    assert [(item["code"], item["artifact"]) for item in said["refused"]] == [
        ("PARTITION_MISSING", "training_set")
    ]
    return [stage["name"] for stage in said["stages"]]


def made(product: Product) -> tuple[dict[str, str], Provenance]:
    """Day → digest of the newest features, and what the statement of all of them says."""
    trust = Workspace(Settings(home=product.home, project=product.project)).trust
    heads = {day: found[0] for day, found in trust.store.heads(FEATURES).items()}
    (statement,) = {head.statement for head in heads.values()}
    said = trust.lineage().trusted(statement, Materialisation).provenance
    return {day: head.sha256 for day, head in heads.items()}, said


def test_spark_makes_features_whose_evidence_verifies_and_duckdb_makes_the_same(
    landed: Product,
) -> None:
    assert "features" in ran(landed)
    landed.ok("verify", SUBJECT)
    assert SUBJECT in landed.ok("trace", SUBJECT).out
    by_spark, said = made(landed)
    assert len(by_spark) == COUNT
    assert said.parameters["engine"] == "spark"
    assert said.outputs["engine"] == {
        "name": "spark",
        "version": metadata.version("pyspark"),
        "master": "local[*]",
    }
    assert "features" not in ran(landed)  # nothing is due: no circle

    choose(landed, "duckdb")
    assert "features" in ran(landed)
    by_duckdb, said = made(landed)
    assert by_duckdb == by_spark
    assert "engine" not in said.parameters
    assert said.outputs["engine"] == {"name": "duckdb", "version": metadata.version("duckdb")}
    assert "features" not in ran(landed)
    landed.ok("verify", SUBJECT)
