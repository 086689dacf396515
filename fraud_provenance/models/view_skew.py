"""One definition of each feature view: training and the online store must have used the same."""

from collections.abc import Mapping
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.causes.product import ProductCause

FEATURE_STORE, TRAINING_SET = "feature_store", "training_set"


def view_digests(definitions: Mapping[str, Any]) -> dict[str, str]:
    """View → digest of its definition, from the feature store's own description."""
    return {str(view["name"]): encoding.digest_json(view) for view in definitions["views"]}


def skew_problems(trust: Trust, model: Node) -> list[Reason]:
    """One reason for each view that the model learnt from and the online store defines otherwise.

    Args:
        trust: The opened home.
        model: The node of the model; its training set is found below it.
    """
    heads = trust.store.heads(FEATURE_STORE)
    newest = max((head for found in heads.values() for head in found),
                 key=lambda head: head.sequence, default=None)  # fmt: skip
    online = _views(trust.lineage().node(newest.statement)) if newest else {}
    learnt: dict[str, str] = {}
    for node in model.walk():
        if (made := node.claims.made) and made.asset == TRAINING_SET:
            learnt |= _views(node)
    if not learnt or not online:
        return [_skew("", "training set or online store do not say which views they used")]
    return [
        _skew(view, "the online store was filled from another definition than training used")
        for view in sorted(learnt.keys() | online.keys())
        if learnt.get(view) != online.get(view)
    ]


def _views(node: Node) -> dict[str, str]:
    found = node.provenance.outputs.get("views") if isinstance(node, Materialisation) else None
    return found if isinstance(found, dict) else {}


def _skew(view: str, message: str) -> Reason:
    return reason(ProductCause.FEATURE_SKEW, message, artifact=FEATURE_STORE, partition=view)
