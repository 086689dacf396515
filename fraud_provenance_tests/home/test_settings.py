"""One model of a home's settings: where each value comes from, and what is no value."""

from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, VerificationError
from fraud_provenance.attested.ports.object_store import Bucket
from fraud_provenance.attested.sigstore.oidc_login import Provider
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.home.settings import settings_from
from fraud_provenance_tests.conftest import codes

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


def test_data_have_a_place_of_their_own(tmp_path: Path) -> None:
    table = FILE[FILE.index("[evidence]") :].replace("[evidence]", "[data]").replace("kept/b", "d")
    (tmp_path / "settings.toml").write_text(table)
    found = settings_from(environ(tmp_path))
    assert found.evidence.bucket() is None
    assert found.data.bucket() == Bucket("d", "", "http://127.0.0.1:7070", "eu-central-1", 3650)
    other = {"FRAUD_PROVENANCE_DATA": "s3://e/x", "FRAUD_PROVENANCE_DATA_KEPT_DAYS": "0"}
    found = settings_from(environ(tmp_path, **other))
    assert found.data.bucket() == Bucket("e", "x", "http://127.0.0.1:7070", "eu-central-1", 0)


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


ISSUER = "https://login.example.com/fraud/"


def test_people_sign_in_where_the_settings_say(tmp_path: Path) -> None:
    assert settings_from(environ(tmp_path)).oidc_login.provider() is None
    lines = f'[oidc_login]\nissuer = "{ISSUER}"\nclient_id = "from the file"\n'
    (tmp_path / "settings.toml").write_text(lines)
    assert settings_from(environ(tmp_path)).oidc_login.provider() == Provider(
        ISSUER, "from the file"
    )
    given = {"ISSUER": "http://127.0.0.1:8000", "CLIENT_ID": "from a variable"}
    named = {f"FRAUD_PROVENANCE_OIDC_LOGIN_{name}": value for name, value in given.items()}
    found = settings_from(environ(tmp_path, **named))
    assert found.oidc_login.provider() == Provider("http://127.0.0.1:8000", "from a variable")


@pytest.mark.parametrize(
    "given",
    [
        {"ISSUER": ISSUER},
        {"CLIENT_ID": "x"},
        {"ISSUER": "http://login.example.com", "CLIENT_ID": "x"},
        {"ISSUER": "https://ann:secret@login.example.com", "CLIENT_ID": "x"},
        {"ISSUER": f"{ISSUER}?secret", "CLIENT_ID": "x"},
        {"ISSUER": f"{ISSUER}#secret", "CLIENT_ID": "x"},
        {"ISSUER": ISSUER, "CLIENT_ID": "x", "CLIENT_SECRET": "secret"},
    ],
    ids=lambda given: " ".join(given.values()),
)
def test_login_that_is_not_whole_or_can_be_read_by_others_is_refused(
    tmp_path: Path, given: dict[str, str]
) -> None:
    named = {f"FRAUD_PROVENANCE_OIDC_LOGIN_{name}": value for name, value in given.items()}
    with pytest.raises(ProvenanceError) as caught:
        settings_from(environ(tmp_path, **named))
    assert codes(caught.value) == ["CONFIG_OVERRIDE" if "CLIENT_SECRET" in given else "USAGE"]
    assert "OIDC_LOGIN" in str(caught.value).upper()
    assert "secret" not in str(caught.value)


SERVER = "https://mlflow.example.com"
SERVED = {"FRAUD_PROVENANCE_MLFLOW_SERVER": f"{SERVER}/"}


def test_mlflow_server_is_taken_from_the_file_and_from_a_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    lines = f'[mlflow]\nserver = "http://127.0.0.1:5000"\ntoken_file = "{tmp_path / "token"}"\n'
    (tmp_path / "settings.toml").write_text(lines)
    found = settings_from(environ(tmp_path))
    assert found.mlflow.server == "http://127.0.0.1:5000"
    assert found.mlflow_login.token_file == tmp_path / "token"
    assert settings_from(environ(tmp_path, **SERVED)).mlflow.server == SERVER


@pytest.mark.parametrize(
    "given",
    [
        {"SERVER": "http://mlflow.example.com"},
        {"SERVER": "https://ann:secret@mlflow.example.com"},
        {"SERVER": "https://mlflow.example.com/?secret"},
        {"SERVER": "sqlite:///secret"},
        {"SERVER": "databricks"},
        {"TOKEN_FILE": "/secret"},
        {"SERVER": SERVER, "TOKEN_FILE": "secret"},
    ],
    ids=lambda given: " ".join(given.values()),
)
def test_mlflow_server_that_cannot_be_trusted_with_a_token_is_refused(
    tmp_path: Path, given: dict[str, str]
) -> None:
    named = {f"FRAUD_PROVENANCE_MLFLOW_{name}": value for name, value in given.items()}
    with pytest.raises(ConfigError, match="mlflow") as caught:
        settings_from(environ(tmp_path, **named))
    assert codes(caught.value) == ["USAGE"]
    assert "secret" not in str(caught.value)


