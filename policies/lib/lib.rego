# METADATA
# title: Words shared by all gates
# description: |
#   Judges nothing by itself: says how a refusal looks, who may sign what, and how times compare.
#   Callers pass whole, bound objects: `not f(x.field)` is undefined, hence denies nothing, when the
#   field is missing, whereas `not f(x)` is true.
# scope: package
# schemas:
#   - data.layout: schema.layout
#   - data.thresholds: schema.thresholds
package fraud.lib

# METADATA
# title: Form of a reason
# description: One reason for a refusal, code and remedy taken from the rule's own METADATA.
# custom:
#   short_name: reason
reason(rule, subject, message) := {
	"code": rule.custom.code,
	"message": message,
	"remedy": rule.custom.remedy,
	"subject": subject,
}

# METADATA
# title: Name in the input
# description: The string at a path of the input, or a placeholder, so that a message never becomes undefined.
# custom:
#   short_name: text_at
text_at(document, path) := text if {
	text := object.get(document, path, "(missing)")
	is_string(text)
} else := "(not text)"

# METADATA
# title: Identity of a step
# description: True if the identity is exactly the one identity the layout gives to the step.
# custom:
#   short_name: signs_for
signs_for(identity, step) if {
	expected := data.layout.steps[step].identity
	is_string(expected.subject)
	identity == expected
}

# METADATA
# title: Environment of a step
# description: True if the layout knows the environment and lets the step run there.
# custom:
#   short_name: runs_in
runs_in(step, environment) if {
	environment in data.layout.environments
	environment in data.layout.steps[step].environments
}

# METADATA
# title: Producers of an asset
# description: The steps that produce each asset; exactly one in a valid layout.
# custom:
#   short_name: producers
producers[asset] contains name if {
	some name, step in data.layout.steps
	asset := step.produces
	is_string(asset)
}

# METADATA
# title: Materials of an asset
# description: The assets from which the layout lets each asset be made, one step back.
# custom:
#   short_name: materials_of
materials_of[asset] := {material.asset |
	some name in names
	some material in data.layout.steps[name].materials
} if {
	some asset, names in producers
}

# METADATA
# title: Contracts behind an asset
# description: Every [asset, suite] that must have passed for the asset and for all that it is made from.
# custom:
#   short_name: required_contracts
required_contracts(asset) := {[contract.asset, suite] |
	lineage := graph.reachable(materials_of, {asset})
	some suite, contract in data.layout.contracts
	contract.asset in lineage
}

# METADATA
# title: Instant
# description: Nanoseconds since 1970 of an RFC 3339 time in UTC; undefined for anything else.
# custom:
#   short_name: instant_ns
instant_ns(text) := time.parse_rfc3339_ns(text) if {
	is_string(text)
	regex.match(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`, text)
}

# METADATA
# title: Day
# description: Number of a day such as 2018-07-31, counted from 1970; undefined for anything else.
# custom:
#   short_name: day_number
day_number(text) := floor(instant_ns(concat("", [text, "T00:00:00Z"])) / (((24 * 60) * 60) * 1000000000)) if {
	is_string(text)
	count(text) == 10
}

# METADATA
# title: Order of times
# description: True if the first time is not after the second, but for the clocks' allowed difference.
# custom:
#   short_name: not_after
not_after(earlier, later) if {
	skew_ns := data.thresholds.max_clock_skew_seconds.value * 1000000000
	instant_ns(earlier) <= instant_ns(later) + skew_ns
}

# METADATA
# title: Age
# description: True if at most so many days as the layout allows the step lie between signature and use.
# custom:
#   short_name: fresh
fresh(signed_at, at, step) if {
	day_ns := ((24 * 60) * 60) * 1000000000
	instant_ns(at) - instant_ns(signed_at) <= data.layout.steps[step].max_age_days * day_ns
}

# METADATA
# title: Identity in one form
# description: |
#   An address in small letters, without a dot at its end: how it is spelled makes nobody another.
#   A workload's path is exact.
# custom:
#   short_name: canonical
canonical(identity) := object.union(identity, {"subject": trim_suffix(lower(identity.subject), ".")}) if {
	identity.issuer == "people"
	is_string(identity.subject)
} else := identity

# METADATA
# title: One person behind an address
# description: What tells one person from another, "name+tag" being the mailbox "name".
# custom:
#   short_name: person
person(identity) := sprintf("%s@%s", [split(parts[0], "+")[0], parts[1]]) if {
	identity.issuer == "people"
	parts := split(canonical(identity).subject, "@")
	count(parts) == 2
	not startswith(parts[0], "+")
} else := canonical(identity).subject

# METADATA
# title: Principal of an identity
# description: True if the identity is one of the principal's, however the address is spelled.
# custom:
#   short_name: owns
owns(principal, identity) if {
	some known in principal.identities
	canonical(known) == canonical(identity)
}
