"""Signs an approval of the candidate that no honest command would sign: `… EMAIL [FIELD=VALUE …]`.

Run by the interpreter of an incident, in its home: whoever can sign as somebody does so, past every
check of ours. What is signed differs from an honest approval by the fields named.
"""

import os
import sys

from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.home.workspace import opened_from
from fraud_provenance_tests.approving import honest_approval


def main(email: str, *lies: str) -> None:
    """Sign and store it."""
    workspace = opened_from(os.environ)
    digest, said = honest_approval(workspace)
    said |= dict(lie.split("=", 1) for lie in lies)
    statement = statements.build_statement(statements.APPROVAL, "fraud_model", digest, said)
    workspace.trust.signing.sign(statement, Identity(issuer="people", subject=email))


if __name__ == "__main__":
    main(*sys.argv[1:])
