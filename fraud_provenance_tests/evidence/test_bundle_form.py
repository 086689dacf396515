"""The form of a bundle is judged before a library is asked: golden bundles, each spoilt once."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.sigstore import bundle_form
from fraud_provenance_tests.evidence.test_golden import BUNDLES
from fraud_provenance_tests.mutations import value_at

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """An honest bundle."""
    found: Document = json.loads(BUNDLES[0].read_bytes())
    return found


def entry_of(document: Document) -> Document:
    entry: Document = document["verificationMaterial"]["tlogEntries"][0]
    return entry


def refusal(document: Document) -> str:
    with pytest.raises(ProvenanceError) as caught:
        bundle_form.read(json.dumps(document).encode())
    return caught.value.reasons[0].code


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name[:12])
def test_form_of_every_bundle_of_earlier_days_is_read(path: Path) -> None:
    form = bundle_form.read(path.read_bytes())
    assert form.is_signed()
    assert form.payload_type == "application/vnd.in-toto+json"


def put(*path: str | int, value: object = None) -> Callable[[Document], None]:
    """A change: the field at `path` gets another value (or goes, for None)."""

    def change(document: Document) -> None:
        place = value_at(document, path[:-1])
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


ENTRY = ("verificationMaterial", "tlogEntries", 0)
PROOF = (*ENTRY, "inclusionProof")
KIND = (*ENTRY, "kindVersion")
OLD = "application/vnd.dev.sigstore.bundle+json;version=0.3"
CHANGES = {
    "dsse 0.0.1": (put(*KIND, value={"kind": "dsse", "version": "0.0.1"}), "LOG_ENTRY_KIND"),
    "dsse 0.0.2": (put(*KIND, "kind", value="dsse"), "LOG_ENTRY_KIND"),
    "hashedrekord 0.0.1": (put(*KIND, "version", value="0.0.1"), "LOG_ENTRY_KIND"),
    "kind in a list": (put(*KIND, "kind", value=["hashedrekord"]), "LOG_ENTRY_KIND"),
    "no kind": (put(*KIND), "LOG_ENTRY_KIND"),
    "a time of the log's": (put(*ENTRY, "integratedTime", value="1700000000"), "LOG_ENTRY_KIND"),
    "a promise": (put(*ENTRY, "inclusionPromise", value={"signedEntryTimestamp": "AA=="}),
                  "LOG_ENTRY_KIND"),
    "entry no object": (put(*ENTRY, value="entry"), "EVIDENCE_MALFORMED"),
    "no proof": (put(*PROOF), "INCLUSION_INVALID"),
    "no checkpoint": (put(*PROOF, "checkpoint"), "INCLUSION_INVALID"),
    "hashes no list": (put(*PROOF, "hashes", value="AA=="), "EVIDENCE_MALFORMED"),
    "old format": (put("mediaType", value=OLD), "EVIDENCE_MALFORMED"),
    "no format": (put("mediaType"), "EVIDENCE_MALFORMED"),
    "a field more": (put("note", value="x"), "EVIDENCE_MALFORMED"),
    "snake case": (put("dsse_envelope", value={}), "EVIDENCE_MALFORMED"),
    "a message signature too": (put("messageSignature", value={}), "EVIDENCE_MALFORMED"),
    "a chain": (put("verificationMaterial", "x509CertificateChain", value={"certificates": []}),
                "EVIDENCE_MALFORMED"),
    "a key's hint": (put("dsseEnvelope", "signatures", 0, "keyid", value="mine"),
                     "EVIDENCE_MALFORMED"),
    "no base64 text": (put("dsseEnvelope", "payload", value={}), "EVIDENCE_MALFORMED"),
    "no base64": (put("dsseEnvelope", "payload", value="not base64"), "EVIDENCE_MALFORMED"),
    "spare bits": (put("dsseEnvelope", "payload", value="AB=="), "EVIDENCE_MALFORMED"),
    "url base64": (put("dsseEnvelope", "payload", value="_-__"), "EVIDENCE_MALFORMED"),
    "another's log": (put(*ENTRY, "logId", "keyId", value="AAAA"), "EVIDENCE_MALFORMED"),
    "no timestamp": (put("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps",
                         0, "signedTimestamp", value="AAAA"), "TIMESTAMP_INVALID"),
    "no certificate": (put("verificationMaterial", "certificate", "rawBytes", value="AAAA"),
                       "EVIDENCE_MALFORMED"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code"), CHANGES.values(), ids=CHANGES)
def test_form_that_our_signers_do_not_make_is_refused(
    document: Document, change: Callable[[Document], None], code: str
) -> None:
    change(document)
    assert refusal(document) == code


@pytest.mark.parametrize(
    "place", [(*ENTRY, "logIndex"), (*PROOF, "logIndex"), (*PROOF, "treeSize")]
)
@pytest.mark.parametrize(
    "value",
    ["-1", "+1", " 1", "1 ", "01", "1_0", "1e3", "", "\u0661", str(2**63), "9" * 30, 1, True],
    ids=repr,
)  # fmt: skip
def test_number_that_is_spelt_otherwise_or_out_of_range_is_refused(
    document: Document, place: tuple[Any, ...], value: object
) -> None:
    put(*place, value=value)(document)
    assert refusal(document) == "EVIDENCE_MALFORMED"


def test_entry_beyond_its_tree_is_refused(document: Document) -> None:
    proof = entry_of(document)["inclusionProof"]
    proof["logIndex"] = proof["treeSize"]
    assert refusal(document) == "EVIDENCE_MALFORMED"


def test_timestamp_over_another_digest_is_refused(document: Document) -> None:
    """SHA-512's identifier in the place of SHA-256's, in the imprint."""
    data = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    content = base64.b64decode(data["signedTimestamp"])
    sha256 = bytes.fromhex("0609608648016503040201")
    sha512 = bytes.fromhex("0609608648016503040203")
    assert sha256 in content
    changed = content.replace(sha256, sha512)
    data["signedTimestamp"] = base64.b64encode(changed).decode()
    assert refusal(document) == "DIGEST_ALG_UNACCEPTABLE"
