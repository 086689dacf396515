"""What a run was asked for, and what it did."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core.errors import ProvenanceError, Reason

if TYPE_CHECKING:
    from fraud_provenance.fraud.model import TrainingConfig


@dataclass
class RunReport:
    """What a run did: stages with seconds, what people must do next, what was refused.

    `champion`: "" if there is none, None if the run ended before it was verified.
    """

    stages: list[tuple[str, float, str]] = field(default_factory=list)
    refused: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    newly_failed: bool = False
    undecided: bool = False
    champion: str | None = None
    candidate: str = ""

    @contextmanager
    def stage(self, say: Callable[[str], None], name: str, detail: str = "") -> Iterator[list[str]]:
        """Announce a stage, time it and take it down, however it ends; yields its notes."""
        say(f"{name} {detail}".strip())
        began = time.monotonic()
        notes: list[str] = []
        try:
            yield notes
        finally:
            told = "; ".join([detail, *notes] if detail else notes)
            self.stages.append((name, time.monotonic() - began, told))

    def refuse(self, error: ProvenanceError) -> None:
        """Take down why a stage was refused or could not decide; the others go on."""
        self.refused.extend(error.reasons)
        self.newly_failed = True
        self.undecided |= error.exit_code > 1

    @property
    def exit_code(self) -> int:
        """0 all went well, 1 something was refused in this run, 2 it could not be decided."""
        return 2 if self.undecided else int(self.newly_failed)


class Stage(StrEnum):
    """A part of `run`, in the order of the flow."""

    INGEST = "ingest"
    FEATURES = "features"
    ONLINE = "online"
    TRAINING = "training"
    PROMOTION = "promotion"
    SCORING = "scoring"


@dataclass(frozen=True)
class RunOptions:
    """How to run: training days and parameters, days to score, stages (all, if none is named)."""

    train_start: str = ""
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7
    retrain_after_days: int = 1
    score: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()

    def run_config(self) -> dict[str, Any]:
        """Dagster run configuration: that of the `training` resource."""
        names = ("train_start", "train_days", "delay_days", "test_days", "retrain_after_days")
        config = {name: getattr(self, name) for name in names}
        return {"resources": {"training": {"config": config}}}

    def training_config(self) -> "TrainingConfig":
        """The same as the fraud package's closed schema."""
        from fraud_provenance.fraud.model import TrainingConfig

        start = date.fromisoformat(self.train_start) if self.train_start else None
        return TrainingConfig(
            train_start=start,
            train_days=self.train_days,
            delay_days=self.delay_days,
            test_days=self.test_days,
            retrain_after_days=self.retrain_after_days,
        )
