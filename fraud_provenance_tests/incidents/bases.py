"""Homes to which something happened once, and that many incidents then start from."""

from collections.abc import Mapping

from fraud_provenance_tests.incidents import changes
from fraud_provenance_tests.incidents.acts import (
    MODEL,
    again,
    default,
    delivered_again,
    edit,
    locked,
    new_day,
    run,
    then,
)
from fraud_provenance_tests.incidents.place import SAME_DAYS, Plant

_BAD_WEEK = {
    32: changes.as_text("TX_AMOUNT"),
    33: changes.renamed("TERMINAL_ID", "SHOP_ID"),
    34: changes.exchanged,
    35: changes.labels_of_others,
    36: changes.first_half,
    37: changes.again_under_new_ids,
    38: changes.placeholder,
    39: changes.guest,
    40: changes.one_second,
    41: changes.inverted,
    42: changes.negative,
    43: changes.no_rows,
}

OTHER_VERSIONS = {"xgboost-cpu": "3.1.3", "numpy": "2.4.5", "scikit-learn": "1.9.0"}
"""Of libraries that compute; no value that anything is told by rests on the difference."""
_TOLD = 'config.params.model_dump(exclude={"n_estimators"})'
_UNTOLD = 'config.params.model_dump(exclude={"n_estimators", "base_score"})'

BASES: Mapping[str, Plant] = {
    "next-day": new_day(),
    "bad-week": delivered_again(_BAD_WEEK),
    "relabelled": again({28: changes.labels(120)}),
    "older-libraries": then(
        edit(MODEL, _TOLD, _UNTOLD, "let the library choose where to begin"),
        default("learning_rate", "0.3", "0.05"),
        default("min_child_weight", "1.0", "5.0"),
        locked(OTHER_VERSIONS | {"xgboost-cpu": "2.1.4"}),
        run(*SAME_DAYS),
    ),
}
"""By name. `next-day`: another day came and was scored, another candidate waits. `bad-week`: days
come again, each wrong in its own way, and nobody accepts them. `relabelled`: a day that is learnt
from was relabelled and accepted, and another candidate learnt from it. `older-libraries`: under
older versions a cautious model was trained that leaves its first score to the library."""
