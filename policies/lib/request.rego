# METADATA
# title: Who asks
# description: Rules about the request, the same for every gate.
# scope: package
# schemas:
#   - data.layout: schema.layout
package fraud.lib.request

import data.fraud.lib

# METADATA
# title: Name of the asking step
# description: For messages only.
# custom:
#   short_name: step_name
step_name := lib.text_at(input, ["request", "step"])

# METADATA
# title: The step must be in the layout
# description: A step that the layout does not know has no identity, materials or contracts to be judged by.
# custom:
#   short_name: step_known
#   code: STEP_UNKNOWN
#   remedy: "Correct the step's name, or add the step to policies/data/layout.json and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), step_name, message) if {
	not step_known
	message := sprintf("The layout knows no step %s.", [step_name])
}

# METADATA
# title: The step must run under its own identity
# description: Each step has exactly one identity; a valid signer of another step is not enough.
# custom:
#   short_name: identity_authorized
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: Find out who used that identity, and let the step sign under its own.
reasons contains lib.reason(rego.metadata.rule(), step_name, message) if {
	not identity_authorized
	found := lib.text_at(input, ["request", "identity", "subject"])
	message := sprintf("%s is not the identity the layout gives to step %s.", [found, step_name])
}

# METADATA
# title: The step must be allowed in the environment
# description: The layout lists the environments, and for each step those it may run in.
# custom:
#   short_name: environment_allowed
#   code: ENVIRONMENT_MISMATCH
#   remedy: "Run the step in an environment that the layout lists for it, or have the layout changed: two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`."
reasons contains lib.reason(rego.metadata.rule(), step_name, message) if {
	not environment_allowed
	found := lib.text_at(input, ["request", "environment"])
	message := sprintf("Step %s may not run in environment %s.", [step_name, found])
}

# METADATA
# title: The step is in the layout
# description: True if the layout has an entry for the asking step.
# custom:
#   short_name: step_known
step_known if is_object(data.layout.steps[input.request.step])

# METADATA
# title: The identity is the step's
# description: True if the identity is exactly the layout's identity for the asking step.
# custom:
#   short_name: identity_authorized
identity_authorized if lib.signs_for(input.request.identity, input.request.step)

# METADATA
# title: The environment is allowed
# description: True if the asking step may run in the request's environment.
# custom:
#   short_name: environment_allowed
environment_allowed if lib.runs_in(input.request.step, input.request.environment)
