"""The closed vocabulary of root causes: each code has one meaning and one remedy."""

from enum import StrEnum

from fraud_provenance.attested.core.data_causes import DATA_CAUSES


class RootCause(StrEnum):
    """Why something is not trusted. Meanings and remedies: `meaning`, `remedy`."""

    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    PARTITION_MUTATED_AFTER_ATTESTATION = "PARTITION_MUTATED_AFTER_ATTESTATION"
    ARTIFACT_MISSING = "ARTIFACT_MISSING"
    UNATTESTED_FILE = "UNATTESTED_FILE"
    MANIFEST_MALFORMED = "MANIFEST_MALFORMED"
    EVIDENCE_MISSING = "EVIDENCE_MISSING"
    EVIDENCE_TAMPERED = "EVIDENCE_TAMPERED"
    EVIDENCE_MALFORMED = "EVIDENCE_MALFORMED"
    JSON_DUPLICATE_KEY = "JSON_DUPLICATE_KEY"
    SIZE_LIMIT = "SIZE_LIMIT"
    SIGNATURE_MISSING = "SIGNATURE_MISSING"
    SIGNATURE_COUNT = "SIGNATURE_COUNT"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    TIMESTAMP_INVALID = "TIMESTAMP_INVALID"
    LOG_ENTRY_MISSING = "LOG_ENTRY_MISSING"
    LOG_ENTRY_MISMATCH = "LOG_ENTRY_MISMATCH"
    INCLUSION_INVALID = "INCLUSION_INVALID"
    CHECKPOINT_UNTRUSTED = "CHECKPOINT_UNTRUSTED"
    LOG_ROLLBACK = "LOG_ROLLBACK"
    LOG_FORK = "LOG_FORK"
    LOG_STALE = "LOG_STALE"
    LOG_CORRUPT = "LOG_CORRUPT"
    UNEXPECTED_LOG_ENTRY = "UNEXPECTED_LOG_ENTRY"
    EVIDENCE_ROLLBACK = "EVIDENCE_ROLLBACK"
    EVIDENCE_SIDECAR_MISMATCH = "EVIDENCE_SIDECAR_MISMATCH"
    IDENTITY_UNTRUSTED = "IDENTITY_UNTRUSTED"
    KEY_NOT_FROM_ROOT = "KEY_NOT_FROM_ROOT"
    KEY_REVOKED = "KEY_REVOKED"
    IDENTITY_NOT_AUTHORIZED_FOR_STEP = "IDENTITY_NOT_AUTHORIZED_FOR_STEP"
    ISSUER_MISMATCH = "ISSUER_MISMATCH"
    PREDICATE_TYPE = "PREDICATE_TYPE"
    SUBJECT_MISMATCH = "SUBJECT_MISMATCH"
    DIGEST_ALG_UNACCEPTABLE = "DIGEST_ALG_UNACCEPTABLE"
    ENVIRONMENT_MISMATCH = "ENVIRONMENT_MISMATCH"
    PARAM_UNEXPECTED = "PARAM_UNEXPECTED"
    MATERIAL_UNEXPLAINED = "MATERIAL_UNEXPLAINED"
    MATERIAL_NOT_ALLOWED = "MATERIAL_NOT_ALLOWED"
    PARTITION_MISSING = "PARTITION_MISSING"
    SUBJECT_PARTITION_MISMATCH = "SUBJECT_PARTITION_MISMATCH"
    ORDER_INVALID = "ORDER_INVALID"
    LINEAGE_CYCLE = "LINEAGE_CYCLE"
    ROLLBACK = "ROLLBACK"
    PARTITION_REVOKED = "PARTITION_REVOKED"
    MODEL_REVOKED = "MODEL_REVOKED"
    STATEMENT_REVOKED = "STATEMENT_REVOKED"
    CHECK_MISSING = "CHECK_MISSING"
    CHECK_FAILED = "CHECK_FAILED"
    CHECK_VACUOUS = "CHECK_VACUOUS"
    DATA_HELD = "DATA_HELD"
    ROOT_DIGEST_MISMATCH = "ROOT_DIGEST_MISMATCH"
    ROOT_ROLLBACK = "ROOT_ROLLBACK"
    EXPECTATION_CHANGE_UNAPPROVED = "EXPECTATION_CHANGE_UNAPPROVED"
    IDENTITY_PATTERN = "IDENTITY_PATTERN"
    POLICY_ROLLBACK = "POLICY_ROLLBACK"
    POLICY_REVISION_MISMATCH = "POLICY_REVISION_MISMATCH"
    TOOL_DIGEST_MISMATCH = "TOOL_DIGEST_MISMATCH"
    CANARY_FAILED = "CANARY_FAILED"
    CONFIG_OVERRIDE = "CONFIG_OVERRIDE"
    COMMIT_UNTRUSTED = "COMMIT_UNTRUSTED"
    ENV_FILE_MISMATCH = "ENV_FILE_MISMATCH"
    ENV_LOCK_MISMATCH = "ENV_LOCK_MISMATCH"
    DECISION_INPUT_MISMATCH = "DECISION_INPUT_MISMATCH"
    SECRET_IN_TREE = "SECRET_IN_TREE"  # noqa: S105 - a root cause, no password
    POLICY_DIGEST_MISMATCH = "POLICY_DIGEST_MISMATCH"
    POLICY_UNSIGNED = "POLICY_UNSIGNED"
    POLICY_UNDEFINED = "POLICY_UNDEFINED"
    POLICY_EVAL_ERROR = "POLICY_EVAL_ERROR"
    INPUT_INVALID = "INPUT_INVALID"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_TYPE = "INPUT_TYPE"
    INPUT_UNVERIFIED_FIELD = "INPUT_UNVERIFIED_FIELD"
    GATE_DENIED = "GATE_DENIED"
    APPROVAL_UNKNOWN_PERSON = "APPROVAL_UNKNOWN_PERSON"
    SELF_APPROVAL = "SELF_APPROVAL"
    APPROVAL_ROLE = "APPROVAL_ROLE"
    APPROVAL_ENV = "APPROVAL_ENV"
    ALIAS_WITHOUT_DECISION = "ALIAS_WITHOUT_DECISION"
    DECISION_SUPERSEDED = "DECISION_SUPERSEDED"
    DECISION_MISSING = "DECISION_MISSING"
    SOURCE_MISMATCH = "SOURCE_MISMATCH"
    CAS_CONFLICT = "CAS_CONFLICT"
    FORBIDDEN_FORMAT = "FORBIDDEN_FORMAT"
    MERKLE_MISMATCH = "MERKLE_MISMATCH"
    SEQUENCE_GAP = "SEQUENCE_GAP"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    HEARTBEAT_MISSING = "HEARTBEAT_MISSING"
    FEATURE_TRACE_MISMATCH = "FEATURE_TRACE_MISMATCH"
    FEATURE_SKEW = "FEATURE_SKEW"
    FEATURE_TAMPER = "FEATURE_TAMPER"
    FEATURE_DEF_MISMATCH = "FEATURE_DEF_MISMATCH"
    FORMAT_MAGIC = "FORMAT_MAGIC"
    MODEL_MALFORMED = "MODEL_MALFORMED"
    RESOURCE_LIMIT = "RESOURCE_LIMIT"
    OBJECT_TYPE_CHANGED = "OBJECT_TYPE_CHANGED"
    TRANSFORM_FAILED = "TRANSFORM_FAILED"
    TMP_PERMS = "TMP_PERMS"
    SOURCE_SCHEME = "SOURCE_SCHEME"
    METRIC_UNSIGNED = "METRIC_UNSIGNED"
    IGNORE_PATHS_UNEXPECTED = "IGNORE_PATHS_UNEXPECTED"
    FAIL_CLOSED = "FAIL_CLOSED"
    COSIGN_REJECTED = "COSIGN_REJECTED"
    APPROVAL_MISSING = "APPROVAL_MISSING"
    APPROVAL_SUBJECT_MISMATCH = "APPROVAL_SUBJECT_MISMATCH"
    APPROVAL_EVIDENCE = "APPROVAL_EVIDENCE"
    APPROVAL_POLICY = "APPROVAL_POLICY"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    APPROVAL_REVOKED = "APPROVAL_REVOKED"
    DECISION_EXPIRED = "DECISION_EXPIRED"
    EVALUATION_TOO_SMALL = "EVALUATION_TOO_SMALL"
    EVAL_ON_TRAIN = "EVAL_ON_TRAIN"
    EVIDENCE_TOO_OLD = "EVIDENCE_TOO_OLD"
    MODEL_TOO_OLD = "MODEL_TOO_OLD"
    FEATURES_TOO_FEW = "FEATURES_TOO_FEW"
    LEAKAGE_FEATURE = "LEAKAGE_FEATURE"
    GIT_DIRTY = "GIT_DIRTY"
    GIT_UNAVAILABLE = "GIT_UNAVAILABLE"
    APPROVAL_BEFORE_EVIDENCE = "APPROVAL_BEFORE_EVIDENCE"
    APPROVAL_SUPERSEDED = "APPROVAL_SUPERSEDED"
    CODE_VERSION_MISMATCH = "CODE_VERSION_MISMATCH"
    DUPLICATE_KEY_IDENTITY = "DUPLICATE_KEY_IDENTITY"
    LOG_ENTRY_KIND = "LOG_ENTRY_KIND"
    PARAM_MISSING = "PARAM_MISSING"
    PREDLOG_FORK = "PREDLOG_FORK"
    PREDLOG_GAP = "PREDLOG_GAP"
    ROWS_WOULD_BE_LOST = "ROWS_WOULD_BE_LOST"
    ROOT_MALFORMED = "ROOT_MALFORMED"
    SECRET_IN_ATTESTATION = "SECRET_IN_ATTESTATION"  # noqa: S105 - a root cause, no password
    SNAPSHOT_INCOHERENT = "SNAPSHOT_INCOHERENT"
    THRESHOLD_OUT_OF_RANGE = "THRESHOLD_OUT_OF_RANGE"
    DUPLICATE_BUSINESS_KEY = "DUPLICATE_BUSINESS_KEY"
    FEATURE_RECOMPUTE_MISMATCH = "FEATURE_RECOMPUTE_MISMATCH"
    MAPPING_INVALID = "MAPPING_INVALID"
    METRIC_BELOW_MINIMUM = "METRIC_BELOW_MINIMUM"
    PARTITION_DUPLICATE = "PARTITION_DUPLICATE"
    POLICY_AUTHOR_UNKNOWN = "POLICY_AUTHOR_UNKNOWN"
    POLICY_DATA_INVALID = "POLICY_DATA_INVALID"
    PRODUCER_UNKNOWN = "PRODUCER_UNKNOWN"
    PURPOSE_NOT_ALLOWED = "PURPOSE_NOT_ALLOWED"
    REGISTRATION_POLICY = "REGISTRATION_POLICY"
    ROLE_CONFLICT = "ROLE_CONFLICT"
    STEP_UNKNOWN = "STEP_UNKNOWN"
    TIME_SKEW = "TIME_SKEW"
    CLOCK_BEHIND = "CLOCK_BEHIND"
    TRAINER_UNKNOWN = "TRAINER_UNKNOWN"
    PII_IN_ATTESTATION = "PII_IN_ATTESTATION"
    SCHEMA_COLUMN_MISSING = "SCHEMA_COLUMN_MISSING"
    SCHEMA_COLUMN_UNKNOWN = "SCHEMA_COLUMN_UNKNOWN"
    SCHEMA_TYPE = "SCHEMA_TYPE"
    ENCODING = "ENCODING"
    NULL_RATE = "NULL_RATE"
    NON_FINITE = "NON_FINITE"
    VALUE_RANGE = "VALUE_RANGE"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    EVENT_TIME_OUTSIDE_PARTITION = "EVENT_TIME_OUTSIDE_PARTITION"
    EMPTY_PARTITION = "EMPTY_PARTITION"
    VOLUME = "VOLUME"
    UNIT_SHIFT = "UNIT_SHIFT"
    DISTRIBUTION_SHIFT = "DISTRIBUTION_SHIFT"
    SENTINEL_VALUE = "SENTINEL_VALUE"
    CONSTANT_COLUMN = "CONSTANT_COLUMN"
    COLUMNS_SWAPPED = "COLUMNS_SWAPPED"
    FROZEN_FEED = "FROZEN_FEED"
    STALE_FEED = "STALE_FEED"
    LABEL_RATE = "LABEL_RATE"
    LABEL_INCOHERENT = "LABEL_INCOHERENT"
    IMMATURE_LABELS = "IMMATURE_LABELS"
    TRIGGER_SUSPECT = "TRIGGER_SUSPECT"
    PIT_LEAKAGE = "PIT_LEAKAGE"
    SPLIT_CONTAMINATION = "SPLIT_CONTAMINATION"
    LOG_UNAVAILABLE = "LOG_UNAVAILABLE"
    WITNESS_UNAVAILABLE = "WITNESS_UNAVAILABLE"
    TIMESTAMP_UNAVAILABLE = "TIMESTAMP_UNAVAILABLE"
    AUTHORITY_UNAVAILABLE = "AUTHORITY_UNAVAILABLE"
    POLICY_UNAVAILABLE = "POLICY_UNAVAILABLE"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    REGISTRY_UNAVAILABLE = "REGISTRY_UNAVAILABLE"
    TOOL_UNAVAILABLE = "TOOL_UNAVAILABLE"
    PREDLOG_UNAVAILABLE = "PREDLOG_UNAVAILABLE"
    CONSUMER_UNAVAILABLE = "CONSUMER_UNAVAILABLE"
    VERIFY_ERROR = "VERIFY_ERROR"
    HOME_MISSING = "HOME_MISSING"
    HOME_MOVED = "HOME_MOVED"
    USAGE = "USAGE"


