"""Checkpoints and countersignatures: only what a known key signed, in one exact form."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.attested.tlog import notes
from fraud_provenance.attested.tlog.notes import LogKey, NoteSignature, WitnessKey
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, entry_body

ROOT = bytes(range(32))


@pytest.fixture
def log(tmp_path: Path) -> SimulatedLog:
    return SimulatedLog(tmp_path, bodies=[entry_body("aa")])


def test_checkpoint_survives_its_own_note(log: SimulatedLog) -> None:
    head = log.head()

    assert notes.parse_checkpoint(head.note) == head
    log.key.verify(head)


def test_checkpoint_may_carry_further_lines(log: SimulatedLog) -> None:
    note = log.head().note.replace(b"\n\n", b"\nextension line\n\n", 1)

    found = notes.parse_checkpoint(note)

    assert found.size == 1
    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        log.key.verify(found)  # the log did not sign that line


@pytest.mark.parametrize(
    "note",
    [
        b"", b"\xff\n1\nAA==\n\n", b"log.test\n1\n", b"log.test\n-1\nAA==\n\nx\n",
        b"log.test\n01\nAA==\n\nx\n", b"\n1\nAA==\n\nx\n",
        b"a\n1\nAA==\n\n\xe2\x80\x94 a AAAAAAA=\n",
        b"a\n1\n%s\n\nno signature\n" % base64.b64encode(ROOT),
        b"a\n1\n%s\n\n\xe2\x80\x94 a AAAA\n" % base64.b64encode(ROOT),
        b"a\n1\n%s\n\n\xe2\x80\x94 a AAAAAAA=" % base64.b64encode(ROOT),
        b"a\n1\n%s\n\n%s" % (base64.b64encode(ROOT), b"\xe2\x80\x94 a AAAAAAA=\n" * 65),
        b"a\n1\n%s9=\n\n\xe2\x80\x94 a AAAAAAA=\n" % base64.b64encode(ROOT)[:-2],  # spare bits set
        b"x" * (notes.MAX_NOTE_BYTES + 1),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_checkpoint_is_untrusted(note: bytes) -> None:
    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        notes.parse_checkpoint(note)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_checkpoint_with_any_bit_changed_is_untrusted(at: int, bit: int) -> None:
    log = SimulatedLog(Path(), key=ed25519.Ed25519PrivateKey.from_private_bytes(ROOT))
    note = bytearray(log.head().note)
    note[at % len(note)] ^= 1 << bit
    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        log.key.verify(notes.parse_checkpoint(bytes(note)))


def test_checkpoint_of_another_log_is_untrusted(log: SimulatedLog, tmp_path: Path) -> None:
    other = SimulatedLog(tmp_path, "other.test", log.private)
    with pytest.raises(VerificationError, match=r"expected 'log\.test'"):
        log.key.verify(other.head())


def test_checkpoint_of_a_log_with_a_p256_key_is_verified(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = LogKey("log.test", b"\1\2\3\4", private.public_key())
    made = notes.unsigned_checkpoint("log.test", 0, ROOT)
    signature = private.sign(made.text, ec.ECDSA(hashes.SHA256()))
    signed = made.with_signatures([NoteSignature("log.test", b"\1\2\3\4", signature)])

    key.verify(signed)
    with pytest.raises(VerificationError, match="CHECKPOINT_UNTRUSTED"):
        key.verify(made.with_signatures([NoteSignature("log.test", b"\1\2\3\4", b"x")]))


# --- the trusted root --------------------------------------------------------------------------


def test_trusted_root_names_its_logs(log: SimulatedLog) -> None:
    found = notes.log_keys(log.trusted_root())

    assert found.keys() == {log.key.log_id}
    found[log.key.log_id].verify(log.head())


def test_trusted_root_with_what_is_no_log_is_unusable(log: SimulatedLog) -> None:
    root = json.loads(log.trusted_root())
    x25519 = "MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    lies = {
        "publicKey": [{"rawBytes": "AAAA"}, {"rawBytes": x25519}, {}],
        "logId": [{"keyId": "AA=="}],
        "baseUrl": ["no address"],
    }
    for name, values in lies.items():
        for value in values:
            content = json.dumps({"tlogs": [root["tlogs"][0] | {name: value}]}).encode()
            with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
                notes.log_keys(content)


# --- countersignatures -------------------------------------------------------------------------


def test_countersignature_tells_when_and_holds_for_this_head_only(log: SimulatedLog) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = WitnessKey.of("w.test", private)
    head = log.head()
    line = notes.countersign(head, "w.test", private, 1_700_000_000)

    assert key.signed_at(head.with_signatures([line])) == 1_700_000_000
    assert key.signed_at(head) is None
    assert key.signed_at(log.head(0).with_signatures([line])) is None


def test_countersignature_of_the_specification_is_verified_by_any_implementation(
    log: SimulatedLog,
) -> None:
    """The signed message, written out as in C2SP tlog-cosignature."""
    private = ed25519.Ed25519PrivateKey.generate()
    head = log.head()
    line = notes.countersign(head, "w.test", private, 1679315147)
    message = b"cosignature/v1\ntime 1679315147\n" + head.text

    assert line.signature[:8] == (1679315147).to_bytes(8, "big")
    private.public_key().verify(line.signature[8:], message)


@pytest.mark.parametrize("change", ["cut", "other name", "other hint", "other time"])
def test_countersignature_that_was_changed_does_not_count(log: SimulatedLog, change: str) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = WitnessKey.of("w.test", private)
    line = notes.countersign(log.head(), "w.test", private, 5)
    changed = {
        "cut": NoteSignature(line.name, line.hint, line.signature[:-1]),
        "other name": NoteSignature("v.test", line.hint, line.signature),
        "other hint": NoteSignature(line.name, b"hint", line.signature),
        "other time": NoteSignature(line.name, line.hint, b"\1" + line.signature[1:]),
    }[change]

    assert key.signed_at(log.head().with_signatures([changed])) is None


def test_witness_key_survives_its_own_text() -> None:
    key = WitnessKey.of("w.test", ed25519.Ed25519PrivateKey.generate())

    assert notes.parse_witness_key(key.text) == key


@pytest.mark.parametrize(
    "text", ["", "w+00000000", "w+00000000+BAAA", "w+00000000+AAAA", "w w+00000000+BAAA", "w+x+%"]
)
def test_what_is_no_witness_key_is_unusable(text: str) -> None:
    with pytest.raises(ConfigError, match="not a witness key"):
        notes.parse_witness_key(text)


def test_witness_key_under_another_name_is_unusable() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = WitnessKey("w.test", raw).text.replace("w.test", "v.test")
    with pytest.raises(ConfigError, match="hash does not fit"):
        notes.parse_witness_key(text)
