"""Alerts of contracts that are over: the days that they told of may be used by now.

A day came again and passed, was judged anew, or a person accepted it. Of any other alert only
people know whether it is over.
"""

from collections.abc import Iterable

from fraud_provenance.alerts import CONTRACTED_ASSETS, Alert, concerned_days
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.subjects import contract_reasons

_KIND = "contract_failed"


def settled(trust: Trust, alerts: Iterable[Alert]) -> set[str]:
    """The ids of those alerts that verified evidence does not tell any more."""
    asked = [item for item in alerts if item.kind == _KIND and _asset_of(item)]
    concerned = concerned_days(trust.store) if asked else {}
    stopped = {
        asset: {item.partition for item in contract_reasons(trust, asset)}
        for asset in {_asset_of(item) for item in asked if item.id in concerned}
    }
    return {
        item.id
        for item in asked
        if item.id not in concerned
        or not stopped[_asset_of(item)].intersection(concerned[item.id][1])
    }


def _asset_of(alert: Alert) -> str:
    """The asset whose days a contract judged; empty for the alert of any other check."""
    asset, _, day = alert.subject.partition("/")
    return asset if day and asset in CONTRACTED_ASSETS else ""
