"""DT-06: below what is trained on or scored lies one world."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from fraud_provenance.attested.lineage.demands import Demands
from fraud_provenance.attested.lineage.snapshots import Snapshots
from fraud_provenance.attested.step.reading import Reader
from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.cases_training import landed_again, late_rows
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import FEATURES, data_access, registration, training
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, without

_LAST = "2018-05-15"  # the newest day of the home


def _days(first: int, count: int) -> list[str]:
    """So many days, from the first day that is trained on and so many days later on."""
    start = date.fromisoformat(TRAINED[1]) + timedelta(days=first)
    return [str(start + timedelta(days=number)) for number in range(count)]


DAY, NEIGHBOURS = _days(0, 1)[0], _days(1, 6)
TRAIN = [DAY, *NEIGHBOURS]
ALL = _days(0, 21)


def rebuilt(days: Sequence[str], then: Callable[[Home], None] | None = None) -> Attack:
    """The first day that is trained on arrives once more, and features are made of `days`."""

    def attack(home: Home) -> None:
        landed_again([DAY], late_rows)(home)
        assert home.job("ingest", days=[DAY]).code == 0
        if days:
            assert home.job("features", days=days).code == 0
        if then:
            then(home)

    return attack


one_world_unchecked = both(
    without(Demands, "_check_snapshot", ()),
    without(Reader, "_check_snapshot"),
    without(Reader, "refuse_overtaken"),
    without(Snapshots, "outdated_heads", {}),
)
"""A mutant: whatever versions there ever were may stand side by side."""


def trained_unchecked(home: Home) -> None:
    """A model of what lies there, evaluated, by steps that look at no version."""
    with one_world_unchecked():
        said = home.job(
            "training",
            assets=["training_set", "fraud_model", "model_evaluation"],
            options={"train_start": DAY},
        )
    assert said.code == 0, said


CASES = [
    Case("DT-06", rebuilt(NEIGHBOURS), data_access(FEATURES, TRAIN, "training_set"),
         rebuilt(TRAIN), one_world_unchecked, variant="read"),
    Case("DT-06", rebuilt([]), data_access(FEATURES, [_LAST], "score"),
         rebuilt([_LAST]), one_world_unchecked, variant="nothing rebuilt"),
    Case("DT-06", rebuilt(NEIGHBOURS), training(train_start=DAY), rebuilt(ALL),
         one_world_unchecked, variant="training"),
    Case("DT-06", rebuilt(NEIGHBOURS, trained_unchecked), registration(),
         rebuilt(ALL, trained_unchecked), one_world_unchecked, variant="registration"),
]  # fmt: skip
