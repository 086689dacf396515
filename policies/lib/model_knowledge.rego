# What a model may know, when, and whether it alerts. Rules about days, labels, threshold and parameters, shared by registration and deployment.
package fraud.lib.model

import data.fraud.lib

# METADATA
# title: What is tested comes after what was learnt
# description: By days, of the training set that the model was made from; other files may hold the same days.
# custom:
#   short_name: tested_later
#   code: EVAL_ON_TRAIN
#   remedy: "`fraud-provenance run` evaluates on the days that come after those learnt from."
reasons contains lib.reason(rego.metadata.rule(), "evaluation", message) if {
	not tested_later
	found := [lib.text_at(input, ["days", name]) | some name in ["tested_from", "trained_until"]]
	message := sprintf("The test days begin at %s, the model learnt until %s.", found)
}

# METADATA
# title: Labels must be known
# description: A label counts once it can be known, the delay after its day; until then it may still change.
# custom:
#   short_name: labels_known
#   code: IMMATURE_LABELS
#   remedy: "Train on earlier days, with the delay that label_delay_days in policies/data/thresholds.json demands: `fraud-provenance run --delay-days N --train-start DAY`. Or wait until the delay has gone by."
reasons contains lib.reason(rego.metadata.rule(), model_name, message) if {
	not labels_known
	found := [lib.text_at(input, ["days", name]) | some name in ["trained_until", "newest"]]
	message := sprintf("The model learnt labels until %s; the newest attested day is %s.", found)
}

# METADATA
# title: The model must know the present
# description: Age by the newest data, not by the signature, which is as new as its training run.
# custom:
#   short_name: data_age
#   code: MODEL_TOO_OLD
#   remedy: "`fraud-provenance run` trains on the newest days; where none is newer, `fraud-provenance import FILE` first. Then `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), model_name, message) if {
	not learnt_lately
	found := [lib.text_at(input, ["days", name]) | some name in ["trained_until", "newest"]]
	message := sprintf("The model learnt until %s; the newest attested day is %s.", found)
}

# METADATA
# title: The threshold must alert
# description: A good ranking protects nobody if its threshold alerts on no one, or on everyone.
# custom:
#   short_name: threshold_alerts
#   code: THRESHOLD_OUT_OF_RANGE
#   remedy: "Train on other days, `fraud-provenance run --train-days N`, or have the bounds in policies/data/thresholds.json changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), model_name, message) if {
	not threshold_alerts
	found := [object.get(input, ["evaluation", name], "missing") | some name in ["threshold", "alert_rate"]]
	message := sprintf("The threshold is %v; it alerts on a share of %v of the test days' transactions.", found)
}

# METADATA
# title: Parameters must be complete
# description: What the layout demands of a training is in the model's statement, or it cannot be made again.
# custom:
#   short_name: parameters_complete
#   code: PARAM_MISSING
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), name, "The model's statement lacks the parameter.") if {
	some name in data.layout.steps.train.required_parameters
	not parameter_given(name)
}

# METADATA
# title: Tested later
# description: True if the first test day is after the last train day and the label delay.
# custom:
#   short_name: tested_later
tested_later if {
	delay := data.thresholds.label_delay_days.value
	lib.day_number(input.days.tested_from) > lib.day_number(input.days.trained_until) + delay
}

# METADATA
# title: Labels known
# description: True if the delay after the last train day had gone by on the newest attested day.
# custom:
#   short_name: labels_known
labels_known if {
	delay := data.thresholds.label_delay_days.value
	lib.day_number(input.days.trained_until) + delay <= lib.day_number(input.days.newest)
}

# METADATA
# title: Learnt lately
# description: True if the newest attested day is not too far from the last train day.
# custom:
#   short_name: learnt_lately
learnt_lately if {
	days := data.thresholds.max_data_age_days.value
	lib.day_number(input.days.newest) - lib.day_number(input.days.trained_until) <= days
}

# METADATA
# title: Threshold alerts
# description: True if threshold and share of alerts are numbers within the bounds.
# custom:
#   short_name: threshold_alerts
threshold_alerts if {
	is_number(input.evaluation.threshold)
	is_number(input.evaluation.alert_rate)
	input.evaluation.threshold > data.thresholds.model_threshold.above
	input.evaluation.threshold < data.thresholds.model_threshold.below
	input.evaluation.alert_rate >= data.thresholds.alert_rate.minimum
	input.evaluation.alert_rate <= data.thresholds.alert_rate.maximum
}

# METADATA
# title: Parameter given
# description: True if the model's statement carries it.
# custom:
#   short_name: parameter_given
parameter_given(name) if name in object.keys(input.model.parameters)
