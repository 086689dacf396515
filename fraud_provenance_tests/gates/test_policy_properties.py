"""Thousands of changed policy inputs: each is refused, by the schema and by the rules themselves.

The honest inputs are those of the Rego tests. Facts that carry a decision are changed in value;
any field is removed, retyped or joined by a stranger. OPA judges them in one process a gate.
"""

import copy
import fnmatch
import json
import subprocess
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fraud_provenance.attested.local import tool
from fraud_provenance_tests.conftest import PROJECT
from fraud_provenance_tests.mutations import Path, bent, paths, removed, replaced, value_at

POLICIES = PROJECT / "policies"
GATES = {
    "data_access": "data_access",
    "model_registration": "registration",
    "model_deployment": "deployment",
}
SHAPES, FACTS = 300, 250  # for each gate
EACH_SHAPE = 5  # so many changed shapes are refused by the schema for one that OPA judges, too
# Facts of which every other value must be refused, whatever else is right.
_MODEL = (
    "request.step", "request.identity.*", "request.environment", "model.signer.*",
    "model.format", "model.files.*", "model.features.*", "code.*.git_dirty", "evaluation.signer.*",
    "evaluation.model_digest", "contracts.*.suite", "contracts.*.asset", "evidence.complete",
    "model_signature.signer.*",
)  # fmt: skip
BINDING: dict[str, tuple[str, ...]] = {
    "data_access": (
        "request.step", "request.identity.*", "request.environment", "request.asset",
        "request.purpose", "partitions.*.signer.*", "partitions.*.environment",
        "partitions.*.contracts.*.suite", "partitions.*.contracts.*.result",
        "partitions.*.contracts.*.signer.*",
    ),
    "model_registration": _MODEL,
    "model_deployment": (
        *_MODEL, "registration.signer.*", "registration.allow", "registration.model_digest",
        "registration.policy_digest", "policy.digest", "trainer.principal", "evidence_set",
        "cosign.required", "approvals.*.model_digest", "approvals.*.environment",
        "approvals.*.evidence_set", "approvals.*.policy_digest", "approvals.*.roles.*",
    ),
}  # fmt: skip


def opa(query: str, document: object) -> Any:  # noqa: ANN401 - a JSON value
    folders = ("lib", "data_access", "model_registration", "model_deployment")
    names = ("layout", "principals", "thresholds")
    done = subprocess.run(
        [
            str(tool("opa")), "eval", "--format", "json", "--stdin-input",
            *(f"--data={POLICIES / name}" for name in folders),
            *(f"--data={name}:{POLICIES / 'data' / f'{name}.json'}" for name in names),
            *(
                f"--data=schemas.{name}:{POLICIES / 'schemas' / f'{name}.json'}"
                for name in (*names, *GATES)
            ),
            query,
        ],
        input=json.dumps(document).encode(), capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)["result"][0]["expressions"][0]["value"]


def allowed(gate: str, documents: list[Any]) -> list[int]:
    """The numbers of the documents that the gate's rules allow."""
    query = (
        f"[i | some i, doc in input.documents; data.fraud.{gate}.decision.allow == true "
        "with input as doc with data.fraud.lib.shape.policy_data_valid as true]"
    )
    return list(opa(query, {"documents": documents}))


def dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def structural(honest: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a JSON value
    """One field removed, given another type, or joined by one that nobody verified."""
    inside = [path for path in paths(honest) if "parameters" not in path]
    fields = [path for path in inside if isinstance(path[-1], str)]
    objects = [path for path in inside if isinstance(value_at(honest, path), dict)]
    names = st.sampled_from(["verified", "allowed", "trusted", "x", "y", "z"])
    return st.one_of(
        st.sampled_from(fields).map(lambda path: removed(honest, path)),
        st.tuples(st.sampled_from(inside), st.sampled_from([None, "0.99", 7, 1.5, True, [], {}]))
        .filter(lambda drawn: _kind(drawn[1]) != _kind(value_at(honest, drawn[0])))
        .map(lambda drawn: replaced(honest, drawn[0], drawn[1])),
        st.tuples(st.sampled_from(objects), names, st.booleans()).map(
            lambda drawn: replaced(honest, (*drawn[0], drawn[1]), drawn[2])
        ),
    )


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def binding_paths(honest: Any, gate: str) -> list[Path]:  # noqa: ANN401 - a JSON value
    """Where the facts lie that carry the decision."""
    return [
        path
        for path in paths(honest)
        if any(fnmatch.fnmatchcase(dotted(path), pattern) for pattern in BINDING[gate])
        and not isinstance(value_at(honest, path), dict | list)
    ]


@st.composite
def bent_fact(draw: st.DrawFn, honest: Any, found: list[Path]) -> Any:  # noqa: ANN401
    """One of these facts has another value of its own type."""
    path = draw(st.sampled_from(found))
    other = draw(bent(value_at(honest, path)))
    assume(other != value_at(honest, path))
    return replaced(honest, path, other)


@pytest.mark.parametrize("gate", list(GATES))
def test_no_changed_input_is_allowed(gate: str) -> None:
    honest = opa(f"data.fraud.fixtures_test.{GATES[gate]}", {})
    schema = jsonschema.Draft7Validator(
        json.loads((POLICIES / f"schemas/{gate}.json").read_bytes())
    )
    assert schema.is_valid(honest)
    assert allowed(gate, [honest, copy.deepcopy(honest)]) == [0, 1]
    shapes: list[Any] = []
    documents: list[Any] = []
    common = settings(
        derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )

    @settings(common, max_examples=SHAPES)
    @given(structural(honest))
    def bend_its_shape(changed: Any) -> None:  # noqa: ANN401 - a JSON value
        assert not schema.is_valid(changed)
        shapes.append(changed)

    @settings(common, max_examples=FACTS)
    @given(bent_fact(honest, binding_paths(honest, gate)))
    def bend_its_facts(changed: Any) -> None:  # noqa: ANN401 - a JSON value
        documents.append(changed)

    bend_its_shape()
    bend_its_facts()
    assert len(shapes) > 0.8 * SHAPES
    assert len(documents) > 0.8 * FACTS
    documents += shapes[::EACH_SHAPE]
    through = allowed(gate, documents)
    assert not through, json.dumps([documents[number] for number in through[:3]])[:4000]
