# METADATA
# title: Honest inputs
# description: One input for each gate that must be allowed; the tests change one thing at a time.
# scope: package
package fraud.fixtures_test

digest(n) := sprintf("%064d", [n])

workload(subject) := {"issuer": "workloads", "subject": subject}

person(subject) := {"issuer": "people", "subject": subject}

contract_result(suite) := {
	"suite": suite,
	"result": "PASSED",
	"checks": 9,
	"rows": 9500,
	"statement": digest(30),
	"signer": workload("/steps/contracts"),
}

held_contract(suite) := object.union(contract_result(suite), {
	"result": "WARNED",
	"findings": [digest(31), digest(32)],
	"acceptances": [{
		"asset": "raw_transactions",
		"partition": "2018-04-01",
		"sha256": digest(20),
		"environment": "local",
		"findings": [digest(31), digest(32), digest(33)],
		"statement": digest(34),
		"signer": person("data.owner@example.com"),
		"signed_at": "2026-11-23T09:30:00Z",
	}],
})

partition(name) := {
	"partition": name,
	"sha256": digest(20),
	"statement": digest(21),
	"signer": workload("/steps/ingest"),
	"signed_at": "2026-11-23T09:00:00Z",
	"environment": "local",
	"contracts": [contract_result("raw_schema"), contract_result("raw_expectations")],
}

data_access := {
	"request": {
		"step": "features",
		"identity": workload("/steps/features"),
		"environment": "local",
		"asset": "raw_transactions",
		"purpose": "materialise",
		"at": "2026-11-23T10:00:00Z",
	},
	"partitions": [partition("2018-04-01"), partition("2018-04-02")],
}

contract_count(asset, suite) := {"asset": asset, "suite": suite, "partitions": 21, "passed": 21, "checks": 9}

made_with(asset) := {
	"asset": asset,
	"git_commit": "0123456789abcdef0123456789abcdef01234567",
	"git_dirty": false,
}

registration := {
	"request": {
		"step": "release",
		"identity": workload("/gates/registration"),
		"environment": "local",
		"at": "2026-11-23T10:00:00Z",
	},
	"model": {
		"name": "fraud_model",
		"digest": digest(1),
		"statement": digest(2),
		"signer": workload("/steps/train"),
		"signed_at": "2026-11-23T09:00:00Z",
		"format": "ubj",
		"files": ["model.ubj", "feature_contract.json"],
		"features": data.thresholds.allowed_features.value,
		"parameters": {
			"base_score": 0.5,
			"booster": "gbtree",
			"cards_per_day": 100,
			"colsample_bytree": 1.0,
			"gamma": 0.0,
			"learning_rate": 0.1,
			"max_delta_step": 0.0,
			"max_depth": 6,
			"min_child_weight": 1.0,
			"n_estimators": 100,
			"nthread": 1,
			"objective": "binary:logistic",
			"reg_alpha": 0.0,
			"reg_lambda": 1.0,
			"scale_pos_weight": 1.0,
			"seed": 0,
			"subsample": 1.0,
			"tree_method": "hist",
		},
	},
	"code": [made_with("transaction_features"), made_with("fraud_model")],
	"evaluation": {
		"statement": digest(3),
		"signer": workload("/steps/evaluate"),
		"model_digest": digest(1),
		"dataset_sha256": digest(4),
		"training_sha256": [digest(5), digest(6)],
		"metrics": {"auc_roc": 0.86, "average_precision": 0.63, "card_precision_100": 0.27},
		"rows": 58264,
		"frauds": 385,
		"threshold": 0.21,
		"alert_rate": 0.02,
	},
	"days": {"trained_until": "2018-07-31", "tested_from": "2018-08-08", "newest": "2018-09-30"},
	"contracts": [
		contract_count("raw_transactions", "raw_schema"),
		contract_count("raw_transactions", "raw_expectations"),
		contract_count("transaction_features", "feature_schema"),
		contract_count("transaction_features", "feature_expectations"),
		contract_count("training_set", "training_set_point_in_time"),
	],
	"evidence": {"statements": 50, "complete": true, "missing": []},
	"model_signature": {"statement": digest(7), "signer": workload("/steps/train")},
}

approval(principal, subject) := {
	"statement": digest(11),
	"identity": person(subject),
	"principal": principal,
	"roles": ["approver"],
	"model_digest": digest(1),
	"environment": "local",
	"evidence_set": digest(10),
	"policy_digest": digest(9),
	"issued_at": "2026-11-23T09:30:00Z",
	"expires_at": "2026-11-30T09:30:00Z",
	"revoked": false,
	"superseded": false,
}

deployment := object.union(registration, {
	"request": {
		"step": "deploy",
		"identity": workload("/gates/deployment"),
		"environment": "local",
		"at": "2026-11-23T10:00:00Z",
	},
	"registration": {
		"statement": digest(8),
		"signer": workload("/gates/registration"),
		"allow": true,
		"model_digest": digest(1),
		"policy_digest": digest(9),
	},
	"policy": {"digest": digest(9), "authors": ["policy-office", "policy-review"]},
	"trainer": {"principal": "ml-engineering"},
	"evidence_set": digest(10),
	"cosign": {"verified": 3, "required": 3},
	"current": {"champion_digest": "", "sequence": 0},
	"approvals": [approval("model-risk", "risk.officer@example.com")],
})

# Where a document's objects have their fields: what is removed or retyped one by one.
field_paths(document) := {path |
	walk(document, [path, _])
	count(path) > 0
	is_string(path[count(path) - 1])
	not is_free(path)
}

# The names and values of training parameters are free for the schema.
is_free(path) if {
	count(path) > 2
	array.slice(path, 0, 2) == ["model", "parameters"]
}

removed(document, path) := json.patch(document, [{"op": "remove", "path": path}])

replaced(document, path, value) := json.patch(document, [{"op": "replace", "path": path, "value": value}])

added(document, path, value) := json.patch(document, [{"op": "add", "path": path, "value": value}])
