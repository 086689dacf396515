"""Mutants that many cases share: the product with a check removed, in this process only.

A mutant removes the check that a case is about **and** what stands behind it for the same harm;
else the attack would be stopped by another layer and the case would prove nothing.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from rfc3161_client import decode_timestamp_response

from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.gates.policy import Answer, Policy, PolicyEngine
from fraud_provenance.attested.lineage.permissions import Permissions
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.sigstore.verification import (
    BundleVerifier,
    LogPosition,
    VerifiedBundle,
)
from fraud_provenance.attested.statements.statements import Identity, parse_statement
from fraud_provenance.models import promotion
from fraud_provenance_tests.attacks.bundles import certificate_of, payload_of
from fraud_provenance_tests.attacks.home import patched
from fraud_provenance_tests.attacks.model import Mutant


def both(*mutants: Mutant) -> Mutant:
    """Several mutants in force at once."""

    @contextmanager
    def together() -> Iterator[None]:
        with ExitStack() as stack:
            for mutant in mutants:
                stack.enter_context(mutant())
            yield

    return together


def without(owner: Any, name: str, result: Any = None) -> Mutant:  # noqa: ANN401 - anything
    """A mutant: the function `owner.name` does nothing and returns `result`."""

    def ignore(*_arguments: object, **_named: object) -> Any:  # noqa: ANN401 - as given
        return result

    is_static = isinstance(vars(owner).get(name), staticmethod)
    return lambda: patched(owner, name, staticmethod(ignore) if is_static else ignore)


def policy_without(*codes: str) -> Mutant:
    """A mutant: the policy's rules with these codes are gone. Several add up."""

    def fewer() -> AbstractContextManager[object]:
        asked = PolicyEngine.ask

        def ask(
            engine: PolicyEngine,
            gate: str,
            document: Mapping[str, Any],
            policy: Policy | None = None,
        ) -> Answer:
            answer = asked(engine, gate, document, policy)
            left = tuple(item for item in answer.reasons if item.code not in codes)
            return Answer(allowed=not left, reasons=left)

        return patched(PolicyEngine, "ask", ask)

    return fewer


cosign_accepts_all = without(cosign, "run", result=True)
"""A mutant of the second verifier."""

unordered = both(
    without(Signers, "check_order"),
    without(Signers, "check_assent"),
    without(Signers, "check_clock"),
)
"""A mutant: an output may be signed before its input, an approval before what it names, and
whatever time a statement tells."""

rests_on_anything = both(
    without(promotion, "_binds", result=True), without(Permissions, "check_inputs")
)
"""A mutant: a permission rests on whatever approvals there are, or on none."""

unbound = both(policy_without("APPROVAL_EVIDENCE", "APPROVAL_MISSING"), rests_on_anything)
"""A mutant: an approval need not be of what is decided, nor a permission rest on one."""


@contextmanager
def nothing_verified() -> Iterator[None]:
    """A mutant: bundles are read and believed. No signature, certificate, time or log is checked.

    What stands behind (the order of signing times, cosign) is off as well.
    """
    with ExitStack() as stack:
        stack.enter_context(patched(BundleVerifier, "_verify", _believe))
        stack.enter_context(unordered())
        stack.enter_context(cosign_accepts_all())
        yield


def _believe(verifier: BundleVerifier, content: bytes, digest: str) -> VerifiedBundle:
    document = json.loads(content)
    statement = parse_statement(payload_of(document))
    material = document["verificationMaterial"]
    entries = material.get("tlogEntries") or [{}]
    return VerifiedBundle(
        statement=statement,
        identity=_claimed_identity(verifier, document, statement.predicate),
        signed_at=_claimed_time(material),
        log_index=int(entries[0].get("logIndex", 0)),
        bundle_digest=digest,
        log=LogPosition(log_id="", rank=0, leaf="", tree_size=0, tree_root=""),
    )


def _claimed_identity(
    verifier: BundleVerifier, document: dict[str, Any], predicate: dict[str, Any]
) -> Identity:
    if "certificate" not in document["verificationMaterial"]:
        build = predicate.get("buildDefinition", {})
        step = build.get("externalParameters", {}).get(
            "step", "train"
        )  # a model signature has none
        return Identity(issuer="workloads", subject=f"/steps/{step}")
    names = certificate_of(document).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    subject = str(next(iter(names.value)).value)
    for url, role in verifier._roles.items():
        if role == "workloads" and subject.startswith(f"{url}/"):
            return Identity(issuer=role, subject=subject.removeprefix(url))
    return Identity(issuer="people", subject=subject)


def _claimed_time(material: dict[str, Any]) -> datetime:
    stamps = (material.get("timestampVerificationData") or {}).get("rfc3161Timestamps") or []
    if not stamps:
        return datetime.now(UTC)
    token = decode_timestamp_response(base64.b64decode(stamps[0]["signedTimestamp"]))
    return token.tst_info.gen_time.astimezone(UTC)
