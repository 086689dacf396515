"""A gate decided: SLSA verification summary v1, written and read."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.statements.form import invalid, sha256_of


def summary_predicate(
    *,
    verifier_id: str,
    at: str,
    resource: str,
    policy_digest: str,
    inputs: Sequence[str],
    allowed: bool,
    environment: str,
    gate: str,
    facts: Mapping[str, Any],
    reasons: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """SLSA verification summary of one gate's decision; `inputs` are statement digests."""
    return {
        "verifier": {"id": verifier_id},
        "timeVerified": at,
        "resourceUri": resource,
        "policy": {"uri": "urn:fraud-provenance:policies", "digest": {"sha256": policy_digest}},
        "inputAttestations": [
            {"uri": f"urn:fraud-provenance:statement:{digest}", "digest": {"sha256": digest}}
            for digest in sorted(set(inputs))
        ],
        "verificationResult": "PASSED" if allowed else "FAILED",
        "verifiedLevels": [],
        "slsaVersion": "1.1",
        "annotations": {
            "environment": environment,
            "gate": gate,
            "facts": dict(facts),
            "reasons": [dict(item) for item in reasons],
        },
    }


class Summary(BaseModel):
    """The parts of a verification summary that verification uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    environment: str
    resource: str
    policy_digest: str
    inputs: tuple[str, ...]
    allowed: bool
    at: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> "Summary":
        """What a predicate says.

        Raises:
            VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
        """
        try:
            notes = predicate["annotations"]
            return cls(
                gate=notes["gate"],
                environment=notes["environment"],
                resource=predicate["resourceUri"],
                policy_digest=sha256_of(predicate["policy"], "policy"),
                inputs=tuple(
                    sha256_of(item, "input attestation") for item in predicate["inputAttestations"]
                ),
                allowed=predicate["verificationResult"] == "PASSED",
                at=predicate["timeVerified"],
                facts=notes["facts"],
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise invalid(RootCause.PREDICATE_TYPE, f"malformed summary: {error!r}") from error
