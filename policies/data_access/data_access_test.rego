package fraud.data_access_test

import data.fraud.data_access
import data.fraud.fixtures_test as fixtures

honest := fixtures.data_access

allowed(document) if data_access.allow with input as document

codes(document) := {found.code | some found in data_access.reasons with input as document}

# Allow and codes at once. The policy data are the same for all documents: judging them once, elsewhere, is enough.
verdict(document) := {"allow": decision.allow, "codes": {found.code | some found in decision.reasons}} if {
	decision := data_access.decision with input as document with data.fraud.lib.shape.policy_data_valid as true
}

contracting := {
	"request": {
		"step": "contracts",
		"identity": fixtures.workload("/steps/contracts"),
		"environment": "local",
		"asset": "raw_transactions",
		"purpose": "contract",
		"at": "2026-11-23T10:00:00Z",
	},
	"partitions": [object.union(fixtures.partition("2018-04-01"), {"contracts": []})],
}

scoring_model := {
	"request": {
		"step": "score",
		"identity": fixtures.workload("/steps/score"),
		"environment": "local",
		"asset": "fraud_model",
		"purpose": "score",
		"at": "2026-11-23T10:00:00Z",
	},
	"partitions": [object.union(fixtures.partition(""), {
		"signer": fixtures.workload("/steps/train"),
		"contracts": [],
	})],
}

test_honest_request_is_allowed if {
	allowed(honest)
	data_access.decision == {"allow": true, "reasons": set()} with input as honest
}

test_contracts_may_read_before_contracts_exist if allowed(contracting)

test_contracts_may_read_again_what_failed if {
	failed := object.union(fixtures.contract_result("raw_schema"), {"result": "FAILED", "checks": 0})
	allowed(fixtures.replaced(contracting, "/partitions/0/contracts", [failed]))
}

held := fixtures.replaced(honest, "/partitions/0/contracts/1", fixtures.held_contract("raw_expectations"))

accepting(path, value) := fixtures.replaced(held, sprintf("/partitions/0/contracts/1%s", [path]), value)

test_held_partition_is_readable_once_it_is_accepted if allowed(held)

test_contracts_may_read_what_is_held if {
	unseen := object.union(fixtures.held_contract("raw_expectations"), {"acceptances": []})
	allowed(fixtures.replaced(contracting, "/partitions/0/contracts", [unseen]))
}

test_each_flaw_of_an_acceptance_holds_the_partition if {
	every flaw in flaws {
		verdict(accepting(flaw.path, flaw.value)) == {"allow": false, "codes": {"DATA_HELD"}}
	}
}

flaws := [
	{"path": "/acceptances", "value": []},
	{"path": "/findings", "value": []},
	{"path": "/findings", "value": [fixtures.digest(31), fixtures.digest(35)]},
	{"path": "/acceptances/0/findings", "value": [fixtures.digest(31)]},
	{"path": "/acceptances/0/asset", "value": "transaction_features"},
	{"path": "/acceptances/0/partition", "value": "2018-04-02"},
	{"path": "/acceptances/0/sha256", "value": fixtures.digest(22)},
	{"path": "/acceptances/0/environment", "value": "production"},
	{"path": "/acceptances/0/signed_at", "value": "2026-11-23T10:05:01Z"},
	{"path": "/acceptances/0/signed_at", "value": "2016-11-23T10:05:01Z"},
	{"path": "/acceptances/0/signer", "value": fixtures.person("risk.officer@example.com")},
	{"path": "/acceptances/0/signer", "value": fixtures.person("nobody@example.com")},
	{"path": "/acceptances/0/signer", "value": fixtures.workload("data.owner@example.com")},
]

# A held partition needs its facts: without them no acceptance is found, whatever the schema says.
test_held_partition_without_facts_is_refused_by_the_rule_alone if {
	every path in ["/findings", "/acceptances", "/acceptances/0/sha256", "/acceptances/0/signer"] {
		document := fixtures.removed(held, sprintf("/partitions/0/contracts/1%s", [path]))
		found := verdict(document) with data.schemas.data_access as {"type": "object"}
		found == {"allow": false, "codes": {"DATA_HELD"}}
	}
}

test_acceptance_excuses_no_failure if {
	verdict(accepting("/result", "FAILED")) == {"allow": false, "codes": {"CHECK_FAILED"}}
}

test_refusal_of_a_held_partition_names_the_command if {
	reasons := data_access.reasons with input as accepting("/acceptances", [])
	some reason in reasons
	contains(reason.message, "fraud-provenance accept raw_transactions 2018-04-01 --as")
}

test_model_without_required_suites_is_readable if allowed(scoring_model)

test_files_of_one_statement_are_one_partition if {
	allowed(fixtures.added(honest, "/partitions/-", object.union(fixtures.partition("2018-04-01"), {"sha256": fixtures.digest(22)})))
}

test_partition_of_two_statements_is_refused if {
	other := object.union(fixtures.partition("2018-04-01"), {"statement": fixtures.digest(22)})
	document := fixtures.added(honest, "/partitions/-", other)
	verdict(document) == {"allow": false, "codes": {"PARTITION_DUPLICATE"}}
}

