"""The table: root causes, what brings each about, and the steps that its remedy prints."""

import polars as pl

from fraud_provenance_tests.attacks import (
    cases_approvals,
    cases_code,
    cases_effect,
    cases_evidence,
    cases_governance,
    cases_log,
    cases_policy,
    cases_training,
    honest,
)
from fraud_provenance_tests.attacks import honest_evidence as evidence
from fraud_provenance_tests.attacks import honest_policies as policies
from fraud_provenance_tests.attacks.bundles import changed_bundle
from fraud_provenance_tests.attacks.cases_data import (
    DAY,
    NEW_DAY,
    Change,
    amounts,
    landed,
    one_in,
)
from fraud_provenance_tests.attacks.cases_tampering import OTHER_DAY
from fraud_provenance_tests.attacks.honest import LAST
from fraud_provenance_tests.attacks.judges import (
    FEATURES,
    RAW,
    command,
    data_access,
    ingest,
    job,
    promote,
    registration,
    training,
)
from fraud_provenance_tests.attacks.model import nothing
from fraud_provenance_tests.attacks.remedies import APPROVE, COMMAND, RUN, Cure, Refusal

SCORES = "transaction_scores"
RUNS = command("", *RUN.split()[1:])
DELIVER = (f"{COMMAND} import {{file}}", RUN)
REPLACE = (f"{COMMAND} import {{file}} --replace", RUN)
WAIVE = f"{COMMAND} waive {RAW} {NEW_DAY} --reason holiday"
ACCEPT = f"{COMMAND} accept {RAW} {NEW_DAY} --as data.owner@example.com --reason looked"
RESTORE, UP = f"{COMMAND} up --restore", f"{COMMAND} up"
BACKUP = ("copy evidence",)
FORGED = ("remove the bundle", *BACKUP)
MISSIGNED = (*FORGED, f"{COMMAND} revoke log:{{entry}} --reason stolen")
DECIDED = (APPROVE, RUN)
WITHDRAWN = (f"{COMMAND} revoke {{model}} --reason hostile", RUN)
REGISTERED = (RUN, APPROVE, RUN)


def back(day: str = DAY) -> str:
    """The version of a raw day that counted."""
    return f"{COMMAND} rollback {RAW} {day} --to {{digest}}"


def released_by(second: str) -> tuple[str, ...]:
    """A policy author, and a second one."""
    return tuple(
        f"{COMMAND} approve policies --environment local --as {who} --reason reviewed"
        for who in ("policy.author@example.com", second)
    )


def signed_by_two() -> tuple[str, ...]:
    """Both policy authors."""
    return released_by("policy.reviewer@example.com")


def arrives(change: Change) -> Refusal:
    """The next day arrives, changed, and is judged: what a run does with it first."""
    return Refusal(landed(change), ingest(NEW_DAY))


