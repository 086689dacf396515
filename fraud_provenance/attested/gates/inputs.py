"""What a gate is told, as a model; the JSON schema that the policy signs is made from it.

In: the model of an input. Out: its schema, as `policies/schemas/` has it. Rules are compiled
against that schema, and an input that does not match it is refused (`policy`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_DIALECT = "http://json-schema.org/draft-07/schema#"

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$"),
]
Digest = Annotated[str, StringConstraints(max_length=64, pattern="^[0-9a-f]{64}$")]
Time = Annotated[
    str,
    StringConstraints(
        max_length=30,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$",
    ),
]
Partition = Annotated[str, StringConstraints(max_length=128)]
Count = Annotated[int, Field(ge=0)]


class Facts(BaseModel):
    """What an input holds, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Signer(Facts):
    """An identity, as the policy spells it."""

    issuer: Literal["workloads", "people", "github", "gitlab", "kubernetes", "spiffe"]
    subject: str = Field(min_length=1, max_length=320)


class AcceptanceFacts(Facts):
    """What one person accepted."""

    asset: Name
    partition: Partition
    sha256: Digest
    environment: Name
    findings: tuple[Digest, ...] = Field(max_length=256)
    statement: Digest
    signer: Signer
    signed_at: Time


class ContractFacts(Facts):
    """What one contract says of a partition."""

    suite: Name
    result: Literal["PASSED", "WARNED", "FAILED"]
    checks: Count
    rows: Count
    statement: Digest
    signer: Signer
    findings: tuple[Digest, ...] = Field(
        default=(),
        max_length=256,
        description="What a WARNED contract holds the partition for: one digest a finding.",
    )
    acceptances: tuple[AcceptanceFacts, ...] = Field(
        default=(),
        max_length=64,
        description="What people accepted of a WARNED contract, verified.",
    )


class PartitionFacts(Facts):
    """One partition that is to be read."""

    partition: Partition
    sha256: Digest
    statement: Digest
    signer: Signer
    signed_at: Time
    environment: Name
    contracts: tuple[ContractFacts, ...] = Field(max_length=64)


class Reading(Facts):
    """Who asks for what."""

    step: Name
    identity: Signer
    environment: Name
    asset: Name
    purpose: Literal["materialise", "contract", "score"]
    at: Time


class DataAccess(Facts):
    """What the data-access gate judges."""

    model_config = ConfigDict(
        title="Input of the data-access gate",
        json_schema_extra={
            "description": "Who asks for which partitions of one asset, and the verified "
            "statements about each partition."
        },
    )

    request: Reading
    partitions: tuple[PartitionFacts, ...] = Field(max_length=10000)


def schema_of(model: type[Facts]) -> dict[str, Any]:
    """The JSON schema of an input, whole in itself."""
    made = model.model_json_schema()
    parts = made.pop("$defs", {})
    head = {name: made[name] for name in ("title", "description")}
    return {"$schema": _DIALECT} | head | _plain(made, parts)


def _plain(node: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema as the policy engine reads it: no references, no words about classes."""
    if "$ref" in node:
        inner = _plain(parts[node["$ref"].rpartition("/")[2]], parts)
        told = {"description": node["description"]} if "description" in node else {}
        return inner | told
    found = {key: value for key, value in node.items() if key not in ("title", "default")}
    if found["type"] == "object" and "properties" in found:
        found.pop("description", None)
        found["properties"] = {
            key: _plain(item, parts) for key, item in found["properties"].items()
        }
    if "items" in found:
        found["items"] = _plain(found["items"], parts)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found
