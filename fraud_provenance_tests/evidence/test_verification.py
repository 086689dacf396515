"""Real bundles of the real servers, each attacked in one place; the root cause is asserted."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigstore.dsse import Envelope, Statement
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    ConfigError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.sigstore import bundle_form, verification
from fraud_provenance.attested.sigstore.verification import (
    BundleVerifier,
    _ReadIdentity,
    load_issuers,
)
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.tlog.checkpoints import WitnessedLogs
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import Chain
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, dsse_v1_body

pytestmark = pytest.mark.integration

Document = dict[str, Any]
ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def load(chain: Chain, statement: str) -> Document:
    document: Document = json.loads(chain.trust.store.bundle(statement)[1])
    return document


@pytest.fixture
def bundle(honest: Chain) -> Document:
    """An honest bundle to attack."""
    return load(honest, honest.features.bundle.statement.digest)


@pytest.fixture
def other(honest: Chain) -> Document:
    """Another honest bundle of the same home."""
    return load(honest, honest.raw.bundle.statement.digest)


@pytest.fixture
def verifier(honest: Chain) -> BundleVerifier:
    """A verifier that has seen nothing yet."""
    home = honest.workspace.home
    return BundleVerifier(
        home / "trust" / "trusted_root.json",
        load_issuers(home / "trust" / "issuers.json"),
        WitnessedLogs(home / "trust"),
    )


def logs_of(chain: Chain) -> WitnessedLogs:
    return WitnessedLogs(chain.workspace.home / "trust")


def refusal(verifier: BundleVerifier, document: object) -> str:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ProvenanceError) as caught:
        verifier.verify(content)
    named = f"bundle {encoding.digest_bytes(content)[:12]}: "  # what its remedy takes away
    assert all(why.message.startswith(named) for why in caught.value.reasons)
    return caught.value.reasons[0].code


def entry_of(document: Document) -> Document:
    entry: Document = document["verificationMaterial"]["tlogEntries"][0]
    return entry


def flip(text: str, bit: int) -> str:
    """Base64 text with one bit of its content flipped."""
    content = bytearray(base64.b64decode(text))
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    return base64.b64encode(content).decode()


# --- what must pass ----------------------------------------------------------------------------


def test_verify_of_an_honest_bundle_establishes_signer_time_and_log_index(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    found = verifier.verify(json.dumps(bundle).encode())
    assert found.statement == honest.features.bundle.statement
    assert found.identity == Identity(issuer="workloads", subject="/steps/features")
    assert abs(dt.datetime.now(dt.UTC) - found.signed_at) < dt.timedelta(minutes=10)
    assert found.log_index == int(entry_of(bundle)["logIndex"])


def test_verify_of_a_person_gives_the_exact_address(honest: Chain) -> None:
    records = honest.trust.store.records(predicate_type=statements.POLICY_RELEASE)
    found = honest.trust.bundles.verify(honest.trust.store.bundle(records[0].statement)[1])
    assert found.identity == Identity(issuer="people", subject="policy.author@example.com")


def test_verify_again_gives_the_same_object(verifier: BundleVerifier, bundle: Document) -> None:
    content = json.dumps(bundle).encode()
    assert verifier.verify(content) is verifier.verify(content)


def test_certificate_identity_is_what_the_certificate_names(
    verifier: BundleVerifier, bundle: Document
) -> None:
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    names = x509.load_der_x509_certificate(raw).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    subject, issuer = verifier.certificate_identity(
        Identity(issuer="workloads", subject="/steps/features")
    )
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [subject]
    assert subject == f"{issuer}/steps/features"
    person = Identity(issuer="people", subject="ann@example.com")
    assert verifier.certificate_identity(person)[0] == "ann@example.com"


# --- one change, one root cause ----------------------------------------------------------------


def no_signature(bundle: Document, _: Document) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


def signatures_not_a_list(bundle: Document, _: Document) -> None:
    bundle["dsseEnvelope"]["signatures"] = {"sig": ""}


def signature_twice(bundle: Document, _: Document) -> None:
    bundle["dsseEnvelope"]["signatures"] *= 2


def second_signer_first(bundle: Document, other: Document) -> None:
    mine = bundle["dsseEnvelope"]["signatures"]
    bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"] + mine


def payload_edited(bundle: Document, _: Document) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    edited = payload.replace(b'"sequence":1', b'"sequence":9')
    assert edited != payload
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(edited).decode()


def payload_of_another(bundle: Document, other: Document) -> None:
    bundle["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]


def payload_type_changed(bundle: Document, _: Document) -> None:
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"


def signature_flipped(bundle: Document, _: Document) -> None:
    signature = bundle["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flip(signature["sig"], 300)


def timestamp_of_another(bundle: Document, other: Document) -> None:
    stamps = other["verificationMaterial"]["timestampVerificationData"]
    bundle["verificationMaterial"]["timestampVerificationData"] = stamps


def timestamps_removed(bundle: Document, _: Document) -> None:
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = []


def timestamp_data_removed(bundle: Document, _: Document) -> None:
    del bundle["verificationMaterial"]["timestampVerificationData"]


def timestamp_twice(bundle: Document, _: Document) -> None:
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2


def timestamp_of_another_added(bundle: Document, other: Document) -> None:
    mine, theirs = (
        item["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
        for item in (bundle, other)
    )
    mine.extend(theirs)


def timestamp_garbled(bundle: Document, _: Document) -> None:
    stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamps[0]["signedTimestamp"] = base64.b64encode(b"yesterday").decode()


def log_entry_removed(bundle: Document, _: Document) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def log_entries_gone(bundle: Document, _: Document) -> None:
    del bundle["verificationMaterial"]["tlogEntries"]


def log_entry_of_another(bundle: Document, other: Document) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = [entry_of(other)]


def log_entry_twice(bundle: Document, _: Document) -> None:
    bundle["verificationMaterial"]["tlogEntries"] *= 2


def proof_flipped(bundle: Document, _: Document) -> None:
    proof = entry_of(bundle)["inclusionProof"]
    proof["hashes"][0] = flip(proof["hashes"][0], 77)


def proof_shortened(bundle: Document, _: Document) -> None:
    entry_of(bundle)["inclusionProof"]["hashes"].pop()


def root_hash_flipped(bundle: Document, _: Document) -> None:
    proof = entry_of(bundle)["inclusionProof"]
    proof["rootHash"] = flip(proof["rootHash"], 5)


def checkpoint_of_another(bundle: Document, other: Document) -> None:
    entry_of(bundle)["inclusionProof"]["checkpoint"] = entry_of(other)["inclusionProof"][
        "checkpoint"
    ]


def checkpoint_edited(bundle: Document, _: Document) -> None:
    checkpoint = entry_of(bundle)["inclusionProof"]["checkpoint"]
    lines = checkpoint["envelope"].split("\n")
    lines[1] = str(int(lines[1]) + 1)
    checkpoint["envelope"] = "\n".join(lines)


def proof_removed(bundle: Document, _: Document) -> None:
    del entry_of(bundle)["inclusionProof"]


def log_body_flipped(bundle: Document, _: Document) -> None:
    entry = entry_of(bundle)
    entry["canonicalizedBody"] = flip(entry["canonicalizedBody"], 900)


def log_index_moved(bundle: Document, _: Document) -> None:
    proof = entry_of(bundle)["inclusionProof"]
    proof["logIndex"] = str(int(proof["logIndex"]) - 1)


def certificate_of_another(bundle: Document, other: Document) -> None:
    material = other["verificationMaterial"]["certificate"]
    bundle["verificationMaterial"]["certificate"] = material


def key_instead_of_certificate(bundle: Document, _: Document) -> None:
    del bundle["verificationMaterial"]["certificate"]
    bundle["verificationMaterial"]["publicKey"] = {"hint": "mine"}


def certificate_removed(bundle: Document, _: Document) -> None:
    del bundle["verificationMaterial"]["certificate"]


def certificate_garbled(bundle: Document, _: Document) -> None:
    certificate = bundle["verificationMaterial"]["certificate"]
    certificate["rawBytes"] = base64.b64encode(b"no certificate").decode()


def envelope_removed(bundle: Document, _: Document) -> None:
    del bundle["dsseEnvelope"]


def payload_not_base64(bundle: Document, _: Document) -> None:
    bundle["dsseEnvelope"]["payload"] = 5


def log_index_garbled(bundle: Document, _: Document) -> None:
    bundle["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "many"


ATTACKS: list[tuple[Callable[[Document, Document], None], str]] = [
    (no_signature, "SIGNATURE_MISSING"),
    (signatures_not_a_list, "SIGNATURE_MISSING"),
    (signature_twice, "SIGNATURE_COUNT"),
    (second_signer_first, "SIGNATURE_COUNT"),
    (payload_edited, "SIGNATURE_INVALID"),
    (payload_of_another, "SIGNATURE_INVALID"),
    (payload_type_changed, "SIGNATURE_INVALID"),
    (signature_flipped, "TIMESTAMP_INVALID"),  # the timestamp is over the signature's own bytes
    (timestamp_of_another, "TIMESTAMP_INVALID"),
    (timestamps_removed, "TIMESTAMP_INVALID"),
    (timestamp_data_removed, "TIMESTAMP_INVALID"),
    (timestamp_twice, "TIMESTAMP_INVALID"),
    (timestamp_of_another_added, "TIMESTAMP_INVALID"),
    (timestamp_garbled, "TIMESTAMP_INVALID"),
    (log_entry_removed, "LOG_ENTRY_MISSING"),
    (log_entries_gone, "LOG_ENTRY_MISSING"),
    (log_entry_of_another, "LOG_ENTRY_MISMATCH"),
    (log_entry_twice, "SIZE_LIMIT"),
    (proof_flipped, "INCLUSION_INVALID"),
    (proof_shortened, "INCLUSION_INVALID"),
    (root_hash_flipped, "INCLUSION_INVALID"),
    (checkpoint_of_another, "INCLUSION_INVALID"),
    (checkpoint_edited, "CHECKPOINT_UNTRUSTED"),
    (proof_removed, "INCLUSION_INVALID"),
    (log_body_flipped, "INCLUSION_INVALID"),
    (log_index_moved, "INCLUSION_INVALID"),
    (certificate_of_another, "SIGNATURE_INVALID"),
    (key_instead_of_certificate, "KEY_NOT_FROM_ROOT"),
    (certificate_removed, "EVIDENCE_MALFORMED"),
    (certificate_garbled, "EVIDENCE_MALFORMED"),
    (envelope_removed, "EVIDENCE_MALFORMED"),
    (payload_not_base64, "EVIDENCE_MALFORMED"),
    (log_index_garbled, "EVIDENCE_MALFORMED"),
]


@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[item[0].__name__ for item in ATTACKS])
def test_verify_of_a_bundle_changed_in_one_place_names_the_cause(
    verifier: BundleVerifier,
    bundle: Document,
    other: Document,
    attack: Callable[[Document, Document], None],
    code: str,
) -> None:
    attack(bundle, other)
    assert refusal(verifier, bundle) == code


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_verify_of_a_bundle_with_any_flipped_bit_of_its_evidence_is_refused(
    verifier: BundleVerifier, bundle: Document, data: st.DataObject
) -> None:
    """Payload, signature, timestamp, log entry, proof: no bit of them is without effect."""
    changed = json.loads(json.dumps(bundle))
    entry = entry_of(changed)
    places: list[tuple[Any, Any]] = [
        (changed["dsseEnvelope"], "payload"),
        (changed["dsseEnvelope"]["signatures"][0], "sig"),
        (entry, "canonicalizedBody"),
        (entry["inclusionProof"], "rootHash"),
        *(
            (entry["inclusionProof"]["hashes"], n)
            for n in range(len(entry["inclusionProof"]["hashes"]))
        ),
    ]
    holder, name = data.draw(st.sampled_from(places))
    bits = len(base64.b64decode(holder[name])) * 8
    holder[name] = flip(holder[name], data.draw(st.integers(0, bits - 1)))
    assert refusal(verifier, changed)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EVIDENCE_MALFORMED"),
        (b"[]", "EVIDENCE_MALFORMED"),
        (b'{"dsseEnvelope":{"signatures":[]},"dsseEnvelope":{}}', "JSON_DUPLICATE_KEY"),
        (b'{"dsseEnvelope":{"signatures":[{"sig":""}]}}', "LOG_ENTRY_MISSING"),
        (b" " * (8 * 1024 * 1024 + 1), "SIZE_LIMIT"),
        (b"[" * 100, "SIZE_LIMIT"),
    ],
    ids=["empty", "list", "doubled", "no material", "huge", "deep"],
)
def test_verify_of_no_bundle_at_all_is_refused(
    verifier: BundleVerifier, content: bytes, code: str
) -> None:
    assert refusal(verifier, content) == code


def test_verify_of_a_bundle_of_another_media_type_is_malformed(
    verifier: BundleVerifier, bundle: Document
) -> None:
    assert refusal(verifier, bundle | {"mediaType": "text/plain"}) == "EVIDENCE_MALFORMED"


def test_verify_of_a_bundle_with_a_million_signatures_is_refused_at_once(
    verifier: BundleVerifier, bundle: Document
) -> None:
    bundle["dsseEnvelope"]["signatures"] = [{"sig": "AA=="}] * 1_000_000
    assert refusal(verifier, bundle) == "SIZE_LIMIT"


# --- who issued the certificate ----------------------------------------------------------------


def test_verify_of_a_bundle_of_another_home_is_untrusted(
    verifier: BundleVerifier, stranger: Workspace
) -> None:
    records = stranger.store.records(predicate_type=statements.POLICY_RELEASE)
    content = stranger.store.bundle(records[0].statement)[1]
    assert stranger.bundles.verify(content).identity.issuer == "people"
    assert refusal(verifier, content) == "IDENTITY_UNTRUSTED"


def forged_certificate(
    bundle: Document, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, **when: dt.datetime
) -> x509.Certificate:
    """The bundle's certificate, signed again by `key` as if by `issuer`."""
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    honest = x509.load_der_x509_certificate(raw)
    builder = (
        x509.CertificateBuilder()
        .subject_name(honest.subject)
        .issuer_name(issuer.subject)
        .public_key(honest.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(when.get("start", honest.not_valid_before_utc))
        .not_valid_after(when.get("end", honest.not_valid_after_utc))
    )
    for extension in honest.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256())


