"""A gate's input with one field changed is never allowed (a sample of the matrix)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.gates.policy import Answer, Policy, PolicyEngine, read_policies
from fraud_provenance.attested.local import tool
from fraud_provenance_tests.attacks import fields
from fraud_provenance_tests.attacks.home import patched
from fraud_provenance_tests.conftest import PROJECT

FOLDER = PROJECT / "policies"
EVERY = 9  # about a hundred of the thousand changes; `make attacks` asks about each one


@pytest.fixture(scope="module")
def inputs() -> dict[str, Any]:
    """The honest input of each gate that the policy's own tests begin with."""
    data = [
        f"--data={name}:{FOLDER / 'data' / name}.json"
        for name in ("layout", "principals", "thresholds", "contracts")
    ]
    done = subprocess.run(
        [str(tool("opa")), "eval", f"--data={FOLDER / 'lib'}", *data, "data.fraud.fixtures_test"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    found = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    return {
        "data_access": found["data_access"],
        "model_registration": found["registration"],
        "model_deployment": found["deployment"],
    }


@pytest.fixture
def engine() -> PolicyEngine:
    return PolicyEngine(FOLDER, lambda: Path(tool("opa")), None)  # type: ignore[arg-type]  # the policy is given


def test_no_gate_allows_an_input_with_a_field_changed(
    inputs: dict[str, Any], engine: PolicyEngine
) -> None:
    played = fields.play(engine, Policy(*read_policies(FOLDER)), inputs, EVERY)
    assert played.changes > 100
    assert played.holes == []


def test_a_policy_without_a_rule_is_seen_by_the_matrix(
    inputs: dict[str, Any], engine: PolicyEngine
) -> None:
    asked = PolicyEngine.ask

    def ask(*arguments: Any) -> Answer:
        answer = asked(*arguments)
        left = tuple(item for item in answer.reasons if item.code != "PARAM_UNEXPECTED")
        return Answer(allowed=not left, reasons=left)

    changed = {"model_registration": inputs["model_registration"]}
    with patched(PolicyEngine, "ask", ask):
        played = fields.play(engine, Policy(*read_policies(FOLDER)), changed, EVERY)
    assert any("parameters" in hole for hole in played.holes)
