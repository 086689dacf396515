"""in-toto statements: each predicate built and read again; what is not one statement is refused."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.predicates import PREDICATES
from fraud_provenance.attested.statements.statements import Identity, Material, Statement

A, B, C = "a" * 64, "b" * 64, "c" * 64


def provenance(**changed: Any) -> dict[str, Any]:
    honest: dict[str, Any] = {
        "builder_id": "urn:builder",
        "environment": "local",
        "asset": "raw_transactions",
        "step": "ingest",
        "parameters": {"partitions": ["2018-04-01"]},
        "sequence": 3,
        "previous": C,
        "run_id": "run-1",
        "materials": [
            Material(name="landing", digest=A, role="source"),
            Material(name="other", digest=B, role="input", decision=C),
        ],
        "started_at": "2018-04-03T00:00:00Z",
        "finished_at": "2018-04-03T00:00:01Z",
        "outputs": {"location": "data", "rows": {"2018-04-01": 3}},
    }
    return statements.provenance_predicate(**(honest | changed))


def contract(**changed: Any) -> dict[str, Any]:
    honest: dict[str, Any] = {
        "suite": "raw_schema",
        "suite_digest": B,
        "environment": "local",
        "step": "contracts",
        "checks": ("amounts_are_not_negative", "keys_are_unique"),
        "failures": [],
        "rows": {"2018-04-01": 3, "2018-04-02": 4},
        "run_id": "run-1",
        "decision": C,
    }
    return statements.contract_predicate(**(honest | changed))


def summary(**changed: Any) -> dict[str, Any]:
    honest: dict[str, Any] = {
        "verifier_id": "urn:gate",
        "at": "2018-04-03T00:00:00Z",
        "resource": "urn:resource",
        "policy_digest": A,
        "inputs": [C, B, C],
        "allowed": True,
        "environment": "local",
        "gate": "data_access",
        "facts": {"step": "features"},
        "reasons": [],
    }
    return statements.summary_predicate(**(honest | changed))


def statement(kind: str, predicate: Mapping[str, Any]) -> Statement:
    return statements.build_statement(kind, "raw_transactions", A, predicate)


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(ProvenanceError) as caught:
        work()
    return caught.value.reasons[0].code


def document(**changed: Any) -> bytes:
    honest = {
        "_type": statements.STATEMENT_TYPE,
        "subject": [{"name": "raw", "digest": {"sha256": A}}],
        "predicateType": statements.PROVENANCE,
        "predicate": {},
    }
    return json.dumps(honest | changed).encode()


@pytest.mark.parametrize("kind", sorted(PREDICATES))
def test_statement_of_each_predicate_type_is_read_as_it_was_built(kind: str) -> None:
    made = statements.build_statement(kind, "name", A, {"a": 1})
    read = statements.parse_statement(made.content)
    assert read == made
    assert (read.predicate_type, read.subject_name, read.subject_digest) == (kind, "name", A)
    assert read.predicate == {"a": 1}
    assert read.digest == encoding.digest_bytes(made.content)


def test_statement_keeps_the_exact_bytes_that_were_signed() -> None:
    spaced = json.dumps(json.loads(document()), indent=3).encode()
    read = statements.parse_statement(spaced)
    assert read.content == spaced
    assert read.digest != statements.parse_statement(document()).digest


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"subject": []}, "SUBJECT_MISMATCH"),
        ({"subject": [{"name": "a", "digest": {"sha256": A}}] * 2}, "SUBJECT_MISMATCH"),
        ({"subject": {"name": "a", "digest": {"sha256": A}}}, "SUBJECT_MISMATCH"),
        ({"subject": ["a"]}, "SUBJECT_MISMATCH"),
        ({"subject": [{"name": "a", "digest": {"md5": "a" * 32}}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"subject": [{"name": "a", "digest": {"gitCommit": A}}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"subject": [{"name": "a", "digest": {"sha256": "a" * 63}}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"subject": [{"name": "a", "digest": {"sha256": 5}}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"subject": [{"name": "a", "digest": A}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"subject": [{"name": "a"}]}, "DIGEST_ALG_UNACCEPTABLE"),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "PREDICATE_TYPE"),
        ({"predicateType": "https://example.com/anything"}, "PREDICATE_TYPE"),
        ({"predicateType": None}, "PREDICATE_TYPE"),
        ({"predicate": []}, "PREDICATE_TYPE"),
        ({"predicate": None}, "PREDICATE_TYPE"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else value,
)
def test_statement_that_is_not_one_statement_about_one_sha256_is_refused(
    changed: dict[str, Any], code: str
) -> None:
    assert refusal(lambda: statements.parse_statement(document(**changed))) == code


def test_statement_that_is_no_object_is_refused() -> None:
    assert refusal(lambda: statements.parse_statement(b"[]")) == "PREDICATE_TYPE"


def test_statement_with_the_subject_twice_is_refused() -> None:
    doubled = document().replace(b'"subject":', b'"subject": [], "subject":', 1)
    assert refusal(lambda: statements.parse_statement(doubled)) == "JSON_DUPLICATE_KEY"


def test_provenance_is_read_as_it_was_built() -> None:
    read = statements.read_provenance(statement(statements.PROVENANCE, provenance()))
    assert (read.environment, read.asset, read.step) == ("local", "raw_transactions", "ingest")
    assert (read.sequence, read.previous, read.run_id) == (3, C, "run-1")
    assert read.parameters == {"partitions": ["2018-04-01"]}
    assert read.outputs == {"location": "data", "rows": {"2018-04-01": 3}}
    assert read.material("input") == Material(name="other", digest=B, role="input", decision=C)
    assert read.material("source") == Material(name="landing", digest=A, role="source")
    assert read.material("lock") is None


def test_provenance_material_without_sha256_is_refused() -> None:
    predicate = provenance()
    predicate["buildDefinition"]["resolvedDependencies"][0]["digest"] = {"md5": "a" * 32}
    made = statement(statements.PROVENANCE, predicate)
    assert refusal(lambda: statements.read_provenance(made)) == "DIGEST_ALG_UNACCEPTABLE"


@pytest.mark.parametrize("part", ["buildDefinition", "runDetails"])
def test_provenance_without_one_of_its_parts_is_refused(part: str) -> None:
    predicate = provenance()
    del predicate[part]
    made = statement(statements.PROVENANCE, predicate)
    assert refusal(lambda: statements.read_provenance(made)) == "PREDICATE_TYPE"


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("buildDefinition", "buildType", "https://example.com/make"),
        ("buildDefinition", "resolvedDependencies", 5),
        ("buildDefinition", "resolvedDependencies", ["text"]),
        ("buildDefinition", "internalParameters", {"sequence": "many", "previous": ""}),
        ("buildDefinition", "externalParameters", {}),
        ("runDetails", "byproducts", []),
        ("runDetails", "metadata", None),
    ],
)
def test_provenance_with_a_malformed_part_is_refused(part: str, name: str, value: object) -> None:
    predicate = provenance()
    predicate[part][name] = value
    made = statement(statements.PROVENANCE, predicate)
    assert refusal(lambda: statements.read_provenance(made)) == "PREDICATE_TYPE"


def test_contract_that_passed_is_read_as_it_was_built() -> None:
    predicate = contract()
    read = statements.read_contract(statement(statements.TEST_RESULT, predicate))
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == ["amounts_are_not_negative", "keys_are_unique"]
    assert predicate["configuration"] == [{"name": "raw_schema", "digest": {"sha256": B}}]
    assert (read.suite, read.environment, read.checks, read.failed) == (
        "raw_schema",
        "local",
        2,
        (),
    )
    assert read.judges("2018-04-01") is None
    assert read.judges("2018-04-09") == "CHECK_VACUOUS"


def test_contract_that_failed_on_one_day_passes_the_other() -> None:
    failure = {"day": "2018-04-02", "check": "keys_are_unique", "code": "DUPLICATE_KEY"}
    predicate = contract(failures=[failure])
    read = statements.read_contract(statement(statements.TEST_RESULT, predicate))
    assert predicate["result"] == "FAILED"
    assert predicate["passedTests"] == ["amounts_are_not_negative"]
    assert predicate["failedTests"] == ["keys_are_unique@2018-04-02"]
    assert read.judges("2018-04-01") is None
    assert read.judges("2018-04-02") == "CHECK_FAILED"


@pytest.mark.parametrize("changed", [{"checks": ()}, {"rows": {"2018-04-01": 0}}, {"rows": {}}])
def test_contract_that_looked_at_nothing_is_vacuous(changed: dict[str, Any]) -> None:
    made = statement(statements.TEST_RESULT, contract(**changed))
    assert statements.read_contract(made).judges("2018-04-01") == "CHECK_VACUOUS"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suite", None), ("environment", 5), ("checks", "many"), ("checks", True),
        ("rows", {"2018-04-01": "3"}), ("rows", [3]), ("failedPartitions", 5),
        ("failedPartitions", [1]), ("failedPartitions", ["2018-04-01"]),
    ],
)  # fmt: skip
def test_contract_with_a_malformed_fact_is_refused(name: str, value: object) -> None:
    predicate = contract()
    predicate["annotations"][name] = value
    made = statement(statements.TEST_RESULT, predicate)
    assert refusal(lambda: statements.read_contract(made)) == "PREDICATE_TYPE"


@pytest.mark.parametrize("change", [{"result": "FAILED"}, {"result": None}, {"annotations": []}])
def test_contract_whose_result_and_days_disagree_is_refused(change: dict[str, Any]) -> None:
    made = statement(statements.TEST_RESULT, contract() | change)
    assert refusal(lambda: statements.read_contract(made)) == "PREDICATE_TYPE"


def test_summary_is_read_as_it_was_built() -> None:
    read = statements.read_summary(statement(statements.VERIFICATION_SUMMARY, summary()))
    assert (read.gate, read.environment, read.allowed) == ("data_access", "local", True)
    assert read.inputs == (B, C)
    assert (read.policy_digest, read.resource, read.at) == (
        A,
        "urn:resource",
        "2018-04-03T00:00:00Z",
    )
    assert read.facts == {"step": "features"}


@pytest.mark.parametrize("result", ["FAILED", "passed", "", None, True])
def test_summary_that_does_not_say_passed_in_so_many_words_is_a_denial(result: object) -> None:
    predicate = summary() | {"verificationResult": result}
    read = statements.read_summary(statement(statements.VERIFICATION_SUMMARY, predicate))
    assert read.allowed is False


def test_summary_of_a_denial_names_its_reasons() -> None:
    predicate = summary(allowed=False, reasons=[{"code": "CHECK_MISSING"}])
    assert predicate["verificationResult"] == "FAILED"
    assert predicate["annotations"]["reasons"] == [{"code": "CHECK_MISSING"}]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("policy", {"digest": {"sha1": "a" * 40}}, "DIGEST_ALG_UNACCEPTABLE"),
        ("inputAttestations", [{"digest": {"md5": "a"}}], "DIGEST_ALG_UNACCEPTABLE"),
        ("inputAttestations", ["text"], "PREDICATE_TYPE"),
        ("annotations", None, "PREDICATE_TYPE"),
        ("annotations", {"gate": "data_access"}, "PREDICATE_TYPE"),
    ],
)
def test_summary_with_a_malformed_part_is_refused(name: str, value: object, code: str) -> None:
    made = statement(statements.VERIFICATION_SUMMARY, summary() | {name: value})
    assert refusal(lambda: statements.read_summary(made)) == code


@pytest.mark.parametrize(
    "read", [statements.read_provenance, statements.read_contract, statements.read_summary]
)
def test_statement_of_another_type_than_the_one_wanted_is_refused(
    read: Callable[[Statement], object],
) -> None:
    made = statement(statements.APPROVAL, {})
    assert refusal(lambda: read(made)) == "PREDICATE_TYPE"


def test_identity_and_material_are_written_readably() -> None:
    assert str(Identity(issuer="people", subject="ann@example.com")) == "ann@example.com (people)"
    assert Material(name="lock", digest=A, role="lock").descriptor() == {
        "name": "lock", "digest": {"sha256": A}, "annotations": {"role": "lock"},
    }  # fmt: skip


def test_statement_with_a_great_many_subjects_is_a_bomb() -> None:
    subject = {"name": "asset", "digest": {"sha256": "a" * 64}}
    document = {
        "_type": statements.STATEMENT_TYPE, "predicateType": statements.PROVENANCE,
        "subject": [subject] * 17, "predicate": {},
    }  # fmt: skip
    with pytest.raises(ProvenanceError, match="SIZE_LIMIT"):
        statements.parse_statement(json.dumps(document).encode())


@pytest.mark.parametrize("history", ["", A])
def test_contract_names_what_is_kept_of_accepted_days(history: str) -> None:
    predicate = contract(history=history)
    assert ("history" in predicate["annotations"]) is bool(history)
    assert statements.read_contract(statement(statements.TEST_RESULT, predicate)).history == history


def test_two_statements_of_a_person_are_two_also_within_one_second() -> None:
    now = datetime(2018, 4, 1, 12, 30, tzinfo=UTC)
    first, second = issued(now), issued(now)
    assert first["issued_at"] == second["issued_at"] == "2018-04-01T12:30:00Z"
    assert first["nonce"] != second["nonce"]
