"""Releases: two authors, judged by the release before, never back."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.attested.rules.releases import SIGNATURES_NEEDED, read_expectations
from fraud_provenance.attested.statements import statements
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people import governing
from fraud_provenance_tests.conftest import AUTHOR, REVIEWER, Forger
from fraud_provenance_tests.conftest import release as release_by_both
from fraud_provenance_tests.evidence.conftest import anew, current, refused

pytestmark = pytest.mark.integration
OFFICER = "risk.officer@example.com"


def change(workspace: Workspace, text: str = "\n# a comment more\n") -> None:
    path = workspace.policies_folder / "lib" / "lib.rego"
    path.write_text(path.read_text() + text)


def edit_principals(workspace: Workspace, **roles: list[str]) -> None:
    """Give principals other roles; `-` in an id is written `_`."""
    path = workspace.policies_folder / "data" / "principals.json"
    document = json.loads(path.read_text())
    for principal in document["principals"]:
        principal["roles"] = roles.get(principal["id"].replace("-", "_"), principal["roles"])
    path.write_text(json.dumps(document))


def test_first_release_is_signed_by_two_and_remembered(opened: Workspace) -> None:
    head = opened.releases.head()
    assert head.authors == ("policy-office", "policy-review")
    assert (head.expectations.version, head.expectations.previous) == (1, "")
    assert opened.releases.is_founded
    assert governing.found(opened) is None


def test_change_that_one_author_signed_waits_for_the_second(opened: Workspace) -> None:
    change(opened)
    assert refused(lambda: current(opened)) == ["POLICY_DIGEST_MISMATCH"]
    first = governing.sign_release(opened, AUTHOR, "a comment")
    assert (first.missing, first.release.authors) == (1, ("policy-office",))
    assert refused(lambda: current(opened)) == ["EXPECTATION_CHANGE_UNAPPROVED"]
    again = governing.sign_release(opened, AUTHOR, "a comment, once more")
    assert again.missing == 1
    assert refused(lambda: current(opened)) == ["EXPECTATION_CHANGE_UNAPPROVED"]
    second = governing.sign_release(opened, REVIEWER, "seen")
    assert second.missing == 0
    assert current(opened).authors == ("policy-office", "policy-review")
    assert anew(opened).releases.head().expectations.version == 2


def test_change_that_is_none_needs_no_signature(opened: Workspace) -> None:
    with pytest.raises(ConfigError, match="nothing changed"):
        governing.sign_release(opened, AUTHOR, "for nothing")
    change(opened)
    with pytest.raises(ConfigError, match="needs a reason"):
        governing.sign_release(opened, AUTHOR, " ")


@pytest.mark.parametrize("who", [OFFICER, "ml.engineer@example.com", "stranger@example.com"])
def test_change_signed_by_anyone_but_an_author_is_refused(opened: Workspace, who: str) -> None:
    change(opened)
    assert refused(lambda: governing.sign_release(opened, who, "mine")) == ["APPROVAL_ROLE"]
    statement = opened.expectations().statement(who, "mine")
    forger = Forger(opened.trust)
    for signer in (who, "/steps/train"):
        forger.sign(
            statement.predicate_type, "policies", statement.subject_digest, statement.predicate,
            signer,
        )  # fmt: skip
    governing.sign_release(opened, AUTHOR, "half")
    assert refused(lambda: current(opened)) == ["EXPECTATION_CHANGE_UNAPPROVED"]


def test_author_whom_only_the_new_principals_appoint_does_not_count(opened: Workspace) -> None:
    edit_principals(opened, model_risk=["policy_author"], platform=["policy_author"])
    assert refused(lambda: governing.sign_release(opened, OFFICER, "me")) == ["APPROVAL_ROLE"]
    statement = opened.expectations().statement(OFFICER, "me")
    Forger(opened.trust).sign(
        statement.predicate_type, "policies", statement.subject_digest, statement.predicate, OFFICER
    )
    governing.sign_release(opened, AUTHOR, "half")
    assert refused(lambda: current(opened)) == ["EXPECTATION_CHANGE_UNAPPROVED"]
    governing.sign_release(opened, REVIEWER, "the other half")
    assert current(opened)
    change(opened)
    governing.sign_release(opened, OFFICER, "appointed now")


def test_author_who_was_removed_cannot_sign_the_next_release(opened: Workspace) -> None:
    edit_principals(opened, policy_review=["platform"], model_risk_deputy=["policy_author"])
    release_by_both(opened)
    change(opened)
    assert refused(lambda: governing.sign_release(opened, REVIEWER, "x")) == ["APPROVAL_ROLE"]
    governing.sign_release(opened, AUTHOR, "x")
    governing.sign_release(opened, "risk.deputy@example.com", "x")
    assert current(opened).authors == ("model-risk-deputy", "policy-office")


def test_first_release_is_signed_by_whom_the_policy_enrols(opened: Workspace) -> None:
    assert governing.founders(opened) == [AUTHOR, REVIEWER]
    edit_principals(opened, policy_review=["platform"], model_risk_deputy=["policy_author"])
    assert sorted(governing.founders(opened)) == sorted([AUTHOR, "risk.deputy@example.com"])
    edit_principals(opened, model_risk_deputy=["model_approver"])
    assert refused(lambda: governing.founders(opened)) == ["APPROVAL_ROLE"]


def test_older_files_are_a_rollback_until_released_anew(opened: Workspace) -> None:
    path = opened.policies_folder / "lib" / "lib.rego"
    before = path.read_text()
    change(opened)
    release_by_both(opened)
    path.write_text(before)
    assert refused(lambda: current(opened)) == ["POLICY_ROLLBACK"]
    release_by_both(opened, "the comment was wrong")
    assert current(opened)
    assert anew(opened).releases.head().expectations.version == 3


def test_hidden_release_is_a_rollback(opened: Workspace) -> None:
    path = opened.policies_folder / "lib" / "lib.rego"
    before = path.read_text()
    change(opened)
    release_by_both(opened)
    assert current(opened)
    newest = opened.store.records(predicate_type=statements.POLICY_RELEASE)[-2:]
    for record in newest:
        opened.store.bundle_path(record.bundle).unlink()
    (opened.home / "evidence" / "index.sqlite").unlink()
    path.write_text(before)
    assert refused(lambda: current(opened)) == ["POLICY_ROLLBACK"]


def test_release_of_another_environment_is_none_here(opened: Workspace) -> None:
    change(opened)
    staging = Workspace(replace(opened.settings, environment="staging"))
    release_by_both(staging)
    assert current(staging)
    assert refused(lambda: current(opened)) == ["POLICY_DIGEST_MISMATCH"]


def test_second_release_of_one_version_is_never_in_force(opened: Workspace) -> None:
    expected = opened.expectations()
    change(opened)
    other = opened.expectations()
    release_by_both(opened)
    forger = Forger(opened.trust)
    fork = other.model_copy(update={"policies": expected.policies})
    for who in (AUTHOR, REVIEWER):
        made = fork.statement(who, "a fork")
        forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, who)
    assert anew(opened).releases.head().expectations == other


def test_memory_that_is_gone_or_broken_or_of_another_chain_is_refused(opened: Workspace) -> None:
    path = opened.home / "trust" / "releases.json"
    honest = path.read_bytes()
    path.unlink()
    assert refused(lambda: current(opened)) == ["ROOT_DIGEST_MISMATCH"]
    path.write_bytes(b'{"local": {"anchor": 1}}')
    assert refused(lambda: current(opened)) == ["ROOT_DIGEST_MISMATCH"]
    path.write_bytes(b"[]")
    assert refused(lambda: current(opened)) == ["ROOT_DIGEST_MISMATCH"]
    document = json.loads(honest)
    document["local"]["release"] = "0" * 64
    path.write_bytes(encoding.canonical_json(document))
    assert refused(lambda: current(opened)) == ["POLICY_REVISION_MISMATCH"]
    path.write_bytes(honest)
    assert current(opened)


def test_release_whose_kept_principals_were_edited_cannot_judge(opened: Workspace) -> None:
    entries = opened.store.manifest(opened.releases.head().expectations.policies).entries
    digest = next(entry.sha256 for entry in entries if entry.path == "data/principals.json")
    kept = opened.home / "trust" / "objects" / digest
    kept.write_bytes(kept.read_bytes() + b" ")
    assert refused(lambda: current(opened))[0] == "EVIDENCE_TAMPERED"
    kept.unlink()
    assert refused(lambda: current(opened))[0] == "EVIDENCE_MISSING"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0}, {"version": "2"}, {"more": 1}, {"signer": None}, {"reason": 1},
        {"trust": {"trusted_root.json": "0" * 64}}, {"tools": []},
    ],
    ids=str,
)  # fmt: skip
def test_release_statement_off_its_schema_counts_for_nothing(
    opened: Workspace, change: dict[str, Any]
) -> None:
    honest = opened.expectations().statement(AUTHOR, "x")
    Forger(opened.trust).sign(
        statements.POLICY_RELEASE, "policies", honest.subject_digest, honest.predicate | change,
        AUTHOR,
    )  # fmt: skip
    chain = anew(opened).releases.chain()
    assert len(chain.releases) == 1
    assert [item.code for item in chain.problems] == ["PREDICATE_TYPE"]


def test_policy_with_a_layout_that_cannot_be_used_is_not_signed(opened: Workspace) -> None:
    path = opened.policies_folder / "data" / "layout.json"
    path.write_text(path.read_text().replace("/steps/ingest", ".*", 1))
    assert refused(lambda: governing.sign_release(opened, AUTHOR, "x")) == ["IDENTITY_PATTERN"]


# --- trust root and tools -----------------------------------------------------------------------


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "name",
    [
        "trusted_root.json", "issuers.json", "signing_config.json", "client_trust_config.json",
        "witnesses.json",
    ],
)  # fmt: skip
def test_trust_root_that_was_edited_is_refused(opened: Workspace, name: str) -> None:
    path = opened.home / "trust" / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert refused(lambda: anew(opened).trust) == ["ROOT_DIGEST_MISMATCH"]


def test_trust_root_is_changed_by_a_release_and_never_goes_back(opened: Workspace) -> None:
    path = opened.home / "trust" / "trusted_root.json"
    before = path.read_bytes()
    edit_json(path, lambda root: root["tlogs"].append(root["tlogs"][0] | {"baseUrl": "http://b"}))
    assert refused(lambda: anew(opened).trust) == ["ROOT_DIGEST_MISMATCH"]
    governing.sign_release(anew(opened), AUTHOR, "a second log")
    assert refused(lambda: anew(opened).trust) == ["ROOT_DIGEST_MISMATCH"]
    governing.sign_release(anew(opened), REVIEWER, "seen")
    assert current(opened)
    path.write_bytes(before)
    assert refused(lambda: anew(opened).trust) == ["ROOT_ROLLBACK"]


def test_release_of_the_same_policy_verifies_beside_the_first(opened: Workspace) -> None:
    path = opened.home / "trust" / "witnesses.json"
    path.write_bytes(path.read_bytes() + b" ")  # the same root in other bytes
    for email in (AUTHOR, REVIEWER):
        governing.sign_release(anew(opened), email, "the file was written anew")
    trust = anew(opened).trust
    first, second = trust.policies.releases.signed_for(trust.policies.current().digest)
    nodes = [trust.lineage().node(statement) for statement in (*first, *second)]
    assert [node.reasons for node in nodes] == [(), (), (), ()]
    assert trust.lineage().verify("policies", "verify", nodes).trusted


def test_stranger_who_replaces_the_root_cannot_release_it(
    opened: Workspace, stranger: Workspace
) -> None:
    for name in ("trusted_root.json", "issuers.json", "client_trust_config.json"):
        shutil.copyfile(stranger.home / "trust" / name, opened.home / "trust" / name)
    expected = anew(opened).expectations()
    forger = Forger(stranger.trust)
    for who in (AUTHOR, REVIEWER):
        made = expected.statement(who, "a coup")
        signed = forger.sign(
            made.predicate_type, "policies", made.subject_digest, made.predicate, who
        )
        opened.store.put_bundle(stranger.store.bundle_bytes(signed.bundle_digest))
    chain = anew(opened).releases.chain()
    assert len(chain.releases) == 1
    assert len([item for item in chain.problems if item.code == "IDENTITY_UNTRUSTED"]) == 2
    assert refused(lambda: anew(opened).trust) == ["ROOT_DIGEST_MISMATCH"]


def test_tool_that_was_replaced_is_refused(
    opened: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened.pinned_tool("opa").is_file()
    for name in ("opa", "cosign"):
        fake = tmp_path / name
        fake.write_text("#!/bin/sh\nexit 0\n")
        fake.chmod(0o755)
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path))
    assert refused(lambda: opened.pinned_tool("opa")) == ["TOOL_DIGEST_MISMATCH"]
    assert refused(lambda: opened.pinned_tool("cosign")) == ["TOOL_DIGEST_MISMATCH"]


def test_two_signatures_are_needed() -> None:
    assert SIGNATURES_NEEDED == 2


def test_memory_follows_the_newest_release(opened: Workspace) -> None:
    path = opened.home / "trust" / "releases.json"
    before = path.read_bytes()
    change(opened)
    for email in (AUTHOR, REVIEWER):
        governing.sign_release(anew(opened), email, "a comment")
    assert current(opened)
    newest = path.read_bytes()
    path.write_bytes(before)  # a home put back, whose evidence went on
    assert anew(opened).releases.head().expectations.version == 2
    assert path.read_bytes() == newest


def test_statement_of_another_kind_releases_nothing() -> None:
    predicate = {"signer": AUTHOR, "reason": "reviewed"}
    statement = statements.build_statement(statements.APPROVAL, "policies", "a" * 64, predicate)
    with pytest.raises(VerificationError, match="PREDICATE_TYPE"):
        read_expectations(statement)


def test_release_in_the_name_of_somebody_else_does_not_count(opened: Workspace) -> None:
    forger = Forger(opened.trust)
    change(opened)
    lie = anew(opened).expectations().statement(REVIEWER, "in another name")
    forger.sign(lie.predicate_type, "policies", lie.subject_digest, lie.predicate, AUTHOR)
    chain = anew(opened).releases.chain()
    assert [item.code for item in chain.problems] == ["SUBJECT_MISMATCH"]
    assert [item.authors for item in chain.proposals] == [()]
    assert refused(lambda: current(opened)) == ["EXPECTATION_CHANGE_UNAPPROVED"]
