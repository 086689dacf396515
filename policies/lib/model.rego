# METADATA
# title: What a model must be
# description: Rules about a model, its evaluation and its lineage, shared by registration and deployment.
# scope: package
# schemas:
#   - input: schema.model_registration
#   - data.layout: schema.layout
#   - data.thresholds: schema.thresholds
package fraud.lib.model

import data.fraud.lib

# METADATA
# title: Metrics must reach their minimum
# description: A metric that is missing, not a number or above 1 reaches no minimum.
# custom:
#   short_name: metric_minimum
#   code: METRIC_BELOW_MINIMUM
#   remedy: "Train on more days, `fraud-provenance run --train-days N`, or have the threshold in policies/data/thresholds.json changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`; then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), name, message) if {
	some name, threshold in data.thresholds.metrics
	not metric_reached(name)
	message := sprintf("%s is %v; at least %v is demanded.", [name, metric_text(name), object.get(threshold, "value", "an unknown minimum")])
}

# METADATA
# title: The evaluation must be large enough
# description: Metrics over a few transactions or frauds are chance.
# custom:
#   short_name: evaluation_size
#   code: EVALUATION_TOO_SMALL
#   remedy: "Evaluate on more days: `fraud-provenance run --test-days N`."
reasons contains lib.reason(rego.metadata.rule(), "evaluation", "The evaluation holds too few transactions or frauds, or more frauds than transactions.") if {
	not evaluated_on_enough
}

# METADATA
# title: The model must have its features
# description: Repeated names count once.
# custom:
#   short_name: features_enough
#   code: FEATURES_TOO_FEW
#   remedy: "Restore the lost feature view, then `fraud-provenance run` trains again; or have the threshold in policies/data/thresholds.json changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model has fewer features than demanded.") if {
	not enough_features
}

# METADATA
# title: Features must be known
# description: A column nobody reviewed may have been derived from the outcome.
# custom:
#   short_name: features_known
#   code: LEAKAGE_FEATURE
#   remedy: "Remove the column, then `fraud-provenance run` trains again; or have it reviewed and added to allowed_features in policies/data/thresholds.json: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), sprintf("%v", [feature]), "The column is not among the reviewed features; it may carry the outcome.") if {
	some feature in input.model.features
	not feature_known(feature)
}

# METADATA
# title: Features must stand in their order
# description: The trees know inputs by place. Names in another order are other inputs, wherever they were exchanged alike.
# custom:
#   short_name: features_ordered
#   code: FEATURE_DEF_MISMATCH
#   remedy: Train again with the product's own code, or have the order in allowed_features changed and signed.
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model's features are not in the order of the reviewed ones, or one is named twice.") if {
	enough_features
	every feature in input.model.features {
		feature_known(feature)
	}
	not features_ordered
}

# METADATA
# title: The model must be in an allowed format
# description: Formats that can run code when they are loaded are refused.
# custom:
#   short_name: format_allowed
#   code: FORBIDDEN_FORMAT
#   remedy: "Only XGBoost UBJ with its JSON side files is accepted. `fraud-provenance verify fraud_model` names its digest, `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` trains another one."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model is not in an allowed format.") if {
	not format_allowed
}

# METADATA
# title: The model must have a booster
# description: Exactly one file holds the trees; a model without files would pass every rule about files.
# custom:
#   short_name: one_booster
#   code: FORBIDDEN_FORMAT
#   remedy: "Only XGBoost UBJ with its JSON side files is accepted. `fraud-provenance verify fraud_model` names its digest, `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` trains another one."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model must hold exactly one .ubj file.") if {
	not one_booster
}

# METADATA
# title: Each file of the model must be of an allowed kind
# description: A pickle beside the booster is code, whatever the format says.
# custom:
#   short_name: files_allowed
#   code: FORBIDDEN_FORMAT
#   remedy: "Only XGBoost UBJ with its JSON side files is accepted. `fraud-provenance verify fraud_model` names its digest, `fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` trains another one."
reasons contains lib.reason(rego.metadata.rule(), sprintf("%v", [file]), "The file is of a kind that could run code when it is loaded.") if {
	some file in input.model.files
	not file_allowed(file)
}

# METADATA
# title: The code must be found again
# description: Of everything in the lineage the commit is known, and the work tree was clean.
# custom:
#   short_name: tree_clean
#   code: GIT_DIRTY
#   remedy: "Commit the changes, or remove what git ignores (`git status --ignored` lists both), then `fraud-provenance run`: what the changed tree made is made anew."
reasons contains lib.reason(rego.metadata.rule(), asset, "It was made from a work tree that is not exactly a commit.") if {
	some made in input.code
	not code_committed(made)
	not tree_may_be_dirty
	asset := object.get(made, "asset", "something of an unknown name")
}

# METADATA
# title: The code must be told
# description: A lineage that names no code would pass every rule about code.
# custom:
#   short_name: code_told
#   code: GIT_DIRTY
#   remedy: "Commit the changes, or remove what git ignores (`git status --ignored` lists both), then `fraud-provenance run`: what the changed tree made is made anew."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The evidence does not tell which code made the model.") if {
	not code_told
	not tree_may_be_dirty
}

# METADATA
# title: Parameters must fit the layout
# description: A parameter outside the closed list, or a value outside its schema, may change the training unseen.
# custom:
#   short_name: parameters_fit
#   code: PARAM_UNEXPECTED
#   remedy: "Remove the parameter, or the variable that sets it; where it is signed: Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`. Or have the layout changed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), name, "The layout lists no such parameter of the training, or not this value.") if {
	some name, value in input.model.parameters
	not parameter_fits(name, value)
}

