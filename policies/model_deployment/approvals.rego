# Approvals. Which approvals of people count for a deployment, and why the others do not.
package fraud.model_deployment

import data.fraud.lib
import data.fraud.lib.model

# METADATA
# title: Approvals must be there
# description: |
#   So many distinct principals as demanded have each given an approval that matches in everything.
#   A shortage that flawed approvals explain is named by their flaws alone.
# custom:
#   short_name: approvals_enough
#   code: APPROVAL_MISSING
#   remedy: "Have the model approved by distinct approvers who neither trained it nor wrote the policy: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), model.model_name, message) if {
	not shortage_explained
	message := sprintf("%d matching approvals by distinct principals; more are demanded.", [count(approvers)])
}

# METADATA
# title: An approval must be of this model
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_subject
#   code: APPROVAL_SUBJECT_MISMATCH
#   remedy: "Have this model approved: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approval is of another model.") if {
	not enough_approvals
	some approval in input.approvals
	not approved_this_model(approval)
}

# METADATA
# title: An approval must be for this environment
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_environment
#   code: APPROVAL_ENV
#   remedy: "`fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, with the environment where the model shall run; then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approval is for another environment.") if {
	not enough_approvals
	some approval in input.approvals
	not approved_here(approval)
}

# METADATA
# title: An approval must be of this evidence
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_evidence
#   code: APPROVAL_EVIDENCE
#   remedy: "Look at the evidence as it is now, then `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approver saw other evidence.") if {
	not enough_approvals
	some approval in input.approvals
	not approved_evidence(approval)
}

# METADATA
# title: An approval must be under this policy
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_policy
#   code: APPROVAL_POLICY
#   remedy: "`fraud-provenance run` registers the model under the policy in force; then `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, and run once more."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approval was given under another policy.") if {
	not enough_approvals
	some approval in input.approvals
	not approved_policy(approval)
}

# METADATA
# title: An approval must be in force
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_time
#   code: APPROVAL_EXPIRED
#   remedy: "`fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approval is expired, too old, not yet given, or its times are unreadable.") if {
	not enough_approvals
	some approval in input.approvals
	not approval_in_force(approval)
}

# METADATA
# title: An approval must not be withdrawn
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_stands
#   code: APPROVAL_REVOKED
#   remedy: "If the model still deserves it, `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approval was withdrawn, or its signer was revoked.") if {
	not enough_approvals
	some approval in input.approvals
	not still_stands(approval)
}

# METADATA
# title: An approval must not be used up
# description: A deployment uses up every approval given before it. Named only if there are too few that match.
# custom:
#   short_name: approval_current
#   code: APPROVAL_SUPERSEDED
#   remedy: "If this model is to be promoted after all: `fraud-provenance approve model:VERSION --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "A later promotion used the approval up, or that cannot be told.") if {
	not enough_approvals
	some approval in input.approvals
	not still_unused(approval)
}

# METADATA
# title: An approval must be by an approver
# description: Named only if there are too few approvals that match; a trainer or policy author is named as such.
# custom:
#   short_name: approval_role
#   code: APPROVAL_ROLE
#   remedy: "Have a person with the role approver look at it: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The signer is not the principal named, or is no approver at that time.") if {
	not enough_approvals
	some approval in input.approvals
	approver_independent(approval)
	not given_by_approver(approval)
}

# METADATA
# title: An approval must be by another than trainer and policy author
# description: Named only if there are too few approvals that match.
# custom:
#   short_name: approval_independence
#   code: SELF_APPROVAL
#   remedy: "Have another person, with the role approver, look at it: `fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`, then `fraud-provenance run`."
reasons contains lib.reason(rego.metadata.rule(), approval_name(approval), "The approver trained the model or wrote the policy, or that cannot be told.") if {
	not enough_approvals
	some approval in input.approvals
	not approver_independent(approval)
}

# METADATA
# title: Name of an approval
# description: For messages only.
# custom:
#   short_name: approval_name
approval_name(approval) := sprintf("approval by %s", [lib.text_at(approval, ["identity", "subject"])])

# METADATA
# title: Approvers
# description: Distinct principals of which one bound approval matches in everything.
# custom:
#   short_name: approvers
approvers contains approval.principal if {
	some approval in input.approvals
	matches_in_everything(approval)
}

# METADATA
# title: The approval matches in everything
# description: True if one and the same approval meets every demand.
# custom:
#   short_name: matches_in_everything
matches_in_everything(approval) if {
	approved_this_model(approval)
	approved_here(approval)
	approved_evidence(approval)
	approved_policy(approval)
	approval_in_force(approval)
	still_stands(approval)
	still_unused(approval)
	given_by_approver(approval)
	approver_independent(approval)
}

