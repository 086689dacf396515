"""What an object store adds: locks that hold, errors that are no answers, addresses that stay."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.ports.object_store import ObjectBlobs
from fraud_provenance_tests.attacks.network import free_port
from fraud_provenance_tests.object_server import BUCKET, ObjectServer, credentials, object_server

pytestmark = pytest.mark.integration
LIMIT = 1 << 10


def versions(object_store: ObjectServer, key: str) -> list[str]:
    found = object_store.client.list_object_versions(Bucket=BUCKET, Prefix=key)
    return [item["VersionId"] for item in found.get("Versions", ())]


def test_what_is_kept_cannot_be_deleted_by_the_administrator(object_store: ObjectServer) -> None:
    blobs = ObjectBlobs(object_store.bucket("kept", kept_days=30))
    assert blobs.put("bundles/a", b"one")
    (version,) = versions(object_store, "kept/bundles/a")
    with pytest.raises(ClientError, match="AccessDenied"):
        object_store.client.delete_object(Bucket=BUCKET, Key="kept/bundles/a", VersionId=version)
    assert blobs.read("bundles/a", LIMIT) == b"one"


def test_notes_of_what_is_to_do_are_never_locked(object_store: ObjectServer) -> None:
    blobs = ObjectBlobs(object_store.bucket("notes", kept_days=30))
    blobs.put("intents/a", b"one")
    (version,) = versions(object_store, "notes/intents/a")
    object_store.client.delete_object(Bucket=BUCKET, Key="notes/intents/a", VersionId=version)
    assert not blobs.has("intents/a")


def test_without_days_nothing_is_locked(object_store: ObjectServer) -> None:
    ObjectBlobs(object_store.bucket("free")).put("bundles/a", b"one")
    (version,) = versions(object_store, "free/bundles/a")
    object_store.client.delete_object(Bucket=BUCKET, Key="free/bundles/a", VersionId=version)


def test_more_names_than_a_page_holds_are_all_listed(object_store: ObjectServer) -> None:
    blobs = ObjectBlobs(object_store.bucket("many"))
    wanted = [f"{number:04}" for number in range(1005)]
    for name in wanted:
        object_store.client.put_object(Bucket=BUCKET, Key=f"many/bundles/{name}", Body=b"")
    assert blobs.names("bundles") == wanted


def test_no_variable_leads_elsewhere(
    object_store: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    blobs = ObjectBlobs(object_store.bucket("here"))
    assert blobs.put("bundles/a", b"one")
    assert versions(object_store, "here/bundles/a")


@pytest.mark.parametrize("change", ["name", "key"])
def test_a_refusal_is_no_absence(
    object_store: ObjectServer, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = object_store.bucket("refused")
    if change == "key":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    else:
        bucket = type(bucket)("no-such-bucket", "refused", object_store.endpoint)
    blobs = ObjectBlobs(bucket)
    for use in (
        lambda: blobs.read("bundles/a", LIMIT), lambda: blobs.put("bundles/a", b""),
        lambda: blobs.has("bundles/a"), lambda: blobs.names("bundles"),
        lambda: blobs.check_writable("bundles", LIMIT), lambda: blobs.drop("intents/a"),
    ):  # fmt: skip
        with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
            use()


def test_a_store_that_is_down_is_no_absence(tmp_path: Path) -> None:
    with object_server(tmp_path) as object_store, credentials():
        blobs = ObjectBlobs(object_store.bucket("down"))
        blobs.put("bundles/a", b"one")
        object_store.stop()
        for use in (
            lambda: blobs.read("bundles/a", LIMIT), lambda: blobs.has("bundles/a"),
            lambda: blobs.drop("bundles/a"), lambda: blobs.put("bundles/b", b""),
        ):  # fmt: skip
            with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
                use()


def test_who_may_not_delete_leaves_a_note_there(
    object_store: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.writer("step").items():
        monkeypatch.setenv(name, value)
    blobs = ObjectBlobs(object_store.bucket("step", kept_days=30))
    assert blobs.put("bundles/a", b"one")
    assert blobs.put("intents/a", b"two")
    blobs.drop("intents/a")
    assert blobs.read("intents/a", LIMIT) == b"two"
    assert blobs.names("bundles") == ["a"]
