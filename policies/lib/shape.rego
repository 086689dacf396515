# METADATA
# title: Shape of input and policy data
# description: |
#   Refuses input and policy data that do not match their JSON schemas (loaded as data.schemas), and
#   policy data that contradict themselves. Python validates too; neither relies on the other.
# scope: package
# schemas:
#   - data.layout: schema.layout
#   - data.principals: schema.principals
#   - data.thresholds: schema.thresholds
package fraud.lib.shape

import data.fraud.lib

# METADATA
# title: Document matches schema
# description: True if the document matches; undefined, hence never true, if document or schema is missing.
# custom:
#   short_name: matches
matches(document, schema) if {
	is_object(schema)
	json.match_schema(document, schema)[0] == true
}

# METADATA
# title: Codes of schema errors
# description: A missing field, a wrong type and a field nobody verified have codes of their own.
# custom:
#   short_name: codes
codes := {
	"required": "INPUT_MISSING",
	"invalid_type": "INPUT_TYPE",
	"additional_property_not_allowed": "INPUT_UNVERIFIED_FIELD",
}

# METADATA
# title: The input has every field, correctly typed, and no other
# description: One reason for each deviation of the input from its schema.
# custom:
#   short_name: input_reasons
#   code: INPUT_INVALID
#   remedy: "The product's code tells a gate these facts, and policies/schemas say which ones it takes: put code and policies of one commit together (`git checkout -- policies`), and have the policies signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
input_reasons(document, schema) := {object.union(base, {"code": code}) |
	some error in json.match_schema(document, schema)[1]
	base := lib.reason(rego.metadata.rule(), error.field, error.desc)
	code := object.get(codes, error.type, base.code)
}

# METADATA
# title: Policy data are valid
# description: True if layout, principals and thresholds are there, match their schemas and do not contradict themselves.
# custom:
#   short_name: policy_data_valid
policy_data_valid if {
	matches(data.layout, data.schemas.layout)
	matches(data.principals, data.schemas.principals)
	matches(data.thresholds, data.schemas.thresholds)
	count(contradictions) == 0
}

# METADATA
# title: Policy data must be valid
# description: A gate does not decide by a layout, principals or thresholds it cannot fully read.
# custom:
#   short_name: policy_data_must_be_valid
#   code: POLICY_DATA_INVALID
#   remedy: "Repair policies/data in the checkout (and load policies/schemas with it), and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), "policies/data", message) if {
	not policy_data_valid
	message := sprintf("The policy data are missing, do not match their schemas or contradict themselves: %v", [contradictions])
}

# METADATA
# title: One producer for each asset
# description: Two steps producing one asset would make its rightful signer ambiguous.
# custom:
#   short_name: one_producer
contradictions contains sprintf("several steps produce %s", [asset]) if {
	some asset, names in lib.producers
	count(names) > 1
}

# METADATA
# title: Materials come from somewhere
# description: A material that is neither produced nor a source could never be verified.
# custom:
#   short_name: materials_known
contradictions contains sprintf("%s reads %s, which nothing produces", [name, material.asset]) if {
	some name, step in data.layout.steps
	some material in step.materials
	not obtainable(material.asset)
}

# METADATA
# title: Each material is named once
# description: Two entries for one asset could demand different contracts.
# custom:
#   short_name: materials_unique
contradictions contains sprintf("%s names a material twice", [name]) if {
	some name, step in data.layout.steps
	count({material.asset | some material in step.materials}) != count(step.materials)
}

# METADATA
# title: Required suites judge the material
# description: A suite that is required of an asset must be a contract of that very asset.
# custom:
#   short_name: suites_known
contradictions contains sprintf("%s requires %s of %s, which is no contract of it", [name, suite, material.asset]) if {
	some name, step in data.layout.steps
	some material in step.materials
	some suite in material.requires_suites
	not judges(suite, material.asset)
}

# METADATA
# title: Contracts have a step and an asset
# description: A contract is run by a step of the layout that may read the asset it judges.
# custom:
#   short_name: contracts_known
contradictions contains sprintf("contract %s has no step that reads its asset", [suite]) if {
	some suite, contract in data.layout.contracts
	not readable(contract)
}

# METADATA
# title: One principal for each identity
# description: A person of two principals could approve the own work, however the address is spelled.
# custom:
#   short_name: identities_unique
contradictions contains "an identity belongs to several principals" if {
	some place, principal in data.principals.principals
	some identity in principal.identities
	some elsewhere, other in data.principals.principals
	elsewhere > place
	some known in other.identities
	lib.person(known) == lib.person(identity)
}

# METADATA
# title: Each principal is listed once
# description: Two entries of one name would join their roles.
# custom:
#   short_name: principals_unique
contradictions contains "a principal is listed twice" if {
	count({principal.id | some principal in data.principals.principals}) != count(data.principals.principals)
}

# METADATA
# title: Trainer, approver and policy author are distinct
# description: A principal with two of these roles could pass its own work through the gate.
# custom:
#   short_name: roles_separate
contradictions contains sprintf("%s holds roles that exclude each other", [principal.id]) if {
	some principal in data.principals.principals
	count({role | some role in principal.roles} & {"trainer", "approver", "policy_author"}) > 1
}

# METADATA
# title: Asset is produced
# description: True if a step produces the asset or it is one of the layout's sources.
# custom:
#   short_name: obtainable
obtainable(asset) if count(lib.producers[asset]) > 0

obtainable(asset) if asset in data.layout.sources

# METADATA
# title: Suite judges asset
# description: True if the suite is a contract of exactly this asset.
# custom:
#   short_name: judges
judges(suite, asset) if data.layout.contracts[suite].asset == asset

# METADATA
# title: Contract can be run
# description: True if the contract's step may read the contract's asset.
# custom:
#   short_name: readable
readable(contract) if {
	some material in data.layout.steps[contract.step].materials
	material.asset == contract.asset
}
