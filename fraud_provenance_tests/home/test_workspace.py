"""What a workspace refuses before anything is done: overrides and secrets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.attested.core.encoding import digest_bytes
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.home.settings import settings_from
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
