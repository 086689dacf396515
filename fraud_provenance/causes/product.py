"""Root causes of the fraud product, each with what to do: models, people, features and scores."""

from enum import auto

from fraud_provenance.attested.core.codes import Kind
from fraud_provenance.causes.told import (
    APPROVE,
    BACKUP,
    IMPORT,
    MISSIGNED,
    RELEASE,
    RELEASED,
    REPLACE,
    RUN,
    TOOLS,
    UP,
    Told,
)


class ProductCause(Told):
    """Why something is not trusted: what the product's own rooms and policies find."""

    EVIDENCE_SIDECAR_MISMATCH = (
        auto(),
        "A tag or parameter in MLflow differs from the signed evidence it is a copy of.",
        "Correct MLflow's record, or restore mlflow/ of the home from its backup, and find out "
        "who changed it; no gate reads it.",
    )
    CONFIG_OVERRIDE = (
        auto(),
        "An environment variable would say whom to trust or what to skip.",
        "Unset it: trust is configured by signed releases only.",
    )
    TOOL_DIGEST_MISMATCH = (
        auto(),
        "A tool's binary is not the one that the release in force fixes.",
        "Delete the folder that `tools/build.sh --dir` prints (a tool that is there is kept), "
        "then `make tools`. Have another build approved by two policy authors, each with "
        f"{RELEASE}.",
    )
    SELF_APPROVAL = (
        auto(),
        "The approver is the principal that trained the model.",
        f"Have another person, with the role approver, look at it: {APPROVE}, then {RUN}.",
    )
    APPROVAL_ROLE = (
        auto(),
        "The signer of the approval may not approve.",
        f"Have a person with the role approver look at it: {APPROVE}, then {RUN}.",
    )
    APPROVAL_ENV = (
        auto(),
        "The approval is for another environment.",
        f"{APPROVE}, with the environment where the model shall run; then {RUN}.",
    )
    ALIAS_WITHOUT_DECISION = (
        auto(),
        "The registry's alias names a version that no valid decision allows.",
        f"Have the candidate approved ({APPROVE}), then {RUN}: it decides, and moves the alias.",
    )
    DECISION_SUPERSEDED = (
        auto(),
        "A newer decision replaced the one that allowed this version.",
        f"Going back is a new decision: {APPROVE}, then {RUN}.",
    )
    CAS_CONFLICT = (
        auto(),
        "Another promotion moved the alias first.",
        f"Look at the new champion; if the candidate is still wanted, {APPROVE}, then {RUN}.",
    )
    FORBIDDEN_FORMAT = (
        auto(),
        "The model is in a format that can run code when loaded.",
        "Only XGBoost UBJ is accepted. `fraud-provenance verify fraud_model` names its digest, "
        f"`fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and {RUN} trains another "
        "one.",
    )
    MERKLE_MISMATCH = (
        auto(),
        "The scores are not those whose Merkle root was signed.",
        "Treat the prediction log as edited: `fraud-provenance rollback transaction_scores DAY` "
        "puts the signed scores back.",
    )
    SEQUENCE_GAP = (
        auto(),
        "A batch of the prediction log is missing.",
        "Copy the backup of evidence/ over the home's and keep what is newer there; the "
        "transparency log still holds the entry.",
    )
    CHAIN_BROKEN = (
        auto(),
        "The batches of the prediction log do not follow each other.",
        f"Treat the prediction log as edited. {MISSIGNED}",
    )
    HEARTBEAT_MISSING = (
        auto(),
        "The prediction log has been silent for longer than the policy allows.",
        f"Find out why nothing ran; {RUN} scores or leaves a heartbeat.",
    )
    FEATURE_TRACE_MISMATCH = (
        auto(),
        "The features that a batch logged are not those its scores were made from.",
        "Treat the features as edited: `fraud-provenance rollback transaction_features DAY`.",
    )
    FEATURE_SKEW = (
        auto(),
        "Training used another definition of a feature view than the online store.",
        f"{RUN} fills the online store and trains from the same definitions; then {APPROVE}, and "
        "run once more.",
    )
    FEATURE_TAMPER = (
        auto(),
        "Values in the online store are not those that were attested.",
        f"Find out who edited it; remove feast/ of the home, then {RUN} fills it anew.",
    )
    FEATURE_DEF_MISMATCH = (
        auto(),
        "Feature definitions, or a model's inputs, are not those that were attested.",
        f"Remove feast/ of the home, then {RUN} fills it anew; definitions change in code only.",
    )
    FORMAT_MAGIC = (
        auto(),
        "A model file is not in the format that its name claims.",
        "Treat the model as hostile. `fraud-provenance verify fraud_model` names its digest, "
        f"`fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and {RUN} trains another "
        "one.",
    )
    MODEL_MALFORMED = (
        auto(),
        "A model file does not hold together: lengths, tree indices or numbers are impossible.",
        "Treat the model as hostile. `fraud-provenance verify fraud_model` names its digest, "
        f"`fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and {RUN} trains another "
        "one.",
    )
    RESOURCE_LIMIT = (
        auto(),
        "Reading a file took more memory, processor time or time than the limits allow.",
        f"Honest files are far below the limits. Ask the source for the file anew: {REPLACE}.",
    )
    TRANSFORM_FAILED = (
        auto(),
        "A model of the dbt project could not be built, or one of its tests did not hold.",
        f"Mend the model or the test that is named, or the days that it reads, then {RUN}; "
        "run/run.log of the home has dbt's own words.",
    )
    OBJECT_TYPE_CHANGED = (
        auto(),
        "A view, a macro or nothing stands where the features' table must be.",
        f"Find out what in the dbt project replaced the table and take it out, then {RUN} makes "
        "the features again.",
    )
    SOURCE_SCHEME = (
        auto(),
        "The registry names a model source that is no logged model of this home.",
        "Restore mlflow/ of the home from its backup; models are registered by the pipeline only.",
    )
    METRIC_UNSIGNED = (
        auto(),
        "A metric in the registry's run differs from the signed evaluation.",
        "Restore mlflow/ of the home from its backup; only signed metrics count.",
    )
    IGNORE_PATHS_UNEXPECTED = (
        auto(),
        "The model signature leaves out paths that its signer chose.",
        "The whole model has to be signed. `fraud-provenance verify fraud_model` names its "
        f"digest, `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and {RUN} trains "
        "another one.",
    )
    FAIL_CLOSED = (
        auto(),
        "The champion could not be established, so nothing is scored.",
        "Make the registry reachable, or restore mlflow/ of the home from its backup, then "
        f"{RUN}; no copy stands in for it.",
        Kind.UNDECIDED,
    )
    COSIGN_REJECTED = (
        auto(),
        "The independent verifier (cosign) refuses what this one accepts.",
        f"Find out which of the two is wrong. Where cosign was replaced: {TOOLS}. Where it is "
        f"right, treat the artifact as tampered. {BACKUP}.",
    )
    APPROVAL_MISSING = (
        auto(),
        "Too few matching approvals by distinct principals.",
        f"Have the candidate approved: {APPROVE}, then {RUN}.",
    )
    APPROVAL_SUBJECT_MISMATCH = (
        auto(),
        "The approval is for another model.",
        f"Have this model approved: {APPROVE}, then {RUN}.",
    )
    APPROVAL_EVIDENCE = (
        auto(),
        "The approval was given on other evidence.",
        f"Look at the evidence as it is now, then {APPROVE}, then {RUN}.",
    )
    APPROVAL_POLICY = (
        auto(),
        "The approval was given under another policy.",
        f"{RUN} registers the model under the policy in force; then {APPROVE}, and run once more.",
    )
    APPROVAL_EXPIRED = (
        auto(),
        "The approval is expired or not yet valid.",
        f"{APPROVE}, then {RUN}.",
    )
    DECISION_EXPIRED = (
        auto(),
        "A promotion's decision counts no more: a champion's for as long as the layout says, one "
        "that was not carried out for minutes and under its own policy.",
        f"{RUN} decides anew what was not carried out. A champion has to be looked at again "
        f"first: {APPROVE}.",
    )
    EVALUATION_TOO_SMALL = (
        auto(),
        "The evaluation has too few rows or frauds to mean anything.",
        "Evaluate on more days: `fraud-provenance run --test-days N`.",
    )
    EVAL_ON_TRAIN = (
        auto(),
        "The model was evaluated on data it learnt from.",
        f"{RUN} evaluates on the days that come after those learnt from.",
    )
    EVIDENCE_TOO_OLD = (
        auto(),
        "The evidence is older than the layout allows.",
        "`fraud-provenance verify ASSET/PARTITION --json` names the statement; `fraud-provenance "
        "revoke "
        f"DIGEST --reason TEXT` withdraws it, and {RUN} makes a new one.",
    )
    MODEL_TOO_OLD = (
        auto(),
        "The model is older than the layout allows.",
        f"{RUN} trains on the newest days; where none is newer, {IMPORT} first. Then {APPROVE}, "
        "and run once more.",
    )
    FEATURES_TOO_FEW = (
        auto(),
        "The model has fewer features than the policy demands.",
        f"Restore the lost feature view, then {RUN} trains again; or have the threshold in "
        f"policies/data/thresholds.json changed: {RELEASED}.",
    )
    LEAKAGE_FEATURE = (
        auto(),
        "The model uses a column that nobody reviewed.",
        f"Remove the column, then {RUN} trains again; or have it reviewed and added to "
        "allowed_features in policies/data/thresholds.json: two policy authors, each with "
        f"{RELEASE}.",
    )
    APPROVAL_SUPERSEDED = (
        auto(),
        "A later promotion used up this approval: it was given before that decision.",
        "If this model is to be promoted after all: `fraud-provenance approve model:VERSION "
        f"--environment ENV --as EMAIL --reason TEXT`, then {RUN}.",
    )
    PREDLOG_FORK = (
        auto(),
        "Scores that were logged once were logged again and differ, from the same features and "
        "model.",
        "Find out who scored the day again. The first batch is what was decided by at that time; "
        "withdraw the version that is wrong: `fraud-provenance revoke DIGEST --reason TEXT`, "
        f"then {RUN}.",
    )
    PREDLOG_GAP = (
        auto(),
        "The scores are not one row for each transaction of the day's features.",
        "Find out who left rows out. `fraud-provenance revoke transaction_scores/DAY --reason "
        "TEXT`, then `fraud-provenance run --score DAY`.",
    )
    THRESHOLD_OUT_OF_RANGE = (
        auto(),
        "The model's threshold, or the share of transactions that it would alert on, is outside "
        "of the policy's bounds.",
        "Train on other days, `fraud-provenance run --train-days N`, or have the bounds in "
        f"policies/data/thresholds.json changed: two policy authors, each with {RELEASE}.",
    )
    GIT_DIRTY = (
        auto(),
        "Something in the lineage was made from a work tree that is not exactly a commit.",
        f"Commit the changes, or remove what git ignores (`git status --ignored` lists both), then "
        f"{RUN}: what the changed tree made is made "
        "anew.",
    )
    METRIC_BELOW_MINIMUM = (
        auto(),
        "A metric is below the policy's minimum.",
        "Train on more days, `fraud-provenance run --train-days N`, or have the threshold in "
        f"policies/data/thresholds.json changed: two policy authors, each with {RELEASE}; then "
        f"{RUN}.",
    )
    POLICY_AUTHOR_UNKNOWN = (
        auto(),
        "Fewer than two distinct principals signed the policy.",
        "Have each policy author be a principal of its own in policies/data/principals.json, and "
        f"have that signed by {RELEASED}. Then {RUN} registers the model under it; {APPROVE}, and "
        "run once more.",
    )
    PRODUCER_UNKNOWN = (
        auto(),
        "No step of the layout produces this asset.",
        f"Read an asset that the layout knows, or have the layout changed: {RELEASED}.",
    )
    PURPOSE_NOT_ALLOWED = (
        auto(),
        "The step may not read for this purpose.",
        f"Ask as the layout lists it, or have the layout changed: {RELEASED}.",
    )
    REGISTRATION_POLICY = (
        auto(),
        "The model was registered under another policy.",
        f"{RUN} registers the model under the policy in force; then {APPROVE}, and run once more.",
    )
    ROLE_CONFLICT = (
        auto(),
        "One principal holds two roles that must be apart.",
        "Give the trainer and each policy author principals of their own in "
        f"policies/data/principals.json, and have that signed by {RELEASED}. Then {RUN} registers "
        f"the model under it; {APPROVE}, and run once more.",
    )
    STEP_UNKNOWN = (
        auto(),
        "The layout knows no such step.",
        "Correct the step's name or the layout.",
    )
    TRAINER_UNKNOWN = (
        auto(),
        "Nobody answers for the identity that trained the model.",
        "Add it to policies/data/principals.json, with the role trainer, and have that signed by "
        f"{RELEASED}. Then {RUN} registers the model under it; {APPROVE}, and run once more.",
    )
    REGISTRY_UNAVAILABLE = (
        auto(),
        "The model registry could not be used.",
        f"Make MLflow's store reachable, then {RUN}.",
        Kind.UNDECIDED,
    )
    PREDLOG_UNAVAILABLE = (
        auto(),
        "The prediction log cannot be written, so nothing is scored.",
        f"Make room on the disk, or {UP}, then {RUN}.",
        Kind.UNDECIDED,
    )
    CONSUMER_UNAVAILABLE = (
        auto(),
        "A consumer of lineage events did not take them.",
        "Look at its address, its token and what it says, then run the same command again: run "
        "ids stay the same. `fraud-provenance openlineage --out FILE` needs no consumer.",
        Kind.UNDECIDED,
    )
    HOME_MOVED = (
        auto(),
        "The home lies elsewhere than where it was made, and its registry names the old place.",
        "Move the folder back to where it was.",
        Kind.USAGE,
    )
