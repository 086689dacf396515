"""The gates' inputs are models: the signed schemas say what they say, and both judge alike."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fraud_provenance.attested.core import json_schemas
from fraud_provenance.attested.gates.inputs import DataAccess, Facts, schema_of
from fraud_provenance.models.gate_inputs import Deployment, Registration
from fraud_provenance_tests.conftest import PROJECT
from fraud_provenance_tests.gates.test_policy_properties import GATES, POLICIES, opa, structural

INPUTS: dict[str, type[Facts]] = {
    "data_access": DataAccess,
    "model_registration": Registration,
    "model_deployment": Deployment,
}


def signed(gate: str) -> dict[str, Any]:
    return dict(json.loads((POLICIES / "schemas" / f"{gate}.json").read_text("utf-8")))


def is_read(model: type[Facts], document: object) -> bool:
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("gate", INPUTS)
def test_signed_schema_says_what_the_model_says(gate: str) -> None:
    assert schema_of(INPUTS[gate]) == signed(gate), "run `python docs/generate.py`"


@pytest.mark.parametrize("gate", INPUTS)
def test_model_and_schema_read_the_same_inputs(gate: str) -> None:
    honest, model, schema = (
        opa(f"data.fraud.fixtures_test.{GATES[gate]}", {}),
        INPUTS[gate],
        signed(gate),
    )
    assert is_read(model, honest)
    assert (
        model.model_validate_json(json.dumps(honest)).model_dump(mode="json", exclude_unset=True)
        == honest
    )
    judged = []

    @settings(
        max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def alike(data: st.DataObject) -> None:
        changed = data.draw(structural(honest))
        fits = json_schemas.first_problem(schema, changed) is None
        assert is_read(model, changed) == fits
        judged.append(fits)

    alike()
    assert judged.count(False) > 50


def test_schema_of_a_changed_model_is_written_and_of_any_other_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runpy.run_path(str(PROJECT / "docs" / "generate.py"))
    for gate in INPUTS:
        (tmp_path / f"{gate}.json").write_text(json.dumps(signed(gate)))
    (tmp_path / "data_access.json").write_text("{}")
    kept = (tmp_path / "model_deployment.json").read_bytes()
    monkeypatch.setitem(made["write_schemas"].__globals__, "SCHEMAS", tmp_path)
    made["write_schemas"]()
    assert json.loads((tmp_path / "data_access.json").read_text()) == signed("data_access")
    assert (tmp_path / "model_deployment.json").read_bytes() == kept
