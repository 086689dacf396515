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
