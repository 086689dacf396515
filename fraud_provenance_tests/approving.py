"""An approval as an honest approver signs it, for whoever wants to sign another one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import collect_model
from fraud_provenance.models.registry import CANDIDATE


def honest_approval(workspace: Workspace) -> tuple[str, dict[str, Any]]:
    """The candidate's digest, and what an approver would sign of it now."""
    trust, candidate = workspace.trust, registry_of(workspace).alias(CANDIDATE)
    assert candidate is not None
    policy = trust.policies.current()
    digest = promotion.digest_of_model(trust, candidate.model_id)
    now = datetime.now(UTC)
    return digest, {
        "environment": "local",
        "evidence_set": collect_model(trust, policy, digest).evidence_set,
        "policy_digest": policy.digest,
        "issued_at": encoding.utc_text(now),
        "expires_at": encoding.utc_text(now + timedelta(days=7)),
        "reason": "reviewed",
    }
