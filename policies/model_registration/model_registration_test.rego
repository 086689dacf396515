package fraud.model_registration_test

import data.fraud.fixtures_test as fixtures
import data.fraud.model_registration

honest := fixtures.registration

allowed(document) if model_registration.allow with input as document

codes(document) := {found.code | some found in model_registration.reasons with input as document}

# Allow and codes at once. The policy data are the same for all documents: judging them once, elsewhere, is enough.
verdict(document) := {"allow": decision.allow, "codes": {found.code | some found in decision.reasons}} if {
	decision := model_registration.decision with input as document with data.fraud.lib.shape.policy_data_valid as true
}

test_honest_model_is_allowed if {
	allowed(honest)
	model_registration.decision == {"allow": true, "reasons": set()} with input as honest
}

test_values_at_the_minimum_are_allowed if {
	every name, threshold in data.thresholds.metrics {
		allowed(fixtures.replaced(honest, sprintf("/evaluation/metrics/%s", [name]), threshold.value))
	}
	allowed(fixtures.replaced(honest, "/evaluation/rows", data.thresholds.min_evaluation_rows.value))
	allowed(fixtures.replaced(honest, "/evaluation/frauds", data.thresholds.min_evaluation_frauds.value))
	allowed(fixtures.replaced(honest, "/evaluation/alert_rate", data.thresholds.alert_rate.minimum))
	allowed(fixtures.replaced(honest, "/evaluation/alert_rate", data.thresholds.alert_rate.maximum))
	allowed(fixtures.replaced(honest, "/days/newest", "2018-08-07"))
	allowed(fixtures.replaced(honest, "/days/newest", "2018-10-29"))
}

test_dirty_tree_is_allowed_only_where_the_policy_says_so if {
	dirty := fixtures.replaced(honest, "/code/0/git_dirty", true)
	not allowed(dirty)
	allowed(dirty) with data.thresholds.clean_tree_environments.value as ["production"]
	not allowed(dirty) with data.thresholds.clean_tree_environments.value as ["local"]
}

test_each_lie_is_refused_with_its_code if {
	every lie in lies {
		document := fixtures.replaced(honest, lie.path, lie.value)
		verdict(document) == {"allow": false, "codes": lie.codes}
	}
}

unknown_identity := {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}

