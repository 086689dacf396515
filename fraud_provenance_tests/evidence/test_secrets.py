"""Keys and tokens are found wherever they lie, and never shown."""

import base64
import json
import time
from pathlib import Path

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.core.leaks import (
    has_secret,
    key_sized,
    refuse_secret_words,
    refuse_secrets,
)
from fraud_provenance.attested.core.secret_forms import redacted
from fraud_provenance.attested.statements.statements import PROVENANCE, build_statement
from fraud_provenance_tests.conftest import codes

KIND = b"PRIVATE KEY"  # in one piece it would be found in this file, too
BODY = b"".join([b"MIGHAgEAMBMGByqGSM49", b"AgEGCCqGSM49AwEHBG0wawIBAQQg"])  # as above


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


def joined(*parts: str) -> str:
    """A secret in pieces here, else it would be found in this file."""
    return "".join(parts)


A64 = "Ab3" * 22
SECRETS = {
    "OIDC token": joined("ey", "JhbGciOiJFUzI1NiJ9.ey", "JzdWIiOiIvc3RlcHMvdHJhaW4ifQ.", A64),
    "token without a signature": joined("ey", "JhbGciOiJub25lIn0.ey", "JzdWIiOiJ0cmFpbiJ9."),
    "GitHub": joined("gh", "s_", A64[:36]),
    "GitHub, fine-grained": joined("github_", "pat_", A64),
    "GitLab": joined("gl", "pat-", A64[:20]),
    "AWS": joined("AK", "IA", "Q" * 16),
    "AWS, temporary": joined("AS", "IA", "Q" * 16),
    "Slack": joined("xo", "xb-1234567890-abc"),
    "Slack webhook": joined("https://hooks.slack", ".com/services/T000/B000/xyz"),
    "Stripe": joined("sk_", "live_", A64[:24]),
    "Google": joined("AI", "za", A64[:35]),
    "Google OAuth": joined("ya", "29.", A64),
    "npm": joined("np", "m_", A64[:36]),
    "PyPI": joined("py", "pi-AgE", A64),
    "Hugging Face": joined("h", "f_", A64[:34]),
    "SendGrid": joined("S", "G.", A64[:22], ".", A64[:43]),
    "Databricks": joined("da", "pi", "0af" * 10, "00"),
    "DigitalOcean": joined("dop_", "v1_", "0af4" * 16),
    "OpenAI": joined("s", "k-proj-", A64[:48]),
    "Azure": joined("Account", "Key=", A64, "=="),
    "PEM": joined("-----BEGIN EC PRIV", "ATE KEY-----\n", A64),
    "PEM of SSH": joined("-----BEGIN OPENSSH PRIV", "ATE KEY-----\n", A64),
    "PEM in base64": base64.b64encode(
        joined("-----BEGIN RSA PRIV", "ATE KEY-----\n", A64).encode()
    ).decode(),
    "age": joined("AGE-SEC", "RET-KEY-1", "Q" * 58),
    "note signer": joined("PRIVATE", "+KEY+log.example+0123abcd+", A64),
    "PuTTY": joined("PuTTY-User", "-Key-File-3: ssh-ed25519"),
    "PKCS#8": joined("MIGHAgEAM", "BMGByqG", A64),
    "PKCS#8 RSA": joined("MIIEvQIBADAN", "BgkqhkiG9w0B", A64),
    "PKCS#8 Ed25519": joined("MC4CAQAw", "BQYDK2Vw", A64),
    "SEC 1": joined("MHcCAQ", "EEI", A64),
    "PKCS#1": joined("MIIEpAIB", "AAKCAQEA", A64),
    "JSON web key": json.dumps({"crv": "P-256", "d": A64[:43], "kty": "EC"}),
    "JSON web key, otherwise": json.dumps({"kty": "EC", "x": "1", "d": A64[:43]}),
    "password": joined("postgresql://user:", "pass", "@db.example/x"),
    "bearer": joined("Authorization: Bear", "er ", A64[:30]),
}
HONEST = {
    "digest": "9f" * 32,
    "digests": "9f86d081884c7d65 " * 20,
    "log id": "t1/2DbAz0bTRoOaMVVCfA6nQF7LyJLwCGZ7EPMlSLWo=",
    "signature": "MEUCIQD" + "x/9+" * 24 + "==",
    "certificate": "-----BEGIN CERTIFICATE-----\nMIIBvTCCAWSgAwIBAgIUE" + A64 + "\n",
    "certificate in base64": base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB").decode(),
    "public key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
    "public key in base64": base64.b64encode(b"-----BEGIN PUBLIC KEY-----\nMFkw").decode(),
    "public web key": json.dumps({"crv": "P-256", "kty": "EC", "x": A64[:43], "y": A64[:43]}),
    "verifier of notes": "log.example+0123abcd+" + A64[:44],
    "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEi" * 9,
    "MLflow": "models:/m-8d2f3b0c4ad94c55a1f4bb0d30ab1cbe",
    "DVC": "files/md5/0f/6f5902ac237024bdd0c176cb93063dc4",
    "addresses": "http://127.0.0.1:46123/workloads and git+https://example.org/x.git@main",
    "masked": "postgresql://user:***@db.example/x",
    "words": "a bearer of bad news; the risk-adjusted-and-quite-long-name-of-one-feature-here",
    "identity": "risk.officer@example.com",
}


