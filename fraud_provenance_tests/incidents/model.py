"""What an incident is, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance_tests.incidents.place import SCORED, Place, Plant

NONE: frozenset[str] = frozenset()


def nothing(_place: Place) -> None:
    """What the base holds is the incident."""


@dataclass(frozen=True)
class Incident:
    """One incident.

    Attributes:
        id: Its name.
        kind: What goes wrong, in words.
        plant: Does it, as people would.
        subject: What a person then asks about, as `trace` spells it; `alert` is the newest one,
            `alert/SUBJECT` the newest about something.
        causes: The true causes, each "kind name"; empty where nothing is to be blamed.
        decoy: Whether something else changed that looks worse and does nothing.
        must_stop: Whether a gate, a contract or an alert must have said something; what passes
            all contracts and gates is noticed by whoever asks.
        against: What is named as good; "" leaves it to the product.
        base: The prepared home that it happens in.
    """

    id: str
    kind: str
    plant: Plant
    subject: str
    causes: frozenset[str]
    decoy: bool = False
    must_stop: bool = False
    against: str = ""
    base: str = SCORED

    @property
    def is_of_machines(self) -> bool:
        """Whether a machine, a server or a file of theirs is to be blamed."""
        return any(cause.startswith(("infrastructure ", "missing ")) for cause in self.causes)


@dataclass
class Answer:
    """What the product said of one incident."""

    incident: Incident
    alarmed: bool = False
    named: frozenset[str] = frozenset()
    grounded: bool = False
    """Every cause has a path from the symptom, each statement of it verified; see `judge`."""
    quick_s: float = 0.0
    full_s: float = 0.0
    code: int = -1
    headline: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """The set is the true one, no more and no less; that there is none must be said, too."""
        decided = bool(self.named) or self.document.get("exit_code") == 0
        return decided and self.named == self.incident.causes

    @property
    def at_least_one(self) -> bool:
        """A true cause is named; where there is none, none is."""
        return bool(self.named & self.incident.causes) or self.exact

    @property
    def holds(self) -> bool:
        """Stopped or told where it must be, the exact set, grounded."""
        return self.exact and self.grounded and (self.alarmed or not self.incident.must_stop)
