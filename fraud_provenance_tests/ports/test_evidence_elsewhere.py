"""A home whose evidence lies in an object store: it works as on a folder, and believes no loss."""

import shutil
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fraud_provenance.attested.core.errors import BackendError, ProvenanceError
from fraud_provenance.home.settings import Place
from fraud_provenance_tests.conftest import DAYS, RAW, Chain, codes, ingest
from fraud_provenance_tests.object_server import BUCKET, ObjectServer, credentials, object_server
from fraud_provenance_tests.ports.elsewhere import copied, reopened, write_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def evidence(object_store: ObjectServer, tmp_path: Path) -> Place:
    """A place of the test's own."""
    place = f"s3://{BUCKET}/{tmp_path.name}"
    return Place(place=place, endpoint=object_store.endpoint, kept_days=30)


@pytest.fixture
def moved(
    chain: Chain,
    evidence: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Chain:
    """The chain's home after `copy-evidence`, without its folders of evidence."""
    home = chain.workspace.home
    write_settings(home, "evidence", evidence)
    assert copied("copy-evidence", home, monkeypatch, capsys)["exit_code"] == 0
    shutil.rmtree(home / "evidence")
    shutil.rmtree(home / "trust" / "objects")
    return reopened(chain, evidence=evidence)


def key_of(chain: Chain, statement: str) -> str:
    bundle, _ = chain.trust.store.bundle(statement)
    prefix = chain.workspace.settings.evidence.place.removeprefix(f"s3://{BUCKET}/")
    return f"{prefix}/evidence/bundles/{bundle}.sigstore.json"


def test_a_home_goes_on_where_its_evidence_was_copied(moved: Chain) -> None:
    assert moved.verdict().trusted
    newer = ingest(moved.trust, {DAYS[0]: b"newer"})
    assert newer.sequence == 2
    assert moved.verdict(newer.bundle).trusted
    assert not (moved.workspace.home / "evidence" / "bundles").exists()
    again = reopened(moved, evidence=moved.workspace.settings.evidence)
    assert [head.sequence for head in again.trust.store.heads(RAW)[DAYS[0]]] == [2]


def test_a_copy_that_is_repeated_finds_nothing_new(
    chain: Chain,
    evidence: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_settings(chain.workspace.home, "evidence", evidence)
    first = copied("copy-evidence", chain.workspace.home, monkeypatch, capsys)
    assert first["new"]["evidence"] > len(chain.trust.store.records())
    assert first["new"]["trust/objects"] > 0
    second = copied("copy-evidence", chain.workspace.home, monkeypatch, capsys)
    assert second["new"] == {"evidence": 0, "trust/objects": 0}


def test_changed_bytes_are_not_copied(
    chain: Chain,
    evidence: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest, content = chain.trust.store.bundle(chain.raw.bundle.statement.digest)
    chain.trust.store.bundle_path(digest).write_bytes(content + b"\n")
    write_settings(chain.workspace.home, "evidence", evidence)
    refused = copied("copy-evidence", chain.workspace.home, monkeypatch, capsys)
    assert refused["root_cause"] == "EVIDENCE_TAMPERED"
    assert digest in refused["reasons"][0]["artifact"]


def test_nothing_is_copied_from_a_folder_to_itself(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = copied("copy-evidence", chain.workspace.home, monkeypatch, capsys)
    assert refused["root_cause"] == "USAGE"
    assert "settings.toml" in refused["reasons"][0]["remedy"]


def test_another_store_holds_nothing_that_this_home_remembers(
    moved: Chain, object_store: ObjectServer
) -> None:
    other = Place(place=f"s3://{BUCKET}/empty", endpoint=object_store.endpoint)
    with pytest.raises(ProvenanceError) as caught:
        reopened(moved, evidence=other).verdict()
    assert codes(caught.value) == ["POLICY_ROLLBACK"]


def test_bytes_laid_over_a_bundle_are_refused(moved: Chain, object_store: ObjectServer) -> None:
    key = key_of(moved, moved.raw.bundle.statement.digest)
    object_store.client.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    again = reopened(moved, evidence=moved.workspace.settings.evidence)
    assert "EVIDENCE_TAMPERED" in codes(again.verdict())


def test_a_bundle_under_a_delete_mark_is_missed_and_not_lost(
    moved: Chain, object_store: ObjectServer
) -> None:
    key = key_of(moved, moved.raw.bundle.statement.digest)
    object_store.client.delete_object(Bucket=BUCKET, Key=key)
    again = reopened(moved, evidence=moved.workspace.settings.evidence)
    assert "EVIDENCE_MISSING" in codes(again.verdict())
    found = object_store.client.list_object_versions(Bucket=BUCKET, Prefix=key)
    (version,) = [item["VersionId"] for item in found["Versions"]]
    with pytest.raises(ClientError, match="AccessDenied"):
        object_store.client.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    (mark,) = [item["VersionId"] for item in found["DeleteMarkers"]]
    object_store.client.delete_object(Bucket=BUCKET, Key=key, VersionId=mark)
    assert reopened(moved, evidence=moved.workspace.settings.evidence).verdict().trusted


def test_a_store_that_is_down_decides_nothing(chain: Chain, tmp_path: Path) -> None:
    with object_server(tmp_path / "objects") as object_store, credentials():
        object_store.stop()
        there = Place(place=f"s3://{BUCKET}/home", endpoint=object_store.endpoint)
        with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
            reopened(chain, evidence=there).verdict()