def payload(value: object) -> bytes:
    return encoding.canonical_json({"predicate": {"outputs": {"note": value}}})


@pytest.mark.parametrize("name", SECRETS)
def test_secret_in_a_statement_is_refused_by_its_place_and_shown_nowhere(name: str) -> None:
    text = SECRETS[name]
    for value in (text, f"it said {text} twice", [1, {"deep": text}], {text: 1}):
        with pytest.raises(VerificationError, match="SECRET_IN_ATTESTATION") as caught:
            refuse_secret_words(payload(value))
        assert text not in str(caught.value)
    assert text not in redacted(f"before {text} after")
    assert redacted(f"before {text}").startswith("before ")
    assert text not in str(reason("USAGE", f"it said {text}"))


@pytest.mark.parametrize("name", [name for name in SECRETS if name not in ("password", "bearer")])
def test_secret_in_a_small_file_is_found(name: str) -> None:
    assert has_secret(SECRETS[name].encode())


@pytest.mark.parametrize("name", HONEST)
def test_what_evidence_is_made_of_is_no_secret(name: str) -> None:
    refuse_secret_words(payload([HONEST[name], {"deep": HONEST[name]}]))
    assert redacted(HONEST[name]) == HONEST[name]
    assert not has_secret(HONEST[name].encode())


def test_place_of_a_secret_is_the_innermost_name() -> None:
    for value, place in (
        (SECRETS["AWS"], "note holds"), ([1, {"deep": SECRETS["AWS"]}], "deep holds"),
        ({SECRETS["AWS"]: 1}, "a field's name holds"),
    ):  # fmt: skip
        with pytest.raises(VerificationError, match=place):
            refuse_secret_words(payload(value))
    split = json.dumps({"crv": "P-256", "d": A64[:43], "kty": "EC"})
    with pytest.raises(VerificationError, match="the statement holds"):
        refuse_secret_words(split.encode())


def test_statement_with_a_secret_is_never_made() -> None:
    with pytest.raises(VerificationError, match="SECRET_IN_ATTESTATION"):
        build_statement(PROVENANCE, "asset", "0" * 64, {"outputs": {"x": SECRETS["OIDC token"]}})


@pytest.mark.parametrize(
    "text",
    ["eyJ" * 20_000, "eyJaaaaaaaa." * 5_000, '"kty"' + '"d":"' * 10_000, "a://" * 20_000,
     "-----BEGIN " + "A " * 20_000 + "PRIVATE KEY", "PRIVATE+KEY+" * 5_000, "MII" * 20_000,
     "sk-" * 20_000, "Bearer " * 10_000],
)  # fmt: skip
def test_search_takes_time_by_the_length_alone(text: str) -> None:
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 5


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


def test_what_was_looked_through_is_read_again_when_it_changes(tmp_path: Path) -> None:
    store, seen = tmp_path / "store", dict[str, str]()
    store.mkdir()
    (store / "a").write_bytes(b"harmless")
    (store / "large").write_bytes(bytes(1 << 17))
    refuse_secrets(key_sized(store, seen))
    assert list(key_sized(store, seen)) == []
    (store / "a").write_bytes(key("EC "))
    for _ in range(2):  # what was objected to is not forgotten
        with pytest.raises(VerificationError, match="SECRET_IN_TREE"):
            refuse_secrets(key_sized(store, seen))
