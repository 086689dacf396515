"""TL-14, AP-06: what is read first, and what was there to be looked at when a person agreed."""

import base64
from typing import Any

from fraud_provenance.evidence import bundle_form, notes
from fraud_provenance.evidence.bundle_form import BundleForm
from fraud_provenance.evidence.verification import BundleVerifier
from fraud_provenance_tests.attacks.bundles import changed_bundle
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, nothing_verified, without
from fraud_provenance_tests.attacks.serving import candidate
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog, dsse_v1_body

# --- TL-14: an entry that only the log's own key could have made ---------------------------------


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

CASES = [
    Case("TL-14", entered(as_dsse=True, kind="dsse", version="0.0.1"), candidate,
         entered(as_dsse=False), any_kind, state="approved"),
    Case("TL-14", entered(as_dsse=True), candidate, entered(as_dsse=False), nothing_verified,
         state="approved", variant="under another name"),
]  # fmt: skip
