"""What of a training is due, and what is as it would be made."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.due import trainings
from fraud_provenance.home.workspace import Workspace

MODEL = "m-1"


@pytest.mark.parametrize(("decided", "alias", "is_current"), [
    ([("now", True)], MODEL, True),
    ([("before", True), ("now", True)], MODEL, True),
    ([("now", True), ("between", True)], MODEL, False),  # a policy came back
    ([("now", True), ("now", False)], MODEL, False),
    ([("before", True)], MODEL, False),
    ([("now", True)], "m-0", False),
    ([], MODEL, False),
])  # fmt: skip
def test_model_is_registered_by_its_newest_decision_under_the_policy_in_force(
    monkeypatch: pytest.MonkeyPatch,
    decided: list[tuple[str, bool]],
    alias: str,
    *,
    is_current: bool,
) -> None:
    def newest(*_: object) -> Any:  # noqa: ANN401 - as much of a node as is asked
        if not decided:
            raise EvidenceError(reason("DECISION_MISSING", "x"))
        policy, allowed = decided[-1]
        said = SimpleNamespace(allowed=allowed, policy_digest=policy)
        return SimpleNamespace(claims=SimpleNamespace(decided=said))

    registry = SimpleNamespace(alias=lambda _name: SimpleNamespace(model_id=alias))
    policies = SimpleNamespace(current=lambda: SimpleNamespace(digest="now"))
    workspace = cast("Workspace", SimpleNamespace(trust=SimpleNamespace(policies=policies)))
    monkeypatch.setattr(trainings, "newest_model", lambda _workspace: MODEL)
    monkeypatch.setattr(trainings, "registry_of", lambda _workspace: registry)
    monkeypatch.setattr(trainings, "registration_of", newest)
    monkeypatch.setattr(trainings.promotion, "digest_of_model", lambda *_: "digest")
    found = trainings._is_registered(workspace, cast("Any", None), cast("Any", None))
    assert found is is_current
