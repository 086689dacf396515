"""The vocabulary of root causes: a code has one kind and one meaning.

What to do about it is for an application to say, which knows the commands to type: it registers its
remedies once, with root causes of its own. Without one, a code has its meaning and no remedy.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum, auto


class Kind(StrEnum):
    """What kind of no a code is."""

    REFUSED = "refused"  # an answer: trying again changes nothing
    UNDECIDED = "could not decide"  # something did not answer: try again once that is mended
    USAGE = "usage"  # the command or the home cannot be used as it is


class Cause(StrEnum):
    """What a vocabulary of root causes is made of; a row is `NAME = auto(), meaning[, kind]`.

    >>> class Orders(Cause):
    ...     ORDER_UNPAID = auto(), "Nobody paid for the order."
    >>> Orders.ORDER_UNPAID
    <Orders.ORDER_UNPAID: 'ORDER_UNPAID'>
    >>> (Orders.ORDER_UNPAID.meaning, str(Orders.ORDER_UNPAID.kind))
    ('Nobody paid for the order.', 'refused')
    """

    meaning: str
    kind: Kind

    def __new__(cls, code: str, *_: object) -> "Cause":
        """A member whose value is its code alone."""
        member = str.__new__(cls, code)
        member._value_ = code
        return member

    def __init__(self, code: str, meaning: str, kind: Kind = Kind.REFUSED) -> None:
        self.meaning, self.kind = meaning, kind

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name


class RootCause(Cause):
    """Why something is not trusted: what this library itself finds."""

    # Data and artifacts
    DIGEST_MISMATCH = auto(), "The bytes are not the bytes that were attested."
    PARTITION_MUTATED_AFTER_ATTESTATION = (
        auto(),
        "Rows were added to a file after it was attested: a larger whole file is in its place.",
    )
    ARTIFACT_MISSING = auto(), "An attested file is not where its manifest says."
    UNATTESTED_FILE = auto(), "A file lies among attested ones that no evidence names."
    MANIFEST_MALFORMED = auto(), "A manifest is not in the canonical form its digest stands for."
    # Evidence
    EVIDENCE_MISSING = auto(), "A statement that the chain needs is not in the evidence store."
    EVIDENCE_TAMPERED = auto(), "A stored bundle's bytes differ from the digest that names it."
    EVIDENCE_MALFORMED = auto(), "A bundle or statement cannot be read as what it claims to be."
    JSON_DUPLICATE_KEY = (
        auto(),
        "A JSON object names a key twice, so that two readers could see two things.",
    )
    PII_IN_ATTESTATION = (
        auto(),
        "A statement for the public log would have held data values: an id, an amount, a card.",
    )
    SIZE_LIMIT = auto(), "A document is larger, deeper or more numerous than the limits allow."
    SIGNATURE_MISSING = auto(), "An envelope carries no signature."
    SIGNATURE_COUNT = auto(), "An envelope carries more than one signature."
    SIGNATURE_INVALID = auto(), "A signature, certificate or log proof does not verify."
    TIMESTAMP_INVALID = (
        auto(),
        "The signing time is not vouched for by the trusted timestamp authority.",
    )
    LOG_ENTRY_MISSING = auto(), "The bundle proves no entry in the transparency log."
    LOG_ENTRY_MISMATCH = auto(), "The log entry that the bundle proves is about another signature."
    INCLUSION_INVALID = auto(), "The proof that the entry is in the log does not hold."
    CHECKPOINT_UNTRUSTED = (
        auto(),
        "The head of a log is not signed by that log, or too few witnesses countersigned it.",
    )
    LOG_ROLLBACK = auto(), "The log has fewer leaves than were seen before."
    LOG_FORK = auto(), "The log shows another history than the one that was seen before."
    LOG_STALE = auto(), "The log shows an older head than the one that stored bundles prove."
    LOG_CORRUPT = auto(), "A file of the log does not add up to its signed head, or cannot be read."
    UNEXPECTED_LOG_ENTRY = (
        auto(),
        "Somebody signed under one of our identities what no run of ours stored or announced.",
    )
    EVIDENCE_ROLLBACK = (
        auto(),
        "The evidence store is older than the log: what was stored last is gone.",
    )
    IDENTITY_UNTRUSTED = auto(), "The signing certificate was not issued by the trusted authority."
    KEY_NOT_FROM_ROOT = (
        auto(),
        "The bundle names a key of its own instead of a certificate from the trusted authority.",
    )
    KEY_REVOKED = (
        auto(),
        "The signature was made outside the validity of its certificate, or after its signer was"
        " revoked.",
    )
    IDENTITY_NOT_AUTHORIZED_FOR_STEP = (
        auto(),
        "A valid signer signed a step that the layout gives to another identity.",
    )
    ISSUER_MISMATCH = auto(), "The signer's name is right but another issuer vouched for it."
    PREDICATE_TYPE = auto(), "The statement is of another kind than the one required here."
    SUBJECT_MISMATCH = auto(), "The statement is about another artifact than the one at hand."
    DIGEST_ALG_UNACCEPTABLE = auto(), "A material or subject carries no SHA-256."
    ENVIRONMENT_MISMATCH = auto(), "The evidence was made for another environment."
    PARAM_UNEXPECTED = auto(), "A step ran with a parameter that its layout does not know."
    # Lineage
    MATERIAL_UNEXPLAINED = (
        auto(),
        "An output was made from bytes that no material of its step contains.",
    )
    MATERIAL_NOT_ALLOWED = auto(), "A step read an asset that its layout does not let it read."
    PARTITION_MISSING = auto(), "A partition that is needed is not there."
    SUBJECT_PARTITION_MISMATCH = auto(), "The bytes are attested, but for another partition."
    ORDER_INVALID = auto(), "An output was signed before one of its inputs."
    LINEAGE_CYCLE = auto(), "The chain of evidence leads back to itself."
    ROLLBACK = auto(), "A partition went back to an older version, and no signed decision says so."
    PARTITION_REVOKED = auto(), "The data were revoked, or were made from data that were revoked."
    MODEL_REVOKED = auto(), "The model was revoked."
    STATEMENT_REVOKED = auto(), "A statement that this rests on was revoked."
    CHECK_MISSING = auto(), "A contract that must judge this data has not."
    CHECK_FAILED = auto(), "The data broke its contract."
    DATA_HELD = auto(), "The day is unusual, and nobody has accepted it yet."
    CHECK_VACUOUS = auto(), "A contract passed without evaluating anything."
    # Trust root, policy, gates
    ROOT_DIGEST_MISMATCH = (
        auto(),
        "A file of the trust root is not the one that the release in force fixes.",
    )
    ROOT_ROLLBACK = auto(), "A file of the trust root is that of an earlier release."
    EXPECTATION_CHANGE_UNAPPROVED = (
        auto(),
        "A change to policy, layout, principals, contracts, trust root or tools lacks the "
        "signatures of two policy authors.",
    )
    IDENTITY_PATTERN = (
        auto(),
        "The layout or the principals name an identity that could match more than one signer.",
    )
    POLICY_ROLLBACK = (
        auto(),
        "The policy files or the releases are older than what was in force here before.",
    )
    POLICY_REVISION_MISMATCH = (
        auto(),
        "The policy that would decide is not the release that this home verified.",
    )
    CANARY_FAILED = (
        auto(),
        "A judge did not judge a known case as it must: verifier, cosign or policy.",
    )
    COMMIT_UNTRUSTED = (
        auto(),
        "The model's commit is not on the branch that the policy protects for this environment.",
    )
    ENV_FILE_MISMATCH = (
        auto(),
        "An installed file is not what its package brought, or no package brought it.",
    )
    ENV_LOCK_MISMATCH = auto(), "An installed package is not in the lock, or in another version."
    DECISION_INPUT_MISMATCH = (
        auto(),
        "The policy engine's answer is not about the facts that it was asked about.",
    )
    SECRET_IN_TREE = auto(), "A private key or access token lies among code or artifacts."
    POLICY_DIGEST_MISMATCH = auto(), "A policy file differs from the signed policy."
    POLICY_UNSIGNED = auto(), "The policy has no release in this environment."
    POLICY_UNDEFINED = auto(), "The policy gave no answer."
    POLICY_EVAL_ERROR = auto(), "The policy could not be evaluated on this input."
    INPUT_INVALID = auto(), "The policy's input does not match its schema."
    INPUT_MISSING = auto(), "A fact that the policy needs is missing from its input."
    INPUT_TYPE = auto(), "A fact in the policy's input is of the wrong type."
    INPUT_UNVERIFIED_FIELD = auto(), "The policy's input holds a field that nobody verified."
    GATE_DENIED = auto(), "A gate refused; its reasons are listed with it."
    APPROVAL_UNKNOWN_PERSON = auto(), "The signer is not a principal that the policy knows."
    DECISION_MISSING = auto(), "No allowing decision exists for this artifact."
    SOURCE_MISMATCH = auto(), "The registry points at files outside this home's model store."
    TMP_PERMS = (
        auto(),
        "A folder that models pass through, or a private key, is open to others, or is a link.",
    )
    APPROVAL_REVOKED = auto(), "The approval was withdrawn."
    APPROVAL_BEFORE_EVIDENCE = auto(), "A person's signature is older than something that it names."
    CODE_VERSION_MISMATCH = auto(), "What a step made was made by other code than the step has now."
    DUPLICATE_KEY_IDENTITY = (
        auto(),
        "Two principals have identities that are the same when written in one form.",
    )
    LOG_ENTRY_KIND = auto(), "A log entry is of a kind or version that this log does not make."
    PARAM_MISSING = auto(), "A step's statement lacks a parameter that the layout demands."
    ROOT_MALFORMED = (
        auto(),
        "A trust root or witness file cannot be used, has a key that does not say since when it "
        "counts, or what was signed before does not verify under it.",
    )
    SECRET_IN_ATTESTATION = (
        auto(),
        "What was about to be signed or logged holds a token, a key or a password.",
    )
    SNAPSHOT_INCOHERENT = (
        auto(),
        "What was read rests on two versions of one partition, or on one that was no longer "
        "the newest.",
    )
    GIT_UNAVAILABLE = (
        auto(),
        "Which code this is could not be read: the commit, its tree or the files are not whole.",
        Kind.UNDECIDED,
    )
    PARTITION_DUPLICATE = auto(), "Two statements claim the same partition."
    POLICY_DATA_INVALID = (
        auto(),
        "Layout, principals or thresholds are missing or contradict themselves.",
    )
    CLOCK_BEHIND = (
        auto(),
        "This machine's clock is behind what was signed before: what it signed now could never be"
        " verified, so nothing was.",
        Kind.UNDECIDED,
    )
    TIME_SKEW = auto(), "A time lies in the future or cannot be read."
    # Could not decide: retry after the cause is mended
    LOG_UNAVAILABLE = (
        auto(),
        "No dated entry in the transparency log could be had in time.",
        Kind.UNDECIDED,
    )
    WITNESS_UNAVAILABLE = (
        auto(),
        "Too few witnesses answered to countersign the log's head.",
        Kind.UNDECIDED,
    )
    TIMESTAMP_UNAVAILABLE = (
        auto(),
        "The timestamp authority did not answer in time.",
        Kind.UNDECIDED,
    )
    AUTHORITY_UNAVAILABLE = (
        auto(),
        "The certificate authority or identity issuer did not answer in time.",
        Kind.UNDECIDED,
    )
    POLICY_UNAVAILABLE = auto(), "The policy engine could not be run.", Kind.UNDECIDED
    STORAGE_UNAVAILABLE = (
        auto(),
        "The disk, a database or the data version store (DVC) could not be used.",
        Kind.UNDECIDED,
    )
    TOOL_UNAVAILABLE = auto(), "A pinned tool is missing or cannot be run.", Kind.UNDECIDED
    VERIFY_ERROR = auto(), "Verification stopped with an error of its own.", Kind.UNDECIDED
    # Use
    HOME_MISSING = auto(), "There is no home with a trust root here.", Kind.USAGE
    USAGE = auto(), "The command cannot be understood.", Kind.USAGE


class Case(StrEnum):
    """Where what to do is narrower than the code; a case has a remedy of its own."""

    TRUST_FILE_UNUSABLE = auto()
    RELEASE_NOT_BINDING = auto()  # what is said after the remedy of the reason itself
    PARTITION_HELD = auto()  # of an {asset} and {partition}
    GATE_SILENT = auto()  # where it signs in a process of its own


_causes: dict[str, Cause] = {str(code): code for code in RootCause}
_remedies: dict[str, str] = {}


def register(causes: Iterable[Cause], remedies: Mapping[str, str]) -> None:
    """An application's own root causes, and what it tells to do: about each code and each case.

    It is called once, before anything is printed.

    Raises:
        ValueError: a code is written twice, or the remedies are not those of all codes and cases.
    """
    known = dict(_causes)
    for code in causes:
        if known.setdefault(str(code), code) is not code:
            raise ValueError(f"{code} is written twice")
    wrong = {str(name) for name in remedies} ^ {*known, *map(str, Case)}
    if wrong or not all(remedies.values()):
        raise ValueError(f"remedies that are missing or about nothing: {sorted(wrong)}")
    _causes.update(known)
    _remedies.update({str(name): text for name, text in remedies.items()})


def known() -> tuple[Cause, ...]:
    """Every root cause: this library's, then those that an application registered."""
    return tuple(_causes.values())


def kind(code: str) -> Kind:
    """What kind of no a code is; that of a policy's or contract's own rule is a refusal.

    >>> str(kind("LOG_UNAVAILABLE"))
    'could not decide'
    """
    return _causes[code].kind if code in _causes else Kind.REFUSED


def is_undecided(code: str) -> bool:
    """Whether a code says that something could not be checked."""
    return kind(code) is Kind.UNDECIDED


def meaning(code: str) -> str:
    """What a root-cause code says, as one sentence.

    >>> meaning("A_CODE_OF_A_RULE")
    'A policy or contract rule refused.'
    """
    return _causes[code].meaning if code in _causes else "A policy or contract rule refused."


def remedy(of: str, **named: str) -> str:
    """What to do about a code, or in a case, as the application tells it; empty without one.

    >>> remedy("A_CODE_OF_A_RULE")
    "Follow the rule's own remedy."
    """
    if of in _causes or of in tuple(Case):
        told = _remedies.get(of, "")
        return told.format(**named) if named else told
    return "Follow the rule's own remedy."
