"""Dagster's view of a workspace. Each run opens it anew, so each run verifies anew.

What one run makes shares the home that it opened; a headless run is one run, however many jobs it
has (`session`).
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg
from pydantic import PrivateAttr

from fraud_provenance.alerts import AlertSettings, Outbox, settings_of
from fraud_provenance.attested.step.staging import recover
from fraud_provenance.day_partitions import choose
from fraud_provenance.home import surroundings
from fraud_provenance.home.glance import glance
from fraud_provenance.home.session import keep, shared
from fraud_provenance.home.settings import settings_from
from fraud_provenance.home.workspace import Workspace, opened_from
from fraud_provenance.predictions.log import UNFINISHED


class ProvenanceResource(dg.ConfigurableResource["ProvenanceResource"]):
    """The home: evidence, gates, data folders. Environment variables say where."""

    _run: str = PrivateAttr(default="")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """What one run makes shares a home; each look of a sensor opens its own."""
        self._run = context.run.run_id if context.run else ""
        choose(context.run.tags if context.run else {})

    def open(self) -> Workspace:
        """The workspace of the session; else a fresh one, and what a kill left is finished.

        Raises:
            ProvenanceError: the home cannot be used as it is.
        """
        found = shared(settings_from(os.environ), self._run)
        return found or keep(self._opened(whole=False), self._run)

    def open_anew(self) -> Workspace:
        """A fresh workspace that verifies everything, whatever was found of it before.

        Raises:
            ProvenanceError: as `open`.
        """
        return self._opened(whole=True)

    def _opened(self, *, whole: bool) -> Workspace:
        workspace = opened_from(os.environ, whole=whole)
        surroundings.check_place(workspace.home)
        workspace.create_folders()
        recover(workspace.trust, UNFINISHED)
        return workspace

    def glance(self) -> str:
        """Another one whenever a look at the home could find something new."""
        settings = settings_from(os.environ)
        seen = glance(settings, self.clock())
        if settings.is_shared:  # what other machines sign is no file of this home
            seen += f" {Workspace(settings).index().state()}"
        return seen

    def clock(self) -> datetime:
        """The time now."""
        return settings_from(os.environ).clock()

    def is_running(self) -> bool:
        """Whether a `run` is at work in this home."""
        return surroundings.is_taken(settings_from(os.environ).home)

    def has_one_identity(self) -> bool:
        """Whether each run of this home signs by one identity."""
        return settings_from(os.environ).runs.one_identity

    def home(self) -> Path:
        """The home's folder."""
        return settings_from(os.environ).home

    def outbox(self) -> Outbox:
        """The home's alerts."""
        return Outbox(settings_from(os.environ).home)

    def alert_settings(self) -> AlertSettings:
        """Where alerts go; addresses and passwords are secrets.

        Raises:
            ConfigError: USAGE, the settings are not as they must be.
        """
        return settings_of(os.environ, settings_from(os.environ).home)


HERE: Final = ProvenanceResource()
"""What sensors use. For one that asks for a resource Dagster opens its whole instance at each tick,
to look at its migrations; most ticks find that nothing changed, and ask it nothing."""
