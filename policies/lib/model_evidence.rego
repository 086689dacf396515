# What must be known of a model's making. Rules about the contracts, the evaluation's subject, the evidence and its signers, shared by registration and deployment.
package fraud.lib.model

import data.fraud.lib

# METADATA
# title: Each contract of the lineage must have run
# description: All suites the layout has for the model's data, back to the raw transactions.
# custom:
#   short_name: contract_present
#   code: CHECK_MISSING
#   remedy: "`fraud-provenance run` judges the data."
reasons contains lib.reason(rego.metadata.rule(), required[0], message) if {
	some required in required_contracts
	not contract_present(required)
	message := sprintf("Contract %s has not judged the model's data.", [required[1]])
}

# METADATA
# title: Each contract must have passed everywhere
# description: As many partitions passed as were judged.
# custom:
#   short_name: contract_passed
#   code: CHECK_FAILED
#   remedy: "Correct the source, `fraud-provenance import FILE`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), sprintf("%v/%v", [lib.text_at(contract, ["asset"]), lib.text_at(contract, ["suite"])]), "Not every partition passed the contract.") if {
	some contract in input.contracts
	not contract_passed(contract)
}

# METADATA
# title: Each contract must have evaluated something
# description: No partition or no check means nothing was judged.
# custom:
#   short_name: contract_not_vacuous
#   code: CHECK_VACUOUS
#   remedy: "`fraud-provenance verify ASSET/PARTITION --json` names the contract's statement; `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` judges again. A suite without checks: have policies/data restored first."
reasons contains lib.reason(rego.metadata.rule(), sprintf("%v/%v", [lib.text_at(contract, ["asset"]), lib.text_at(contract, ["suite"])]), "The contract evaluated no partition or no check.") if {
	some contract in input.contracts
	not contract_evaluated(contract)
}

# METADATA
# title: The evaluation must be of this model
# description: A good model's evaluation says nothing of another.
# custom:
#   short_name: evaluation_subject
#   code: SUBJECT_MISMATCH
#   remedy: "`fraud-provenance run` evaluates this very model."
reasons contains lib.reason(rego.metadata.rule(), "evaluation", "The evaluation is of another model.") if {
	not evaluation_of_model
}

# METADATA
# title: The training files must be named
# description: Without them nobody can tell whether the model was tested on what it had learnt.
# custom:
#   short_name: training_named
#   code: INPUT_MISSING
#   remedy: Repair the evidence of the training set.
reasons contains lib.reason(rego.metadata.rule(), "evaluation", "The evaluation names no training file.") if {
	not training_named
}

# METADATA
# title: The model must be tested on unseen data
# description: The evaluation's data are none of the files the model was trained on.
# custom:
#   short_name: evaluated_on_unseen
#   code: EVAL_ON_TRAIN
#   remedy: "`fraud-provenance run` evaluates on the days that come after those learnt from."
reasons contains lib.reason(rego.metadata.rule(), "evaluation", "The evaluation's data are among the training files.") if {
	not evaluated_on_unseen
}

# METADATA
# title: The evidence must be complete
# description: Somebody walked the whole chain, and found each statement.
# custom:
#   short_name: evidence_complete
#   code: EVIDENCE_MISSING
#   remedy: "Copy the backup of evidence/ over the home's and keep what is newer there; where a step was killed, `fraud-provenance run` makes it anew."
reasons contains lib.reason(rego.metadata.rule(), "evidence", "The chain of evidence is not complete.") if {
	not evidence_complete
}

# METADATA
# title: Missing evidence is named
# description: One reason for each statement that was not found.
# custom:
#   short_name: evidence_missing
#   code: EVIDENCE_MISSING
#   remedy: "Copy the backup of evidence/ over the home's and keep what is newer there; where a step was killed, `fraud-provenance run` makes it anew."
reasons contains lib.reason(rego.metadata.rule(), sprintf("%v", [missing]), "The statement is not in the evidence store.") if {
	some missing in input.evidence.missing
}

# METADATA
# title: The model must be signed by the training step
# description: Exactly the layout's identity; another valid signer is not enough.
# custom:
#   short_name: model_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), "model", message) if {
	not signed_by_trainer
	found := lib.text_at(input, ["model", "signer", "subject"])
	message := sprintf("%s signed it, which the layout does not let it.", [found])
}

