"""What a materialisation shows: first what people ask, then digests.

Rows, days, verdict, who signed, when, from which commit, how to trace it. Dagster plots each
number. Nothing here is read back as evidence.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Decision
from fraud_provenance.attested.step.step import Materialisation
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import METRICS, evaluation_of, trusted_model
from fraud_provenance.models.registry import CANDIDATE, Registry

if TYPE_CHECKING:
    import polars as pl  # heavy: assets import it in their bodies

WAITS = "waits to replace it"
_BY_DAY = ("raw_transactions", "transaction_features", "transaction_scores")
_MADE = "signed and logged, from verified inputs"
_ALLOWED = "allowed by its gate on verified evidence, signed and logged"


def evidence_metadata(
    workspace: Workspace, made: Materialisation, rows: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """What a person sees on a materialisation. `rows`: of each partition, where there are any."""
    bundle = made.bundle
    partitions = sorted({entry.partition for entry in made.manifest.entries})
    by_day = made.manifest.asset in _BY_DAY
    shown: dict[str, Any] = {}
    if rows is not None:
        shown["dagster/row_count"] = sum(rows.values())
        shown["rows"] = sum(rows.values())  # of a day by itself: `rows_of_day`
    if by_day:
        shown["days"] = len(partitions)
        shown["span"] = " … ".join(dict.fromkeys((partitions[0], partitions[-1])))
    subject = f"{made.manifest.asset}/{partitions[-1]}" if by_day else made.manifest.asset
    shown |= use_of(workspace.trust, made.manifest.asset)
    return shown | {
        "verdict": _MADE,
        "signed by": str(bundle.identity),
        "signed at": encoding.utc_text(bundle.signed_at),
        "commit": workspace.code_facts.git_commit,
        "trace": _command(subject),
        "provenance/manifest_sha256": made.manifest.digest,
        "provenance/statement_sha256": bundle.statement.digest,
        "provenance/log_index": bundle.log_index,
        "provenance/sequence": made.sequence,
        "provenance/bundle": dg.MetadataValue.path(
            workspace.store.bundle_path(bundle.bundle_digest)
        ),
    }


def use_of(trust: Trust, asset: str) -> dict[str, Any]:
    """Who says whether it may be used: a day that is held was materialised, too."""
    contracts = trust.policies.current().layout.contracts
    judges = sorted(name for name, rule in contracts.items() if rule.asset == asset)
    return {"may be used": f"if its Checks hold: {', '.join(judges)}"} if judges else {}


def decision_metadata(workspace: Workspace, decision: Decision, subject: str) -> dict[str, Any]:
    """The same of an asset that is a gate's verified decision on a model."""
    link, bundle = decision.link(), decision.bundle
    return {
        "verdict": _ALLOWED,
        "signed by": link.signer,
        "signed at": link.signed_at,
        "commit": workspace.code_facts.git_commit,
        "trace": _command(subject),
        "provenance/manifest_sha256": link.digest,
        "provenance/statement_sha256": link.statement,
        "provenance/log_index": link.log_index,
        "provenance/bundle": dg.MetadataValue.path(
            workspace.store.bundle_path(bundle.bundle_digest)
        ),
    }


def champion_metadata(workspace: Workspace, live: promotion.Champion) -> dict[str, Any]:
    """What is live, since when, by whose approval, under which policy."""
    approver = promotion.approver(live.decision)
    said = live.decision.summary
    release = workspace.releases.head().expectations
    known = f"release {release.version}, " if release.policies == said.policy_digest else ""
    metrics = metrics_of(workspace.trust, live.evidence.digest)
    return {
        "live": f"version {live.version}: {live.evidence.model_id}",
        "version": int(live.version),
        "since": live.decision.link().signed_at,
        "approved by": str(approver) if approver else "nobody",
        "policy": f"{known}sha256 {said.policy_digest[:12]}",
        WAITS: "see the check no_model_waits",  # a model may come after this was written
        **metrics,
        **decision_metadata(workspace, live.decision, "model@champion"),
    }


def metrics_of(trust: Trust, digest: str) -> dict[str, float]:
    """The signed metrics of a model, by their names."""
    said = evaluation_of(trust, trust.lineage(), digest).claims.made
    measured = said.outputs.get("metrics", {}) if said is not None else {}
    return {name: float(measured[name]) for name in METRICS if name in measured}


def evaluated_alert_rate(champion: promotion.Champion) -> object:
    """The share of alerts that was signed when the model was evaluated."""
    return trusted_model(champion.evidence).evaluation.provenance.outputs.get("alert_rate")


def what_waits(workspace: Workspace, registry: Registry) -> dg.MetadataValue:
    """Which model waits to become the champion, and for what; "nothing" where none does."""
    trust, candidate = workspace.trust, registry.alias(CANDIDATE)
    if candidate is None:
        return dg.MetadataValue.text("nothing")
    ready = promotion.is_ready(trust, registry)
    digest = promotion.digest_of_model(trust, candidate.model_id)
    live = promotion.live_model(trust)
    name = f"version {candidate.version} ({digest[:12]})"
    if ready == digest:
        return dg.MetadataValue.text(f"{name}: approved, its promotion is due")
    if digest == live:
        return dg.MetadataValue.text("nothing")
    command = (
        f"fraud-provenance approve model@candidate --environment {workspace.environment} "
        "--as EMAIL --reason TEXT"
    )
    return dg.MetadataValue.md(f"{name} waits for an approval: `{command}`")


def rows_of_day(rows: int) -> dict[str, int]:
    """The rows of one day, in the place of those of the whole run."""
    return {"rows": rows, "dagster/partition_row_count": rows}


def numbers_of_day(frame: "pl.DataFrame") -> dict[str, float]:
    """What is plotted of a raw day: its fraud rate; nothing where no label can be read."""
    labels = frame.get_column("tx_fraud", default=None)
    if labels is None or not labels.dtype.is_numeric() or labels.null_count() == labels.len():
        return {}
    return {"fraud rate": _finite(labels.mean())}


def means_of_features(frame: "pl.DataFrame") -> dict[str, float]:
    """What is plotted of a feature day: the mean of each window's feature, whose drift it shows."""
    from fraud_provenance.fraud.columns import CUSTOMER_FEATURES, TERMINAL_FEATURES

    if frame.is_empty():
        return {}
    means = frame.select([*CUSTOMER_FEATURES, *TERMINAL_FEATURES]).mean().row(0, named=True)
    return {f"mean of {name}": _finite(value) for name, value in means.items()}


def numbers_of_scores(scored: "pl.DataFrame", threshold_rate: object = None) -> dict[str, float]:
    """What is plotted of a scored day; `threshold_rate`: the share of alerts when evaluated."""
    if scored.is_empty():
        return {}
    rate = _finite(scored.get_column("is_alert").mean())
    numbers = {"mean score": _finite(scored.get_column("score").mean()), "alert rate": rate}
    if isinstance(threshold_rate, int | float):
        numbers["alert rate, drift from evaluation"] = rate - float(threshold_rate)
    return numbers


def _finite(value: object) -> float:
    return round(float(value), 9) if isinstance(value, int | float) else 0.0


def _command(subject: str) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"`fraud-provenance trace {subject}`")
