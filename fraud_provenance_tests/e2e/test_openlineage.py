"""What lineage consumers are told of a real home: every run, its code, its columns."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, RAW_SCHEMA
from fraud_provenance.investigate.openlineage_form import EVIDENCE
from fraud_provenance_tests.investigate.openlineage_schema import problems
from fraud_provenance_tests.product import APPROVER, Product

pytestmark = pytest.mark.e2e


def told(product: Product, path: Path, *arguments: str) -> list[dict[str, Any]]:
    product.ok("openlineage", *arguments, "--out", str(path))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def ended(found: list[dict[str, Any]], job: str) -> dict[str, Any]:
    return [e for e in found if (e["job"]["name"], e["eventType"]) == (job, "COMPLETE")][-1]


def columns(event: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    fields = event["outputs"][0]["facets"]["columnLineage"]["fields"]
    return {
        name: {(source["name"], source["field"]) for source in field["inputFields"]}
        for name, field in fields.items()
    }


def test_a_real_home_is_told_whole_and_alike(product: Product, tmp_path: Path) -> None:
    found = told(product, tmp_path / "first.jsonl")
    assert [text for event in found for text in problems(event)] == []
    jobs = {event["job"]["name"] for event in found}
    assert jobs >= {
        "ingest", "features", "feature_store", "training_set", "train", "evaluate", "release",
        "approve", "deploy", "score", "release_policies", "contract.raw_expectations",
        "contract.scores_match_features",
    }  # fmt: skip
    told(product, tmp_path / "again.jsonl")
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_columns_lead_from_a_score_to_raw_columns(product: Product, tmp_path: Path) -> None:
    found = told(product, tmp_path / "events.jsonl")
    features = columns(ended(found, "features"))
    assert features.keys() == FEATURE_SCHEMA.keys()
    raw = {("raw_transactions", name) for name in RAW_SCHEMA}
    assert all(of and of <= raw for of in features.values())
    assert features["terminal_id_risk_7day_window"] == {
        ("raw_transactions", name) for name in ("terminal_id", "tx_datetime", "tx_fraud")
    }
    assert columns(ended(found, "train"))["tx_amount"] == {("training_set", "tx_amount")}
    score = columns(ended(found, "score"))["score"]
    assert score == {(of, name) for of in ("fraud_model", "transaction_features")
                     for name in FEATURES}  # fmt: skip


def test_code_person_and_proof_are_named(product: Product, tmp_path: Path) -> None:
    found = told(product, tmp_path / "events.jsonl", "model@champion")
    head = subprocess.run(
        ["git", "log", "--format=%H"], cwd=product.project, check=True, capture_output=True,
        text=True,
    ).stdout.split()  # fmt: skip
    trained = ended(found, "train")
    assert trained["job"]["facets"]["sourceCodeLocation"]["version"] in head
    assert trained["run"]["facets"][EVIDENCE]["changedWorkTree"] is False
    owners = ended(found, "approve")["job"]["facets"]["ownership"]["owners"]
    assert [owner["name"] for owner in owners] == [f"user:{APPROVER}"]
    statement = trained["run"]["facets"][EVIDENCE]["statement"]
    assert product.ok("verify", statement, "--json").json()["trusted"] is True
    assert "score" not in {event["job"]["name"] for event in found}
