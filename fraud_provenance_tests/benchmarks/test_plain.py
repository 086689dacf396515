"""The side without evidence keeps the product's own calls, and is put in place nowhere else."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import plain
from benchmarks.plain import PlainCatalogue, PlainPolicies, PlainStep, PlainStore, PlainTrust
from fraud_provenance.attested.step import step
from fraud_provenance.attested.step.catalogue import Catalogue
from fraud_provenance.models import promotion, registration

PROJECT = Path(__file__).resolve().parents[2]
INSTALL = """
import sys
from fraud_provenance import definitions
from fraud_provenance.run import pipeline
from benchmarks import plain
definitions.defs()
plain.install()
stages = [module for name, module in sys.modules.items() if name.startswith("fraud_provenance.")]
print(sorted({vars(module)["Step"].__name__ for module in stages if "Step" in vars(module)}))
"""


@pytest.fixture
def trust(tmp_path: Path) -> PlainTrust:
    (tmp_path / "run").mkdir()
    return PlainTrust(tmp_path, PlainStore(tmp_path), PlainPolicies(PROJECT / "policies"))


def names(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def public(kind: type) -> dict[str, Callable[..., Any]]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: function for name, function in found if not name.startswith("_")}


def test_plain_step_takes_what_the_products_step_takes() -> None:
    ours = {name: names(function) for name, function in public(step.Step).items()}
    assert {name: names(function) for name, function in public(PlainStep).items()} == ours
    assert names(PlainStep) == names(step.Step)
    for name, function in public(PlainCatalogue).items():
        assert names(function) == names(getattr(Catalogue, name))


@pytest.mark.parametrize(
    ("name", "where"),
    [("register_candidate", registration), ("promote", promotion), ("find_champion", promotion)],
)
def test_plain_release_takes_what_the_products_release_takes(name: str, where: ModuleType) -> None:
    assert names(getattr(plain, name)) == names(getattr(where, name))


def test_plain_step_reads_what_a_step_wrote(trust: PlainTrust) -> None:
    with PlainStep(trust, "ingest", "run") as made:
        made.write("2018-04-01", "raw_transactions/2018-04-01.parquet", b"rows", [])
        made.commit({})
    with PlainStep(trust, "features", "run") as reader:
        read = reader.read("raw_transactions", ["2018-04-01"])
    assert [(item.partition, item.content) for item in read.files] == [("2018-04-01", b"rows")]
    assert (read.export(trust.home / "copy") / "2018-04-01.parquet").read_bytes() == b"rows"


def test_plain_step_with_failed_day_leaves_it_out(trust: PlainTrust) -> None:
    days = ("2018-04-01", "2018-04-02")
    with PlainStep(trust, "ingest", "run") as made:
        for day in days:
            made.write(day, f"raw_transactions/{day}.parquet", b"rows", [])
    with PlainStep(trust, "contracts", "run") as judge:
        judge.attest_contract(
            judge.read("raw_transactions", days).view,
            suite="raw_schema", suite_digest="", checks=("x",), failures=[{"day": days[1]}],
            rows={},
        )  # fmt: skip
    found = PlainStep(trust, "features", "run").usable("raw_transactions")
    assert found.partitions == (days[0],)
    assert list(found.refused) == [days[1]]


def test_install_after_loading_the_graph_replaces_every_step() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INSTALL],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=False,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.strip().endswith("['PlainStep']"), done.stderr


def test_product_names_no_benchmark() -> None:
    code = (PROJECT / "fraud_provenance").rglob("*.py")
    assert [path.name for path in code if "benchmarks" in path.read_text("utf-8")] == []
