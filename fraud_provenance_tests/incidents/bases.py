"""Homes to which something happened once, and that many incidents then start from."""

from collections.abc import Mapping

from fraud_provenance_tests.incidents import changes
from fraud_provenance_tests.incidents.acts import again, delivered_again, new_day
from fraud_provenance_tests.incidents.place import Plant

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

BASES: Mapping[str, Plant] = {
    "next-day": new_day(),
    "bad-week": delivered_again(_BAD_WEEK),
    "relabelled": again({28: changes.labels(120)}),
}
"""By name. `next-day`: another day came and was scored, another candidate waits. `bad-week`: days
come again, each wrong in its own way, and nobody accepts them. `relabelled`: a day that is learnt
from was relabelled and accepted, and another candidate learnt from it."""
