"""Codes whose remedy nobody plays yet."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNPLAYED = _names("""
LINEAGE_CYCLE POLICY_AUTHOR_UNKNOWN PRODUCER_UNKNOWN STEP_UNKNOWN
""")
"""One that gets a row leaves; none may come. Nobody meets these four on a home.

LINEAGE_CYCLE: statements name each other by SHA-256, so that no two of them can do it.
POLICY_AUTHOR_UNKNOWN, PRODUCER_UNKNOWN, STEP_UNKNOWN are the policy's second look. A release that
fewer than two principals signed is never in force (EXPECTATION_CHANGE_UNAPPROVED); whoever asks for
what no step makes gets PARTITION_MISSING or IDENTITY_NOT_AUTHORIZED_FOR_STEP, and whoever asks as
another step IDENTITY_NOT_AUTHORIZED_FOR_STEP or INPUT_INVALID.
"""
