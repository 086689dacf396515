"""The layout: exact identities, closed schema, principals in their time."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from fraud_provenance.attested.core import json_schemas
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError
from fraud_provenance.attested.lineage.signers import identity_of
from fraud_provenance.attested.rules.layout import (
    Layout,
    Principal,
    find_principal,
    parse_layout,
    read_principals,
)
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance_tests.conftest import PROJECT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = {
    f"data/{name}.json": (PROJECT / "policies" / "data" / f"{name}.json").read_bytes()
    for name in ("layout", "principals")
}
OFFICER = Identity(issuer="people", subject="risk.officer@example.com")


def changed(name: str, **fields: Any) -> dict[str, bytes]:
    path = f"data/{name}.json"
    return FILES | {path: json.dumps(json.loads(FILES[path]) | fields).encode()}


def with_parameter(schema: object) -> Layout:
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["parameters"]["x"] = schema
    return parse_layout(changed("layout", steps=steps))


def with_principal(**fields: Any) -> Layout:
    known = json.loads(FILES["data/principals.json"])["principals"]
    second = next(item for item in known if item["id"] == "model-risk") | {"id": "second"} | fields
    return parse_layout(changed("principals", principals=[*known, second]))


@pytest.fixture(scope="module")
def layout() -> Layout:
    return parse_layout(FILES)


def test_step_of_the_layout_names_its_one_signer(layout: Layout) -> None:
    expected = Identity(issuer="workloads", subject="/steps/ingest")
    assert layout.step("ingest").signer() == expected == identity_of(layout, "ingest")
    assert layout.step("approve").signer() is None
    assert len({str(rule.signer()) for rule in layout.steps.values() if rule.produces}) == 7


def test_distance_of_an_asset_is_its_longest_way_from_the_raw_data(layout: Layout) -> None:
    assert layout.distances == {
        "raw_transactions": 0,
        "transaction_features": 1,
        "feature_store": 2,
        "training_set": 2,
        "fraud_model": 3,
        "model_evaluation": 4,
        "transaction_scores": 4,
    }


def test_distances_of_a_layout_that_goes_in_a_circle_are_bounded() -> None:
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["materials"][0]["asset"] = "fraud_model"
    distances = parse_layout(changed("layout", steps=steps)).distances
    assert set(distances) > {"raw_transactions", "fraud_model"}
    assert max(distances.values()) <= len(distances) * len(steps)


@pytest.mark.parametrize("step", ["approve", "nonsense"])
def test_identity_of_a_step_for_people_or_of_no_step_is_refused(layout: Layout, step: str) -> None:
    with pytest.raises(VerificationError, match="IDENTITY_NOT_AUTHORIZED_FOR_STEP"):
        identity_of(layout, step)


@pytest.mark.parametrize(
    "given",
    [
        {"sample_frac": 0.01},
        {"max_depth": 17},
        {"max_depth": "6"},
        {"max_depth": True},
        {"learning_rate": 0},
        {"tree_method": "gpu_hist"},
        {"seed": 0, "Seed": 0},
    ],
)
def test_parameter_outside_of_the_layout_is_refused(layout: Layout, given: dict[str, Any]) -> None:
    layout.step("train").check_parameters({"max_depth": 6, "tree_method": "exact"})
    with pytest.raises(VerificationError, match="PARAM_UNEXPECTED"):
        layout.step("train").check_parameters(given)


def test_engine_of_the_features_is_one_that_the_layout_knows(layout: Layout) -> None:
    layout.step("features").check_parameters({"engine": "spark"})
    for given in ({"engine": "flink"}, {"spark.jars": "more.jar"}):
        with pytest.raises(VerificationError, match="PARAM_UNEXPECTED"):
            layout.step("features").check_parameters(given)


@pytest.mark.parametrize(
    ("models", "code"), [(0, "PARTITION_MISSING"), (1, ""), (2, "MATERIAL_NOT_ALLOWED")]
)
def test_step_reads_as_many_partitions_as_the_layout_says(
    layout: Layout, models: int, code: str
) -> None:
    days = {("transaction_features", f"2018-04-{day:02}") for day in range(1, 31)}
    read = days | {("fraud_model", f"m-{number}") for number in range(models)}
    if not code:
        layout.step("score").check_materials(read)
        return
    with pytest.raises(VerificationError, match=code):
        layout.step("score").check_materials(read)


def test_materials_producers_and_suites_are_found_by_exact_name(layout: Layout) -> None:
    rule = layout.step("features").material("raw_transactions")
    assert rule is not None
    assert rule.requires_suites == ("raw_schema", "raw_expectations")
    assert layout.step("features").material("raw") is None
    assert layout.producer("raw_transactions") == "ingest"
    assert layout.producer("raw") == ""
    assert layout.suites("raw_transactions") == ("raw_schema", "raw_expectations")
    assert layout.suites("nothing") == ()


def test_principal_is_found_by_exact_identity_in_its_time(layout: Layout) -> None:
    found = layout.principal(OFFICER, NOW)
    assert found is not None
    assert found.id == "model-risk"
    assert layout.principal(OFFICER, datetime(2023, 12, 31, tzinfo=UTC)) is None
    assert layout.principal(OFFICER, datetime(2036, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "identity",
    [
        Identity(issuer="workloads", subject=OFFICER.subject),
        Identity(issuer="people", subject="Risk.Officer@example.com"),
        Identity(issuer="people", subject="risk.officer@example.com.evil.example"),
        Identity(issuer="people", subject="risk-officer@example.com"),
        Identity(issuer="people", subject=".*"),
    ],
    ids=str,
)
def test_principal_of_a_similar_identity_is_nobody(layout: Layout, identity: Identity) -> None:
    assert layout.principal(identity, NOW) is None


def twice(**fields: Any) -> tuple[Principal, ...]:
    """The principals with one identity enrolled twice, as no policy that binds has them."""
    known = json.loads(FILES["data/principals.json"])["principals"]
    second = next(item for item in known if item["id"] == "model-risk") | {"id": "second"} | fields
    return read_principals(json.dumps({"version": 1, "principals": [*known, second]}).encode())


def test_principal_of_an_identity_that_two_principals_claim_is_nobody() -> None:
    assert find_principal(twice(), OFFICER, NOW) is None
    later = find_principal(twice(valid_from="2030-01-01T00:00:00Z"), OFFICER, NOW)
    assert later is not None
    assert later.id == "model-risk"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"valid_from": "2030-01-01T00:00:00Z"},
        {"identities": [{"issuer": "people", "subject": "RISK.OFFICER@example.com"}]},
        {"identities": [{"issuer": "people", "subject": "risk.officer@EXAMPLE.com"}]},
        {"identities": [{"issuer": "people", "subject": "Risk.Officer+2@example.com"}]},
        {"identities": [{"issuer": "workloads", "subject": "/steps/train"}]},
        {"id": "Model-Risk", "identities": [{"issuer": "people", "subject": "new@example.com"}]},
    ],
    ids=str,
)
def test_person_who_is_enrolled_twice_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(VerificationError, match=r"DUPLICATE_KEY_IDENTITY.*one and the same"):
        with_principal(**fields)


def test_principals_that_share_through_a_third_are_one() -> None:
    one, two = "a@example.com", "b@example.com"
    people = [[one], [two], [one.upper(), two]]
    principals = [
        json.loads(FILES["data/principals.json"])["principals"][1]
        | {"id": str(place), "identities": [{"issuer": "people", "subject": s} for s in who]}
        for place, who in enumerate(people)
    ]
    content = json.dumps({"version": 1, "principals": principals}).encode()
    assert [len(group) for group in identities.groups(read_principals(content))] == [3]


@pytest.mark.parametrize(
    "subject", ["risk.officer@example.com", "Risk.Officer@Example.COM", "risk.officer@example.com."]
)
def test_person_is_known_however_the_address_is_spelled(layout: Layout, subject: str) -> None:
    found = layout.principal(identities.of_person(subject), NOW)
    assert found is not None
    assert found.id == "model-risk"
    assert OFFICER in layout.identities()


def test_person_who_is_enrolled_in_capitals_is_known() -> None:
    spelled = {"issuer": "people", "subject": "New.Officer@Example.com"}
    found = with_principal(identities=[spelled])
    new = Identity(issuer="people", subject="new.officer@example.com")
    principal = found.principal(new, NOW)
    assert principal is not None
    assert principal.enrolled(new) == Identity(**spelled)
    assert new in found.identities()


@pytest.mark.parametrize("subject", ["/Steps/train", "/steps/train."])
def test_workload_is_an_exact_path(layout: Layout, subject: str) -> None:
    assert layout.principal(Identity(issuer="workloads", subject=subject), NOW) is None


def test_person_is_the_mailbox_and_a_name_is_all_of_it() -> None:
    def of(subject: str) -> str:
        return identities.person(Identity(issuer="people", subject=subject)).subject

    assert of("Ann+tag@Example.com.") == of("ann@example.com") == "ann@example.com"
    assert of("+ann@example.com") == "+ann@example.com"
    assert of("a.nn@example.com") != of("ann@example.com")
    assert of("nobody") == "nobody"
    assert of("\u212aate@example.com") == "\u212aate@example.com"  # a Kelvin sign is no letter k


OTHERS = {
    "github": [
        "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main",
        "https://git.example.com/Acme-2/f_r.a-ud/.github/workflows/a.b.yaml@refs/tags/v1.2.3",
    ],
    "gitlab": [
        "https://gitlab.com/acme/fraud//.gitlab-ci.yml@refs/heads/main",
        "https://git.example.com/acme/risk/fraud//ci/train.yml@refs/heads/release/2.x",
    ],
    "kubernetes": [
        "https://kubernetes.io/namespaces/fraud-1/serviceaccounts/train",
        "https://kubernetes.io/namespaces/a/serviceaccounts/a.b-c",
    ],
    "spiffe": ["spiffe://fraud.example.com/ns/fraud/sa/train", "spiffe://a/B_1.x"],
}


@pytest.mark.parametrize(("issuer", "subjects"), OTHERS.items())
def test_workload_of_another_issuer_is_named_by_its_whole_uri(
    issuer: str, subjects: list[str]
) -> None:
    for subject in subjects:
        found = with_principal(identities=[{"issuer": issuer, "subject": subject}])
        known = Identity(issuer=issuer, subject=subject)
        principal = found.principal(known, NOW)
        assert principal is not None
        assert principal.id == "second"
        assert known in found.identities()
        assert identities.named(subject) == identities.canonical(known) == known
        upper = Identity(issuer=issuer, subject=subject.upper())
        assert found.principal(upper, NOW) is None


def test_name_of_neither_form_is_an_address_or_a_path() -> None:
    assert identities.named("/Steps") == Identity(issuer="workloads", subject="/Steps")
    for name in ("ann@example.com", "https://example.com/x", "nobody"):
        assert identities.named(name).issuer == "people"


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [
        *((other, subject) for issuer, (subject, *_) in OTHERS.items()
          for other in ("workloads", "people", *OTHERS) if other != issuer),
        *((issuer, f"{subject}{more}") for issuer, (subject, *_) in OTHERS.items()
          for more in ("*", "/", ".", " ", "?x", "#x", "/../x", "\n", "|x", "@x")),
        ("github", "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/.*"),
        ("github", "https://github.com/acme/.*/.github/workflows/train.yml@refs/heads/main"),
        ("github", "https://github.com/acme/fraud/.github/workflows/train.yml@refs/pull/1/merge"),
        ("github", "https://github.com/acme/fraud/.github/workflows/train.yml@main"),
        ("github", "https://github.com/acme/fraud/.github/workflows/train.yml"),
        ("github", "https://github.com/acme/fraud/.github/workflows/../x.yml@refs/heads/main"),
        ("github", "http://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main"),
        ("github", "https://GitHub.com/acme/fraud/.github/workflows/train.yml@refs/heads/main"),
        ("github", "https://a@github.com/acme/fraud/.github/workflows/x.yml@refs/heads/main"),
        ("gitlab", "https://gitlab.com/fraud//.gitlab-ci.yml@refs/heads/main"),
        ("gitlab", "https://gitlab.com/acme/fraud/.gitlab-ci.yml@refs/heads/main"),
        ("gitlab", "https://gitlab.com/acme/fraud//.gitlab-ci.yml@refs/merge-requests/1/head"),
        ("kubernetes", "https://kubernetes.io/namespaces/Fraud/serviceaccounts/train"),
        ("kubernetes", "https://kubernetes.io/namespaces/fraud/serviceaccounts/"),
        ("kubernetes", "https://example.com/namespaces/fraud/serviceaccounts/train"),
        ("kubernetes", "system:serviceaccount:fraud:train"),
        ("spiffe", "spiffe://Fraud.example.com/x"), ("spiffe", "spiffe://fraud.example.com"),
        ("spiffe", "spiffe://fraud.example.com/a//b"), ("spiffe", "spiffe://a:1/x"),
        ("spiffe", "spiffe://a/x%2fy"), ("buildkite", OTHERS["github"][0]),
    ],
)  # fmt: skip
def test_uri_that_is_not_one_exact_workload_is_refused(issuer: str, subject: str) -> None:
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        with_principal(identities=[{"issuer": issuer, "subject": subject}])
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["identity"] = {"issuer": issuer, "subject": subject}
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        parse_layout(changed("layout", steps=steps))


def respelled(issuer: str) -> list[dict[str, str]]:
    """One workload in two spellings of its repository, which the site does not tell apart."""
    subject = OTHERS[issuer][0]
    return [{"issuer": issuer, "subject": name} for name in
            (subject, subject.replace("/acme/fraud/", "/Acme/Fraud/"))]  # fmt: skip


@pytest.mark.parametrize("issuer", ["github", "gitlab"])
def test_two_spellings_of_one_workload_are_refused(issuer: str) -> None:
    one, other = respelled(issuer)
    with pytest.raises(VerificationError, match=r"DUPLICATE_KEY_IDENTITY.*one and the same"):
        with_principal(identities=[one, other])  # of one principal
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["identity"] = one
    assert parse_layout(changed("layout", steps=steps)).step("ingest").signer() == Identity(**one)
    known = json.loads(FILES["data/principals.json"])["principals"]
    third = known[0] | {"id": "third", "identities": [other]}
    files = changed("layout", steps=steps) | changed("principals", principals=[*known, third])
    both = {name: files[name] for name in ("data/principals.json",)}
    with pytest.raises(VerificationError, match="DUPLICATE_KEY_IDENTITY"):
        parse_layout(changed("layout", steps=steps) | both)  # of a step and a principal
    fourth = known[0] | {"id": "fourth", "identities": [one]}
    content = json.dumps({"version": 1, "principals": [third, fourth]}).encode()
    (group,) = identities.groups(read_principals(content))
    assert len(group) == 2


def test_files_and_references_of_a_repository_are_told_apart_by_capitals() -> None:
    one = OTHERS["github"][0]
    for other in (one.replace("train.yml", "Train.yml"), one.replace("heads/main", "heads/Main")):
        both = [{"issuer": "github", "subject": name} for name in (one, other)]
        assert with_principal(identities=both).principal(Identity(**both[1]), NOW) is not None


@pytest.mark.parametrize(
    "subject",
    ["\u212aate@example.com", "kate@exämple.com", "kate@example.com.", '"kate"@example.com',
     "kate@example.com ", "kate(x)@example.com"],
)  # fmt: skip
def test_address_that_could_be_written_otherwise_is_not_enrolled(subject: str) -> None:
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        with_principal(identities=[{"issuer": "people", "subject": subject}])


def test_people_with_a_role_are_named_by_their_addresses(layout: Layout) -> None:
    assert [item.subject for item in layout.people("trainer")] == ["ml.engineer@example.com"]
    assert layout.people("nobody") == ()


@pytest.mark.parametrize(
    "policy_files",
    [
        {},
        {"data/layout.json": FILES["data/layout.json"]},
        FILES | {"data/layout.json": b"[]"},
        FILES | {"data/layout.json": b"null"},
        changed("layout", ignore_paths=["code/"]),
        changed("layout", steps={"ingest": {"identity": {}}}),
        changed("principals", principals=[{"id": "x"}]),
        changed("principals", more=1),
    ],
    ids=["empty", "one", "list", "null", "more", "step", "principal", "more principals"],
)
def test_layout_that_is_not_of_its_closed_schema_is_refused(policy_files: dict[str, bytes]) -> None:
    with pytest.raises(VerificationError, match="POLICY_DATA_INVALID"):
        parse_layout(policy_files)


def test_layout_with_a_key_twice_is_refused() -> None:
    doubled = FILES["data/layout.json"].replace(b'"version": 1,', b'"version": 1, "version": 1,', 1)
    with pytest.raises(EvidenceError, match="JSON_DUPLICATE_KEY"):
        parse_layout(FILES | {"data/layout.json": doubled})


@pytest.mark.parametrize(
    "subject",
    [
        ".*", "/steps/.*", "/steps/in?est", "/steps/ingest|/steps/train", "^/steps/ingest$",
        "/steps/", "steps/ingest", "/steps/../gates/deployment", "/steps/ingest ", "",
        "/steps/[a-z]+", "risk.officer@example.com",
    ],
)  # fmt: skip
def test_layout_with_a_step_identity_that_is_no_exact_name_is_refused(subject: str) -> None:
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["identity"]["subject"] = subject
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        parse_layout(changed("layout", steps=steps))


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [("people", ".*@example.com"), ("people", "@example.com"), ("people", "a@b"),
     ("people", "/steps/train"), ("workloads", "*"), (".*", "risk.officer@example.com")],
)  # fmt: skip
def test_principal_with_an_identity_that_is_no_exact_name_is_refused(
    issuer: str, subject: str
) -> None:
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        with_principal(identities=[{"issuer": issuer, "subject": subject}])


def test_layout_without_a_signer_for_a_step_is_refused() -> None:
    steps = json.loads(FILES["data/layout.json"])["steps"]
    steps["ingest"]["identity"]["subject"] = None
    with pytest.raises(VerificationError, match="IDENTITY_PATTERN"):
        parse_layout(changed("layout", steps=steps))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(?=a)b"},
        {"type": "string", "pattern": "(a)\\1"},
        {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
        {"type": "string", "pattern": "a" * 1001},
        {"type": "string", "pattern": "("},
        {"type": "array", "items": [{"type": "string", "pattern": "(?<!a)b"}]},
        {"type": "object", "patternProperties": {"^(a+)+$": {}}},
        {"type": "string", "$ref": "https://example.com/schema"},
    ],
    ids=["look-ahead", "group", "size", "length", "syntax", "behind", "names", "elsewhere"],
)  # fmt: skip
def test_parameter_whose_schema_needs_more_than_linear_time_is_refused(schema: object) -> None:
    with pytest.raises(VerificationError, match="POLICY_DATA_INVALID"):
        with_parameter(schema)


def test_pattern_that_goes_back_for_ever_elsewhere_takes_no_time_here() -> None:
    step = with_parameter({"type": "string", "pattern": "^(a+)+$"}).step("ingest")
    began = time.monotonic()
    with pytest.raises(VerificationError, match="PARAM_UNEXPECTED"):
        step.check_parameters({"x": "a" * 200_000 + "b"})
    assert time.monotonic() - began < 5  # Python's own engine needs more than the world's age
    step.check_parameters({"x": "aaa"})
    with pytest.raises(VerificationError, match="PARAM_UNEXPECTED"):
        step.check_parameters({"x": 1})


def test_pattern_that_no_engine_takes_matches_nothing() -> None:
    assert json_schemas.first_problem({"pattern": "("}, "(") is not None
    assert json_schemas.first_problem({"pattern": "("}, 1) is None


@pytest.mark.parametrize("schema", [{"minimum": "x"}, {"type": "text"}, {"pattern": 1}])
def test_schema_that_is_none_is_refused(schema: object) -> None:
    with pytest.raises(VerificationError, match=r"POLICY_DATA_INVALID.*no schema"):
        json_schemas.check_meaning(schema, "x")


@pytest.mark.parametrize("moment", ["soon", "2024-01-01T00:00:00.5Z", "2024-01-01"])
def test_principal_whose_time_cannot_be_read_is_refused(moment: str) -> None:
    with pytest.raises(VerificationError, match="POLICY_DATA_INVALID"):
        with_principal(
            identities=[{"issuer": "people", "subject": "new@example.com"}], valid_until=moment
        )
