"""The bill of materials is CycloneDX: its own schema, as its own library has it, takes it."""

import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft7Validator

from fraud_provenance.fraud.bom import ml_bom

# No package for IRIs is locked, it would slow each process down: ours are URIs, which is stricter.
FORMATS = Draft7Validator.FORMAT_CHECKER
FORMATS.checkers["iri-reference"] = FORMATS.checkers["uri-reference"]


def problems(bill: dict[str, Any]) -> str:
    """What the schema of CycloneDX 1.6 finds, unknown fields included; "" where it takes it."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    return "" if found is None else str(found.data.message)


def a_bill() -> dict[str, Any]:
    """Of a model with two inputs."""
    return ml_bom(
        name="fraud_model",
        model_sha256="a" * 64,
        training_sha256="b" * 64,
        feature_contract={"names": ["amount", "night"], "output": "probability"},
        parameters={"max_depth": 6, "eta": 0.1},
        library={"name": "xgboost", "version": "3.1.0"},
    )


def test_what_is_signed_is_cyclonedx() -> None:
    assert problems(a_bill()) == ""


def test_a_field_that_the_schema_does_not_know_is_found() -> None:
    bill = a_bill()
    bill["metadata"]["component"]["modelcard"] = {}
    assert "modelcard" in problems(bill)


def test_a_reference_or_moment_that_is_none_is_found() -> None:
    bill = a_bill()
    bill["metadata"]["timestamp"] = "yesterday"
    assert "date-time" in problems(bill)
    for address, is_good in (("https://example.com/x", True), ("no address", False)):
        bill = a_bill()
        bill["externalReferences"] = [{"type": "website", "url": address}]
        assert (problems(bill) == "") is is_good
