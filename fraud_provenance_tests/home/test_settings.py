"""One model of a home's settings: where each value comes from, and what is no value."""

from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance.attested.ports.object_store import Bucket
from fraud_provenance.home.settings import settings_from

STORE = {
    "FRAUD_PROVENANCE_EVIDENCE": "s3://evidence/home/a",
    "FRAUD_PROVENANCE_EVIDENCE_ENDPOINT": "https://store.example.com",
}
FILE = """
environment = "staging"
[evidence]
place = "s3://kept/b"
endpoint = "http://127.0.0.1:7070"
region = "eu-central-1"
kept_days = 3650
"""


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"FRAUD_PROVENANCE_HOME": str(home), **more}


def test_without_any_the_home_is_local_and_keeps_its_evidence(tmp_path: Path) -> None:
    found = settings_from(environ(tmp_path))
    assert (found.environment, found.evidence.bucket()) == ("local", None)


def test_the_file_says_what_no_variable_says(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(FILE)
    found = settings_from(environ(tmp_path))
    assert found.environment == "staging"
    assert found.evidence.bucket() == Bucket(
        "kept", "b", "http://127.0.0.1:7070", "eu-central-1", 3650
    )


def test_a_variable_is_preferred_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(FILE)
    found = settings_from(environ(tmp_path, FRAUD_PROVENANCE_ENVIRONMENT="local", **STORE))
    assert found.environment == "local"
    assert found.evidence.bucket() == Bucket(
        "evidence", "home/a", "https://store.example.com", "eu-central-1", 3650
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("EVIDENCE", "/a/folder", "place is not s3://"),
        ("EVIDENCE", "s3://key@bucket/x", "place is not s3://"),
        ("EVIDENCE_ENDPOINT", "http://store.example.com", "not an https address"),
        ("EVIDENCE_ENDPOINT", "https://key:secret@store.example.com", "not an https address"),
        ("EVIDENCE_ENDPOINT", "", "not an https address"),
        ("EVIDENCE_KEPT_DAYS", "-1", "evidence.kept_days (FRAUD_PROVENANCE_EVIDENCE_KEPT_DAYS)"),
        ("EVIDENCE_KEPT_DAYS", "soon", "evidence.kept_days (FRAUD_PROVENANCE_EVIDENCE_KEPT_DAYS)"),
    ],
)
def test_what_is_no_value_is_refused_by_its_name(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    given = {**STORE, f"FRAUD_PROVENANCE_{name}": value}
    with pytest.raises(ConfigError) as caught:
        settings_from(environ(tmp_path, **given))
    (reason,) = caught.value.reasons
    assert (reason.code, told in reason.message, "secret" in str(reason)) == ("USAGE", True, False)
    assert str(tmp_path / "settings.toml") in reason.remedy


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("evidence = 1", "evidence"),
        ("[evidence]\nplce = 's3://a/b'", "evidence.plce"),
        ("[evidence]\nkept_days = 3", "need a place"),
        ("environment = ", "no TOML file"),
        ("trust = 'me'", "trust"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "settings.toml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        settings_from(environ(tmp_path))
    assert told in caught.value.reasons[0].message


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_variables_that_lead_a_store_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Exception, match="CONFIG_OVERRIDE"):
        settings_from(environ(tmp_path, **{name: "https://elsewhere.example.com"}))