_CAUSES: dict[str, tuple[str, str]] = {
    **DATA_CAUSES,
    # Data and artifacts
    "DIGEST_MISMATCH": (
        "The bytes are not the bytes that were attested.",
        "A raw day: `fraud-provenance rollback raw_transactions DAY --to DIGEST`, or import the "
        "day again and run. What is made of it: `fraud-provenance rollback ASSET PARTITION`. "
        "Anything else: restore the file named from the home's backup.",
    ),
    "PARTITION_MUTATED_AFTER_ATTESTATION": (
        "Rows were added to a file after it was attested: a larger whole file is in its place.",
        "Restore the attested version: `fraud-provenance rollback raw_transactions DAY --to "
        "DIGEST`. Then import late rows as a new version of their day and run.",
    ),
    "ARTIFACT_MISSING": (
        "An attested file is not where its manifest says.",
        "A raw day: `fraud-provenance rollback raw_transactions DAY --to DIGEST`. What is made of "
        "it: `fraud-provenance rollback ASSET PARTITION`. Anything else: restore data/ of the home "
        "from its backup.",
    ),
    "UNATTESTED_FILE": (
        "A file lies among attested ones that no evidence names.",
        "Remove the file; bring data in through `fraud-provenance import`.",
    ),
    "MANIFEST_MALFORMED": (
        "A manifest is not in the canonical form its digest stands for.",
        "Copy the backup of evidence/ over the home's and keep what is newer there "
        "(`fraud-provenance home` prints the folder).",
    ),
    # Evidence
    "EVIDENCE_MISSING": (
        "A statement that the chain needs is not in the evidence store.",
        "Copy the backup of evidence/ over the home's and keep what is newer there; where a step "
        "was killed, `fraud-provenance run` makes it anew.",
    ),
    "EVIDENCE_TAMPERED": (
        "A stored bundle's bytes differ from the digest that names it.",
        "Copy the backup of evidence/ over the home's and keep what is newer there; the log "
        "still holds the bundle's entry.",
    ),
    "EVIDENCE_MALFORMED": (
        "A bundle or statement cannot be read as what it claims to be.",
        "Copy the backup of evidence/ over the home's and keep what is newer there "
        "(`fraud-provenance home` prints the folder).",
    ),
    "JSON_DUPLICATE_KEY": (
        "A JSON object names a key twice, so that two readers could see two things.",
        "Refuse it; ask its producer for a well-formed document.",
    ),
    "PII_IN_ATTESTATION": (
        "A statement for the public log would have held data values: an id, an amount, a card.",
        "Sign names, counts, codes, bounds and aggregates only; examples stay in Data Docs.",
    ),
    "SIZE_LIMIT": (
        "A document is larger, deeper or more numerous than the limits allow.",
        "Refuse it; honest evidence is far below the limits.",
    ),
    "SIGNATURE_MISSING": (
        "An envelope carries no signature.",
        "Run the step again so that it is signed.",
    ),
    "SIGNATURE_COUNT": (
        "An envelope carries more than one signature.",
        "Refuse it; every envelope here has exactly one signer.",
    ),
    "SIGNATURE_INVALID": (
        "A signature, certificate or log proof does not verify.",
        "Treat the artifact as tampered. Copy the backup of evidence/ over the home's and keep "
        "what is newer there.",
    ),
    "TIMESTAMP_INVALID": (
        "The signing time is not vouched for by the trusted timestamp authority.",
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there.",
    ),
    "LOG_ENTRY_MISSING": (
        "The bundle proves no entry in the transparency log.",
        "Run the step again with the log up.",
    ),
    "LOG_ENTRY_MISMATCH": (
        "The log entry that the bundle proves is about another signature.",
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there.",
    ),
    "INCLUSION_INVALID": (
        "The proof that the entry is in the log does not hold.",
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there.",
    ),
    "CHECKPOINT_UNTRUSTED": (
        "The head of a log is not signed by that log, or too few witnesses countersigned it.",
        "Where trust/ was changed, `fraud-provenance up --restore`; else find out who answers at "
        "the log's address. On a new home or log run `fraud-provenance up`.",
    ),
    "LOG_ROLLBACK": (
        "The log has fewer leaves than were seen before.",
        "Restore log/ of the home from its newest copy, then `fraud-provenance audit`; sign "
        "nothing until that passes.",
    ),
    "LOG_FORK": (
        "The log shows another history than the one that was seen before.",
        "Treat the log's key as stolen: stop signing, keep both trees, set up a new log.",
    ),
    "LOG_STALE": (
        "The log shows an older head than the one that stored bundles prove.",
        "Find out who serves the old head; run `fraud-provenance audit` against the log itself.",
    ),
    "LOG_CORRUPT": (
        "A file of the log does not add up to its signed head, or cannot be read.",
        "Restore log/ of the home from a backup or mirror, then `fraud-provenance audit --full`.",
    ),
    "UNEXPECTED_LOG_ENTRY": (
        "Somebody signed under one of our identities what no run of ours stored or announced.",
        "Treat the identity as stolen, find out who signed, then `fraud-provenance revoke log:N`.",
    ),
    "EVIDENCE_ROLLBACK": (
        "The evidence store is older than the log: what was stored last is gone.",
        "Copy the backup of evidence/ over the home's and keep what is newer there, then run "
        "`fraud-provenance audit --full`.",
    ),
    "EVIDENCE_SIDECAR_MISMATCH": (
        "A tag or parameter in MLflow differs from the signed evidence it is a copy of.",
        "Correct MLflow's record and find out who changed it; no gate reads it.",
    ),
    "IDENTITY_UNTRUSTED": (
        "The signing certificate was not issued by the trusted authority.",
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there.",
    ),
    "KEY_NOT_FROM_ROOT": (
        "The bundle names a key of its own instead of a certificate from the trusted authority.",
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there.",
    ),
    "KEY_REVOKED": (
        "The signature was made outside the validity of its certificate, or after its signer was"
        " revoked.",
        "Treat the artifact as forged; run the step again under an identity that is valid.",
    ),
    "IDENTITY_NOT_AUTHORIZED_FOR_STEP": (
        "A valid signer signed a step that the layout gives to another identity.",
        "Find out who used that identity; run the step again under its own.",
    ),
    "ISSUER_MISMATCH": (
        "The signer's name is right but another issuer vouched for it.",
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there.",
    ),
    "PREDICATE_TYPE": (
        "The statement is of another kind than the one required here.",
        "Present the right statement.",
    ),
    "SUBJECT_MISMATCH": (
        "The statement is about another artifact than the one at hand.",
        "Run the step again for this artifact.",
    ),
    "DIGEST_ALG_UNACCEPTABLE": (
        "A material or subject carries no SHA-256.",
        "Run the step again; only SHA-256 names evidence.",
    ),
    "ENVIRONMENT_MISMATCH": (
        "The evidence was made for another environment.",
        "Run the step in this environment.",
    ),
    "PARAM_UNEXPECTED": (
        "A step ran with a parameter that its layout does not know.",
        "Remove the parameter or have the layout changed and approved.",
    ),
    # Lineage
    "MATERIAL_UNEXPLAINED": (
        "An output was made from bytes that no material of its step contains.",
        "Run the step again, reading only through the gate.",
    ),
    "MATERIAL_NOT_ALLOWED": (
        "A step read an asset that its layout does not let it read.",
        "Run the step again, or have the layout changed and approved.",
    ),
    "PARTITION_MISSING": (
        "A partition that is needed is not there.",
        "A day that never landed: `fraud-provenance import FILE`, then `fraud-provenance run`. A "
        "file that is gone: `fraud-provenance rollback ASSET PARTITION`, for a raw day with "
        "`--to DIGEST`.",
    ),
    "SUBJECT_PARTITION_MISMATCH": (
        "The bytes are attested, but for another partition.",
        "Restore the partition's own file; a raw day with `fraud-provenance rollback "
        "raw_transactions DAY --to DIGEST`.",
    ),
    "ORDER_INVALID": (
        "An output was signed before one of its inputs.",
        "Treat the chain as forged; run the step again.",
    ),
    "LINEAGE_CYCLE": (
        "The chain of evidence leads back to itself.",
        "Treat the chain as forged and find out who put it there. Copy the backup of evidence/ "
        "over the home's and keep what is newer there.",
    ),
    "ROLLBACK": (
        "A partition went back to an older version, and no signed decision says so.",
        "Decide it, or restore the newest version: both with `fraud-provenance rollback "
        "raw_transactions DAY --to DIGEST`.",
    ),
    "PARTITION_REVOKED": (
        "The data were revoked, or were made from data that were revoked.",
        "`fraud-provenance import FILE` with the corrected day, then `fraud-provenance run`; a "
        "model built on it is trained and approved anew.",
    ),
    "MODEL_REVOKED": (
        "The model was revoked.",
        "Promote another model; its approval is a new decision.",
    ),
    "STATEMENT_REVOKED": (
        "A statement that this rests on was revoked.",
        "`fraud-provenance run`: a new statement takes its place.",
    ),
    "CHECK_MISSING": (
        "A contract that must judge this data has not.",
        "`fraud-provenance run` judges the partition.",
    ),
    "CHECK_FAILED": (
        "The data broke its contract.",
        "Follow the remedy of each finding. Most often: correct the source, `fraud-provenance "
        "import FILE`, then `fraud-provenance run`.",
    ),
    "DATA_HELD": (
        "The day is unusual, and nobody has accepted it yet.",
        "Look at the day; if it is right, `fraud-provenance accept ASSET DAY --as EMAIL --reason "
        "TEXT`; else correct the source, import the day again and run.",
    ),
    "CHECK_VACUOUS": (
        "A contract passed without evaluating anything.",
        "Have the suite's checks and thresholds in policies/data restored or corrected, then "
        "`fraud-provenance run`.",
    ),
    # Trust root, policy, gates
    "ROOT_DIGEST_MISMATCH": (
        "A file of the trust root is not the one that the release in force fixes.",
        "`fraud-provenance up --restore` puts the file in force back; an honest change is "
        "released by two policy authors (`fraud-provenance approve policies`).",
    ),
    "ROOT_ROLLBACK": (
        "A file of the trust root is that of an earlier release.",
        "`fraud-provenance up --restore` puts the newest trust root back.",
    ),
    "EXPECTATION_CHANGE_UNAPPROVED": (
        "A change to policy, layout, principals, contracts, trust root or tools lacks the "
        "signatures of two policy authors.",
        "Have two policy authors review it; each runs `fraud-provenance approve policies` with "
        "an own --as. Or put the files back.",
    ),
    "IDENTITY_PATTERN": (
        "The layout or the principals name an identity that could match more than one signer.",
        "Write each identity out exactly and have the change approved.",
    ),
    "POLICY_ROLLBACK": (
        "The policy files or the releases are older than what was in force here before.",
        "Restore the newest version of policies/ (git) and of evidence/ (backup); going back is "
        "a new release: `fraud-provenance approve policies` by two policy authors.",
    ),
    "POLICY_REVISION_MISMATCH": (
        "The policy that would decide is not the release that this home verified.",
        "Run the command again; if it persists, `fraud-provenance up --restore`, and copy "
        "the backup of evidence/ over the home's.",
    ),
    "CANARY_FAILED": (
        "A judge did not judge a known case as it must: verifier, cosign or policy.",
        "Trust nothing that it says; find out what was replaced or weakened.",
    ),
    "CONFIG_OVERRIDE": (
        "An environment variable would say whom to trust or what to skip.",
        "Unset it: trust is configured by signed releases only.",
    ),
    "COMMIT_UNTRUSTED": (
        "The model's commit is not on the branch that the policy protects for this environment.",
        "Have the change merged into that branch, fetch it, and train from there.",
    ),
    "ENV_FILE_MISMATCH": (
        "An installed file is not what its package brought, or no package brought it.",
        "Create the environment anew from the lock (`make clean setup`) and train again.",
    ),
    "ENV_LOCK_MISMATCH": (
        "An installed package is not in the lock, or in another version.",
        "Create the environment anew from the lock (`make clean setup`) and train again.",
    ),
    "DECISION_INPUT_MISMATCH": (
        "The policy engine's answer is not about the facts that it was asked about.",
        "Treat the policy engine as replaced. Delete the folder that `tools/build.sh --dir` prints"
        " (a tool that is there is kept), then run `make tools`.",
    ),
    "SECRET_IN_TREE": (
        "A private key or access token lies among code or artifacts.",
        "Remove it and replace the key: whoever has the files has it.",
    ),
    "TOOL_DIGEST_MISMATCH": (
        "A tool's binary is not the one that the release in force fixes.",
        "Delete the folder that `tools/build.sh --dir` prints (a tool that is there is kept), then"
        " run `make tools`. Have another build approved (`fraud-provenance approve policies`).",
    ),
    "POLICY_DIGEST_MISMATCH": (
        "A policy file differs from the signed policy.",
        "Restore the file, or have the change signed by two policy authors"
        " (`fraud-provenance approve policies`, each with their own --as).",
    ),
    "POLICY_UNSIGNED": (
        "The policy has no release in this environment.",
        "Run `fraud-provenance up`, or `fraud-provenance approve policies` as two policy authors.",
    ),
    "POLICY_UNDEFINED": (
        "The policy gave no answer.",
        "Repair the policy: an entry point is missing or misspelt.",
    ),
    "POLICY_EVAL_ERROR": (
        "The policy could not be evaluated on this input.",
        "Repair the policy or the input that broke it.",
    ),
    "INPUT_INVALID": (
        "The policy's input does not match its schema.",
        "Repair the evidence that the input is built from.",
    ),
    "INPUT_MISSING": (
        "A fact that the policy needs is missing from its input.",
        "Repair the evidence that the fact is taken from.",
    ),
    "INPUT_TYPE": (
        "A fact in the policy's input is of the wrong type.",
        "Repair the evidence that the fact is taken from.",
    ),
    "INPUT_UNVERIFIED_FIELD": (
        "The policy's input holds a field that nobody verified.",
        "Remove the field; facts are built from verified evidence only.",
    ),
    "GATE_DENIED": (
        "A gate refused; its reasons are listed with it.",
        "Follow the remedy of each reason.",
    ),
    "APPROVAL_UNKNOWN_PERSON": (
        "The signer is not a principal that the policy knows.",
        "Have a person of policies/data/principals.json approve, or have this one added there "
        "and released (`fraud-provenance approve policies`).",
    ),
    "SELF_APPROVAL": (
        "The approver is the principal that trained the model.",
        "Have another person, with the role approver, run `fraud-provenance approve "
        "model@candidate`.",
    ),
    "APPROVAL_ROLE": (
        "The signer of the approval may not approve.",
        "Have a person with the role approver run `fraud-provenance approve model@candidate`.",
    ),
    "APPROVAL_ENV": (
        "The approval is for another environment.",
        "`fraud-provenance approve model@candidate`, with --environment for where the model "
        "shall run.",
    ),
    "ALIAS_WITHOUT_DECISION": (
        "The registry's alias names a version that no valid decision allows.",
        "Promote through `fraud-provenance approve` and the promotion job.",
    ),
    "DECISION_SUPERSEDED": (
        "A newer decision replaced the one that allowed this version.",
        "Promote again; going back is a new decision.",
    ),
    "DECISION_MISSING": (
        "No allowing decision exists for this artifact.",
        "Pass the gate first.",
    ),
    "SOURCE_MISMATCH": (
        "The registry points at files outside this home's model store.",
        "Restore mlflow/ of the home from its backup; models are registered by the pipeline only.",
    ),
    "CAS_CONFLICT": (
        "Another promotion moved the alias first.",
        "Look at the new champion, then approve again if still wanted.",
    ),
    "FORBIDDEN_FORMAT": (
        "The model is in a format that can run code when loaded.",
        "Train again; only XGBoost UBJ is accepted.",
    ),
    "MERKLE_MISMATCH": (
        "The scores are not those whose Merkle root was signed.",
        "Treat the prediction log as edited; compare with the signed batch.",
    ),
    "SEQUENCE_GAP": (
        "A batch of the prediction log is missing.",
        "Copy the backup of evidence/ over the home's and keep what is newer there; the "
        "transparency log still holds the entry.",
    ),
    "CHAIN_BROKEN": (
        "The batches of the prediction log do not follow each other.",
        "Treat the prediction log as edited. Copy the backup of evidence/ over the home's and "
        "keep what is newer there.",
    ),
    "HEARTBEAT_MISSING": (
        "The prediction log has been silent for longer than the policy allows.",
        "Find out why nothing ran; `fraud-provenance run` scores or leaves a heartbeat.",
    ),
    "FEATURE_TRACE_MISMATCH": (
        "The features that a batch logged are not those its scores were made from.",
        "Treat the batch as forged; score the day again.",
    ),
    "FEATURE_SKEW": (
        "Training used another definition of a feature view than the online store.",
        "Fill the online store and train again from the same definitions, then promote.",
    ),
    "FEATURE_TAMPER": (
        "Values in the online store are not those that were attested.",
        "Find out who edited it; materialise the feature store again.",
    ),
    "FEATURE_DEF_MISMATCH": (
        "Feature definitions, or a model's inputs, are not those that were attested.",
        "Materialise the feature store again; definitions change in code only.",
    ),
    "FORMAT_MAGIC": (
        "A model file is not in the format that its name claims.",
        "Treat the model as hostile; train again.",
    ),
    "MODEL_MALFORMED": (
        "A model file does not hold together: lengths, tree indices or numbers are impossible.",
        "Treat the model as hostile; train again.",
    ),
    "RESOURCE_LIMIT": (
        "Reading a file took more memory, processor time or time than the limits allow.",
        "Refuse it; honest files are far below the limits.",
    ),
    "TRANSFORM_FAILED": (
        "A model of the dbt project could not be built, or one of its tests did not hold.",
        "Mend the model or the test that is named, or the days that it reads; run/run.log of the "
        "home has dbt's own words.",
    ),
    "OBJECT_TYPE_CHANGED": (
        "A view, a macro or nothing stands where the features' table must be.",
        "Find out what in the dbt project replaced the table; make the features again.",
    ),
    "TMP_PERMS": (
        "A folder that models pass through, or a private key, is open to others, or is a link.",
        "Take permission from others (`chmod o-w`, for keys `go=`), and replace links. Outside of"
        " the environment local, authorities and their keys belong on other machines.",
    ),
    "SOURCE_SCHEME": (
        "The registry names a model source that is no logged model of this home.",
        "Restore mlflow/ of the home from its backup; models are registered by the pipeline only.",
    ),
    "METRIC_UNSIGNED": (
        "A metric in the registry's run differs from the signed evaluation.",
        "Restore mlflow/ of the home from its backup; only signed metrics count.",
    ),
    "IGNORE_PATHS_UNEXPECTED": (
        "The model signature leaves out paths that its signer chose.",
        "Sign the whole model again.",
    ),
    "FAIL_CLOSED": (
        "The champion could not be established, so nothing is scored.",
        "Make the registry reachable, then run again; no copy stands in for it.",
    ),
    "COSIGN_REJECTED": (
        "The independent verifier (cosign) refuses what this one accepts.",
        "Treat the artifact as tampered and look at both verifiers' outputs.",
    ),
    "APPROVAL_MISSING": (
        "Too few matching approvals by distinct principals.",
        "Have the candidate approved (`fraud-provenance approve model@candidate`), then "
        "`fraud-provenance run`.",
    ),
    "APPROVAL_SUBJECT_MISMATCH": (
        "The approval is for another model.",
        "`fraud-provenance approve model@candidate` for this model.",
    ),
    "APPROVAL_EVIDENCE": (
        "The approval was given on other evidence.",
        "Look at the evidence as it is now, then `fraud-provenance approve model@candidate` again.",
    ),
    "APPROVAL_POLICY": (
        "The approval was given under another policy.",
        "`fraud-provenance approve model@candidate` again, under the current policy.",
    ),
    "APPROVAL_EXPIRED": (
        "The approval is expired or not yet valid.",
        "`fraud-provenance approve model@candidate` again.",
    ),
    "APPROVAL_REVOKED": (
        "The approval was withdrawn.",
        "`fraud-provenance approve model@candidate` again, if the model still deserves it.",
    ),
    "DECISION_EXPIRED": (
        "A promotion's decision counts no more: a champion's for as long as the layout says, one "
        "that was not carried out for minutes and under its own policy.",
        "Promote again: what was not carried out is decided anew. A champion has to be looked at "
        "and approved again.",
    ),
    "EVALUATION_TOO_SMALL": (
        "The evaluation has too few rows or frauds to mean anything.",
        "Evaluate on more days.",
    ),
    "EVAL_ON_TRAIN": (
        "The model was evaluated on data it learnt from.",
        "Evaluate on the test days.",
    ),
    "EVIDENCE_TOO_OLD": (
        "The evidence is older than the layout allows.",
        "Materialise again.",
    ),
    "MODEL_TOO_OLD": (
        "The model is older than the layout allows.",
        "Train again.",
    ),
    "FEATURES_TOO_FEW": (
        "The model has fewer features than the policy demands.",
        "Restore the lost feature view and train again.",
    ),
    "LEAKAGE_FEATURE": (
        "The model uses a column that nobody reviewed.",
        "Remove the column, or have it reviewed and the policy changed.",
    ),
    "APPROVAL_BEFORE_EVIDENCE": (
        "A person's signature is older than something that it names.",
        "Look at the evidence as it is now, then approve (or accept, or waive) again.",
    ),
    "APPROVAL_SUPERSEDED": (
        "A later promotion used up this approval: it was given before that decision.",
        "If this model is to be promoted after all, have it approved again.",
    ),
    "CODE_VERSION_MISMATCH": (
        "What a step made was made by other code than the step has now.",
        "`fraud-provenance run`: what the changed code made is made anew.",
    ),
    "DUPLICATE_KEY_IDENTITY": (
        "Two principals have identities that are the same when written in one form.",
        "Write each person once in policies/data/principals.json, in small letters.",
    ),
    "LOG_ENTRY_KIND": (
        "A log entry is of a kind or version that this log does not make.",
        "Sign the statement again. If the entry is in the log, find out who could use the "
        "log's key.",
    ),
    "PARAM_MISSING": (
        "A step's statement lacks a parameter that the layout demands.",
        "Run the step again with the product's own commands: they write every parameter down.",
    ),
    "PREDLOG_FORK": (
        "Scores that were logged once were logged again and differ, from the same features and "
        "model.",
        "Find out who scored the day again. The first batch is what was decided by at that time; "
        "revoke the version that is wrong, then run.",
    ),
    "PREDLOG_GAP": (
        "The scores are not one row for each transaction of the day's features.",
        "Find out who left rows out. `fraud-provenance revoke transaction_scores/DAY --reason "
        "TEXT`, then `fraud-provenance run --score DAY`.",
    ),
    "ROOT_MALFORMED": (
        "A trust root or witness file cannot be used, has a key that does not say since when it "
        "counts, or what was signed before does not verify under it.",
        "`fraud-provenance up --restore` puts the file in force back; then mend the file that is "
        "named and release it. The release before stays in force until then.",
    ),
    "SECRET_IN_ATTESTATION": (
        "What was about to be signed or logged holds a token, a key or a password.",
        "Take the secret out of the step's outputs or parameters, and have it replaced: it "
        "may be known.",
    ),
    "SNAPSHOT_INCOHERENT": (
        "What was read rests on two versions of one partition, or on one that was no longer "
        "the newest.",
        "Run again: what was made from an older version is made anew. Where the newer version "
        "failed its contracts, correct that day or roll it back first.",
    ),
    "THRESHOLD_OUT_OF_RANGE": (
        "The model's threshold, or the share of transactions that it would alert on, is "
        "outside of the policy's bounds.",
        "Train a model whose threshold alerts within the bounds, or have the bounds changed.",
    ),
    "GIT_DIRTY": (
        "Something in the lineage was made from a work tree that is not exactly a commit.",
        "Commit the changes, then run again: what the changed tree made is made anew.",
    ),
    "GIT_UNAVAILABLE": (
        "Which code this is could not be read: the commit, its tree or the files are not whole.",
        "Mend what is named (`git fsck` helps) or clone anew, then run again.",
    ),
    "METRIC_BELOW_MINIMUM": (
        "A metric is below the policy's minimum.",
        "Train a better model, or have the threshold changed.",
    ),
    "PARTITION_DUPLICATE": (
        "Two statements claim the same partition.",
        "A raw day: name the one that counts, `fraud-provenance rollback raw_transactions DAY --to "
        "DIGEST`. Anything else: materialise the partition again in the UI.",
    ),
    "POLICY_AUTHOR_UNKNOWN": (
        "Fewer than two distinct principals signed the policy.",
        "Have two policy authors sign it (`fraud-provenance approve policies`).",
    ),
    "POLICY_DATA_INVALID": (
        "Layout, principals or thresholds are missing or contradict themselves.",
        "Repair policies/data in the checkout and have it signed by two policy authors "
        "(`fraud-provenance approve policies`).",
    ),
    "PRODUCER_UNKNOWN": (
        "No step of the layout produces this asset.",
        "Read an asset that the layout knows.",
    ),
    "PURPOSE_NOT_ALLOWED": (
        "The step may not read for this purpose.",
        "Ask as the layout lists it, or have the layout changed.",
    ),
    "REGISTRATION_POLICY": (
        "The model was registered under another policy.",
        "Register it again.",
    ),
    "ROLE_CONFLICT": (
        "One principal holds two roles that must be apart.",
        "Have another principal act.",
    ),
    "STEP_UNKNOWN": (
        "The layout knows no such step.",
        "Correct the step's name or the layout.",
    ),
    "CLOCK_BEHIND": (
        "This machine's clock is behind what was signed before: what it signed now could never be"
        " verified, so nothing was.",
        "Correct the clock, then run again.",
    ),
    "TIME_SKEW": (
        "A time lies in the future or cannot be read.",
        "Correct the clock.",
    ),
    "TRAINER_UNKNOWN": (
        "Nobody answers for the identity that trained the model.",
        "Add it to policies/data/principals.json and have that signed by two policy authors "
        "(`fraud-provenance approve policies`).",
    ),
    # Could not decide: retry after the cause is mended
    "LOG_UNAVAILABLE": (
        "No dated entry in the transparency log could be had in time.",
        "Run `fraud-provenance up`, then run again.",
    ),
    "WITNESS_UNAVAILABLE": (
        "Too few witnesses answered to countersign the log's head.",
        "Make the witnesses of trust/witnesses.json reachable, then run again.",
    ),
    "TIMESTAMP_UNAVAILABLE": (
        "The timestamp authority did not answer in time.",
        "Run `fraud-provenance up`, then run again.",
    ),
    "AUTHORITY_UNAVAILABLE": (
        "The certificate authority or identity issuer did not answer in time.",
        "Run `fraud-provenance up`, then run again.",
    ),
    "POLICY_UNAVAILABLE": (
        "The policy engine could not be run.",
        "Run `make tools`, then run again.",
    ),
    "STORAGE_UNAVAILABLE": (
        "The disk, a database or the data version store (DVC) could not be used.",
        "Make room, or make the folder or remote reachable, then run again.",
    ),
    "REGISTRY_UNAVAILABLE": (
        "The model registry could not be used.",
        "Make MLflow's store reachable, then run again.",
    ),
    "TOOL_UNAVAILABLE": (
        "A pinned tool is missing or cannot be run.",
        "Run `make tools`, then run again.",
    ),
    "PREDLOG_UNAVAILABLE": (
        "The prediction log cannot be written, so nothing is scored.",
        "Free the disk or run `fraud-provenance up`, then run again.",
    ),
    "CONSUMER_UNAVAILABLE": (
        "A consumer of lineage events did not take them.",
        "Look at its address, its token and what it says, then run the same command again: run "
        "ids stay the same. `fraud-provenance openlineage --out FILE` needs no consumer.",
    ),
    "VERIFY_ERROR": (
        "Verification stopped with an error of its own.",
        "Report it with the message; nothing was trusted.",
    ),
    # Use
    "HOME_MISSING": (
        "There is no home with a trust root here.",
        "Run `fraud-provenance up` first.",
    ),
    "HOME_MOVED": (
        "The home lies elsewhere than where it was made, and its registry names the old place.",
        "Move the folder back to where it was.",
    ),
    "USAGE": (
        "The command cannot be understood.",
        "`fraud-provenance --help` lists the commands; each has a --help of its own.",
    ),
}

UNDECIDED = frozenset(
    RootCause[name]
    for name in (
        "LOG_UNAVAILABLE",
        "WITNESS_UNAVAILABLE",
        "TIMESTAMP_UNAVAILABLE",
        "AUTHORITY_UNAVAILABLE",
        "POLICY_UNAVAILABLE",
        "STORAGE_UNAVAILABLE",
        "REGISTRY_UNAVAILABLE",
        "TOOL_UNAVAILABLE",
        "GIT_UNAVAILABLE",
        "PREDLOG_UNAVAILABLE",
        "CONSUMER_UNAVAILABLE",
        "CLOCK_BEHIND",
        "FAIL_CLOSED",
        "VERIFY_ERROR",
    )
)


def meaning(code: str) -> str:
    """What a root-cause code says, as one sentence.

    >>> meaning("A_CODE_OF_A_RULE")
    'A policy or contract rule refused.'
    """
    return _CAUSES[code][0] if code in _CAUSES else "A policy or contract rule refused."


def remedy(code: str) -> str:
    """What to do about a root-cause code, as one sentence.

    >>> remedy("A_CODE_OF_A_RULE")
    "Follow the rule's own remedy."
    """
    return _CAUSES[code][1] if code in _CAUSES else "Follow the rule's own remedy."
