"""What a model was made in: packages as locked, commits on the protected branch.

Facts come from the signed provenance; which environments demand them stands in the policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import Reason, VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.nodes import Materialisation, Node, below

_LOCAL = "local"
_ENVIRONMENT_CODES = (RootCause.ENV_LOCK_MISMATCH, RootCause.ENV_FILE_MISMATCH)


@dataclass(frozen=True, order=True)
class Code:
    """What one asset of a lineage was made with; `git_dirty`: not exactly that commit."""

    asset: str
    git_commit: str
    git_dirty: bool


def code_of(roots: Iterable[Node]) -> list[Code]:
    """The code that `roots` and everything they were made from was made with, each once."""
    made = [node.claims.made for node in below(roots, judged=False)]
    return sorted(
        {
            Code(
                item.asset,
                str(item.outputs.get("git_commit", "")),
                item.outputs.get("git_dirty") is not False,
            )
            for item in made
            if item is not None
        }
    )


def surroundings_problems(
    trust: Trust, policy: Policy, model: Materialisation, code: Iterable[Code]
) -> list[Reason]:
    """What speaks against a model's packages and commits, by this environment's demands.

    `code`: what the model, its evaluation and everything below them was made with. The reasons are
    ENV_LOCK_MISMATCH, ENV_FILE_MISMATCH, COMMIT_UNTRUSTED or INPUT_MISSING.
    """
    thresholds = policy.data("thresholds")
    found: list[Reason] = []
    if _is_locked(thresholds, trust.environment):
        found += _package_reasons(model.provenance.outputs.get("environment_problems"))
    return [*found, *_commit_reasons(trust, thresholds, code)]


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


def _commit_reasons(trust: Trust, thresholds: dict[str, Any], code: Iterable[Code]) -> list[Reason]:
    found = []
    for commit in dict.fromkeys(item.git_commit for item in code):
        if message := _off_branch(trust, thresholds, commit):
            made = sorted({item.asset for item in code if item.git_commit == commit})
            why = f"{message}; it made {', '.join(made)}"
            found.append(reason(RootCause.COMMIT_UNTRUSTED, why, artifact="source code"))
    return found


def check_branch(trust: Trust, policy: Policy, commit: str) -> None:
    """Refuse a commit that this environment's policy wants on a branch, and that is not on it.

    Raises:
        VerificationError: COMMIT_UNTRUSTED. BackendError: GIT_UNAVAILABLE.
    """
    if message := _off_branch(trust, policy.data("thresholds"), commit):
        remedy = "Deploy from the protected branch, and fetch that branch with its whole history."
        raise VerificationError(
            reason(RootCause.COMMIT_UNTRUSTED, message, artifact="commit", remedy=remedy)
        )


def _off_branch(trust: Trust, thresholds: dict[str, Any], commit: str) -> str:
    """In words that a commit is not where this environment wants it; "" if nothing is wrong."""
    branch = thresholds.get("protected_branches", {"value": {}})["value"].get(trust.environment)
    if branch is None and trust.environment == _LOCAL:
        return ""
    if branch is not None and trust.attestor.is_on_branch(commit, branch):
        return ""
    return f"{commit[:12] or 'no commit'} is not on {branch or 'any protected branch'}"
