"""`provenance_verified`: the product's own verifier as a check on every asset that leaves evidence.

It never blocks: the gate is in the step that reads. It tells people, in the UI and as an alert,
what a step would be refused for. It runs in every run that makes the asset, and once a day for all
assets. In a run it is about the days of the run; daily it is about everything, verified anew,
whatever was found of it before.
"""

from collections.abc import Sequence

import dagster as dg

from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.defs import support
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.subjects import contract_reasons, verify_subject
from fraud_provenance.models import promotion
from fraud_provenance.models.registry import CANDIDATE
from fraud_provenance.refusals import as_failure, reasons_table
from fraud_provenance.resources import ProvenanceResource

CHECK = "provenance_verified"
CONTRACTS_ALONE = "contracts_alone"
"""Metadata: nothing is wrong but what the contracts say of days, and that is an alert already."""
DAILY = "provenance_check"  # the job of all these checks
_LAST = {"dagster/priority": "-1"}  # after the contracts of the same run, whose results count, too
VERIFIED_ASSETS = (
    "raw_transactions",
    "transaction_features",
    "feature_store",
    "training_set",
    "fraud_model",
    "model_evaluation",
    "transaction_scores",
    "release_candidate",
    "champion",
)
_DECISIONS = {
    "release_candidate": "release decision on fraud_model",
    "champion": "deploy decision on fraud_model",
}
_CHAINS = {
    "release_candidate": "Its registration decision, model, evaluation and signature",
    "champion": "Its approval, release decision, evaluation and signature",
}
_BY_DAY = ("raw_transactions", "transaction_features", "transaction_scores")
_ROWS_SHOWN = 20


def _description(asset: str) -> str:
    chain = _CHAINS.get(asset, "The newest version of each partition")
    return (
        f"{chain}, and everything below down to the landed files: each statement is signed by the "
        "identity that may sign it, dated and in the log; nothing was read that was not allowed; "
        f"the files are the ones attested. The same as `fraud-provenance verify {asset}`."
    )


def _check_of(asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset, name=CHECK, blocking=False, description=_description(asset), op_tags=_LAST
    )
    @as_failure
    def provenance_verified(
        context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
    ) -> dg.AssetCheckResult:
        """Verify, and show what was found."""
        is_daily = context.run.job_name == DAILY
        workspace = provenance.open_anew() if is_daily else provenance.open()
        made = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
        if made is None and not is_attested(workspace, asset):
            return nothing_yet(asset)
        of_run = asset in _BY_DAY and not is_daily  # what has no days is verified as it is now
        known = sorted(workspace.store.heads(asset))
        days = support.days_of_run(context, known) if of_run else []
        verdict = verdict_on(workspace, asset, days)
        return check_result(
            asset, verdict, contracts_alone=_contracts_alone(workspace, asset, verdict)
        )

    return provenance_verified


provenance_checks = [_check_of(asset) for asset in VERIFIED_ASSETS]


def verdict_on(workspace: Workspace, asset: str, days: Sequence[str] = ()) -> Verdict:
    """The product's verdict on an asset as it is now, or on these days of it."""
    return verify_subject(workspace.trust, registry_of(workspace), asset, days)


def is_attested(workspace: Workspace, asset: str) -> bool:
    """Whether there is anything that could be verified."""
    if asset == "champion":
        return promotion.was_promoted(workspace.trust, registry_of(workspace))
    if asset == "release_candidate":
        return registry_of(workspace).alias(CANDIDATE) is not None
    return bool(workspace.store.heads(asset))


def nothing_yet(asset: str) -> dg.AssetCheckResult:
    """Nothing was made, so nothing is trusted; that is no alarm either."""
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description="nothing was made yet, so there is nothing to trust",
        metadata={"verdict": "nothing to verify"},
    )


def _contracts_alone(workspace: Workspace, asset: str, verdict: Verdict) -> bool:
    if not verdict.reasons or asset in _DECISIONS:
        return False
    return set(verdict.reasons) <= set(contract_reasons(workspace.trust, asset))


def check_result(
    asset: str, verdict: Verdict, *, contracts_alone: bool = False
) -> dg.AssetCheckResult:
    """A verdict as people see it."""
    word = "trusted" if verdict.trusted else "NOT trusted" if verdict.decided else "undecided"
    metadata: dict[str, dg.MetadataValue | str | int | bool] = {
        "verdict": word,
        "links": len(verdict.links),
        "broken_links": sum(1 for link in verdict.links if not link.is_good),
        "command": dg.MetadataValue.md(f"`fraud-provenance verify {asset}`"),
    }
    name = _DECISIONS.get(asset, asset)
    signed = [link for link in verdict.links if link.signer and link.name == name]
    if signed:
        newest = max(signed, key=lambda link: (link.signed_at, link.log_index or 0))
        metadata |= {
            "signer": newest.signer,
            "signed_at": newest.signed_at,
            "log_index": -1 if newest.log_index is None else newest.log_index,
            "digest": newest.digest,
            "git_commit": newest.git_commit,
        }
    if verdict.root_cause:
        metadata |= {
            "root_cause": verdict.root_cause.code,
            "reasons": reasons_table(verdict.reasons),
            CONTRACTS_ALONE: contracts_alone,
        }
    return dg.AssetCheckResult(
        passed=verdict.trusted,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{len(verdict.links)} links hold"
            if verdict.trusted
            else "; ".join(str(item) for item in verdict.reasons[:_ROWS_SHOWN])
            or "no evidence was found"
        ),
        metadata=metadata,
    )