# METADATA
# title: The evaluation must be signed by the evaluating step
# description: Exactly the layout's identity; another valid signer is not enough.
# custom:
#   short_name: evaluation_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), "evaluation", message) if {
	not signed_by_evaluator
	found := lib.text_at(input, ["evaluation", "signer", "subject"])
	message := sprintf("%s signed it, which the layout does not let it.", [found])
}

# METADATA
# title: The model's own signature must be the training step's
# description: Exactly the layout's identity; another valid signer is not enough.
# custom:
#   short_name: signature_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), "model_signature", message) if {
	not artifact_signed_by_trainer
	found := lib.text_at(input, ["model_signature", "signer", "subject"])
	message := sprintf("%s signed it, which the layout does not let it.", [found])
}

# METADATA
# title: Contracts required
# description: Each [asset, suite] of the model's lineage in the layout.
# custom:
#   short_name: required_contracts
required_contracts := lib.required_contracts(data.layout.steps.train.produces)

# METADATA
# title: Contracts are required
# description: Deny if the lineage in the layout demands no contract at all.
# custom:
#   short_name: contracts_required
contracts_required if count(required_contracts) > 0

# METADATA
# title: The lineage must demand contracts
# description: A layout without contracts would let every model pass.
# custom:
#   short_name: contracts_demanded
#   code: POLICY_DATA_INVALID
#   remedy: "Restore the contracts in policies/data/layout.json, and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), "policies/data", "The layout demands no contract of the model's lineage.") if {
	not contracts_required
}

# METADATA
# title: The contract is present
# description: True if one and the same entry names asset and suite.
# custom:
#   short_name: contract_present
contract_present(required) if {
	some contract in input.contracts
	contract.asset == required[0]
	contract.suite == required[1]
}

# METADATA
# title: The contract passed
# description: True if as many partitions passed as were judged.
# custom:
#   short_name: contract_passed
contract_passed(contract) if {
	is_number(contract.partitions)
	contract.passed == contract.partitions
}

# METADATA
# title: The contract evaluated something
# description: True if there were partitions and checks.
# custom:
#   short_name: contract_evaluated
contract_evaluated(contract) if {
	is_number(contract.partitions)
	is_number(contract.checks)
	contract.partitions > 0
	contract.checks > 0
}

# METADATA
# title: The evaluation is of this model
# description: True if both name the same digest.
# custom:
#   short_name: evaluation_of_model
evaluation_of_model if {
	is_string(input.model.digest)
	input.evaluation.model_digest == input.model.digest
}

# METADATA
# title: The training files are named
# description: True if there is at least one.
# custom:
#   short_name: training_named
training_named if {
	is_array(input.evaluation.training_sha256)
	count(input.evaluation.training_sha256) > 0
}

# METADATA
# title: The data are unseen
# description: True if the evaluation's data are named and none of the training files.
# custom:
#   short_name: evaluated_on_unseen
evaluated_on_unseen if {
	is_string(input.evaluation.dataset_sha256)
	is_array(input.evaluation.training_sha256)
	seen := [digest | some digest in input.evaluation.training_sha256; digest == input.evaluation.dataset_sha256]
	count(seen) == 0
}

# METADATA
# title: The evidence is complete
# description: True if there are statements, none is missing, and the walk said so.
# custom:
#   short_name: evidence_complete
evidence_complete if {
	is_number(input.evidence.statements)
	input.evidence.statements > 0
	input.evidence.complete == true
	is_array(input.evidence.missing)
	count(input.evidence.missing) == 0
}

# METADATA
# title: The trainer signed the model
# description: True for exactly the training step's identity.
# custom:
#   short_name: signed_by_trainer
signed_by_trainer if lib.signs_for(input.model.signer, "train")

# METADATA
# title: The evaluator signed the evaluation
# description: True for exactly the evaluating step's identity.
# custom:
#   short_name: signed_by_evaluator
signed_by_evaluator if lib.signs_for(input.evaluation.signer, "evaluate")

# METADATA
# title: The trainer signed the artifact
# description: True for exactly the training step's identity.
# custom:
#   short_name: artifact_signed_by_trainer
artifact_signed_by_trainer if lib.signs_for(input.model_signature.signer, "train")
