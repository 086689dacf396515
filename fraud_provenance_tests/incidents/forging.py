"""Signs an approval of the candidate that no honest command would sign: `… EMAIL [FIELD=VALUE …]`.

Run by the interpreter of an incident, in its home: whoever can sign as somebody does so, past every
check of ours. What is signed differs from an honest approval by the fields named.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import opened_from
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import collect_model
from fraud_provenance.models.registry import CANDIDATE


def main(email: str, *lies: str) -> None:
    """Sign and store it."""
    workspace = opened_from(os.environ)
    trust, candidate = workspace.trust, registry_of(workspace).alias(CANDIDATE)
    assert candidate is not None
    policy = trust.policies.current()
    digest = promotion.digest_of_model(trust, candidate.model_id)
    now = datetime.now(UTC)
    said: dict[str, Any] = {
        "environment": "local",
        "evidence_set": collect_model(trust, policy, digest).evidence_set,
        "policy_digest": policy.digest,
        "issued_at": encoding.utc_text(now),
        "expires_at": encoding.utc_text(now + timedelta(days=7)),
        "reason": "reviewed",
    }
    said |= dict(lie.split("=", 1) for lie in lies)
    statement = statements.build_statement(statements.APPROVAL, "fraud_model", digest, said)
    trust.signing.sign(statement, Identity(issuer="people", subject=email))


if __name__ == "__main__":
    main(*sys.argv[1:])
