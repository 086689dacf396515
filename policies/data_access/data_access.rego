# METADATA
# title: Data access
# description: |
#   Decides whether a step may read partitions of an asset: the step, its identity and the asset must be in
#   the layout, and every partition must be signed by its rightful producer and have passed its contracts.
# scope: package
# schemas:
#   - input: schema.data_access
#   - data.layout: schema.layout
#   - data.principals: schema.principals
package fraud.data_access

import data.fraud.lib
import data.fraud.lib.request
import data.fraud.lib.shape

# METADATA
# title: Refuse unless proven otherwise
# description: An undefined result is a refusal.
# custom:
#   short_name: default_deny
default allow := false

# METADATA
# title: Allow
# description: True if nothing speaks against it and there was something to judge.
# custom:
#   short_name: allow
allow if {
	count(reasons) == 0
	count(input.partitions) > 0
	well_formed
	shape.policy_data_valid
}

# METADATA
# title: Decision
# description: What the gate's caller queries.
# entrypoint: true
# custom:
#   short_name: decision
decision := {"allow": allow, "reasons": reasons}

# METADATA
# title: The input must match its schema
# description: Also refuses when there is no input or no schema at all.
# custom:
#   short_name: input_well_formed
#   code: INPUT_INVALID
#   remedy: Call the gate with an input that matches policies/schemas/data_access.json, and load that schema.
reasons contains lib.reason(rego.metadata.rule(), "input", "The input or its schema is missing or they do not match.") if {
	not well_formed
}

# METADATA
# title: Deviations of the input are named
# description: One reason for each field that does not match the schema.
# custom:
#   short_name: input_deviations
reasons contains reason if some reason in shape.input_reasons(input, data.schemas.data_access)

# METADATA
# title: Policy data are judged
# description: Shared with every gate.
# custom:
#   short_name: policy_data
reasons contains reason if some reason in shape.reasons

# METADATA
# title: The request is judged
# description: Shared with every gate.
# custom:
#   short_name: request
reasons contains reason if some reason in request.reasons

# METADATA
# title: The purpose must be the step's
# description: The layout lists for what each step may read; only contracts may read data no contract has passed.
# custom:
#   short_name: purpose_allowed
#   code: PURPOSE_NOT_ALLOWED
#   remedy: "Ask with the purpose the layout lists for the step, or have the layout changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), request.step_name, message) if {
	not purpose_allowed
	found := lib.text_at(input, ["request", "purpose"])
	message := sprintf("Step %s may not read data for purpose %s.", [request.step_name, found])
}

# METADATA
# title: The asset must be a material of the step
# description: A step reads only what the layout lists as its materials.
# custom:
#   short_name: material_allowed
#   code: MATERIAL_NOT_ALLOWED
#   remedy: "Read an asset that the layout lists for the step, or have the layout changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), asset_name, message) if {
	not material
	message := sprintf("The layout does not let step %s read %s.", [request.step_name, asset_name])
}

# METADATA
# title: A step must produce the asset
# description: A source that no step signs has no evidence that could be judged here.
# custom:
#   short_name: producer_known
#   code: PRODUCER_UNKNOWN
#   remedy: "Read the asset that the ingest step makes from the source, or have the layout changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), asset_name, message) if {
	not producer
	message := sprintf("No step of the layout produces and signs %s.", [asset_name])
}

# METADATA
# title: Partitions must be there
# description: Without partitions every rule about partitions would hold.
# custom:
#   short_name: partitions_present
#   code: PARTITION_MISSING
#   remedy: "A day that never landed: `fraud-provenance import FILE`, then `fraud-provenance run`. A file that is gone: `fraud-provenance rollback ASSET PARTITION`; of a raw day `fraud-provenance rollback raw_transactions DAY --to DIGEST`."
reasons contains lib.reason(rego.metadata.rule(), asset_name, message) if {
	not enough_partitions
	message := sprintf("Step %s was given no partitions of %s, or fewer than it needs.", [request.step_name, asset_name])
}

# METADATA
# title: Each partition has one statement
# description: Two versions of one partition at once leave open which is meant; several files of one statement do not.
# custom:
#   short_name: partitions_unique
#   code: PARTITION_DUPLICATE
#   remedy: "Of two that claim one version the one that was logged first counts. Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), asset_name, "A partition is given from several statements, or its name or statement is missing.") if {
	not one_statement_each
}

# METADATA
# title: Partitions must be signed by their producer
# description: Exactly the identity of the step that produces the asset may sign it.
# custom:
#   short_name: partition_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	some partition in input.partitions
	not signed_by_producer(partition)
	found := lib.text_at(partition, ["signer", "subject"])
	message := sprintf("%s signed a partition of %s, which is not its to produce.", [found, asset_name])
}

