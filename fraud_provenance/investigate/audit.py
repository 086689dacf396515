"""The log audit as people start it: by hand, each day, and at the end of each run."""

from collections.abc import Callable
from datetime import datetime

from fraud_provenance.alerts import Outbox, alert_of_error
from fraud_provenance.evidence.errors import ProvenanceError
from fraud_provenance.evidence.log_audit import AuditReport, Depth
from fraud_provenance.gates.trust import Trust

PLACE = "audit"  # also the name of Dagster's op, so that both tell the same alert


def audit_log(
    trust: Trust,
    outbox: Outbox,
    now: datetime,
    depth: Depth = Depth.REMEMBERED,
    say: Callable[[str], None] = lambda _text: None,
) -> AuditReport:
    """Hold the log against the store; whatever is found becomes an alert, told once a day.

    Raises:
        ProvenanceError: the policy that names our identities is not valid.
    """
    policy = trust.policies.current()
    settled = trust.lineage(policy).revocations.log_entries
    report = trust.auditor().audit(policy.layout.identities(), depth, say, settled)
    try:
        report.check()
    except ProvenanceError as error:
        outbox.put(alert_of_error(error, PLACE, now))
    return report
