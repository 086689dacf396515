"""Every predicate that is signed here, one row each.

Standard predicates are used wherever one fits: SLSA provenance v1 (materialisations), in-toto test
result v0.1 (contracts), SLSA verification summary v1 (decisions), OpenSSF model signing, CycloneDX.
The rest are our own. Whoever asks what kinds of statements there are iterates the rows: the parser,
the index, the verifier, the golden tests and the documentation's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeGuard

from fraud_provenance.attested.statements.columns import (
    Columns,
    of_decision,
    of_environment,
    of_judgement,
    of_materialisation,
    of_revocation,
)
from fraud_provenance.attested.statements.decision import Summary
from fraud_provenance.attested.statements.judgement import Contract
from fraud_provenance.attested.statements.materialisation import Provenance
from fraud_provenance.attested.statements.people import (
    Acceptance,
    Approval,
    PromotionRequest,
    Revocation,
    Said,
    Supersede,
    Waiver,
)

PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
ML_BOM = "https://cyclonedx.org/bom"
_OURS = "urn:fraud-provenance:"
APPROVAL = f"{_OURS}approval:v1"
SUPERSEDE = f"{_OURS}supersede:v1"
REVOCATION = f"{_OURS}revocation:v1"
WAIVER = f"{_OURS}waiver:v1"
ACCEPTANCE = f"{_OURS}acceptance:v1"
PROMOTION_REQUEST = f"{_OURS}promotion-request:v1"
PREDICTION_BATCH = f"{_OURS}prediction-batch:v2"
PREDICTION_BATCH_V1 = f"{_OURS}prediction-batch:v1"
POLICY_RELEASE = f"{_OURS}policy-release:v1"

Model = type[Provenance] | type[Contract] | type[Summary] | type[Said]
Signer = Literal["own", "person", "author", "workload", "identity"]
Listed = Literal["", "files", "results", "withdrawn"]


@dataclass(frozen=True)
class Predicate:
    """One predicate.

    Attributes:
        uri: Its type in a statement.
        kind: What a verdict calls such a statement.
        signer: Who may sign it. `own`: whom the layout gives the step, suite or gate that it names;
            `person`: somebody with the role of `step`; `author`: whom the release before knows;
            `workload`: the workload of `step`, whose predicate this is; `identity`: that workload,
            beside its own predicate.
        step: The step of the layout.
        model: What it is read into; None: whoever uses it reads it.
        clock: The field that says when it was signed.
        has_environment: It names the environment that it counts in.
        is_about_attested: Its subject was attested under the name that it gives.
        columns: What the index keeps of it.
        listed: What the index keeps besides: the files of its manifest, what was found of them, or
            the statements that it withdraws.
        is_written: Statements of today have it; else it is only read.
    """

    uri: str
    kind: str
    signer: Signer
    step: str = ""
    model: Model | None = None
    clock: str = ""
    has_environment: bool = True
    is_about_attested: bool = False
    columns: Columns = of_environment
    listed: Listed = ""
    is_written: bool = True

    @property
    def a_kind(self) -> str:
        """Its kind with an article."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"


_ROWS = (
    Predicate(
        PROVENANCE, "materialisation", "own", model=Provenance,
        columns=of_materialisation, listed="files",
    ),
    Predicate(
        TEST_RESULT, "contract", "own", model=Contract,
        columns=of_judgement, listed="results",
    ),
    Predicate(
        VERIFICATION_SUMMARY, "decision", "own", model=Summary, columns=of_decision
    ),
    Predicate(
        APPROVAL, "approval", "person", "approve", Approval, "issued_at",
        has_environment=False, is_about_attested=True,
    ),
    Predicate(SUPERSEDE, "supersede", "person", "supersede", Supersede, "issued_at"),
    Predicate(
        REVOCATION, "revocation", "person", "revoke", Revocation,
        columns=of_revocation, listed="withdrawn",
    ),
    Predicate(WAIVER, "waiver", "person", "waive", Waiver, "issued_at"),
    Predicate(ACCEPTANCE, "acceptance", "person", "accept", Acceptance, "issued_at"),
    Predicate(POLICY_RELEASE, "policy", "author", "policy"),
    Predicate(PREDICTION_BATCH, "prediction batch", "workload", "predictions"),
    Predicate(PREDICTION_BATCH_V1, "prediction batch", "identity", "predictions", is_written=False),
    Predicate(
        PROMOTION_REQUEST, "promotion request", "workload", "promotion_request", PromotionRequest,
        "at", is_about_attested=True,
    ),
    Predicate(MODEL_SIGNATURE, "model signature", "identity", "train", has_environment=False),
    Predicate(ML_BOM, "bill of materials", "identity", "train", has_environment=False),
)  # fmt: skip

PREDICATES: Final[Mapping[str, Predicate]] = MappingProxyType({row.uri: row for row in _ROWS})
OF_PEOPLE: Final = frozenset(row.kind for row in _ROWS if row.signer == "person")
"""The kinds of what people say in their own name."""


def is_said(model: Model | None) -> TypeGuard[type[Said]]:
    """Whether it is a predicate of ours, whose model reads all of it."""
    return model is not None and issubclass(model, Said)


def row_of(model: type[Said]) -> Predicate:
    """The row of a predicate of ours."""
    return next(row for row in _ROWS if row.model is model)
