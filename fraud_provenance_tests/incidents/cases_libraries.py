"""Libraries that were upgraded: another real version is locked, installed, and computes.

A model that leaves its first score to the library, and splits with care, is one thing under
XGBoost 2.1 and another under 3.2: the newer one begins at the rate of frauds, where hardly a split
weighs enough. Other lines of the lock change along, and do nothing. The same upgrade changes the
bytes of a model that is told where to begin, and no score.
"""

from fraud_provenance_tests.incidents.acts import (
    again,
    locked,
    of_day,
    run,
    then,
    todays_lock,
)
from fraud_provenance_tests.incidents.bases import OTHER_VERSIONS
from fraud_provenance_tests.incidents.changes import labels
from fraud_provenance_tests.incidents.model import NONE, Incident
from fraud_provenance_tests.incidents.place import SAME_DAYS

CASES = (
    Incident("library", "an upgrade of three libraries, one of which begins to learn otherwise",
             then(todays_lock, run(*SAME_DAYS)), "alert/release_candidate",
             frozenset(("library xgboost-cpu",)), decoy=True, must_stop=True,
             base="older-libraries"),
    Incident("library-labels", "a relabelled day, and an upgrade that changes no score",
             then(locked(OTHER_VERSIONS), again({28: labels(120)})), "model@candidate",
             of_day(28), decoy=True, must_stop=True),
    Incident("library-none", "an upgrade that changes the model's bytes and no score of it",
             then(locked(OTHER_VERSIONS), run(*SAME_DAYS)), "model@candidate", NONE, decoy=True),
)  # fmt: skip
