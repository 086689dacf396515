"""What the index keeps of a predicate that nobody verified yet: it only finds things.

In: a predicate as JSON. Out: the columns that it fills; what it does not say stays empty.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason

REVOCATIONS, DEPLOYMENTS = "revocations", "deployments"  # chains beside the assets'
_MAX_COUNT = 2**53 - 1  # the largest integer that JSON keeps exactly
Columns = Callable[[Mapping[str, Any]], dict[str, Any]]


def count(value: object) -> int:
    """A number that the index can hold and compare.

    Raises:
        EvidenceError: EVIDENCE_MALFORMED.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"{str(value)[:40]!r} is not a count")
        )
    return value


def of_environment(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Where it counts, if it says so."""
    return {"environment": str(predicate.get("environment", ""))}


def of_materialisation(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Which step made which asset, and its place among the asset's versions."""
    external = predicate["buildDefinition"]["externalParameters"]
    internal = predicate["buildDefinition"]["internalParameters"]
    return {
        "step": _text(external["step"]),
        "asset": _text(external["asset"]),
        "environment": _text(external["environment"]),
        "sequence": count(internal["sequence"]),
        "previous": str(internal.get("previous", "")),
    }


def of_judgement(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Which suite judged, and what it found."""
    notes = predicate["annotations"]
    return {
        "step": _text(notes["step"]),
        "environment": _text(notes["environment"]),
        "result": _text(predicate["result"]),
        "suite": _text(notes["suite"]),
    }


def of_decision(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Which gate decided what; an allowed deployment has a place among all of them."""
    notes = predicate["annotations"]
    found: dict[str, Any] = {
        "step": _text(notes["gate"]),
        "environment": _text(notes["environment"]),
        "result": _text(predicate["verificationResult"]),
    }
    if notes["gate"] == "deploy" and predicate["verificationResult"] == "PASSED":
        found |= {
            "asset": DEPLOYMENTS,
            "sequence": count(notes["facts"].get("sequence", 0)),
            "previous": str(notes["facts"].get("previous", "")),
        }
    return found


def of_revocation(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Its place among all revocations."""
    return {
        "asset": REVOCATIONS,
        "environment": str(predicate["environment"]),
        "sequence": count(predicate["sequence"]),
        "previous": str(predicate["previous"]),
    }


def _text(value: object) -> str:
    """A word that the index can hold and compare; a number is kept as it is written."""
    if not isinstance(value, str | int):
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MALFORMED, f"{str(value)[:40]!r} is not a word")
        )
    return str(value)
