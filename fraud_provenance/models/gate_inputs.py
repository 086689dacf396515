"""What the gates are told that judge a model: `policies/schemas/` is made from these models."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from fraud_provenance.attested.gates.inputs import Count, Digest, Facts, Name, Signer, Time

Share = Annotated[float, Field(ge=0, le=1)]
Day = Annotated[str, StringConstraints(max_length=10, pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
FormatName = Annotated[
    str, StringConstraints(min_length=1, max_length=32, pattern="^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$")
]
FilePath = Annotated[
    str,
    StringConstraints(
        max_length=255, pattern="^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"
    ),
]
Missing = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Asking(Facts):
    """The gate that asks."""

    step: Literal["release", "deploy"]
    identity: Signer
    environment: Name
    at: Time


class Registering(Asking):
    """The gate that asks for a candidate."""

    step: Literal["release"]


class Deploying(Asking):
    """The gate that asks for a champion."""

    step: Literal["deploy"]


class ModelFacts(Facts):
    """What was trained."""

    name: Name
    digest: Digest
    statement: Digest
    signer: Signer
    signed_at: Time
    format: FormatName
    files: tuple[FilePath, ...] = Field(max_length=64)
    features: tuple[Name, ...] = Field(max_length=1000)
    parameters: dict[str, Any] = Field(
        max_length=200,
        description=(
            "Resolved training parameters; names are judged against the layout, values are free."
        ),
    )


class CodeFacts(Facts):
    """What one step ran."""

    asset: Name
    git_commit: str = Field(max_length=64, pattern="^([0-9a-f]{40}|[0-9a-f]{64})?$")
    git_dirty: bool


class MetricFacts(Facts):
    """What was measured."""

    auc_roc: Share
    average_precision: Share
    card_precision_100: Share


class EvaluationFacts(Facts):
    """What was evaluated, on what."""

    statement: Digest
    signer: Signer
    model_digest: Digest
    dataset_sha256: Digest
    training_sha256: tuple[Digest, ...] = Field(max_length=10000)
    metrics: MetricFacts
    rows: Count
    frauds: Count
    threshold: float = Field(
        description="The model's own, as the evaluation read it from the model's files."
    )
    alert_rate: Share = Field(
        description="Share of the test days' transactions at or above the threshold."
    )


class DayFacts(Facts):
    """Days of the feed."""

    trained_until: Day = Field(description="Last day that the model learnt from.")
    tested_from: Day = Field(description="First day that the evaluation measured on.")
    newest: Day = Field(description="Newest attested day of the feed.")


class SuiteFacts(Facts):
    """What one contract found of all that was read of an asset."""

    asset: Name
    suite: Name
    partitions: Count
    passed: Count
    checks: Count


class EvidenceFacts(Facts):
    """Whether the evidence is whole."""

    statements: Count
    complete: bool
    missing: tuple[Missing, ...] = Field(max_length=1000)


class SignatureFacts(Facts):
    """The model's own signature."""

    statement: Digest
    signer: Signer


class RegistrationFacts(Facts):
    """The decision that made the model a candidate."""

    statement: Digest
    signer: Signer
    allow: bool
    model_digest: Digest
    policy_digest: Digest


class PolicyFacts(Facts):
    """The policy in force."""

    digest: Digest
    authors: tuple[Name, ...] = Field(max_length=64)


class TrainerFacts(Facts):
    """Who answers for the training."""

    principal: Name


class CosignFacts(Facts):
    """How many of the bundles the second verifier accepts."""

    verified: Count
    required: Count


class CurrentFacts(Facts):
    """What is deployed now."""

    champion_digest: str = Field(max_length=64, pattern="^([0-9a-f]{64})?$")
    sequence: Count


class ApprovalFacts(Facts):
    """One approval."""

    statement: Digest
    identity: Signer
    principal: Name
    roles: tuple[Name, ...] = Field(max_length=16)
    model_digest: Digest
    environment: Name
    evidence_set: Digest
    policy_digest: Digest
    issued_at: Time
    expires_at: Time
    revoked: bool
    superseded: bool = Field(description="A deployment, of whichever model, came after it.")


class _Candidate(Facts):
    """What both gates judge."""

    request: Asking
    model: ModelFacts
    code: tuple[CodeFacts, ...] = Field(
        min_length=1,
        max_length=10000,
        description=(
            "Code that the model, its evaluation and everything they were made from was made with, "
            "each once."
        ),
    )
    evaluation: EvaluationFacts
    days: DayFacts = Field(
        description="What was known when, by the statements that model and evaluation read."
    )
    contracts: tuple[SuiteFacts, ...] = Field(max_length=256)
    evidence: EvidenceFacts
    model_signature: SignatureFacts


class Registration(_Candidate):
    """What the registration gate judges."""

    model_config = ConfigDict(
        title="Input of the model-registration gate",
        json_schema_extra={
            "description": "Verified facts about one candidate model, its evaluation and its "
            "lineage."
        },
    )

    request: Registering


class Deployment(_Candidate):
    """What the deployment gate judges."""

    model_config = ConfigDict(
        title="Input of the model-deployment gate",
        json_schema_extra={
            "description": "Everything the registration gate judges, and the registration "
            "decision, the policy, the approvals and cosign's verdict."
        },
    )

    request: Deploying
    registration: RegistrationFacts
    policy: PolicyFacts
    trainer: TrainerFacts
    evidence_set: Digest
    cosign: CosignFacts
    current: CurrentFacts
    approvals: tuple[ApprovalFacts, ...] = Field(max_length=256)
