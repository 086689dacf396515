# METADATA
# title: Model deployment
# description: Decides whether a registered model may become champion, all that registration demands, and approvals by others.
# scope: package
# schemas:
#   - input: schema.model_deployment
#   - data.layout: schema.layout
#   - data.principals: schema.principals
#   - data.thresholds: schema.thresholds
package fraud.model_deployment

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
	enough_approvals
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
#   remedy: Call the gate with an input that matches policies/schemas/model_deployment.json, and load that schema.
reasons contains lib.reason(rego.metadata.rule(), "input", "The input or its schema is missing or they do not match.") if {
	not well_formed
}

# METADATA
# title: Deviations of the input are named
# description: One reason for each field that does not match the schema.
# custom:
#   short_name: input_deviations
reasons contains reason if some reason in shape.input_reasons(input, data.schemas.model_deployment)

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
#   remedy: Ask this gate as step deploy.
reasons contains lib.reason(rego.metadata.rule(), request.step_name, "Only step deploy asks this gate.") if {
	not asked_as_gate
}

# METADATA
# title: The request is for this gate
# description: True for the gate's own step.
# custom:
#   short_name: asked_as_gate
asked_as_gate if input.request.step == "deploy"

# METADATA
# title: The input is well formed
# description: True if the input matches its schema.
# custom:
#   short_name: well_formed
well_formed if shape.matches(input, data.schemas.model_deployment)

# METADATA
# title: The registration must have allowed
# description: A candidate that the registration gate refused cannot be deployed.
# custom:
#   short_name: registration_allowed
#   code: DECISION_MISSING
#   remedy: "`fraud-provenance run` asks the registration gate; follow the remedies of its reasons."
reasons contains lib.reason(rego.metadata.rule(), "registration", "The registration gate has not allowed the model.") if {
	not registration_allowed
}

# METADATA
# title: The registration must be of this model
# description: Another model's registration says nothing of this one.
# custom:
#   short_name: registration_subject
#   code: SUBJECT_MISMATCH
#   remedy: "`fraud-provenance run` registers this very model."
reasons contains lib.reason(rego.metadata.rule(), "registration", "The registration is of another model.") if {
	not registration_of_model
}

# METADATA
# title: The registration must be by the registration gate
# description: Exactly the gate's identity in the layout.
# custom:
#   short_name: registration_signer
#   code: IDENTITY_NOT_AUTHORIZED_FOR_STEP
#   remedy: "Treat the bundle as forged. Find out who put it there. Remove the bundle that is named from evidence/bundles/, and evidence/index.sqlite, which is made anew. Copy the backup of evidence/ over the home's and keep what is newer there. `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, withdraws its entry; `fraud-provenance run` makes anew what is missing, and a model made anew is approved anew: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), "registration", message) if {
	not registered_by_gate
	found := lib.text_at(input, ["registration", "signer", "subject"])
	message := sprintf("%s signed the registration, which is not the gate's identity.", [found])
}

# METADATA
# title: The registration must be by today's policy
# description: A decision by another policy is no decision by this one.
# custom:
#   short_name: registration_policy
#   code: REGISTRATION_POLICY
#   remedy: "`fraud-provenance run` registers the model under the policy in force; then `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), "registration", "The registration was decided by another policy.") if {
	not registered_by_policy
}

# METADATA
# title: The policy must be by two policy authors
# description: Two distinct principals signed it. Whether they were policy authors is judged, before, by the release before it.
# custom:
#   short_name: policy_authors
#   code: POLICY_AUTHOR_UNKNOWN
#   remedy: "Have each policy author be a principal of its own in policies/data/principals.json, and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`. Then `fraud-provenance run` registers the model under it; `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), "policy", "Fewer than two distinct principals signed the policy.") if {
	not authors_known
}

# METADATA
# title: The trainer must be known
# description: The principal given as trainer is the one that owns the identity which signed the model.
# custom:
#   short_name: trainer_known
#   code: TRAINER_UNKNOWN
#   remedy: "Add the training identity to one principal with the role trainer in policies/data/principals.json, and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`. Then `fraud-provenance run` registers the model under it; `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), lib.text_at(input, ["trainer", "principal"]), "The trainer is not the principal whose identity signed the model.") if {
	not trainer_known
}

# METADATA
# title: The trainer must not write the policy
# description: Whoever does both could lower the bar for the own model.
# custom:
#   short_name: trainer_no_author
#   code: ROLE_CONFLICT
#   remedy: "Give the trainer and each policy author principals of their own in policies/data/principals.json, and have that signed by two policy authors, each with `fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`. Then `fraud-provenance run` registers the model under it; `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), lib.text_at(input, ["trainer", "principal"]), "The trainer is an author of the policy, or the authors are not known.") if {
	not trainer_independent
}

# METADATA
# title: Cosign must have verified everything
# description: The independent verifier accepted each of the required signatures.
# custom:
#   short_name: cosign_verified
#   code: COSIGN_REJECTED
#   remedy: "Find out which of the two is wrong. Where cosign was replaced: delete the folder that `tools/build.sh --dir` prints (a tool that is there is kept), then `make tools`. Where it is right, treat the artifact as tampered. Copy the backup of evidence/ over the home's and keep what is newer there."
reasons contains lib.reason(rego.metadata.rule(), "cosign", "Cosign verified none or not all of the required signatures.") if {
	not cosign_agrees
}

# METADATA
# title: The registration allowed
# description: True if the decision says so.
# custom:
#   short_name: registration_allowed
registration_allowed if input.registration.allow == true

# METADATA
# title: The registration is of this model
# description: True if both name the same digest.
# custom:
#   short_name: registration_of_model
registration_of_model if {
	is_string(input.model.digest)
	input.registration.model_digest == input.model.digest
}

# METADATA
# title: The gate registered the model
# description: True for exactly the registration gate's identity.
# custom:
#   short_name: registered_by_gate
registered_by_gate if lib.signs_for(input.registration.signer, "release")

# METADATA
# title: The registration is by this policy
# description: True if both name the same digest.
# custom:
#   short_name: registered_by_policy
registered_by_policy if {
	is_string(input.policy.digest)
	input.registration.policy_digest == input.policy.digest
}

# METADATA
# title: The authors are known
# description: True if at least two distinct principals are given.
# custom:
#   short_name: authors_known
authors_known if {
	is_array(input.policy.authors)
	count({author | some author in input.policy.authors}) >= 2
}

# METADATA
# title: The trainer is known
# description: True if the principal owns the model's signing identity and is a trainer, when signing.
# custom:
#   short_name: trainer_known
trainer_known if holds(input.trainer.principal, input.model.signer, "trainer", input.model.signed_at)

# METADATA
# title: The trainer is independent
# description: True if the trainer is none of the policy authors.
# custom:
#   short_name: trainer_independent
trainer_independent if {
	is_string(input.trainer.principal)
	is_array(input.policy.authors)
	same := [author | some author in input.policy.authors; author == input.trainer.principal]
	count(same) == 0
}

# METADATA
# title: Cosign agrees
# description: True if it verified as many signatures as required, and at least one.
# custom:
#   short_name: cosign_agrees
cosign_agrees if {
	is_number(input.cosign.required)
	input.cosign.required > 0
	input.cosign.verified == input.cosign.required
}
