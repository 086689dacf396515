"""in-toto Statements v1: the predicates this product signs, built and read in one place.

Standard predicates are used wherever one fits: SLSA provenance v1 (materialisations), in-toto test
result v0.1 (contracts), SLSA verification summary v1 (decisions), OpenSSF model signing. Approval,
policy release, prediction batch, supersede, revocation, waiver, acceptance and promotion request
are our own. All are explained in docs/predicates.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import disclosure, encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.core.leaks import refuse_secret_words
from fraud_provenance.attested.statements.manifest import is_sha256

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
ML_BOM = "https://cyclonedx.org/bom"
APPROVAL = "urn:fraud-provenance:approval:v1"
SUPERSEDE = "urn:fraud-provenance:supersede:v1"
REVOCATION = "urn:fraud-provenance:revocation:v1"
WAIVER = "urn:fraud-provenance:waiver:v1"
ACCEPTANCE = "urn:fraud-provenance:acceptance:v1"
PROMOTION_REQUEST = "urn:fraud-provenance:promotion-request:v1"
PREDICTION_BATCH = "urn:fraud-provenance:prediction-batch:v2"
PREDICTION_BATCH_V1 = "urn:fraud-provenance:prediction-batch:v1"  # no chain; still readable
POLICY_RELEASE = "urn:fraud-provenance:policy-release:v1"
PREDICATE_TYPES = frozenset(
    (
        PROVENANCE, TEST_RESULT, VERIFICATION_SUMMARY, MODEL_SIGNATURE, ML_BOM,
        APPROVAL, SUPERSEDE, REVOCATION, WAIVER, ACCEPTANCE, PROMOTION_REQUEST, POLICY_RELEASE,
        PREDICTION_BATCH, PREDICTION_BATCH_V1,
    )
)  # fmt: skip
_MAX_SUBJECTS = 16  # one is allowed; a great many are a bomb, not a mistake
BUILD_TYPE = "urn:fraud-provenance:build:step:v1"


class Identity(BaseModel):
    """Who signed: the issuer's role in the layout (`workloads`, `people`) and the exact subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    subject: str

    def __str__(self) -> str:
        """Subject and issuer, readable."""
        return f"{self.subject} ({self.issuer})"


class Statement(BaseModel):
    """A parsed statement together with the exact bytes that were signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: bytes
    predicate_type: str
    subject_name: str
    subject_digest: str
    predicate: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the signed payload: the statement's name in evidence."""
        return encoding.digest_bytes(self.content)


def build_statement(
    predicate_type: str, name: str, digest: str, predicate: Mapping[str, Any]
) -> Statement:
    """A statement about exactly one subject, in canonical bytes.

    Raises:
        VerificationError: PII_IN_ATTESTATION for a card number anywhere in the predicate,
            SECRET_IN_ATTESTATION for a token, a private key or a password anywhere.
    """
    disclosure.refuse_card_numbers(predicate)
    content = encoding.canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}}],
            "predicateType": predicate_type,
            "predicate": dict(predicate),
        }
    )
    refuse_secret_words(content)
    return parse_statement(content)


def parse_statement(content: bytes) -> Statement:
    """Read signed payload bytes; exactly one subject, named by SHA-256.

    Raises:
        EvidenceError: strict-JSON codes.
        VerificationError: PREDICATE_TYPE, SUBJECT_MISMATCH, DIGEST_ALG_UNACCEPTABLE.
    """
    document = encoding.strict_json(content)
    if not isinstance(document, dict) or document.get("_type") != STATEMENT_TYPE:
        raise _invalid(RootCause.PREDICATE_TYPE, "not an in-toto Statement v1")
    predicate_type, predicate = document.get("predicateType"), document.get("predicate")
    if predicate_type not in PREDICATE_TYPES or not isinstance(predicate, dict):
        raise _invalid(RootCause.PREDICATE_TYPE, f"unknown predicate {str(predicate_type)[:80]!r}")
    subjects = document.get("subject")
    if isinstance(subjects, list) and len(subjects) > _MAX_SUBJECTS:
        raise EvidenceError(reason(RootCause.SIZE_LIMIT, f"{len(subjects)} subjects, exactly 1"))
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise _invalid(RootCause.SUBJECT_MISMATCH, "a statement must have exactly one subject")
    name = subjects[0].get("name", "")
    return Statement(
        content=content,
        predicate_type=str(predicate_type),
        subject_name=str(name),
        subject_digest=sha256_of(subjects[0], f"subject {str(name)[:80]!r}"),
        predicate=predicate,
    )


def sha256_of(descriptor: Mapping[str, Any], what: str) -> str:
    """The SHA-256 of an in-toto resource descriptor; refuses any weaker name."""
    digests = descriptor.get("digest")
    found = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(found, str) or not is_sha256(found):
        raise _invalid(RootCause.DIGEST_ALG_UNACCEPTABLE, f"{what} is not named by a SHA-256")
    return found


def _invalid(code: str, message: str) -> VerificationError:
    return VerificationError(reason(code, message))


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