# METADATA
# title: Partitions must be of the same environment
# description: Evidence of one environment says nothing in another.
# custom:
#   short_name: partition_environment
#   code: ENVIRONMENT_MISMATCH
#   remedy: "`fraud-provenance run` in this environment makes it here."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	some partition in input.partitions
	not in_environment(partition)
	found := lib.text_at(partition, ["environment"])
	message := sprintf("The partition was made in environment %s, not in the request's.", [found])
}

# METADATA
# title: Partitions must not be signed in the future
# description: A time after the request shows a wrong clock or a forged time.
# custom:
#   short_name: partition_time
#   code: TIME_SKEW
#   remedy: "Correct the clock, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), "The partition's signing time is unreadable or after the request.") if {
	some partition in input.partitions
	not signed_before_request(partition)
}

# METADATA
# title: Evidence must be young enough
# description: The layout says for how long a step's statement counts.
# custom:
#   short_name: partition_age
#   code: EVIDENCE_TOO_OLD
#   remedy: "`fraud-provenance verify ASSET/PARTITION --json` names the statement; `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` makes a new one."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), "The partition's statement is older than the layout allows.") if {
	some partition in input.partitions
	not young_enough(partition)
}

# METADATA
# title: Required contracts must have run
# description: Each suite that the layout requires for this step and asset has a result for each partition.
# custom:
#   short_name: check_present
#   code: CHECK_MISSING
#   remedy: "`fraud-provenance run` judges the partition."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	some suite in material.requires_suites
	some partition in input.partitions
	not has_result(partition, suite)
	message := sprintf("Contract %s has not judged this partition.", [suite])
}

# METADATA
# title: Contracts must have passed
# description: One failed contract, required or not, keeps a partition from every step but the contracts.
# custom:
#   short_name: check_passed
#   code: CHECK_FAILED
#   remedy: "Correct the source, `fraud-provenance import FILE`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	not reads_for_contracts
	some partition in input.partitions
	some contract in partition.contracts
	not passed(contract)
	not held(contract)
	message := sprintf("Contract %s failed.", [lib.text_at(contract, ["suite"])])
}

# METADATA
# title: Held partitions must be accepted
# description: What a contract found unusual stays out until a person with the role accepted each finding, on these very bytes.
# custom:
#   short_name: held_accepted
#   code: DATA_HELD
#   remedy: "Look at the day; if it is right, `fraud-provenance accept ASSET DAY --as EMAIL --reason TEXT`, then `fraud-provenance run`; else correct the source and `fraud-provenance import FILE`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	not reads_for_contracts
	some partition in input.partitions
	some contract in partition.contracts
	held(contract)
	not accepted(partition, contract)
	remedy := sprintf("if it is right: fraud-provenance accept %s %s --as EMAIL --reason TEXT", [asset_name, lib.text_at(partition, ["partition"])])
	message := sprintf("Contract %s found the day unusual and nobody with the role has accepted all that it found; %s.", [lib.text_at(contract, ["suite"]), remedy])
}

# METADATA
# title: Contracts must have evaluated something
# description: A contract without checks or without rows passes whatever the data are.
# custom:
#   short_name: check_not_vacuous
#   code: CHECK_VACUOUS
#   remedy: "`fraud-provenance verify ASSET/PARTITION --json` names the contract's statement; `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` judges again. A suite without checks: have policies/data restored first."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	not reads_for_contracts
	some partition in input.partitions
	some contract in partition.contracts
	not evaluated_something(contract)
	message := sprintf("Contract %s evaluated no check or no row.", [lib.text_at(contract, ["suite"])])
}

# METADATA
# title: Contracts must be signed by the contracts' step
# description: A result by anybody else is nobody's word.
# custom:
#   short_name: check_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), partition_name(partition), message) if {
	some partition in input.partitions
	some contract in partition.contracts
	not signed_by_contracts(contract)
	found := [lib.text_at(contract, ["signer", "subject"]), lib.text_at(contract, ["suite"])]
	message := sprintf("%s signed the result of contract %s, which is unknown or not its to run.", found)
}

# METADATA
# title: Name of the asset
# description: For messages only.
# custom:
#   short_name: asset_name
asset_name := lib.text_at(input, ["request", "asset"])

# METADATA
# title: Name of a partition
# description: For messages only; an asset without partitions is named itself.
# custom:
#   short_name: partition_name
partition_name(partition) := sprintf("%s@%s", [asset_name, lib.text_at(partition, ["partition"])])

# METADATA
# title: The input is well formed
# description: True if the input matches its schema.
# custom:
#   short_name: well_formed
well_formed if shape.matches(input, data.schemas.data_access)