test_small_clock_skew_is_allowed if allowed(fixtures.replaced(honest, "/partitions/0/signed_at", "2026-11-23T10:04:59.5Z"))

test_each_lie_is_refused_with_its_code if {
	every lie in lies {
		document := fixtures.replaced(honest, lie.path, lie.value)
		verdict(document) == {"allow": false, "codes": lie.codes}
	}
}

lies := [
	{"path": "/request/step", "value": "nobody", "codes": {
		"STEP_UNKNOWN", "IDENTITY_NOT_AUTHORIZED_FOR_STEP", "ENVIRONMENT_MISMATCH",
		"PURPOSE_NOT_ALLOWED", "MATERIAL_NOT_ALLOWED", "PARTITION_MISSING",
	}},
	{"path": "/request/identity/subject", "value": "/steps/train", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/request/identity/subject", "value": "/steps/features2", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/request/identity/issuer", "value": "people", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/request/environment", "value": "production", "codes": {"ENVIRONMENT_MISMATCH"}},
	{"path": "/request/purpose", "value": "contract", "codes": {"PURPOSE_NOT_ALLOWED"}},
	{"path": "/request/purpose", "value": "score", "codes": {"PURPOSE_NOT_ALLOWED"}},
	{"path": "/request/asset", "value": "training_set", "codes": {
		"MATERIAL_NOT_ALLOWED", "PARTITION_MISSING", "IDENTITY_NOT_AUTHORIZED_FOR_STEP",
	}},
	{"path": "/request/asset", "value": "nothing", "codes": {
		"MATERIAL_NOT_ALLOWED", "PRODUCER_UNKNOWN", "PARTITION_MISSING",
		"IDENTITY_NOT_AUTHORIZED_FOR_STEP", "EVIDENCE_TOO_OLD",
	}},
	{"path": "/request/at", "value": "2026-11-23T08:00:00Z", "codes": {"TIME_SKEW"}},
	{"path": "/request/at", "value": "2036-11-23T08:00:00Z", "codes": {"EVIDENCE_TOO_OLD"}},
	{"path": "/request/at", "value": "today", "codes": {"INPUT_INVALID", "TIME_SKEW", "EVIDENCE_TOO_OLD"}},
	{"path": "/request/at", "value": "2026-11-23T10:00:00Z\n", "codes": {"INPUT_INVALID", "TIME_SKEW", "EVIDENCE_TOO_OLD"}},
	{"path": "/partitions", "value": [], "codes": {"PARTITION_MISSING"}},
	{"path": "/partitions/1/statement", "value": 7, "codes": {"INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/partitions/1/signer/subject", "value": "/steps/train", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/partitions/1/environment", "value": "staging", "codes": {"ENVIRONMENT_MISMATCH"}},
	{"path": "/partitions/1/signed_at", "value": "2026-11-23T10:05:01Z", "codes": {"TIME_SKEW"}},
	{"path": "/partitions/1/signed_at", "value": "2016-11-23T10:05:01Z", "codes": {"EVIDENCE_TOO_OLD"}},
	{"path": "/partitions/1/sha256", "value": "ABC", "codes": {"INPUT_INVALID"}},
	{"path": "/partitions/1/contracts", "value": [], "codes": {"CHECK_MISSING"}},
	{"path": "/partitions/1/contracts", "value": [fixtures.contract_result("raw_schema")], "codes": {"CHECK_MISSING"}},
	{"path": "/partitions/1/contracts/0/result", "value": "FAILED", "codes": {"CHECK_FAILED"}},
	{"path": "/partitions/1/contracts/0/result", "value": "passed", "codes": {"CHECK_FAILED", "INPUT_INVALID"}},
	{"path": "/partitions/1/contracts/0/checks", "value": 0, "codes": {"CHECK_VACUOUS"}},
	{"path": "/partitions/1/contracts/0/rows", "value": 0, "codes": {"CHECK_VACUOUS"}},
	{"path": "/partitions/1/contracts/0/checks", "value": "9", "codes": {"CHECK_VACUOUS", "INPUT_INVALID", "INPUT_TYPE"}},
	{"path": "/partitions/1/contracts/0/signer/subject", "value": "/steps/ingest", "codes": {"IDENTITY_NOT_AUTHORIZED_FOR_STEP"}},
	{"path": "/partitions/1/contracts/0/suite", "value": "feature_schema", "codes": {
		"CHECK_MISSING", "IDENTITY_NOT_AUTHORIZED_FOR_STEP",
	}},
]

test_purpose_contract_excuses_no_other_step if {
	document := json.patch(honest, [
		{"op": "replace", "path": "/request/purpose", "value": "contract"},
		{"op": "replace", "path": "/partitions/0/contracts/0/result", "value": "FAILED"},
		{"op": "replace", "path": "/partitions/0/contracts/1/rows", "value": 0},
	])
	verdict(document) == {"allow": false, "codes": {"PURPOSE_NOT_ALLOWED", "CHECK_FAILED", "CHECK_VACUOUS"}}
}

test_partitions_that_are_no_list_are_refused_by_the_rule_alone if {
	document := fixtures.replaced(honest, "/partitions", {"a": fixtures.partition("2018-04-01")})
	found := verdict(document) with data.schemas.data_access as {"type": "object"}
	found == {"allow": false, "codes": {"PARTITION_MISSING", "PARTITION_DUPLICATE"}}
}

test_failed_twin_of_a_passed_contract_is_refused if {
	failed := object.union(fixtures.contract_result("raw_schema"), {"result": "FAILED"})
	codes(fixtures.added(honest, "/partitions/1/contracts/-", failed)) == {"CHECK_FAILED"}
}

test_pass_and_checks_of_two_results_do_not_add_up if {
	vacuous := object.union(fixtures.contract_result("raw_schema"), {"checks": 0})
	codes(fixtures.added(honest, "/partitions/1/contracts/-", vacuous)) == {"CHECK_VACUOUS"}
}

test_source_without_statements_is_refused if {
	document := fixtures.replaced(honest, "/request", {
		"step": "ingest",
		"identity": fixtures.workload("/steps/ingest"),
		"environment": "local",
		"asset": "landing",
		"purpose": "materialise",
		"at": "2026-11-23T10:00:00Z",
	})
	not allowed(document)
	"PRODUCER_UNKNOWN" in codes(document)
}

test_fewer_partitions_than_the_layout_demands_are_refused if {
	steps := json.patch(data.layout.steps, [{"op": "replace", "path": "/features/materials/0/min", "value": 3}])
	codes(honest) == {"PARTITION_MISSING"} with data.layout.steps as steps
	twice := fixtures.added(honest, "/partitions/-", fixtures.partition("2018-04-01"))
	codes(twice) == {"PARTITION_MISSING"} with data.layout.steps as steps
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
		found := verdict(document) with data.schemas.data_access as {"type": "object"}
		found.allow == false
		removal.code in found.codes
		not "INPUT_INVALID" in found.codes
	}
}

removals := [
	{"path": "/request", "code": "STEP_UNKNOWN"},
	{"path": "/request/step", "code": "STEP_UNKNOWN"},
	{"path": "/request/identity", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/request/identity/issuer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/request/identity/subject", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/request/environment", "code": "ENVIRONMENT_MISMATCH"},
	{"path": "/request/asset", "code": "MATERIAL_NOT_ALLOWED"},
	{"path": "/request/purpose", "code": "PURPOSE_NOT_ALLOWED"},
	{"path": "/request/at", "code": "TIME_SKEW"},
	{"path": "/request/at", "code": "EVIDENCE_TOO_OLD"},
	{"path": "/partitions", "code": "PARTITION_MISSING"},
	{"path": "/partitions", "code": "PARTITION_DUPLICATE"},
	{"path": "/partitions/0/partition", "code": "PARTITION_DUPLICATE"},
	{"path": "/partitions/0/statement", "code": "PARTITION_DUPLICATE"},
	{"path": "/partitions/0/signer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
	{"path": "/partitions/0/signed_at", "code": "TIME_SKEW"},
	{"path": "/partitions/0/environment", "code": "ENVIRONMENT_MISMATCH"},
	{"path": "/partitions/0/contracts", "code": "CHECK_MISSING"},
	{"path": "/partitions/0/contracts/0/suite", "code": "CHECK_MISSING"},
	{"path": "/partitions/0/contracts/0/result", "code": "CHECK_FAILED"},
	{"path": "/partitions/0/contracts/0/checks", "code": "CHECK_VACUOUS"},
	{"path": "/partitions/0/contracts/0/rows", "code": "CHECK_VACUOUS"},
	{"path": "/partitions/0/contracts/0/signer", "code": "IDENTITY_NOT_AUTHORIZED_FOR_STEP"},
]

test_unverified_field_is_refused if {
	document := fixtures.added(honest, "/partitions/0/verified", true)
	not allowed(document)
	codes(document) == {"INPUT_INVALID", "INPUT_UNVERIFIED_FIELD"}
}

# Allow does not rest on the absence of reasons alone.
test_allow_needs_more_than_silence if {
	every document in [fixtures.replaced(honest, "/partitions", []), fixtures.added(honest, "/also", 1)] {
		not allowed(document) with data_access.reasons as set()
	}
	not allowed(honest) with data_access.reasons as set() with data.principals as {}
}

test_no_input_is_refused if {
	not data_access.allow
	{found.code | some found in data_access.reasons} & {"INPUT_INVALID"} == {"INPUT_INVALID"}
}

test_no_schema_is_refused if {
	document := honest
	not allowed(document) with data.schemas as {}
	{"INPUT_INVALID", "POLICY_DATA_INVALID"} == codes(document) with data.schemas as {}
}

test_every_reason_is_complete if {
	every lie in lies {
		document := fixtures.replaced(honest, lie.path, lie.value)
		reasons := data_access.reasons with input as document with data.fraud.lib.shape.policy_data_valid as true
		every reason in reasons {
			object.keys(reason) == {"code", "message", "remedy", "subject"}
			every text in reason {
				is_string(text)
				text != ""
			}
		}
	}
}
