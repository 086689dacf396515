package fraud.model_deployment_test

import data.fraud.fixtures_test as fixtures
import data.fraud.model_deployment

honest := fixtures.deployment

allowed(document) if model_deployment.allow with input as document

codes(document) := {found.code | some found in model_deployment.reasons with input as document}

# Allow and codes at once. The policy data are the same for all documents: judging them once, elsewhere, is enough.
verdict(document) := {"allow": decision.allow, "codes": {found.code | some found in decision.reasons}} if {
	decision := model_deployment.decision with input as document with data.fraud.lib.shape.policy_data_valid as true
}

test_honest_deployment_is_allowed if {
	allowed(honest)
	model_deployment.decision == {"allow": true, "reasons": set()} with input as honest
}

test_each_lie_is_refused_with_its_code if {
	every lie in lies {
		document := fixtures.replaced(honest, lie.path, lie.value)
		verdict(document) == {"allow": false, "codes": lie.codes}
	}
}

lies := [
	{"path": "/request/step", "value": "release", "codes": {"STEP_UNKNOWN", "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "INPUT_INVALID"}},
	{"path": "/request/identity/subject", "value": "/gates/registration", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/evaluation/metrics/auc_roc", "value": 0.1, "codes": {"METRIC_BELOW_MINIMUM"}},
	{"path": "/evidence/complete", "value": false, "codes": {"EVIDENCE_MISSING"}},
	{"path": "/contracts", "value": [], "codes": {"CHECK_MISSING"}},
	{"path": "/registration/allow", "value": false, "codes": {"DECISION_MISSING"}},
	{"path": "/registration/allow", "value": "true", "codes": {"DECISION_MISSING", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/registration/model_digest", "value": fixtures.digest(99), "codes": {"SUBJECT_MISMATCH"}},
	{"path": "/registration/signer/subject", "value": "/gates/deployment", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/registration/policy_digest", "value": fixtures.digest(99), "codes": {"REGISTRATION_POLICY"}},
	{"path": "/policy/authors", "value": [], "codes": {"POLICY_AUTHOR_UNKNOWN"}},
	{"path": "/policy/authors", "value": ["policy-office"], "codes": {"POLICY_AUTHOR_UNKNOWN"}},
	{"path": "/policy/authors", "value": ["policy-office", "policy-office"], "codes": {"POLICY_AUTHOR_UNKNOWN"}},
	{"path": "/policy/authors", "value": ["policy-office", "ml-engineering"], "codes": {"ROLE_CONFLICT"}},
	{"path": "/trainer/principal", "value": "platform", "codes": {"TRAINER_UNKNOWN"}},
	{"path": "/cosign/verified", "value": 2, "codes": {"COSIGN_REJECTED"}},
	{"path": "/cosign/verified", "value": 4, "codes": {"COSIGN_REJECTED"}},
	{"path": "/cosign", "value": {"verified": 0, "required": 0}, "codes": {"COSIGN_REJECTED"}},
	{"path": "/cosign", "value": {"verified": "3", "required": "3"}, "codes": {"COSIGN_REJECTED", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/evidence_set", "value": fixtures.digest(99), "codes": {"APPROVAL_EVIDENCE"}},
	{"path": "/current/sequence", "value": -1, "codes": {"INPUT_INVALID"}},
	{"path": "/current/champion_digest", "value": "x", "codes": {"INPUT_INVALID"}},
	{"path": "/request/environment", "value": "production", "codes": {"APPROVAL_ENV"}},
]

test_policy_author_who_left_since_is_no_obstacle if {
	codes(honest) == set() with data.principals.principals as retired("policy-review")
}

test_approver_out_of_office_is_refused if {
	codes(honest) == {"APPROVAL_ROLE"} with data.principals.principals as retired("model-risk")
}

test_trainer_out_of_office_is_refused if {
	codes(honest) == {"TRAINER_UNKNOWN"} with data.principals.principals as retired("ml-engineering")
}

retired(id) := [changed |
	some principal in data.principals.principals
	changed := object.union(principal, {"valid_until": {true: "2026-11-01T00:00:00Z", false: principal.valid_until}[principal.id == id]})
]

test_field_removed_is_refused if {
	every path in fixtures.field_paths(honest) {
		found := verdict(fixtures.removed(honest, path))
		found.allow == false
		"INPUT_INVALID" in found.codes
	}
}

# The rules themselves refuse what is missing: a schema that accepts everything does not help.
test_field_removed_is_refused_by_its_rule_alone if {
	every removal in removals {
		document := fixtures.removed(honest, removal.path)
		found := verdict(document) with data.schemas.model_deployment as {"type": "object"}
		found.allow == false
		removal.code in found.codes
		not "INPUT_INVALID" in found.codes
	}
}

removals := [
	{"path": "/request/step", "code": "STEP_UNKNOWN"},
	{"path": "/registration", "code": "DECISION_MISSING"},
	{"path": "/registration/allow", "code": "DECISION_MISSING"},
	{"path": "/registration/model_digest", "code": "SUBJECT_MISMATCH"},
	{"path": "/registration/signer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/registration/policy_digest", "code": "REGISTRATION_POLICY"},
	{"path": "/model/digest", "code": "APPROVAL_SUBJECT_MISMATCH"},
	{"path": "/model/digest", "code": "SUBJECT_MISMATCH"},
	{"path": "/model/signer", "code": "TRAINER_UNKNOWN"},
	{"path": "/model/signed_at", "code": "TRAINER_UNKNOWN"},
	{"path": "/policy", "code": "POLICY_AUTHOR_UNKNOWN"},
	{"path": "/policy/digest", "code": "REGISTRATION_POLICY"},
	{"path": "/policy/digest", "code": "APPROVAL_POLICY"},
	{"path": "/policy/authors", "code": "POLICY_AUTHOR_UNKNOWN"},
	{"path": "/policy/authors", "code": "ROLE_CONFLICT"},
	{"path": "/policy/authors", "code": "SELF_APPROVAL"},
	{"path": "/trainer", "code": "TRAINER_UNKNOWN"},
	{"path": "/trainer/principal", "code": "ROLE_CONFLICT"},
	{"path": "/trainer/principal", "code": "SELF_APPROVAL"},
	{"path": "/evidence_set", "code": "APPROVAL_EVIDENCE"},
	{"path": "/cosign", "code": "COSIGN_REJECTED"},
	{"path": "/cosign/required", "code": "COSIGN_REJECTED"},
	{"path": "/cosign/verified", "code": "COSIGN_REJECTED"},
	{"path": "/request/environment", "code": "APPROVAL_ENV"},
	{"path": "/request/at", "code": "APPROVAL_EXPIRED"},
	{"path": "/request/at", "code": "APPROVAL_ROLE"},
	{"path": "/approvals", "code": "APPROVAL_MISSING"},
	{"path": "/approvals/0/model_digest", "code": "APPROVAL_SUBJECT_MISMATCH"},
	{"path": "/approvals/0/environment", "code": "APPROVAL_ENV"},
	{"path": "/approvals/0/evidence_set", "code": "APPROVAL_EVIDENCE"},
	{"path": "/approvals/0/policy_digest", "code": "APPROVAL_POLICY"},
	{"path": "/approvals/0/issued_at", "code": "APPROVAL_EXPIRED"},
	{"path": "/approvals/0/expires_at", "code": "APPROVAL_EXPIRED"},
	{"path": "/approvals/0/roles", "code": "APPROVAL_ROLE"},
	{"path": "/approvals/0/identity", "code": "APPROVAL_ROLE"},
	{"path": "/approvals/0/principal", "code": "SELF_APPROVAL"},
]

# Allow does not rest on the absence of reasons alone.
test_allow_needs_more_than_silence if {
	every document in [fixtures.replaced(honest, "/contracts", []), fixtures.replaced(honest, "/evidence/statements", 0), fixtures.replaced(honest, "/approvals", []), fixtures.added(honest, "/also", 1)] {
		not allowed(document) with model_deployment.reasons as set()
	}
	not allowed(honest) with model_deployment.reasons as set() with data.principals as {}
}

test_no_input_is_refused if {
	not model_deployment.allow
	"INPUT_INVALID" in {found.code | some found in model_deployment.reasons}
}
