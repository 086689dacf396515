"""What a workspace refuses before anything is done: overrides and secrets."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.evidence.encoding import digest_bytes
from fraud_provenance.evidence.errors import ProvenanceError
from fraud_provenance.workspace import is_on_branch, settings_from
from fraud_provenance_tests.conftest import codes

HOME = "/somewhere/home"


def refused(work: Callable[[], object]) -> list[str]:
    with pytest.raises(ProvenanceError) as caught:
        work()
    return codes(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "SIGSTORE_ROOT_FILE", "COSIGN_EXPERIMENTAL", "COSIGN_REPOSITORY", "TUF_ROOT", "OPA_X",
        "SKIP_VERIFY", "SKIP_ANYTHING", "MODEL_URI", "MLFLOW_TRACKING_URI", "REKOR_SERVER",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "FRAUD_PROVENANCE_SKIP_VERIFY",
    ],
)  # fmt: skip
def test_variable_that_would_override_trust_is_refused(name: str) -> None:
    environ = {"FRAUD_PROVENANCE_HOME": HOME, name: "1"}
    assert refused(lambda: settings_from(environ)) == ["CONFIG_OVERRIDE"]


def test_variables_of_this_home_and_of_others_are_no_override() -> None:
    environ = {
        "FRAUD_PROVENANCE_HOME": HOME,
        "FRAUD_PROVENANCE_TOOLS": "/tools",
        "MLFLOW_TRACKING_URI": f"sqlite:///{HOME}/mlflow/mlflow.db",
        "MLFLOW_RUN_ID": "1",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": "/bin",
    }
    assert settings_from(environ).home == Path(HOME)


def test_variables_of_a_steps_tools_are_kept_by_their_digest_only() -> None:
    environ = {"FRAUD_PROVENANCE_HOME": HOME, "DBT_SAMPLE": "1 day", "DBT_TARGET": "", "A": "b"}
    found = dict(settings_from(environ).variables)
    assert found == {"DBT_SAMPLE": digest_bytes(b"1 day"), "DBT_TARGET": digest_bytes(b"")}


def git(project: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=project, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_commit_is_on_a_branch_only_if_the_branch_contains_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commits = []
    for number in range(2):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    git(tmp_path, "branch", "protected", commits[0])
    assert is_on_branch(tmp_path, commits[0], "refs/heads/protected")
    assert is_on_branch(tmp_path, commits[1], "refs/heads/main")
    assert not is_on_branch(tmp_path, commits[1], "refs/heads/protected")
    for commit, branch in (
        ("f" * 40, "refs/heads/main"), ("", "refs/heads/main"), ("main", "refs/heads/main"),
        (commits[0], "refs/heads/nothing"), (commits[0], "--all"),
    ):  # fmt: skip
        assert not is_on_branch(tmp_path, commit, branch)
