"""A model of the real pipeline is made again, by its own commit, and chance in it is found."""

from pathlib import Path
from typing import Any

import pytest

from fraud_provenance_tests.attacks.arena import Arena, commit_all
from fraud_provenance_tests.product import Product

pytestmark = pytest.mark.e2e
HONEST = 'params = config.params.model_dump(exclude={"n_estimators"})'
BY_CHANCE = '; import time; params |= {"subsample": 0.5, "seed": time.time_ns() % 2**31}'
STEPS = ["transaction_features", "training_set", "fraud_model"]


@pytest.fixture(scope="module")
def changed(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The home once more, under a younger commit whose training leaves something to chance."""
    project = arena.copy_project(tmp_path_factory.mktemp("changed") / "project")
    source = project / "fraud_provenance" / "fraud" / "model.py"
    text = source.read_text("utf-8")
    assert HONEST in text
    source.write_text(text.replace(HONEST, HONEST + BY_CHANCE), "utf-8")
    commit_all(project, "a little luck")
    return Product(arena.copy("scored"), project)


def remade(product: Product, subject: str) -> dict[str, Any]:
    """What `reproduce` says; the exit code is the document's."""
    done = product.run("reproduce", subject, "--json")
    found = done.json()
    assert done.code == found["exit_code"], done.text
    return found


def test_champion_comes_out_again(product: Product) -> None:
    found = remade(product, "model@champion")
    assert found["exit_code"] == 0, found["headline"]
    assert found["same"] is True
    assert list(dict.fromkeys(item["step"] for item in found["files"])) == STEPS
    assert len(found["files"]) == 21 + 3 + 4
    assert all(item["made"] == item["signed"] for item in found["files"])
    assert "MLmodel" in found["not_compared"]
    assert not (product.home / "scratch" / "reproduce").exists()


def test_past_model_comes_out_by_its_own_commit(changed: Product) -> None:
    left = changed.home / "scratch" / "reproduce" / "left by a kill"
    left.mkdir(parents=True)
    found = remade(changed, "model@champion")
    assert found["exit_code"] == 0, found["headline"]
    assert not left.exists()


def test_chance_is_found_by_step_file_and_path(changed: Product) -> None:
    changed.run("run", "--train-days", "8")
    models = (changed.home / "mlflow" / "artifacts" / "models").iterdir()
    newest = max(models, key=lambda folder: folder.stat().st_mtime_ns)
    found = remade(changed, f"fraud_model/{newest.name}")
    assert found["exit_code"] == 1, found["headline"]
    odd = found["first_difference"]
    assert (odd["step"], odd["name"]) == ("fraud_model", "model.ubj")
    assert odd["unlike"]["place"].startswith("learner.")
    assert all(item["unlike"] is None for item in found["files"][:-1])


def test_damaged_raw_day_is_no_ground(changed: Product) -> None:
    day = min((changed.home / "data" / "raw_transactions").glob("*.parquet"))
    content = day.read_bytes()
    day.write_bytes(content + b"more")
    try:
        found = remade(changed, "model@champion")
    finally:
        day.write_bytes(content)
    assert found["exit_code"] == 1
    assert found["files"] == []
    assert Path(day).stem in found["headline"]
