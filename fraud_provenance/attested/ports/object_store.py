"""Blobs in an object store that speaks S3: create-only, and kept for as long as was agreed.

A PUT with `If-None-Match: *` is what makes a name written once. Where `kept_days` is set, each
object is locked in COMPLIANCE mode with its own PUT: until then nobody deletes it, the store's
administrator included. A bucket's default retention is not relied on: stores differ in whether
they keep it with the object.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.ports.blobs import Copies, bounded, plain
from fraud_provenance.attested.ports.clock import Clock, machine_clock

_CONNECT_S, _READ_S, _ATTEMPTS = 5, 30, 3
_ABSENT = ("NoSuchKey", "404", "NotFound")
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict")
_DENIED = ("AccessDenied", "403")


@dataclass(frozen=True)
class Bucket:
    """Where blobs lie in an object store.

    Attributes:
        name: The bucket.
        prefix: What all names begin with, without a slash at its end; may be empty.
        endpoint: The store's address. It is always told, so that no variable can tell another.
        region: The region that requests are signed for.
        kept_days: How long each blob is locked; 0 locks none.
    """

    name: str
    prefix: str
    endpoint: str
    region: str = "us-east-1"
    kept_days: int = 0


class ObjectBlobs:
    """Objects of one bucket below one prefix. Credentials come from the usual places."""

    def __init__(
        self,
        bucket: Bucket,
        client: Any = None,  # noqa: ANN401 - boto3 has no types
        clock: Clock = machine_clock,
    ) -> None:
        """`client`: a client of boto3 for S3; one is made where none is given."""
        self._bucket = bucket
        self._client = client or _client(bucket)
        self._clock = clock
        self._copies = Copies()

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """See `Blobs.read`.

        Raises:
            BackendError: STORAGE_UNAVAILABLE, nobody can say what is there.
        """
        with _answering(self._bucket.name):
            try:
                found = self._client.get_object(**self._key(name))
            except self._client.exceptions.ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            with found["Body"] as body:
                content = bytes(body.read(limit_bytes + 1))
        return bounded(name, content, limit_bytes)

    def put(self, name: str, content: bytes) -> bool:
        """See `Blobs.put`."""
        lock = {}
        if self._bucket.kept_days and not name.startswith("intents/"):
            until = self._clock() + timedelta(days=self._bucket.kept_days)
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        with _answering(self._bucket.name):
            try:
                self._client.put_object(
                    **self._key(name), Body=content, IfNoneMatch="*", ChecksumSHA256=digest, **lock
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True

    def has(self, name: str) -> bool:
        """See `Blobs.has`."""
        with _answering(self._bucket.name):
            try:
                self._client.head_object(**self._key(name))
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                self._client.head_bucket(Bucket=self._bucket.name)  # a HEAD does not say what
                return False
        return True

    def names(self, folder: str) -> list[str]:
        """See `Blobs.names`."""
        below = self._bucket.prefix if folder == "." else self._key(folder)["Key"]
        prefix = f"{below}/" if below else ""
        pages = self._client.get_paginator("list_objects_v2")
        with _answering(self._bucket.name):
            asked = pages.paginate(Bucket=self._bucket.name, Prefix=prefix, Delimiter="/")
            found = [item["Key"] for page in asked for item in page.get("Contents", ())]
        return sorted(key.removeprefix(prefix) for key in found)

    def drop(self, name: str) -> None:
        """See `Blobs.drop`. Who may not delete leaves it there."""
        with _answering(self._bucket.name):
            try:
                self._client.delete_object(**self._key(name))
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _DENIED:
                    raise

    def as_file(self, name: str) -> Path:
        """See `Blobs.as_file`."""
        return self._copies.of(name, self.read(name, 1 << 30))

    def check_writable(self, folder: str, size_bytes: int) -> None:
        """See `Blobs.check_writable`: that the store answers. What it takes, a PUT shows."""
        with _answering(self._bucket.name):
            self._client.head_bucket(Bucket=self._bucket.name)

    def _key(self, name: str) -> dict[str, str]:
        place = f"{self._bucket.prefix}/{plain(name)}" if self._bucket.prefix else plain(name)
        return {"Bucket": self._bucket.name, "Key": place}


def _client(bucket: Bucket) -> Any:  # noqa: ANN401 - boto3 has no types
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=bucket.region,
        config=Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path"},
            signature_version="s3v4",
        ),
    )


def _code(error: Any) -> str:  # noqa: ANN401 - boto3 has no types
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _answering(bucket: str) -> Iterator[None]:
    """Whatever else the store says, or does not say, is no answer.

    Raises:
        BackendError: STORAGE_UNAVAILABLE.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _unavailable(bucket, f"it answers {_code(error)}") from error
    except BotoCoreError as error:
        raise _unavailable(bucket, type(error).__name__) from error


def _unavailable(bucket: str, why: str) -> BackendError:
    remedy = (
        "Make the object store reachable, with credentials that may read and write the bucket, "
        "then run again."
    )
    artifact = f"bucket {bucket}"
    return BackendError(
        reason(RootCause.STORAGE_UNAVAILABLE, why, artifact=artifact, remedy=remedy)
    )