def present(bundle: Document, certificate: x509.Certificate) -> Document:
    raw = certificate.public_bytes(serialization.Encoding.DER)
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = base64.b64encode(raw).decode()
    return bundle


def authority(chain: Chain) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The local certificate authority's own key: what only its thief has."""
    private = chain.workspace.home / "trust" / "private"
    password = json.loads((private / "fulcio.json").read_text())["fileca-key-passwd"]
    key = serialization.load_pem_private_key((private / "ca.key").read_bytes(), password.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key, x509.load_pem_x509_certificate((private / "ca.pem").read_bytes())


def test_verify_of_a_self_made_certificate_with_the_right_names_is_untrusted(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    certificate = forged_certificate(bundle, mine, authority(honest)[1])
    assert refusal(verifier, present(bundle, certificate)) == "IDENTITY_UNTRUSTED"


def test_verify_of_a_self_signed_certificate_is_untrusted(
    verifier: BundleVerifier, bundle: Document
) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "/steps/features")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(mine.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(mine, hashes.SHA256())
    )
    assert refusal(verifier, present(bundle, certificate)) == "IDENTITY_UNTRUSTED"


def test_verify_of_a_certificate_that_no_ct_log_knows_is_untrusted(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    certificate = forged_certificate(bundle, *authority(honest))
    assert refusal(verifier, present(bundle, certificate)) == "IDENTITY_UNTRUSTED"


@pytest.mark.parametrize(
    ("names", "keep_issuer", "code"),
    [
        ([x509.RFC822Name("a@example.com"), x509.RFC822Name("b@example.com")], True, "IDENTITY"),
        ([x509.RFC822Name("a@example.com"), x509.DNSName("example.com")], True, "IDENTITY"),
        ([x509.DNSName("example.com")], True, "IDENTITY_UNTRUSTED"),
        ([x509.RFC822Name("a@example.com")], False, "ISSUER_MISMATCH"),
    ],
    ids=["two people", "person and host", "host", "no issuer"],
)
def test_identity_of_a_certificate_that_is_not_one_subject_of_one_issuer_is_refused(
    bundle: Document, names: list[x509.GeneralName], keep_issuer: bool, code: str
) -> None:
    """Our authority issues no such certificate, so it is made here."""
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    honest = x509.load_der_x509_certificate(raw)
    mine = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(honest.subject)
        .issuer_name(honest.issuer)
        .public_key(mine.public_key())
        .serial_number(1)
        .not_valid_before(honest.not_valid_before_utc)
        .not_valid_after(honest.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
    )
    if keep_issuer:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(ISSUER, b"\x0c\x04http"), critical=False
        )
    with pytest.raises(ProvenanceError, match=code):
        _ReadIdentity().verify(builder.sign(mine, hashes.SHA256()))


def test_verify_of_a_signature_after_its_certificate_expired_is_revoked(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    now = dt.datetime.now(dt.UTC)
    span = {"start": now - dt.timedelta(minutes=40), "end": now - dt.timedelta(minutes=30)}
    certificate = forged_certificate(bundle, *authority(honest), **span)
    assert refusal(verifier, present(bundle, certificate)) == "KEY_REVOKED"


def test_verify_against_the_root_of_another_home_refuses_honest_bundles(
    honest: Chain, stranger: Workspace, bundle: Document
) -> None:
    issuers = load_issuers(honest.workspace.home / "trust" / "issuers.json")
    foreign = BundleVerifier(
        stranger.sigstore.trusted_root, issuers, WitnessedLogs(stranger.home / "trust")
    )
    assert refusal(foreign, bundle) == "IDENTITY_UNTRUSTED"


def test_verify_of_an_issuer_that_is_none_of_ours_is_a_mismatch(
    honest: Chain, bundle: Document
) -> None:
    root = honest.workspace.sigstore.trusted_root
    known = {"workloads": "http://127.0.0.1:1/workloads"}
    assert refusal(BundleVerifier(root, known, logs_of(honest)), bundle) == "ISSUER_MISMATCH"


def test_verify_of_a_workload_name_under_the_issuer_of_people_is_no_workload(
    honest: Chain, bundle: Document
) -> None:
    issuers = honest.workspace.sigstore.issuers
    swapped = BundleVerifier(
        honest.workspace.sigstore.trusted_root, {"people": issuers["workloads"]}, logs_of(honest)
    )
    found = swapped.verify(json.dumps(bundle).encode()).identity
    assert found == Identity(issuer="people", subject=f"{issuers['workloads']}/steps/features")


def test_verify_of_a_person_under_the_issuer_of_workloads_is_untrusted(honest: Chain) -> None:
    issuers = honest.workspace.sigstore.issuers
    swapped = BundleVerifier(
        honest.workspace.sigstore.trusted_root, {"workloads": issuers["people"]}, logs_of(honest)
    )
    records = honest.trust.store.records(predicate_type=statements.POLICY_RELEASE)
    content = honest.trust.store.bundle(records[0].statement)[1]
    assert refusal(swapped, content) == "IDENTITY_UNTRUSTED"


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"mediaType":"text/plain"}'])
def test_verifier_with_an_unusable_root_is_not_made(
    honest: Chain, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "trusted_root.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        BundleVerifier(path, {}, logs_of(honest))


@pytest.mark.parametrize("place", [0, 1])
def test_verified_bundle_says_which_of_the_logs_it_is_in(
    honest: Chain, bundle: Document, tmp_path: Path, place: int
) -> None:
    trust = honest.workspace.home / "trust"
    root = json.loads((trust / "trusted_root.json").read_bytes())
    (own,) = root["tlogs"]
    stranger = own | {"baseUrl": "http://later.example", "logId": {"keyId": "A" * 43 + "="}}
    root["tlogs"] = [stranger] * place + [own] + [stranger] * (1 - place)
    path = tmp_path / "trusted_root.json"
    path.write_text(json.dumps(root), "utf-8")
    logs = WitnessedLogs(trust, path)
    found = BundleVerifier(path, load_issuers(trust / "issuers.json"), logs).verify(
        json.dumps(bundle).encode()
    )
    assert found.logged == (place, found.log_index)


# --- validly signed, and still no statement ----------------------------------------------------


def sign_anything(chain: Chain, payload: bytes, subject: str = "/steps/features") -> bytes:
    """Any bytes under a real identity: what a compromised step could have signed and logged."""
    config = ClientTrustConfig.from_json(chain.workspace.sigstore.trust_config.read_text())
    token = IdentityToken(chain.workspace.sigstore.workload_token(subject))
    statement = Statement(chain.features.bundle.statement.content)
    statement._contents = payload  # the library would not take these bytes
    with SigningContext.from_trust_config(config).signer(token) as signer:
        return signer.sign_dsse(statement).to_json().encode()


def test_verify_of_a_signed_statement_with_two_subjects_is_refused(
    honest: Chain, verifier: BundleVerifier
) -> None:
    document = json.loads(honest.features.bundle.statement.content)
    document["subject"] *= 2
    signed = sign_anything(honest, json.dumps(document).encode())
    assert refusal(verifier, signed) == "SUBJECT_MISMATCH"


def test_verify_of_a_signed_statement_with_the_subject_twice_is_refused(
    honest: Chain, verifier: BundleVerifier
) -> None:
    content = honest.features.bundle.statement.content
    doubled = content.replace(b'"subject":', b'"subject":[],"subject":', 1)
    assert refusal(verifier, sign_anything(honest, doubled)) == "JSON_DUPLICATE_KEY"


def test_verify_of_signed_bytes_of_another_payload_type_is_refused(
    honest: Chain, verifier: BundleVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Envelope, "_TYPE", "text/plain")
    signed = sign_anything(honest, honest.features.bundle.statement.content)
    assert refusal(verifier, signed) == "PREDICATE_TYPE"


def test_verify_of_a_signed_statement_named_by_md5_is_refused(
    honest: Chain, verifier: BundleVerifier
) -> None:
    document = json.loads(honest.features.bundle.statement.content)
    document["subject"][0]["digest"] = {"md5": "d" * 32}
    signed = sign_anything(honest, json.dumps(document).encode())
    assert refusal(verifier, signed) == "DIGEST_ALG_UNACCEPTABLE"


def certificate_of(document: Document) -> bytes:
    return base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])