def test_mlflows_own_variables_may_say_what_the_settings_say(tmp_path: Path) -> None:
    same = {"MLFLOW_TRACKING_URI": SERVER, "MLFLOW_REGISTRY_URI": f"{SERVER}/"}
    login = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
    found = settings_from(environ(tmp_path, **SERVED, **same, **login))
    assert found.mlflow_login.username == "ann"
    assert "s3cret" not in repr(found)


def test_variables_that_lead_mlflow_elsewhere_are_all_named(tmp_path: Path) -> None:
    elsewhere = {
        "MLFLOW_ALLOW_HTTP_REDIRECTS": "true",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{tmp_path}/mlflow/mlflow.db",
        "MLFLOW_S3_ENDPOINT_URL": "https://elsewhere.example.com",
        "MLFLOW_TRACKING_INSECURE_TLS": "true",
        "MLFLOW_TRACKING_URI": "https://elsewhere.example.com",
    }
    with pytest.raises(VerificationError, match="CONFIG_OVERRIDE") as caught:
        settings_from(environ(tmp_path, **SERVED, **elsewhere))
    assert [item.artifact for item in caught.value.reasons] == sorted(elsewhere)


def test_without_a_server_nothing_may_log_in_to_one(tmp_path: Path) -> None:
    given = dict.fromkeys(["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_URI"], SERVER)
    with pytest.raises(VerificationError) as caught:
        settings_from(environ(tmp_path, **given))
    assert [item.artifact for item in caught.value.reasons] == sorted(given)


def test_one_identity_a_run_needs_a_folder_with_its_token_alone(tmp_path: Path) -> None:
    one = {"FRAUD_PROVENANCE_ONE_IDENTITY": "true"}
    assert not settings_from(environ(tmp_path)).runs.one_identity
    for tokens in ({}, {"FRAUD_PROVENANCE_TOKENS": "ambient"}):
        with pytest.raises(ConfigError, match="one_identity needs tokens: a folder"):
            settings_from(environ(tmp_path, **one, **tokens))
    assert settings_from(
        environ(tmp_path, **one, FRAUD_PROVENANCE_TOKENS=str(tmp_path))
    ).runs.one_identity
    (tmp_path / "settings.toml").write_text(f'tokens = "{tmp_path}"\n[runs]\none_identity = true\n')
    assert settings_from(environ(tmp_path)).runs.one_identity


def test_features_are_made_by_duckdb_unless_the_settings_say_spark(tmp_path: Path) -> None:
    assert settings_from(environ(tmp_path)).features.chosen() == Engine("duckdb", 2, "local[*]")
    lines = '[features]\nengine = "spark"\nmaster = "spark://m.example.com:7077"\n'
    (tmp_path / "settings.toml").write_text(lines)
    found = settings_from(environ(tmp_path, FRAUD_PROVENANCE_FEATURES_MEMORY_GIB="8"))
    assert found.features.chosen() == Engine("spark", 8, "spark://m.example.com:7077")
    named = environ(tmp_path, FRAUD_PROVENANCE_FEATURES_MASTER="local[2]")
    assert settings_from(named).features.chosen() == Engine("spark", 2, "local[2]")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ENGINE": "polars"}, "features.engine (FRAUD_PROVENANCE_FEATURES_ENGINE)"),
        ({"ENGINE": "spark", "MEMORY_GIB": "0"}, "features.memory_gib"),
        ({"MASTER": "local[2]"}, "master needs the engine spark"),
        ({"ENGINE": "spark", "MASTER": "yarn"}, "master is not local[*]"),
        ({"ENGINE": "spark", "MASTER": "local[2]\nspark.jars=x"}, "master is not local[*]"),
        ({"ENGINE": "spark", "MASTER": "spark://a:7077,b:7077"}, "master is not local[*]"),
    ],
    ids=lambda given: " ".join(given.values()) if isinstance(given, dict) else "",
)
def test_what_is_no_engine_is_refused(tmp_path: Path, given: dict[str, str], told: str) -> None:
    named = {f"FRAUD_PROVENANCE_FEATURES_{name}": value for name, value in given.items()}
    with pytest.raises(ConfigError) as caught:
        settings_from(environ(tmp_path, **named))
    assert told in caught.value.reasons[0].message


@pytest.mark.parametrize("name", ["SPARK_HOME", "PYSPARK_SUBMIT_ARGS", "JAVA_TOOL_OPTIONS"])
def test_variables_that_lead_spark_elsewhere_are_refused_where_it_is_chosen(
    tmp_path: Path, name: str
) -> None:
    given = environ(tmp_path, **{name: "/elsewhere"})
    assert settings_from(given).features.engine == "duckdb"
    with pytest.raises(VerificationError, match=f"CONFIG_OVERRIDE.*{name}"):
        settings_from({**given, "FRAUD_PROVENANCE_FEATURES_ENGINE": "spark"})


@pytest.mark.parametrize(("address", "refused"), [("127.0.0.1", False), ("10.0.0.7", True)])
def test_address_that_pandera_gives_spark_is_no_override(
    tmp_path: Path, address: str, refused: bool
) -> None:
    given = environ(tmp_path, FRAUD_PROVENANCE_FEATURES_ENGINE="spark", SPARK_LOCAL_IP=address)
    if refused:
        with pytest.raises(VerificationError, match="CONFIG_OVERRIDE"):
            settings_from(given)
    else:
        assert settings_from(given).features.engine == "spark"
