"""Lines, outcomes and cases: what is attacked, what must happen, what did happen."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fraud_provenance_tests.attacks.home import Home

LINES = Path(__file__).with_name("lines.json")
GROUPS = {
    "DF": "data faults", "DT": "tampering at rest", "LE": "lineage and evidence",
    "SI": "signature and identity", "TL": "transparency log", "MA": "model artifact",
    "RG": "registry", "PO": "policy", "AP": "approval and role", "PT": "promotion races",
    "SV": "serving and predictions", "RP": "reproducibility", "SN": "secrets and network",
    "DS": "resource bombs", "OP": "operational faults",
    "K": "the kernel", "F": "honest signers, unproved claims", "N": "nothing taken for fine",
    "AC": "acceptances of unusual days", "OK": "negative controls",
}  # fmt: skip

Attack = Callable[["Home"], None]
Mutant = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Line:
    """One line of the list of attacks. `stops`: where it may be stopped (P0 … P8).

    `verdict`: B blocked, A alerted, R recovered, P must pass. `codes`: accepted primary codes.
    `elsewhere`: stop → the other verdict and codes that the line has there.
    """

    id: str
    stops: tuple[str, ...]
    verdict: Literal["B", "A", "R", "P"]
    codes: tuple[str, ...]
    what: str
    or_passes_unharmed: bool = False
    elsewhere: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def at(self, stop: str) -> "Line":
        """What the line says of this stop."""
        if stop not in self.elsewhere:
            return self
        there = self.elsewhere[stop]
        codes = tuple(there["codes"])
        return replace(self, stops=(stop,), verdict=there["verdict"], codes=codes, elsewhere={})

    @property
    def everywhere(self) -> tuple["Line", ...]:
        """The line, and what it says of each stop that is apart."""
        return (self, *(self.at(stop) for stop in self.elsewhere))

    @property
    def group(self) -> str:
        """The letters that it begins with."""
        return self.id.split("-")[0].rstrip("0123456789")


@cache
def lines() -> dict[str, Line]:
    """Every line by its id, in order."""
    found = [
        Line(**(item | {"stops": tuple(item["stops"]), "codes": tuple(item["codes"])}))
        for item in json.loads(LINES.read_text("utf-8"))
    ]
    return {line.id: line for line in found}


@dataclass(frozen=True)
class Outcome:
    """What a judge saw at one stop.

    Attributes:
        stop: P0 … P8, or empty where the line names none.
        refused: the product did not do what it was asked to.
        codes: root causes of the refusal, the primary one first.
        alerts: codes in the alerts and findings that are new.
        text: what the product said.
    """

    stop: str
    refused: bool
    codes: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    text: str = ""

    @property
    def has_passed(self) -> bool:
        """Nothing was refused and nobody was alerted."""
        return not self.refused and not self.alerts


Judge = Callable[["Home"], Outcome]


@dataclass(frozen=True)
class Case:
    """One attack on one line. Several cases of a line differ in `variant`; all must hold.

    Attributes:
        id: the line.
        attack: does the harm to its copy of the home.
        judge: asks the product, at the stop where the attack must end.
        twin: a benign variant of the attack that must pass the same judge. None only for lines
            that must pass anyway.
        mutant: removes the named check, and every layer behind it that would catch the same
            thing; then the attack must get through. None only for lines that must pass anyway
            and for recoveries, where no check stands between.
        state: which state of the home is copied, see `arena.STATES`.
        variant: names this case among the line's.
        no_mutant: why there is no mutant, where a check that could be removed does not exist.
        quick: plays in `make test` as well; `make attacks` plays every case.
    """

    id: str
    attack: Attack
    judge: Judge
    twin: Attack | None = None
    mutant: Mutant | None = None
    state: str = "scored"
    variant: str = ""
    no_mutant: str = ""
    quick: bool = False

    @property
    def name(self) -> str:
        """Id and variant."""
        return f"{self.id} {self.variant}".strip()

    @property
    def line(self) -> Line:
        """The line that says what must happen."""
        return lines()[self.id]


@dataclass(frozen=True)
class Excused:
    """A case that cannot be run here, with the reason. Never counted as stopped.

    Only this one is excused: the line's other cases are played and counted.
    """

    id: str
    reason: str
    variant: str = ""

    @property
    def name(self) -> str:
        """Id and variant, as the case would have them."""
        return f"{self.id} {self.variant}".strip()


def nothing(_home: "Home") -> None:
    """A twin that changes nothing: the honest home itself."""