lies := [
	{"path": "/request/step", "value": "deploy", "codes": {"STEP_UNKNOWN", "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "INPUT_INVALID"}},
	{"path": "/request/identity/subject", "value": "/gates/deployment", "codes": unknown_identity},
	{"path": "/request/environment", "value": "nowhere", "codes": {"ENVIRONMENT_MISMATCH"}},
	{"path": "/request/at", "value": "2026-11-23T08:00:00Z", "codes": {"TIME_SKEW"}},
	{"path": "/request/at", "value": "2027-11-23T08:00:00Z", "codes": {"MODEL_TOO_OLD"}},
	{"path": "/model/signed_at", "value": "2026-01-01T00:00:00Z", "codes": {"MODEL_TOO_OLD"}},
	{"path": "/model/signed_at", "value": "2026-11-24T00:00:00Z", "codes": {"TIME_SKEW"}},
	{"path": "/model/signer/subject", "value": "/steps/evaluate", "codes": unknown_identity},
	{"path": "/model/digest", "value": fixtures.digest(99), "codes": {"SUBJECT_MISMATCH"}},
	{"path": "/model/format", "value": "pickle", "codes": {"FORBIDDEN_FORMAT"}},
	{"path": "/model/files", "value": [], "codes": {"FORBIDDEN_FORMAT"}},
	{"path": "/model/files", "value": ["feature_contract.json"], "codes": {"FORBIDDEN_FORMAT"}},
	{"path": "/model/files", "value": ["a.ubj", "b.ubj"], "codes": {"FORBIDDEN_FORMAT"}},
	{"path": "/model/files", "value": ["model.ubj", "python_model.pkl"], "codes": {"FORBIDDEN_FORMAT"}},
	{"path": "/model/files", "value": ["model.ubj", "../x.json"], "codes": {"FORBIDDEN_FORMAT", "INPUT_INVALID"}},
	{"path": "/model/features", "value": [], "codes": {"FEATURES_TOO_FEW"}},
	{"path": "/model/features", "value": [name | some _ in numbers.range(1, 20); name := "tx_amount"], "codes": {"FEATURES_TOO_FEW"}},
	{"path": "/model/features/0", "value": "chargeback_date", "codes": {"LEAKAGE_FEATURE"}},
	{"path": "/model/features/0", "value": "tx_during_night", "codes": {"FEATURES_TOO_FEW"}},
	{"path": "/model/features", "value": array.reverse(data.thresholds.allowed_features.value), "codes": {"FEATURE_DEF_MISMATCH"}},
	{"path": "/model/features", "value": array.concat(data.thresholds.allowed_features.value, ["tx_amount"]), "codes": {"FEATURE_DEF_MISMATCH"}},
	{"path": "/model/parameters", "value": {}, "codes": {"INPUT_MISSING", "PARAM_MISSING"}},
	{"path": "/model/parameters", "value": {"sample_frac": 0.01}, "codes": {"PARAM_UNEXPECTED", "PARAM_MISSING"}},
	{"path": "/model/parameters/seed", "value": null, "codes": {"PARAM_UNEXPECTED"}},
	{"path": "/model/parameters/seed", "value": "0", "codes": {"PARAM_UNEXPECTED"}},
	{"path": "/model/parameters/objective", "value": "", "codes": {"PARAM_UNEXPECTED"}},
	{"path": "/model/parameters/n_estimators", "value": 0, "codes": {"PARAM_UNEXPECTED"}},
	{"path": "/model/parameters", "value": object.remove(honest.model.parameters, ["seed"]), "codes": {"PARAM_MISSING"}},
	{"path": "/model/parameters", "value": object.remove(honest.model.parameters, ["nthread"]), "codes": {"PARAM_MISSING"}},
	{"path": "/evaluation/threshold", "value": 2, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/threshold", "value": 1, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/threshold", "value": 0, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/alert_rate", "value": 0, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/alert_rate", "value": 0.00009, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/alert_rate", "value": 0.99, "codes": {"THRESHOLD_OUT_OF_RANGE"}},
	{"path": "/evaluation/alert_rate", "value": "0.02", "codes": {"THRESHOLD_OUT_OF_RANGE", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/days/tested_from", "value": "2018-08-07", "codes": {"EVAL_ON_TRAIN"}},
	{"path": "/days/tested_from", "value": "2018-07-25", "codes": {"EVAL_ON_TRAIN"}},
	{"path": "/days/trained_until", "value": "2018-08-01", "codes": {"EVAL_ON_TRAIN"}},
	{"path": "/days/newest", "value": "2018-08-06", "codes": {"IMMATURE_LABELS"}},
	{"path": "/days/newest", "value": "2018-10-30", "codes": {"MODEL_TOO_OLD"}},
	{"path": "/days/newest", "value": "2018-9-30", "codes": {"IMMATURE_LABELS", "MODEL_TOO_OLD", "INPUT_INVALID"}},
	{"path": "/code/0/git_dirty", "value": true, "codes": {"GIT_DIRTY"}},
	{"path": "/code/1/git_commit", "value": "", "codes": {"GIT_DIRTY"}},
	{"path": "/code", "value": [], "codes": {"GIT_DIRTY", "INPUT_INVALID"}},
	{"path": "/evaluation/metrics/auc_roc", "value": 0.69, "codes": {"METRIC_BELOW_MINIMUM"}},
	{"path": "/evaluation/metrics/average_precision", "value": 0.19, "codes": {"METRIC_BELOW_MINIMUM"}},
	{"path": "/evaluation/metrics/card_precision_100", "value": 0.01, "codes": {"METRIC_BELOW_MINIMUM"}},
	{"path": "/evaluation/metrics/auc_roc", "value": 86, "codes": {"METRIC_BELOW_MINIMUM", "INPUT_INVALID"}},
	{"path": "/evaluation/metrics/auc_roc", "value": "0.95", "codes": {"METRIC_BELOW_MINIMUM", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/evaluation/rows", "value": 499, "codes": {"EVALUATION_TOO_SMALL"}},
	{"path": "/evaluation/frauds", "value": 4, "codes": {"EVALUATION_TOO_SMALL"}},
	{"path": "/evaluation/frauds", "value": 60000, "codes": {"EVALUATION_TOO_SMALL"}},
	{"path": "/evaluation/rows", "value": "9999", "codes": {"EVALUATION_TOO_SMALL", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/evaluation/model_digest", "value": fixtures.digest(99), "codes": {"SUBJECT_MISMATCH"}},
	{"path": "/evaluation/signer/subject", "value": "/steps/train", "codes": unknown_identity},
	{"path": "/evaluation/training_sha256", "value": [], "codes": {"INPUT_MISSING"}},
	{"path": "/evaluation/training_sha256/1", "value": fixtures.digest(4), "codes": {"EVAL_ON_TRAIN"}},
	{"path": "/contracts", "value": [], "codes": {"CHECK_MISSING"}},
	{"path": "/contracts/4", "value": fixtures.contract_count("training_set", "other"), "codes": {"CHECK_MISSING"}},
	{"path": "/contracts/4/asset", "value": "raw_transactions", "codes": {"CHECK_MISSING"}},
	{"path": "/contracts/4/passed", "value": 20, "codes": {"CHECK_FAILED"}},
	{"path": "/contracts/4/passed", "value": 22, "codes": {"CHECK_FAILED"}},
	{"path": "/contracts/4/checks", "value": 0, "codes": {"CHECK_VACUOUS"}},
	{
		"path": "/contracts/4", "value": object.union(
			fixtures.contract_count("training_set", "training_set_point_in_time"),
			{"partitions": 0, "passed": 0},
		),
		"codes": {"CHECK_VACUOUS"},
	},
	{"path": "/evidence/statements", "value": 0, "codes": {"EVIDENCE_MISSING"}},
	{"path": "/evidence/complete", "value": false, "codes": {"EVIDENCE_MISSING"}},
	{"path": "/evidence/missing", "value": ["features@2018-04-01"], "codes": {"EVIDENCE_MISSING"}},
	{"path": "/model_signature/signer/subject", "value": "/steps/score", "codes": unknown_identity},
]

test_asset_of_a_dirty_tree_is_named if {
	document := fixtures.replaced(honest, "/code/0/git_dirty", true)
	{found.subject | some found in model_registration.reasons with input as document} == {"transaction_features"}
}

test_missing_evidence_is_named if {
	document := fixtures.replaced(honest, "/evidence/missing", ["features@2018-04-01"])
	subjects := {found.subject | some found in model_registration.reasons with input as document}
	subjects == {"evidence", "features@2018-04-01"}
}

test_each_missing_contract_is_named if {
	document := fixtures.replaced(honest, "/contracts", [])
	found := {reason | some reason in model_registration.reasons with input as document}
	count(found) == 5
}

test_layout_without_contracts_is_refused if {
	not allowed(honest) with data.layout.contracts as {}
	"POLICY_DATA_INVALID" in codes(honest) with data.layout.contracts as {}
}

test_minimum_that_is_no_number_is_refused if {
	not allowed(honest) with data.thresholds.metrics.auc_roc.value as "0.1"
	codes(honest) == {"METRIC_BELOW_MINIMUM", "POLICY_DATA_INVALID"} with data.thresholds.metrics.auc_roc.value as "0.1"
}

test_field_removed_is_refused if {
	every path in fixtures.field_paths(honest) {
		found := verdict(fixtures.removed(honest, path))
		found.allow == false
		{"INPUT_INVALID", "INPUT_MISSING"} & found.codes == {"INPUT_INVALID", "INPUT_MISSING"}
	}
}

test_field_of_another_type_is_refused if {
	every path in fixtures.field_paths(honest) {
		found := verdict(fixtures.replaced(honest, path, null))
		found.allow == false
		"INPUT_TYPE" in found.codes
	}
}

# The rules themselves refuse what is missing: a schema that accepts everything does not help.
test_field_removed_is_refused_by_its_rule_alone if {
	every removal in removals {
		document := fixtures.removed(honest, removal.path)
		found := verdict(document) with data.schemas.model_registration as {"type": "object"}
		found.allow == false
		removal.code in found.codes
		not "INPUT_INVALID" in found.codes
	}
}

removals := [
	{"path": "/request/step", "code": "STEP_UNKNOWN"},
	{"path": "/request/identity", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/request/environment", "code": "ENVIRONMENT_MISMATCH"},
	{"path": "/request/at", "code": "MODEL_TOO_OLD"},
	{"path": "/request/at", "code": "TIME_SKEW"},
	{"path": "/model/digest", "code": "SUBJECT_MISMATCH"},
	{"path": "/model/signer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/model/signed_at", "code": "MODEL_TOO_OLD"},
	{"path": "/model/signed_at", "code": "TIME_SKEW"},
	{"path": "/model/format", "code": "FORBIDDEN_FORMAT"},
	{"path": "/model/files", "code": "FORBIDDEN_FORMAT"},
	{"path": "/model/features", "code": "FEATURES_TOO_FEW"},
	{"path": "/model/parameters", "code": "INPUT_MISSING"},
	{"path": "/code", "code": "GIT_DIRTY"},
	{"path": "/code/0/git_commit", "code": "GIT_DIRTY"},
	{"path": "/code/1/git_dirty", "code": "GIT_DIRTY"},
	{"path": "/evaluation", "code": "METRIC_BELOW_MINIMUM"},
	{"path": "/evaluation/metrics", "code": "METRIC_BELOW_MINIMUM"},
	{"path": "/evaluation/metrics/card_precision_100", "code": "METRIC_BELOW_MINIMUM"},
	{"path": "/evaluation/rows", "code": "EVALUATION_TOO_SMALL"},
	{"path": "/evaluation/frauds", "code": "EVALUATION_TOO_SMALL"},
	{"path": "/evaluation/signer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/evaluation/model_digest", "code": "SUBJECT_MISMATCH"},
	{"path": "/evaluation/dataset_sha256", "code": "EVAL_ON_TRAIN"},
	{"path": "/evaluation/training_sha256", "code": "EVAL_ON_TRAIN"},
	{"path": "/evaluation/training_sha256", "code": "INPUT_MISSING"},
	{"path": "/evaluation/threshold", "code": "THRESHOLD_OUT_OF_RANGE"},
	{"path": "/evaluation/alert_rate", "code": "THRESHOLD_OUT_OF_RANGE"},
	{"path": "/days", "code": "EVAL_ON_TRAIN"},
	{"path": "/days/trained_until", "code": "EVAL_ON_TRAIN"},
	{"path": "/days/trained_until", "code": "IMMATURE_LABELS"},
	{"path": "/days/trained_until", "code": "MODEL_TOO_OLD"},
	{"path": "/days/tested_from", "code": "EVAL_ON_TRAIN"},
	{"path": "/days/newest", "code": "IMMATURE_LABELS"},
	{"path": "/days/newest", "code": "MODEL_TOO_OLD"},
	{"path": "/contracts", "code": "CHECK_MISSING"},
	{"path": "/contracts/0/asset", "code": "CHECK_MISSING"},
	{"path": "/contracts/0/suite", "code": "CHECK_MISSING"},
	{"path": "/contracts/0/passed", "code": "CHECK_FAILED"},
	{"path": "/contracts/0/partitions", "code": "CHECK_FAILED"},
	{"path": "/contracts/0/partitions", "code": "CHECK_VACUOUS"},
	{"path": "/contracts/0/checks", "code": "CHECK_VACUOUS"},
	{"path": "/evidence", "code": "EVIDENCE_MISSING"},
	{"path": "/evidence/statements", "code": "EVIDENCE_MISSING"},
	{"path": "/evidence/complete", "code": "EVIDENCE_MISSING"},
	{"path": "/evidence/missing", "code": "EVIDENCE_MISSING"},
	{"path": "/model_signature", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
]

test_unverified_field_is_refused if {
	document := fixtures.added(honest, "/evaluation/verified", true)
	codes(document) == {"INPUT_INVALID", "INPUT_UNVERIFIED_FIELD"}
}

# Allow does not rest on the absence of reasons alone.
test_allow_needs_more_than_silence if {
	every document in [fixtures.replaced(honest, "/contracts", []), fixtures.replaced(honest, "/evidence/statements", 0), fixtures.added(honest, "/also", 1)] {
		not allowed(document) with model_registration.reasons as set()
	}
	not allowed(honest) with model_registration.reasons as set() with data.principals as {}
}

test_no_input_is_refused if {
	not model_registration.allow
	"INPUT_INVALID" in {found.code | some found in model_registration.reasons}
}