# METADATA
# title: Approvals demanded
# description: Number of distinct approvers, at least one.
# custom:
#   short_name: approvals_demanded
approvals_demanded := max({1, data.thresholds.min_approvals.value})

# METADATA
# title: There are enough approvals
# description: True if as many distinct principals approved as demanded.
# custom:
#   short_name: enough_approvals
enough_approvals if count(approvers) >= approvals_demanded

# METADATA
# title: Flawed approvals
# description: Approvals that miss at least one demand; at least one reason names each while there are too few others.
# custom:
#   short_name: flawed_approvals
flawed_approvals contains position if {
	some position, approval in input.approvals
	not matches_in_everything(approval)
}

# METADATA
# title: The shortage is explained
# description: True if there are enough approvals, or would be without the flaws of those given.
# custom:
#   short_name: shortage_explained
shortage_explained if count(approvers) + count(flawed_approvals) >= approvals_demanded

# METADATA
# title: The approval is of this model
# description: True if it names the model's digest.
# custom:
#   short_name: approved_this_model
approved_this_model(approval) if {
	is_string(approval.model_digest)
	approval.model_digest == input.model.digest
}

# METADATA
# title: The approval is for here
# description: True if it names the request's environment.
# custom:
#   short_name: approved_here
approved_here(approval) if {
	is_string(approval.environment)
	approval.environment == input.request.environment
}

# METADATA
# title: The approval is of this evidence
# description: True if it names the evidence set's digest.
# custom:
#   short_name: approved_evidence
approved_evidence(approval) if {
	is_string(approval.evidence_set)
	approval.evidence_set == input.evidence_set
}

# METADATA
# title: The approval is under this policy
# description: True if it names the policy's digest.
# custom:
#   short_name: approved_policy
approved_policy(approval) if {
	is_string(approval.policy_digest)
	approval.policy_digest == input.policy.digest
}

# METADATA
# title: The approval is in force
# description: True if given before the request, not expired, and not older than the layout allows.
# custom:
#   short_name: approval_in_force
approval_in_force(approval) if {
	lib.not_after(approval.issued_at, input.request.at)
	lib.instant_ns(input.request.at) < lib.instant_ns(approval.expires_at)
	lib.fresh(approval.issued_at, input.request.at, "approve")
}

# METADATA
# title: The approval stands
# description: True if it says that nobody withdrew it.
# custom:
#   short_name: still_stands
still_stands(approval) if approval.revoked == false

# METADATA
# title: The approval is not used up
# description: True if it says that no deployment came after it.
# custom:
#   short_name: still_unused
still_unused(approval) if approval.superseded == false

# METADATA
# title: The approver is one
# description: True if the principal named owns the identity and holds the role, by the policy data as well as by the input.
# custom:
#   short_name: given_by_approver
given_by_approver(approval) if {
	role := data.layout.steps.approve.signer_role
	role in approval.roles
	approval.identity.issuer == data.layout.steps.approve.identity.issuer
	holds(approval.principal, approval.identity, role, approval.issued_at)
	in_office(approval.principal, input.request.at)
}

# METADATA
# title: The approver is independent
# description: True if the principal is neither trainer nor policy author.
# custom:
#   short_name: approver_independent
approver_independent(approval) if {
	is_string(approval.principal)
	approval.principal != input.trainer.principal
	is_array(input.policy.authors)
	others := [author | some author in input.policy.authors; author == approval.principal]
	count(others) == 0
}

# METADATA
# title: Principal holds role by identity
# description: True if one principal has the name, the identity and the role, at that time.
# custom:
#   short_name: holds
holds(id, identity, role, at) if {
	some principal in data.principals.principals
	principal.id == id
	lib.owns(principal, identity)
	role in principal.roles
	within(principal, at)
}

# METADATA
# title: Principal is in office
# description: True if the principal is valid at that time.
# custom:
#   short_name: in_office
in_office(id, at) if {
	some principal in data.principals.principals
	principal.id == id
	within(principal, at)
}

# METADATA
# title: Time is within a principal's validity
# description: True from valid_from until before valid_until.
# custom:
#   short_name: within
within(principal, at) if {
	lib.instant_ns(principal.valid_from) <= lib.instant_ns(at)
	lib.instant_ns(at) < lib.instant_ns(principal.valid_until)
}
