"""What a model was trained in, where the policy demands it."""

from types import SimpleNamespace
from typing import Any

import pytest

from fraud_provenance.attested.gates.build_rules import Code, code_of, surroundings_problems
from fraud_provenance.attested.lineage.nodes import Claims, Node, Refused
from fraud_provenance.attested.statements.statements import Provenance

COMMIT = "a" * 40
DEMANDS: dict[str, Any] = {
    "locked_environments": {"value": ["production"]},
    "protected_branches": {"value": {"production": "refs/remotes/origin/main"}},
}


def found(
    environment: str,
    demands: dict[str, Any] = DEMANDS,
    *,
    on_branch: bool = True,
    commit: str = COMMIT,
    **outputs: Any,
) -> list[str]:
    trust: Any = SimpleNamespace(
        environment=environment,
        attestor=SimpleNamespace(
            is_on_branch=lambda commit, _branch: on_branch and commit == COMMIT
        ),
    )
    policy: Any = SimpleNamespace(data=lambda _name: demands)
    honest = {"environment_problems": []} | outputs
    model: Any = SimpleNamespace(provenance=SimpleNamespace(outputs=honest))
    code = [Code("fraud_model", COMMIT, False), Code("transaction_features", commit, False)]
    return [item.code for item in surroundings_problems(trust, policy, model, code)]


def test_model_from_locked_packages_and_reviewed_code_is_accepted() -> None:
    assert found("production") == []


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"environment_problems": ["ENV_LOCK_MISMATCH: x"]}, ["ENV_LOCK_MISMATCH"]),
        ({"environment_problems": ["ENV_FILE_MISMATCH: x"]}, ["ENV_FILE_MISMATCH"]),
        ({"environment_problems": ["NONSENSE"]}, ["ENV_FILE_MISMATCH"]),
        ({"environment_problems": None}, ["INPUT_MISSING"]),
        ({"commit": "b" * 40}, ["COMMIT_UNTRUSTED"]),
        ({"commit": ""}, ["COMMIT_UNTRUSTED"]),
    ],
)
def test_model_from_anything_else_is_refused(outputs: dict[str, Any], expected: list[str]) -> None:
    assert found("production", **outputs) == expected
    assert found("local", **outputs) == []


def test_environment_that_the_policy_forgot_demands_everything() -> None:
    problems = ["ENV_LOCK_MISMATCH: x"]
    assert found("staging", {}, environment_problems=problems) == [
        "ENV_LOCK_MISMATCH",
        "COMMIT_UNTRUSTED",
    ]
    assert found("staging") == ["COMMIT_UNTRUSTED"]
    assert found("local", {}, environment_problems=problems) == []


def made(asset: str, *below: Node, dirty: bool | None = False) -> Node:
    told = {} if dirty is None else {"git_commit": COMMIT, "git_dirty": dirty}
    said = Provenance(
        environment="local", asset=asset, step="s", parameters={}, sequence=1, previous="",
        run_id="", started_at="", finished_at="", materials=(), outputs=told,
    )  # fmt: skip
    return Refused(
        kind="materialisation", name=asset, statement=f"{asset} {dirty}", children=below,
        claims=Claims(said=said),
    )  # fmt: skip


def decision(*inputs: Node) -> Node:
    return Refused(kind="decision", name="data access", statement="decision", children=inputs)


def test_code_is_that_of_everything_in_the_lineage() -> None:
    raw = made("raw_transactions", dirty=True)
    features = made("transaction_features", decision(raw))
    assert code_of([made("fraud_model", decision(features))]) == [
        Code("fraud_model", COMMIT, False),
        Code("raw_transactions", COMMIT, True),
        Code("transaction_features", COMMIT, False),
    ]


def test_what_a_contract_read_in_order_to_judge_made_nothing() -> None:
    earlier = made("raw_transactions", dirty=True)
    contract = Refused(
        kind="contract", name="raw_expectations", statement="contract", children=[decision(earlier)]
    )
    model = made("fraud_model", decision(contract))
    assert code_of([model]) == [Code("fraud_model", COMMIT, False)]


def test_evidence_that_tells_no_code_counts_as_dirty() -> None:
    assert code_of([made("fraud_model", dirty=None)]) == [Code("fraud_model", "", True)]
