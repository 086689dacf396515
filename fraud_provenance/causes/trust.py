"""What to do about what the trust library finds: the commands of this product to type."""

from collections.abc import Mapping
from typing import Final

from fraud_provenance.attested.core.codes import Case, RootCause

REMEDIES: Final[Mapping[str, str]] = {
    # Data and artifacts
    RootCause.DIGEST_MISMATCH: (
        "A raw day: `fraud-provenance rollback raw_transactions DAY --to DIGEST`, or import the "
        "day again and run. What is made of it: `fraud-provenance rollback ASSET PARTITION`. "
        "Anything else: restore the file named from the home's backup."
    ),
    RootCause.PARTITION_MUTATED_AFTER_ATTESTATION: (
        "Restore the attested version: `fraud-provenance rollback raw_transactions DAY --to "
        "DIGEST`. Then import late rows as a new version of their day and run."
    ),
    RootCause.ARTIFACT_MISSING: (
        "A raw day: `fraud-provenance rollback raw_transactions DAY --to DIGEST`. What is made of "
        "it: `fraud-provenance rollback ASSET PARTITION`. Anything else: restore data/ of the home "
        "from its backup."
    ),
    RootCause.UNATTESTED_FILE: (
        "Remove the file; bring data in through `fraud-provenance import`."
    ),
    RootCause.MANIFEST_MALFORMED: (
        "Copy the backup of evidence/ over the home's and keep what is newer there "
        "(`fraud-provenance home` prints the folder)."
    ),
    # Evidence
    RootCause.EVIDENCE_MISSING: (
        "Copy the backup of evidence/ over the home's and keep what is newer there; where a step "
        "was killed, `fraud-provenance run` makes it anew."
    ),
    RootCause.EVIDENCE_TAMPERED: (
        "Copy the backup of evidence/ over the home's and keep what is newer there; the log "
        "still holds the bundle's entry."
    ),
    RootCause.EVIDENCE_MALFORMED: (
        "Copy the backup of evidence/ over the home's and keep what is newer there "
        "(`fraud-provenance home` prints the folder)."
    ),
    RootCause.JSON_DUPLICATE_KEY: "Refuse it; ask its producer for a well-formed document.",
    RootCause.PII_IN_ATTESTATION: (
        "Sign names, counts, codes, bounds and aggregates only; examples stay in Data Docs."
    ),
    RootCause.SIZE_LIMIT: "Refuse it; honest evidence is far below the limits.",
    RootCause.SIGNATURE_MISSING: "Run the step again so that it is signed.",
    RootCause.SIGNATURE_COUNT: "Refuse it; every envelope here has exactly one signer.",
    RootCause.SIGNATURE_INVALID: (
        "Treat the artifact as tampered. Copy the backup of evidence/ over the home's and keep "
        "what is newer there."
    ),
    RootCause.TIMESTAMP_INVALID: (
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there."
    ),
    RootCause.LOG_ENTRY_MISSING: "Run the step again with the log up.",
    RootCause.LOG_ENTRY_MISMATCH: (
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there."
    ),
    RootCause.INCLUSION_INVALID: (
        "Treat the bundle as forged. Copy the backup of evidence/ over the home's and keep what "
        "is newer there."
    ),
    RootCause.CHECKPOINT_UNTRUSTED: (
        "Where trust/ was changed, `fraud-provenance up --restore`; else find out who answers at "
        "the log's address. On a new home or log run `fraud-provenance up`."
    ),
    RootCause.LOG_ROLLBACK: (
        "Restore log/ of the home from its newest copy, then `fraud-provenance audit`; sign "
        "nothing until that passes."
    ),
    RootCause.LOG_FORK: (
        "Treat the log's key as stolen: stop signing, keep both trees, set up a new log."
    ),
    RootCause.LOG_STALE: (
        "Find out who serves the old head; run `fraud-provenance audit` against the log itself."
    ),
    RootCause.LOG_CORRUPT: (
        "Restore log/ of the home from a backup or mirror, then `fraud-provenance audit --full`."
    ),
    RootCause.UNEXPECTED_LOG_ENTRY: (
        "Treat the identity as stolen, find out who signed, then `fraud-provenance revoke log:N`."
    ),
    RootCause.EVIDENCE_ROLLBACK: (
        "Copy the backup of evidence/ over the home's and keep what is newer there, then run "
        "`fraud-provenance audit --full`."
    ),
    RootCause.IDENTITY_UNTRUSTED: (
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there."
    ),
    RootCause.KEY_NOT_FROM_ROOT: (
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there."
    ),
    RootCause.KEY_REVOKED: (
        "Treat the artifact as forged; run the step again under an identity that is valid."
    ),
    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP: (
        "Find out who used that identity; run the step again under its own."
    ),
    RootCause.ISSUER_MISMATCH: (
        "Treat the artifact as forged and find out who put it there. Copy the backup of "
        "evidence/ over the home's and keep what is newer there."
    ),
    RootCause.PREDICATE_TYPE: "Present the right statement.",
    RootCause.SUBJECT_MISMATCH: "Run the step again for this artifact.",
    RootCause.DIGEST_ALG_UNACCEPTABLE: "Run the step again; only SHA-256 names evidence.",
    RootCause.ENVIRONMENT_MISMATCH: "Run the step in this environment.",
    RootCause.PARAM_UNEXPECTED: "Remove the parameter or have the layout changed and approved.",
    # Lineage
    RootCause.MATERIAL_UNEXPLAINED: "Run the step again, reading only through the gate.",
    RootCause.MATERIAL_NOT_ALLOWED: (
        "Run the step again, or have the layout changed and approved."
    ),
    RootCause.PARTITION_MISSING: (
        "A day that never landed: `fraud-provenance import FILE`, then `fraud-provenance run`. A "
        "file that is gone: `fraud-provenance rollback ASSET PARTITION`, for a raw day with "
        "`--to DIGEST`."
    ),
    RootCause.SUBJECT_PARTITION_MISMATCH: (
        "Restore the partition's own file; a raw day with `fraud-provenance rollback "
        "raw_transactions DAY --to DIGEST`."
    ),
    RootCause.ORDER_INVALID: "Treat the chain as forged; run the step again.",
    RootCause.LINEAGE_CYCLE: (
        "Treat the chain as forged and find out who put it there. Copy the backup of evidence/ "
        "over the home's and keep what is newer there."
    ),
    RootCause.ROLLBACK: (
        "Decide it, or restore the newest version: both with `fraud-provenance rollback "
        "raw_transactions DAY --to DIGEST`."
    ),
    RootCause.PARTITION_REVOKED: (
        "`fraud-provenance import FILE` with the corrected day, then `fraud-provenance run`; a "
        "model built on it is trained and approved anew."
    ),
    RootCause.MODEL_REVOKED: "Promote another model; its approval is a new decision.",
    RootCause.STATEMENT_REVOKED: "`fraud-provenance run`: a new statement takes its place.",
    RootCause.CHECK_MISSING: "`fraud-provenance run` judges the partition.",
    RootCause.CHECK_FAILED: (
        "Follow the remedy of each finding. Most often: correct the source, `fraud-provenance "
        "import FILE`, then `fraud-provenance run`."
    ),
    RootCause.DATA_HELD: (
        "Look at the day; if it is right, `fraud-provenance accept ASSET DAY --as EMAIL --reason "
        "TEXT`; else correct the source, import the day again and run."
    ),
    RootCause.CHECK_VACUOUS: (
        "Have the suite's checks and thresholds in policies/data restored or corrected, then "
        "`fraud-provenance run`."
    ),
    # Trust root, policy, gates
    RootCause.ROOT_DIGEST_MISMATCH: (
        "`fraud-provenance up --restore` puts the file in force back; an honest change is "
        "released by two policy authors (`fraud-provenance approve policies`)."
    ),
    RootCause.ROOT_ROLLBACK: "`fraud-provenance up --restore` puts the newest trust root back.",
    RootCause.EXPECTATION_CHANGE_UNAPPROVED: (
        "Have two policy authors review it; each runs `fraud-provenance approve policies` with "
        "an own --as. Or put the files back."
    ),
    RootCause.IDENTITY_PATTERN: "Write each identity out exactly and have the change approved.",
    RootCause.POLICY_ROLLBACK: (
        "Restore the newest version of policies/ (git) and of evidence/ (backup); going back is "
        "a new release: `fraud-provenance approve policies` by two policy authors."
    ),
    RootCause.POLICY_REVISION_MISMATCH: (
        "Run the command again; if it persists, `fraud-provenance up --restore`, and copy "
        "the backup of evidence/ over the home's."
    ),
    RootCause.CANARY_FAILED: (
        "Trust nothing that it says; find out what was replaced or weakened."
    ),
    RootCause.COMMIT_UNTRUSTED: (
        "Have the change merged into that branch, fetch it, and train from there."
    ),
    RootCause.ENV_FILE_MISMATCH: (
        "Create the environment anew from the lock (`make clean setup`) and train again."
    ),
    RootCause.ENV_LOCK_MISMATCH: (
        "Create the environment anew from the lock (`make clean setup`) and train again."
    ),
    RootCause.DECISION_INPUT_MISMATCH: (
        "Treat the policy engine as replaced. Delete the folder that `tools/build.sh --dir` prints"
        " (a tool that is there is kept), then run `make tools`."
    ),
    RootCause.SECRET_IN_TREE: "Remove it and replace the key: whoever has the files has it.",
    RootCause.POLICY_DIGEST_MISMATCH: (
        "Restore the file, or have the change signed by two policy authors"
        " (`fraud-provenance approve policies`, each with their own --as)."
    ),
    RootCause.POLICY_UNSIGNED: (
        "Run `fraud-provenance up`, or `fraud-provenance approve policies` as two policy authors."
    ),
    RootCause.POLICY_UNDEFINED: "Repair the policy: an entry point is missing or misspelt.",
    RootCause.POLICY_EVAL_ERROR: "Repair the policy or the input that broke it.",
    RootCause.INPUT_INVALID: "Repair the evidence that the input is built from.",
    RootCause.INPUT_MISSING: "Repair the evidence that the fact is taken from.",
    RootCause.INPUT_TYPE: "Repair the evidence that the fact is taken from.",
    RootCause.INPUT_UNVERIFIED_FIELD: (
        "Remove the field; facts are built from verified evidence only."
    ),
    RootCause.GATE_DENIED: "Follow the remedy of each reason.",
    RootCause.APPROVAL_UNKNOWN_PERSON: (
        "Have a person of policies/data/principals.json approve, or have this one added there "
        "and released (`fraud-provenance approve policies`)."
    ),
    RootCause.DECISION_MISSING: "Pass the gate first.",
    RootCause.SOURCE_MISMATCH: (
        "Restore mlflow/ of the home from its backup; models are registered by the pipeline only."
    ),
    RootCause.TMP_PERMS: (
        "Take permission from others (`chmod o-w`, for keys `go=`), and replace links. Outside of"
        " the environment local, authorities and their keys belong on other machines."
    ),
    RootCause.APPROVAL_REVOKED: (
        "`fraud-provenance approve model@candidate` again, if the model still deserves it."
    ),
    RootCause.APPROVAL_BEFORE_EVIDENCE: (
        "Look at the evidence as it is now, then approve (or accept, or waive) again."
    ),
    RootCause.CODE_VERSION_MISMATCH: (
        "`fraud-provenance run`: what the changed code made is made anew."
    ),
    RootCause.DUPLICATE_KEY_IDENTITY: (
        "Write each person once in policies/data/principals.json, in small letters."
    ),
    RootCause.LOG_ENTRY_KIND: (
        "Sign the statement again. If the entry is in the log, find out who could use the "
        "log's key."
    ),
    RootCause.PARAM_MISSING: (
        "Run the step again with the product's own commands: they write every parameter down."
    ),
    RootCause.ROOT_MALFORMED: (
        "`fraud-provenance up --restore` puts the file in force back; then mend the file that is "
        "named and release it. The release before stays in force until then."
    ),
    RootCause.SECRET_IN_ATTESTATION: (
        "Take the secret out of the step's outputs or parameters, and have it replaced: it "
        "may be known."
    ),
    RootCause.SNAPSHOT_INCOHERENT: (
        "Run again: what was made from an older version is made anew. Where the newer version "
        "failed its contracts, correct that day or roll it back first."
    ),
    RootCause.GIT_UNAVAILABLE: (
        "Mend what is named (`git fsck` helps) or clone anew, then run again."
    ),
    RootCause.PARTITION_DUPLICATE: (
        "A raw day: name the one that counts, `fraud-provenance rollback raw_transactions DAY --to "
        "DIGEST`. Anything else: materialise the partition again in the UI."
    ),
    RootCause.POLICY_DATA_INVALID: (
        "Repair policies/data in the checkout and have it signed by two policy authors "
        "(`fraud-provenance approve policies`)."
    ),
    RootCause.CLOCK_BEHIND: "Correct the clock, then run again.",
    RootCause.TIME_SKEW: "Correct the clock.",
    # Could not decide: retry after the cause is mended
    RootCause.LOG_UNAVAILABLE: "Run `fraud-provenance up`, then run again.",
    RootCause.WITNESS_UNAVAILABLE: (
        "Make the witnesses of trust/witnesses.json reachable, then run again."
    ),
    RootCause.TIMESTAMP_UNAVAILABLE: "Run `fraud-provenance up`, then run again.",
    RootCause.AUTHORITY_UNAVAILABLE: "Run `fraud-provenance up`, then run again.",
    RootCause.POLICY_UNAVAILABLE: "Run `make tools`, then run again.",
    RootCause.STORAGE_UNAVAILABLE: (
        "Make room, or make the folder or remote reachable and writable, then run again."
    ),
    RootCause.TOOL_UNAVAILABLE: "Run `make tools`, then run again.",
    RootCause.VERIFY_ERROR: "Report it with the message; nothing was trusted.",
    # Use
    RootCause.HOME_MISSING: "Run `fraud-provenance up` first.",
    RootCause.USAGE: (
        "`fraud-provenance --help` lists the commands; each has a --help of its own."
    ),
    # Cases: narrower than their code
    Case.TRUST_FILE_UNUSABLE: "Run `fraud-provenance up`, or restore trust/ from its backup.",
    Case.RELEASE_NOT_BINDING: (
        "`fraud-provenance up --restore` puts the trust root in force back; once the files are"
        " right, two policy authors sign them again (`fraud-provenance approve policies`)."
    ),
    Case.PARTITION_HELD: (
        "Look at the day; if it is right: `fraud-provenance accept {asset} {partition} --as "
        "EMAIL --reason TEXT`."
    ),
}
