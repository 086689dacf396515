"""Dagster's view of a workspace. Each run opens it anew, so each run verifies anew."""

import os

import dagster as dg

from fraud_provenance.gates.step import recover
from fraud_provenance.workspace import Workspace, settings_from


class ProvenanceResource(dg.ConfigurableResource["ProvenanceResource"]):
    """The home: evidence, gates, data folders. Configured by the documented environment variables."""

    def open(self) -> Workspace:
        """A fresh workspace; finishes what a killed run left behind."""
        workspace = Workspace(settings_from(os.environ))
        workspace.create_folders()
        recover(workspace.trust)
        return workspace
