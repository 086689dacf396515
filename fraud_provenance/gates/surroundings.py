"""What a model was trained in: packages as locked, a commit on the protected branch.

Facts come from the signed provenance; which environments demand them stands in the policy.
"""

from typing import Any

from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import Reason, VerificationError, reason
from fraud_provenance.evidence.nodes import Node
from fraud_provenance.gates.policy import Policy
from fraud_provenance.gates.trust import Trust

_LOCAL = "local"
_ENVIRONMENT_CODES = (RootCause.ENV_LOCK_MISMATCH, RootCause.ENV_FILE_MISMATCH)


def check_surroundings(trust: Trust, policy: Policy, model: Node) -> None:
    """Refuse a model whose packages or commit the policy does not accept in this environment.

    Raises:
        VerificationError: ENV_LOCK_MISMATCH, ENV_FILE_MISMATCH, COMMIT_UNTRUSTED or INPUT_MISSING.
    """
    outputs = model.provenance.outputs if model.provenance else {}
    thresholds = policy.data("thresholds")
    found: list[Reason] = []
    if _is_locked(thresholds, trust.environment):
        found += _package_reasons(outputs.get("environment_problems"))
    found += _commit_reasons(trust, thresholds, str(outputs.get("git_commit", "")))
    if found:
        raise VerificationError(*found)


def _is_locked(thresholds: dict[str, Any], environment: str) -> bool:
    demanded = thresholds.get("locked_environments")
    return environment != _LOCAL if demanded is None else environment in demanded["value"]


def _package_reasons(problems: object) -> list[Reason]:
    if not isinstance(problems, list):
        return [
            reason(
                RootCause.INPUT_MISSING,
                "the model does not say which packages it was trained with",
                artifact="environment",
            )
        ]
    found = []
    for problem in problems:
        code, _, what = str(problem).partition(": ")
        known = code if code in _ENVIRONMENT_CODES else RootCause.ENV_FILE_MISMATCH
        found.append(reason(known, what or str(problem), artifact="environment"))
    return found


def _commit_reasons(trust: Trust, thresholds: dict[str, Any], commit: str) -> list[Reason]:
    branch = thresholds.get("protected_branches", {"value": {}})["value"].get(trust.environment)
    if branch is None and trust.environment == _LOCAL:
        return []
    if branch is not None and trust.is_on_branch(commit, branch):
        return []
    message = f"{commit[:12] or 'no commit'} is not on {branch or 'any protected branch'}"
    return [reason(RootCause.COMMIT_UNTRUSTED, message, artifact="source code")]
