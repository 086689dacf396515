package fraud.approvals_test

import data.fraud.fixtures_test as fixtures
import data.fraud.model_deployment

honest := fixtures.deployment

officer := fixtures.approval("model-risk", "risk.officer@example.com")

deputy := fixtures.approval("model-risk-deputy", "risk.deputy@example.com")

with_approvals(approvals) := fixtures.replaced(honest, "/approvals", approvals)

allowed(document) if model_deployment.allow with input as document

codes(document) := {found.code | some found in model_deployment.reasons with input as document}

# Allow and codes at once. The policy data are the same for all documents: judging them once, elsewhere, is enough.
verdict(document) := {"allow": decision.allow, "codes": {found.code | some found in decision.reasons}} if {
	decision := model_deployment.decision with input as document with data.fraud.lib.shape.policy_data_valid as true
}

test_no_approval_is_refused if codes(with_approvals([])) == {"APPROVAL_MISSING"}

test_each_lie_is_refused_with_its_code if {
	every lie in lies {
		document := with_approvals([json.patch(officer, [{"op": "replace", "path": lie.path, "value": lie.value}])])
		verdict(document) == {"allow": false, "codes": lie.codes}
	}
}

lies := [
	{"path": "/model_digest", "value": fixtures.digest(99), "codes": {"APPROVAL_SUBJECT_MISMATCH"}},
	{"path": "/environment", "value": "staging", "codes": {"APPROVAL_ENV"}},
	{"path": "/evidence_set", "value": fixtures.digest(99), "codes": {"APPROVAL_EVIDENCE"}},
	{"path": "/policy_digest", "value": fixtures.digest(99), "codes": {"APPROVAL_POLICY"}},
	{"path": "/expires_at", "value": "2026-11-23T10:00:00Z", "codes": {"APPROVAL_EXPIRED"}},
	{"path": "/expires_at", "value": "never", "codes": {"APPROVAL_EXPIRED", "INPUT_INVALID"}},
	{"path": "/issued_at", "value": "2026-11-23T10:05:01Z", "codes": {"APPROVAL_EXPIRED"}},
	{"path": "/issued_at", "value": "2026-10-01T00:00:00Z", "codes": {"APPROVAL_EXPIRED"}},
	{"path": "/issued_at", "value": "2023-10-01T00:00:00Z", "codes": {"APPROVAL_EXPIRED", "APPROVAL_ROLE"}},
	{"path": "/revoked", "value": true, "codes": {"APPROVAL_REVOKED"}},
	{"path": "/superseded", "value": true, "codes": {"APPROVAL_SUPERSEDED"}},
	{"path": "/roles", "value": [], "codes": {"APPROVAL_ROLE"}},
	{"path": "/roles", "value": ["trainer"], "codes": {"APPROVAL_ROLE"}},
	{"path": "/identity/subject", "value": "stranger@example.com", "codes": {"APPROVAL_ROLE"}},
	{"path": "/identity/issuer", "value": "workloads", "codes": {"APPROVAL_ROLE"}},
	{"path": "/identity/subject", "value": "ml.engineer@example.com", "codes": {"APPROVAL_ROLE"}},
	{"path": "/principal", "value": "model-risk-deputy", "codes": {"APPROVAL_ROLE"}},
	{"path": "/principal", "value": "ml-engineering", "codes": {"SELF_APPROVAL"}},
	{"path": "/principal", "value": "policy-review", "codes": {"SELF_APPROVAL"}},
]

test_trainer_who_approves_is_refused if {
	approval := fixtures.approval("ml-engineering", "ml.engineer@example.com")
	codes(with_approvals([approval])) == {"SELF_APPROVAL"}
}

test_policy_author_who_approves_is_refused if {
	approval := fixtures.approval("policy-office", "policy.author@example.com")
	codes(with_approvals([approval])) == {"SELF_APPROVAL"}
}

test_halves_of_two_approvals_do_not_make_one if {
	here := object.union(officer, {"model_digest": fixtures.digest(99)})
	elsewhere := object.union(deputy, {"environment": "staging"})
	codes(with_approvals([here, elsewhere])) == {"APPROVAL_SUBJECT_MISMATCH", "APPROVAL_ENV"}
}

test_flawed_approval_beside_enough_good_ones_is_no_obstacle if {
	well_formed := [lie | some lie in lies; not "INPUT_INVALID" in lie.codes]
	count(well_formed) > 0
	every lie in well_formed {
		flawed := json.patch(officer, [{"op": "replace", "path": lie.path, "value": lie.value}])
		verdict(with_approvals([deputy, flawed])) == {"allow": true, "codes": set()}
	}
}

