"""What a workspace refuses before anything is done: overrides and secrets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.evidence.errors import ProvenanceError
from fraud_provenance.evidence.secrets import has_secret, refuse_secrets
from fraud_provenance.workspace import settings_from
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


KEY = "-----BEGIN {}PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n"


@pytest.mark.parametrize(
    "kind", ["", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED ", "ENCRYPTED SIGSTORE "]
)
def test_private_key_is_found_wherever_it_lies(kind: str) -> None:
    content = b"a: |\n" + KEY.format(kind).encode()
    assert has_secret(content)
    assert refused(lambda: refuse_secrets({"x.yml": content})) == ["SECRET_IN_TREE"]


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PUBLIC KEY-----\nMIGHAgEAMBMGByqGSM49AgEG", b"the words PRIVATE KEY alone",
     b"AKIA and ghp_ are prefixes", b"-----BEGIN PRIVATE KEY-----"],
)  # fmt: skip
def test_what_only_speaks_of_keys_is_no_secret(content: bytes) -> None:
    assert not has_secret(content)
