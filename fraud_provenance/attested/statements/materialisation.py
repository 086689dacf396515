"""An asset was materialised: SLSA provenance v1, written and read."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.statements.form import invalid, sha256_of

BUILD_TYPE = "urn:fraud-provenance:build:step:v1"


class Material(BaseModel):
    """One input of a step: a manifest by digest, its role, and the decision that let it be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    role: str
    decision: str = ""

    def descriptor(self) -> dict[str, Any]:
        """As a SLSA resource descriptor."""
        notes = {"role": self.role} | ({"decision": self.decision} if self.decision else {})
        return {"name": self.name, "digest": {"sha256": self.digest}, "annotations": notes}


def provenance_predicate(
    *,
    builder_id: str,
    environment: str,
    asset: str,
    step: str,
    parameters: Mapping[str, Any],
    sequence: int,
    previous: str,
    run_id: str,
    materials: Sequence[Material],
    started_at: str,
    finished_at: str,
    outputs: Mapping[str, Any],
) -> dict[str, Any]:
    """SLSA provenance v1 of one materialisation."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "environment": environment,
                "asset": asset,
                "step": step,
                "parameters": dict(parameters),
            },
            "internalParameters": {"sequence": sequence, "previous": previous},
            "resolvedDependencies": [material.descriptor() for material in materials],
        },
        "runDetails": {
            "builder": {"id": builder_id},
            "metadata": {
                "invocationId": run_id,
                "startedOn": started_at,
                "finishedOn": finished_at,
            },
            "byproducts": [{"name": "outputs", "annotations": dict(outputs)}],
        },
    }


class Provenance(BaseModel):
    """The parts of a SLSA provenance predicate that verification uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    asset: str
    step: str
    parameters: dict[str, Any]
    sequence: int
    previous: str
    run_id: str
    materials: tuple[Material, ...]
    outputs: dict[str, Any]
    started_at: str
    finished_at: str

    def material(self, role: str) -> Material | None:
        """The first material with `role`, if any."""
        return next((item for item in self.materials if item.role == role), None)

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> "Provenance":
        """What a predicate says.

        Raises:
            VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
        """
        try:
            build = predicate["buildDefinition"]
            details = predicate["runDetails"]
            external, internal = build["externalParameters"], build["internalParameters"]
            if build["buildType"] != BUILD_TYPE:
                raise invalid(
                    RootCause.PREDICATE_TYPE, f"unknown build type {build['buildType']!r}"
                )
            materials = tuple(
                Material(
                    name=item["name"],
                    digest=sha256_of(item, f"material {item['name']!r}"),
                    role=item["annotations"]["role"],
                    decision=item["annotations"].get("decision", ""),
                )
                for item in build["resolvedDependencies"]
            )
            return cls(
                environment=external["environment"],
                asset=external["asset"],
                step=external["step"],
                parameters=external["parameters"],
                sequence=internal["sequence"],
                previous=internal["previous"],
                run_id=details["metadata"]["invocationId"],
                materials=materials,
                outputs=details["byproducts"][0]["annotations"],
                started_at=details["metadata"]["startedOn"],
                finished_at=details["metadata"]["finishedOn"],
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise invalid(RootCause.PREDICATE_TYPE, f"malformed provenance: {error!r}") from error
