# METADATA
# title: Model registration
# description: Decides whether a model may enter the registry as a candidate.
# scope: package
# schemas:
#   - input: schema.model_registration
package fraud.model_registration

import data.fraud.lib
import data.fraud.lib.model
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
	input.evidence.statements > 0
	count(input.contracts) > 0
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
#   remedy: Call the gate with an input that matches policies/schemas/model_registration.json, and load that schema.
reasons contains lib.reason(rego.metadata.rule(), "input", "The input or its schema is missing or they do not match.") if {
	not well_formed
}

# METADATA
# title: Deviations of the input are named
# description: One reason for each field that does not match the schema.
# custom:
#   short_name: input_deviations
reasons contains reason if some reason in shape.input_reasons(input, data.schemas.model_registration)

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
# title: The model is judged
# description: Shared by registration and deployment.
# custom:
#   short_name: model
reasons contains reason if some reason in model.reasons

# METADATA
# title: The request must be for this gate
# description: Another step's identity, however valid, is not this gate's.
# custom:
#   short_name: gate_step
#   code: STEP_UNKNOWN
#   remedy: Ask this gate as step release.
reasons contains lib.reason(rego.metadata.rule(), request.step_name, "Only step release asks this gate.") if {
	not asked_as_gate
}

# METADATA
# title: The request is for this gate
# description: True for the gate's own step.
# custom:
#   short_name: asked_as_gate
asked_as_gate if input.request.step == "release"

# METADATA
# title: The input is well formed
# description: True if the input matches its schema.
# custom:
#   short_name: well_formed
well_formed if shape.matches(input, data.schemas.model_registration)
