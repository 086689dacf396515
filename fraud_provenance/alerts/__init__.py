"""Alerts for people: an outbox in the home, sinks that it is delivered to, acknowledgements.

In: what went wrong, in words. Out: messages at a webhook, in a mailbox, in a log file. An alert is
news and no evidence. Nothing here decides anything, and no sink that is away fails a run.

Not here: what is wrong with evidence or a run; whoever finds it makes the alert.
"""

from fraud_provenance.alerts.alert import (
    Alert,
    alert_of_error,
    alert_of_refusal,
    kind_of,
)
from fraud_provenance.alerts.contracts import CONTRACTED_ASSETS, concerned_days, contract_alerts
from fraud_provenance.alerts.heartbeat import beat, last_beat
from fraud_provenance.alerts.outbox import Acknowledgement, Delivery, Outbox
from fraud_provenance.alerts.settings import AlertSettings, settings_of
from fraud_provenance.alerts.sinks import LogSink, MailSink, Sink, WebhookSink, sinks_of

__all__ = [
    "CONTRACTED_ASSETS",
    "Acknowledgement",
    "Alert",
    "AlertSettings",
    "Delivery",
    "LogSink",
    "MailSink",
    "Outbox",
    "Sink",
    "WebhookSink",
    "alert_of_error",
    "alert_of_refusal",
    "beat",
    "concerned_days",
    "contract_alerts",
    "kind_of",
    "last_beat",
    "settings_of",
    "sinks_of",
]