# METADATA
# title: The purpose is allowed
# description: True if the layout lists the purpose for the step.
# custom:
#   short_name: purpose_allowed
purpose_allowed if input.request.purpose in data.layout.steps[input.request.step].purposes

# METADATA
# title: The step reads in order to judge
# description: True for a step that the layout lets read for contracts, and that asks for it.
# custom:
#   short_name: reads_for_contracts
reads_for_contracts if {
	purpose_allowed
	input.request.purpose == "contract"
}

# METADATA
# title: Material
# description: The layout's entry for the asset among the step's materials.
# custom:
#   short_name: material
material := found if {
	some found in data.layout.steps[input.request.step].materials
	found.asset == input.request.asset
}

# METADATA
# title: Producer
# description: Name of the step that produces the asset.
# custom:
#   short_name: producer
producer := name if some name in lib.producers[input.request.asset]

# METADATA
# title: There are enough partitions
# description: True if there is at least one, and as many distinct ones as the layout demands.
# custom:
#   short_name: enough_partitions
enough_partitions if {
	is_array(input.partitions)
	count(input.partitions) > 0
	count({partition.partition | some partition in input.partitions}) >= material.min
}

# METADATA
# title: Each partition has one statement
# description: True if every entry names partition and statement, and no partition names two statements.
# custom:
#   short_name: one_statement_each
one_statement_each if {
	is_array(input.partitions)
	pairs := [[partition.partition, partition.statement] | some partition in input.partitions]
	count(pairs) == count(input.partitions)
	count({pair | some pair in pairs}) == count({pair[0] | some pair in pairs})
}

# METADATA
# title: The partition is its producer's
# description: True if exactly the producing step's identity signed the partition.
# custom:
#   short_name: signed_by_producer
signed_by_producer(partition) if lib.signs_for(partition.signer, producer)

# METADATA
# title: The partition is of this environment
# description: True if the partition was made in the request's environment.
# custom:
#   short_name: in_environment
in_environment(partition) if partition.environment == input.request.environment

# METADATA
# title: The partition was signed before
# description: True if the signing time is not after the request.
# custom:
#   short_name: signed_before_request
signed_before_request(partition) if lib.not_after(partition.signed_at, input.request.at)

# METADATA
# title: The partition is young enough
# description: True if the producing step's statements count for as long as this one is old.
# custom:
#   short_name: young_enough
young_enough(partition) if lib.fresh(partition.signed_at, input.request.at, producer)

# METADATA
# title: The contract has run
# description: True if the partition has a result of the suite.
# custom:
#   short_name: has_result
has_result(partition, suite) if {
	some contract in partition.contracts
	contract.suite == suite
}

# METADATA
# title: The contract passed
# description: True if the result says so in so many words.
# custom:
#   short_name: passed
passed(contract) if contract.result == "PASSED"

# METADATA
# title: The contract holds the partition
# description: True if the result says that the partition is unusual.
# custom:
#   short_name: held
held(contract) if contract.result == "WARNED"

# METADATA
# title: The findings were accepted
# description: True if one acceptance, of these bytes and in this environment, covers every finding of the contract.
# custom:
#   short_name: accepted
accepted(partition, contract) if {
	count(contract.findings) > 0
	some acceptance in contract.acceptances
	acceptance.asset == input.request.asset
	acceptance.partition == partition.partition
	acceptance.sha256 == partition.sha256
	acceptance.environment == input.request.environment
	lib.not_after(acceptance.signed_at, input.request.at)
	lib.fresh(acceptance.signed_at, input.request.at, "accept")
	may_accept(acceptance.signer)
	every finding in contract.findings { finding in acceptance.findings }
}

# METADATA
# title: The signer may accept
# description: True if the signer is a person of a principal that holds the role of the layout's step accept.
# custom:
#   short_name: may_accept
may_accept(signer) if {
	signer.issuer == "people"
	some principal in data.principals.principals
	data.layout.steps.accept.signer_role in principal.roles
	lib.owns(principal, signer)
}

# METADATA
# title: The contract evaluated something
# description: True if at least one check saw at least one row.
# custom:
#   short_name: evaluated_something
evaluated_something(contract) if {
	is_number(contract.checks)
	is_number(contract.rows)
	contract.checks > 0
	contract.rows > 0
}

# METADATA
# title: The contract is its step's
# description: True if the suite is a contract of the asset and exactly its step's identity signed the result.
# custom:
#   short_name: signed_by_contracts
signed_by_contracts(contract) if {
	expected := data.layout.contracts[contract.suite]
	expected.asset == input.request.asset
	lib.signs_for(contract.signer, expected.step)
}