def test_signer_of_a_certificate_is_named_only_if_it_was_issued_here(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    certificate = certificate_of(bundle)
    expected = Identity(issuer="workloads", subject="/steps/features")
    assert verifier.signer_of(certificate) == verifier.signer_of(certificate) == expected
    mine = ec.generate_private_key(ec.SECP256R1())
    stranger = forged_certificate(bundle, mine, authority(honest)[1])
    der = stranger.public_bytes(serialization.Encoding.DER)
    assert [verifier.signer_of(content) for content in (der, b"", b"no certificate")] == [None] * 3


def test_certificate_of_a_version_that_does_not_exist_is_malformed(
    verifier: BundleVerifier, bundle: Document
) -> None:
    version = b"\xa0\x03\x02\x01"
    strange = certificate_of(bundle).replace(version + b"\x02", version + b"\x03", 1)
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = base64.b64encode(strange).decode()
    assert refusal(verifier, bundle) == "EVIDENCE_MALFORMED"
    assert verifier.signer_of(strange) is None


@pytest.mark.parametrize("what", ["signatures", "timestamps"])
def test_verify_of_a_bundle_with_a_great_many_of_one_thing_is_refused(
    verifier: BundleVerifier, bundle: Document, what: str
) -> None:
    material = bundle["verificationMaterial"]["timestampVerificationData"]
    if what == "signatures":
        bundle["dsseEnvelope"]["signatures"] *= 200
    else:
        material["rfc3161Timestamps"] *= 200
    assert refusal(verifier, bundle) == "SIZE_LIMIT"


def test_two_timestamps_are_refused_whatever_the_form_says(
    verifier: BundleVerifier, bundle: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2
    monkeypatch.setattr(bundle_form, "check_shape", lambda _document: None)
    assert refusal(verifier, bundle) == "TIMESTAMP_INVALID"

    class Satisfied:
        """A library that is content with any number of timestamps."""

        def verify_dsse(self, *_arguments: object) -> tuple[str, bytes]:
            return verification.PAYLOAD_TYPE, payload

    monkeypatch.setattr(verifier, "_library", verifier._library._replace(verifier=Satisfied()))
    assert refusal(verifier, bundle) == "TIMESTAMP_INVALID"


# --- made with the log's own key -----------------------------------------------------------------


@pytest.fixture
def log(home_with_servers: Workspace) -> SimulatedLog:
    """The home's log in the hands of who has its key; nothing is published."""
    return SimulatedLog.of_home(home_with_servers.home)


def entered(bundle: Document, entry: Document) -> Document:
    bundle["verificationMaterial"]["tlogEntries"] = [entry]
    return bundle


def test_verify_of_a_further_honest_entry_passes(
    verifier: BundleVerifier, bundle: Document, log: SimulatedLog
) -> None:
    body = base64.b64decode(entry_of(bundle)["canonicalizedBody"])
    made = entered(bundle, log.enter(body))
    assert verifier.verify(json.dumps(made).encode()).log_index == len(log.bodies) - 1


@pytest.mark.parametrize("said", [("dsse", "0.0.1"), ("hashedrekord", "0.0.2")], ids=str)
def test_verify_of_an_entry_of_another_kind_is_refused_before_the_library_is_asked(
    verifier: BundleVerifier,
    bundle: Document,
    log: SimulatedLog,
    said: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifier, "_library", verifier._library._replace(verifier=None))
    assert refusal(verifier, entered(bundle, log.enter(dsse_v1_body(bundle), *said))) == (
        "LOG_ENTRY_KIND"
    )


def test_verify_of_an_entry_under_another_digest_algorithm_is_refused(
    verifier: BundleVerifier, bundle: Document, log: SimulatedLog
) -> None:
    body = base64.b64decode(entry_of(bundle)["canonicalizedBody"])
    made = entered(bundle, log.enter(body.replace(b"SHA2_256", b"SHA2_384", 1)))
    assert refusal(verifier, made) == "DIGEST_ALG_UNACCEPTABLE"


def test_verify_of_an_entry_of_a_log_that_the_root_does_not_know_is_untrusted(
    verifier: BundleVerifier, bundle: Document
) -> None:
    entry_of(bundle)["logId"]["keyId"] = base64.b64encode(b"k" * 32).decode()
    assert refusal(verifier, bundle) == "CHECKPOINT_UNTRUSTED"


def test_verify_of_an_entry_with_another_index_than_its_proof_is_a_mismatch(
    verifier: BundleVerifier, bundle: Document
) -> None:
    entry_of(bundle)["logIndex"] = "0"
    assert refusal(verifier, bundle) == "LOG_ENTRY_MISMATCH"


def test_verify_where_the_library_reads_another_message_is_malformed(
    verifier: BundleVerifier, bundle: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        """A library that reads what we did not."""

        def verify_dsse(self, *_arguments: object) -> tuple[str, bytes]:
            return verification.PAYLOAD_TYPE, b"{}"

    monkeypatch.setattr(verifier, "_library", verifier._library._replace(verifier=Other()))
    assert refusal(verifier, bundle) == "EVIDENCE_MALFORMED"


def test_verify_of_a_certificate_that_names_nobody_says_so_through_the_library(
    verifier: BundleVerifier, bundle: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_arguments: object) -> None:
        raise VerificationError(reason("IDENTITY_UNTRUSTED", "nobody"))

    monkeypatch.setattr(_ReadIdentity, "verify", nobody)
    assert refusal(verifier, bundle) == "IDENTITY_UNTRUSTED"


def test_verify_where_a_library_fails_in_its_own_way_is_malformed(
    verifier: BundleVerifier, bundle: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_library", verifier._library._replace(verifier=None))
    assert refusal(verifier, bundle) == "EVIDENCE_MALFORMED"


def test_certificate_of_another_kind_of_key_is_malformed(
    honest: Chain, verifier: BundleVerifier, bundle: Document
) -> None:
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    own = x509.load_der_x509_certificate(raw)
    key, issuer = authority(honest)
    made = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(issuer.subject)
        .public_key(ec.generate_private_key(ec.SECP384R1()).public_key())
        .serial_number(1)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    assert refusal(verifier, present(bundle, made)) == "EVIDENCE_MALFORMED"