def read_provenance(statement: Statement) -> Provenance:
    """Parse a provenance statement.

    Raises:
        VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
    """
    if statement.predicate_type != PROVENANCE:
        raise _invalid(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not provenance")
    try:
        build = statement.predicate["buildDefinition"]
        details = statement.predicate["runDetails"]
        external, internal = build["externalParameters"], build["internalParameters"]
        if build["buildType"] != BUILD_TYPE:
            raise _invalid(RootCause.PREDICATE_TYPE, f"unknown build type {build['buildType']!r}")
        materials = tuple(
            Material(
                name=item["name"],
                digest=sha256_of(item, f"material {item['name']!r}"),
                role=item["annotations"]["role"],
                decision=item["annotations"].get("decision", ""),
            )
            for item in build["resolvedDependencies"]
        )
        return Provenance(
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
        raise _invalid(RootCause.PREDICATE_TYPE, f"malformed provenance: {error!r}") from error


def contract_predicate(
    *,
    suite: str,
    suite_digest: str,
    environment: str,
    step: str,
    checks: Sequence[str],
    failures: Sequence[Mapping[str, Any]],
    rows: Mapping[str, int],
    run_id: str,
    decision: str,
    warnings: Sequence[Mapping[str, Any]] = (),
    held: Sequence[Mapping[str, Any]] = (),
    waivers: Mapping[str, str] | None = None,
    history: str = "",
    ground: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """in-toto test result: one contract suite over the partitions of one manifest.

    `failures` (never usable), `held` (until somebody accepts them) and `warnings` (only told) are
    `disclosure.Finding`s; `rows` are the rows judged a day;
    `decision` is the access decision under which the data were read; `waivers` are, by day, the
    statements that declare days empty which would else be missing; `history` is the SHA-256 of what
    the step keeps of the days that it accepted, for the next one to compare with; `ground` is, for
    the days that did not pass, the SHA-256 of what each was judged against.

    Raises:
        VerificationError: PII_IN_ATTESTATION where a finding says more than everyone may know.
    """
    disclosure.check_names(checks)
    failures = disclosure.public_findings(failures)
    held = disclosure.public_findings(held)
    warnings = disclosure.public_findings(warnings)
    untrue = {item["check"] for item in (*failures, *held, *warnings)}
    return {
        "result": "FAILED" if failures else "WARNED" if held or warnings else "PASSED",
        "configuration": [{"name": suite, "digest": {"sha256": suite_digest}}],
        "passedTests": [check for check in checks if check not in untrue],
        "warnedTests": _named_tests([*held, *warnings]),
        "failedTests": _named_tests(failures),
        "annotations": {
            "suite": suite,
            "environment": environment,
            "step": step,
            "runId": run_id,
            "decision": decision,
            "checks": len(checks),
            "rows": dict(rows),
            "failedPartitions": sorted({item["day"] for item in failures}),
            "failures": failures,
            "warnings": warnings,
        }
        | ({"waivers": dict(waivers)} if waivers else {})
        | ({"history": history} if history else {})
        | ({"held": held} if held else {})
        | ({"ground": dict(ground)} if ground else {}),
    }


def _named_tests(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({f"{item['check']}@{item['day']}" for item in findings})


class Contract(BaseModel):
    """The parts of a test result that verification uses."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    suite: str
    suite_digest: str
    environment: str
    checks: int
    rows: dict[str, int]
    failed: tuple[str, ...]
    decision: str
    failures: tuple[disclosure.Finding, ...] = ()
    warnings: tuple[disclosure.Finding, ...] = ()
    held: tuple[disclosure.Finding, ...] = ()
    waivers: dict[str, str] = {}
    history: str = ""
    ground: dict[str, str] = {}

    def held_findings(self, partition: str) -> tuple[disclosure.Finding, ...]:
        """What keeps a partition from use until a person accepts it."""
        return tuple(item for item in self.held if item.day == partition)

    def judges(self, partition: str) -> RootCause | None:
        """None if the partition passed, else why the result does not speak for it."""
        if partition in self.failed:
            return RootCause.CHECK_FAILED
        if self.checks <= 0 or self.rows.get(partition, 0) <= 0:
            return RootCause.CHECK_VACUOUS
        return RootCause.DATA_HELD if self.held_findings(partition) else None


def read_contract(statement: Statement) -> Contract:
    """Parse a contract's result.

    Raises:
        VerificationError: PREDICATE_TYPE, also where result and failed partitions disagree.
    """
    if statement.predicate_type != TEST_RESULT:
        raise _invalid(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not a test result")
    try:
        notes, result = statement.predicate["annotations"], statement.predicate["result"]
        (judged_by,) = statement.predicate["configuration"]
        contract = Contract(
            suite=notes["suite"],
            suite_digest=judged_by["digest"]["sha256"],
            environment=notes["environment"],
            checks=notes["checks"],
            rows=notes["rows"],
            failed=tuple(notes["failedPartitions"]),
            decision=notes.get("decision", ""),
            failures=tuple(disclosure.Finding(**item) for item in notes["failures"]),
            warnings=tuple(disclosure.Finding(**item) for item in notes.get("warnings", ())),
            held=tuple(disclosure.Finding(**item) for item in notes.get("held", ())),
            waivers=notes.get("waivers", {}),
            history=notes.get("history", ""),
            ground=notes.get("ground", {}),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _invalid(RootCause.PREDICATE_TYPE, f"malformed test result: {error!r}") from error
    told = contract.held or contract.warnings
    expected = "FAILED" if contract.failed else "WARNED" if told else "PASSED"
    if result != expected or {item.day for item in contract.failures} != set(contract.failed):
        raise _invalid(
            RootCause.PREDICATE_TYPE,
            f"result {str(result)[:40]!r} with {len(contract.failed)} failed partitions",
        )
    return contract


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


def read_summary(statement: Statement) -> Summary:
    """Parse a verification summary.

    Raises:
        VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
    """
    if statement.predicate_type != VERIFICATION_SUMMARY:
        raise _invalid(
            RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not a verification summary"
        )
    predicate = statement.predicate
    try:
        notes = predicate["annotations"]
        return Summary(
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
        raise _invalid(RootCause.PREDICATE_TYPE, f"malformed summary: {error!r}") from error
