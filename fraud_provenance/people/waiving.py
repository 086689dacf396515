"""What `waive` does: a person declares a day empty that would else be missing, such as a holiday.

In: what was typed. Out: a signed, logged waiver. From then on the day after it is no gap, and a
training's days go past it. Data that arrive later count all the same.
"""

from datetime import date
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.issuing import issued
from fraud_provenance.attested.statements.people import Waiver
from fraud_provenance.due.planning import has_rows
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people.revoking import person_for

ASSET = "raw_transactions"


def waive_day(
    workspace: Workspace, asset: str, day: str, why: str, email: str = ""
) -> dict[str, Any]:
    """Declare `day` of `asset` empty.

    Raises:
        ConfigError: not a day that could be empty, or no reason was given.
        GateDenied: the person may not waive.
    """
    problem = _problem(workspace, asset, day, why)
    if problem:
        raise ConfigError(reason(RootCause.USAGE, problem, artifact=asset, partition=day))
    signer = person_for(workspace, "waive", email)
    trust = workspace.trust
    trust.signing.sign_in(signer)
    said = Waiver(
        environment=trust.environment,
        asset=asset,
        partition=day,
        **issued(trust.clock()),
        reason=why.strip(),
    )
    signed = trust.signing.sign(statements.said(asset, said.subject, said), signer)
    return {
        "asset": asset,
        "day": day,
        "signer": str(signed.identity),
        "log_index": signed.log_index,
        "statement": signed.statement.digest,
    }


def _problem(workspace: Workspace, asset: str, day: str, why: str) -> str:
    if asset != ASSET:
        return f"only days of {ASSET} are declared empty: the rest follows from it"
    try:
        is_day = str(date.fromisoformat(day)) == day
    except ValueError:
        is_day = False
    if not is_day:
        return f"{day!r} is not a day (YYYY-MM-DD)"
    if has_rows(workspace, asset, day):
        return f"{day} has transactions"
    return "" if why.strip() else "a waiver needs a reason"
