"""The thresholds of the contracts are numbers, each with its reason."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

POLICIES = Path(__file__).parents[2] / "policies"
SCHEMA = json.loads((POLICIES / "schemas" / "contracts.json").read_text("utf-8"))


def test_thresholds_match_their_schema(thresholds: dict[str, Any]) -> None:
    jsonschema.validate(thresholds, SCHEMA)


@pytest.mark.parametrize(
    "wrong", [{"value": "0.5", "reason": "as text it sorts above all"}, {"value": 1}, {}, 3]
)
def test_threshold_without_number_or_reason_is_refused(
    thresholds: dict[str, Any], wrong: object
) -> None:
    changed = thresholds | {"raw_schema": {"amount_maximum": wrong}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, SCHEMA)


def test_gates_and_contracts_mean_the_same_label_delay(thresholds: dict[str, Any]) -> None:
    gates = json.loads((POLICIES / "data" / "thresholds.json").read_text("utf-8"))
    assert (
        gates["label_delay_days"]["value"]
        == thresholds["training_set"]["label_delay_days"]["value"]
    )
