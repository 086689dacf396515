"""A limit that moved: what was found must lie within it as it was, and not as it is."""

import pytest

from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.investigate.changes import POLICY, Change
from fraud_provenance.investigate.limits import keeps, kept_before


def moved(before: object, after: object, name: str = "raw_expectations.rows.value") -> Change:
    return Change(POLICY, f"contracts.json: {name}", str(before), str(after))


def finding(observed: float | None, **limits: float) -> Finding:
    return Finding(day="2018-05-01", check="rows_are_usual", code="VOLUME_LOW",
                   observed=observed, **limits)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "item", "is_kept"),
    [
        (moved(2.0, 1.1), finding(1.5, maximum=1.1), True),
        (moved(2.0, 1.1), finding(2.5, maximum=1.1), False),
        (moved(1.1, 2.0), finding(2.5, maximum=2.0), False),
        (moved(0.5, 0.9), finding(0.7, minimum=0.9), True),
        (moved(0.5, 0.9), finding(0.4, minimum=0.9), False),
        (moved(0.5, 0.9), finding(None, minimum=0.9), False),
        (moved("a", "b"), finding(0.7, minimum=0.9), False),
    ],
)
def test_finding_is_kept_by_the_limit_before(change: Change, item: Finding, is_kept: bool) -> None:
    assert keeps(change, item) is is_kept


def test_metric_between_the_bars_is_refused_for_the_bar() -> None:
    bar = Change(POLICY, "thresholds.json: metrics.auc_roc.value", "0.7", "0.9")
    assert kept_before(bar, {"auc_roc": 0.8})
    assert not kept_before(bar, {"auc_roc": 0.6})
    assert not kept_before(bar, {"auc_roc": 0.95})
    assert kept_before(bar, {})  # that it moved is all that can be told
