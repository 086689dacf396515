"""Keys and tokens are found wherever they lie, and never shown."""

from pathlib import Path

import pytest

from fraud_provenance.evidence.errors import VerificationError
from fraud_provenance.evidence.secrets import has_secret, key_sized, refuse_secrets
from fraud_provenance_tests.conftest import codes

KIND = b"PRIVATE KEY"  # in one piece it would be found in this file, too
BODY = b"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"


def key(kind: str) -> bytes:
    return b"-----BEGIN " + kind.encode() + KIND + b"-----\n" + BODY + b"\n"


@pytest.mark.parametrize(
    "kind", ["", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED ", "ENCRYPTED SIGSTORE "]
)
def test_private_key_is_found_wherever_it_lies(kind: str) -> None:
    content = b"a: |\n" + key(kind)
    assert has_secret(content)
    with pytest.raises(VerificationError) as caught:
        refuse_secrets([("x.yml", content)])
    assert codes(caught.value) == ["SECRET_IN_TREE"]


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PUBLIC KEY-----\nMIGHAgEAMBMGByqGSM49AgEG", b"the words PRIVATE KEY alone",
     b"AKIA and ghp_ are prefixes", b"-----BEGIN " + KIND + b"-----",
     b"A line -----BEGIN " + KIND + b"----- alone\n"],
)  # fmt: skip
def test_what_only_speaks_of_keys_is_no_secret(content: bytes) -> None:
    assert not has_secret(content)


def test_files_without_secrets_pass() -> None:
    refuse_secrets([])
    refuse_secrets([("a.py", b"print()"), ("b.md", b"A -----BEGIN " + KIND + b"----- alone\n")])


def test_first_file_with_a_secret_is_named_and_nothing_of_it_shown() -> None:
    with pytest.raises(VerificationError, match="SECRET_IN_TREE") as caught:
        refuse_secrets([("a.py", b"print()"), ("key.pem", key("EC ")), ("c.py", key("RSA "))])
    assert caught.value.reasons[0].artifact == "key.pem"
    assert BODY.decode() not in str(caught.value)


def test_what_is_no_larger_than_a_key_is_looked_at_at_any_depth(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "files" / "md5").mkdir(parents=True)
    (store / "files" / "md5" / "0f").write_bytes(key("EC "))
    (store / "large.parquet").write_bytes(b"0" * 65_537)
    (store / "empty").touch()
    (store / "link").symlink_to(store / "empty")
    assert dict(key_sized(store)) == {"store/empty": b"", "store/files/md5/0f": key("EC ")}
    assert list(key_sized(tmp_path / "not there")) == []
