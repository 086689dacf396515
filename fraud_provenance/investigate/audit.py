"""The audit as people start it: by hand, each day, and the log's end at the end of each run."""

from collections.abc import Callable
from datetime import datetime

from fraud_provenance.alerts import Outbox, alert_of_error
from fraud_provenance.attested.core.errors import ProvenanceError, Reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.sigstore.log_audit import AuditReport, Depth
from fraud_provenance.models.copies import copy_problems
from fraud_provenance.models.registry import Registry
from fraud_provenance.predictions.audit import audit_predictions

PLACE = "audit"  # also the name of Dagster's op, so that both tell the same alert


def audit(
    trust: Trust,
    registry: Registry,
    outbox: Outbox,
    now: datetime,
    depth: Depth = Depth.REMEMBERED,
    say: Callable[[str], None] = lambda _text: None,
) -> AuditReport:
    """Hold the logs against the store, the scores against theirs, MLflow's copies against both.

    Whatever is found becomes an alert, told once a day. With `Depth.TAIL` only the end of the
    logs is looked at.

    Raises:
        ProvenanceError: the policy that names our identities is not valid.
    """
    policy = trust.policies.current()
    settled = trust.lineage(policy).revocations.log_entries
    report = trust.auditor().audit(policy.layout.identities(), depth, say, settled)
    if depth > Depth.TAIL:
        say("prediction log")
        found = [*_predictions(trust), *copy_problems(trust, registry)]
        report = report.model_copy(update={"findings": tuple(dict.fromkeys(found))})
    try:
        report.check()
    except ProvenanceError as error:
        outbox.put(alert_of_error(error, PLACE, now))
    return report


def _predictions(trust: Trust) -> list[Reason]:
    """What speaks against the prediction log, or why that cannot be told."""
    try:
        return audit_predictions(trust)
    except ProvenanceError as error:
        return list(error.reasons)
