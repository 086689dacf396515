"""TL-14, AP-06: what is read first, and what was there to be looked at when a person agreed."""

import base64
import time
from copy import deepcopy
from datetime import timedelta
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.nodes import Verified
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.sigstore import bundle_form
from fraud_provenance.attested.sigstore.bundle_form import BundleForm
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.tlog import notes
from fraud_provenance.models.facts import EVALUATION, MODEL, collect_model
from fraud_provenance_tests.attacks.bundles import as_of_now, changed_bundle, newest
from fraud_provenance_tests.attacks.cases_evidence import OFFICER, approve
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, nothing_verified, without
from fraud_provenance_tests.attacks.serving import candidate
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, dsse_v1_body

_MOMENT_S = 2.0  # timestamps are compared by seconds

# --- TL-14: an entry that only the log's own key could have made -------------------------------


def entered(*, as_dsse: bool, kind: str = "hashedrekord", version: str = "0.0.2") -> Attack:
    """An attack with the log's key: the model's statement is proved by another entry of the log."""

    def attack(home: Home) -> None:
        log = SimulatedLog.of_home(home.path)

        def change(document: dict[str, Any]) -> None:
            (entry,) = document["verificationMaterial"]["tlogEntries"]
            own = base64.b64decode(entry["canonicalizedBody"])
            body = dsse_v1_body(document) if as_dsse else own
            document["verificationMaterial"]["tlogEntries"] = [log.enter(body, kind, version)]

        changed_bundle(change)(home)

    return attack


def _head_alone(_verifier: BundleVerifier, form: BundleForm) -> notes.Checkpoint:
    return notes.parse_checkpoint(form.proof.checkpoint.envelope.encode())


any_kind = both(
    without(bundle_form, "check_kind"),
    lambda: patched(BundleVerifier, "_check_entry", _head_alone),
)
"""A mutant: what kind of entry proves a statement is left to the library."""

# --- AP-06: an approval of what was not there yet ------------------------------------------------


def evaluation_signed(approve_when: str) -> Attack:
    """The evaluation is signed anew, and approved `before` or `after` that, under its own digest.

    Whoever evaluates knows the payload, hence the digest, before anything is signed.
    """

    def attack(home: Home) -> None:
        with home.surroundings():
            trust = home.workspace().trust
            node = trust.lineage().node(newest(home, EVALUATION).statement)
            said = node.expect(Verified).bundle.statement
            predicate = as_of_now(deepcopy(said.predicate))
            sequence, previous = trust.lineage().versions.next(EVALUATION)
            internal = predicate["buildDefinition"]["internalParameters"]
            internal |= {"sequence": sequence, "previous": previous}
            planned = statements.build_statement(
                said.predicate_type, EVALUATION, said.subject_digest, predicate
            )
            if approve_when == "before":
                _approve_unseen(home, planned.digest, node.statement)
                time.sleep(_MOMENT_S)
            trust.signing.sign(planned, Identity(issuer="workloads", subject="/steps/evaluate"))
            if approve_when == "after":
                approve(home)

    return attack


def _approve_unseen(home: Home, planned: str, instead_of: str) -> None:
    """The risk officer signs for an evidence set in which one statement does not exist."""
    trust = home.workspace().trust
    policy = trust.policies.current()
    evidence = collect_model(trust, policy, newest(home).subject_digest)
    names = sorted({*evidence.statements, planned} - {instead_of})
    now = trust.clock()
    predicate = {
        "environment": trust.environment,
        "evidence_set": encoding.digest_json(names),
        "policy_digest": policy.digest,
        "issued_at": encoding.utc_text(now),
        "expires_at": encoding.utc_text(now + timedelta(days=7)),
        "reason": "it will be fine",
    }
    home.forger().sign(statements.APPROVAL, MODEL, evidence.digest, predicate, OFFICER)


assent_unordered = without(Signers, "check_assent")
"""A mutant: it does not matter when a person agreed."""

CASES = [
    Case("TL-14", entered(as_dsse=True, kind="dsse", version="0.0.1"), candidate,
         entered(as_dsse=False), any_kind, state="approved"),
    Case("TL-14", entered(as_dsse=True), candidate, entered(as_dsse=False), nothing_verified,
         state="approved", variant="under another name"),
    Case("AP-06", evaluation_signed("before"), promote(), evaluation_signed("after"),
         assent_unordered, state="approved"),
]  # fmt: skip