# METADATA
# title: Parameters must be there
# description: Library defaults change, so a model without its resolved parameters cannot be made again.
# custom:
#   short_name: parameters_present
#   code: INPUT_MISSING
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model carries no training parameters.") if {
	not parameters_present
}

# METADATA
# title: The model must be young enough
# description: Fraud changes, so the layout says for how long a model counts.
# custom:
#   short_name: model_age
#   code: MODEL_TOO_OLD
#   remedy: "`fraud-provenance run` trains on the newest days; where none is newer, `fraud-provenance import FILE` first. Then `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model is older than the layout allows, or its time is unreadable.") if {
	not model_young_enough
}

# METADATA
# title: The model must not be signed in the future
# description: A time after the request shows a wrong clock or a forged time.
# custom:
#   short_name: model_time
#   code: TIME_SKEW
#   remedy: "Correct the clock, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), model_name, "The model's signing time is unreadable or after the request.") if {
	not model_signed_before
}

# METADATA
# title: Name of the model
# description: For messages only.
# custom:
#   short_name: model_name
model_name := lib.text_at(input, ["model", "name"])

# METADATA
# title: Metric as found
# description: For messages only.
# custom:
#   short_name: metric_text
metric_text(name) := object.get(input, ["evaluation", "metrics", name], "missing")

# METADATA
# title: The metric reaches its minimum
# description: True for a number between the minimum and 1.
# custom:
#   short_name: metric_reached
metric_reached(name) if {
	value := input.evaluation.metrics[name]
	minimum := data.thresholds.metrics[name].value
	is_number(value)
	is_number(minimum)
	value >= minimum
	value <= 1
}

# METADATA
# title: The evaluation is large enough
# description: True if transactions and frauds reach their minimums.
# custom:
#   short_name: evaluated_on_enough
evaluated_on_enough if {
	is_number(input.evaluation.rows)
	is_number(input.evaluation.frauds)
	input.evaluation.rows >= data.thresholds.min_evaluation_rows.value
	input.evaluation.frauds >= data.thresholds.min_evaluation_frauds.value
	input.evaluation.frauds <= input.evaluation.rows
}

# METADATA
# title: There are enough features
# description: True if so many distinct features are named.
# custom:
#   short_name: enough_features
enough_features if {
	is_array(input.model.features)
	count({feature | some feature in input.model.features}) >= data.thresholds.min_features.value
}

# METADATA
# title: The feature is known
# description: True if it was reviewed.
# custom:
#   short_name: feature_known
feature_known(feature) if feature in data.thresholds.allowed_features.value

# METADATA
# title: The features stand in their order
# description: True if the model has the reviewed features in their order; it may lack some.
# custom:
#   short_name: features_ordered
features_ordered if {
	input.model.features == [feature |
		some feature in data.thresholds.allowed_features.value
		feature in input.model.features
	]
}

# METADATA
# title: The format is allowed
# description: True if the format is listed.
# custom:
#   short_name: format_allowed
format_allowed if input.model.format in data.thresholds.allowed_model_formats.value

# METADATA
# title: There is one booster
# description: True if exactly one file is UBJ.
# custom:
#   short_name: one_booster
one_booster if {
	is_array(input.model.files)
	boosters := [file | some file in input.model.files; endswith(file, ".ubj")]
	count(boosters) == 1
}

# METADATA
# title: The file is allowed
# description: True if its name is listed.
# custom:
#   short_name: file_allowed
file_allowed(file) if {
	is_string(file)
	file in data.thresholds.allowed_model_files.value
}

# METADATA
# title: The code is committed
# description: True for a commit and a clean tree.
# custom:
#   short_name: code_committed
code_committed(made) if {
	made.git_dirty == false
	regex.match(`^([0-9a-f]{40}|[0-9a-f]{64})$`, made.git_commit)
}

# METADATA
# title: The code is told
# description: True if at least the code of one asset is.
# custom:
#   short_name: code_told
code_told if {
	is_array(input.code)
	count(input.code) > 0
}

# METADATA
# title: The tree may be dirty
# description: True in an environment for which the policy data do not demand a clean tree.
# custom:
#   short_name: tree_may_be_dirty
tree_may_be_dirty if {
	is_array(data.thresholds.clean_tree_environments.value)
	is_string(input.request.environment)
	environments := data.thresholds.clean_tree_environments.value
	count([name | some name in environments; name == input.request.environment]) == 0
}

# METADATA
# title: Parameter fits
# description: True if the layout lists the parameter and its JSON schema takes the value.
# custom:
#   short_name: parameter_fits
parameter_fits(name, value) if {
	said := data.layout.steps.train.parameters[name]
	[true, _] = json.match_schema({name: value}, {"type": "object", "properties": {name: said}})
}

# METADATA
# title: There are parameters
# description: True if at least one is named.
# custom:
#   short_name: parameters_present
parameters_present if {
	is_object(input.model.parameters)
	count(input.model.parameters) > 0
}

# METADATA
# title: The model is young enough
# description: True if a training's statement counts for as long as this one is old.
# custom:
#   short_name: model_young_enough
model_young_enough if lib.fresh(input.model.signed_at, input.request.at, "train")

# METADATA
# title: The model was signed before
# description: True if the signing time is not after the request.
# custom:
#   short_name: model_signed_before
model_signed_before if lib.not_after(input.model.signed_at, input.request.at)
