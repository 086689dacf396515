"""Dagster's view of a workspace. Each run opens it anew, so each run verifies anew."""

import os

import dagster as dg

from fraud_provenance import surroundings
from fraud_provenance.alerts import WEBHOOK_VARIABLE, Outbox
from fraud_provenance.attested.step.step import recover
from fraud_provenance.predictions.log import UNFINISHED
from fraud_provenance.workspace import Workspace, opened_from, settings_from


class ProvenanceResource(dg.ConfigurableResource["ProvenanceResource"]):
    """The home: evidence, gates, data folders. Environment variables say where."""

    def open(self) -> Workspace:
        """A fresh workspace; finishes what a killed run left behind.

        Raises:
            ConfigError: HOME_MOVED.
        """
        workspace = opened_from(os.environ)
        surroundings.check_place(workspace.home)
        workspace.create_folders()
        recover(workspace.trust, UNFINISHED)
        return workspace

    def outbox(self) -> Outbox:
        """The home's alerts."""
        return Outbox(settings_from(os.environ).home)

    def webhook(self) -> str:
        """Where alerts go, or an empty string. The address is a secret."""
        return os.environ.get(WEBHOOK_VARIABLE, "")
