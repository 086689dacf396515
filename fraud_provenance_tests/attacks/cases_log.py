"""TL, OP-11: the transparency log, judged where a bundle is used and where the log is audited."""

import base64
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sigstore.dsse import Envelope
from sigstore.dsse import Statement as DsseStatement

from fraud_provenance.attested.lineage.versions import Versions
from fraud_provenance.attested.sigstore import log_audit
from fraud_provenance.attested.sigstore.log_audit import LogAuditor
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.tlog.checkpoints import LogKeeper
from fraud_provenance.investigate import audit as audit_module
from fraud_provenance_tests.attacks.bundles import (
    changed_bundle,
    document_of,
    newest,
    replace_bundle,
    rewritten,
)
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import command, promote
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, nothing_verified, without
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog

TRAIN = Identity(issuer="workloads", subject="/steps/train")
audit = command("P7", "audit")
NEWEST_LOG = "log-itself"
"""The folder of a home in which the log lies while an older one is shown."""


# --- one bundle's entry ------------------------------------------------------------------------


def drop_entry(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["tlogEntries"] = []


def flip_proof(document: dict[str, Any]) -> None:
    proof = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    first = proof["hashes"][0]
    proof["hashes"][0] = ("A" if first[0] != "A" else "B") + first[1:]


def lift_entry(home: Home) -> None:
    """The training statement comes with the log entry of the training set's."""
    lifted = document_of(home, newest(home, "training_set"))["verificationMaterial"]

    def change(document: dict[str, Any]) -> None:
        document["verificationMaterial"]["tlogEntries"] = lifted["tlogEntries"]

    changed_bundle(change)(home)


def model_signature(home: Home) -> Any:  # noqa: ANN401 - a record
    """The index row of the model's own signature."""
    return home.workspace().store.records(predicate_type=statements.MODEL_SIGNATURE)[-1]


def model_folder(home: Home) -> Path:
    lineage = home.workspace().trust.lineage()
    node = lineage.node(newest(home).statement)
    assert node.provenance is not None
    return home.path / str(node.provenance.outputs["location"])


def sign_model_with_a_bare_key(home: Home) -> None:
    """The library's own signature with an elliptic curve key; it never reaches any log."""
    from model_signing import signing

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home.path / "scratch" / "key.pem").write_bytes(pem)
    signature = home.path / "scratch" / "model.sig"
    signer = signing.Config().use_elliptic_key_signer(private_key=home.path / "scratch" / "key.pem")
    signer.sign(model_folder(home), signature)
    bare = json.loads(signature.read_bytes())
    assert not bare["verificationMaterial"].get("tlogEntries")
    record = model_signature(home)
    # The library orders what it ignores differently each time: the trainer's own words are kept.
    document = document_of(home, record)
    envelope = Envelope._from_json(json.dumps(document["dsseEnvelope"]).encode())
    own = key.sign(envelope.pae(), ec.ECDSA(hashes.SHA256()))
    bare["dsseEnvelope"] = document["dsseEnvelope"] | {
        "signatures": [{"sig": base64.b64encode(own).decode()}]
    }
    replace_bundle(home, record, json.dumps(bare).encode())


def sign_model_again(home: Home) -> None:
    """The trainer signs the same model a second time, and that is logged."""
    home.workspace().trust.signing.sign_model(model_folder(home), TRAIN)


# --- the log as a whole ------------------------------------------------------------------------


def rewritten_log(change: Callable[[list[bytes]], object]) -> Attack:
    """An attack with the log's own key: its entries change, and every file of it fits again."""

    def attack(home: Home) -> None:
        psutil.Process(home.own_server("rekor")).suspend()
        log = SimulatedLog.of_home(home.path)
        change(log.bodies)
        log.publish()

    return attack


def forget_the_last_entries(bodies: list[bytes]) -> None:
    del bodies[-3:]


def sign_something(home: Home) -> None:
    """A run signs: announced, logged and stored."""
    home.forger().raw()


def show_an_old_head(home: Home) -> None:
    """A run signs; from here on whoever asks for the log is shown it as it was before."""
    before = home.path / "log-before"
    server = psutil.Process(home.own_server("rekor"))
    server.suspend()
    shutil.copytree(home.path / "log", before)
    server.resume()
    sign_something(home)
    server.suspend()
    (home.path / "log").rename(home.path / NEWEST_LOG)
    before.rename(home.path / "log")


def sign_as_trainer(home: Home, *, announced: bool) -> None:
    """Somebody with the trainer's identity signs and logs what no run stores."""
    trust = home.workspace().trust
    statement = statements.build_statement(
        statements.MODEL_SIGNATURE, "fraud_model", "0" * 64, {"resources": []}
    )
    if announced:
        trust.store.put_intent(statement)
    trust.signing._signer(TRAIN).sign_dsse(DsseStatement(statement.content))


def use_a_stolen_identity(home: Home) -> None:
    sign_as_trainer(home, announced=False)


def be_killed_before_storing(home: Home) -> None:
    sign_as_trainer(home, announced=True)


def put_the_store_back(home: Home) -> None:
    """The evidence store of the approved state, under the log of the scored one."""
    assert home.command("audit").code == 0
    shutil.rmtree(home.path / "evidence")
    shutil.copytree(home.arena.states / "approved" / "evidence", home.path / "evidence")


def put_back_the_newest_store(home: Home) -> None:
    """A backup of today is restored; the index is rebuilt."""
    assert home.command("audit").code == 0
    copy = home.path / "scratch" / "backup"
    shutil.copytree(home.path / "evidence", copy)
    shutil.rmtree(home.path / "evidence")
    copy.rename(home.path / "evidence")
    (home.path / "evidence" / "index.sqlite").unlink()


def _head_whatever_its_size() -> AbstractContextManager[object]:
    head = LogKeeper.head
    return patched(LogKeeper, "head", lambda keeper, memory, _last: head(keeper, memory, None))


growth_unchecked = both(
    _head_whatever_its_size,
    without(log_audit, "check_grew"),
    without(log_audit, "_check_bundle"),
    without(LogKeeper, "remember"),
)
"""A mutant: a log need not have grown from what was seen of it, nor reach what bundles prove."""

copies_uncompared = without(audit_module, "copy_problems", [])
"""A mutant: what MLflow's tags say of a decision that is gone is nobody's business."""

nobody_is_ours = without(BundleVerifier, "signer_of")
"""A mutant: no leaf is under an identity of ours."""


CASES = [
    Case("TL-01", changed_bundle(drop_entry), promote(), rewritten, nothing_verified, "approved"),
    Case("TL-02", lift_entry, promote(), rewritten, nothing_verified, "approved"),
    Case("TL-03", changed_bundle(flip_proof), promote(), rewritten, nothing_verified, "approved"),
    Case(
        "TL-06",
        rewritten_log(forget_the_last_entries),
        audit,
        rewritten_log(lambda _bodies: None),
        growth_unchecked,
        quick=True,
    ),
    Case("TL-11", use_a_stolen_identity, audit, be_killed_before_storing, nobody_is_ours),
    Case("TL-16", show_an_old_head, audit, sign_something, growth_unchecked),
    Case(
        "TL-18",
        sign_model_with_a_bare_key,
        promote(),
        sign_model_again,
        nothing_verified,
        "approved",
    ),
    *(
        Case("OP-11", put_the_store_back, judge, put_back_the_newest_store, mutant, variant=variant)
        for variant, judge, mutant in (
            ("audit", audit, both(without(LogAuditor, "_lost", []), copies_uncompared)),
            ("promotion", promote(), without(Versions, "problems", [])),
        )
    ),
]