CHAMPION = command("", "verify", "model@champion")
SIGNS = command("", *WAIVE.split()[1:])
PROMOTE = job("P3", "promotion")
AUDIT = command("P7", "audit")
P1 = data_access(RAW, [DAY])
TRAINS = training(train_days=6)
CURES = (
    # days: held, broken, missing, withdrawn
    Cure("DATA_HELD", "AC-01 nobody accepted", (ACCEPT, RUN)),
    Cure("CHECK_MISSING", "DF-29", (RUN,)),
    Cure("SCHEMA_TYPE", "DF-02", REPLACE[:1]),
    Cure("UNIT_SHIFT", "DF-03", DELIVER),
    Cure("NULL_RATE", "DF-05 nothing", DELIVER[:1]),
    Cure("NON_FINITE", "DF-06 infinite", DELIVER[:1]),
    Cure("DUPLICATE_KEY", "DF-08", REPLACE),
    Cure("DUPLICATE_BUSINESS_KEY", "N8 a second later", REPLACE[:1]),
    Cure("EVENT_TIME_OUTSIDE_PARTITION", "DF-11", REPLACE[:1]),
    Cure("FROZEN_FEED", "DF-32", REPLACE[:1]),
    Cure("VOLUME", arrives(lambda frame: frame.head(400)), REPLACE[:1]),
    Cure("CONSTANT_COLUMN", arrives(amounts(pl.lit(12.5))), DELIVER[:1]),
    Cure("SENTINEL_VALUE", arrives(one_in(12, 999.99)), DELIVER[:1]),
    Cure("COLUMNS_SWAPPED", arrives(honest.swapped), DELIVER[:1]),
    Cure("VALUE_RANGE", arrives(amounts(-pl.col("TX_AMOUNT"))), DELIVER[:1]),
    Cure("STALE_FEED", Refusal(honest.a_day_is_missing, RUNS), DELIVER),
    Cure("EMPTY_PARTITION", Refusal(honest.an_empty_day, RUNS), (WAIVE,)),
    Cure("PARTITION_REVOKED",
         Refusal(honest.said("revoke", f"{RAW}/{LAST}", "--reason", "wrong"), CHAMPION),
         (f"{COMMAND} import {{corrected}}", RUN, APPROVE, RUN)),
    Cure("STATEMENT_REVOKED",
         Refusal(honest.statement_revoked, command("", "verify", f"{RAW}/{LAST}")),
         (RUN,)),
    # data at rest
    Cure("DIGEST_MISMATCH", "DT-01", (back(),)),
    Cure("PARTITION_MUTATED_AFTER_ATTESTATION", "DF-13", (back(),)),
    Cure("ROLLBACK", "DT-07", (back(),)),
    Cure("SUBJECT_PARTITION_MISMATCH", "DT-05",
         (back(), back(OTHER_DAY).replace("{digest}", "{other}"))),
    Cure("UNATTESTED_FILE", "DT-11", ("remove the file",)),
    Cure("PARTITION_MISSING", "DT-12", (f"{COMMAND} rollback {FEATURES} {DAY}",)),
    Cure("SNAPSHOT_INCOHERENT", "DT-06 nothing rebuilt", (RUN,)),
    Cure("MERKLE_MISMATCH", "SV-05 edited", (f"{COMMAND} rollback {SCORES} {LAST}",)),
    Cure("FEATURE_TRACE_MISMATCH", "SV-09", (f"{COMMAND} rollback {FEATURES} {LAST}",)),
    Cure("ARTIFACT_MISSING", Refusal(honest.model_file_lost, CHAMPION), ("restore mlflow",)),
    # evidence and log
    Cure("EVIDENCE_TAMPERED", Refusal(honest.bundle_rots, command("", "verify", FEATURES)), BACKUP),
    Cure("EVIDENCE_MISSING", "LE-01", BACKUP),
    Cure("EVIDENCE_ROLLBACK", "OP-11 audit", ("copy evidence", f"{COMMAND} audit --full")),
    Cure("LOG_ROLLBACK", "TL-06", ("restore log", f"{COMMAND} audit")),
    Cure("SIGNATURE_INVALID", "LE-02", FORGED),
    Cure("SIGNATURE_MISSING", "SI-01", FORGED),
    Cure("SIGNATURE_COUNT", "SI-06", FORGED),
    Cure("TIMESTAMP_INVALID", "SI-15", FORGED),
    Cure("LOG_ENTRY_MISSING", "TL-01", FORGED),
    Cure("LOG_ENTRY_MISMATCH", "TL-02", FORGED),
    Cure("INCLUSION_INVALID", "TL-03", FORGED),
    Cure("IDENTITY_UNTRUSTED", "SI-02", FORGED),
    Cure("ISSUER_MISMATCH", "SI-11", FORGED),
    Cure("KEY_NOT_FROM_ROOT", "SI-13", FORGED),
    Cure("JSON_DUPLICATE_KEY", "LE-10", FORGED),
    Cure("UNEXPECTED_LOG_ENTRY", "TL-11", (f"{COMMAND} revoke log:{{entry}} --reason stolen",)),
    # trust root and policy
    Cure("ROOT_DIGEST_MISMATCH", "SI-21", (RESTORE,)),
    Cure("ROOT_ROLLBACK", "SI-22", (RESTORE,)),
    Cure("ROOT_MALFORMED", "SI-23 log", (RESTORE,)),
    Cure("POLICY_DIGEST_MISMATCH", "PO-01", ("restore the policies",)),
    Cure("EXPECTATION_CHANGE_UNAPPROVED", "SI-24", signed_by_two()),
    # approvals and promotions
    Cure("APPROVAL_SUBJECT_MISMATCH", "AP-03", (APPROVE,)),
    Cure("APPROVAL_ENV", "AP-04", (APPROVE,)),
    Cure("APPROVAL_EXPIRED", "AP-05", (APPROVE,)),
    Cure("APPROVAL_REVOKED", "AP-07", (APPROVE,)),
    Cure("SELF_APPROVAL", "AP-01", (APPROVE,)),
    Cure("APPROVAL_ROLE",
         Refusal(cases_approvals.only("data.owner@example.com"), promote(), "approved"),
         (APPROVE,)),
    Cure("REGISTRATION_POLICY", Refusal(honest.policy_moved, PROMOTE, "approved"), REGISTERED),
    Cure("DECISION_EXPIRED",
         Refusal(cases_effect.killed_too_late, honest.finished_late, "approved"), (RUN,)),
    Cure("ALIAS_WITHOUT_DECISION", "RG-01", DECIDED),
    Cure("MODEL_REVOKED",
         Refusal(honest.said("revoke", "model@champion", "--reason", "wrong"), CHAMPION),
         REGISTERED),
    Cure("KEY_REVOKED", "PT-05 approver, at the move",
         (APPROVE.replace("officer", "deputy"),)),
    Cure("EVAL_ON_TRAIN", "F1", (RUN,)),
    Cure("COMMIT_UNTRUSTED", "RP-02", ("merge",)),
    Cure("GIT_DIRTY", "RP-01", ("commit", RUN)),
    # registry and online store
    Cure("SOURCE_MISMATCH", "RG-02 location", ("restore mlflow",)),
    Cure("SOURCE_SCHEME", "RG-06 file:///etc", ("restore mlflow",)),
    Cure("METRIC_UNSIGNED", "MA-17", ("restore mlflow",)),
    Cure("EVIDENCE_SIDECAR_MISMATCH",
         Refusal(cases_evidence.tagged("run", "git_commit", "0" * 40), command("P6", "audit")),
         ("restore mlflow",)),
    Cure("FAIL_CLOSED", "SV-04 gone", ("restore mlflow", RUN)),
    Cure("FEATURE_TAMPER", "DT-15 edited", ("remove feast", RUN)),
    Cure("FEATURE_DEF_MISMATCH", "DT-16 load", ("remove feast", RUN)),
    # surroundings
    Cure("HOME_MISSING", Refusal(honest.no_home, RUNS), (UP,)),
    Cure("HOME_MOVED", Refusal(honest.moved, RUNS), ("move back",)),
    Cure("LOG_UNAVAILABLE", Refusal(honest.server_away("rekor"), SIGNS), (UP, RUN)),
    Cure("TIMESTAMP_UNAVAILABLE", Refusal(honest.server_away("timestamp"), SIGNS), (UP, RUN)),
    Cure("AUTHORITY_UNAVAILABLE", Refusal(honest.server_away("fulcio"), SIGNS), (UP, RUN)),
    Cure("CONFIG_OVERRIDE", "SV-02 SKIP_VERIFY", ("unset it",)),
    Cure("TMP_PERMS", "RG-09 own folder", ("chmod",)),
    Cure("SECRET_IN_TREE", "SN-01", ("remove the key",)),
    Cure("TIME_SKEW", "OP-08", ("correct the clock", RUN)),
    Cure("APPROVAL_BEFORE_EVIDENCE", "AP-06", (APPROVE,)),
    Cure("FORMAT_MAGIC", "MA-12 model.ubj, evaluation", WITHDRAWN),
    Cure("STORAGE_UNAVAILABLE", Refusal(honest.remote_away, RUNS), ("mount", RUN)),
    Cure("APPROVAL_SUPERSEDED", "F3",
         (f"{COMMAND} approve model:1 --environment local --as risk.officer@example.com "
          "--reason after-all",)),
    Cure("PREDLOG_GAP", "F7 by the audit",
         (f"{COMMAND} revoke {SCORES}/{{scored}} --reason gap",
          f"{COMMAND} run --score {{scored}}")),
    Cure("IGNORE_PATHS_UNEXPECTED", "MA-07", WITHDRAWN),
    Cure("CODE_VERSION_MISMATCH", "RP-11", (RUN,)),
    Cure("FEATURE_RECOMPUTE_MISMATCH", "DT-08 label",
         ("find out who", f"{COMMAND} revoke {FEATURES}/{NEW_DAY} --reason edited", RUN)),
    Cure("APPROVAL_POLICY", Refusal(honest.policy_moved, PROMOTE, "approved"), REGISTERED),
    Cure("THRESHOLD_OUT_OF_RANGE", "F2", (f"{COMMAND} run --train-days 8",)),
    Cure("FORBIDDEN_FORMAT", "MA-11 pickled, evaluation", WITHDRAWN),
    Cure("MODEL_MALFORMED", "MA-14 child is its parent", WITHDRAWN),
    Cure("PREDLOG_UNAVAILABLE", "SV-10", ("make room", RUN)),
    Cure("POLICY_UNAVAILABLE", "OP-05 missing, P1", ("make tools", RUN)),
    Cure("DISTRIBUTION_SHIFT", arrives(amounts((pl.col("TX_AMOUNT") * 3).round(2))), DELIVER[:1]),
    Cure("LABEL_RATE", arrives(honest.all_fraud), DELIVER[:1]),
    Cure("ENCODING", "DF-23 in a name", REPLACE[:1]),
    Cure("SCHEMA_COLUMN_MISSING", "DF-01", REPLACE[:1]),
    Cure("RESOURCE_LIMIT", "DS-03 equal rows", REPLACE[:1]),
    Cure("APPROVAL_MISSING", Refusal(honest.another_model, PROMOTE),
         (APPROVE, f"{COMMAND} run --train-start 2018-04-24")),
    Cure("CAS_CONFLICT", "PT-03", DECIDED),
    Cure("DECISION_SUPERSEDED", "RG-07", DECIDED),
    Cure("PII_IN_ATTESTATION", "SV-15 card", ("take it out of what is told", RUN)),
    Cure("LOG_ENTRY_KIND", "TL-14", FORGED),
    Cure("SIZE_LIMIT", "DS-01 signatures", FORGED),
    Cure("FEATURE_SKEW", "DF-30 champion", (RUN, APPROVE, RUN)),
    Cure("LEAKAGE_FEATURE", "DF-15", ("remove the column", RUN)),
    Cure("SPLIT_CONTAMINATION", "DF-18", ("split by days", RUN)),
    Cure("PIT_LEAKAGE", "DF-16", ("correct the window", RUN)),
    Cure("OBJECT_TYPE_CHANGED", "DT-09", ("take it out", RUN)),
    Cure("IDENTITY_PATTERN", "SI-10", ("write it out", *signed_by_two())),
    Cure("DUPLICATE_KEY_IDENTITY", "SI-19 capitals", ("write it out", *signed_by_two())),
    Cure("CHECKPOINT_UNTRUSTED", "SN-05", ("find out who answers",)),
    Cure("POLICY_UNDEFINED", "PO-02 P1", ("repair the policies", *signed_by_two())),
    Cure("SECRET_IN_ATTESTATION", "SN-09 access token", ("take the secret out", RUN)),
    Cure("PREDLOG_FORK", "SV-06 other scores",
         ("find out who", f"{COMMAND} revoke {{batch}} --reason wrong", RUN)),
    Cure("DECISION_INPUT_MISMATCH", "SN-06", ("make tools",)),
    Cure("LOG_CORRUPT", Refusal(honest.log_rots, command("", "audit", "--full")),
         ("restore log", f"{COMMAND} audit --full")),
    Cure("METRIC_BELOW_MINIMUM", Refusal(honest.a_higher_bar, RUNS),
         ("lower the bar", *signed_by_two(), RUN)),
    Cure("REGISTRY_UNAVAILABLE", Refusal(honest.registry_gone, CHAMPION), ("reachable mlflow",)),
    Cure("PARAM_MISSING", "RP-08 max_depth", MISSIGNED),
    Cure("DIGEST_ALG_UNACCEPTABLE", "LE-05", MISSIGNED),
    Cure("PREDICATE_TYPE", "LE-08", MISSIGNED),
    Cure("PARAM_UNEXPECTED", "LE-20", MISSIGNED),
    Cure("POLICY_EVAL_ERROR", "PO-12",
         ("repair the policies", *signed_by_two(), RUN, APPROVE)),
    Cure("CHECK_FAILED", Refusal(honest.a_failed_day, data_access(RAW, [NEW_DAY])), DELIVER),
    Cure("SUBJECT_MISMATCH", "MA-19", (RUN, APPROVE)),
    Cure("DECISION_MISSING", Refusal(nothing, CHAMPION, "approved"), (RUN,)),
    Cure("GIT_UNAVAILABLE", Refusal(cases_code.missing_tree, TRAINS), ("clone anew", RUN)),
    Cure("LABEL_INCOHERENT", arrives(honest.labels_scattered), DELIVER[:1]),
    Cure("TRANSFORM_FAILED", Refusal(honest.model_broken, cases_training.featured),
         ("mend the model", RUN)),
    Cure("COSIGN_REJECTED", Refusal(cases_policy.verifier(honest.refuses), promote(), "approved"),
         ("make tools",)),
    Cure("VERIFY_ERROR", "PT-09 crash", ("make tools",)),
    Cure("TOOL_DIGEST_MISMATCH",
         Refusal(policies.own_tools(policies.tool_replaced), promote(), "approved"),
         ("build it again",)),
    Cure("CONSUMER_UNAVAILABLE", Refusal(honest.consumer_away, honest.tell),
         ("look at the consumer",)),
    Cure("EVIDENCE_MALFORMED",
         Refusal(changed_bundle(honest.other_media), promote(), "approved"), FORGED),
    Cure("MATERIAL_UNEXPLAINED", Refusal(evidence.made_of_nothing, P1), MISSIGNED),
    Cure("MATERIAL_NOT_ALLOWED", Refusal(evidence.another_material, P1), MISSIGNED),
    Cure("LOG_FORK", Refusal(evidence.rewritten_history, AUDIT), ("restore log",)),
    Cure("LOG_STALE", Refusal(cases_log.show_an_old_head, AUDIT),
         ("the log itself", f"{COMMAND} audit")),
    Cure("INPUT_INVALID", Refusal(policies.asks_of_the_request(policies.other_words), P1),
         ("one commit", *signed_by_two())),
    Cure("INPUT_TYPE", Refusal(policies.asks_of_the_request(policies.another_type), P1),
         ("one commit", *signed_by_two())),
    Cure("INPUT_MISSING", Refusal(policies.asks_of_the_request(policies.a_field_more), P1),
         ("one commit", *signed_by_two())),
    Cure("INPUT_UNVERIFIED_FIELD",
         Refusal(policies.asks_of_the_request(policies.a_field_less), P1),
         ("one commit", *signed_by_two())),
    Cure("GATE_DENIED", Refusal(policies.silent_no, P1),
         ("repair the policies", *signed_by_two())),
    Cure("POLICY_ROLLBACK", Refusal(policies.back_to_the_first, cases_governance.start_check),
         signed_by_two()),
    Cure("POLICY_REVISION_MISMATCH", "PO-09 promotion", ("run again",)),
    Cure("CLOCK_BEHIND", Refusal(policies.clock_behind, SIGNS), ("correct the clock", RUN)),
    Cure("APPROVAL_EVIDENCE",
         Refusal(cases_approvals.only(evidence_set="d" * 64), promote(), "approved"), (APPROVE,)),
    Cure("APPROVAL_UNKNOWN_PERSON",
         Refusal(nothing, command("", *APPROVE.replace("risk.officer@example.com",
                                                       policies.STRANGER).split()[1:]),
                 "approved"),
         ("add the person", *signed_by_two())),
    Cure("ORDER_INVALID",
         Refusal(evidence.read_before_allowed,
                 data_access(FEATURES, [DAY], "training_set")), MISSIGNED),
    Cure("CHECK_VACUOUS", Refusal(evidence.contract_of(checks=()), P1),
         (f"{COMMAND} verify {RAW}/{DAY} --json",
          f"{COMMAND} revoke {{statement}} --reason vacuous", RUN)),
    Cure("EVIDENCE_TOO_OLD", Refusal(policies.old_day, data_access(RAW, [honest.LAST])),
         (f"{COMMAND} verify {RAW}/{LAST} --json",
          f"{COMMAND} revoke {{statement}} --reason old", RUN)),
    Cure("ENV_LOCK_MISMATCH", "RP-03", ("make clean setup", RUN)),
    Cure("MANIFEST_MALFORMED",
         Refusal(evidence.manifest_in_other_bytes,
                 data_access(FEATURES, [DAY], "training_set")), MISSIGNED),
    Cure("ENVIRONMENT_MISMATCH", Refusal(evidence.of_another_environment, P1), MISSIGNED),
    Cure("SEQUENCE_GAP", Refusal(evidence.batch_lost, AUDIT), BACKUP),
    Cure("CHAIN_BROKEN", Refusal(evidence.batch_out_of_line, AUDIT), MISSIGNED),
    Cure("HEARTBEAT_MISSING", Refusal(policies.silence, AUDIT), (RUN,)),
    Cure("PURPOSE_NOT_ALLOWED", Refusal(policies.reads(purposes=["score"]),
                                         policies.read_for("materialise")),
         ("change the layout", *signed_by_two())),
    Cure("POLICY_DATA_INVALID",
         Refusal(policies.no_age, cases_governance.start_check),
         ("repair the policies", *signed_by_two())),
    Cure("CANARY_FAILED", Refusal(policies.anybody_signs, cases_policy.self_check),
         ("repair the policies", *signed_by_two())),
    Cure("WITNESS_UNAVAILABLE", Refusal(policies.witness_away, AUDIT), ("witness back", RUN)),
    Cure("IDENTITY_NOT_AUTHORIZED_FOR_STEP", "SI-03", (*MISSIGNED, RUN, APPROVE)),
    Cure("ENV_FILE_MISMATCH", "RP-04 edited", ("make clean setup", RUN)),
    Cure("MODEL_TOO_OLD", Refusal(policies.an_old_model, registration()), (RUN, APPROVE)),
    Cure("IMMATURE_LABELS",
         Refusal(policies.demands("label_delay_days", 15), registration()),
         (f"{COMMAND} run --delay-days 15 --train-start 2018-04-10",)),
    Cure("TRAINER_UNKNOWN", Refusal(policies.trainer_retired, PROMOTE, "approved"),
         ("make trainer", *signed_by_two(), RUN, APPROVE)),
    Cure("TOOL_UNAVAILABLE",
         Refusal(policies.own_tools(policies.tool_gone), RUNS, "approved"),
         ("build it again", RUN)),
    Cure("PARTITION_DUPLICATE",
         Refusal(evidence.signed_twice, data_access(RAW, [LAST])), MISSIGNED),
    Cure("ROLE_CONFLICT",
         Refusal(policies.people_released(policies.author_trains), PROMOTE, "approved"),
         ("principals apart", *released_by(policies.THIRD), RUN, APPROVE)),
    Cure("POLICY_UNSIGNED", Refusal(policies.killed_before_its_release, RUNS), (UP,)),
    Cure("EVALUATION_TOO_SMALL",
         Refusal(policies.demands("min_evaluation_rows", 9000), registration()),
         (f"{COMMAND} run --test-days 14",)),
    Cure("FEATURES_TOO_FEW",
         Refusal(policies.released("data/thresholds.json", policies.more_features, tried=True),
                 registration()),
         ("lower the bar", *signed_by_two(), RUN)),
    Cure("TRIGGER_SUSPECT", "DF-20",
         (*(f"{COMMAND} import {{without}}/{day}.parquet --replace"
            for day in cases_training.TRAIN_DAYS), RUN)),
)  # fmt: skip
