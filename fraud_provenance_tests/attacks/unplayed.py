"""Codes whose remedy nobody plays yet."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNPLAYED = _names("""
EVALUATION_TOO_SMALL FEATURES_TOO_FEW LINEAGE_CYCLE PARTITION_DUPLICATE POLICY_AUTHOR_UNKNOWN
POLICY_UNSIGNED PRODUCER_UNKNOWN ROLE_CONFLICT STEP_UNKNOWN TOOL_UNAVAILABLE TRAINER_UNKNOWN
TRIGGER_SUSPECT
""")
"""One that gets a row leaves; none may come. Three have no row because nobody meets them on a home.

LINEAGE_CYCLE: statements name each other by SHA-256, so that no two of them can do it.
PRODUCER_UNKNOWN and STEP_UNKNOWN are the policy's second look: whoever asks for what no step makes
is refused before with PARTITION_MISSING or IDENTITY_NOT_AUTHORIZED_FOR_STEP, and whoever asks as
another step with IDENTITY_NOT_AUTHORIZED_FOR_STEP or INPUT_INVALID.
"""
