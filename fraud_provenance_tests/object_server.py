"""A real object store on this machine: versitygw over a folder, with versions and object lock."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from fraud_provenance.attested.local import tools_dir
from fraud_provenance.attested.ports.object_store import Bucket
from fraud_provenance.home.settings import PROJECT
from fraud_provenance_tests.attacks.network import HOST, free_port

_START_S = 60.0
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
BUCKET = "evidence"


@dataclass
class ObjectServer:
    """An object store that runs, and what an administrator may do there."""

    endpoint: str
    process: subprocess.Popen[bytes]
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        """Open it as its administrator."""
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def bucket(self, prefix: str, kept_days: int = 0) -> Bucket:
        """A place in it of one's own."""
        return Bucket(BUCKET, prefix, self.endpoint, kept_days=kept_days)

    def writer(self, name: str) -> dict[str, str]:
        """Enrol somebody who may read and write below a prefix of this name, and delete nothing.

        Returns the variables with the credentials.
        """
        command = [
            str(binary()), "admin", "--endpoint-url", self.endpoint,
            "--access", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"],
            "create-user", "--access", name, "--secret", f"{name}-secret", "--role", "user",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=_START_S)
        allowed = ["s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"]
        whole = f"arn:aws:s3:::{BUCKET}"
        rules = [([*allowed], f"{whole}/{name}/*"), (["s3:ListBucket"], whole)]
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [name]},
                "Action": actions,
                "Resource": [place],
            }
            for actions, place in rules
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
        return {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": f"{name}-secret"}

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self.process.terminate()
        self.process.wait(timeout=_START_S)


def binary() -> Path:
    """The server's program."""
    found = sorted(tools_dir().glob("versitygw-*"))
    assert found, "the object store is not built: make object-store"
    return found[-1]


@contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    """Run an object store whose files lie below `folder`, with one bucket that may lock objects."""
    folder = _with_attributes(folder)
    for name in ("iam", "versions", "root"):
        (folder / name).mkdir(parents=True)
    port = free_port()
    command = [
        str(binary()), "--port", f"{HOST}:{port}", "--quiet", "--health", "/health",
        "--iam-dir", str(folder / "iam"),
        "posix", "--versioning-dir", str(folder / "versions"), str(folder / "root"),
    ]  # fmt: skip
    secret = {
        "ROOT_ACCESS_KEY_ID": KEYS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=secret, stdout=log, stderr=log)
    server = ObjectServer(f"http://{HOST}:{port}", process)
    try:
        _wait(server, folder / "log")
        server.client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def _with_attributes(folder: Path) -> Path:
    """This folder or, where its file system keeps no user attributes, one in the checkout."""
    for place in (folder, PROJECT / "build" / "objects" / f"{folder.name}-{os.getpid()}"):
        place.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            os.setxattr(place, "user.kept", b"1")
            return place
    pytest.skip("no file system here keeps user attributes, which the object store needs")


def _wait(server: ObjectServer, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if requests.get(f"{server.endpoint}/health", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"the object store does not answer: {log.read_text()[-2000:]}")


@contextmanager
def credentials() -> Iterator[None]:
    """The variables by which a client finds its credentials."""
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
