"""A release is tried before it binds: homes are locked in each way, and get out again."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import BackendError, VerificationError
from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.gates.policy import PolicyEngine
from fraud_provenance.attested.local import tool
from fraud_provenance.attested.rules import trial
from fraud_provenance.attested.rules.expectations import Chain
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.tlog.witness import create_local_witness, policy_document
from fraud_provenance.home import workspace as workspace_module
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people import governing
from fraud_provenance_tests.conftest import AUTHOR, REVIEWER, Forger
from fraud_provenance_tests.conftest import release as release_by_both
from fraud_provenance_tests.evidence.conftest import anew, current, refused

NOW = datetime(2026, 11, 28, tzinfo=UTC)
Break = Callable[[Workspace], None]


# --- files, without a home -----------------------------------------------------------------------


def _valid(start: str = "2026-01-01T00:00:00Z", **end: str) -> dict[str, Any]:
    return {"validFor": {"start": start} | end}


def root() -> dict[str, Any]:
    return {
        "tlogs": [{"publicKey": _valid()}],
        "ctlogs": [{"publicKey": _valid()}],
        "certificateAuthorities": [_valid()],
        "timestampAuthorities": [_valid()],
    }


def refusal(name: str, document: object, at: datetime | None = NOW) -> str:
    with pytest.raises(VerificationError, match=f"ROOT_MALFORMED.*{name}") as caught:
        trial.check_trust({name: json.dumps(document).encode()}, at)
    return caught.value.reasons[0].message


def test_trusted_root_whose_keys_say_how_long_they_count_is_usable() -> None:
    both = root()
    both["tlogs"] = [{"publicKey": _valid(end="2026-11-28T00:02:00Z")}, *both["tlogs"]]
    trial.check_trust({"trusted_root.json": json.dumps(both).encode()}, NOW)
    assert trial.trust_problems({"trusted_root.json": json.dumps(both).encode()}) == ()


@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities",
                                  "timestampAuthorities"])  # fmt: skip
def test_trusted_root_with_a_key_that_always_counts_is_malformed(kind: str) -> None:
    for held in ({}, {"validFor": {}}, {"validFor": None}, {"validFor": {"end": "2027-01-01Z"}}):
        entry: dict[str, Any] = {"publicKey": held} if kind.endswith("logs") else held
        lie = root()
        lie[kind].append(entry)
        assert "always count" in refusal("trusted_root.json", lie)
    for nothing in ([], None, ["x"], {}):
        assert f"no {kind}" in refusal("trusted_root.json", root() | {kind: nothing})


@pytest.mark.parametrize(
    "valid_for",
    [
        {"start": "soon"}, {"start": 1}, {"start": "2026-01-01T00:00:00"},
        {"start": "2026-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
        {"start": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
    ],
    ids=str,
)  # fmt: skip
def test_trusted_root_with_times_that_say_nothing_is_malformed(valid_for: dict[str, Any]) -> None:
    lie = root()
    lie["certificateAuthorities"].append({"validFor": valid_for})
    assert "validFor cannot be used" in refusal("trusted_root.json", lie)


def test_trusted_root_of_keys_that_all_end_is_refused_only_when_it_is_to_bind() -> None:
    lie = root()
    lie["tlogs"][0]["publicKey"] = _valid(end="2026-11-30T00:00:00Z")
    assert "is in use now and for 7 days" in refusal("trusted_root.json", lie)
    lie["tlogs"][0]["publicKey"] = _valid("2027-01-01T00:00:00Z")
    assert "is in use now" in refusal("trusted_root.json", lie)
    trial.check_trust({"trusted_root.json": json.dumps(lie).encode()}, None)


SERVICES = {
    name: [{"url": "http://127.0.0.1:1", "validFor": {"start": "2026-01-01T00:00:00Z"}}]
    for name in ("caUrls", "rekorTlogUrls", "tsaUrls")
}


@pytest.mark.parametrize("url", [None, "127.0.0.1", "ftp://x", "http://", "http://[", 5])
def test_service_without_an_address_is_malformed(url: object) -> None:
    trial.check_trust({"signing_config.json": json.dumps(SERVICES).encode()}, NOW)
    lie = SERVICES | {"tsaUrls": [{"url": url}]}
    assert "is no address" in refusal("signing_config.json", lie)


@pytest.mark.parametrize(
    "document",
    [[], {}, {"trustedRoot": {}}, {"trustedRoot": root()},
     {"trustedRoot": root(), "signingConfig": SERVICES, "mediaType": 5}],
    ids=["list", "empty", "no root", "no services", "not the library's"],
)  # fmt: skip
def test_client_configuration_that_cannot_be_used_is_malformed(document: object) -> None:
    assert refusal("client_trust_config.json", document)


@pytest.mark.parametrize(
    "document",
    [[], {}, {"people": "http://a"}, {"people": "http://a", "workloads": "b"},
     {"people": "http://a", "workloads": "http://a/"},
     {"people": "http://a", "workloads": "http://b", "more": "http://c"},
     {"people": "http://a", "workloads": "http://b", "github": "http://b"},
     {"people": "http://a", "github": "http://b"}],
    ids=str,
)  # fmt: skip
def test_issuers_that_are_unknown_or_the_same_are_malformed(document: object) -> None:
    assert refusal("issuers.json", document)
    honest = {"people": "http://a", "workloads": "http://b"}
    for more in ({}, {"github": "https://c"}, {"spiffe": "https://c", "kubernetes": "https://d"}):
        trial.check_trust({"issuers.json": json.dumps(honest | more).encode()}, NOW)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1, "a": 2}', b"\xff"])
def test_file_that_is_no_document_is_malformed(content: bytes) -> None:
    for name in trial._READERS:
        assert [item.code for item in trial.trust_problems({name: content})] == ["ROOT_MALFORMED"]


# --- homes ---------------------------------------------------------------------------------------


def chain_of(workspace: Workspace) -> Chain:
    return anew(workspace).releases.chain()


def trust(name: str, change: Callable[[Any], object] | bytes) -> Break:
    """Change a file of the trust root: in place, or to these bytes."""

    def act(workspace: Workspace) -> None:
        path = workspace.home / "trust" / name
        if isinstance(change, bytes):
            path.write_bytes(change)
            return
        document = json.loads(path.read_bytes())
        change(document)
        path.write_text(json.dumps(document))

    return act


def policy(name: str, change: Callable[[Any], object] | str | None) -> Break:
    """Change a policy file: in place, to this text, or away."""

    def act(workspace: Workspace) -> None:
        path = workspace.policies_folder / name
        if change is None:
            path.unlink()
        elif isinstance(change, str):
            path.write_text(change)
        else:
            document = json.loads(path.read_bytes())
            change(document)
            path.write_text(json.dumps(document))

    return act


def _principals(document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {item["id"]: item for item in document["principals"]}


def nobody_left(document: Any) -> None:  # noqa: ANN401 - JSON
    _principals(document)["policy-review"]["roles"] = ["platform"]


def office_ends(document: Any) -> None:  # noqa: ANN401 - JSON
    end = encoding.utc_text(datetime.now(UTC) + timedelta(days=2))
    _principals(document)["policy-review"]["valid_until"] = end


def one_person(document: Any) -> None:  # noqa: ANN401 - JSON
    _principals(document)["policy-review"]["identities"][0]["subject"] = AUTHOR.upper()


def no_policy_step(document: Any) -> None:  # noqa: ANN401 - JSON
    document["steps"]["policy"]["environments"] = ["staging"]


def no_reader(document: Any) -> None:  # noqa: ANN401 - JSON
    for rule in document["steps"].values():
        for material in rule["materials"]:
            material["requires_suites"] = []


def no_start(document: Any) -> None:  # noqa: ANN401 - JSON
    del document["tlogs"][0]["publicKey"]["validFor"]


def other_log(document: Any) -> None:  # noqa: ANN401 - JSON
    document["tlogs"][0]["baseUrl"] = "http://another.example"


def empty_threshold(document: Any) -> None:  # noqa: ANN401 - JSON
    del document["min_approvals"]


def other_witness(workspace: Workspace) -> None:
    """Well formed, but nobody has its key any more: no head is countersigned by it."""
    key = create_local_witness(workspace.home / "scratch" / "lost")
    trust("witnesses.json", policy_document(key))(workspace)


WAYS: dict[str, tuple[Break, str]] = {
    "root garbage": (trust("trusted_root.json", b"garbage"), "ROOT_MALFORMED"),
    "root empty": (trust("trusted_root.json", b"{}"), "ROOT_MALFORMED"),
    "key without validFor": (trust("trusted_root.json", no_start), "ROOT_MALFORMED"),
    "another log": (trust("trusted_root.json", other_log), "ROOT_MALFORMED"),
    "no witness": (trust("witnesses.json", b'{"threshold":1,"witnesses":[]}'), "ROOT_MALFORMED"),
    "lost witness": (other_witness, "ROOT_MALFORMED"),
    "issuers": (trust("issuers.json", lambda one: one.update(people="http://x")), "ROOT_MALFORMED"),
    "client": (trust("client_trust_config.json", b"{}"), "ROOT_MALFORMED"),
    "nobody left": (policy("data/principals.json", nobody_left), "POLICY_DATA_INVALID"),
    "office ends": (policy("data/principals.json", office_ends), "POLICY_DATA_INVALID"),
    "one person twice": (policy("data/principals.json", one_person), "DUPLICATE_KEY_IDENTITY"),
    "no policy step": (policy("data/layout.json", no_policy_step), "POLICY_DATA_INVALID"),
    "nothing reads": (policy("data/layout.json", no_reader), "POLICY_DATA_INVALID"),
    "no thresholds": (policy("data/thresholds.json", None), "POLICY_DATA_INVALID"),
    "threshold missing": (policy("data/thresholds.json", empty_threshold), "POLICY_DATA_INVALID"),
    "feed": (policy("data/feed.json", '{"refunds":{"value":1,"reason":"x"}}'),
             "POLICY_DATA_INVALID"),
    "rules": (policy("lib/lib.rego", "package fraud.lib\n\nx if {"), "POLICY_EVAL_ERROR"),
    "allows all": (policy("data_access/data_access.rego", "package fraud.data_access\n\n"
                          'decision := {"allow": true, "reasons": []}\n'), "CANARY_FAILED"),
}  # fmt: skip


def shipped() -> dict[str, bytes]:
    folder = Path(__file__).parents[2] / "policies"
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_policy_may_lack_the_feeds_settings_and_not_have_wrong_ones() -> None:
    files = shipped()
    older = {name: content for name, content in files.items() if name != "data/feed.json"}
    for known in (files, older):
        assert trial.check_policy(known, "local", NOW).steps
    wrong = files | {"data/feed.json": b'{"refunds":{"value":1,"reason":"x"}}'}
    with pytest.raises(VerificationError, match=r"feed\.json.*at refunds/value"):
        trial.check_policy(wrong, "local", NOW)


def forger_of(opened: Workspace) -> Forger:
    """A forger that has read how to sign before anything is changed."""
    forger = Forger(opened.trust)
    forger.trust.signing._signer(identities.of_person(AUTHOR))
    return forger


def force(opened: Workspace, forger: Forger) -> str:
    """Both authors' real signatures under the files as they are; returns the release's digest."""
    expected = anew(opened).expectations()
    for who in (AUTHOR, REVIEWER):
        made = expected.statement(who, "trust me")
        forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, who)
    return expected.digest


@pytest.mark.integration
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_release_that_nobody_could_succeed_does_not_bind(opened: Workspace, way: str) -> None:
    act, code = WAYS[way]
    forger = forger_of(opened)
    shutil.copytree(opened.policies_folder, opened.home / "before")
    act(opened)
    if way != "lost witness":  # whose absence is only seen by asking it
        assert refused(lambda: governing.sign_release(anew(opened), AUTHOR, "x"))[0] == code
    force(opened, forger)
    assert refused(lambda: current(opened))[0] == code
    assert anew(opened).releases.head().expectations.version == 1

    # the way back: the trust root in force, the policy of before, and a release that is right
    governing.restore(anew(opened))
    shutil.rmtree(opened.policies_folder)
    shutil.move(opened.home / "before", opened.policies_folder)
    assert current(opened)
    (refusal,) = chain_of(opened).open_refusals
    assert refusal.reasons[0].code == code
    assert "release 1 stays in force" in refusal.reasons[0].message
    assert "approve policies" in refusal.reasons[0].remedy
    path = opened.policies_folder / "lib" / "lib.rego"
    path.write_text(f"{path.read_text()}\n# right\n")
    release_by_both(anew(opened))
    assert current(opened)
    chain = chain_of(opened)
    assert [item.expectations.version for item in chain.releases] == [1, 2]
    assert chain.open_refusals == ()


@pytest.mark.integration
@pytest.mark.parametrize("way", ["root empty", "no witness", "nobody left"])
def test_home_that_an_older_version_locked_gets_out(opened: Workspace, way: str) -> None:
    """It remembers a release under which nothing can be signed or verified."""
    act, code = WAYS[way]
    forger = forger_of(opened)
    shutil.copytree(opened.policies_folder, opened.home / "before")
    act(opened)
    digest = force(opened, forger)
    path = opened.home / "trust" / "releases.json"
    memory = json.loads(path.read_text())
    memory["local"] |= {"version": 2, "release": digest}
    path.write_bytes(encoding.canonical_json(memory))

    assert refused(lambda: current(opened))[0] == code
    governing.restore(anew(opened))
    shutil.rmtree(opened.policies_folder)
    shutil.move(opened.home / "before", opened.policies_folder)
    assert current(opened)
    lib = opened.policies_folder / "lib" / "lib.rego"
    lib.write_text(f"{lib.read_text()}\n# right\n")
    release_by_both(anew(opened))
    assert anew(opened).releases.head().expectations.version == 2


@pytest.mark.integration
def test_release_on_top_of_one_that_does_not_bind_does_not_either(
    opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = Forger(opened.trust)
    WAYS["one person twice"][0](opened)
    with monkeypatch.context() as blind:
        blind.setattr("fraud_provenance.attested.rules.releases.Releases.check", lambda *_: None)
        force(opened, forger)
        path = opened.policies_folder / "lib" / "lib.rego"
        path.write_text(f"{path.read_text()}\n# and more\n")
        force(opened, forger)
    chain = chain_of(opened)
    assert [one.release.expectations.version for one in chain.refused] == [2, 3]
    found = refused(lambda: current(opened))
    assert found == ["DUPLICATE_KEY_IDENTITY"]


@pytest.mark.integration
def test_proposal_with_a_person_twice_is_named_before_the_signature_that_lacks(
    opened: Workspace,
) -> None:
    forger = Forger(opened.trust)
    WAYS["one person twice"][0](opened)
    made = anew(opened).expectations().statement(AUTHOR, "half")
    forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, AUTHOR)
    found = refused(lambda: current(opened))
    assert found == ["DUPLICATE_KEY_IDENTITY", "EXPECTATION_CHANGE_UNAPPROVED"]


@pytest.mark.integration
def test_author_whose_certificate_is_in_capitals_counts_once(opened: Workspace) -> None:
    path = opened.policies_folder / "lib" / "lib.rego"
    path.write_text(f"{path.read_text()}\n# reviewed\n")
    expected = anew(opened).expectations()
    forger = Forger(opened.trust)

    def sign(who: str) -> Any:  # noqa: ANN401 - a bundle
        made = expected.statement(who, "seen")
        return forger.sign(
            made.predicate_type, "policies", made.subject_digest, made.predicate, who
        )

    sign(AUTHOR)
    shouted = sign(AUTHOR.upper())
    assert (shouted.identity.subject, shouted.spelled.subject) == (AUTHOR, AUTHOR.upper())
    assert len(chain_of(opened).releases) == 1
    binary = tool("cosign")
    arguments = cosign.arguments(
        opened.trust, binary, shouted, opened.store.bundle_path(shouted.bundle_digest)
    )
    assert cosign.run(opened.trust, arguments)  # as the certificate spells it
    sign(REVIEWER.title())
    assert current(opened).authors == ("policy-office", "policy-review")


@pytest.mark.integration
def test_author_under_another_name_is_an_author_still(opened: Workspace) -> None:
    def renamed(document: Any) -> None:  # noqa: ANN401 - JSON
        mine = _principals(document)
        mine["policy-review"]["id"] = "policy-reviewers"

    policy("data/principals.json", renamed)(opened)
    release_by_both(anew(opened))
    found = anew(opened).trust.policies.current()
    assert found.authors == ("policy-office", "policy-review", "policy-reviewers")


@pytest.mark.integration
def test_release_that_could_not_be_tried_leaves_it_open_what_is_in_force(
    opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = Forger(opened.trust)
    path = opened.policies_folder / "lib" / "lib.rego"
    path.write_text(f"{path.read_text()}\n# reviewed\n")
    force(opened, forger)

    def down(*_arguments: object) -> None:
        raise BackendError(trial.reason("POLICY_UNAVAILABLE", "opa does not answer"))

    with monkeypatch.context() as broken:
        broken.setattr(PolicyEngine, "check_rules", down)
        broken.setattr(workspace_module, "_TRIED", set())
        assert refused(lambda: chain_of(opened)) == ["POLICY_UNAVAILABLE"]
    assert anew(opened).releases.head().expectations.version == 2


@pytest.mark.integration
def test_release_for_another_engine_is_not_tried_here(opened: Workspace) -> None:
    expected = anew(opened).expectations()
    other = expected.model_copy(update={"tools": expected.tools | {"opa": "0" * 64}})
    forger = Forger(opened.trust)
    for who in (AUTHOR, REVIEWER):
        made = other.statement(who, "another opa")
        forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, who)
    (refusal,) = chain_of(opened).open_refusals
    assert [item.code for item in refusal.reasons] == ["TOOL_DIGEST_MISMATCH"]
    assert current(opened)


@pytest.mark.integration
def test_release_is_signed_by_earlier_servers_where_its_own_are_wrong(opened: Workspace) -> None:
    """Somebody typed a wrong address; only signing under it shows that."""

    def elsewhere(document: Any) -> None:  # noqa: ANN401 - JSON
        document["signingConfig"]["caUrls"][0]["url"] = "http://127.0.0.1:9"

    trust("client_trust_config.json", elsewhere)(opened)
    release_by_both(anew(opened))
    assert anew(opened).releases.head().expectations.version == 2
    path = opened.policies_folder / "lib" / "lib.rego"
    path.write_text(f"{path.read_text()}\n# reviewed\n")
    release_by_both(anew(opened))
    assert anew(opened).releases.head().expectations.version == 3


@pytest.mark.integration
def test_root_that_cannot_be_used_and_nobody_signed_is_both(opened: Workspace) -> None:
    trust("trusted_root.json", b"{}")(opened)
    assert refused(lambda: anew(opened).trust) == ["ROOT_MALFORMED", "ROOT_DIGEST_MISMATCH"]
    assert governing.restore(anew(opened)) == ["trusted_root.json"]
    assert governing.restore(anew(opened)) == []
