"""What `accept` does: a data owner looked at a held day and found it right.

In: what was typed. Out: a signed, logged acceptance of the day's bytes and of what its contracts
found, all of it. From then on the gate lets the day be read. Another delivery of the day, or a
finding that was not seen, needs another look; `revoke` with the acceptance's digest withdraws it.
"""

from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.attested.lineage.acceptances import predicate_of
from fraud_provenance.attested.lineage.nodes import Judgement
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.people import Acceptance
from fraud_provenance.attested.statements.statements import Contract
from fraud_provenance.due.ground import SUITES
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people.revoking import person_for


def accept_day(
    workspace: Workspace, asset: str, day: str, why: str, email: str = ""
) -> dict[str, Any]:
    """Accept what holds `day` of `asset`.

    Raises:
        ConfigError: nothing holds the day, or it is broken, or no reason was given.
        GateDenied: the person may not accept.
        VerificationError, EvidenceError: a result on the day does not verify.
    """
    if asset not in SUITES:
        raise _unusable(asset, day, f"only days of {' and '.join(SUITES)} are held")
    if not why.strip():
        raise _unusable(asset, day, "an acceptance needs a reason")
    heads = workspace.store.heads(asset).get(day)
    if not heads:
        raise _unusable(asset, day, "nothing is attested under this name")
    trust, sha256 = workspace.trust, heads[0].sha256
    contracts = _contracts(workspace, asset, day, sha256)
    signer = person_for(workspace, "accept", email)
    trust.signing.sign_in(signer)
    said = Acceptance.of(
        predicate_of(trust.environment, asset, (day, sha256), contracts)
        | {**issued(trust.clock()), "reason": why.strip()}
    )
    signed = trust.signing.sign(statements.said(asset, sha256, said), signer)
    found = said.document()["findings"]
    return {
        "asset": asset,
        "day": day,
        "sha256": sha256,
        "findings": found,
        "signer": str(signed.identity),
        "log_index": signed.log_index,
        "statement": signed.statement.digest,
    }


def _contracts(workspace: Workspace, asset: str, day: str, sha256: str) -> dict[str, Contract]:
    """Statement → what it says, for each result that holds the day; none may call it broken."""
    results = workspace.store.contract_results(asset).get((day, sha256), {})
    lineage = workspace.trust.lineage()
    found = {}
    for suite in SUITES[asset]:
        if suite not in results:
            raise _unusable(asset, day, f"{suite} has not judged it yet: `fraud-provenance run`")
        node = lineage.trusted(results[suite].statement, Judgement)
        said = node.contract.judges(day)
        if said == RootCause.DATA_HELD:
            found[node.statement] = node.contract
        elif said is not None:
            raise _unusable(asset, day, f"{suite} calls it broken, and nobody can accept that")
    if not found:
        raise _unusable(asset, day, "it is not held: there is nothing to accept")
    return found


def _unusable(asset: str, day: str, message: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, message, artifact=asset, partition=day))
