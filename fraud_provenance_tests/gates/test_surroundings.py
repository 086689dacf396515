"""What a model was trained in, where the policy demands it."""

from types import SimpleNamespace
from typing import Any

import pytest

from fraud_provenance.evidence.errors import VerificationError
from fraud_provenance.gates.surroundings import check_surroundings
from fraud_provenance_tests.conftest import codes

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
    **outputs: Any,
) -> list[str]:
    trust: Any = SimpleNamespace(
        environment=environment, is_on_branch=lambda commit, _branch: on_branch and commit == COMMIT
    )
    policy: Any = SimpleNamespace(data=lambda _name: demands)
    honest = {"environment_problems": [], "git_commit": COMMIT} | outputs
    model: Any = SimpleNamespace(provenance=SimpleNamespace(outputs=honest))
    try:
        check_surroundings(trust, policy, model)
    except VerificationError as error:
        return codes(error)
    return []


def test_model_from_locked_packages_and_reviewed_code_is_accepted() -> None:
    assert found("production") == []


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"environment_problems": ["ENV_LOCK_MISMATCH: x"]}, ["ENV_LOCK_MISMATCH"]),
        ({"environment_problems": ["ENV_FILE_MISMATCH: x"]}, ["ENV_FILE_MISMATCH"]),
        ({"environment_problems": ["NONSENSE"]}, ["ENV_FILE_MISMATCH"]),
        ({"environment_problems": None}, ["INPUT_MISSING"]),
        ({"git_commit": "b" * 40}, ["COMMIT_UNTRUSTED"]),
        ({"git_commit": ""}, ["COMMIT_UNTRUSTED"]),
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
