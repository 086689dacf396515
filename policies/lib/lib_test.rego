package fraud.lib_test

import data.fraud.lib
import data.fraud.lib.shape

test_policy_data_are_valid if {
	shape.policy_data_valid
	count(shape.contradictions) == 0
	count(shape.reasons) == 0
}

test_each_contradiction_is_found if {
	every fault in layout_faults {
		layout := json.patch(data.layout, [{"op": fault.op, "path": fault.path, "value": fault.value}])
		contradictions := shape.contradictions with data.layout as layout
		contradictions == fault.found
		codes := {reason.code | some reason in shape.reasons with data.layout as layout}
		codes == {"POLICY_DATA_INVALID"}
	}
}

layout_faults := [
	{
		"op": "replace", "path": "/steps/predictions/produces", "value": "fraud_model",
		"found": {"several steps produce fraud_model"},
	},
	{
		"op": "replace", "path": "/steps/train/materials/0", "value": {"asset": "elsewhere", "min": 1, "requires_suites": []},
		"found": {"train reads elsewhere, which nothing produces"},
	},
	{
		"op": "add", "path": "/steps/train/materials/-", "value": {"asset": "training_set", "min": 0, "requires_suites": []},
		"found": {"train names a material twice"},
	},
	{
		"op": "add", "path": "/steps/train/materials/0/requires_suites/-", "value": "raw_schema",
		"found": {"train requires raw_schema of training_set, which is no contract of it"},
	},
	{
		"op": "replace", "path": "/contracts/raw_schema/step", "value": "nobody",
		"found": {"contract raw_schema has no step that reads its asset"},
	},
]

test_identity_of_two_principals_is_a_contradiction if {
	principals := json.patch(data.principals.principals, [{
		"op": "add", "path": "/1/identities/-",
		"value": {"issuer": "workloads", "subject": "/steps/train"},
	}])
	found := shape.contradictions with data.principals.principals as principals
	found == {"an identity belongs to several principals"}
}

test_person_of_two_principals_is_a_contradiction_however_the_address_is_spelled if {
	every subject in [
		"ML.Engineer@example.com", "ml.engineer@EXAMPLE.com", "ml.engineer@example.com.",
		"ml.engineer+reviews@example.com", "ML.ENGINEER+x+y@Example.Com",
	] {
		found := shape.contradictions with data.principals.principals as enrolled_again(subject)
		found == {"an identity belongs to several principals"}
	}
	every subject in ["ml.engineer@example.org", "mlengineer@example.com", "+ml.engineer@example.com", "ml@engineer@example.com"] {
		found := shape.contradictions with data.principals.principals as enrolled_again(subject)
		found == set()
	}
}

test_path_of_a_workload_is_exact if {
	principals := json.patch(data.principals.principals, [{
		"op": "add", "path": "/1/identities/-",
		"value": {"issuer": "workloads", "subject": "/STEPS/train"},
	}])
	found := shape.contradictions with data.principals.principals as principals
	found == set()
	not lib.owns(data.principals.principals[0], {"issuer": "workloads", "subject": "/STEPS/train"})
}

enrolled_again(subject) := json.patch(data.principals.principals, [{
	"op": "add", "path": "/1/identities/-",
	"value": {"issuer": "people", "subject": subject},
}])

test_principal_listed_twice_is_a_contradiction if {
	principals := json.patch(data.principals.principals, [{"op": "replace", "path": "/2/id", "value": "model-risk"}])
	found := shape.contradictions with data.principals.principals as principals
	found == {"a principal is listed twice"}
}

test_roles_that_exclude_each_other_are_a_contradiction if {
	principals := json.patch(data.principals.principals, [{"op": "add", "path": "/0/roles/-", "value": "approver"}])
	found := shape.contradictions with data.principals.principals as principals
	found == {"ml-engineering holds roles that exclude each other"}
}

test_missing_policy_data_are_refused if {
	every reasons in [
		{reason | some reason in shape.reasons with data.layout as {}},
		{reason | some reason in shape.reasons with data.principals as {}},
		{reason | some reason in shape.reasons with data.thresholds as {}},
		{reason | some reason in shape.reasons with data.schemas as {}},
	] {
		count(reasons) == 1
	}
}

test_lineage_of_the_model_reaches_the_raw_transactions if {
	required := lib.required_contracts("fraud_model")
	required == {[contract.asset, suite] |
		some suite, contract in data.layout.contracts
		contract.asset != "transaction_scores" # made with the model, not of it
	}
	lib.required_contracts("raw_transactions") == {
		["raw_transactions", "raw_schema"],
		["raw_transactions", "raw_expectations"],
	}
}

test_step_signed_by_people_has_no_identity_of_its_own if {
	not lib.signs_for({"issuer": "people", "subject": null}, "approve")
	not lib.signs_for({"issuer": "people", "subject": "risk.officer@example.com"}, "approve")
	not lib.signs_for({"issuer": "workloads", "subject": "/steps/train", "also": 1}, "train")
	lib.signs_for({"issuer": "workloads", "subject": "/steps/train"}, "train")
}

test_step_runs_only_where_the_layout_and_the_step_say_so if {
	lib.runs_in("train", "local")
	not lib.runs_in("train", "elsewhere")
	not lib.runs_in("train", "local") with data.layout.environments as ["staging"]
	not lib.runs_in("train", "local") with data.layout.steps.train.environments as ["staging"]
}

test_instant_reads_only_utc if {
	lib.instant_ns("1970-01-01T00:00:01Z") == 1000000000
	lib.instant_ns("1970-01-01T00:00:00.5Z") == 500000000
	readable("1970-01-01T00:00:01Z")
	every text in ["1970-01-01T00:00:01+02:00", "1970-01-01 00:00:01Z", "1970-01-01", "", "1970-01-01T00:00:01Z\n", 5] {
		not readable(text)
	}
}

readable(text) if lib.instant_ns(text)

test_age_and_order_hold_at_their_bounds if {
	lib.fresh("2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z", "approve")
	not lib.fresh("2026-01-01T00:00:00Z", "2026-01-31T00:00:01Z", "approve")
	lib.not_after("2026-01-01T00:05:00Z", "2026-01-01T00:00:00Z")
	not lib.not_after("2026-01-01T00:05:01Z", "2026-01-01T00:00:00Z")
}

test_text_is_never_undefined if {
	lib.text_at({"a": {"b": "c"}}, ["a", "b"]) == "c"
	lib.text_at({"a": "x"}, ["a", "b"]) == "(missing)"
	lib.text_at({"a": 1}, ["a"]) == "(not text)"
	lib.text_at("text", ["a"]) == "(not text)"
}
