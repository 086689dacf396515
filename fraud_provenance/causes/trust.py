"""What to do about what the trust library finds: the commands of this product to type."""

from collections.abc import Mapping
from typing import Final

from fraud_provenance.attested.core.codes import Case, RootCause
from fraud_provenance.causes.told import (
    ACCEPT,
    APPROVE,
    BACKUP,
    DELIVER,
    FACTS,
    FORGED,
    IMPORT,
    MISSIGNED,
    OUT,
    PUT_BACK,
    RELEASE,
    RELEASED,
    RESTORE,
    ROLLBACK_DAY,
    RUN,
    TOOLS,
    UP,
    WAIVE,
)

REMEDIES: Final[Mapping[str, str]] = {
    # Data and artifacts
    RootCause.DIGEST_MISMATCH: (
        f"A raw day, with the digest that is named as attested: {ROLLBACK_DAY}. What is made of "
        f"it: {PUT_BACK}. Anything else: restore the file named from the home's backup."
    ),
    RootCause.PARTITION_MUTATED_AFTER_ATTESTATION: (
        f"Restore the attested version, by the digest that is named: {ROLLBACK_DAY}. Bring late "
        f"rows in as a new version of their day: {DELIVER}."
    ),
    RootCause.ARTIFACT_MISSING: (
        f"A raw day: {ROLLBACK_DAY}. What is made of it: {PUT_BACK}. A model's file: restore "
        "mlflow/ of the home from its backup. Anything else: restore data/."
    ),
    RootCause.UNATTESTED_FILE: (f"Remove the file; bring data in through {IMPORT}."),
    RootCause.MANIFEST_MALFORMED: MISSIGNED,
    # Evidence
    RootCause.EVIDENCE_MISSING: (f"{BACKUP}; where a step was killed, {RUN} makes it anew."),
    RootCause.EVIDENCE_TAMPERED: (f"{BACKUP}; the log still holds the bundle's entry."),
    RootCause.EVIDENCE_MALFORMED: FORGED,
    RootCause.JSON_DUPLICATE_KEY: FORGED,
    RootCause.PII_IN_ATTESTATION: (
        "Take it out of what the step tells: names, counts, codes, bounds and aggregates are "
        f"signed, examples stay in Data Docs. Then {RUN}."
    ),
    RootCause.SIZE_LIMIT: (f"Honest evidence is far below the limits. {OUT}"),
    RootCause.SIGNATURE_MISSING: FORGED,
    RootCause.SIGNATURE_COUNT: FORGED,
    RootCause.SIGNATURE_INVALID: FORGED,
    RootCause.TIMESTAMP_INVALID: FORGED,
    RootCause.LOG_ENTRY_MISSING: FORGED,
    RootCause.LOG_ENTRY_MISMATCH: FORGED,
    RootCause.INCLUSION_INVALID: FORGED,
    RootCause.CHECKPOINT_UNTRUSTED: (
        "Where trust/ was changed, `fraud-provenance up --restore`; else find out who answers at "
        "the log's address. On a new home or log run `fraud-provenance up`."
    ),
    RootCause.LOG_ROLLBACK: (
        "Restore log/ of the home from its newest copy, then `fraud-provenance audit`; sign "
        "nothing until that passes."
    ),
    RootCause.LOG_FORK: (
        "Sign nothing, and keep a copy of log/ of the home. Restore log/ from its newest copy, "
        "then `fraud-provenance audit`. If the log's server shows the other history again, treat "
        "the log's key as stolen: keep both trees, set up a new log."
    ),
    RootCause.LOG_STALE: (
        "Find out who serves the old head; run `fraud-provenance audit` against the log itself."
    ),
    RootCause.LOG_CORRUPT: (
        "Restore log/ of the home from a backup or mirror, then `fraud-provenance audit --full`."
    ),
    RootCause.UNEXPECTED_LOG_ENTRY: (
        "Treat the identity as stolen, find out who signed, then `fraud-provenance revoke log:N "
        "--reason TEXT`, with the entry that is named."
    ),
    RootCause.EVIDENCE_ROLLBACK: (f"{BACKUP}, then run `fraud-provenance audit --full`."),
    RootCause.IDENTITY_UNTRUSTED: FORGED,
    RootCause.KEY_NOT_FROM_ROOT: FORGED,
    RootCause.KEY_REVOKED: (
        f"What a person signed: have another person sign it, a model with {APPROVE}, then {RUN}. "
        f"What a step signed: treat it as forged. {BACKUP}."
    ),
    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP: (MISSIGNED),
    RootCause.ISSUER_MISMATCH: FORGED,
    RootCause.PREDICATE_TYPE: MISSIGNED,
    RootCause.SUBJECT_MISMATCH: (
        f"A model that nothing evaluated: {RUN}, then {APPROVE}. A statement: {MISSIGNED}"
    ),
    RootCause.DIGEST_ALG_UNACCEPTABLE: MISSIGNED,
    RootCause.ENVIRONMENT_MISMATCH: (
        f"{RUN} in this environment makes it here. What was signed for another one: {MISSIGNED}"
    ),
    RootCause.PARAM_UNEXPECTED: (
        f"Remove the parameter, or the variable that sets it; where it is signed: {MISSIGNED} Or "
        f"have the layout changed by two policy authors, each with {RELEASE}."
    ),
    # Lineage
    RootCause.MATERIAL_UNEXPLAINED: MISSIGNED,
    RootCause.MATERIAL_NOT_ALLOWED: (
        f"{MISSIGNED} Or have the layout changed by two policy authors, each with {RELEASE}."
    ),
    RootCause.PARTITION_MISSING: (
        f"A day that never landed: {DELIVER}. A file that is gone: {PUT_BACK}; of a raw day "
        f"{ROLLBACK_DAY}."
    ),
    RootCause.SUBJECT_PARTITION_MISMATCH: (
        f"Restore the partition's own file: a raw day with {ROLLBACK_DAY}, what is made of it "
        f"with {PUT_BACK}."
    ),
    RootCause.ORDER_INVALID: MISSIGNED,
    RootCause.LINEAGE_CYCLE: (
        f"Treat the chain as forged and find out who put it there. {BACKUP}."
    ),
    RootCause.ROLLBACK: (f"Decide it, or restore the newest version: both with {ROLLBACK_DAY}."),
    RootCause.PARTITION_REVOKED: (
        f"Deliver the corrected day: {DELIVER}. A model built on the old one is trained anew by "
        f"that: {APPROVE}, and once more {RUN}."
    ),
    RootCause.MODEL_REVOKED: (f"{RUN} trains another one; then {APPROVE}, and run once more."),
    RootCause.STATEMENT_REVOKED: (f"{RUN}: a new statement takes its place."),
    RootCause.CHECK_MISSING: (f"{RUN} judges the partition."),
    RootCause.CHECK_FAILED: (
        f"Follow the remedy of each finding. Most often: correct the source, {DELIVER}."
    ),
    RootCause.DATA_HELD: (
        f"Look at the day; if it is right, {ACCEPT}, then {RUN}; else correct the source and "
        f"{DELIVER}."
    ),
    RootCause.CHECK_VACUOUS: (
        "`fraud-provenance verify ASSET/PARTITION --json` names the contract's statement; "
        f"`fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and {RUN} judges again. A "
        "suite without checks: have policies/data restored first."
    ),
    # Trust root, policy, gates
    RootCause.ROOT_DIGEST_MISMATCH: (
        f"{RESTORE} puts the file in force back; an honest change is released by two policy "
        f"authors, each with {RELEASE}."
    ),
    RootCause.ROOT_ROLLBACK: (f"{RESTORE} puts the newest trust root back."),
    RootCause.EXPECTATION_CHANGE_UNAPPROVED: (
        f"Have two policy authors review it; each runs {RELEASE}. Or put the files back."
    ),
    RootCause.IDENTITY_PATTERN: (
        "Write each identity out exactly in policies/data, and have that signed by two policy "
        f"authors, each with {RELEASE}."
    ),
    RootCause.POLICY_ROLLBACK: (
        "Restore the newest version of policies/ (git) and of evidence/ (backup); going back is "
        f"a new release: two policy authors, each with {RELEASE}."
    ),
    RootCause.POLICY_REVISION_MISMATCH: (
        f"Run the command again; if it persists, {RESTORE}, and copy the backup of evidence/ over "
        "the home's."
    ),
    RootCause.CANARY_FAILED: (
        "Trust nothing that it says until it judges as it must. Repair a policy that was weakened "
        f"(`git checkout -- policies`), and have it signed by {RELEASED}. A verifier: `make clean "
        f"setup` in a clean clone. cosign or opa: {TOOLS}."
    ),
    RootCause.COMMIT_UNTRUSTED: (
        "Have this very commit merged into that branch, not squashed or rebased, and fetch it; "
        f"then {RUN}."
    ),
    RootCause.ENV_FILE_MISMATCH: (
        f"Create the environment anew from the lock (`make clean setup`), then {RUN} trains again."
    ),
    RootCause.ENV_LOCK_MISMATCH: (
        f"Create the environment anew from the lock (`make clean setup`), then {RUN} trains again."
    ),
    RootCause.DECISION_INPUT_MISMATCH: (
        "Treat the policy engine as replaced. Delete the folder that `tools/build.sh --dir` prints"
        " (a tool that is there is kept), then run `make tools`."
    ),
    RootCause.SECRET_IN_TREE: "Remove it and replace the key: whoever has the files has it.",
    RootCause.POLICY_DIGEST_MISMATCH: (
        "Restore the file (`git checkout -- policies`), or have the change signed by two policy "
        f"authors, each with {RELEASE}."
    ),
    RootCause.POLICY_UNSIGNED: (
        f"In the environment local {UP} signs the first release; elsewhere two policy authors do, "
        f"each with {RELEASE}."
    ),
    RootCause.POLICY_UNDEFINED: (
        "Repair the policy: an entry point is missing or misspelt. Have it signed by two policy "
        f"authors, each with {RELEASE}."
    ),
    RootCause.POLICY_EVAL_ERROR: (
        "Repair the rule that broke, and have it signed by two policy authors, each with "
        f"{RELEASE}; or the input that broke it. A candidate is registered and approved anew "
        f"under it: {RUN}, then {APPROVE}."
    ),
    RootCause.INPUT_INVALID: FACTS,
    RootCause.INPUT_MISSING: FACTS,
    RootCause.INPUT_TYPE: FACTS,
    RootCause.INPUT_UNVERIFIED_FIELD: FACTS,
    RootCause.GATE_DENIED: (
        "Follow the remedy of each reason. A gate that gives none: Repair its policy, and have "
        f"that signed by {RELEASED}."
    ),
    RootCause.APPROVAL_UNKNOWN_PERSON: (
        f"Have a person of policies/data/principals.json sign (a model: {APPROVE}), or have this "
        f"one added there and released: two policy authors, each with {RELEASE}."
    ),
    RootCause.DECISION_MISSING: (
        f"{RUN} asks the gate. Where something else stands in a decision's place: {MISSIGNED}"
    ),
    RootCause.SOURCE_MISMATCH: (
        "Restore mlflow/ of the home from its backup; models are registered by the pipeline only."
    ),
    RootCause.TMP_PERMS: (
        "Make it your own (`chown`), take all permission from others (`chmod go= PATH`), and "
        "replace links. Outside of the environment local, authorities and their keys belong on "
        "other machines."
    ),
    RootCause.APPROVAL_REVOKED: (f"If the model still deserves it, {APPROVE}, then {RUN}."),
    RootCause.APPROVAL_BEFORE_EVIDENCE: (
        f"Look at the evidence as it is now, then sign again: a model with {APPROVE}, a day with "
        f"{ACCEPT} or {WAIVE}; then {RUN}."
    ),
    RootCause.CODE_VERSION_MISMATCH: (f"{RUN}: what the changed code made is made anew."),
    RootCause.DUPLICATE_KEY_IDENTITY: (
        "Write each person once in policies/data/principals.json, in small letters, and have "
        f"that signed by two policy authors, each with {RELEASE}."
    ),
    RootCause.LOG_ENTRY_KIND: FORGED,
    RootCause.PARAM_MISSING: MISSIGNED,
    RootCause.ROOT_MALFORMED: (
        f"{RESTORE} puts the file in force back; then mend the file that is named and release it. "
        "The release before stays in force until then."
    ),
    RootCause.SECRET_IN_ATTESTATION: (
        "Take the secret out of the step's outputs or parameters, and have it replaced, for it "
        f"may be known; then {RUN}."
    ),
    RootCause.SNAPSHOT_INCOHERENT: (
        f"{RUN}: what was made from an older version is made anew. Where the newer version failed "
        f"its contracts, correct that day ({DELIVER}) or roll it back ({ROLLBACK_DAY}) first."
    ),
    RootCause.GIT_UNAVAILABLE: (
        f"Mend what is named (`git fsck` helps) or clone anew, then {RUN}."
    ),
    RootCause.PARTITION_DUPLICATE: (
        f"Of two that claim one version the one that was logged first counts. {MISSIGNED}"
    ),
    RootCause.POLICY_DATA_INVALID: (
        "Repair policies/data in the checkout and have it signed by two policy authors, each "
        f"with {RELEASE}."
    ),
    RootCause.CLOCK_BEHIND: (f"Correct the clock, then {RUN}."),
    RootCause.TIME_SKEW: (f"Correct the clock, then {RUN}."),
    # Could not decide: retry after the cause is mended
    RootCause.LOG_UNAVAILABLE: (f"{UP}, then {RUN}."),
    RootCause.WITNESS_UNAVAILABLE: (
        f"Make the witnesses of trust/witnesses.json reachable, then {RUN}."
    ),
    RootCause.TIMESTAMP_UNAVAILABLE: (f"{UP}, then {RUN}."),
    RootCause.AUTHORITY_UNAVAILABLE: (f"{UP}, then {RUN}."),
    RootCause.POLICY_UNAVAILABLE: (f"`make tools`, then {RUN}."),
    RootCause.STORAGE_UNAVAILABLE: (
        f"Make room, or make the folder or remote reachable and writable, then {RUN}."
    ),
    RootCause.TOOL_UNAVAILABLE: (f"`make tools`, then {RUN}."),
    RootCause.VERIFY_ERROR: (
        f"Run the command again. If it persists, and a tool is named: {TOOLS}. Else report it "
        "with the message to who maintains this product; nothing was trusted."
    ),
    # Use
    RootCause.HOME_MISSING: (f"{UP} makes it."),
    RootCause.USAGE: (
        "`fraud-provenance --help` lists the commands; each has a --help of its own."
    ),
    # Cases: narrower than their code
    Case.TRUST_FILE_UNUSABLE: (f"{UP}, or restore trust/ from its backup."),
    Case.RELEASE_NOT_BINDING: (
        f"{RESTORE} puts the trust root in force back; once the files are right, two policy "
        f"authors sign them again, each with {RELEASE}."
    ),
    Case.PARTITION_HELD: (
        "Look at the day; if it is right: `fraud-provenance accept {asset} {partition} --as "
        "EMAIL --reason TEXT`."
    ),
    Case.GATE_SILENT: (
        "Start `fraud-provenance keep-gate` with the token of that identity (if it runs, it says "
        "why it does not sign), then start the run again."
    ),
}
