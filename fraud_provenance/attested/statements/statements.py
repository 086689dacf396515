"""in-toto Statements v1: built and read in one place, whatever predicate they carry.

Which predicates there are stands in `predicates`; what each says is a model of its own. All are
explained in docs/predicates.md.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import disclosure, encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, reason
from fraud_provenance.attested.core.leaks import refuse_secret_words
from fraud_provenance.attested.statements.decision import Summary, summary_predicate
from fraud_provenance.attested.statements.form import Identity, invalid, sha256_of
from fraud_provenance.attested.statements.judgement import Contract, contract_predicate
from fraud_provenance.attested.statements.materialisation import (
    BUILD_TYPE,
    Material,
    Provenance,
    provenance_predicate,
)
from fraud_provenance.attested.statements.people import Said
from fraud_provenance.attested.statements.predicates import (
    ACCEPTANCE,
    APPROVAL,
    ML_BOM,
    MODEL_SIGNATURE,
    POLICY_RELEASE,
    PREDICATES,
    PREDICTION_BATCH,
    PREDICTION_BATCH_V1,
    PROMOTION_REQUEST,
    PROVENANCE,
    REVOCATION,
    SUPERSEDE,
    TEST_RESULT,
    VERIFICATION_SUMMARY,
    WAIVER,
    row_of,
)

__all__ = [
    "ACCEPTANCE", "APPROVAL", "BUILD_TYPE", "ML_BOM", "MODEL_SIGNATURE", "POLICY_RELEASE",
    "PREDICTION_BATCH", "PREDICTION_BATCH_V1", "PROMOTION_REQUEST", "PROVENANCE", "REVOCATION",
    "STATEMENT_TYPE", "SUPERSEDE", "TEST_RESULT", "VERIFICATION_SUMMARY", "WAIVER", "Contract",
    "Identity", "Material", "Provenance", "Statement", "Summary", "build_statement",
    "contract_predicate", "parse_statement", "provenance_predicate", "read", "read_contract",
    "read_provenance", "read_summary", "said", "summary_predicate",
]  # fmt: skip

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_MAX_SUBJECTS = 16  # one is allowed; a great many are a bomb, not a mistake
_Said = TypeVar("_Said", bound=Said)


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
        raise invalid(RootCause.PREDICATE_TYPE, "not an in-toto Statement v1")
    predicate_type, predicate = document.get("predicateType"), document.get("predicate")
    if predicate_type not in PREDICATES or not isinstance(predicate, dict):
        raise invalid(RootCause.PREDICATE_TYPE, f"unknown predicate {str(predicate_type)[:80]!r}")
    subjects = document.get("subject")
    if isinstance(subjects, list) and len(subjects) > _MAX_SUBJECTS:
        raise EvidenceError(reason(RootCause.SIZE_LIMIT, f"{len(subjects)} subjects, exactly 1"))
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise invalid(RootCause.SUBJECT_MISMATCH, "a statement must have exactly one subject")
    name = subjects[0].get("name", "")
    return Statement(
        content=content,
        predicate_type=str(predicate_type),
        subject_name=str(name),
        subject_digest=sha256_of(subjects[0], f"subject {str(name)[:80]!r}"),
        predicate=predicate,
    )


def said(name: str, digest: str, what: Said) -> Statement:
    """A statement about one subject that says what a model of ours holds.

    Raises:
        VerificationError: as `build_statement`.
    """
    return build_statement(row_of(type(what)).uri, name, digest, what.document())


def read(statement: Statement, model: type[_Said]) -> _Said:
    """What a statement of ours says.

    Raises:
        VerificationError: PREDICATE_TYPE, it is another statement or malformed; SUBJECT_MISMATCH,
            it is about something else than it names.
    """
    row = row_of(model)
    if statement.predicate_type != row.uri:
        raise invalid(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not {row.a_kind}")
    found = model.of(statement.predicate)
    found.check_subject(statement.subject_name, statement.subject_digest)
    return found


def read_provenance(statement: Statement) -> Provenance:
    """Parse a provenance statement.

    Raises:
        VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
    """
    _demand(statement, PROVENANCE, "provenance")
    return Provenance.of(statement.predicate)


def read_contract(statement: Statement) -> Contract:
    """Parse a contract's result.

    Raises:
        VerificationError: PREDICATE_TYPE, also where result and failed partitions disagree.
    """
    _demand(statement, TEST_RESULT, "a test result")
    return Contract.of(statement.predicate)


def read_summary(statement: Statement) -> Summary:
    """Parse a verification summary.

    Raises:
        VerificationError: PREDICATE_TYPE or DIGEST_ALG_UNACCEPTABLE.
    """
    _demand(statement, VERIFICATION_SUMMARY, "a verification summary")
    return Summary.of(statement.predicate)


def _demand(statement: Statement, uri: str, what: str) -> None:
    if statement.predicate_type != uri:
        raise invalid(RootCause.PREDICATE_TYPE, f"{statement.predicate_type} is not {what}")