test_role_claimed_by_the_input_alone_is_refused if {
	found := verdict(honest) with data.principals.principals as changed({"roles": ["platform"]})
	found == {"allow": false, "codes": {"APPROVAL_ROLE"}}
}

test_approver_whose_office_ended_after_the_approval_is_refused if {
	found := verdict(honest) with data.principals.principals as changed({"valid_until": "2026-11-23T09:45:00Z"})
	found == {"allow": false, "codes": {"APPROVAL_ROLE"}}
}

test_approver_whose_office_began_after_the_approval_is_refused if {
	found := verdict(honest) with data.principals.principals as changed({"valid_from": "2026-11-23T09:45:00Z"})
	found == {"allow": false, "codes": {"APPROVAL_ROLE"}}
}

test_workload_of_an_approver_cannot_approve if {
	robot := fixtures.workload("/steps/robot")
	approval := object.union(officer, {"identity": robot})
	found := verdict(with_approvals([approval])) with data.principals.principals as changed({"identities": [robot]})
	found == {"allow": false, "codes": {"APPROVAL_ROLE"}}
}

test_approver_counts_however_the_address_is_spelled if {
	enrolled := {"issuer": "people", "subject": "Risk.Officer@Example.com"}
	every subject in ["risk.officer@example.com", "RISK.OFFICER@EXAMPLE.COM"] {
		approval := json.patch(officer, [{"op": "replace", "path": "/identity/subject", "value": subject}])
		allowed(with_approvals([approval]))
		allowed(with_approvals([approval])) with data.principals.principals as changed({"identities": [enrolled]})
	}
	tagged := json.patch(officer, [{"op": "replace", "path": "/identity/subject", "value": "risk.officer+x@example.com"}])
	codes(with_approvals([tagged])) == {"APPROVAL_ROLE"}
}

changed(fields) := [entry |
	some principal in data.principals.principals
	entry := {true: object.union(principal, fields), false: principal}[principal.id == "model-risk"]
]

# Two values that are equally absent are not the same value.
test_null_on_both_sides_does_not_match if {
	every pair in [
		{"input": "/model/digest", "approval": "model_digest", "code": "APPROVAL_SUBJECT_MISMATCH"},
		{"input": "/request/environment", "approval": "environment", "code": "APPROVAL_ENV"},
		{"input": "/evidence_set", "approval": "evidence_set", "code": "APPROVAL_EVIDENCE"},
		{"input": "/policy/digest", "approval": "policy_digest", "code": "APPROVAL_POLICY"},
		{"input": "/model/name", "approval": "principal", "code": "SELF_APPROVAL"},
	] {
		document := json.patch(with_approvals([object.union(officer, {pair.approval: null})]), [{"op": "replace", "path": pair.input, "value": null}])
		found := verdict(document) with data.schemas.model_deployment as {"type": "object"}
		found.allow == false
		pair.code in found.codes
	}
}

test_two_demanded_approvals_must_come_from_two_principals if {
	again := object.union(officer, {"statement": fixtures.digest(12)})
	codes(with_approvals([officer, again])) == {"APPROVAL_MISSING"} with data.thresholds.min_approvals.value as 2
	allowed(with_approvals([officer, deputy])) with data.thresholds.min_approvals.value as 2
}

test_shortage_beyond_the_flawed_approvals_is_named_too if {
	stale := object.union(deputy, {"expires_at": "2026-11-23T09:45:00Z"})
	codes(with_approvals([stale])) == {"APPROVAL_EXPIRED", "APPROVAL_MISSING"} with data.thresholds.min_approvals.value as 2
	codes(with_approvals([officer, stale])) == {"APPROVAL_EXPIRED"} with data.thresholds.min_approvals.value as 2
	codes(with_approvals([officer])) == {"APPROVAL_MISSING"} with data.thresholds.min_approvals.value as 2
}

test_no_threshold_makes_approvals_superfluous if {
	not allowed(with_approvals([])) with data.thresholds.min_approvals.value as 0
	"APPROVAL_MISSING" in codes(with_approvals([])) with data.thresholds.min_approvals.value as 0
}

test_threshold_missing_is_refused if {
	thresholds := object.remove(data.thresholds, ["min_approvals"])
	not allowed(honest) with data.thresholds as thresholds
	found := codes(honest) with data.thresholds as thresholds
	{"POLICY_DATA_INVALID", "APPROVAL_MISSING"} & found == {"POLICY_DATA_INVALID", "APPROVAL_MISSING"}
}
